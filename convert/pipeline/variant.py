"""The road of one variant: from a checkpoint and pictures to model files that were run and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints import Checkpoint
from convert.data.calibration_data import CalibrationData
from convert.errors import ConversionError
from convert.pipeline.confidence import ConfidenceOf, float_error
from convert.pipeline.layers import NetworkReport, examine
from convert.pipeline.running import run_file
from convert.pipeline.targets import FILES, Int8Form, Target
from convert.pipeline.temperature import cooled, find_temperature
from convert.pipeline.verification import accuracy_of, float_answers, require
from convert.quantization import (
    FoldedNetwork,
    Form,
    QuantizedNetwork,
    SymmetricNetwork,
    equalize,
    fold,
    folded_recipe,
    quantize,
    symmetrize,
)
from convert.quantization.fake_quant import FakeQuantLayer, fake_quant_integers, fake_quant_symmetric
from edge.bundles.confidence import Confidence
from edge.bundles.manifest import Accuracy
from edge.bundles.variant import Variant
from edge.evaluation.options import ThresholdOptions
from edge.evaluation.result import Evaluation
from edge.inference.metadata_writer import ModelCard
from edge.progress import Progress, no_progress, part_of
from edge.vision.preprocess import Preprocessing
from edge.vision.tensor import TensorSpec

if TYPE_CHECKING:
    from convert.export.tflite import IoType

__all__ = [
    "Emitted",
    "Tune",
    "emit",
    "quantize_variant",
    "report_layers",
]

Tune = Callable[[FoldedNetwork, QuantizedNetwork, Progress], QuantizedNetwork]
"""Makes better integers of an equalized float network and what the quantizer made of it."""


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
    confidence: Confidence | None = None
    """How far its probabilities can be trusted; None where too few labels are known."""
    evaluation: Evaluation | None = None
    """How each class did on the held-out pictures; None where no class is known."""

    @property
    def file_name(self) -> str:
        """``mobilenet_v1_0.50_160_int8.tflite``."""
        return f"{self.variant.name}_{self.precision}.{self.format}"


def emit(
    checkpoint: Checkpoint,
    resolution: int,
    data: CalibrationData,
    *,
    targets: Sequence[Target] = ("tflite",),
    io: IoType = "int8",
    card: ModelCard | None = None,
    tune: Tune | None = None,
    min_agreement: float,
    temperature: float | None = None,
    thresholds: ThresholdOptions = ThresholdOptions(),
    background: int | None = None,
    progress: Progress = no_progress,
) -> list[Emitted]:
    """Convert one variant, run every file made and compare it with float on the held-out pictures.

    Args:
        checkpoint: The trained network.
        resolution: The variant's ρ; ``data`` was read for it.
        data: Pictures to calibrate and to measure on.
        targets: The formats to emit.
        io: Type of the TFLite file's input and output.
        card: What a TFLite file says about itself; its version is taken from the checkpoint's checksum.
        tune: What to do with the quantizer's integers before they are written.
        min_agreement: The least share of held-out pictures on which a file must agree with float.
        temperature: What to divide the logits by; None to find it on the labelled held-out pictures.
        thresholds: What the thresholds are to achieve.
        background: The class that stands for nothing in particular; None without one.
        progress: Called as the work goes on.

    Raises:
        AccuracyError: A file disagrees too often.
        ConfidenceError: No threshold achieves what is asked.
        ConversionError: The network cannot be expressed in a format, or has a single class.
    """
    network = _folded(checkpoint, resolution, data.preprocessing)
    if network.classes < 2:
        raise ConversionError(
            f"{checkpoint.path} has one class, whose probability is always 1: expected two or more. "
            "Train it with a class for everything else."
        )
    variant = Variant(network.alpha, resolution)
    card = replace(card or ModelCard(), version=checkpoint.sha256[:12])
    reference = float_answers(
        network,
        data.held_out,
        resolution,
        data.preprocessing,
        data.truth,
        data.measured_on,
        are_synthetic=data.measures_on_drawn,
    )
    before = float_error(reference)
    if temperature is None:
        temperature = find_temperature(reference, variant.name)
    if temperature is not None:
        network = network.divided(temperature)
        reference = replace(reference, probabilities=cooled(reference.probabilities, temperature))
    confidence_of = ConfidenceOf(
        data=data,
        resolution=resolution,
        reference=reference,
        labels=card.labels or [str(number) for number in range(network.classes)],
        options=thresholds,
        background=background,
        temperature=temperature,
        error_before=before,
    )
    emitted = []
    files = list(dict.fromkeys(file for target in targets for file in FILES[target]))
    writer = _Writer(network, variant, data, io, card, tune)
    for number, (format, precision) in enumerate(files):
        step = part_of(progress, number / len(files), 1 / len(files))
        content = writer.content(format, precision, part_of(step, 0, 0.6))
        running = part_of(step, 0.6, 0.4)
        answers = run_file(content, format, variant, reference, data.preprocessing, running, confidence_of.nothing)
        accuracy = accuracy_of(answers.probabilities, reference)
        result = Emitted(
            variant=variant, content=content, format=format, precision=precision, accuracy=accuracy, input=answers.input
        )
        required = require(accuracy, min_agreement, result.file_name)
        confidence, evaluation = confidence_of(result.file_name, answers.probabilities, answers.nothing)
        emitted.append(replace(result, accuracy=required, confidence=confidence, evaluation=evaluation))
    return emitted


def quantize_variant(
    checkpoint: Checkpoint,
    resolution: int,
    data: CalibrationData,
    *,
    progress: Progress = no_progress,
) -> QuantizedNetwork:
    """The integers of one variant, as its TFLite file holds them."""
    network = _folded(checkpoint, resolution, data.preprocessing)
    writer = _Writer(network, Variant(network.alpha, resolution), data, "int8", ModelCard())
    return writer.integers(progress)


def report_layers(
    checkpoint: Checkpoint,
    resolution: int,
    data: CalibrationData,
    *,
    form: Int8Form = "tflite",
    progress: Progress = no_progress,
) -> NetworkReport:
    """Quantize one variant and compare every layer with float on the held-out pictures.

    Args:
        checkpoint: The trained network.
        resolution: The variant's ρ; ``data`` was read for it.
        data: Pictures to calibrate and to examine on.
        form: ``tflite``, ``onnx-int8`` or ``onnx-int8_full``.
        progress: Called as the work goes on.
    """
    network = _folded(checkpoint, resolution, data.preprocessing)
    variant = Variant(network.alpha, resolution)
    writer = _Writer(network, variant, data, "int8", ModelCard())
    layers = writer.rounded(FILES[form][0], part_of(progress, 0, 0.5))
    return examine(layers, data.held_out.pixels[resolution], data.preprocessing, part_of(progress, 0.5, 0.5))


def _folded(checkpoint: Checkpoint, resolution: int, recipe: Preprocessing) -> FoldedNetwork:
    """The float network, if it takes pictures as ``recipe`` prepares them."""
    wanted = folded_recipe(checkpoint.config, recipe)
    if wanted != recipe:
        raise ConversionError(
            f"{checkpoint.path} takes {wanted.colour_order} pixels less {wanted.mean}, but the pictures are "
            f"{recipe.colour_order} less {recipe.mean}. Around a picture stands its mean, so one preparation cannot "
            "serve both: put such checkpoints into bundles of their own."
        )
    return fold(checkpoint.at(resolution))


class _Writer:
    """Writes one variant in every form; the integers are found once, and shared."""

    def __init__(
        self,
        network: FoldedNetwork,
        variant: Variant,
        data: CalibrationData,
        io: IoType,
        card: ModelCard,
        tune: Tune | None = None,
    ) -> None:
        self._network, self._variant, self._data = network, variant, data
        self._io, self._card, self._tune = io, card, tune
        self._progress: Progress = no_progress

    def content(self, format: str, precision: str, progress: Progress) -> bytes:
        self._progress = progress
        if format == "tflite":
            from convert.export.tflite import to_tflite

            return to_tflite(self._integers, io=self._io, card=self._card)
        from convert.export.onnx import to_onnx, to_qdq

        if precision == "fp32":
            return to_onnx(self._network, self._variant)
        if precision == "fp16":  # half floats round as well, and what is good for int8 is good for them
            return to_onnx(self._equalized, self._variant, "fp16")
        return to_qdq(self._symmetric(precision))

    def integers(self, progress: Progress) -> QuantizedNetwork:
        self._progress = progress
        return self._integers

    def rounded(self, file: tuple[str, str], progress: Progress) -> list[FakeQuantLayer]:
        """The layers of an int8 form beside their float originals."""
        self._progress = progress
        format, precision = file
        if format == "tflite":
            return fake_quant_integers(self._equalized, self._integers)
        return fake_quant_symmetric(self._equalized, self._symmetric(precision))

    def _symmetric(self, precision: str) -> SymmetricNetwork:
        form: Form = "full" if precision == "int8_full" else "mixed"
        return symmetrize(self._equalized, self._integers, self._pixels, form, self._progress)

    @property
    def _pixels(self) -> NDArray[np.uint8]:
        return self._data.calibration.pixels[self._variant.resolution]

    @cached_property
    def _equalized(self) -> FoldedNetwork:
        return equalize(self._network, self._pixels, self._data.preprocessing)

    @cached_property
    def _integers(self) -> QuantizedNetwork:
        recipe = self._data.preprocessing
        found = quantize(
            self._equalized,
            self._pixels,
            recipe,
            are_synthetic=self._data.is_synthetic,
            progress=self._progress,
        )
        return self._tune(self._equalized, found, self._progress) if self._tune else found
