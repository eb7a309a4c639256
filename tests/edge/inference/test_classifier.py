"""From a frame to the best classes."""

from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edge.bundles.bundle import label_mismatch, open_bundle
from edge.bundles.variant import Variant
from edge.errors import BackendError, BundleError, ImageError, VariantError
from edge.inference.backends.fake import FakeBackend
from edge.inference.classifier import Classifier
from edge.inference.prediction import Guess, Prediction, Prepared, top_k
from edge.vision.preprocess import Frame, Preprocessing
from edge.vision.tensor import TensorSpec
from tests.edge.conftest import LABELS, bundled

INT8 = TensorSpec(shape=(1, 5), dtype="int8", scale=1 / 256, zero_point=-128)
UINT8 = TensorSpec(shape=(1, 5), dtype="uint8", scale=1 / 256, zero_point=0)
FLOAT = TensorSpec(shape=(1, 5), dtype="float32")
VARIANT = Variant(0.25, 32)


def grey(level: int) -> Frame:
    return np.full((48, 64, 3), level, np.uint8)


def make(labels: tuple[str, ...] = LABELS, top: int = 5, **fake: Any) -> Classifier:
    backend = FakeBackend(resolution=32, classes=5, **fake)
    return Classifier.of_backend(backend, labels, Preprocessing(), variant=VARIANT, top_k=top)


class TestTopK:
    @given(arrays.arrays(np.int8, st.integers(1, 40)), st.integers(1, 50))
    def test_of_integers_is_a_stable_sort_from_the_greatest(self, output: np.ndarray[Any, Any], count: int) -> None:
        order = sorted(range(len(output)), key=lambda n: (-int(output[n]), n))[:count]
        assert top_k(output, INT8, count) == [(n, (int(output[n]) + 128) / 256) for n in order]

    @given(arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(0, 1, width=32)), st.integers(1, 50))
    def test_of_floats_is_a_stable_sort_from_the_greatest(self, output: np.ndarray[Any, Any], count: int) -> None:
        order = sorted(range(len(output)), key=lambda n: (-output[n], n))[:count]
        assert top_k(output, FLOAT, count) == [(n, float(output[n])) for n in order]

    @pytest.mark.parametrize("spec", [INT8, UINT8, FLOAT])
    def test_takes_equals_in_the_order_of_the_classes(self, spec: TensorSpec) -> None:
        output = np.array([0, 1, 1, 0, 1], spec.dtype)
        assert [index for index, _ in top_k(output, spec, 4)] == [1, 2, 4, 0]

    @pytest.mark.parametrize(("spec", "output"), [(INT8, [-128, 127, 0, -127, -1]), (UINT8, [0, 255, 128, 1, 127])])
    def test_does_not_overflow_at_the_ends_of_the_integers(self, spec: TensorSpec, output: list[int]) -> None:
        ranked = top_k(np.array(output, spec.dtype), spec, 5)
        assert ranked == [(1, 255 / 256), (2, 128 / 256), (4, 127 / 256), (3, 1 / 256), (0, 0.0)]


class TestClassifier:
    @pytest.mark.parametrize(("level", "label"), [(0, "red"), (60, "green"), (128, "blue"), (255, "thin")])
    def test_names_the_best_class(self, level: int, label: str) -> None:
        assert make().classify(grey(level)).best.label == label

    def test_a_prediction_holds_guesses_and_times(self) -> None:
        prediction = make(top=2, latency_ms=2.0).classify(grey(128))
        assert prediction.guesses == (Guess(2, "blue", 255 / 256), Guess(0, "red", 0.0))
        assert prediction.infer_ms >= 2.0
        assert prediction.preprocess_ms > 0 < prediction.top_k_ms
        assert prediction.total_ms == prediction.preprocess_ms + prediction.infer_ms + prediction.top_k_ms

    def test_a_prepared_frame_gets_the_same_answer(self) -> None:
        classifier = make()
        prepared = classifier.preparer()(grey(128))
        assert classifier.classify(grey(0), prepared).guesses == classifier.classify(grey(128)).guesses

    def test_the_time_of_preparing_counts(self) -> None:
        classifier = make()
        prepared = classifier.preparer()(grey(128))._replace(preprocess_ms=50.0)
        assert 50.0 < classifier.classify(grey(128), prepared).preprocess_ms < 100.0

    def test_what_was_prepared_for_another_resolution_is_left_aside(self) -> None:
        classifier = make()
        other = Prepared(np.full((1, 1, 3), 255, np.uint8), 0.1)
        assert classifier.classify(grey(128), other).best.label == "blue"

    def test_preparing_refuses_other_forms(self) -> None:
        with pytest.raises(ImageError, match=r"got uint8 \(4, 4\)"):
            make().preparer()(np.zeros((4, 4), np.uint8))

    def test_best_is_the_first_guess(self) -> None:
        guesses = (Guess(3, "c", 0.7), Guess(1, "a", 0.3))
        assert Prediction(guesses, 1.0, 2.0, 0.5).best is guesses[0]

    def test_there_are_at_most_as_many_guesses_as_classes(self) -> None:
        assert len(make(top=99).classify(grey(0)).guesses) == 5

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (
                LABELS[:-1],
                "The model has 5 outputs for 4 labels: off by one: background class? "
                "TF-slim's lists begin with 'background', Keras' do not.",
            ),
            (
                ("background", *LABELS),
                "The model has 5 outputs for 6 labels: off by one: background class? "
                "TF-slim's lists begin with 'background', Keras' do not.",
            ),
            (LABELS[:2], "The model has 5 outputs for 2 labels: they belong to another model."),
            ((), "The model has 5 outputs for 0 labels: they belong to another model."),
        ],
    )
    def test_labels_of_another_count_are_refused(self, labels: tuple[str, ...], message: str) -> None:
        with pytest.raises(BackendError) as refused:
            make(labels)
        assert str(refused.value) == message

    def test_the_hint_is_the_same_for_one_too_many_and_one_too_few(self) -> None:
        assert label_mismatch(1000, 1001) == label_mismatch(1001, 1000) != label_mismatch(1000, 10)

    def test_a_frame_of_another_form_is_refused_and_the_next_one_works(self) -> None:
        classifier = make()
        with pytest.raises(ImageError, match=r"got uint8 \(4, 4\)"):
            classifier.classify(np.zeros((4, 4), np.uint8))
        assert classifier.classify(grey(255)).best.label == "thin"

    def test_closing_twice_is_closing_once(self) -> None:
        classifier = make()
        classifier.close()
        classifier.close()
        with pytest.raises(BackendError, match="is closed"):
            classifier.classify(grey(0))

    def test_a_with_block_closes_it(self) -> None:
        with make() as classifier:
            classifier.classify(grey(0))
        with pytest.raises(BackendError, match="is closed"):
            classifier.classify(grey(0))

    def test_a_with_block_closes_it_after_an_error_too(self) -> None:
        classifier = make()
        with pytest.raises(ValueError, match="no"), classifier:
            raise ValueError("no")
        with pytest.raises(BackendError, match="is closed"):
            classifier.classify(grey(0))

    def test_says_what_runs_and_is_not_copied(self) -> None:
        classifier = make()
        assert repr(classifier) == "<Classifier mobilenet_v1_0.25_32 on fake 1>"
        for use in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(
                TypeError, match=r"^Classifier cannot be copied or pickled: open one in each process\.$"
            ):
                use(classifier)


class TestThreads:
    def test_share_one_and_each_gets_its_own_answer(self) -> None:
        classifier = make(latency_ms=1.0)  # during which another thread could write its picture
        levels = {0: "red", 60: "green", 128: "blue", 255: "thin"}

        def answers(level: int) -> list[str]:
            frame = grey(level)
            found: list[str] = []
            for _ in range(5):
                found += [classifier.classify(frame).label, LABELS[int(classifier.probabilities(frame).argmax())]]
                assert classifier.network_input(frame).mean() == pytest.approx(level / 127.5 - 1, abs=0.01)
            return found

        with ThreadPoolExecutor(len(levels)) as threads:
            assert list(threads.map(answers, levels)) == [[label] * 10 for label in levels.values()]

    def test_closing_waits_for_the_picture_of_another(self) -> None:
        class Closed(FakeBackend):
            def infer(self) -> NDArray[np.generic]:
                closing.start()
                closing.join(0.05)
                assert closing.is_alive()
                return super().infer()

        classifier = Classifier.of_backend(Closed(resolution=32, classes=5), LABELS, Preprocessing(), variant=VARIANT)
        closing = threading.Thread(target=classifier.close)
        assert classifier.classify(grey(255)).label == "thin"
        closing.join()
        with pytest.raises(BackendError, match="is closed"):
            classifier.classify(grey(255))


class TestOpening:
    @pytest.mark.parametrize("threads", [0, -1])
    def test_refuses_numbers_of_threads_that_cannot_be(self, bundle_folder: Path, threads: int) -> None:
        with pytest.raises(BackendError, match=f"cannot use {threads} threads: expected 1 to 1024"):
            Classifier(bundle_folder, backend="fake", threads=threads)

    def test_an_entry_of_the_bundle_is_not_a_variant(self, bundle_folder: Path) -> None:
        entry: Any = open_bundle(bundle_folder).variants[0]
        with pytest.raises(VariantError) as refused:
            Classifier(bundle_folder, entry, backend="fake")
        expected = "Expected a variant or its name, got a BundledVariant: its attribute 'variant' is one."
        assert str(refused.value) == expected

    def test_takes_what_the_bundle_says(self, bundle_folder: Path) -> None:
        bundle = open_bundle(bundle_folder)
        with Classifier(bundle, Variant(0.5, 160), backend="fake", threads=3, top_k=1) as classifier:
            assert classifier.variant == Variant(0.5, 160)
            assert classifier.model_sha256 == bundled("0.5_160", 0.8).artifacts[0].sha256
            assert classifier.backend.input_spec.resolution == 160
            assert classifier.backend.threads == 3
            assert classifier.refusals == ()
            assert classifier.classify(grey(255)).guesses == (Guess(4, "thin", 255 / 256),)

    def test_refuses_a_variant_that_the_bundle_does_not_have(self, bundle_folder: Path) -> None:
        with pytest.raises(BundleError, match=r"Bundle tiny has no mobilenet_v1_0\.75_192"):
            Classifier(open_bundle(bundle_folder), Variant(0.75, 192), backend="fake")

    def test_refuses_files_that_are_no_models(self, bundle_folder: Path) -> None:
        with pytest.raises(BackendError, match=r"No backend could open mobilenet_v1_0\.50_160\. litert: "):
            Classifier(open_bundle(bundle_folder), Variant(0.5, 160))
