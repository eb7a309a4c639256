"""Which part of a fleet a board belongs to: decided by its name alone, so that no two boards can disagree.

A release opens its rings one by one. A ring is a share of all boards, counted from the first (so the shares grow), or
named groups of boards. Whoever is in a ring stays in it however far the later ones are opened.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.board.device import read_line

__all__ = ["DEFAULT_RINGS", "Board", "Ring", "board_number", "check_rings", "parse_ring", "ring_of", "this_board"]

_MOST_RINGS: Final = 20
_SERIAL: Final = Path("/proc/device-tree/serial-number")
"""Of the board itself: it stays with another card, and a copied card does not take it along."""
_MACHINE_ID: Final = Path("/etc/machine-id")
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_EXPECTED: Final = "up to 80 letters, digits, '.', '_', '-'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A part of the fleet: a share of it, or named groups."""

    name: str
    percent: float | None = None
    """The share of all boards that this ring and those before it have, by their numbers."""
    groups: tuple[str, ...] = ()
    """The groups whose boards belong to it, whatever their number."""

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.name):
            raise ValueError(f"a ring is called {self.name[:40]!r}: expected {_EXPECTED}")
        if (self.percent is None) == (not self.groups):
            raise ValueError(f"ring '{self.name}' has to have either percent or groups")
        if self.percent is not None and not (math.isfinite(self.percent) and 0 < self.percent <= 100):
            share = f"{self.percent:g} %"
            raise ValueError(f"ring '{self.name}' has a share of {share}: expected more than 0 and at most 100")
        wrong = next((group for group in self.groups if not _WORD.fullmatch(group)), None)
        if wrong is not None:
            raise ValueError(f"ring '{self.name}' names the group {wrong[:40]!r}: expected {_EXPECTED}")

    def __str__(self) -> str:
        share = ", ".join(self.groups) if self.percent is None else f"{self.percent:g} %"
        return f"{self.name} ({share})"


DEFAULT_RINGS: Final = (
    Ring(name="first", percent=5),
    Ring(name="quarter", percent=25),
    Ring(name="all", percent=100),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Who a board is in its fleet."""

    id: str
    group: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("board", self.id), ("group", self.group)):
            if value is not None and not _WORD.fullmatch(value):
                raise ValueError(f"{name} is {value[:40]!r}: expected {_EXPECTED}")


def check_rings(rings: Sequence[Ring]) -> None:
    """Refuse rings that do not grow.

    Raises:
        ValueError: There are none or too many, two of one name, or a later one with a smaller share.
    """
    if not 0 < len(rings) <= _MOST_RINGS:
        raise ValueError(f"{len(rings)} rings: expected 1 to {_MOST_RINGS}")
    before: Ring | None = None
    for number, ring in enumerate(rings):
        if ring.name in (other.name for other in rings[:number]):
            raise ValueError(f"two rings are called '{ring.name}'")
        if ring.percent is None:
            continue
        if before is not None and ring.percent <= (before.percent or 0):
            raise ValueError(f"ring {ring} is not larger than ring {before} before it: shares count from the first")
        before = ring


def parse_ring(text: str) -> Ring:
    """A ring from ``NAME=PERCENT`` or ``NAME=@GROUP,@GROUP``.

    >>> str(parse_ring("first=5")), str(parse_ring("lab=@lab,@shop"))
    ('first (5 %)', 'lab (lab, shop)')

    Raises:
        ValueError: It is neither.
    """
    name, equals, share = text.partition("=")
    parts = [part.strip() for part in share.split(",")]
    if equals and all(part.startswith("@") for part in parts):
        return Ring(name=name.strip(), groups=tuple(part[1:] for part in parts))
    try:
        percent = float(share.removesuffix("%"))
    except ValueError:
        raise ValueError(f"invalid ring '{text[:60]}': expected NAME=PERCENT or NAME=@GROUP,@GROUP") from None
    return Ring(name=name.strip(), percent=percent)


def board_number(channel: str, board: str) -> float:
    """The number of a board in a channel, from 0 to less than 100: always the same, and as good as drawn by lot.

    >>> board_number("birds", "attic")
    63.350493856705725
    """
    digest = hashlib.sha256(f"{channel}\n{board}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 * 100  # 32 bits: less than 100 also as a float


def ring_of(rings: Sequence[Ring], channel: str, board: Board) -> int | None:
    """The index of the first ring that a board is in; None if it is in none."""
    number = board_number(channel, board.id)
    for index, ring in enumerate(rings):
        if board.group in ring.groups or (ring.percent is not None and number < ring.percent):
            return index
    return None


def this_board(name: str | None = None, group: str | None = None, root: Path = Path("/")) -> Board:
    """Who this machine is.

    Args:
        name: Its configured name; without one, its id is made of the board's serial number or, where it has none, of
            the machine's id, neither of which it tells.
        group: Its configured group.
        root: The folder that stands in for ``/``.

    Raises:
        ValueError: The name or group is not a word, or this machine has no id.
    """
    if name is not None:
        return Board(id=name, group=group)
    for place in (_SERIAL, _MACHINE_ID):
        found = read_line(root / place.relative_to("/"))
        if found and found.strip("0"):
            return Board(id=hashlib.sha256(f"mobilenet-edge\n{found}".encode()).hexdigest()[:12], group=group)
    raise ValueError(f"this machine has no id in {_MACHINE_ID}: give it a name, as board in channel.toml or --board")
