"""Fits the last layer of the written files once more, on what the int8 networks see of cards and of things.

Training showed rooms without a card, but no things: photos of objects on plain ground were taken for digits. The layer
stays near the one that was trained; logits are divided by a temperature found on other pictures, and thresholds of
unknown come from held-out handwriting and from things that were not learned from.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from convert.pipeline.temperature import fit_temperature
from edge.bundles.bundle import MANIFEST, Bundle
from edge.bundles.manifest import Accuracy, Artifact, BundledVariant
from edge.evaluation.confidence import Answers, measure_confidence
from edge.evaluation.options import ThresholdOptions
from edge.files import sha256_of, to_json
from edge.inference.backends.litert import LiteRTBackend
from edge.inference.metadata_writer import ModelCard, ModelFacts
from edge.intervals import wilson_interval
from edge.teaching.graph import Backbone
from edge.teaching.head import Head
from edge.vision.preprocess import Frame, Preprocessor
from scripts.demo.cards import LABELS, NO_CARD
from scripts.demo.pictures import Cards, held_out_pictures
from scripts.demo.things import draw_things

__all__ = ["FALSE_ALARMS", "refit"]

FALSE_ALARMS: Final = 0.005
"""Share of the things that may be taken for a digit. Real photos are taken for one more often: docs/confidence.md."""
CARD: Final = ModelCard(labels=LABELS, author="mobilenet-edge", license="Apache-2.0")
"""What each file of the demo says about itself."""
_CARDS, _THINGS, _MEASURED = 2640, 900, 100
_TEMPERED: Final = 0.25
"""Share of the pictures that the temperature is found on, instead of learning from them."""
_PULL: Final = 0.02
"""How strongly the layer is held to the one that was trained."""
_OTHER_CARDS, _OTHER_THINGS = 7, 8

Array = NDArray[np.float64]


def refit(bundle: Bundle, *, cards: int = _CARDS, things: int = _THINGS, per_class: int = _MEASURED) -> None:
    """Write each file of ``bundle`` with its last layer fitted again, and what was measured of it.

    Args:
        bundle: The bundle, in a folder that may be written to; its golden answers are those of before.
        cards: Pictures of cards and of rooms to learn from.
        things: Pictures of things to learn from; as many others set the thresholds.
        per_class: Pictures of each class, of handwriting that was not trained on, to measure on.
    """
    drawn, rng = Cards(seed=_OTHER_CARDS), np.random.default_rng(_OTHER_THINGS)
    examples = [drawn.example(number) for number in range(cards)]
    learned = [frame for frame, _ in examples] + [draw_things(rng) for _ in range(things)]
    truth = np.array([label for _, label in examples] + [NO_CARD] * things)
    strangers = [draw_things(rng) for _ in range(things)]
    held_out, held_out_truth = held_out_pictures(per_class)
    entries = []
    for entry in bundle.variants:
        (artifact,) = entry.artifacts
        path = bundle.path(artifact.file)
        backbone = Backbone(path)
        with _features(backbone, bundle) as see:
            head = _fitted(see(learned), truth, *_layer_of(path))
        facts = ModelFacts(
            name=entry.variant.name,
            description=entry.variant.network,
            resolution=entry.variant.resolution,
            classes=len(LABELS),
            preprocessing=bundle.manifest.preprocessing,
            input_dtype="int8",
            output_dtype="int8",
        )
        path.write_bytes(backbone.with_classifier(head, facts, CARD))
        answers = _probabilities(path, bundle, held_out)
        nothing = Answers.of(_probabilities(path, bundle, strangers), np.full(len(strangers), NO_CARD))
        entries.append(_entry(entry, artifact, path, answers, held_out_truth, nothing, head.temperature))
        print(entries[-1].artifacts[0].confidence, flush=True)
    source = {**bundle.manifest.source, "last_layer_fitted_on": {"cards": cards, "things": things}}
    manifest = replace(bundle.manifest, variants=tuple(entries), source=source)
    (bundle.root / MANIFEST).write_text(to_json(manifest.to_dict()), encoding="utf-8")


@contextlib.contextmanager
def _features(backbone: Backbone, bundle: Bundle) -> Iterator[_Seeing]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.tflite"
        path.write_bytes(backbone.without_classifier())
        yield _Seeing(path, bundle)


class _Seeing:
    """What a file answers to pictures, (pictures, values)."""

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self._backend = LiteRTBackend(path, 1)
        self._preprocessor = Preprocessor(bundle.manifest.preprocessing, self._backend.input_spec)

    def __call__(self, frames: Sequence[Frame]) -> Array:
        rows = []
        for frame in frames:
            self._preprocessor(frame, self._backend.input())
            rows.append(self._backend.output_spec.real(self._backend.infer()).reshape(-1).astype(np.float64))
        return np.stack(rows)


def _probabilities(path: Path, bundle: Bundle, frames: Sequence[Frame]) -> Array:
    return _Seeing(path, bundle)(frames)


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


def _fitted(features: Array, truth: NDArray[np.integer], weights: Array, bias: Array) -> Head:
    """Softmax regression that is held to the layer of before, and its temperature by pictures it did not learn from."""
    order = np.random.default_rng(0).permutation(len(truth))
    others, chosen = np.split(order, [round(_TEMPERED * len(order))])
    before = torch.from_numpy(np.ascontiguousarray(np.vstack([weights, bias])))
    x = torch.from_numpy(np.hstack([features, np.ones((len(features), 1))]))
    y = torch.from_numpy(truth)
    layer = before.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([layer], max_iter=200, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x[chosen] @ layer, y[chosen]) + _PULL * ((layer - before) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(cost)  # type: ignore[no-untyped-call]
    found = layer.detach().numpy()
    logits = (x @ layer.detach()).numpy()
    temperature = fit_temperature(logits[others], truth[others])
    low, high = float(logits.min() / temperature), float(logits.max() / temperature)
    margin = 0.1 * (high - low)
    return Head(found[:-1] / temperature, found[-1] / temperature, (low - margin, high + margin), temperature)


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
    confidence = measure_confidence(
        known, nothing, labels=LABELS, options=ThresholdOptions(false_alarms=FALSE_ALARMS), temperature=temperature
    )
    size_bytes, sha256 = path.stat().st_size, sha256_of(path)
    file = replace(artifact, size_bytes=size_bytes, sha256=sha256, accuracy=accuracy, confidence=confidence)
    return replace(entry, artifacts=(file,))
