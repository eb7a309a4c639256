"""A network of grey pictures, from its training to the live loop; and its file, brought in again as a ready one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import camera_demo
import convert
import edge
from convert.options import BundleOptions, TrainingOptions
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.inference.selftest import self_test
from edge.profiling.timing import StopRule
from edge.updates.importing import import_models
from tests.conftest import draw

SMALL = Variant(0.25, 32)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(24):
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "ab"[number % 2] / f"x{chr(97 + number)}.png"), draw(number))
    return folder


@pytest.fixture(scope="module")
def bundle(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("grey")
    options = TrainingOptions(epochs=1, batch=8, grey=True)
    convert.train(pictures, folder / "trained", alphas=(0.25,), resolutions=(32,), options=options)
    return convert.write_bundle(
        list((folder / "trained").glob("*.safetensors")),
        folder / "bundle",
        labels=["a", "b"],
        calibration=pictures,
        resolutions=(32,),
        targets=("tflite", "onnx"),
        options=BundleOptions(min_agreement=0, allow_untrained=True),
    )


def test_every_file_takes_one_channel_and_answers_as_it_should(bundle: Bundle) -> None:
    assert bundle.manifest.preprocessing.colour_order == "GRAY"
    for backend in ("litert", "onnxruntime"):
        with edge.Classifier(bundle, backend=backend, threads=1) as classifier:
            assert 1 in (classifier.backend.input_spec.shape[1], classifier.backend.input_spec.shape[3])
            assert self_test(bundle, classifier)


def test_colours_that_are_equally_light_are_the_same_to_it(bundle: Bundle) -> None:
    grey = np.full((64, 64, 3), (76, 76, 76), np.uint8)
    red = np.full((64, 64, 3), (0, 0, 254), np.uint8)  # 0.299 * 254 = 75.9
    with edge.Classifier(bundle, threads=1) as classifier:
        assert np.array_equal(classifier.probabilities(red), classifier.probabilities(grey))


def test_it_is_profiled_selected_and_run_live(bundle: Bundle) -> None:
    stop = StopRule(least_rounds=1, most_s=0.1, precision=100.0)
    profile = edge.profile(bundle, keep=False, refresh=True, stop=stop, threads=1)
    assert edge.select(bundle, profile, budget_ms=10_000).variant == SMALL
    live = list(camera_demo.answers("demo", bundle=bundle.root, variant=str(SMALL), threads=1))
    assert len(live) > 50
    with edge.Classifier(bundle, threads=1) as classifier:
        assert live[10].prediction.guesses == classifier.classify(live[10].frame.image).guesses


def test_its_file_is_taken_for_a_ready_one(bundle: Bundle, tmp_path: Path) -> None:
    file = next(a for a in bundle.variants[0].artifacts if a.format == "tflite").file
    imported = import_models([bundle.path(file)], tmp_path / "imported")
    assert imported.manifest.preprocessing == bundle.manifest.preprocessing
    assert (imported.labels, imported.variants[0].variant) == (("a", "b"), SMALL)
    with edge.Classifier(imported, threads=1) as ours, edge.Classifier(bundle, backend="litert", threads=1) as original:
        assert ours.classify(draw(3)).guesses == original.classify(draw(3)).guesses
