"""An unknown answer is shown as such everywhere, and never by the name of its best class."""

from collections.abc import Callable
from pathlib import Path

import pytest

import edge
from camera_demo.config import read_config, settings_of
from camera_demo.frames import CapturedFrame, Result
from camera_demo.live import Answers
from camera_demo.loading import ModelOptions, load
from camera_demo.options import ClassifyOptions
from camera_demo.overlay import draw
from camera_demo.settings import Settings
from camera_demo.sinks.mqtt import _state
from camera_demo.sinks.terminal import describe
from camera_demo.summary import Stats
from edge.errors import ConfidenceError
from edge.inference.classifier import Classifier
from edge.inference.prediction import Guess, Prediction


class Unsure:
    """A classifier whose answer has the probabilities of a list, in turn."""

    def __init__(self, classifier: Classifier, probabilities: list[float]) -> None:
        self._classifier, self._probabilities = classifier, iter(probabilities)

    def __getattr__(self, name: str) -> object:
        return getattr(self._classifier, name)

    def classify(self, *args: object, **options: object) -> Prediction:
        guesses = (Guess(3, "grey 3", next(self._probabilities)), Guess(4, "grey 4", 0.1))
        return Prediction(guesses, 0.1, 0.1, 0.1, guesses[0].probability < self._classifier.unknown_below)


class Frames:
    """As many frames as asked for, a second apart."""

    dropped, is_live, rate_hz, name = 0, False, None, "frames"

    def __init__(self, frames: list[CapturedFrame]) -> None:
        self._frames = frames

    def frames(self, stop: object, prepare: object) -> object:
        return iter(self._frames)

    def close(self) -> None:
        """Nothing is open."""


def answered(
    classifier: Classifier, frames: list[CapturedFrame], probabilities: list[float], options: ClassifyOptions
) -> list[Result]:
    classifier.unknown_below = 0.5
    ticks = iter(range(100))
    source, unsure = Frames(frames), Unsure(classifier, probabilities)
    return list(Answers(source, unsure, options=options, clock=lambda: float(next(ticks))))  # type: ignore[arg-type]


def test_below_the_threshold_no_class_is_named(
    make_classifier: Callable[..., Classifier], make_frame: Callable[..., CapturedFrame]
) -> None:
    frames = [make_frame(n) for n in range(3)]
    results = answered(make_classifier(), frames, [0.9, 0.4, 0.5], ClassifyOptions())
    assert [result.label for result in results] == ["grey 3", "unknown", "grey 3"]
    assert [len(result.guesses) for result in results] == [2, 0, 2]


def test_with_smoothing_the_average_counts(
    make_classifier: Callable[..., Classifier], make_frame: Callable[..., CapturedFrame]
) -> None:
    frames = [make_frame(n) for n in range(3)]
    results = answered(make_classifier(), frames, [0.9, 0.4, 0.0], ClassifyOptions(smoothing=1.0))
    # e^-1 = 0.37 of the average so far is kept in each second: 0.9, 0.58, 0.21
    assert [result.is_unknown for result in results] == [False, False, True]


def test_the_threshold_you_set_yourself_is_not_sure(make_result: Callable[..., Result]) -> None:
    assert make_result(guesses=()).label == "not sure"


def test_every_sink_says_unknown(make_result: Callable[..., Result]) -> None:
    result = make_result(guesses=(), is_unknown=True)
    assert describe(result).startswith("unknown | 7.5 ms")
    assert (result.to_dict()["unknown"], result.to_dict()["labels"]) == (True, [])
    assert (_state(result)["label"], _state(result)["probability"]) == ("unknown", None)
    assert (draw(result) == draw(make_result(guesses=(Guess(0, "unknown", 0.0),)))).mean() > 0.9
    stats = Stats(backend="fake")
    stats.add(result)
    assert stats.summary().seen == ("unknown 0:00-0:00",)
    assert not make_result().to_dict()["unknown"]


def test_it_is_a_setting() -> None:
    assert Settings().classify.unknown == "auto"
    assert Settings(unknown="off").classify.unknown == "off"
    assert Settings(unknown="0.4").classify.unknown == 0.4
    with pytest.raises(ConfidenceError):
        Settings(unknown="never")


def test_thresholds_of_single_classes_are_a_table_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[thresholds]\nseven = 0.8\n"no card" = 0\n')
    settings = settings_of(read_config(path), {})
    assert settings.classify.thresholds == {"seven": 0.8, "no card": 0}
    with pytest.raises(ConfidenceError, match="invalid threshold of 'cup'"):
        Settings(thresholds={"cup": 1.2})


def test_a_class_with_a_threshold_of_its_own_is_named_only_above_it(
    make_classifier: Callable[..., Classifier], make_frame: Callable[..., CapturedFrame]
) -> None:
    classifier = make_classifier()
    classifier.class_thresholds = {3: 0.95}
    results = answered(classifier, [make_frame(n) for n in range(2)], [0.9, 0.96], ClassifyOptions())
    assert [result.label for result in results] == ["unknown", "grey 3"]


def test_a_threshold_for_no_class_is_refused_before_the_board_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "profile", lambda *args, **options: pytest.fail("the board was measured"))
    with pytest.raises(ConfidenceError, match="There is no class 'sevn': did you mean 'seven'"):
        load(edge.open_bundle("demo"), ModelOptions(), edge.Budget.of(fps=30), thresholds={"sevn": 0.8})
