"""What a conversion works on besides the weights: pictures to calibrate on, and others to measure on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convert.data.dataset import read_dataset
from convert.data.image_sets import (
    MOST_TO_CALIBRATE,
    MOST_TO_MEASURE,
    ImageSet,
    at_most,
    find_pictures,
    read_pictures,
    split,
)
from convert.errors import CalibrationError
from convert.quantization import synthetic_images
from edge.bundles.bundle import label_mismatch
from edge.evaluation.truth import pictures_of_nothing, read_truth
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Preprocessing

__all__ = ["SYNTHETIC", "CalibrationData", "load_calibration_data"]

SYNTHETIC: Final = 128
"""Pictures that are drawn where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationData:
    """What a conversion works on besides the weights."""

    preprocessing: Preprocessing
    calibration: ImageSet
    held_out: ImageSet
    truth: Mapping[Path, int]
    """The class of each held-out picture, where it is known."""
    measured_on: str
    nothing: ImageSet | None = None
    """Pictures of nothing in particular."""

    @property
    def is_synthetic(self) -> bool:
        """Whether there were no pictures to calibrate on, and some were drawn."""
        return not self.calibration.paths

    @property
    def measures_on_drawn(self) -> bool:
        """Whether what was held back is drawn, too."""
        return not self.held_out.paths


def load_calibration_data(
    calibration: Path | None,
    resolutions: Sequence[int],
    *,
    labels: Sequence[str] = (),
    classes: int,
    verify_on: Path | None = None,
    nothing: Path | None = None,
    truth: Path | None = None,
    preprocessing: Preprocessing | None = None,
    progress: Progress = no_progress,
) -> CalibrationData:
    """Find, split and read the pictures.

    Args:
        calibration: A folder of pictures, half of which is held back; the ``splits.csv`` of a training, whose
            validation pictures are; None to draw some.
        resolutions: Every ρ to read them for.
        labels: The classes' names, if known.
        classes: Outputs of the network.
        verify_on: A folder of other pictures to measure on; None takes those held back.
        nothing: A folder of pictures that show none of the classes; None without.
        truth: A JSON file of the classes of pictures; None takes them from folder names.
        preprocessing: None for the default.
        progress: Called as the work goes on.

    Raises:
        CalibrationError: Pictures, labels or classes cannot be used.
    """
    if labels and len(labels) != classes:
        raise CalibrationError(
            f"There are {len(labels)} labels for a network of {classes} classes: {label_mismatch(len(labels), classes)}"
        )
    recipe = preprocessing or Preprocessing()
    to_calibrate, to_measure = _found(calibration, verify_on)
    calibrated_on = _read(to_calibrate, 1, recipe, resolutions, lambda s: progress("reading pictures", s / 2))
    _refuse_flat(calibrated_on)
    held_out = _read(to_measure, 2, recipe, resolutions, lambda s: progress("reading pictures", 0.5 + s / 2))
    return CalibrationData(
        preprocessing=recipe,
        calibration=calibrated_on,
        held_out=held_out,
        truth=_truth(held_out, calibration if verify_on is None else None, labels or [""] * classes, truth),
        nothing=None if nothing is None else _of_nothing(nothing, recipe, resolutions),
        measured_on=_measured_on(held_out, verify_on or calibration),
    )


def _found(calibration: Path | None, verify_on: Path | None) -> tuple[list[Path], list[Path]]:
    """Pictures to calibrate on and to measure on; an empty list where some must be drawn."""
    if calibration is None:
        return [], at_most(MOST_TO_MEASURE, find_pictures(verify_on)) if verify_on else []
    if calibration.suffix == ".csv":
        return _of_splits(calibration, verify_on)
    found = find_pictures(calibration)
    if verify_on is None:
        return split(found)
    to_calibrate = at_most(MOST_TO_CALIBRATE, found)
    return to_calibrate, _others(find_pictures(verify_on), to_calibrate, verify_on)


def _of_splits(table: Path, verify_on: Path | None) -> tuple[list[Path], list[Path]]:
    """Pictures that were trained on, and pictures that were not."""
    dataset = read_dataset(table)
    learned, others = ([item.path for item in items] for items in (dataset.train, dataset.measured))
    to_measure = others if verify_on is None else find_pictures(verify_on)
    return at_most(MOST_TO_CALIBRATE, learned), at_most(MOST_TO_MEASURE, to_measure)


def _truth(held_out: ImageSet, table: Path | None, labels: Sequence[str], file: Path | None) -> dict[Path, int]:
    """The class of each held-out picture, by a list, by a training's table, or by folder names."""
    if file is None and table is not None and table.suffix == ".csv":
        dataset = read_dataset(table)
        numbers = {name: number for number, name in enumerate(labels)}
        named = {item.path: dataset.labels[item.label] for item in dataset.measured if item.label >= 0}
        return {path: numbers[named[path]] for path in held_out.paths if named.get(path) in numbers}
    return read_truth(held_out.paths, labels, file, CalibrationError)


def _of_nothing(folder: Path, recipe: Preprocessing, resolutions: Sequence[int]) -> ImageSet:
    paths = at_most(MOST_TO_MEASURE, pictures_of_nothing(folder, CalibrationError))
    return read_pictures(paths, recipe, resolutions)


def _read(
    paths: Sequence[Path],
    seed: int,
    recipe: Preprocessing,
    resolutions: Sequence[int],
    progress: Callable[[float], None],
) -> ImageSet:
    """The pictures at ``paths``, or drawn ones if there are none."""
    if paths:
        return read_pictures(paths, recipe, resolutions, progress)
    channels = recipe.channels
    pixels = {side: synthetic_images(SYNTHETIC, side, channels=channels, seed=seed) for side in resolutions}
    return ImageSet(paths=(), pixels=pixels, unreadable=())


def _refuse_flat(pictures: ImageSet) -> None:
    """Refuse pictures that are all black, or of one colour each: they say nothing about activations."""
    pixels = next(iter(pictures.pixels.values()))
    if (pixels == pixels[:, :1, :1]).all():
        raise CalibrationError(
            f"Each of the {len(pixels)} pictures to calibrate on is all one colour: expected pictures like those the "
            "camera will see. Was the lens covered?"
        )


def _measured_on(held_out: ImageSet, folder: Path | None) -> str:
    if folder is None:
        return f"{SYNTHETIC} drawn pictures, no photographs"
    return f"{len(held_out.paths)} pictures of {folder.resolve().name}, not used for calibration"


def _others(paths: Sequence[Path], calibration: Sequence[Path], folder: Path) -> list[Path]:
    """Pictures to measure on: none that was calibrated on."""
    used = {path.resolve() for path in calibration}
    others = [path for path in paths if path.resolve() not in used]
    if not others:
        raise CalibrationError(f"Every picture of {folder} is calibrated on: expected others to measure on, or none.")
    return at_most(MOST_TO_MEASURE, others)
