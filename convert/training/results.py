"""What a run leaves behind: a checkpoint for each α, and how accurate each variant is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from torch import nn

from convert.checkpoints import save_checkpoint
from convert.checkpoints.statistics import with_statistics
from convert.model import MobileNetV1
from convert.training.evaluation import Recalibration, accuracy, members, recalibrate_batch_norm
from edge.bundles.variant import Variant
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Frame

__all__ = ["CHECKPOINT_ENDING", "checkpoint_name", "write_checkpoints"]

CHECKPOINT_ENDING: Final = ".safetensors"


def checkpoint_name(alpha: float) -> str:
    """``mobilenet_v1_0.50.safetensors``."""
    return Variant(alpha, 32).name.rpartition("_")[0] + CHECKPOINT_ENDING


def write_checkpoints(
    network: nn.Module,
    resolutions: Sequence[int],
    recalibration: Recalibration,
    folder: Path,
    examples: Sequence[tuple[Frame, int]],
    progress: Progress = no_progress,
) -> dict[Variant, float]:
    """Write each member of ``network`` as an ordinary checkpoint with the statistics of every resolution.

    Args:
        network: A family, or one ``MobileNetV1``, as training leaves it.
        resolutions: Every ρ to be able to serve.
        recalibration: What batch norm's statistics are estimated on.
        folder: Where the checkpoints go, which exists.
        examples: Labelled pictures to measure on.
        progress: Called as the work goes on.

    Returns:
        Top-1 accuracy of every variant on ``examples``, 0 to 1.

    Raises:
        OutputError: A checkpoint cannot be written.
    """
    found = members(network)
    accuracies: dict[Variant, float] = {}
    for member in found:
        assert isinstance(member, MobileNetV1)
        alpha = member.config.alpha
        model, statistics = recalibrate_batch_norm(member, resolutions, recalibration)
        save_checkpoint(model, folder / checkpoint_name(alpha), statistics)
        for side, own in statistics.items():
            share = len(accuracies) / (len(found) * len(statistics))
            progress(f"measuring α={alpha:g} ρ={side}", share)
            at_side = with_statistics(model, own)
            accuracies[Variant(alpha, side)] = accuracy(
                at_side, examples, side, preprocessing=recalibration.preprocessing, device=recalibration.device
            )
    return accuracies
