"""The YAML at the head of a SKILL.md: reads an author's, and writes ours.

    content := BOM? · "---" · YAML, a mapping · "---" · body

Only the description is taken, as text. Only nodes are constructed from the YAML, so tags make no
objects and aliases are not multiplied. Every client has a reader of its own, of YAML 1.1 or 1.2, so
our YAML reads the same in both.
"""

import re
from dataclasses import dataclass

import yaml

FRONT_CHARS_MAX = 8 * 1024
"""A guess: descriptions have at most 1,024. More is not parsed; this much takes 0.1 s at worst."""
NAMES_SHOWN_MAX = 20
SHOWN_CHARS_MAX = 300
_BREAK = r"(?:\r\n|\r|\n)"
_FRONT_MATTER = re.compile(
    rf"\A\ufeff?---[ \t]*{_BREAK}((?:[^\r\n]*{_BREAK})*?)---[ \t]*(?:{_BREAK}|\Z)"
)
_FIELD = re.compile(r"^[A-Za-z_][\w-]*[ \t]*:", re.MULTILINE)
_TEXT_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "bool", "int", "float", "timestamp")
)
_NULL_TAG = "tag:yaml.org,2002:null"
_SAFE_PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null|e-?[0-9]+)\Z)[a-z][a-z0-9-]*")
"""Words that all YAML 1.1 and 1.2 readers take as text; to some, `y` is true and `e3` a number."""


@dataclass(frozen=True, slots=True)
class SkillText:
    """A skill's content, taken apart."""

    body: str
    """All of the content except the front matter."""
    description: str = ""
    """The author's description; empty if there is none."""
    left_out: tuple[str, ...] = ()
    """The other fields of the front matter, for people to read."""


def read_skill_text(content: str) -> SkillText:
    """Take a skill's content apart. Never raises, whatever the content.

    Text without fields between two rules is part of the body, not front matter.
    """
    found = _FRONT_MATTER.match(content)
    if found is None:
        return SkillText(content.removeprefix("\ufeff"))
    front, body = found[1], content[found.end() :]
    if len(front) > FRONT_CHARS_MAX:
        return SkillText(body, left_out=(_all_of(front, f"it has {len(front):,} characters"),))
    try:
        root = yaml.compose(front, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(filter(None, (error.context, error.problem)))
    except RecursionError:
        problem = "it is nested too deeply"
    except (yaml.YAMLError, ValueError, OverflowError):
        problem = "it holds a character that YAML does not allow"
    else:
        if isinstance(root, yaml.MappingNode):
            description, left_out = _taken(root)
            return SkillText(body, description, left_out)
        if root is None and not front.strip():
            return SkillText(body)
        return SkillText(content.removeprefix("\ufeff"))
    if not _FIELD.search(front):
        return SkillText(content.removeprefix("\ufeff"))
    return SkillText(body, left_out=(_all_of(front, f"it is not valid YAML: {problem}"),))


def write_front_matter(name: str, description: str) -> str:
    """Return the front matter of a SKILL.md, both lines of `---` included."""
    fields = {"name": name, "description": _Quoted(description)}
    if not _SAFE_PLAIN.fullmatch(name):
        fields["name"] = _Quoted(name)
    text = yaml.dump(
        fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return f"---\n{text}---\n"


class _Quoted(str):
    """Text that is always written in double quotes."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes characters as they are, where the library would write emoji as numbers."""

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        if not text.isprintable():
            super().write_double_quoted(text, split)
            return
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        self.write_indicator(f'"{escaped}"', True)


def _quoted(dumper: yaml.SafeDumper, text: _Quoted) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')


_Dumper.add_representer(_Quoted, _quoted)


def _taken(root: yaml.MappingNode) -> tuple[str, tuple[str, ...]]:
    """Return the description, and the names of all other fields."""
    description: str | None = None
    left_out = []
    for key, value in root.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        if name == "name":
            continue  # The directory decides the name.
        if name == "description" and value.tag == _NULL_TAG:
            continue
        if name == "description" and description is None and value.tag in _TEXT_TAGS:
            description = str(value.value)
        elif name == "description":
            left_out.append("description (again)" if description else "description (not text)")
        else:
            left_out.append(_shown(name) if name is not None else "a field whose name is not text")
    if len(left_out) > NAMES_SHOWN_MAX:
        left_out[NAMES_SHOWN_MAX:] = [f"{len(left_out) - NAMES_SHOWN_MAX} more"]
    return description or "", tuple(left_out)


def _all_of(front: str, why: str) -> str:
    text = _shown(front, SHOWN_CHARS_MAX)
    return f"all of it, because {_shown(why, 120)}; it begins: {text}"


def _shown(text: str, chars_max: int = 60) -> str:
    """Return text on one line, shortened, without characters that terminals or JSON can't show."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= chars_max else f"{line[:chars_max]}…"
