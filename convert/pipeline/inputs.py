"""What a caller names, read: checkpoints, labels and pictures, with warnings of what lowers the result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Final, TypeAlias

from convert.checkpoints import Checkpoint, load_checkpoint
from convert.data.calibration_data import CalibrationData, load_calibration_data
from convert.errors import CheckpointError
from convert.options import BundleOptions, QuantizationOptions
from convert.pipeline.trained import check_trained
from convert.quantization import folded_recipe
from edge.bundles.bundle import read_labels
from edge.bundles.variant import RESOLUTIONS, Variant
from edge.errors import BundleError
from edge.paths import AnyPath
from edge.progress import Progress
from edge.vision.preprocess import Preprocessing

__all__ = ["AnyCheckpoint", "labels_of", "load_pictures", "loaded", "own_resolutions"]

AnyCheckpoint: TypeAlias = "AnyPath | Checkpoint"
_STEP: Final = 32
"""ρ is a multiple of this."""
_FEW: Final = 32
"""Fewer calibration pictures than this are warned of."""
_log = logging.getLogger(__name__)


def loaded(checkpoint: AnyCheckpoint, *, needs_classifier: bool = True) -> Checkpoint:
    """The checkpoint, read if it is a path.

    Raises:
        CheckpointError: It cannot be read, or has no classifier.
    """
    found = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(Path(checkpoint))
    if found.is_headless and needs_classifier:
        raise CheckpointError(
            f"{found.path} has the features alone and no classifier (include_top=False): save the whole network, or "
            f"train a classifier on it: edge-convert train PICTURES --from {found.path.name} --out trained."
        )
    return found


def own_resolutions(checkpoints: Sequence[Checkpoint]) -> tuple[int, ...]:
    """The resolutions that the checkpoints are for, or else their files ask for, largest first; else the paper's.

    What is not a multiple of 32 becomes the nearest that is, with a warning.
    """
    named = {side for checkpoint in checkpoints for side in checkpoint.only_at}
    if named and all(checkpoint.only_at for checkpoint in checkpoints):
        return tuple(sorted(named, reverse=True))
    sides = [checkpoint.resolution for checkpoint in checkpoints]
    own = {max(1, round(side / _STEP)) * _STEP for side in sides if side is not None}
    for checkpoint, side in zip(checkpoints, sides, strict=True):
        if side is not None and side % _STEP and None not in sides:
            _log.warning(
                "%s: it asks for pictures of %dx%d, which is not a multiple of %d: made for ρ=%d, where its answers "
                "are a little different; other resolutions may be chosen",
                *(checkpoint.path, side, side, _STEP, max(1, round(side / _STEP)) * _STEP),
            )
    return RESOLUTIONS if None in sides else tuple(sorted(own, reverse=True))


def labels_of(labels: AnyPath | Sequence[str]) -> tuple[str, ...]:
    """The labels, read if they are a path.

    Raises:
        BundleError: They cannot be read, or one is not a single line of text.
    """
    if isinstance(labels, (str, PathLike)):
        return read_labels(Path(labels))
    for label in labels:
        if not isinstance(label, str) or len(label.strip().splitlines()) != 1:
            raise BundleError(f"invalid label {label!r}: expected one line of text.")
    return tuple(labels)


def load_pictures(
    checkpoints: Sequence[Checkpoint],
    calibration: AnyPath | None,
    resolutions: Sequence[int],
    labels: Sequence[str],
    options: QuantizationOptions,
    progress: Progress,
) -> CalibrationData:
    """Find, split and read the pictures; warn of what lowers the result, and refuse networks that look untrained."""
    first = checkpoints[0]
    for checkpoint in checkpoints:
        if checkpoint.note:
            _log.warning(
                "%s: %s (edge-convert import changes what the tensors do not say)", checkpoint.path, checkpoint.note
            )
    for resolution in resolutions:
        Variant(first.config.alpha, resolution)
    data = load_calibration_data(
        Path(calibration) if calibration is not None else None,
        resolutions,
        labels=labels,
        classes=first.config.classes,
        verify_on=options.verify_on,
        nothing=options.nothing if isinstance(options, BundleOptions) else None,
        truth=options.truth,
        preprocessing=folded_recipe(first.config, Preprocessing(resize=options.resize)),
        progress=progress,
    )
    _warn_of(data)
    if not options.allow_untrained:
        for checkpoint in checkpoints:
            check_trained(checkpoint, data, max(checkpoint.sides_of(resolutions)))
    return data


def _warn_of(data: CalibrationData) -> None:
    unreadable = data.calibration.unreadable + data.held_out.unreadable
    unreadable += () if data.nothing is None else data.nothing.unreadable
    if unreadable:
        _log.warning("%d pictures were passed over. The first: %s", len(unreadable), unreadable[0])
    if data.is_synthetic:
        _log.warning("no pictures to calibrate on: synthetic ones are used, and the result is less exact")
    elif len(data.calibration.paths) < _FEW:
        _log.warning(
            "only %d pictures to calibrate on: %d or more give steadier results", len(data.calibration.paths), _FEW
        )
    if not data.held_out.paths:
        _log.warning("no pictures to measure on: the agreement is that on synthetic pictures")
