"""The skill directories of this machine's agents: what is there, and the way in and out.

Only what a person or their agent asks for is ever written, and only below the client's own skill
directory. A lock file beside the skills says what came from where:

    ROOT/NAME/SKILL.md
    ROOT/.buddies-skills.json := {"version": 1, "skills": {NAME: {"hash": …, "file_sha256": …, …}}}
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buddies_core import edits
from buddies_core.errors import InvalidInput, NotAllowed, NotFound, StoreError
from buddies_core.mcp_clients import Places, client_named
from buddies_core.model.budget import fitting_text
from buddies_core.model.identity import Verified
from buddies_core.model.memory import CONTENT_BYTES_MAX
from buddies_core.model.skill_file import (
    InstalledSkill,
    InstallPlan,
    SkillHost,
    checked_name,
    sha256_hex,
    skill_md,
    skill_name,
    warnings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buddies_core.clock import Clock
    from buddies_core.model.skill_views import SkillView

LOCK_FILE = ".buddies-skills.json"
LOCK_VERSION = 1
FILE_MODE = 0o644
DIFF_COST_MAX = 40_000
"""A person must read the diff before they agree; it fits one answer, see `model.budget`."""


@dataclass(frozen=True, slots=True)
class SkillDirectory:
    """One client's skill directory, which may not exist yet."""

    host: SkillHost
    root: Path

    @classmethod
    def of(cls, host: SkillHost, environ: Mapping[str, str], cwd: Path) -> SkillDirectory:
        """Return where a client looks for skills."""
        return cls(host, _root(host, environ, cwd))

    def path(self, name: str) -> Path:
        """Return the file of the skill with this name."""
        return self.root / checked_name(name) / "SKILL.md"

    def installed(self) -> tuple[InstalledSkill, ...]:
        """Return what buddies has installed here, by name.

        Raises:
            StoreError: the lock file can't be read.
        """
        return tuple(self._locked()[name] for name in sorted(self._locked()))

    def find(self, name: str) -> InstalledSkill:
        """Return an installed skill.

        Raises:
            NotFound: buddies has not installed it here.
        """
        found = self._locked().get(checked_name(name))
        if found is None:
            have = ", ".join(self._locked()) or "none"
            raise NotFound(
                f"buddies has installed no skill {name!r} for {self.host} ({self.root}); "
                f"installed are: {have}"
            )
        return found

    def plan(self, skill: SkillView, name: str | None = None) -> InstallPlan:
        """Return what installing this skill would do, without doing it.

        Raises:
            InvalidInput: it can't have that name, or its content is not all there.
            NotAllowed: the place is taken by something that buddies has not installed.
        """
        if skill.truncated:
            raise InvalidInput("only a skill with all of its content can be installed")
        name = skill_name(skill) if name is None else checked_name(name)
        path = self.path(name)
        known = self._locked().get(name)
        current = self._current(path, known)
        text = skill_md(skill, name)
        notes = list(warnings(skill))
        if known is not None and current is not None and sha256_hex(current) != known.file_sha256:
            notes.append("it was changed here since it was installed; those changes would be lost")
        edit = edits.FileEdit(path, None if current is None else current.encode(), text.encode())
        diff = edit.diff(
            f"{name}/SKILL.md as it is",
            f"{name}/SKILL.md version {skill.version}",
            4 * CONTENT_BYTES_MAX,
        )
        shown = fitting_text(diff, DIFF_COST_MAX)
        if shown != diff:
            notes.append(
                "the changes are too long to be shown whole; read the skill first: get_skill, or"
                " buddies-cli skill get"
            )
        return InstallPlan(
            host=self.host,
            name=name,
            path=str(path),
            skill=skill,
            text=text,
            diff=shown,
            warnings=tuple(notes),
            replaces=known,
            confirm=edit.confirm(known.hash if known else ""),
        )

    def install(self, plan: InstallPlan, confirm: str, clock: Clock) -> InstalledSkill:
        """Do what was planned and shown, and return what is installed now.

        Raises:
            NotAllowed: `confirm` is not the plan's, or things have changed since.
            StoreError: the disk refused.
        """
        skill = plan.skill
        with self._held():
            if confirm != plan.confirm or self.plan(skill, plan.name).confirm != confirm:
                raise NotAllowed(
                    "this is not what was shown: the file or the plan has changed since; ask for "
                    "the preview again, without confirm"
                )
            done = InstalledSkill(
                name=plan.name,
                hash=skill.hash,
                title=skill.title,
                version=skill.version,
                author=skill.author,
                author_name=skill.author_name,
                verified=skill.verified,
                signed_by=skill.signed_by,
                room=skill.room,
                file_sha256=sha256_hex(plan.text),
                installed_at_ms=clock.wall_ms(),
            )
            # The lock first: a file that it does not name would be somebody else's.
            self._lock(self._locked() | {plan.name: done})
            path = self.path(plan.name)
            with edits.disk(path):
                path.parent.mkdir(exist_ok=True)
                edits.replace(path, plan.text.encode(), mode=FILE_MODE)
        return done

    def uninstall(self, name: str, *, force: bool = False) -> InstalledSkill:
        """Remove a skill that buddies has installed, and return what it was.

        Other files in its directory stay.

        Raises:
            NotFound: buddies has not installed it here.
            NotAllowed: it was changed since, and `force` is not given.
            StoreError: the disk refused.
        """
        known, path = self.find(name), self.path(name)
        with self._held():
            current = self._current(path, known)
            if current is not None and sha256_hex(current) != known.file_sha256 and not force:
                raise NotAllowed(
                    f"{path} was changed since it was installed; save what you need, then: "
                    f"buddies-cli skill uninstall {name} --client {self.host} --force"
                )
            with edits.disk(path):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()
            self._lock({key: one for key, one in self._locked().items() if key != name})
        return known

    def _current(self, path: Path, known: InstalledSkill | None) -> str | None:
        """Return what the file holds now; None if there is none.

        Raises:
            NotAllowed: it is not ours to replace.
        """
        if path.parent.is_symlink() or path.is_symlink():
            raise NotAllowed(f"{path} is reached by a symbolic link; choose another name")
        if known is None and path.parent.exists():
            raise NotAllowed(
                f"{path.parent} exists and was not installed by buddies; choose another name"
            )
        with edits.disk(path):
            # As bytes: reading text would make one line ending of another.
            return path.read_bytes().decode("utf-8", "replace") if path.exists() else None

    def _locked(self) -> dict[str, InstalledSkill]:
        path = self.root / LOCK_FILE
        try:
            return _skills_in(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, InvalidInput) as error:
            raise StoreError(
                f"{path} can't be read ({error}); it says which skills buddies has installed: "
                "restore it, or remove it and those skills"
            ) from error

    def _lock(self, skills: dict[str, InstalledSkill]) -> None:
        path = self.root / LOCK_FILE
        fields = {name: asdict(skills[name]) for name in sorted(skills)}
        for one in fields.values():
            del one["name"]
        with edits.disk(path):
            text = json.dumps({"version": LOCK_VERSION, "skills": fields}, indent=2) + "\n"
            edits.replace(path, text.encode(), mode=FILE_MODE)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Make the directory, and keep other installations out until the block ends."""
        with edits.disk(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            directory = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)


def _root(host: SkillHost, environ: Mapping[str, str], cwd: Path) -> Path:
    if host is SkillHost.PROJECT:
        return cwd / ".agents" / "skills"
    return client_named(host.value).skill_root(Places.of(environ))


def _skills_in(lock: Any) -> dict[str, InstalledSkill]:
    """Return what a lock file names; whatever is wrong with it raises as it comes."""
    if lock["version"] != LOCK_VERSION:
        raise ValueError(f"it has version {lock['version']}")
    return {
        checked_name(name): InstalledSkill(
            **fields | {"name": name, "verified": Verified(fields["verified"])}
        )
        for name, fields in lock["skills"].items()
    }
