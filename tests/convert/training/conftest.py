"""Pictures that a tiny network learns within seconds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from convert.model import MobileNetV1, ModelConfig
from convert.training.family import Family
from edge.vision.preprocess import Frame

CLASSES = 3
ALPHAS = (0.5, 0.25)


def shape_of(rng: np.random.Generator, label: int, side: int = 48) -> Frame:
    """A disc in reddish noise, a square in greenish or a cross in bluish."""
    frame = rng.integers(0, 90, (side, side, 3)).astype(np.uint8)
    x, y = (int(v) for v in rng.integers(side // 3, 2 * side // 3, 2))
    size, tone = int(rng.integers(side // 6, side // 4)), tuple(int(v) for v in rng.integers(140, 256, 3))
    frame[:, :, 2 - label] += 60
    if label == 0:
        cv2.circle(frame, (x, y), size, tone, -1)
    elif label == 1:
        cv2.rectangle(frame, (x - size, y - size), (x + size, y + size), tone, 2)
    else:
        cv2.line(frame, (x - size, y - size), (x + size, y + size), tone, 3)
        cv2.line(frame, (x - size, y + size), (x + size, y - size), tone, 3)
    return frame


@dataclass(frozen=True)
class Shapes:
    """An endless sequence of discs, squares and crosses."""

    seed: int = 0
    classes: int = CLASSES

    def example(self, number: int) -> tuple[Frame, int]:
        return shape_of(np.random.default_rng((self.seed, number)), number % CLASSES), number % CLASSES


def build(alpha: float) -> nn.Module:
    return MobileNetV1(ModelConfig(alpha=alpha, classes=CLASSES))


@pytest.fixture
def family() -> Family:
    torch.manual_seed(0)
    return Family(build, ALPHAS)
