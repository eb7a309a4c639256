"""What time it is on a board whose clock may stand in 1970 or 2040: a Pi has no battery for it.

Two clocks are asked: the board's own, and that of the server, by the header ``Date`` of its answer. One that is before
the newest time that a signed file has named is wrong, and so is the one of two that has not reached the time of the
file at hand. Of what is left, the later clock decides whether the file has expired, and the earlier one whether a
release may be installed yet. So a wrong clock can keep a board from installing something, but hardly lets it install
what it should not. Where no clock is left, it is the time of the newest signed file: what that installs has not been
replaced by anything this board has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from edge.errors import ChannelError
from edge.fleet.timestamps import timestamp

__all__ = ["EARLIEST", "Reading", "check_fresh", "read_clocks"]

EARLIEST: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""No channel was signed before: a clock that says so is wrong."""
_TOLERANCE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What time it is, between two moments."""

    earliest: datetime
    latest: datetime
    is_sure: bool
    """Whether a clock said so, and not only a file."""
    remark: str | None
    """One line, where this board's clock contradicts the others; None where it does not."""


def read_clocks(local: datetime, server: datetime | None, created: datetime, known: datetime = EARLIEST) -> Reading:
    """Compare the clocks.

    Args:
        local: This board's clock.
        server: The server's clock; None if it did not say.
        created: When the file at hand says it was signed.
        known: The newest time that earlier files have named.
    """
    least = max(known, EARLIEST) - _TOLERANCE
    believed = [clock for clock in (local, server) if clock is not None and clock >= least]
    believed = [clock for clock in believed if clock >= created - _TOLERANCE] or believed
    if believed == [local] and local < created - _TOLERANCE:
        believed = []  # alone against a signed file
    newest = max(known, created)
    earliest, latest = min(believed, default=newest), max(believed, default=newest)
    says, other = ("the server", server) if server is not None and server in believed else ("a signed file", newest)
    is_off = local not in believed or local > other + _TOLERANCE
    if server is not None and not believed and local >= EARLIEST and abs(server - local) <= _TOLERANCE:
        both, ahead = timestamp(local), timestamp(newest)
        remark = f"this board and the server say {both}, a signed file says {ahead}: check the clock where it is signed"
    elif is_off and (says == "the server" or local < other - _TOLERANCE):
        remark = (
            f"this board's clock says {timestamp(local)}, {says} {timestamp(other)}: set it (timedatectl set-ntp true)"
        )
    else:
        remark = None
    return Reading(earliest=earliest, latest=latest, is_sure=bool(believed), remark=remark)


def check_fresh(created: datetime, expires: datetime, reading: Reading, what: str) -> None:
    """Refuse a file that has expired, or that was signed by a clock ahead of all others.

    Args:
        created: When it says it was signed.
        expires: From when on it does not count.
        reading: What time it is.
        what: What it is, to begin a message with: "Channel file URL".

    Raises:
        ChannelError: It has expired, or comes from the future.
    """
    doubt = f" But {reading.remark}." if reading.remark else ""
    if reading.latest >= expires:
        raise ChannelError(
            f"{what} expired at {timestamp(expires)}: expected a newer one, as edge channel renew writes it.{doubt}"
        )
    if reading.is_sure and created > reading.latest + _TOLERANCE:
        when = f"{timestamp(created)}, which is yet to come"
        raise ChannelError(f"{what} was signed at {when}: check the clock where it is signed.{doubt}")
