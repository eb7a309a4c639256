"""A frame as it was captured, and the same frame with its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

from camera_demo.region import Region
from edge.inference.prediction import UNKNOWN, Guess, Prediction, Prepared
from edge.vision.preprocess import Frame

__all__ = ["NOT_SURE", "CapturedFrame", "Result"]

NOT_SURE: Final = "not sure"
"""What is shown where no class reaches the threshold that you set."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapturedFrame:
    """One picture from a source, and when it came. Each equals itself alone."""

    image: Frame = field(repr=False)
    """uint8 (height, width, 3) BGR. Draw on a copy: others hold it too."""
    index: int
    """Number of the frame since the source was opened, from 0; frames that were dropped leave gaps."""
    captured_at_s: float
    """Monotonic clock at the capture, if the driver reports it; else when the frame was in memory."""
    position_s: float
    """Position in the stream, from its start."""
    file: str | None = None
    """The picture's file, if it has one."""
    region: Region | None = None
    """The part whose turn it was at the capture; None for all of it."""
    cells: Frame | None = field(default=None, repr=False)
    """The region shrunk to a few cells, which show whether it has changed: see :mod:`camera_demo.motion`."""
    prepared: Prepared | None = field(default=None, repr=False)
    """The region, resized for the network by the thread that captured it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A frame with its answer, as every sink gets it."""

    frame: CapturedFrame
    prediction: Prediction
    guesses: tuple[Guess, ...]
    """The prediction's best classes that reach the threshold, best first; none where the answer is unknown."""
    variant: str
    backend: str
    answer_ms: float
    """From the capture of the frame to its answer."""
    fps: float
    """Answers a second over the last thirty."""
    dropped: int
    """Number of frames so far that newer ones replaced while the model was busy."""
    budget_ms: float
    """The budget at the time."""
    answered_at_s: float
    """Wall clock, seconds since 1970."""
    is_unknown: bool = False
    """Whether the frame probably shows none of the classes."""
    region: Region | None = None
    """The part of the picture that was classified; None for all of it."""
    is_kept: bool = False
    """Whether it is the last answer, kept because nothing has changed since: the model rested."""
    is_steady: bool = False
    """Whether classes are announced at all."""
    steady: str | None = None
    """The label that is announced now in this region; None for none."""
    elsewhere: tuple[Result, ...] = ()
    """The newest answers of the other regions, in the regions' order."""
    picture: Frame | None = field(default=None, repr=False, compare=False)
    """The frame with the answer drawn on it, if a sink wanted one."""

    @property
    def is_late(self) -> bool:
        """Whether the classification took longer than the budget."""
        return self.prediction.total_ms > self.budget_ms

    @property
    def region_name(self) -> str:
        """The region's name; empty for an unnamed one, and for the whole picture."""
        return "" if self.region is None else self.region.name

    @property
    def every_region(self) -> tuple[Result, ...]:
        """The newest answer of each region that was answered yet, in an order that stays: by name."""
        return tuple(sorted((self, *self.elsewhere), key=lambda result: result.region_name))

    @property
    def best(self) -> Guess | None:
        """The most probable class, if it reaches the threshold; None where the answer is unknown."""
        return self.guesses[0] if self.guesses else None

    @property
    def label(self) -> str:
        """The best class's label, ``unknown``, or ``not sure`` where no class reaches the threshold you set."""
        if self.is_unknown:
            return UNKNOWN
        return self.best.label if self.best else NOT_SURE

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON values: one line of ``json:-``."""
        prediction = self.prediction
        named = {"file": self.frame.file} if self.frame.file is not None else {}
        return {
            "frame": self.frame.index,
            **named,
            "time": datetime.fromtimestamp(self.answered_at_s, timezone.utc).isoformat(timespec="milliseconds"),
            "position_s": round(self.frame.position_s, 3),
            "variant": self.variant,
            "backend": self.backend,
            "unknown": self.is_unknown,
            **({"steady": self.steady} if self.is_steady else {}),
            **({"kept": True} if self.is_kept else {}),
            "labels": [
                {"index": g.class_id, "label": g.label, "probability": round(g.probability, 4)} for g in self.guesses
            ],
            "capture_to_answer_ms": round(self.answer_ms, 3),
            "preprocess_ms": round(prediction.preprocess_ms, 3),
            "infer_ms": round(prediction.infer_ms, 3),
            "top_k_ms": round(prediction.top_k_ms, 3),
            "fps": round(self.fps, 2),
            "dropped": self.dropped,
            **({} if self.region is None else {"region": list(self.region.shares)}),
            **({"region_name": self.region_name} if self.region_name else {}),
        }
