"""Send what was collected and is not there yet: in batches, each noted once the other side has it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final

from camera_demo.collecting.collection import LINES
from camera_demo.collecting.picture import Collected
from camera_demo.errors import SinkError
from camera_demo.sending.ledger import Ledger
from camera_demo.sending.targets import Target
from edge.errors import os_reason
from edge.files import temporary_folder, writing
from edge.locks import locked

__all__ = ["SendOptions", "Sent", "send"]

_LOCK: Final = ".sending.lock"
_HARD: Final = ("unsure", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """What is sent, when, and how much of it."""

    everything: bool = False
    """Whether pictures are sent, too, that were not collected because they were unsure or unknown."""
    mb: float = 50.0
    """The most megabytes in 24 hours."""
    kilobytes_s: int = 100
    """The most kilobytes a second."""
    between: tuple[time, time] | None = None
    """The local times between which a batch may begin; None for always."""

    def may_begin(self, now: time) -> bool:
        """Whether a batch may begin now."""
        if self.between is None:
            return True
        start, end = self.between
        return start <= now < end if start <= end else now >= start or now < end


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of it."""

    pictures: int
    size_bytes: int
    left: int
    """Pictures that are still to be sent."""
    why: str
    """Why some are left; empty where none is."""


def send(
    folder: Path,
    target: Target,
    options: SendOptions = SendOptions(),
    *,
    clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
) -> Sent:
    """Send the pictures of a folder of ``collect:DIR`` that are not there yet. Nothing is ever deleted here.

    Raises:
        SinkError: The folder is not such a one, another process sends, or the target did not take a batch; the batches
            before it are noted and are not sent again.
        OutputError: The ledger cannot be written.
    """
    if not (folder / LINES).is_file():
        raise SinkError(f"{folder} has no {LINES}: expected a folder that camera-demo collects into, collect:DIR.")
    with locked(folder / _LOCK, lambda: _refuse(folder)):
        ledger = Ledger(folder, target.key)
        waiting = [
            one
            for one in _pictures(folder)
            if one.file not in ledger and (options.everything or one.why in _HARD) and (folder / one.file).is_file()
        ]
        count = size_bytes = 0
        while waiting:
            now = clock()
            room = int(1e6 * options.mb) - ledger.sent_bytes(now.timestamp())
            if not options.may_begin(now.time()):
                return _ended(count, size_bytes, waiting, "it is not the time to send")
            batch = _batch(folder, waiting[: target.batch], room)
            if not batch:
                return _ended(count, size_bytes, waiting, f"{options.mb:g} MB in 24 hours are reached")
            with _staged(folder, batch) as (staging, batch_bytes):
                target.deliver(staging, options.kilobytes_s)
            ledger.confirm([one.file for one in batch], batch_bytes, now.timestamp())
            count, size_bytes, waiting = count + len(batch), size_bytes + batch_bytes, waiting[len(batch) :]
        return _ended(count, size_bytes, (), "")


def _ended(count: int, size_bytes: int, waiting: Sequence[Collected], why: str) -> Sent:
    return Sent(pictures=count, size_bytes=size_bytes, left=len(waiting), why=why)


def _refuse(folder: Path) -> None:
    raise SinkError(f"Another process sends {folder}: wait until it is done.")


def _pictures(folder: Path) -> Iterator[Collected]:
    """By their lines; the last may be half written by the demo that runs."""
    try:
        content = (folder / LINES).read_bytes()
    except OSError as reason:
        raise SinkError(f"Cannot read {folder / LINES}: {os_reason(reason)}.") from reason
    for line in content.splitlines():
        with contextlib.suppress(ValueError):
            values: Any = json.loads(line)
            if isinstance(values, dict):
                yield Collected.from_dict(values)


def _batch(folder: Path, waiting: Sequence[Collected], room_bytes: int) -> list[Collected]:
    batch = []
    for one in waiting:
        with contextlib.suppress(FileNotFoundError):  # it made room for others in the meantime
            room_bytes -= (folder / one.file).stat().st_size
        if room_bytes < 0:
            break
        batch.append(one)
    return batch


@contextlib.contextmanager
def _staged(folder: Path, batch: Sequence[Collected]) -> Iterator[tuple[Path, int]]:
    """A folder with the pictures of a batch and what is known of each, and their bytes."""
    for old in folder.glob(".batch.*"):
        shutil.rmtree(old, ignore_errors=True)
    size_bytes = 0
    with temporary_folder(folder / "batch") as staging:
        for one in batch:
            with contextlib.suppress(FileNotFoundError), writing(staging / one.file):
                try:
                    os.link(folder / one.file, staging / one.file)
                except FileNotFoundError:
                    continue
                except OSError:  # a file system without links
                    shutil.copy2(folder / one.file, staging / one.file)
                about = json.dumps(one.to_dict(), ensure_ascii=False) + "\n"
                beside = (staging / one.file).with_suffix(".json")
                beside.write_text(about, encoding="utf-8")
                moment_s = (staging / one.file).stat().st_mtime
                os.utime(beside, (moment_s, moment_s))  # so that a batch that is sent again is the same
                size_bytes += (staging / one.file).stat().st_size
        yield staging, size_bytes
