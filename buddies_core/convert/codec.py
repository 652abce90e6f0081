"""Values of the model to protobuf messages and back, each field to the one of the same name. Pure.

A value is a dataclass. Its message has a field, or a `oneof`, for each field of the value, and no
other: a pair in which one is missing is refused, so that none is lost in silence.

    in the value                            in the message
    str, int, float, bool, bytes, NewType   the same
    StrEnum, Literal, UUID                  its text
    X | None                                optional
    a dataclass                             a message
    tuple[X, ...], tuple[int, int]          repeated
    tuple[tuple[int, int], ...]             repeated, two numbers each
    tuple[tuple[str, int], ...]             a map; sorted by key on the way back
    A | B, dataclasses of one field each    a oneof with the fields of both

What to do with each field is found out once for a pair of classes; see `_plan`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import partial
from operator import attrgetter
from types import NoneType
from typing import Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

ValueT = TypeVar("ValueT")
MessageT = TypeVar("MessageT", bound=Message)

Convert: TypeAlias = Callable[[Any], Any]


def to_proto(value: object, into: type[MessageT]) -> MessageT:
    """Return the value as a message.

    Raises:
        TypeError: such a message does not have the same fields as such a value.
    """
    plan = _PLANS.get((type(value), into)) or _plan(type(value), into)
    found = {
        name: it
        for name, it in zip(plan.names, plan.values_of(value), strict=True)
        if it or (it is not None and name in plan.optional)
    }
    for name, write in plan.writes:
        if name in found:
            found[name] = write(found[name])
    for name in plan.oneofs:
        if case := found.pop(name, None):
            found |= {field.name: getattr(case, field.name) for field in fields(case)}
    return into(**found)


def from_proto(message: MessageT, into: type[ValueT]) -> ValueT:
    """Return the value that a message stands for; `into` may be generic: `Searched[MemoryView]`.

    Raises:
        TypeError: such a message does not have the same fields as such a value.
        ValueError: a text is not valid for its field, such as an unknown kind or a malformed id.
    """
    plan = _PLANS.get((into, type(message))) or _plan(into, type(message))
    value: ValueT = plan.make(**{name: read(message) for name, read in plan.reads})
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a field of the value stands in the message: in a field, or in a oneof."""

    name: str
    is_oneof: bool = False
    is_map: bool = False
    is_repeated: bool = False
    has_presence: bool = False
    """Whether it can be empty without being absent."""
    message: type[Message] | None = None
    """What it has one or several of, if that are messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    make: Callable[..., Any]
    """Makes a value of its fields; of a generic class, the class itself."""
    names: tuple[str, ...]
    values_of: Convert
    """Gets what stands in all fields of a value."""
    optional: frozenset[str]
    """Those that are written though they are empty, unless they are None."""
    writes: tuple[tuple[str, Convert], ...]
    """From value to message; fields that stay as they are have none."""
    oneofs: tuple[str, ...]
    reads: tuple[tuple[str, Convert], ...]
    """From the whole message to what stands in the field of a value."""


_PLANS: dict[tuple[type, type[Message]], _Plan] = {}


def _plan(kind: type, message: type[Message]) -> _Plan:
    """Return what to do with each field of these, and keep it for the next time."""
    origin = get_origin(kind) or kind
    arguments = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    hinted = get_type_hints(origin)
    hints = {field.name: hinted[field.name] for field in fields(origin)}
    places = {place.name: place for place in _places(message)}
    if odd := sorted(hints.keys() ^ places.keys()):
        raise TypeError(
            f"{kind.__name__} and {message.DESCRIPTOR.full_name} must have the same fields; "
            f"one of them lacks {', '.join(odd)}"
        )
    writes: list[tuple[str, Convert]] = []
    reads: list[tuple[str, Convert]] = []
    for name, hint in hints.items():
        given = tuple(arguments.get(it, it) for it in getattr(hint, "__parameters__", ()))
        shape = _shape(hint[given] if given else hint)
        if shape.is_optional and not (places[name].has_presence or places[name].is_oneof):
            raise TypeError(
                f"{name} may be None in {kind.__name__}, so it must be optional in"
                f" {message.DESCRIPTOR.full_name}"
            )
        if write := _write(shape, places[name]):
            writes.append((name, write))
        reads.append((name, _read(shape, places[name])))
    one, several = next(iter(hints)), attrgetter(*hints)
    _PLANS[kind, message] = plan = _Plan(
        make=origin,
        names=tuple(hints),
        values_of=several if len(hints) > 1 else lambda value: (getattr(value, one),),
        optional=frozenset(name for name in places if places[name].has_presence),
        writes=tuple(writes),
        oneofs=tuple(name for name in hints if places[name].is_oneof),
        reads=tuple(reads),
    )
    return plan


def _places(message: type[Message]) -> Iterator[_Place]:
    for field in message.DESCRIPTOR.fields:
        kind, oneof = field.message_type, field.containing_oneof
        # To protoc an `optional` field is the only one of a oneof that has its name behind a "_".
        if oneof is not None and oneof.name != f"_{field.name}":
            if field.name == oneof.fields[0].name:
                yield _Place(name=oneof.name, is_oneof=True)
            continue
        yield _Place(
            name=field.name,
            is_map=kind is not None and kind.GetOptions().map_entry,
            is_repeated=field.is_repeated,
            has_presence=field.has_presence,
            message=None if kind is None else GetMessageClass(kind),  # type: ignore[arg-type] # the stubs have two of one
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The type of a field's value, or of its elements."""

    cases: tuple[Any, ...]
    """More than one type if it is a union of dataclasses."""
    is_optional: bool

    @property
    def leaf(self) -> Any:
        return self.cases[0]


def _shape(hint: Any) -> _Shape:
    is_optional = NoneType in get_args(hint)
    cases = tuple(it for it in get_args(hint) if it is not NoneType) if is_optional else (hint,)
    if get_origin(hint) is tuple:
        cases = get_args(hint)[:1]
    return _Shape(
        cases=tuple(getattr(it, "__supertype__", it) for it in cases), is_optional=is_optional
    )


def _write(shape: _Shape, place: _Place) -> Convert | None:
    if place.is_map:
        return dict
    if get_origin(shape.leaf) is tuple:
        return lambda pairs: [it for pair in pairs for it in pair]
    one: Convert
    if (message := place.message) is not None:
        one = partial(to_proto, into=message)
    elif shape.leaf is UUID:
        one = str
    else:
        return None
    return (lambda items: [one(it) for it in items]) if place.is_repeated else one


def _read(shape: _Shape, place: _Place) -> Convert:
    if place.is_oneof:
        return _read_case(shape.cases, place.name)
    get = attrgetter(place.name)
    if place.is_map:
        return lambda message: tuple(sorted(get(message).items()))
    if get_origin(shape.leaf) is tuple:
        return lambda message: tuple(zip(get(message)[::2], get(message)[1::2], strict=True))
    one = _read_one(shape.leaf)
    if place.is_repeated:
        return lambda message: tuple(map(one, get(message)) if one else get(message))
    read: Convert = (lambda message: one(get(message))) if one else get
    if shape.is_optional:
        return lambda message: read(message) if message.HasField(place.name) else None
    return read


def _read_one(leaf: Any) -> Convert | None:
    """Return what reads one thing of this type; None for one that stays as it is."""
    if is_dataclass(get_origin(leaf) or leaf):
        return lambda message: from_proto(message, leaf)
    if leaf is UUID or (isinstance(leaf, type) and issubclass(leaf, StrEnum)):
        return leaf  # A class is called with the text.
    return None


def _read_case(cases: tuple[Any, ...], oneof: str) -> Convert:
    by_field = {fields(case)[0].name: case for case in cases}

    def read(message: Any) -> object:
        name = message.WhichOneof(oneof)
        return by_field[name](getattr(message, name)) if name else None

    return read
