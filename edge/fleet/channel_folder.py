"""The folder of a channel on the operator's side: read, checked, changed and signed again.

Every change is one new file, put in place in one moment, with a serial one higher. Nothing is signed that could not be
read back before: the channel as it was, the bundles it names, and the new text itself.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from edge.errors import ChannelError, EdgeError, SignatureError
from edge.files import sha256_of, write_atomically, writing
from edge.fleet.channel import CHANNEL_FILE, Channel, Release, absent_channel, parse_channel, to_payload
from edge.fleet.clock import EARLIEST
from edge.fleet.signed import key_id, open_envelope, public_key_of, seal
from edge.fleet.state import timestamp
from edge.locks import locked
from edge.paths import AnyPath
from edge.unfinished import folder_made

__all__ = ["DEFAULT_DAYS", "Clock", "change", "create", "now_utc", "read_channel"]

DEFAULT_DAYS: Final = 90.0
"""After which a channel expires unless something was signed."""
_LONGEST_DAYS: Final = 3650.0

Clock = Callable[[], datetime]


def now_utc() -> datetime:
    """This machine's clock."""
    return datetime.now(timezone.utc)


def create(
    folder: AnyPath, name: str, keys: Sequence[AnyPath], *, days: float = DEFAULT_DAYS, clock: Clock = now_utc
) -> Channel:
    """A channel without releases; see :func:`edge.fleet.publishing.init`."""
    at, signers = Path(folder), [Path(key) for key in keys]
    now = _checked_time(clock(), None)
    try:
        channel = Channel(
            name=name,
            serial=1,
            created=timestamp(now),
            expires=timestamp(now + _days(days)),
            keys=tuple(public_key_of(key) for key in signers),
        )
    except EdgeError:
        raise
    except (ValueError, OverflowError) as reason:
        raise ChannelError(f"Cannot begin the channel: {reason}.") from reason
    with contextlib.ExitStack() as stack:
        with writing(at):
            stack.enter_context(folder_made(at))
        stack.enter_context(_alone(at))
        if (at / CHANNEL_FILE).exists():
            raise ChannelError(f"{at} has a channel already: edge channel publish adds to it.")
        _write(at, channel, signers)
    return channel


def read_channel(folder: AnyPath, keys: Sequence[AnyPath]) -> Channel:
    """The channel in a folder, signed by one of the keys.

    Args:
        folder: The channel's folder.
        keys: Private keys.

    Raises:
        ChannelError: There is none, or it is damaged.
        SignatureError: It was signed by other keys.
    """
    path = Path(folder) / CHANNEL_FILE
    try:
        content = path.read_bytes()
    except OSError as reason:
        raise absent_channel(Path(folder)) from reason
    payload = open_envelope(content, [public_key_of(Path(key)) for key in keys], f"Channel file {path}")
    return parse_channel(payload, f"Channel file {path}", all_keys_known=True)


def change(
    folder: AnyPath,
    keys: Sequence[AnyPath],
    edit: Callable[[Channel, datetime], Channel],
    *,
    clock: Clock,
    days: float | None = None,
) -> Channel:
    """Read the channel, edit it, sign it, and put it in place.

    Args:
        folder: The channel's folder.
        keys: Private keys, one of which signed the present file, and one of which may sign the next.
        edit: Makes the new channel of the present one, and of the time. Serial and times are set afterwards.
        clock: This machine's clock.
        days: After which it expires; None to last as long as before.

    Returns:
        What is in place now.

    Raises:
        ChannelError: There is no channel, it is damaged, or cannot be changed like that.
        SignatureError: The keys are not the channel's.
        OutputError: It cannot be written.
    """
    at, signers = Path(folder), [Path(key) for key in keys]
    if not at.is_dir():
        raise ChannelError(f"There is no folder {at}: edge channel init {_word(at)} makes a channel.")
    with _alone(at):
        before = read_channel(at, signers)
        if not {public_key_of(key) for key in signers} & set(before.keys):
            expected = " or ".join(key_id(key) for key in before.keys)
            raise SignatureError(f"The key may not sign this channel any more: expected {expected}.")
        now = _checked_time(clock(), before)
        lasts = before.expires_at - before.created_at if days is None else _days(days)
        try:
            changed = replace(
                edit(before, now),
                serial=before.serial + 1,
                created=timestamp(now),
                expires=timestamp(now + lasts),
            )
        except EdgeError:
            raise
        except (ValueError, OverflowError) as reason:
            raise ChannelError(f"Cannot change the channel: {reason}.") from reason
        _write(at, changed, signers)
        return changed


def _word(folder: Path | str) -> str:
    """A folder as a shell reads it."""
    return shlex.quote(str(folder))


def _days(days: float) -> timedelta:
    if not 0 < days <= _LONGEST_DAYS:
        raise ChannelError(f"A channel cannot last {days:g} days: expected more than 0 and at most {_LONGEST_DAYS:g}.")
    return timedelta(days=days)


def _checked_time(now: datetime, before: Channel | None) -> datetime:
    """This machine's time, unless it cannot be right."""
    least = EARLIEST if before is None else max(EARLIEST, before.created_at)
    if now < least:
        raise ChannelError(f"This machine's clock says {timestamp(now)}, which is before {timestamp(least)}: set it.")
    return now


def _write(folder: Path, channel: Channel, keys: Sequence[Path]) -> None:
    """Sign a channel and put it in place, once everything it names could be read and so could it."""
    for release in channel.releases:
        if release.withdrawn is None and "://" not in release.url:
            _check_file(folder / release.url, release)
    payload = to_payload(channel)
    content = seal(payload, keys).encode()
    for key in keys:
        if open_envelope(content, [public_key_of(key)], "The channel") != payload:
            raise ChannelError("The signed channel reads otherwise than it is meant: nothing is written.")
    write_atomically(folder / CHANNEL_FILE, content)


def _check_file(path: Path, release: Release) -> None:
    try:
        is_right = path.stat().st_size == release.size_bytes and sha256_of(path) == release.sha256
    except OSError as reason:
        raise ChannelError(
            f"Version {release.title} is not in the channel's folder: there is no {path}. Put it back, or withdraw it."
        ) from reason
    if not is_right:
        raise ChannelError(f"{path} is not version {release.title} any more: put it back, or withdraw that version.")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    def refuse() -> None:
        raise ChannelError(f"Somebody else changes the channel in {folder}: try again when they are done.")

    lock = folder / ".lock"
    with locked(lock, refuse):
        try:
            yield
        finally:
            if not (folder / CHANNEL_FILE).exists():
                lock.unlink(missing_ok=True)  # while it is held: filelock takes no file that has lost its name
