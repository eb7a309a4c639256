"""Several regions of one picture, one a frame in turn, so that they share one budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from camera_demo.frames import CapturedFrame
from camera_demo.motion import Motion, cells_of
from camera_demo.region import Region
from edge.inference.live_classifier import LiveClassifier
from edge.vision.preprocess import Frame

__all__ = ["Turns", "part_of"]


class Turns:
    """Which region of a frame is classified.

    The capturing thread calls :meth:`prepare`, the thread that classifies everything else. A camera's frames may be
    dropped between the two, so there the turn passes on with the answer; of a file every frame is answered, and it
    passes on with the frame.
    """

    def __init__(
        self, classifier: LiveClassifier, regions: Sequence[Region], *, is_live: bool, is_idle: bool = False
    ) -> None:
        """Begin with the first region.

        Args:
            classifier: What classifies them.
            regions: The regions; none for the whole picture.
            is_live: Whether frames may be dropped.
            is_idle: Whether a region that has not changed passes its turn on.
        """
        self._regions: tuple[Region | None, ...] = tuple(regions) or (None,)
        self._next, self._is_live = 0, is_live
        self._classifier, self._ahead = classifier, classifier.preparer()
        self._motions = [Motion() for _ in self._regions] if is_idle else None

    def use(self, classifier: LiveClassifier) -> None:
        """Prepare frames for another classifier."""
        self._classifier, self._ahead = classifier, classifier.preparer()

    def prepare(self, frame: CapturedFrame) -> CapturedFrame:
        """The frame with the region whose turn it is, resized for the network unless nothing has changed there."""
        number = self._next
        if not self._is_live:
            self._pass_on(number)
        region = self._regions[number]
        part = part_of(frame.image, region)
        if self._motions is None:
            return replace(frame, region=region, prepared=self._ahead(part))
        cells = cells_of(part)
        prepared = self._ahead(part) if self._motions[number].differs(cells) else None
        return replace(frame, region=region, cells=cells, prepared=prepared)

    def choose(self, frame: CapturedFrame, now_s: float) -> tuple[CapturedFrame, bool]:
        """The frame with the region to answer for, and whether its last answer still holds: nothing has changed.

        Args:
            frame: A frame of the source.
            now_s: A clock that never jumps back.
        """
        is_assigned = frame.prepared is not None or frame.cells is not None  # by the capturing thread
        if not is_assigned:
            frame = replace(frame, region=self._regions[self._next])
        chosen, holds = (frame, False) if self._motions is None else self._changed(frame, self._motions, now_s)
        if self._is_live or not is_assigned:
            self._pass_on(self._regions.index(chosen.region))
        return chosen, holds

    def _changed(self, frame: CapturedFrame, motions: Sequence[Motion], now_s: float) -> tuple[CapturedFrame, bool]:
        """The frame with the next region that has changed, and False; as it was, and True, if none has."""
        first, wish = self._regions.index(frame.region), (self._classifier.pinned, self._classifier.budget)
        for number in (*range(first, len(self._regions)), *range(first)):
            region = self._regions[number]
            cells = frame.cells if number == first else None
            cells = cells_of(part_of(frame.image, region)) if cells is None else cells
            if motions[number].must_classify(cells, now_s, wish):
                return frame if number == first else replace(frame, region=region, cells=cells, prepared=None), False
        return frame, True

    def _pass_on(self, number: int) -> None:
        self._next = (number + 1) % len(self._regions)


def part_of(image: Frame, region: Region | None) -> Frame:
    """A region of the picture; all of it for None."""
    return image if region is None else region.of(image)
