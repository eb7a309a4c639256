"""Which release a board installs now."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fleet.channel import Channel, Release, Runtime
from edge.fleet.choosing import Choice, choose, lacking
from edge.fleet.rings import Board, Ring, ring_of
from tests.edge.fleet.test_channel import channel, release

NOW = datetime(2026, 11, 27, 17, 20, tzinfo=timezone.utc)
V = [f"{number:016x}" for number in range(10)]
ME = Board(id="attic", group="lab")


def chosen(of: Channel, installed: str | None = None, board: Board = ME, **options: Any) -> Choice:
    values: dict[str, Any] = {"bad": (), "now": NOW, "lacks": lambda runtime: None}
    return choose(of, board, installed=installed, **values | options)


def version(of: Channel, installed: str | None = None, **options: Any) -> str | None:
    found = chosen(of, installed, **options).release
    return found.version if found else None


def test_a_board_that_was_off_for_a_month_catches_up_in_one_step() -> None:
    assert version(channel(*map(release, range(1, 6))), V[1]) == V[5]


def test_a_board_whose_version_the_channel_has_forgotten_takes_the_newest() -> None:
    assert version(channel(release(4), release(5)), V[1]) == V[5]


def test_a_board_never_goes_back_but_from_what_was_withdrawn() -> None:
    two, newest = (release(1), release(2)), release(3, open_rings=0)
    assert version(channel(*two, newest), V[3]) is None
    assert version(channel(*two, release(3, withdrawn="slow")), V[3]) == V[2]
    assert chosen(channel(*two, release(3, withdrawn="slow")), V[3]).is_older
    assert version(channel(*two, release(3, withdrawn="slow")), V[1]) == V[2]
    alone = chosen(channel(release(3, withdrawn="slow")), V[3])
    assert alone.release is None
    assert alone.waits_for is not None
    assert "was withdrawn (slow), and no other is meant" in alone.waits_for


def test_what_somebody_put_to_use_by_hand_stays_until_there_is_something_newer() -> None:
    of = channel(release(1), release(2))
    other = chosen(of, V[7], passed_over=V[2])
    assert (other.release, other.latest) == (None, release(2))
    assert other.waits_for == f"version {V[7]} was put to use by hand, and stays until there is a newer one"
    assert chosen(of, V[2], passed_over=V[1]).waits_for is None
    assert version(channel(*of.releases, release(3)), V[7], passed_over=V[2]) == V[3]
    assert version(channel(release(1), release(2, withdrawn="slow")), V[2], passed_over=V[2]) == V[1]
    assert version(channel(release(4)), V[7], passed_over=V[2]) == V[4]


def test_a_ring_that_is_not_open_yet() -> None:
    of = channel(
        release(1), release(2, open_rings=1, rings=(Ring(name="lab", groups=("lab",)), Ring(name="all", percent=100)))
    )
    assert version(of, V[1]) == V[2]
    other = chosen(of, V[1], Board(id="cellar"))
    assert (other.release, other.ring, other.waits_for) == (None, "all", None)
    assert other.latest == release(1)
    assert chosen(of, None, Board(id="cellar")).release == release(1)


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        ({}, {"bad": {V[2]}}, "did badly on this board"),
        ({"not_before": "2026-11-28T00:00:00Z"}, {}, "is not to be installed before 2026-11-28T00:00:00Z"),
        ({"runtime": Runtime(minimum="99.0")}, {"lacks": None}, "needs mobilenet-edge 99.0 or newer, this is"),
        ({"runtime": Runtime(backends=("abacus",))}, {"lacks": None}, "needs one of the backends abacus"),
    ],
)
def test_what_a_release_waits_for_does_not_keep_the_one_before_it(
    change: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    of = channel(release(1), release(2, label="new", **change))
    for installed, expected in ((None, V[1]), (V[1], None)):
        found = chosen(of, installed, **options)
        assert (found.release.version if found.release else None) == expected
        assert found.waits_for is not None
        assert reason in found.waits_for
        assert f"{V[2]} (new)" in found.waits_for


def test_a_paused_channel_brings_nothing_and_takes_nothing() -> None:
    of = channel(release(1), release(2), paused=True, paused_reason="heat")
    assert chosen(of, V[1]).waits_for == "the channel is paused: heat"
    assert (chosen(of, V[2]).release, chosen(of, V[2]).waits_for) == (None, None)


def test_the_earliest_time_that_it_may_be_counts() -> None:
    of = channel(release(1, not_before="2026-11-27T17:20:00Z"))
    assert version(of) == V[1]
    assert version(of, now=NOW - timedelta(seconds=1)) is None


def test_what_this_machine_has_is_not_lacking() -> None:
    assert lacking(Runtime(minimum="0.0.1", backends=("litert", "onnxruntime"))) is None
    assert lacking(Runtime()) is None


@st.composite
def channels(draw: st.DrawFn) -> Channel:
    def one(number: int) -> Release:
        shares = sorted(draw(st.sets(st.integers(1, 100), min_size=1, max_size=3)))
        rings = tuple(Ring(name=f"r{share}", percent=share) for share in shares)
        return release(
            number,
            rings=rings,
            open_rings=draw(st.integers(0, len(rings))),
            withdrawn=draw(st.none() | st.just("bad")),
        )

    return channel(*(one(number) for number in range(1, draw(st.integers(2, 5)))), paused=draw(st.booleans()))


@given(channels(), st.sampled_from([None, *V[:6]]), st.sets(st.sampled_from(V[1:5])), st.text("abc", min_size=1))
def test_what_is_chosen_is_always_allowed(of: Channel, installed: str | None, bad: set[str], name: str) -> None:
    board = Board(id=name)
    found = chosen(of, installed, board, bad=bad).release
    if found is None:
        return
    ring = ring_of(found.rings, of.name, board)
    assert ring is not None
    assert ring < found.open_rings
    assert not of.paused
    assert found.withdrawn is None
    assert found.version not in {installed, *bad}
    before = of.find(installed)
    if before is not None and before.withdrawn is None:
        assert of.releases.index(found) > of.releases.index(before)
    assert chosen(of, found.version, board, bad=bad).release is None, "one step is enough"
