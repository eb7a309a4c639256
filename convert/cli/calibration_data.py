"""The pictures a conversion works on, gathered as the options say and with a word on what is amiss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from edge.bundles.variant import Variant
from edge.progress import Progress
from edge.vision.preprocess import Preprocessing

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.checkpoints import Checkpoint
    from convert.data.calibration_data import CalibrationData

__all__ = ["load_pictures"]

FEW: Final = 32
"""Fewer calibration pictures than this are warned of."""


def load_pictures(
    checkpoint: Checkpoint,
    labels: Sequence[str],
    calibration: Path | None,
    verify_on: Path | None,
    truth: Path | None,
    resolutions: Sequence[int],
    preprocessing: Preprocessing,
    progress: Progress,
) -> CalibrationData:
    """Find, split and read the pictures; warn of those that cannot be read, and of too few."""
    from convert.data.calibration_data import load_calibration_data
    from convert.quantization import folded_recipe

    classes = checkpoint.config.classes
    if checkpoint.note:
        _warn(f"{checkpoint.path}: {checkpoint.note} (edge-convert import changes what is not told by the tensors)")
    for resolution in resolutions:
        Variant(checkpoint.config.alpha, resolution)
    data = load_calibration_data(
        calibration,
        resolutions,
        labels=labels,
        classes=classes,
        verify_on=verify_on,
        truth=truth,
        preprocessing=folded_recipe(checkpoint.config, preprocessing),
        progress=progress,
    )
    unreadable = data.calibration.unreadable + data.held_out.unreadable
    if unreadable:
        _warn(f"{len(unreadable)} pictures were passed over. The first: {unreadable[0]}")
    if data.is_synthetic:
        _warn("no pictures to calibrate on (--calibration): drawn ones are used, and the result is less exact")
    elif len(data.calibration.paths) < FEW:
        _warn(f"only {len(data.calibration.paths)} pictures to calibrate on: {FEW} or more give steadier results")
    if not data.held_out.paths:
        _warn("no pictures to measure on (--verify-on): what is said of agreement holds for drawn pictures")
    return data


def _warn(message: str) -> None:
    typer.echo(f"edge-convert: warning: {message}", err=True)
