"""Does a network look trained? Asked before hours go into files of one that is not."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from convert.checkpoints import Checkpoint
from convert.data.calibration_data import CalibrationData
from convert.errors import UntrainedError
from convert.pipeline.verification import float_answers
from convert.quantization import fold

__all__ = ["check_trained"]

_LEAST: Final = 8
"""Fewer pictures may well all show one class."""
_MOST: Final = 64


def check_trained(checkpoint: Checkpoint, data: CalibrationData, resolution: int) -> None:
    """Refuse a network whose answers do not depend on the picture, or whose batch norms never saw one.

    Held-out pictures that are known to be all of the class that is answered prove nothing.

    Raises:
        UntrainedError: It looks untrained.
    """
    network = checkpoint.at(resolution)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms and all(map(_is_fresh, norms)):
        raise UntrainedError(
            f"{checkpoint.path} looks untrained: every batch norm still has mean 0 and variance 1. Expected a trained "
            "network, saved with its running statistics."
        )
    pictures = data.held_out
    if len(pictures.paths) < _LEAST or checkpoint.config.classes < 2:
        return
    few = pictures.first(_MOST)
    answers = float_answers(fold(network), few, resolution, data.preprocessing, data.truth, "")
    best = answers.probabilities.argmax(axis=1)
    if (best == best[0]).all() and not (answers.truth == best).all():
        raise UntrainedError(
            f"{checkpoint.path} looks untrained: of {len(best)} held-out pictures it takes each for class {best[0]}. "
            "Expected answers that depend on the picture; if these are all of one class, measure on others, too."
        )


def _is_fresh(norm: nn.BatchNorm2d) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    return not mean.any() and torch.equal(variance, torch.ones_like(variance))
