"""What the board's follower of a channel notes of itself, read again whenever it changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from edge.bundles.registry import bundles_folders
from edge.errors import EdgeError
from edge.fleet.state import FollowState, find_state, state_file

__all__ = ["FollowWatcher"]

_log = logging.getLogger(__name__)
_EVERY_S: Final = 2.0


class FollowWatcher:
    """A thread that looks at ``follow.json`` every two seconds while a block runs, which costs a stat(2).

    >>> with FollowWatcher(run_state.on_follow):
    ...     show(answers, sinks, stats)
    """

    def __init__(
        self,
        tell: Callable[[FollowState | None], None],
        *,
        folders: Sequence[Path] | None = None,
        every_s: float = _EVERY_S,
    ) -> None:
        """Prepare the thread.

        Args:
            tell: Takes the state at once if there is one, and at each change; in the thread of this watcher.
            folders: Where the state may be; None for this user's folder and the system's.
            every_s: Seconds between two looks.
        """
        self._tell, self._every_s = tell, every_s
        self._folders = tuple(folder.parent for folder in bundles_folders()) if folders is None else tuple(folders)
        self._seen: tuple[object, ...] = (None,) * len(self._folders)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-state", daemon=True)

    def __enter__(self) -> FollowWatcher:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._look()

    def _look(self) -> None:
        seen = tuple(_mark(state_file(folder)) for folder in self._folders)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._tell(find_state(self._folders))
        except EdgeError as error:
            _log.warning("%s The metrics and messages leave it out.", error, extra={"event": "follow_state_unreadable"})
            self._tell(None)


def _mark(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced; None where there is none that may be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
