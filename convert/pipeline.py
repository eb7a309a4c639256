"""The road of one variant: from a checkpoint and pictures to model files that were run and compared."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints import Checkpoint
from convert.pictures import (
    MOST_TO_CALIBRATE,
    MOST_TO_MEASURE,
    Pictures,
    at_most,
    find_pictures,
    read_pictures,
    read_truth,
    split,
)
from convert.quantize import FoldedNetwork, Form, QuantizedNetwork, fold, quantize, symmetrize
from convert.tflite_metadata import ModelCard
from convert.to_onnx import to_onnx, to_qdq
from convert.to_tflite import IoType, to_tflite
from convert.verify import Reference, float_answers, require, verify
from edge.backends import Backend, ModelFile, litert, onnxruntime
from edge.classify import label_mismatch
from edge.errors import BackendError, CalibrationError
from edge.manifest import Accuracy
from edge.preprocess import Preprocessing, Preprocessor
from edge.tensor import TensorSpec
from edge.variant import Variant

__all__ = ["FILES", "Emitted", "Material", "Progress", "Target", "compare", "emit", "gather"]

Target = Literal["tflite", "onnx", "onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8_full"]
"""What to emit: int8 TFLite; ONNX of one precision, where ``int8`` keeps the depthwise layers in fp16 and ``int8_full``
does not; or, as ``onnx``, the three of ONNX that TensorRT is likely to want."""
FILES: Final[dict[Target, tuple[tuple[str, str], ...]]] = {
    "tflite": (("tflite", "int8"),),
    "onnx": (("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "int8")),
    "onnx-fp32": (("onnx", "fp32"),),
    "onnx-fp16": (("onnx", "fp16"),),
    "onnx-int8": (("onnx", "int8"),),
    "onnx-int8_full": (("onnx", "int8_full"),),
}
"""Format and precision of each target's files."""
Progress = Callable[[str, float], None]
"""Told what is at work and the share done, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """What a conversion works on besides the weights."""

    preprocessing: Preprocessing
    calibration: Pictures
    held_out: Pictures
    truth: Mapping[Path, int]
    """The class of each held-out picture, where it is known."""
    measured_on: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Emitted:
    """One model file's bytes, and what running it showed."""

    variant: Variant
    content: bytes
    format: str
    precision: str
    accuracy: Accuracy
    input: TensorSpec
    """What the file takes."""

    @property
    def file_name(self) -> str:
        """``mobilenet_v1_0.50_160_int8.tflite``."""
        return f"{self.variant.name}_{self.precision}.{self.format}"


def gather(
    calibration: Path,
    resolutions: Sequence[int],
    *,
    labels: Sequence[str] = (),
    classes: int,
    verify_on: Path | None = None,
    truth: Path | None = None,
    preprocessing: Preprocessing | None = None,
    progress: Progress = lambda stage, share: None,
) -> Material:
    """Find, split and read the pictures.

    Args:
        calibration: A folder of pictures.
        resolutions: Every ρ to read them for.
        labels: The classes' names, if known.
        classes: Outputs of the network.
        verify_on: A folder of other pictures to measure on; None holds back half of ``calibration``.
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
    found = find_pictures(calibration)
    if verify_on:
        to_calibrate = at_most(MOST_TO_CALIBRATE, found)
        to_measure = _others(find_pictures(verify_on), to_calibrate, verify_on)
    else:
        to_calibrate, to_measure = split(found)
    recipe = preprocessing or Preprocessing()
    names = labels or [""] * classes
    folder = (verify_on or calibration).resolve().name
    held_out = read_pictures(to_measure, recipe, resolutions, lambda s: progress("reading pictures", s / 2))
    return Material(
        preprocessing=recipe,
        calibration=read_pictures(
            to_calibrate, recipe, resolutions, lambda s: progress("reading pictures", 0.5 + s / 2)
        ),
        held_out=held_out,
        truth=read_truth(held_out.paths, names, truth),
        measured_on=f"{len(held_out.paths)} pictures of {folder}, not used for calibration",
    )


def emit(
    checkpoint: Checkpoint,
    resolution: int,
    material: Material,
    *,
    targets: Sequence[Target] = ("tflite",),
    io: IoType = "int8",
    card: ModelCard | None = None,
    min_agreement: float,
    progress: Progress = lambda stage, share: None,
) -> list[Emitted]:
    """Convert one variant, run every file made and compare it with float on the held-out pictures.

    Args:
        checkpoint: The trained network.
        resolution: The variant's ρ; ``material`` was read for it.
        material: Pictures to calibrate and to measure on.
        targets: The formats to emit.
        io: Type of the TFLite file's input and output.
        card: What a TFLite file says about itself; its version is taken from the checkpoint's checksum.
        min_agreement: The least share of held-out pictures on which a file must agree with float.
        progress: Called as the work goes on.

    Raises:
        AccuracyError: A file disagrees too often.
        ConversionError: The network cannot be expressed in a format.
    """
    network = fold(checkpoint.model)
    variant = Variant(network.alpha, resolution)
    card = replace(card or ModelCard(), version=checkpoint.sha256[:12])
    reference = float_answers(
        network, material.held_out, resolution, material.preprocessing, material.truth, material.measured_on
    )
    emitted = []
    files = list(dict.fromkeys(file for target in targets for file in FILES[target]))
    writer = _Writer(network, variant, material, io, card)
    for number, (format, precision) in enumerate(files):
        step = _stage(progress, number / len(files), 1 / len(files))
        content = writer.content(format, precision, _stage(step, 0, 0.6))
        accuracy, spec = _measure(content, format, variant, reference, material.preprocessing, _stage(step, 0.6, 0.4))
        result = Emitted(
            variant=variant, content=content, format=format, precision=precision, accuracy=accuracy, input=spec
        )
        require(accuracy, min_agreement, result.file_name)
        emitted.append(result)
    return emitted


def compare(
    path: Path,
    checkpoint: Checkpoint,
    pictures: Path,
    *,
    labels: Sequence[str] = (),
    truth: Path | None = None,
    preprocessing: Preprocessing | None = None,
    progress: Progress = lambda stage, share: None,
) -> Accuracy:
    """Run a written ``.tflite`` or ``.onnx`` file and compare it with its float original.

    Raises:
        BackendError: The file cannot be loaded, or is no model of the checkpoint's classes.
        CalibrationError: The pictures or their classes cannot be used.
    """
    recipe, network = preprocessing or Preprocessing(), fold(checkpoint.model)
    with contextlib.closing(_load(path, Variant(network.alpha, 32), network.classes)) as backend:
        resolution = Preprocessor(recipe, backend.input_spec).side
        if backend.output_spec.shape[-1] != network.classes:
            outputs = backend.output_spec.shape[-1]
            raise BackendError(f"{path} has {outputs} outputs, {checkpoint.path} {network.classes}: not its model.")
        paths = at_most(MOST_TO_MEASURE, find_pictures(pictures))
        found = read_pictures(paths, recipe, [resolution], lambda s: progress("reading", s / 3))
        classes = read_truth(found.paths, labels or [""] * network.classes, truth)
        measured_on = f"{len(found.paths)} pictures of {pictures.resolve().name}"
        reference = float_answers(network, found, resolution, recipe, classes, measured_on)
        return verify(backend, reference, recipe, lambda share: progress("running the file", (1 + 2 * share) / 3))


def _others(paths: Sequence[Path], calibration: Sequence[Path], folder: Path) -> list[Path]:
    """Pictures to measure on: none that was calibrated on."""
    used = {path.resolve() for path in calibration}
    others = [path for path in paths if path.resolve() not in used]
    if not others:
        raise CalibrationError(
            f"Every picture of {folder} is calibrated on: expected others to measure on, or no --verify-on at all."
        )
    return at_most(MOST_TO_MEASURE, others)


class _Writer:
    """Writes one variant in every form; the integers are found once, and shared."""

    def __init__(
        self, network: FoldedNetwork, variant: Variant, material: Material, io: IoType, card: ModelCard
    ) -> None:
        self._network, self._variant, self._material, self._io, self._card = network, variant, material, io, card
        self._progress: Progress = lambda stage, share: None

    def content(self, format: str, precision: str, progress: Progress) -> bytes:
        self._progress = progress
        if format == "tflite":
            return to_tflite(self._integers, io=self._io, card=self._card)
        if precision in ("fp32", "fp16"):
            return to_onnx(self._network, self._variant, "fp16" if precision == "fp16" else "fp32")
        form: Form = "full" if precision == "int8_full" else "mixed"
        return to_qdq(symmetrize(self._network, self._integers, self._pixels, form, self._progress))

    @property
    def _pixels(self) -> NDArray[np.uint8]:
        return self._material.calibration.pixels[self._variant.resolution]

    @cached_property
    def _integers(self) -> QuantizedNetwork:
        return quantize(self._network, self._pixels, self._material.preprocessing, progress=self._progress)


def _measure(
    content: bytes, format: str, variant: Variant, reference: Reference, recipe: Preprocessing, progress: Progress
) -> tuple[Accuracy, TensorSpec]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{format}"
        path.write_bytes(content)
        with contextlib.closing(_load(path, variant, reference.probabilities.shape[1])) as backend:
            told = f"running the {format} file"
            return verify(backend, reference, recipe, lambda share: progress(told, share)), backend.input_spec


def _load(path: Path, variant: Variant, classes: int) -> Backend:
    model = ModelFile(path, variant, classes)
    return onnxruntime.load(model, 1) if path.suffix == ".onnx" else litert.load(model, 1)


def _stage(progress: Progress, start: float, length: float) -> Progress:
    """Progress of a part, as progress of the whole."""
    return lambda stage, share: progress(stage, start + length * share)
