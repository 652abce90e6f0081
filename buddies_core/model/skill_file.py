"""Skills as files: a SKILL.md for the skill directory of an agent's client. Pure.

The form is that of agent skills: a directory NAME with a SKILL.md, which begins with YAML between
`---` lines that gives `name` and `description`. Nothing else is ever written there: what a peer's
content brings along could permit tools or run commands in some clients.

The module for YAML is imported when it is needed: it takes 50 ms, and most commands need none.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from buddies_core.errors import InvalidInput
from buddies_core.model.identity import Verified
from buddies_core.model.json_view import JsonObject
from buddies_core.model.skill_views import Publisher, SkillView
from buddies_core.model.unseen import describe_unseen, find_unseen, without_unseen

if TYPE_CHECKING:
    from buddies_core.model.front_matter import SkillText

NAME_CHARS_MAX = 64
DESCRIPTION_CHARS_MAX = 1024

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_COMMAND = re.compile(r"!`[^`]+`")


class SkillHost(StrEnum):
    """The owner of a skill directory."""

    CLAUDE = "claude"
    CODEX = "codex"
    OPENCODE = "opencode"
    OPENCLAW = "openclaw"
    CURSOR = "cursor"
    PROJECT = "project"
    """`.agents/skills` below the working directory, for every client that reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSkill:
    """A skill that was installed, as the lock file beside it says."""

    name: str
    hash: str
    title: str
    version: int
    author: str
    author_name: str
    verified: Verified
    signed_by: str
    room: str
    file_sha256: str
    """SHA-256 of SKILL.md as it was written, in hex."""
    installed_at_ms: int

    @property
    def publisher(self) -> Publisher:
        """The publisher at the time of installation."""
        endpoint = self.author if self.verified is Verified.PEER else ""
        return Publisher(signer=self.signed_by, endpoint=endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """The changes that installing would make; nothing is done yet."""

    host: SkillHost
    name: str
    path: str
    """The path of the SKILL.md."""
    skill: SkillView
    text: str
    """The text that the file will hold."""
    diff: str
    """The changes to the file; empty if there are none."""
    warnings: tuple[str, ...]
    replaces: InstalledSkill | None
    confirm: str
    """A token for this plan: a caller that has it has seen this plan, or an identical one."""


def skill_name(skill: SkillView) -> str:
    """Return the directory's name: lower-case letters, digits and single hyphens, at most 64."""
    plain = unicodedata.normalize("NFKD", skill.title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain)[:NAME_CHARS_MAX].strip("-")
    return name or f"skill-{skill.hash[:8]}"


def checked_name(name: str) -> str:
    """Return the name that a caller gave.

    Raises:
        InvalidInput: it is not a valid name of a skill.
    """
    if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"name {name[:80]!r} can't be a skill's; use lower-case letters, digits and single "
            f"hyphens between them, at most {NAME_CHARS_MAX} characters"
        )
    return name


def skill_md(skill: SkillView, name: str) -> str:
    """Return the SKILL.md of a skill with all of its content."""
    from buddies_core.model.front_matter import read_skill_text, write_front_matter

    text = read_skill_text(skill.content)
    front = write_front_matter(name, _line(_description(skill, text))[:DESCRIPTION_CHARS_MAX])
    # The first line may be indented code.
    body = text.body.lstrip("\r\n").rstrip()
    return f"{front}\n{body}\n"


def warnings(skill: SkillView) -> tuple[str, ...]:
    """Return warnings for people to read before they let an agent read this skill."""
    from buddies_core.model.front_matter import read_skill_text

    found = []
    match skill.verified:
        case Verified.UNVERIFIED:
            found.append("nobody vouches for it: anybody may have written it in that name")
        case Verified.PEER:
            found.append(f"no person's key has signed it; {skill.author_name}'s machine said it")
        case Verified.SIGNER:
            pass
    text = read_skill_text(skill.content)
    if text.left_out:
        found.append(f"left out of its front matter: {', '.join(text.left_out)}")
    if changes := _changes(text.description):
        found.append(f"left out of its description: {', '.join(changes)}")
    if _COMMAND.search(skill.content):
        found.append("it holds !`…`, which some clients run as a command when they load a skill")
    for where, words in (
        ("it holds", skill.content.removeprefix("\ufeff")),
        ("its title holds", skill.title),
        ("its tags hold", "\n".join(skill.tags)),
    ):
        if unseen := describe_unseen(words):
            found.append(f"{where} {unseen}")
    return tuple(found)


def sha256_hex(text: str) -> str:
    """Return the hash that identifies this text in a lock file."""
    return hashlib.sha256(text.encode()).hexdigest()


def plan_json(plan: InstallPlan, *, installed: bool) -> JsonObject:
    """Return install_skill's answer, before or after the installation."""
    skill = plan.skill
    shown: JsonObject = {
        "installed": installed,
        "client": plan.host.value,
        "name": plan.name,
        "path": plan.path,
        "hash": skill.hash,
        "title": skill.title,
        "version": skill.version,
        "author": skill.author,
        "author_name": skill.author_name,
        "verified": skill.verified.value,
        "signed_by": skill.signed_by or None,
        "room": skill.room,
        "rank": skill.votes.rank,
        "replaces": plan.replaces.hash if plan.replaces else None,
        "warnings": list(plan.warnings),
        "diff": plan.diff,
    }
    if not installed:
        shown["confirm"] = plan.confirm
    return shown


def installed_json(host: SkillHost, skill: InstalledSkill, path: str) -> JsonObject:
    """Return one installed skill."""
    return {
        "client": host.value,
        "name": skill.name,
        "path": path,
        "hash": skill.hash,
        "title": skill.title,
        "version": skill.version,
        "author": skill.author,
        "author_name": skill.author_name,
        "verified": skill.verified.value,
        "signed_by": skill.signed_by or None,
        "room": skill.room,
        "installed_at_ms": skill.installed_at_ms,
    }


def _description(skill: SkillView, text: SkillText) -> str:
    """Return the text that tells an agent when to read on: the author's own if there is one."""
    if _line(text.description):
        return text.description
    lines = (_line(line) for line in text.body.splitlines() if not line.lstrip().startswith("#"))
    first = next((line for line in lines if line), "")
    title = _line(skill.title)
    return title if first in ("", title) else f"{title}: {first}"


def _changes(description: str) -> list[str]:
    """Return the changes that the author's description undergoes on its way into the file."""
    lost = []
    if "<" in description or ">" in description:
        lost.append("< and >, which could look like a tag")
    if any(find_unseen(description)):
        lost.append("characters that can't be seen")
    if (chars := len(_line(description))) > DESCRIPTION_CHARS_MAX:
        lost.append(f"its end ({chars:,} characters, and {DESCRIPTION_CHARS_MAX:,} are allowed)")
    return lost


def _line(text: str) -> str:
    """Return text as one line of visible characters, without anything that looks like a tag."""
    spaced = "".join(" " if char.isspace() else char for char in text if char not in "<>")
    seen = (char for char in without_unseen(spaced) if unicodedata.category(char)[0] != "C")
    return " ".join("".join(seen).split())
