"""What time it is on a board whose clock may stand in 1970 or 2040: a Pi has no battery for it.

Two clocks are asked: the board's own, and that of the server, by the header ``Date`` of its answer. Neither may be
before the newest time that a signed file has named, less a day: one that is, is wrong. Of those that are left, the
later one decides whether a file has expired, and the earlier one whether a release may be installed yet. So a wrong
clock can keep a board from installing something, but never lets it install what it should not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from edge.errors import ChannelError
from edge.fleet.state import timestamp

__all__ = ["Reading", "check_fresh", "read_clocks"]

_TOLERANCE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What time it is, between two moments."""

    earliest: datetime
    latest: datetime
    server: datetime | None
    remark: str | None
    """One line, where this board's clock contradicts the others; None where it does not."""


def read_clocks(local: datetime, server: datetime | None, known: datetime) -> Reading:
    """Compare the clocks.

    Args:
        local: This board's clock.
        server: The server's clock; None if it did not say.
        known: The newest time that a signed file has named.
    """
    believed = [clock for clock in (local, server) if clock is not None and clock >= known - _TOLERANCE]
    earliest, latest = min(believed, default=known), max(believed, default=known)
    others = server if server in believed and server is not None else known
    is_off = local < known - _TOLERANCE or (server is not None and local > others + _TOLERANCE)
    says = "a signed file" if others is known else "the server"
    remark = (
        f"this board's clock says {timestamp(local)}, {says} {timestamp(others)}: set it (timedatectl set-ntp true)"
        if is_off
        else None
    )
    return Reading(earliest=earliest, latest=latest, server=server, remark=remark)


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
    if reading.server is not None and created > reading.latest + _TOLERANCE:
        when = f"{timestamp(created)}, which is yet to come"
        raise ChannelError(f"{what} was signed at {when}: check the clock where it is signed.{doubt}")
