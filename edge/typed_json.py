"""Dataclasses from JSON objects: each value is checked against the type of its field."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["FLAT", "OPEN", "from_json", "named", "typed_value", "without_none"]

FLAT: Final[Mapping[str, Any]] = {"is_flat": True}
"""Metadata of a field whose own keys stand in the object around it."""
OPEN: Final[Mapping[str, Any]] = {"is_open": True}
"""Metadata of a field in which unknown keys are passed over, because later versions may add some."""

_T = TypeVar("_T")
_SHOWN: Final = 40
"""Characters of a wrong value that a message shows."""
_WORDS: Final[Mapping[Any, str]] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def named(key: str) -> Mapping[str, Any]:
    """Metadata of a field that has another name in JSON."""
    return {"key": key}


def from_json(kind: type[_T], values: object, *, where: str = "", is_open: bool = False) -> _T:
    """A dataclass from a JSON object.

    Its fields may hold text, numbers, booleans, anything, literals, tuples, lists, mappings from text or whole numbers,
    other dataclasses, and types with a class method ``parse``, which reads text; and None beside one of these. A field
    with a default may be missing.

    >>> from_json(Size, {"width": 640, "height": "480"})
    TypeError: height is "480": expected a whole number

    Args:
        kind: The dataclass.
        values: The object, as :func:`json.loads` returns it.
        where: Its path in the file, for messages.
        is_open: Whether unknown keys are passed over.

    Raises:
        KeyError: A key is missing.
        TypeError: A value has another type, or a key is unknown; the message begins with its path.
        ValueError: The dataclass or ``parse`` refused a value.
    """
    if not isinstance(values, dict):
        raise _wrong(where or "the file", values, "an object")
    rest, found, path = dict(values), {}, f"{where}." if where else ""
    for known in _fields(kind):  # type: ignore[arg-type]
        if known.is_flat:
            keys = [inner.key for inner in _fields(known.kind) if inner.key in rest]
            found[known.name] = from_json(known.kind, {key: rest.pop(key) for key in keys}, where=where)
        elif known.key in rest:
            found[known.name] = typed_value(known.kind, rest.pop(known.key), path + known.key, known.is_open)
        elif known.is_needed:
            raise KeyError(path + known.key)
    if rest and not is_open:
        raise TypeError(f"unknown key {path + next(iter(rest))!r}")
    return kind(**found)


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field is read."""

    name: str
    key: str
    kind: Any
    is_needed: bool
    is_flat: bool
    is_open: bool


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    kinds = get_type_hints(kind)
    return tuple(_field(field, kinds[field.name]) for field in fields(kind))


def _field(field: Field[Any], kind: Any) -> _Field:
    is_needed = field.default is MISSING and field.default_factory is MISSING
    key, is_flat, is_open = (field.metadata.get(name) for name in ("key", "is_flat", "is_open"))
    return _Field(field.name, key or field.name, kind, is_needed, bool(is_flat), bool(is_open))


def without_none(kind: Any) -> Any:
    """The type that may stand beside None in ``kind``."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    (kind,) = (one for one in get_args(kind) if one is not types.NoneType)
    return kind


def typed_value(kind: Any, value: Any, where: str, is_open: bool = False) -> Any:
    """``value`` as a field of the type ``kind`` holds it; raises as :func:`from_json`."""
    if value is None and without_none(kind) is not kind:
        return None
    kind = without_none(kind)
    origin, args = get_origin(kind), get_args(kind)
    if hasattr(kind, "parse") and isinstance(value, str) and value.isprintable():
        return kind.parse(value)
    if is_dataclass(kind) and not hasattr(kind, "parse"):
        return from_json(kind, value, where=where, is_open=is_open)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list):
        items = args[:1] * len(value) if args[-1] is ... else args
        if len(items) != len(value):
            raise _wrong(where, value, f"a list of {len(items)}")
        return tuple(typed_value(items[n], one, f"{where}[{n}]", is_open) for n, one in enumerate(value))
    if origin is list and isinstance(value, list):
        return [typed_value(args[0], one, f"{where}[{n}]") for n, one in enumerate(value)]
    if origin is Mapping and isinstance(value, dict):
        return {args[0](key): typed_value(args[1], one, f"{where}[{key!r}]", is_open) for key, one in value.items()}
    is_number = kind is float and (type(value) is float or (type(value) is int and value.bit_length() < 1024))
    if kind is Any or is_number or (origin is Literal and value in args) or (kind in _WORDS and type(value) is kind):
        return value
    raise _wrong(where, value, _words(kind))


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if kind in _WORDS or hasattr(kind, "parse"):
        return _WORDS.get(kind, "printable text")
    return "a list" if get_origin(kind) in (tuple, list) else "an object"


def _wrong(where: str, value: object, expected: str) -> TypeError:
    return TypeError(f"{where} is {json.dumps(value, ensure_ascii=False)[:_SHOWN]}: expected {expected}")
