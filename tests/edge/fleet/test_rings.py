"""Which ring a board is in: the same for whoever works it out, whenever and wherever."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fleet.rings import DEFAULT_RINGS, Board, Ring, board_number, check_rings, parse_ring, ring_of, this_board

WORDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
KNOWN = {
    ("birds", "attic"): 63.350493856705725,
    ("birds", "cellar"): 57.7674625441432,
    ("fish", "attic"): 83.15446120686829,
}
"""Numbers that boards have by now: they never change, or a fleet's rings would."""


@st.composite
def rings(draw: st.DrawFn) -> tuple[Ring, ...]:
    """Rings that are accepted: shares that grow, and groups between them."""
    steps = draw(st.lists(st.integers(1, 400), min_size=1, max_size=6))
    shares = [share / 20 for share in accumulate(steps) if share <= 2000]
    made = [Ring(name=f"share{share:g}", percent=share) for share in shares]
    for number, groups in enumerate(draw(st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=3))):
        place = draw(st.integers(0, len(made)))
        made.insert(place, Ring(name=f"group{number}", groups=tuple(groups)))
    return tuple(made) or DEFAULT_RINGS


def test_numbers_are_those_they_have_always_been() -> None:
    assert {names: board_number(*names) for names in KNOWN} == KNOWN


def test_other_processes_agree() -> None:
    """Neither the seed of Python's hashes nor the machine's name has a say."""
    code = "from edge.fleet.rings import *; print(board_number('birds', 'attic'))"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert float(done.stdout) == KNOWN["birds", "attic"]


@given(rings(), WORDS, WORDS, st.none() | WORDS)
def test_two_boards_never_disagree_about_their_ring(
    plan: tuple[Ring, ...], channel: str, name: str, group: str
) -> None:
    """The ring follows from the signed file and the board's name alone, by a rule that is written down here again."""
    check_rings(plan)
    found = ring_of(plan, channel, Board(id=name, group=group))
    number = int(hashlib.sha256(f"{channel}\n{name}".encode()).hexdigest()[:8], 16) / 2**32 * 100
    covers = [group in ring.groups if ring.percent is None else number < ring.percent for ring in plan]
    assert found == (covers.index(True) if True in covers else None)
    assert found == ring_of(tuple(plan), channel, Board(id=str(name), group=group))


@given(rings(), WORDS, WORDS, st.none() | WORDS)
def test_whoever_is_in_stays_in(plan: tuple[Ring, ...], channel: str, name: str, group: str | None) -> None:
    """Opening another ring takes the release from no board."""
    board = Board(id=name, group=group)
    ring = ring_of(plan, channel, board)
    has_it = [ring is not None and ring < count for count in range(len(plan) + 1)]
    assert has_it == sorted(has_it)
    for shorter in range(1, len(plan)):
        early = ring_of(plan[:shorter], channel, board)
        assert early is None or early == ring


@given(WORDS, WORDS)
def test_a_ring_of_100_percent_holds_every_board(channel: str, name: str) -> None:
    assert 0 <= board_number(channel, name) < 100
    assert ring_of([Ring(name="all", percent=100)], channel, Board(id=name)) == 0


def test_shares_are_shares_and_differ_between_channels() -> None:
    boards = [Board(id=f"board{number}") for number in range(4000)]
    found = [ring_of(DEFAULT_RINGS, "birds", board) for board in boards]
    shares = [found.count(ring) / len(boards) for ring in range(3)]
    assert shares == pytest.approx([0.05, 0.2, 0.75], abs=0.02)
    others = [ring_of(DEFAULT_RINGS, "fish", board) for board in boards]
    assert sum(a == b == 0 for a, b in zip(found, others, strict=True)) < 0.01 * len(boards)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([], "0 rings"),
        ([("a", 10), ("b", 5)], r"ring b \(5 %\) is not larger than ring a \(10 %\)"),
        ([("a", 10), ("b", 10)], "is not larger"),
        ([("a", 10), ("a", 20)], "two rings are called 'a'"),
    ],
)
def test_rings_that_do_not_grow_are_refused(plan: list[tuple[str, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rings([Ring(name=name, percent=percent) for name, percent in plan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all=120", "share of 120 %: expected more than 0 and at most 100"),
        ("all=0", "share of 0 %"),
        ("all=nan", "share of nan %"),
        ("all", "expected NAME=PERCENT or NAME=@GROUP"),
        ("all=much", "expected NAME=PERCENT"),
        ("lab=@", "names the group ''"),
        ("a b=5", "a ring is called 'a b'"),
        ("lab=@x,5", "expected NAME=PERCENT"),
    ],
)
def test_a_ring_that_is_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_ring(text)


def test_a_ring_has_a_share_or_groups() -> None:
    for ring in ({}, {"percent": 5.0, "groups": ("lab",)}):
        with pytest.raises(ValueError, match="either percent or groups"):
            Ring(name="a", **ring)  # type: ignore[arg-type]


def test_rings_as_they_are_written() -> None:
    assert parse_ring("first=2.5%") == Ring(name="first", percent=2.5)
    assert parse_ring("lab=@lab,@shop") == Ring(name="lab", groups=("lab", "shop"))
    assert ring_of([parse_ring("lab=@lab"), parse_ring("all=100")], "birds", Board(id="x", group="lab")) == 0
    assert ring_of([parse_ring("lab=@lab")], "birds", Board(id="x")) is None


class TestThisBoard:
    def board(self, root: Path, **files: str) -> Board:
        for name, text in files.items():
            place = root / {"serial": "proc/device-tree/serial-number", "machine": "etc/machine-id"}[name]
            place.parent.mkdir(parents=True)
            place.write_text(text)
        return this_board(root=root)

    def test_the_serial_number_counts_so_that_a_copied_card_is_another_board(self, tmp_path: Path) -> None:
        one = self.board(tmp_path / "1", serial="10000000abcd\0", machine="same\n")
        two = self.board(tmp_path / "2", serial="10000000abce\0", machine="same\n")
        assert one != two
        assert len(one.id) == 12
        assert "abcd" not in one.id

    def test_without_one_the_machine_counts(self, tmp_path: Path) -> None:
        assert self.board(tmp_path / "1", machine="x\n") == self.board(tmp_path / "2", serial="0000\0", machine="x\n")

    def test_a_name_counts_before_both(self, tmp_path: Path) -> None:
        assert this_board("attic", "lab", tmp_path) == Board(id="attic", group="lab")
        with pytest.raises(ValueError, match="no id in /etc/machine-id: give it a name"):
            this_board(root=tmp_path)
        with pytest.raises(ValueError, match=r"board is 'a/#'"):
            this_board("a/#", root=tmp_path)
