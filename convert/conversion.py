"""What the commands do with a trained network, each as one call from paths to finished files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convert.checkpoints import Checkpoint
from convert.data.calibration_data import CalibrationData
from convert.options import BundleOptions, CheckOptions, ConversionOptions, QuantizationOptions, TfliteOptions
from convert.pipeline.bundle import BundlePlan, build_bundle
from convert.pipeline.inputs import AnyCheckpoint, labels_of, load_pictures, loaded, own_resolutions
from convert.pipeline.layers import NetworkReport
from convert.pipeline.running import compare
from convert.pipeline.targets import ONNX_TARGETS, Int8Form, Target, check_writers
from convert.pipeline.variant import Emitted, Tune, emit, quantize_variant, report_layers
from convert.pipeline.verification import require
from convert.quantization import QuantizedNetwork
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import Accuracy
from edge.bundles.members import check_place
from edge.evaluation.options import ThresholdOptions
from edge.evaluation.result import Evaluation
from edge.files import check_parent, write_atomically
from edge.inference.metadata_writer import ModelCard
from edge.paths import AnyPath
from edge.progress import Progress, no_progress, part_of
from edge.vision.preprocess import Preprocessing

if TYPE_CHECKING:
    from convert.export.tensorrt.engines import OnnxPrecision
    from convert.export.tflite import IoType

__all__ = ["examine_layers", "quantize", "verify", "write_bundle", "write_onnx", "write_tflite"]

_READING: Final = 0.1
"""Share of the work that reading pictures takes."""


def write_bundle(
    checkpoints: AnyCheckpoint | Sequence[AnyCheckpoint],
    out: AnyPath,
    *,
    labels: AnyPath | Sequence[str],
    calibration: AnyPath | None = None,
    resolutions: Sequence[int] | None = None,
    targets: Target | Sequence[Target] = ("tflite",),
    options: BundleOptions = BundleOptions(),
    thresholds: ThresholdOptions = ThresholdOptions(),
    replace: bool = False,
    on_evaluated: Callable[[Evaluation], None] = lambda evaluation: None,
    progress: Progress = no_progress,
) -> Bundle:
    """Convert, measure and bundle every α and ρ.

    Args:
        checkpoints: The trained network, or one for each α; or several of one α, each with its ``only_at``.
        out: The bundle's folder; it appears whole or not at all.
        labels: The classes' names, or a file with one a line.
        calibration: A folder of pictures like those the camera will see, half of which is held back to measure on; or
            a training's ``splits.csv``; None to calibrate on synthetic ones.
        resolutions: Every ρ; None for that which the checkpoints' files ask for, or else the paper's four.
        targets: The formats to write, or the one.
        options: How to convert and to check.
        thresholds: What the thresholds of unknown and of single classes are to achieve.
        replace: Whether a bundle that is there already may be replaced.
        on_evaluated: Called with how each class did in each file, where labels are known.
        progress: Called as the work goes on.

    Returns:
        The bundle, opened.

    Raises:
        EdgeError: A checkpoint, a picture or a label cannot be used (:mod:`convert.errors`), a file agrees too seldom
            with float (``AccuracyError``), or the folder cannot be written (``OutputError``).
    """
    out = Path(out)
    check_place(out, replace=replace)
    given = [checkpoints] if isinstance(checkpoints, (str, PathLike, Checkpoint)) else checkpoints
    names, networks = labels_of(labels), tuple(map(loaded, given))
    sides = own_resolutions(networks) if resolutions is None else tuple(resolutions)
    plan = BundlePlan(
        name=options.name or out.resolve().name,
        checkpoints=networks,
        resolutions=sides,
        labels=names,
        author=options.author,
        license=options.license,
        targets=(targets,) if isinstance(targets, str) else tuple(targets),
        tune=_tuner(options.fine_tune_on, names) if options.fine_tune_on else None,
        min_agreement=options.min_agreement,
        temperature=options.temperature,
        thresholds=thresholds,
        background=options.background,
    )
    check_writers(plan.targets)
    data = load_pictures(plan.checkpoints, calibration, sides, names, options, part_of(progress, 0, _READING))
    rest = part_of(progress, _READING, 1 - _READING)
    build_bundle(plan, data, out, replace=replace, on_evaluated=on_evaluated, progress=rest)
    return open_bundle(out)


def write_tflite(
    checkpoint: AnyCheckpoint,
    out: AnyPath,
    *,
    resolution: int,
    labels: AnyPath | Sequence[str] = (),
    calibration: AnyPath | None = None,
    io: IoType = "int8",
    options: TfliteOptions = TfliteOptions(),
    progress: Progress = no_progress,
) -> Emitted:
    """Write one full-integer int8 ``.tflite`` file, run it, and compare it with float.

    Args:
        checkpoint: The trained network.
        out: The file to write.
        resolution: Input height and width ρ, a multiple of 32.
        labels: The classes' names, or a file with one a line; they are appended to the file.
        calibration: As for :func:`write_bundle`.
        io: Type of input and output.
        options: How to convert and to check.
        progress: Called as the work goes on.

    Raises:
        EdgeError: As :func:`write_bundle`.
    """
    names = labels_of(labels)
    card = ModelCard(labels=names, author=options.author, license=options.license)
    return _write(checkpoint, out, resolution, names, calibration, "tflite", options, progress, io, card)


def write_onnx(
    checkpoint: AnyCheckpoint,
    out: AnyPath,
    *,
    resolution: int,
    precision: OnnxPrecision = "int8",
    labels: AnyPath | Sequence[str] = (),
    calibration: AnyPath | None = None,
    options: ConversionOptions = ConversionOptions(),
    progress: Progress = no_progress,
) -> Emitted:
    """Write one ``.onnx`` file for TensorRT or ONNX Runtime, run it, and compare it with float.

    Args:
        checkpoint: The trained network.
        out: The file to write.
        resolution: Input height and width ρ, a multiple of 32.
        precision: ``int8`` keeps the depthwise layers in fp16; ``int8_full`` does not, and agrees less.
        labels: The classes' names, or a file with one a line.
        calibration: As for :func:`write_bundle`.
        options: How to convert and to check.
        progress: Called as the work goes on.

    Raises:
        EdgeError: As :func:`write_bundle`.
    """
    return _write(
        checkpoint, out, resolution, labels_of(labels), calibration, ONNX_TARGETS[precision], options, progress
    )


def quantize(
    checkpoint: AnyCheckpoint,
    resolution: int,
    *,
    calibration: AnyPath | None = None,
    options: QuantizationOptions = QuantizationOptions(),
    progress: Progress = no_progress,
) -> QuantizedNetwork:
    """The integers of one variant, as :func:`convert.to_tflite` takes them.

    Raises:
        EdgeError: As :func:`write_bundle`.
    """
    network, data = _read(checkpoint, resolution, calibration, options, progress)
    return quantize_variant(network, resolution, data, progress=part_of(progress, _READING, 1 - _READING))


def verify(
    model: AnyPath,
    checkpoint: AnyCheckpoint,
    pictures: AnyPath,
    *,
    labels: AnyPath | Sequence[str] = (),
    options: CheckOptions = CheckOptions(),
    on_evaluated: Callable[[Evaluation], None] = lambda evaluation: None,
    progress: Progress = no_progress,
) -> Accuracy:
    """Run a written ``.tflite`` or ``.onnx`` file and compare it with the checkpoint that it was made from.

    Args:
        model: The file.
        checkpoint: The network that it was made from.
        pictures: A folder of pictures that it was not calibrated on.
        labels: The classes' names, or a file with one a line.
        options: How to compare.
        on_evaluated: Called with how each class did, where labels are known.
        progress: Called as the work goes on.

    Raises:
        BackendError: The file cannot be loaded, or is not a model of the checkpoint's classes.
        AccuracyError: It agrees too seldom with float.
    """
    path = Path(model)
    found = compare(
        path,
        loaded(checkpoint),
        Path(pictures),
        labels=labels_of(labels),
        truth=options.truth,
        preprocessing=Preprocessing(resize=options.resize),
        on_evaluated=on_evaluated,
        progress=progress,
    )
    return require(found, options.min_agreement, path.name)


def examine_layers(
    checkpoint: AnyCheckpoint,
    resolution: int,
    *,
    form: Int8Form = "tflite",
    calibration: AnyPath | None = None,
    options: QuantizationOptions = QuantizationOptions(),
    progress: Progress = no_progress,
) -> NetworkReport:
    """Quantize one variant and compare every layer with float: noise, shifts, dead channels, what each costs alone.

    Raises:
        EdgeError: As :func:`write_bundle`.
    """
    network, data = _read(checkpoint, resolution, calibration, options, progress)
    return report_layers(network, resolution, data, form=form, progress=part_of(progress, _READING, 1 - _READING))


def _read(
    checkpoint: AnyCheckpoint,
    resolution: int,
    calibration: AnyPath | None,
    options: QuantizationOptions,
    progress: Progress,
) -> tuple[Checkpoint, CalibrationData]:
    network = loaded(checkpoint)
    return network, load_pictures([network], calibration, [resolution], (), options, part_of(progress, 0, _READING))


def _write(
    checkpoint: AnyCheckpoint,
    out: AnyPath,
    resolution: int,
    labels: tuple[str, ...],
    calibration: AnyPath | None,
    target: Target,
    options: ConversionOptions,
    progress: Progress,
    io: IoType = "int8",
    card: ModelCard | None = None,
) -> Emitted:
    check_parent(Path(out))
    check_writers([target])
    network = loaded(checkpoint)
    data = load_pictures([network], calibration, [resolution], labels, options, part_of(progress, 0, _READING))
    (emitted,) = emit(
        network,
        resolution,
        data,
        targets=[target],
        io=io,
        card=card,
        min_agreement=options.min_agreement,
        temperature=options.temperature,
        progress=part_of(progress, _READING, 1 - _READING),
    )
    write_atomically(Path(out), emitted.content)
    return emitted


def _tuner(data: Path, labels: tuple[str, ...]) -> Tune:
    """Fine-tunes integers on labelled pictures, with int8's rounding in the loop."""
    from convert.data.dataset import read_dataset
    from convert.training.qat import Qat

    return Qat(dataset=read_dataset(data), labels=labels).tune
