"""What every source of frames must do: say what it is, give frames, close."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from camera_demo.frames import CapturedFrame
from camera_demo.stop import Stop

__all__ = ["LiveSource", "Prepare", "Source"]

Prepare = Callable[[CapturedFrame], CapturedFrame]
"""What is done to each frame on the capturing thread, while the model works on the one before."""


class _Opened(Protocol):
    """An opened camera, clip, stream or folder.

    Opening checks all that can be checked, so that what is wrong shows before a model is loaded.
    """

    @property
    def name(self) -> str:
        """What it is, for people: ``/dev/video0``, ``clip.mp4``. Never holds a password."""

    @property
    def is_live(self) -> bool:
        """Whether frames come at their own pace, and those nobody takes in time are dropped."""

    @property
    def rate_hz(self) -> float | None:
        """Frames a second as the source states it; None where it has no rate."""

    @property
    def dropped(self) -> int:
        """Frames dropped so far because nobody took them in time."""

    def close(self) -> None:
        """Free the device or file and end its thread. A second call does nothing."""


class Source(_Opened, Protocol):
    """A source by itself."""

    def frames(self, stop: Stop) -> Iterator[CapturedFrame | None]:
        """The frames, in order; ends at the source's end, or soon after ``stop`` is requested. Call it once.

        Where the next frame lets wait for itself, None comes several times a second, so that whoever waits can see to
        other things.

        Raises:
            SourceError: The source broke off.
        """


class LiveSource(_Opened, Protocol):
    """What :func:`camera_demo.sources.open_source` gives: a source read by a thread of its own."""

    def frames(self, stop: Stop, prepare: Prepare | None = None) -> Iterator[CapturedFrame | None]:
        """The frames of :meth:`Source.frames`, each after ``prepare``, on the capturing thread."""
