"""Clocks that are right, that stand in 1970 or 2040, and what may be believed of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from edge.errors import ChannelError
from edge.fleet.clock import check_fresh, read_clocks

NOW = datetime(2026, 11, 27, tzinfo=timezone.utc)
LATER = NOW + timedelta(hours=3)
SIGNED = NOW - timedelta(days=30)
EXPIRES = SIGNED + timedelta(days=90)
Y1970, Y2040 = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1970, 2040))


FEBRUARY = datetime(2026, 2, 1, tzinfo=timezone.utc)
SAYS_1970, SAYS_2040 = "this board's clock says 1970-01-01", "this board's clock says 2040-01-01"


@pytest.mark.parametrize(
    ("local", "server", "earliest", "latest", "remark"),
    [
        (NOW, LATER, NOW, LATER, None),
        (NOW, None, NOW, NOW, None),
        (SIGNED - timedelta(hours=5), None, SIGNED - timedelta(hours=5), SIGNED - timedelta(hours=5), None),
        (Y1970, NOW, NOW, NOW, f"{SAYS_1970}T00:00:00Z, the server 2026-11-27T00:00:00Z"),
        (Y1970, None, SIGNED, SIGNED, f"{SAYS_1970}T00:00:00Z, a signed file 2026-10-28T00:00:00Z"),
        (Y1970, Y1970, SIGNED, SIGNED, f"{SAYS_1970}T00:00:00Z, a signed file"),
        (FEBRUARY, NOW, NOW, NOW, "this board's clock says 2026-02-01T00:00:00Z, the server"),
        (FEBRUARY, None, SIGNED, SIGNED, "this board's clock says 2026-02-01T00:00:00Z, a signed file"),
        (Y2040, NOW, NOW, Y2040, f"{SAYS_2040}T00:00:00Z, the server 2026-11-27T00:00:00Z"),
        (Y2040, None, Y2040, Y2040, None),
        (Y2040, Y1970, Y2040, Y2040, None),
        (NOW, Y1970, NOW, NOW, None),
        (NOW, FEBRUARY, NOW, NOW, None),
        (NOW, Y2040, NOW, Y2040, None),
    ],
)
def test_what_time_it_is(
    local: datetime, server: datetime | None, earliest: datetime, latest: datetime, remark: str | None
) -> None:
    reading = read_clocks(local, server, SIGNED)
    assert (reading.earliest, reading.latest) == (earliest, latest)
    assert (reading.remark or "").startswith(remark or "")
    assert (reading.remark is None) == (remark is None)
    assert reading.remark is None or "timedatectl" in reading.remark


def test_a_clock_that_is_behind_what_this_board_has_seen_does_not_count() -> None:
    assert read_clocks(NOW, SIGNED, SIGNED, NOW).latest == NOW
    assert read_clocks(SIGNED, SIGNED, SIGNED, NOW).earliest == NOW


def test_a_clock_in_1970_installs_what_has_not_expired() -> None:
    check_fresh(SIGNED, EXPIRES, read_clocks(Y1970, NOW, SIGNED), "it")
    check_fresh(SIGNED, EXPIRES, read_clocks(Y1970, None, SIGNED), "it")
    with pytest.raises(ChannelError, match=r"expired at 2027-01-26.* But this board's clock says 1970"):
        check_fresh(SIGNED, EXPIRES, read_clocks(Y1970, EXPIRES, SIGNED), "it")
    with pytest.raises(ChannelError, match="expired"):
        check_fresh(SIGNED, EXPIRES, read_clocks(Y1970, None, SIGNED, known=EXPIRES), "it")


def test_a_clock_in_2040_installs_nothing_and_says_why() -> None:
    with pytest.raises(ChannelError, match=r"expired.* But this board's clock says 2040.*the server 2026-11-27"):
        check_fresh(SIGNED, EXPIRES, read_clocks(Y2040, NOW, SIGNED), "it")


def test_a_server_cannot_turn_the_clock_back() -> None:
    with pytest.raises(ChannelError, match="expired"):
        check_fresh(SIGNED, EXPIRES, read_clocks(EXPIRES, SIGNED, SIGNED), "it")


@pytest.mark.parametrize("local", [NOW, Y1970])
def test_a_file_from_the_future_is_refused_where_a_server_can_tell(local: datetime) -> None:
    future = NOW + timedelta(days=5000)
    with pytest.raises(ChannelError, match="yet to come: check the clock where it is signed"):
        check_fresh(future, future + timedelta(days=90), read_clocks(local, NOW, future), "it")


def test_clocks_may_differ_by_hours() -> None:
    soon = NOW + timedelta(hours=5)
    reading = read_clocks(NOW, NOW, soon)
    check_fresh(soon, EXPIRES, reading, "it")
    assert reading.remark is None
