"""How camera-demo, which may not install anything, asks for the follower's next step at once.

It writes a file in its own state folder. ``mobilenet-edge-follow.path`` sees that and starts the follower, as does
``edge channel follow --watch``. Nobody reads the file: what is installed is for the signed channel to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.files import write_atomically, writing
from edge.paths import state_folder

__all__ = ["REQUEST_FILE", "request_install", "request_places", "wait_for_request"]

REQUEST_FILE: Final = "install-requested"
_SERVICE_STATE: Final = Path("/var/lib/mobilenet-edge/state/mobilenet-edge")
"""The state folder of the service mobilenet-edge."""
_EVERY_S: Final = 1.0


def request_install(folder: Path | None = None) -> None:
    """Ask for the next step.

    Args:
        folder: The state folder; None for this user's.

    Raises:
        OutputError: The file cannot be written.
    """
    folder = folder or state_folder()
    with writing(folder / REQUEST_FILE):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / REQUEST_FILE, f"{time.time():.3f}\n")


def request_places() -> tuple[Path, ...]:
    """Where a request may come up: in this user's state folder, and in the service's."""
    return tuple(dict.fromkeys(folder / REQUEST_FILE for folder in (state_folder(), _SERVICE_STATE)))


def wait_for_request(
    timeout_s: float,
    places: Sequence[Path] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait for a request, or until the time is over.

    Returns:
        Whether there was a request.
    """
    places = request_places() if places is None else places
    before, end_s = _marks(places), clock() + timeout_s
    while (left_s := end_s - clock()) > 0:
        if _marks(places) != before:
            return True
        sleep(min(_EVERY_S, left_s))
    return _marks(places) != before


def _marks(places: Sequence[Path]) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for place in places:
        try:
            status = place.lstat()
            found.append((status.st_ino, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return found
