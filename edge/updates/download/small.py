"""Small files that are read whole and at once, with the time that the server gives."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final

from edge.errors import DownloadError, WrongFileError
from edge.updates.download.connection import Interrupted, Limits, broken, check_url, connect, shown

__all__ = ["SmallFile", "read_small"]

_CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallFile:
    """A file, and when the server says that it is."""

    content: bytes
    date: datetime | None
    """By the server's clock, from the headers ``Date`` and, behind a cache, ``Age``; None without one."""


def read_small(
    url: str,
    *,
    max_bytes: int,
    limits: Limits = Limits(),
    context: ssl.SSLContext | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> SmallFile:
    """Read a small file over HTTPS into memory, whole, in the version of one moment.

    Args:
        url: As :func:`edge.updates.download.download` takes it.
        max_bytes: The largest file to accept.
        limits: How long to wait and how often to try.
        context: Whose certificates to trust; None for the system's.
        sleep: Waits between two tries.

    Raises:
        DownloadError: It cannot be read.
        WrongFileError: It is larger.
    """
    check_url(url)
    for failures in range(1, limits.tries + 1):
        try:
            return _read(url, max_bytes, limits, context)
        except Interrupted as interruption:
            if failures == limits.tries:
                times = f", {failures} times in a row" if failures > 1 else ""
                raise DownloadError(f"Cannot fetch {shown(url)}: {interruption}{times}.") from interruption
            sleep(max(interruption.wait_s, limits.pause_s * 2 ** (failures - 1)))
    raise AssertionError("there is at least one try")


def _read(url: str, max_bytes: int, limits: Limits, context: ssl.SSLContext | None) -> SmallFile:
    answer = connect(url, 0, None, limits, context)
    content, ends = b"", time.monotonic() + limits.timeout_s
    with answer.body as body:
        while len(content) <= max_bytes:
            try:
                chunk = body.read1(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as failure:
                raise broken(failure) from failure
            if not chunk:
                break
            content += chunk
            if time.monotonic() > ends:
                raise Interrupted(f"only {len(content)} bytes came in {limits.timeout_s:.0f} s")
        date, age = body.headers.get("Date"), body.headers.get("Age", "0")
    if len(content) > max_bytes or (answer.total or 0) > max_bytes:
        raise WrongFileError(f"{shown(url)} has more than the {max_bytes} bytes allowed: it is another file.")
    if answer.total is not None and len(content) < answer.total:
        raise Interrupted(f"the connection ended after {len(content)} of {answer.total} bytes")
    return SmallFile(content=content, date=_time(date, age))


def _time(date: str | None, age_s: str) -> datetime | None:
    """What time it is by a server that wrote ``date`` so many seconds ago: a cache keeps the date of the original."""
    with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):
        if date is not None:
            moment = parsedate_to_datetime(date)
            moment = moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            return moment + timedelta(seconds=int(age_s))
    return None
