"""Run a written model file, and compare its answers with those of the float network."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from convert.checkpoints import Checkpoint
from convert.data.image_sets import MOST_TO_MEASURE, at_most, find_pictures, read_pictures
from convert.errors import CalibrationError
from convert.pipeline.verification import Reference, float_answers, verify
from convert.quantization import fold, folded_recipe
from edge.bundles.manifest import Accuracy
from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.evaluation.truth import read_truth
from edge.inference.backends import Backend, ModelFile, litert, onnxruntime
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec

__all__ = ["compare", "run_file"]


def compare(
    path: Path,
    checkpoint: Checkpoint,
    pictures: Path,
    *,
    labels: Sequence[str] = (),
    truth: Path | None = None,
    preprocessing: Preprocessing | None = None,
    progress: Progress = no_progress,
) -> Accuracy:
    """Run a written ``.tflite`` or ``.onnx`` file and compare it with its float original.

    Raises:
        BackendError: The file cannot be loaded, or is not a model of the checkpoint's classes.
        CalibrationError: The pictures or their classes cannot be used.
    """
    recipe, config = folded_recipe(checkpoint.config, preprocessing), checkpoint.config
    with contextlib.closing(_load(path, Variant(config.alpha, 32), config.classes)) as backend:
        resolution = Preprocessor(recipe, backend.input_spec).side
        if backend.output_spec.shape[-1] != config.classes:
            outputs = backend.output_spec.shape[-1]
            raise BackendError(f"{path} has {outputs} outputs, {checkpoint.path} {config.classes}: not its model.")
        network = fold(checkpoint.at(resolution))
        paths = at_most(MOST_TO_MEASURE, find_pictures(pictures))
        found = read_pictures(paths, recipe, [resolution], lambda s: progress("reading", s / 3))
        classes = read_truth(found.paths, labels or [""] * config.classes, truth, CalibrationError)
        measured_on = f"{len(found.paths)} pictures of {pictures.resolve().name}"
        reference = float_answers(network, found, resolution, recipe, classes, measured_on)
        return verify(backend, reference, recipe, lambda share: progress("running the file", (1 + 2 * share) / 3))


def run_file(
    content: bytes, format: str, variant: Variant, reference: Reference, recipe: Preprocessing, progress: Progress
) -> tuple[Accuracy, TensorSpec]:
    """What running the bytes of a model file shows beside the float answers, and what it takes as input."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{format}"
        path.write_bytes(content)
        with contextlib.closing(_load(path, variant, reference.probabilities.shape[1])) as backend:
            stage = f"running the {format} file"
            return verify(backend, reference, recipe, lambda share: progress(stage, share)), backend.input_spec


def _load(path: Path, variant: Variant, classes: int) -> Backend:
    model = ModelFile(path, variant, classes)
    return onnxruntime.load(model, 1) if path.suffix == ".onnx" else litert.load(model, 1)
