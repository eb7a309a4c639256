from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edge
from edge.bundles.confidence import Confidence
from edge.errors import BundleError, ConfidenceError
from edge.inference.backends.fake import FakeBackend
from edge.inference.classifier import Classifier
from edge.inference.unknown import UNMEASURED_BELOW, class_thresholds, parse_unknown, unknown_below
from edge.vision.preprocess import Frame, Preprocessing
from tests.edge.conftest import make_bundle, make_manifest, model_file, write_bundle

MEASURED = Confidence(unknown_below=0.62, known_kept=0.95, known=40)
GREY: Frame = np.full((32, 32, 3), 128, np.uint8)


class Unsure(FakeBackend):
    """Gives its class the probability 0.5."""

    def infer(self) -> NDArray[np.generic]:
        output = super().infer()
        output[output == 127] = 0
        return output


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("off", "off"), ("0.4", 0.4), (0.25, 0.25), ("1", 1.0)])
def test_a_choice_is_a_word_or_a_probability(text: str | float, value: str | float) -> None:
    assert parse_unknown(text) == value


@pytest.mark.parametrize("text", ["on", "", "1.2", "-0.1", "nan", "40 %", True, None])
def test_other_choices_are_refused(text: Any) -> None:
    with pytest.raises(ConfidenceError, match=f"invalid unknown '{text}': expected auto, off or a probability"):
        parse_unknown(text)


def test_the_bundles_threshold_comes_before_the_general_one() -> None:
    from dataclasses import replace

    artifact = model_file("m", b"")
    assert unknown_below("auto", replace(artifact, confidence=MEASURED)) == 0.62
    assert unknown_below("auto", artifact) == unknown_below("auto", None) == UNMEASURED_BELOW
    assert unknown_below("off", replace(artifact, confidence=MEASURED)) == 0.0
    assert unknown_below(0.9, replace(artifact, confidence=MEASURED)) == 0.9


@pytest.mark.parametrize(("below", "is_unknown"), [(0.0, False), (0.5, False), (0.51, True)])
def test_an_answer_below_the_threshold_is_unknown(below: float, is_unknown: bool) -> None:
    with Classifier.of_backend(
        Unsure(resolution=32), "0123456789", Preprocessing(), variant=edge.Variant(0.25, 32), unknown_below=below
    ) as classifier:
        prediction = classifier.classify(GREY)
    assert prediction.best.probability == 0.5
    assert (prediction.is_unknown, prediction.label) == (is_unknown, "unknown" if is_unknown else "5")


def test_the_confidence_goes_through_the_manifest_and_old_manifests_have_none(tmp_path: Path) -> None:
    from dataclasses import replace

    manifest = make_manifest()
    (first, *others) = manifest.variants
    files = (replace(first.artifacts[0], confidence=MEASURED),)
    changed = replace(manifest, variants=(replace(first, artifacts=files), *others))
    opened = edge.open_bundle(write_bundle(tmp_path / "measured", changed))
    assert [entry.artifacts[0].confidence for entry in opened.variants] == [MEASURED, None, None]
    rows = make_bundle().manifest.to_dict()["variants"]
    assert all("confidence" not in artifact for row in rows for artifact in row["artifacts"])


def test_a_classifier_takes_the_bundles_threshold(tmp_path: Path) -> None:
    with edge.Classifier("demo", "0.25_128", unknown="off") as never, edge.Classifier("demo", "0.25_128") as auto:
        measured = edge.open_bundle("demo").find(auto.variant).artifacts[0].confidence
        assert measured is not None
        assert (never.unknown_below, auto.unknown_below) == (0.0, measured.unknown_below)
    with pytest.raises(ConfidenceError):
        edge.Classifier("demo", unknown="sometimes")  # type: ignore[arg-type]


def test_a_class_with_a_threshold_of_its_own() -> None:
    from dataclasses import replace

    artifact = replace(model_file("m", b""), confidence=replace(MEASURED, precision=0.95, class_below={1: 0.8, 2: 0.7}))
    labels = ("cup", "mug", "plate", "cup")
    assert class_thresholds("auto", artifact, {}, labels) == {1: 0.8, 2: 0.7}
    assert class_thresholds("auto", artifact, {"mug": 0.1, "cup": 1}, labels) == {0: 1.0, 1: 0.1, 2: 0.7, 3: 1.0}
    assert class_thresholds("off", artifact, {"mug": 0.1}, labels) == {1: 0.1}, "yours count even where unknown is off"
    assert class_thresholds(0.5, artifact, {}, labels) == {}
    assert class_thresholds("auto", None, {}, labels) == {}


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"mugg": 0.5}, "There is no class 'mugg': did you mean 'mug'"),
        ({"xyz": 0.5}, "expected one of the 2 labels"),
        ({"mug": 1.5}, "invalid threshold of 'mug': 1.5, expected a probability"),
        ({"mug": True}, "invalid threshold of 'mug': True"),
        ({"mug": float("nan")}, "invalid threshold of 'mug': nan"),
    ],
)
def test_thresholds_of_no_class_or_no_probability_are_refused(thresholds: dict[str, float], message: str) -> None:
    with pytest.raises(ConfidenceError, match=message):
        class_thresholds("auto", None, thresholds, ("cup", "mug"))


def test_the_class_decides_with_which_threshold_an_answer_is_held(tmp_path: Path) -> None:
    with edge.Classifier("demo", "0.25_128", unknown="off", thresholds={"seven": 0.9}) as classifier:
        assert not classifier.is_unknown(edge.Guess(7, "seven", 0.9)) and classifier.is_unknown(
            edge.Guess(7, "seven", 0.89)
        )
        assert not classifier.is_unknown(edge.Guess(6, "six", 0.01))
        named = classifier.classify(GREY)
        classifier.class_thresholds = {named.best.class_id: 1.0}
        assert classifier.classify(GREY).is_unknown
    with pytest.raises(ConfidenceError, match="did you mean 'seven'"):
        edge.Classifier("demo", "0.25_128", thresholds={"sevens": 0.9})


def test_a_bundle_with_a_threshold_for_a_class_it_does_not_have_is_refused() -> None:
    from dataclasses import replace

    manifest = make_manifest()
    (first, *others) = manifest.variants
    files = (replace(first.artifacts[0], confidence=replace(MEASURED, class_below={manifest.classes: 0.5})),)
    with pytest.raises(BundleError, match=f"class_below: class {manifest.classes} is not among the"):
        replace(manifest, variants=(replace(first, artifacts=files), *others))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"unknown_below": 1.5}, "unknown_below 1.5 is not a share"),
        ({"error": -0.1}, "error -0.1 is not a share"),
        ({"temperature": 0.0}, "temperature 0.0 is not a number above 0"),
        ({"known": -1}, "known -1 is not a count"),
        ({"class_below": {3: 1.2}}, r"class_below\[3\] 1.2 is not a share"),
        ({"precision": 95.0}, "precision 95.0 is not a share"),
    ],
)
def test_impossible_figures_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Confidence(**({"unknown_below": 0.5, "known_kept": 0.95, "known": 4} | values))  # type: ignore[arg-type]
