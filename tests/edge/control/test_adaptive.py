"""The classifier that changes variants: no frame lost, every change logged, memory kept."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.board.health import Health
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.control import loading
from edge.control.adaptive import AdaptiveClassifier
from edge.errors import BackendError, BudgetError, NoVariantFits, VariantError
from edge.inference.backends import ModelFile, fake
from edge.inference.backends.fake import FakeBackend
from edge.inference.classifier import Classifier
from edge.inference.prediction import Prediction
from edge.vision.preprocess import Frame
from tests.edge.conftest import make_profile

BIG, MIDDLE, SMALL = Variant(1.0, 224), Variant(0.5, 160), Variant(0.25, 128)
PROFILE = make_profile({"1.00_224": 20.0, "0.50_160": 5.0, "0.25_128": 1.0})
FRAME: Frame = np.zeros((48, 64, 3), np.uint8)


class Clock:
    """Thirty frames a second, whatever they take."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1 / 30
        return self.now_s


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sides of the inputs of every backend that was closed."""
    sides: list[int] = []

    class Noted(FakeBackend):
        def close(self) -> None:
            sides.append(self.input_spec.resolution)
            super().close()

    def load(model: ModelFile, threads: int) -> FakeBackend:
        return Noted(resolution=model.variant.resolution, classes=model.classes, threads=threads)

    monkeypatch.setattr(fake, "load", load)
    return sides


def adapt(bundle: Bundle, budget_ms: float = 25.0, memory_limit_mb: float = 1e6) -> AdaptiveClassifier:
    return AdaptiveClassifier(
        bundle,
        PROFILE,
        Budget(latency_ms=budget_ms),
        backend="fake",
        memory_limit_mb=memory_limit_mb,
        sample_health=False,
        clock=Clock(),
    )


def take(monkeypatch: pytest.MonkeyPatch, took_ms: Callable[[Classifier], float]) -> None:
    """Let frames take what ``took_ms`` says, however busy this machine is."""
    whole = Classifier.classify

    def classify(self: Classifier, *arguments: Any, **options: Any) -> Prediction:
        prediction = whole(self, *arguments, **options)
        return prediction._replace(preprocess_ms=0.0, infer_ms=took_ms(self), top_k_ms=0.0)

    monkeypatch.setattr(Classifier, "classify", classify)


@pytest.fixture
def adaptive(bundle: Bundle) -> Iterator[AdaptiveClassifier]:
    with adapt(bundle) as opened:
        yield opened


def test_it_stands_where_a_classifier_stands(adaptive: AdaptiveClassifier, bundle: Bundle) -> None:
    assert adaptive.classify(FRAME).best.label == "red"
    assert (adaptive.variant, adaptive.backend.name, adaptive.refusals) == (BIG, "fake", ())
    assert adaptive.model_sha256 == bundle.find(BIG).artifacts[0].sha256


def test_every_variant_is_loaded(adaptive: AdaptiveClassifier) -> None:
    assert set(adaptive.variants) == {BIG, MIDDLE, SMALL}
    assert adaptive.left_out == {}


def test_it_takes_milliseconds_and_no_number_for_a_budget(bundle: Bundle) -> None:
    with AdaptiveClassifier(bundle, PROFILE, budget_ms=6.0, backend="fake", sample_health=False) as adaptive:
        assert adaptive.budget == Budget(latency_ms=6.0)
        wrong: Any = 30
        with pytest.raises(BudgetError, match="Expected a Budget, got 30: give fps, budget_ms or Budget"):
            adaptive.set_budget(wrong)
        assert adaptive.budget == Budget(latency_ms=6.0)


def test_a_change_takes_hold_between_two_frames_and_is_logged(
    adaptive: AdaptiveClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="edge"):
        adaptive.set_budget(Budget(latency_ms=6.0))
    assert adaptive.variant == BIG, "shown until another variant gives an answer"
    assert adaptive.classify(FRAME)
    assert adaptive.variant == MIDDLE
    assert caplog.messages == [str(adaptive.last_change)]
    assert caplog.messages[0].endswith("_224 -> mobilenet_v1_0.50_160: the budget is now 6.0 ms")
    assert adaptive.counts.frames == {MIDDLE: 1}
    assert adaptive.changes == {"budget": 1}
    assert adaptive.budget.latency_ms == 6.0


def test_frames_are_prepared_for_the_variant_of_the_moment(adaptive: AdaptiveClassifier) -> None:
    prepare, frame = adaptive.preparer(), np.zeros((240, 320, 3), np.uint8)
    for variant in adaptive.variants:
        adaptive.pin(variant)
        adaptive.classify(frame)
        assert prepare(frame).pixels.shape == (variant.resolution, variant.resolution, 3)


def test_late_frames_are_counted_and_answered_by_a_faster_variant(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(monkeypatch, lambda classifier: 40.0 if classifier.variant == BIG else 1.0)
    with adapt(bundle) as adaptive:
        used = [(adaptive.classify(FRAME), adaptive.variant)[1] for _ in range(12)]
        assert used == [BIG] * 2 + [MIDDLE] * 10
        assert adaptive.counts.late == 2
        assert adaptive.changes == {"slow": 1}
        assert adaptive.is_holding


def test_heat_makes_it_change(adaptive: AdaptiveClassifier) -> None:
    adaptive.on_health(Health(temperature_c=84.0))
    adaptive.classify(FRAME)
    assert adaptive.variant == MIDDLE
    assert adaptive.changes == {"hot": 1}


def test_while_others_take_cpus_late_frames_halve_the_threads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def threads_of_frames(classifier: AdaptiveClassifier, count: int) -> list[int]:
        return [(classifier.classify(FRAME), classifier.backend.threads)[1] for _ in range(count)]

    take(monkeypatch, lambda classifier: 40.0 if classifier.backend.threads == 4 else 1.0)
    with adapt(bundle) as adaptive:
        adaptive.on_health(Health(load_percent=100.0))
        assert threads_of_frames(adaptive, 8) == [4, 4, 2, 2, 2, 2, 2, 2]
        assert (adaptive.variant, adaptive.changes) == (BIG, {})
        adaptive.on_health(Health(load_percent=5.0))
        assert threads_of_frames(adaptive, 1) == [4]


def test_a_number_of_threads_that_was_asked_for_stays(bundle: Bundle, closed: list[int]) -> None:
    options = {"backend": "fake", "threads": 4, "memory_limit_mb": 1e6, "sample_health": False}
    AdaptiveClassifier(bundle, PROFILE, fps=40, **options).close()  # type: ignore[arg-type]
    assert sorted(closed) == [128, 160, 224]


def test_a_variant_is_pinned_and_released(adaptive: AdaptiveClassifier) -> None:
    adaptive.pin(SMALL)
    adaptive.classify(FRAME)
    assert (adaptive.variant, adaptive.pinned) == (SMALL, SMALL)
    adaptive.release()
    adaptive.classify(FRAME)
    assert (adaptive.variant, adaptive.pinned) == (BIG, None)


def test_memory_bounds_what_is_loaded_but_for_where_it_begins_and_the_fastest(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_mb = itertools.chain([100.0, 100.0, 130.0], itertools.repeat(160.0))
    monkeypatch.setattr(loading, "rss_mb", lambda: next(taken_mb))
    with adapt(bundle, memory_limit_mb=25.0) as adaptive:
        assert adaptive.variants == (BIG, SMALL)
        assert adaptive.left_out == {MIDDLE: "the others take 60 of 25 MB"}
        with pytest.raises(VariantError) as refused:
            adaptive.pin(MIDDLE)
        assert str(refused.value) == (
            "mobilenet_v1_0.50_160 is not loaded: the others take 60 of 25 MB. Raise the memory limit."
        )
        adaptive.set_budget(Budget(latency_ms=6.0))
        adaptive.classify(FRAME)
        assert adaptive.variant == SMALL


def test_all_models_are_freed_at_the_end(bundle: Bundle, closed: list[int]) -> None:
    adapt(bundle).close()
    assert sorted(closed) == [128, 128, 160, 160, 224, 224], "each on all of its threads and on half as many"


def test_nothing_stays_open_when_one_cannot_be_loaded(
    bundle: Bundle, closed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fake.load

    def load(model: ModelFile, threads: int) -> FakeBackend:
        if model.variant == MIDDLE:
            raise BackendError("out of memory")
        return whole(model, threads)

    monkeypatch.setattr(fake, "load", load)
    with pytest.raises(BackendError, match="out of memory"):
        adapt(bundle)
    assert sorted(closed) == [128, 224]


def test_conditions_but_time_hold_for_every_candidate(bundle: Bundle) -> None:
    with AdaptiveClassifier(
        bundle, PROFILE, Budget(latency_ms=25.0, min_top1=75), backend="fake", memory_limit_mb=1e6
    ) as adaptive:
        assert set(adaptive.variants) == {BIG, MIDDLE}
    with pytest.raises(NoVariantFits, match="at any latency"):
        AdaptiveClassifier(bundle, PROFILE, Budget(latency_ms=25.0, min_top1=99), backend="fake")
