"""Ctrl-C and SIGTERM at any moment: before a command has begun, while it runs, and where an exception would be lost."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # as typing's, without the time that importing typing takes
if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Terminated", "end_on_interrupt", "raise_on_signals", "send_again_if_lost"]

_AGAIN_S = 0.01


class Terminated(BaseException):
    """SIGTERM came."""


def end_on_interrupt() -> None:
    """Let Ctrl-C end the process with exit code 130 and nothing else, unless something else was asked of it.

    A console script calls this before it imports anything else of ours, and when its command has ended. Nothing is
    raised: an exception in the middle of an import, or while the interpreter ends, may be caught or printed by others.
    """
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _raise):
        signal.signal(signal.SIGINT, _end)


def raise_on_signals() -> None:
    """Let Ctrl-C raise :class:`KeyboardInterrupt` and SIGTERM :class:`Terminated`, unless something else was asked.

    The second signal of a kind, which would cut the tidying up short, ends the process at once.
    """
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _end):
        signal.signal(signal.SIGINT, _raise)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _raise)


def send_again_if_lost(number: int, frame: FrameType | None) -> bool:
    """For a signal's handler that raises: whether it must not now, and the signal comes again in a moment.

    What is raised while an object is destroyed, or by the import system as it frees a module's lock, Python prints and
    forgets.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or (code.co_name == "cb" and code.co_filename.startswith("<frozen importlib")):
            import threading

            threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number)).start()
            return True
        frame = frame.f_back
    return False


def _raise(number: int, frame: FrameType | None) -> None:
    if send_again_if_lost(number, frame):
        return
    from edge.unfinished import exit_at_once

    signal.signal(number, lambda again, frame: exit_at_once(128 + again))
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _end(number: int, frame: object) -> None:
    os._exit(128 + number)
