"""Following a channel: one step, which a timer repeats.

A step reads the channel, judges the version that is being watched, and installs the release that is meant for this
board, if there is one. It may be killed at any moment: ``active.json`` alone says which version is in use, and the next
step finds out from it what the last one had done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import NoReturn

from edge.errors import ChannelError
from edge.fleet.rings import Board
from edge.fleet.signed import read_keys
from edge.fleet.state import FollowState, fleet_folder
from edge.fleet.step import DOWNLOADS, Step
from edge.locks import locked
from edge.paths import AnyPath
from edge.progress import Progress, no_progress
from edge.updates.download import Limits, check_url
from edge.updates.trusted import check_trusted

__all__ = ["follow"]


def _now() -> datetime:
    return datetime.now(timezone.utc)


def follow(
    url: str,
    key: AnyPath,
    board: Board,
    *,
    folder: AnyPath | None = None,
    bundle_key: AnyPath | None = None,
    backend: str = "auto",
    retries_bad: bool = False,
    limits: Limits = Limits(),
    progress: Progress = no_progress,
    on_change: Callable[[FollowState], None] = lambda state: None,
    clock: Callable[[], datetime] = _now,
) -> FollowState:
    """Take one step towards what the channel has for this board.

    Args:
        url: The channel's file: ``https://...``; ``http://`` on this very machine only.
        key: A file of public keys, one of which must have signed it, or have begun the chain of keys that did.
        board: Who this board is.
        folder: Where the state and, below ``bundles``, the bundles are; None for this user's data folder.
        bundle_key: A file of public keys, one of which must have signed a bundle's manifest; None to accept any that
            the channel names.
        backend: What the self-test runs on.
        retries_bad: Forget which versions did badly here.
        limits: Of the downloads.
        progress: Called with the stage and share of a download.
        on_change: Called with each state after it was written.
        clock: This board's clock.

    Returns:
        The state that the step ended with.

    Raises:
        SignatureError: The channel or the bundle is not signed by a trusted key.
        ChannelError: The channel is damaged, expired or replayed, or somebody else follows one here.
        DownloadError: The channel or the bundle cannot be fetched.
        BundleError: The bundle is damaged.
        SelfTestError: It does not give its golden answers here.
        BackendError: No backend runs it here.
        OutputError: Something cannot be written.
    """
    folder = fleet_folder() if folder is None else Path(folder)
    check_url(url)
    configured = read_keys(Path(key))
    check_trusted(folder / DOWNLOADS)

    def refuse() -> NoReturn:
        raise ChannelError(f"Another process follows a channel in {folder}: wait until its step has ended.")

    with locked(folder / ".follow.lock", refuse):
        step = Step(
            url=url,
            configured=configured,
            board=board,
            folder=folder,
            bundle_key=None if bundle_key is None else Path(bundle_key),
            backend=backend,
            limits=limits,
            progress=progress,
            on_change=on_change,
            clock=clock,
            state=FollowState(board_id=board.id),
        )
        return step.run(retries_bad=retries_bad)
