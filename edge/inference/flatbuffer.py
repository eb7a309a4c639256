"""The tables of a flatbuffer, read without trusting a number in it: whatever leads outside the file is an error.

The layout is that of FlatBuffers' "Internals": a table begins with the distance back to its vtable, which gives the
place of each field; vectors and strings begin with their length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["MalformedError", "Table"]

_U16, _I32, _U32 = (struct.Struct(f"<{code}") for code in "HiI")
_MOST_ELEMENTS: Final = 10_000_000


class MalformedError(ValueError):
    """An offset or a length that leads outside the file."""


class Table:
    """One table, its fields by number; a field that is absent has its default."""

    __slots__ = ("_at", "_content", "_places")

    def __init__(self, content: Any, at: int) -> None:
        """Read the table's vtable.

        Args:
            content: The whole file: bytes, or a memory map.
            at: Where the table begins.

        Raises:
            MalformedError: There is no table.
        """
        self._content, self._at = content, at
        vtable = at - self._read(_I32, at)
        size = self._read(_U16, vtable)
        if vtable < 0 or size < 4 or vtable + size > len(content):
            raise MalformedError("a table has no valid list of fields")
        self._places: tuple[int, ...] = struct.unpack_from(f"<{size // 2 - 2}H", content, vtable + 4)

    @classmethod
    def root(cls, content: Any) -> Table:
        """The table that a file begins with.

        Raises:
            MalformedError: There is none.
        """
        return cls(content, _reference(content, 0))

    def number(self, field: int, default: int = 0, code: str = "i") -> int:
        """A number, of the type that ``code`` names in :mod:`struct`."""
        at = self._place(field)
        return default if at is None else int(self._read(struct.Struct(f"<{code}"), at))

    def numbers(self, field: int, code: str = "i") -> tuple[Any, ...]:
        """A vector of numbers; empty where it is absent."""
        found = self._vector(field, struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{found[1]}{code}", self._content, found[0]) if found else ()

    def length(self, field: int) -> int | None:
        """The number of bytes of a vector of bytes; None where it is absent."""
        found = self._vector(field, 1, most=len(self._content))
        return found[1] if found else None

    def data(self, field: int) -> bytes:
        """A vector of bytes, or a string; empty where it is absent."""
        found = self._vector(field, 1, most=len(self._content))
        return bytes(self._content[found[0] : sum(found)]) if found else b""

    def table(self, field: int) -> Table | None:
        """A table; None where it is absent."""
        at = self._place(field)
        return None if at is None else Table(self._content, _reference(self._content, at))

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables; empty where it is absent."""
        start, count = self._vector(field, 4) or (0, 0)
        for at in range(start, start + 4 * count, 4):
            yield Table(self._content, _reference(self._content, at))

    def _place(self, field: int) -> int | None:
        place = self._places[field] if field < len(self._places) else 0
        return self._at + place if place else None

    def _vector(self, field: int, width: int, most: int = _MOST_ELEMENTS) -> tuple[int, int] | None:
        """Where a vector's elements begin, and how many there are."""
        at = self._place(field)
        if at is None:
            return None
        start = _reference(self._content, at)
        count = int(self._read(_U32, start))
        if count > most or start + 4 + width * count > len(self._content):
            raise MalformedError(f"a list of {count} elements does not fit into the file")
        return start + 4, count

    def _read(self, number: struct.Struct, at: int) -> Any:
        if at < 0 or at + number.size > len(self._content):
            raise MalformedError("an offset leads outside the file")
        return number.unpack_from(self._content, at)[0]


def _reference(content: Any, at: int) -> int:
    """Where the offset at ``at`` leads."""
    if at < 0 or at + 4 > len(content):
        raise MalformedError("an offset leads outside the file")
    return at + int(_U32.unpack_from(content, at)[0])
