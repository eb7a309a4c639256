"""Run a written model file, and compare its answers with those of the float network."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints import Checkpoint
from convert.data.image_sets import MOST_TO_MEASURE, at_most, find_pictures, read_pictures
from convert.errors import CalibrationError
from convert.pipeline.confidence import evaluation_of
from convert.pipeline.verification import Reference, accuracy_of, answers_of, float_answers
from convert.quantization import fold, folded_recipe
from edge.bundles.manifest import Accuracy
from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.evaluation.result import Evaluation
from edge.evaluation.truth import read_truth
from edge.inference.backends import Backend, ModelFile, litert, onnxruntime
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec

__all__ = ["FileAnswers", "compare", "run_file"]


def compare(
    path: Path,
    checkpoint: Checkpoint,
    pictures: Path,
    *,
    labels: Sequence[str] = (),
    truth: Path | None = None,
    preprocessing: Preprocessing | None = None,
    on_evaluated: Callable[[Evaluation], None] = lambda evaluation: None,
    progress: Progress = no_progress,
) -> Accuracy:
    """Run a written ``.tflite`` or ``.onnx`` file and compare it with its float original.

    ``on_evaluated`` is called with how each class did, where labels are known.

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
        stage = "running the file"
        answers = answers_of(backend, reference.pixels, recipe, lambda s: progress(stage, (1 + 2 * s) / 3))
        if evaluation := evaluation_of(answers, reference, path.name, labels):
            on_evaluated(evaluation)
        return accuracy_of(answers, reference)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileAnswers:
    """What running a model file gave."""

    probabilities: NDArray[np.float32]
    """(held-out pictures, classes)."""
    nothing: NDArray[np.float32] | None
    """(pictures of nothing, classes); None without such."""
    input: TensorSpec
    """What the file takes."""


def run_file(
    content: bytes,
    format: str,
    variant: Variant,
    reference: Reference,
    recipe: Preprocessing,
    progress: Progress,
    nothing: NDArray[np.uint8] | None = None,
) -> FileAnswers:
    """Run the bytes of a model file on the held-out pictures and on those of ``nothing`` (count, ρ, ρ, channels)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{format}"
        path.write_bytes(content)
        with contextlib.closing(_load(path, variant, reference.probabilities.shape[1])) as backend:
            stage = f"running the {format} file"
            return FileAnswers(
                probabilities=answers_of(backend, reference.pixels, recipe, lambda share: progress(stage, share)),
                nothing=None if nothing is None else answers_of(backend, nothing, recipe),
                input=backend.input_spec,
            )


def _load(path: Path, variant: Variant, classes: int) -> Backend:
    model = ModelFile(path, variant, classes)
    return onnxruntime.load(model, 1) if path.suffix == ".onnx" else litert.load(model, 1)
