"""What a classifier answered to one labelled picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PictureAnswer"]


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """The answer to one picture."""

    path: Path
    truth: int | None
    """The class that it shows; of a picture of nothing in particular, the class that stands for that, or None."""
    best: int
    """The most probable class, even where the answer is unknown."""
    probability: float
    is_unknown: bool = False
    is_nothing: bool = False
    """Whether the picture shows nothing in particular: ``unknown`` is right for it, too."""

    @property
    def answer(self) -> int | None:
        """The class that was named; None for unknown."""
        return None if self.is_unknown else self.best

    @property
    def is_right(self) -> bool:
        """Whether the class named is the one shown."""
        return self.answer == self.truth or (self.is_nothing and self.is_unknown)

    @property
    def shown(self) -> int | None:
        """The row of a confusion matrix: the class, or None for nothing in particular."""
        return None if self.is_nothing else self.truth
