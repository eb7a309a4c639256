"""The pictures that the demo's networks learn from: an endless sequence, each drawn when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.vision.preprocess import Frame, Preprocessing
from scripts.demo.cards import LABELS, NO_CARD, draw_labelled
from scripts.demo.ink import Handwriting, load_handwriting
from scripts.demo.things import draw_things

__all__ = ["PREPROCESSING", "Cards", "held_out_pictures"]

PREPROCESSING: Final = Preprocessing(resize="halving")
"""How pictures enter the network, in training as on the device."""


@dataclass(frozen=True, kw_only=True)
class Cards:
    """Digits on cards from handwriting that may be trained on; classes in turn, "no card" twice.

    They begin as large upright cards before a good webcam, and grow as hard as the test's.
    """

    hard_from: int = 0
    """The number of the first picture that is as hard as the test's."""
    small_until: int = 0
    """The number of the first picture of 256 pixels; those before have 128, which is cheaper."""
    seed: int = 1
    things: int = 0
    """How many pictures of things come after each round of the classes."""
    handwriting: Handwriting = field(default_factory=lambda: load_handwriting("train"))

    @property
    def classes(self) -> int:
        """Ten digits and "no card"."""
        return len(LABELS)

    def example(self, number: int) -> tuple[Frame, int]:
        """Picture ``number``, uint8 (side, side, 3) BGR, and its class; the same number draws the same picture."""
        turn = number % (len(LABELS) + 1 + self.things)
        label = min(turn, NO_CARD)
        hardness = 1.0 if number >= self.hard_from else number / self.hard_from
        side = 128 if number < self.small_until else 256
        rng = np.random.default_rng((self.seed, number))
        if turn > len(LABELS):
            return draw_things(rng, side), label
        return draw_labelled(rng, self.handwriting, label, side, hardness=hardness), label


def held_out_pictures(per_class: int) -> tuple[list[Frame], NDArray[np.int64]]:
    """Pictures of held-out handwriting, ``per_class`` of each class, and their labels."""
    rng, handwriting = np.random.default_rng(2024), load_handwriting("held-out")
    labels = np.arange(per_class * len(LABELS), dtype=np.int64) % len(LABELS)
    return [draw_labelled(rng, handwriting, int(label), synthetic=0.0) for label in labels], labels
