"""Changes one key in a text of JSON, JSONC or JSON5, and not a byte of the rest.

json-five parses a text into a model that holds every space and comment, and writes that model
again. What is put in goes behind the last key of its object, in the manner of the text around it;
removing it gives the text that was there before. json-five is slow (12 s a megabyte), so values are
read by the standard library where that can.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import json5
from json5.dumper import ModelDumper
from json5.loader import DefaultLoader, ModelLoader
from json5.model import Comment, JSONObject, JSONText, LineComment, Value
from json5.utils import JSON5DecodeError

from buddies_core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from json5.model import Key

    from buddies_core.model.json_view import JsonObject

Blanks = list[str | Comment]
"""Spaces and comments between two words of the text."""

INDENT = "  "


def read(text: str) -> dict[str, Any]:
    """Return the object that the text holds; an empty one for an empty text.

    Raises:
        InvalidInput: it is not JSON5, or not an object.
    """
    if not text.strip():
        return {}
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        found = DefaultLoader().load(_model(text))
    if not isinstance(found, dict):
        raise InvalidInput("it does not hold an object, which begins with {")
    return found


def put(text: str, keys: Sequence[str], value: JsonObject) -> str:
    """Return the text with this value at the place that the keys lead to.

    Raises:
        InvalidInput: the text is not JSON5, or something that is no object is on the way.
    """
    document = _model(text if text.strip() else "{}\n")
    style = _Style.of(text, document)
    parent = _object(document.value, ())
    for depth, key in enumerate(keys):
        index = _index(parent, key)
        is_last = depth == len(keys) - 1
        if index is None:
            for outer in reversed(keys[depth + 1 :]):
                value = {outer: value}
            _append(parent, key, value, depth, style)
            break
        if is_last:
            _replace(parent, index, value, depth, style)
        else:
            parent = _object(parent.values[index], keys[: depth + 1])
    return _text(document)


def remove(text: str, keys: Sequence[str], *, prune: int = 0) -> str:
    """Return the text without the key that the keys lead to; the same text if it has none.

    Of the objects around it the innermost `prune` are removed too where nothing else is in them.

    Raises:
        InvalidInput: the text is not JSON5.
    """
    document = _model(text)
    parents = [_object(document.value, ())]
    for depth, key in enumerate(keys[:-1]):
        index = _index(parents[-1], key)
        if index is None:
            return text
        parents.append(_object(parents[-1].values[index], keys[: depth + 1]))
    for depth in range(len(keys) - 1, max(-1, len(keys) - 2 - prune), -1):
        index = _index(parents[depth], keys[depth])
        if index is None:
            return text
        if depth < len(keys) - 1 and parents[depth + 1].keys:
            break
        _take_out(parents[depth], index)
    return _text(document)


class _Style:
    """The line breaks and the indentation of a text."""

    def __init__(self, newline: str, indent: str) -> None:
        self.newline = newline
        self.indent = indent

    @classmethod
    def of(cls, text: str, document: JSONText) -> _Style:
        newline = "\r\n" if "\r\n" in text else "\n"
        root = document.value
        blanks = _plain(root.leading_wsc) if isinstance(root, JSONObject) and root.keys else ""
        _, broken, indent = blanks.rpartition("\n")
        return cls(newline, indent if broken and indent else INDENT)


def _append(parent: JSONObject, key: str, value: JsonObject, depth: int, style: _Style) -> None:
    comments, end = _split(_before_brace(parent))
    # As its neighbors are, whatever the rest of the text does.
    is_broken = (
        not parent.keys
        or any("\n" in _plain(it) for it in _before_keys(parent))
        or any(isinstance(it, LineComment) for it in comments)
    )
    inner = _set_in(_before_keys(parent)[-1]) if parent.keys else style.indent * (depth + 1)
    gap = style.newline + inner if is_broken else " "
    new_key, new_value = _pair(key, value, inner if is_broken else None, style)
    before = _behind(comments, gap)
    if not parent.keys:
        parent.leading_wsc = before
        new_value.wsc_after = [style.newline + style.indent * depth]
    elif parent.trailing_comma is not None:
        new_key.wsc_before = before
        parent.trailing_comma.wsc_after = end
    else:
        parent.values[-1].wsc_after = []
        new_key.wsc_before, new_value.wsc_after = before, end
    parent.keys.append(new_key)
    parent.values.append(new_value)


def _behind(comments: Blanks, gap: str) -> Blanks:
    """Return these comments and the gap, which begins with a line break where they need one."""
    if comments and isinstance(comments[-1], LineComment):
        # It goes to the end of its line, and holds the first half of a Windows line break.
        gap = "\n" + gap.partition("\n")[2]
    return [*comments, gap]


def _replace(parent: JSONObject, index: int, value: JsonObject, depth: int, style: _Style) -> None:
    old = parent.values[index]
    blank = _plain(_split(_before_keys(parent)[index])[1])
    inner = blank.rpartition("\n")[2] if "\n" in blank else None
    new = _pair("", value, inner, style)[1]
    new.wsc_before, new.wsc_after = old.wsc_before, old.wsc_after
    parent.values[index] = new


def _take_out(parent: JSONObject, index: int) -> None:
    value = parent.values[index]
    before = _before_keys(parent)[index]
    comments, blank = _split(before)
    # The line break before the key and what sets it in came with the key.
    kept: Blanks = [*comments, *_some(_plain(blank).rpartition("\n")[0].rstrip("\r"))]
    after: Blanks = list(value.wsc_after)
    comma = parent.trailing_comma
    is_last = index == len(parent.keys) - 1
    del parent.keys[index], parent.values[index]
    if not parent.keys:
        parent.trailing_comma = None
        left: Blanks = [*kept, *after, *(comma.wsc_after if comma else [])]
        parent.leading_wsc = left if _has_comments(left) else []
    elif is_last and comma is not None:
        comma.wsc_after = [*kept, *_comments(after), *comma.wsc_after]
    elif is_last:
        last = parent.values[-1]
        last.wsc_after = [*last.wsc_after, *kept, *after]
    elif index == 0:
        parent.leading_wsc = [*kept, *_comments(after), *parent.keys[0].wsc_before]
        parent.keys[0].wsc_before = []
    else:
        following = parent.keys[index]
        following.wsc_before = [*kept, *_comments(after), *following.wsc_before]


def _pair(key: str, value: JsonObject, inner: str | None, style: _Style) -> tuple[Key, Value]:
    """Return a key and its value as the text around them would write them; None: on one line."""
    if inner is None:
        written = json.dumps(value, ensure_ascii=False)
    else:
        written = json.dumps(value, ensure_ascii=False, indent=style.indent)
        written = written.replace("\n", style.newline + inner)
    parsed = _object(_model(f"{{{json.dumps(key)}: {written}}}").value, ())
    return parsed.keys[0], parsed.values[0]


def _before_keys(parent: JSONObject) -> list[Blanks]:
    """Return what is before each key; what is before the first belongs to the object."""
    return [parent.leading_wsc, *(key.wsc_before for key in parent.keys[1:])]


def _before_brace(parent: JSONObject) -> Blanks:
    """Return what is before the brace that ends an object."""
    if not parent.keys:
        return parent.leading_wsc
    comma = parent.trailing_comma
    return parent.values[-1].wsc_after if comma is None else comma.wsc_after


def _index(parent: JSONObject, key: str) -> int | None:
    found = [number for number, it in enumerate(parent.keys) if _name(it) == key]
    if len(found) > 1:
        raise InvalidInput(f"it has the key {key} twice; remove one of them")
    return found[0] if found else None


def _name(key: Key) -> object:
    return DefaultLoader().load(key)


def _object(value: Value, path: Sequence[str]) -> JSONObject:
    if not isinstance(value, JSONObject):
        where = ".".join(path)
        raise InvalidInput(
            f"{where} in it is not an object"
            if where
            else "it does not hold an object, which begins with {"
        )
    return value


def _split(blanks: Blanks) -> tuple[Blanks, Blanks]:
    """Return all up to the last comment, and the spaces after it."""
    last = max(
        (number for number, it in enumerate(blanks, 1) if isinstance(it, Comment)), default=0
    )
    return blanks[:last], blanks[last:]


def _set_in(blanks: Blanks) -> str:
    """Return by what a key after these blanks is set in."""
    line = _plain(blanks).rpartition("\n")[2]
    return line[: len(line) - len(line.lstrip())]


def _comments(blanks: Blanks) -> Blanks:
    return _split(blanks)[0]


def _has_comments(blanks: Blanks) -> bool:
    return any(isinstance(it, Comment) for it in blanks)


def _some(text: str) -> Blanks:
    return [text] if text else []


def _plain(blanks: Blanks) -> str:
    return "".join(it if isinstance(it, str) else it.value for it in blanks)


def _model(text: str) -> JSONText:
    try:
        model = json5.loads(text, loader=ModelLoader())
    except JSON5DecodeError as error:
        raise InvalidInput(f"it is not valid JSON: {_first_line(error)}") from None
    except RecursionError:
        raise InvalidInput("it is nested too deeply") from None
    assert isinstance(model, JSONText), "a ModelLoader returns the text's model"
    return model


def _text(model: JSONText) -> str:
    try:
        return json5.dumps(model, dumper=ModelDumper())  # type: ignore[arg-type] # as documented
    except RecursionError:
        raise InvalidInput("it is nested too deeply") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "it can't be parsed")
