"""An answer: the best classes of one frame and its times."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from edge.vision.preprocess import Frame, Preprocessing
from edge.vision.tensor import TensorSpec

__all__ = ["UNKNOWN", "Guess", "Prediction", "Prepared", "top_k"]

UNKNOWN: Final = "unknown"
"""What an answer is called that is none of the classes."""


class Guess(NamedTuple):
    """One class and its probability."""

    class_id: int
    label: str
    probability: float
    """From 0 to 1."""


class Prediction(NamedTuple):
    """The answer to one frame, best class first, and its times."""

    guesses: tuple[Guess, ...]
    preprocess_ms: float
    infer_ms: float
    top_k_ms: float
    is_unknown: bool = False
    """Whether the picture probably shows none of the classes: the guesses are not to be relied on."""

    @property
    def best(self) -> Guess:
        """The most probable class, even where the answer is unknown."""
        return self.guesses[0]

    @property
    def label(self) -> str:
        """The most probable class's label, or ``unknown``."""
        return UNKNOWN if self.is_unknown else self.best.label

    @property
    def total_ms(self) -> float:
        """From frame to answer."""
        return self.preprocess_ms + self.infer_ms + self.top_k_ms

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON values, as in ``edge classify --json``."""
        return {
            "unknown": self.is_unknown,
            "classes": [
                {"index": guess.class_id, "label": guess.label, "probability": round(guess.probability, 6)}
                for guess in self.guesses
            ],
            "preprocess_ms": round(self.preprocess_ms, 3),
            "infer_ms": round(self.infer_ms, 3),
        }


class Prepared(NamedTuple):
    """A frame cropped and resized ahead of time, by another thread than the one that classifies."""

    pixels: Frame
    """uint8 (ρ, ρ, 3) in the network's colour order."""
    preprocess_ms: float
    """Time that took."""
    preprocessing: Preprocessing | None = None
    """How; None where every classifier does it in this way."""


def top_k(output: NDArray[Any], spec: TensorSpec, count: int) -> list[tuple[int, float]]:
    """The ``count`` greatest of ``output`` (classes,) as (class, probability), greatest first, ties by class.

    Only those few leave the integers.
    """
    # A stable sort of the mirrored values, read from its end, has the greatest first and equals by class.
    ranked: list[int] = output[::-1].argsort(kind="stable")[: -count - 1 : -1].tolist()
    last, scale, zero_point = len(output) - 1, spec.scale, spec.zero_point
    return [(last - mirrored, scale * (output.item(last - mirrored) - zero_point)) for mirrored in ranked]
