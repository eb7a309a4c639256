"""Fits the last layers of the written files once more, on what the int8 layers before them see of cards and of things.

Training showed rooms without a card, but no things: photos of objects on plain ground were taken for digits, and at
the high resolutions the networks had been trained least. The convolutions of the last two blocks and the classifier
learn from more cards and from things; logits are divided by a temperature found on other pictures, and thresholds of
unknown come from held-out handwriting and from things that were not learned from.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edge.bundles.bundle import MANIFEST, Bundle
from edge.bundles.manifest import Accuracy, Artifact, BundledVariant
from edge.bundles.variant import Variant
from edge.evaluation.confidence import Answers, measure_confidence
from edge.evaluation.options import ThresholdOptions
from edge.files import sha256_of
from edge.inference.backends.litert import LiteRTBackend
from edge.inference.metadata_writer import ModelCard, ModelFacts
from edge.intervals import wilson_interval
from edge.json_files import to_json
from edge.teaching.graph import Backbone
from edge.vision.preprocess import Frame, Preprocessor
from scripts.demo.cards import LABELS, NO_CARD
from scripts.demo.fitting import fit_tail
from scripts.demo.pictures import Cards, held_out_pictures
from scripts.demo.tail import Array, before_tail, read_tail, with_tail
from scripts.demo.things import draw_things

__all__ = ["FALSE_ALARMS", "refit"]

FALSE_ALARMS: Final = {
    Variant(0.5, 224): 0.016,
    Variant(0.5, 192): 0.0095,
    Variant(0.25, 224): 0.0125,
    Variant(0.25, 192): 0.0078,
    Variant(0.25, 160): 0.017,
}
"""Share of the drawn things that may be taken for a digit; 2 % where none is named, which costs no right answers.

Chosen on one half of the photos in docs/confidence.md, so that at most one of 108 is taken for a digit.
"""
_OTHERWISE: Final = 0.02
CARD: Final = ModelCard(labels=LABELS, author="mobilenet-edge", license="Apache-2.0")
"""What each file of the demo says about itself."""
_PICTURES, _STRANGERS, _MEASURED = 3840, 1200, 100
_THINGS_A_ROUND: Final = 4
"""Pictures of things after each twelve of cards and rooms."""
_TEMPERED: Final = 0.2
"""Share of the pictures that the temperature is found on, instead of learning from them."""
_OTHER_CARDS, _OTHER_THINGS = 7, 8
_STAGE: Final = (12, 5, 5e-4)
"""First block that learns, how often each picture is shown, and the learning rate."""
_SECOND_STAGE: Final = (6, 6, 1e-3)
"""Afterwards, where the family's training had left most to learn; elsewhere it gains nothing."""
_WEAK: Final = (Variant(0.25, 224), Variant(0.25, 192))


def refit(
    bundle: Bundle, *, pictures: int = _PICTURES, strangers: int = _STRANGERS, per_class: int = _MEASURED
) -> None:
    """Write each file of ``bundle`` with its last layers fitted again, and what was measured of it.

    Args:
        bundle: The bundle, in a folder that may be written to; its golden answers are those of before.
        pictures: How many to learn from: cards, rooms and things.
        strangers: Pictures of other things, which set the thresholds.
        per_class: Pictures of each class, of handwriting that was not trained on, to measure on.
    """
    drawn, rng = Cards(seed=_OTHER_CARDS, things=_THINGS_A_ROUND), np.random.default_rng(_OTHER_THINGS)
    examples = [drawn.example(number) for number in range(pictures)]
    truth = np.array([label for _, label in examples])
    held_out = np.random.default_rng(0).random(pictures) < _TEMPERED
    others = [draw_things(rng) for _ in range(strangers)]
    measured, measured_truth = held_out_pictures(per_class)
    entries = []
    for entry in bundle.variants:
        (artifact,) = entry.artifacts
        path = bundle.path(artifact.file)
        stages = (_STAGE, _SECOND_STAGE) if entry.variant in _WEAK else (_STAGE,)
        with tempfile.TemporaryDirectory() as folder:
            cut = Path(folder) / artifact.file
            for first_block, epochs, rate in stages:
                cut.write_bytes(before_tail(path, first_block))
                seen = _answers(cut, bundle, [frame for frame, _ in examples])
                layers = read_tail(path, first_block)
                fitted = fit_tail(
                    seen, truth, held_out, layers, _layer_of(path), epochs=epochs, rate=rate, report=print
                )
                cut.write_bytes(with_tail(path, fitted.layers))
                path.write_bytes(Backbone(cut).with_classifier(fitted.head, _facts(entry, bundle), CARD))
        answers = _probabilities(path, bundle, measured)
        nothing = Answers.of(_probabilities(path, bundle, others), np.full(strangers, NO_CARD))
        entries.append(_entry(entry, artifact, path, answers, measured_truth, nothing, fitted.head.temperature))
        print(entries[-1].artifacts[0].confidence, flush=True)
    source = {
        **bundle.manifest.source,
        "author": CARD.author,
        "license": CARD.license,
        "last_layers_fitted_on": pictures,
    }
    source.pop("last_layer_fitted_on", None)
    manifest = replace(bundle.manifest, variants=tuple(entries), source=source)
    (bundle.root / MANIFEST).write_text(to_json(manifest.to_dict()), encoding="utf-8")


def _facts(entry: BundledVariant, bundle: Bundle) -> ModelFacts:
    return ModelFacts(
        name=entry.variant.name,
        description=entry.variant.network,
        resolution=entry.variant.resolution,
        classes=len(LABELS),
        preprocessing=bundle.manifest.preprocessing,
        input_dtype="int8",
        output_dtype="int8",
    )


def _answers(path: Path, bundle: Bundle, frames: Sequence[Frame]) -> NDArray[np.int8]:
    """What a file answers to pictures, as it stands there."""
    with contextlib.closing(LiteRTBackend(path, 1)) as backend:
        preprocessor = Preprocessor(bundle.manifest.preprocessing, backend.input_spec)
        rows = []
        for frame in frames:
            preprocessor(frame, backend.input())
            rows.append(backend.infer()[0].astype(np.int8))
        return np.stack(rows)


def _probabilities(path: Path, bundle: Bundle, frames: Sequence[Frame]) -> Array:
    levels = _answers(path, bundle, frames)
    return (levels.astype(np.float64) + 128) / 256


def _layer_of(path: Path) -> tuple[Array, Array]:
    """The classifier's weights (features, classes) and bias as they stand in the file, as real numbers."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    tensors = interpreter.get_tensor_details()
    weight, bias = (
        next(tensor for tensor in tensors if tensor["name"].endswith(name))
        for name in ("classifier/weight", "classifier/bias")
    )
    levels = interpreter.get_tensor(weight["index"]).reshape(len(LABELS), -1).astype(np.float64)
    scales = weight["quantization_parameters"]["scales"][:, None]
    units = bias["quantization_parameters"]["scales"]
    return (levels * scales).T, interpreter.get_tensor(bias["index"]).astype(np.float64) * units


def _entry(
    entry: BundledVariant,
    artifact: Artifact,
    path: Path,
    answers: Array,
    truth: NDArray[np.integer],
    nothing: Answers,
    temperature: float,
) -> BundledVariant:
    right = int((answers.argmax(axis=1) == truth).sum())
    known = Answers.of(answers, truth)
    accuracy = Accuracy(
        agreement=None,
        top1=round(right / len(truth), 4),
        top1_range=wilson_interval(right, len(truth)),
        pictures=len(truth),
        labelled=len(truth),
        measured_on=artifact.accuracy.measured_on,
    )
    options = ThresholdOptions(false_alarms=FALSE_ALARMS.get(entry.variant, _OTHERWISE))
    confidence = measure_confidence(known, nothing, labels=LABELS, options=options, temperature=temperature)
    size_bytes, sha256 = path.stat().st_size, sha256_of(path)
    file = replace(artifact, size_bytes=size_bytes, sha256=sha256, accuracy=accuracy, confidence=confidence)
    return replace(entry, artifacts=(file,))
