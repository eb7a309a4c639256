"""Fetching a file: as many requests as it takes, each going on where the last one stopped."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import DownloadError, WrongFileError
from edge.files import check_room, sha256_of, writing
from edge.progress import Progress, no_progress
from edge.updates.download.connection import (
    Answer,
    Interrupted,
    Limits,
    Unsatisfiable,
    broken,
    check_url,
    connect,
    shown,
)
from edge.updates.download.partial import Partial, partial

__all__ = ["download"]


_CHUNK_BYTES: Final = 1 << 16


def download(
    url: str,
    to: Path,
    *,
    expected_sha256: str | None = None,
    expected_bytes: int | None = None,
    limits: Limits = Limits(),
    progress: Progress = no_progress,
    context: ssl.SSLContext | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a file over HTTPS, so that ``to`` holds the whole file or what it held before.

    What has come when the connection, the process or the power fails stays beside ``to`` as ``.NAME.part``, and the
    next call goes on from there, if the server can and still has the same version (RFC 9110, ``Range`` and
    ``If-Range``). A file that is already there with the expected SHA-256 is not fetched again.

    Args:
        url: ``https://...``; ``http://`` is taken on this very machine only.
        to: Where to put the file; its folder is made.
        expected_sha256: In hexadecimal. Without it, the caller has to tell a wrong file from the right one.
        expected_bytes: The file's size, where it is known.
        limits: How long to wait, how often to try, how much to take.
        progress: Called with what has come, and the share of it.
        context: Whose certificates to trust; None for the system's.
        sleep: Waits between two tries.

    Returns:
        ``to``.

    Raises:
        DownloadError: The file cannot be fetched, or is not the one expected.
        OutputError: It cannot be written; there is too little room for it, for example.
    """
    check_url(url)
    wanted = expected_sha256.lower() if expected_sha256 else None
    if wanted is not None and to.is_file() and sha256_of(to) == wanted:
        return to
    with writing(to):
        to.parent.mkdir(parents=True, exist_ok=True)
    with partial(to, url) as part:
        fetch = _Fetch(
            url=url,
            to=to,
            part=part,
            expected_bytes=expected_bytes,
            is_checked=wanted is not None,
            limits=limits,
            progress=progress,
            context=context,
            sleep=sleep,
        )
        fetch.complete()
        found = sha256_of(part.path) if wanted else None
        if found != wanted and fetch.has_joined:  # halves of two versions, or what a loss of power left
            part.restart(None)
            fetch.complete()
            found = sha256_of(part.path)
        if found != wanted:
            part.drop()
            raise WrongFileError(f"{shown(url)} is not the file expected: its SHA-256 is {found}, expected {wanted}.")
        part.finish()
    return to


@dataclass(slots=True, kw_only=True)
class _Fetch:
    """One download, as far as it has come."""

    url: str
    to: Path
    part: Partial
    expected_bytes: int | None
    is_checked: bool
    """Whether the whole is held against a checksum, so that a rest of another version is found out."""
    limits: Limits
    progress: Progress
    context: ssl.SSLContext | None
    sleep: Callable[[float], None]
    has_joined: bool = False
    """Whether a rest was put to what had come before."""

    def complete(self) -> None:
        """Ask until the file is whole.

        Raises:
            DownloadError: Too many tries in a row brought nothing, or none can help.
        """
        failures, furthest = 0, self.part.size_bytes
        while True:
            try:
                self._ask()
                return
            except Interrupted as interruption:
                if isinstance(interruption, Unsatisfiable):
                    self.part.restart(None)
                failures = failures + 1 if self.part.size_bytes < furthest + self.limits.gain_bytes else 1
                furthest = max(furthest, self.part.size_bytes)
                if failures >= self.limits.tries:
                    raise self._given_up(interruption) from interruption
                self.sleep(max(interruption.wait_s, self.limits.pause_s * 2 ** (failures - 1)))

    def _ask(self) -> None:
        """Make one request and take what it brings.

        Raises:
            Interrupted: The file is not whole yet.
        """
        # With neither validator nor checksum, the rest might be another version's.
        start = self.part.size_bytes if self.part.validator or self.is_checked else 0
        answer = connect(self.url, start, self.part.validator, self.limits, self.context)
        with answer.body:
            self._check_size(answer)
            if answer.start:
                self.has_joined = True
            else:
                self.part.restart(answer.validator)
            self._take(answer)

    def _check_size(self, answer: Answer) -> None:
        """Refuse a file that is not the one expected or has no room, before any of it is fetched."""
        total, expected = answer.total, self.expected_bytes
        if total is not None and expected is not None and total != expected:
            raise WrongFileError(f"{shown(self.url)} has {total} bytes, expected {expected}: it is another file.")
        if (total or 0) > self.limits.max_bytes:
            raise WrongFileError(f"{shown(self.url)} has {total} bytes, more than the {self.limits.max_bytes} allowed.")
        taken = 0 if answer.start else self.part.size_bytes  # which a file from the start gives back
        left = (total if total is not None else expected or 0) - answer.start - taken
        check_room(self.to, left + self.limits.spare_bytes)

    def _take(self, answer: Answer) -> None:
        """Read an answer to its end."""
        whole = answer.total if answer.total is not None else self.expected_bytes
        have, pace = answer.start, _Pace(self.limits)
        while whole is None or have < whole:
            data = self._read(answer, _CHUNK_BYTES if whole is None else min(_CHUNK_BYTES, whole - have))
            if not data:
                break
            have += len(data)
            if have > self.limits.max_bytes:
                raise DownloadError(f"{shown(self.url)} has more than the {self.limits.max_bytes} bytes allowed.")
            self.part.append(data)
            pace.add(len(data))
            total = f" of {whole / 1e6:.1f}" if whole else ""
            self.progress(f"{have / 1e6:.1f}{total} MB", have / whole if whole else 0.0)
        if whole is not None and have < whole:
            raise Interrupted(f"the connection ended after {have} of {whole} bytes")

    def _read(self, answer: Answer, count: int) -> bytes:
        try:
            return answer.body.read1(count)
        except (OSError, http.client.HTTPException) as failure:
            raise broken(failure) from failure

    def _given_up(self, last: Interrupted) -> DownloadError:
        have = self.part.size_bytes
        kept = f" {have / 1e6:.1f} MB are kept: the next try resumes there." if have else ""
        return DownloadError(f"Cannot fetch {shown(self.url)}: {last}, {self.limits.tries} times in a row.{kept}")


class _Pace:
    """Ends a connection that trickles."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._since, self._bytes = limits, time.monotonic(), 0

    def add(self, count: int) -> None:
        self._bytes += count
        now = time.monotonic()
        if now - self._since < self._limits.timeout_s:
            return
        if self._bytes < self._limits.least_bytes:
            raise Interrupted(f"only {self._bytes} bytes came in {now - self._since:.0f} s")
        self._since, self._bytes = now, 0
