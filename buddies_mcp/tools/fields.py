"""One argument of a tool: what clients send for it, and what is wrong with that."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from buddies_mcp.splitting import whole_number

Schema = Mapping[str, Any]

SHOWN_CHARS_MAX = 60


def taken(value: object, schema: Schema) -> object:
    """Return the value of a field; a string that spells the wanted type in JSON is read as that.

    Models and clients often send `'["a","b"]'`, `"5"`, `"true"` and `"null"`. A field that wants
    text keeps its text. A string in place of a list is not wrapped: nothing tells whether
    `"db, auth"` is one tag or two, and what was guessed wrong would stay with everybody.
    """
    wanted = schema["type"]
    if wanted == "string" or not isinstance(value, str):
        return value
    try:
        spelt = json.loads(value, parse_constant=_refuse, parse_int=whole_number)
    except (ValueError, RecursionError):
        return value
    return spelt if spelt is None or _is(spelt, wanted) else value


def problems(name: str, value: Any, schema: Schema) -> Iterator[str]:
    """Return what is wrong with a field, in words that say what it may be."""
    wanted = schema["type"]
    if not _is(value, wanted):
        yield f"{name} must be {_wanted(schema)}, not {shown(value)}"
    elif isinstance(value, str):
        yield from _problems_of_text(name, value, schema)
    elif isinstance(value, list):
        if len(value) > schema["maxItems"]:
            yield f"{name} has {len(value)} items; at most {schema['maxItems']} are allowed"
            return
        for index, item in enumerate(value):
            yield from problems(f"{name}[{index}]", item, schema["items"])
    elif wanted != "boolean" and not schema["minimum"] <= value <= schema["maximum"]:
        yield f"{name} must be {_wanted(schema)}, not {shown(value)}"


def shown(value: object) -> str:
    """Return a value in JSON, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "what is too large or too deep to show"
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 3]}…"


def _problems_of_text(name: str, text: str, schema: Schema) -> Iterator[str]:
    if "enum" in schema and text not in schema["enum"]:
        yield f"{name} must be one of {', '.join(schema['enum'])}, not {shown(text)}"
    if not text and schema.get("minLength"):
        yield f"{name} must not be empty"
    if len(text) > schema.get("maxLength", math.inf):
        yield f"{name} has {len(text)} characters; at most {schema['maxLength']} are allowed"


def _is(value: object, wanted: str) -> bool:
    """Whether JSON Schema gives a value this type: true is not a number, 3.0 is an integer."""
    match wanted, value:
        case "boolean", bool():
            return True
        case (("integer" | "number"), bool()):
            return False
        case "integer", float():
            return value.is_integer()
        case ("integer", int()) | ("number", int()) | ("string", str()) | ("array", list()):
            return True
        case "number", float():
            return math.isfinite(value)
        case _:
            return False


def _wanted(schema: Schema) -> str:
    match schema["type"]:
        case "boolean":
            return "true or false"
        case "integer":
            return f"a whole number from {schema['minimum']} to {schema['maximum']}"
        case "number":
            return f"a number from {schema['minimum']:g} to {schema['maximum']:g}"
        case "array":
            return 'a list of strings, such as ["a", "b"]'
        case _:
            return "a string"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
