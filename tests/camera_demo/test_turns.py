"""Several regions in turn, and a model that rests while nothing changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from camera_demo.errors import SourceError
from camera_demo.events import Event, Span, Steady
from camera_demo.frames import CapturedFrame, Result
from camera_demo.live import Answers
from camera_demo.motion import CHANGED_LEVELS, Motion, cells_of
from camera_demo.options import ClassifyOptions
from camera_demo.region import Region, parse_regions
from camera_demo.sources import Prepare
from camera_demo.sources.prefetch import read_ahead
from camera_demo.stop import Stop
from camera_demo.turns import Turns
from edge.budget import Budget
from edge.inference.classifier import Classifier
from edge.vision.preprocess import Frame, Preprocessing

HALVES = parse_regions(["left=0,0,0.5,1", "right=0.5,0,1,1"])
QUICK = Steady(Span(2), Span(2))


class Frames:
    """A source without a thread of its own."""

    name, rate_hz, dropped = "list", 25.0, 0

    def __init__(self, frames: list[CapturedFrame], *, is_live: bool = False) -> None:
        self._frames, self.is_live = frames, is_live

    def frames(self, stop: Stop, prepare: Prepare | None = None) -> Iterator[CapturedFrame | None]:
        yield from self._frames

    def close(self) -> None:
        """Nothing is held."""


def halves(make_frame: Callable[..., CapturedFrame], index: int, left: int, right: int) -> CapturedFrame:
    frame = make_frame(index, level=left, captured_at_s=index / 25)
    frame.image[:, 32:] = make_frame(level=right).image[:, 32:]
    return frame


def classes(results: list[Result]) -> list[tuple[str, int]]:
    return [(result.region_name, result.prediction.best.class_id) for result in results]


@pytest.mark.parametrize("is_ahead", [False, True])
def test_regions_are_classified_in_turn_under_their_names(
    is_ahead: bool, make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    frames = Frames([halves(make_frame, index, 3, 7) for index in range(6)])
    source = read_ahead(frames) if is_ahead else frames
    results = list(Answers(source, make_classifier(), options=ClassifyOptions(regions=HALVES)))
    source.close()
    assert classes(results) == [("left", 3), ("right", 7)] * 3
    assert [each.region_name for each in results[3].every_region] == ["left", "right"]
    assert results[3].elsewhere[0].frame.index == 2
    assert results[0].every_region == (results[0],)
    assert results[1].to_dict()["region_name"] == "right"


def test_no_region_starves_when_a_camera_s_frames_are_dropped(make_classifier: Callable[..., Classifier]) -> None:
    regions = parse_regions([f"r{number}={number / 4},0,{(number + 1) / 4},1" for number in range(4)])
    turns, answered = Turns(make_classifier(), regions, is_live=True), Counter[str]()
    image = np.zeros((48, 64, 3), np.uint8)
    for index in range(40):
        for _ in range(1 + index % 3):  # frames that a newer one replaces
            frame = turns.prepare(CapturedFrame(image=image, index=index, captured_at_s=0.0, position_s=0.0))
        region = turns.choose(frame, 0.0)[0].region
        assert region is not None
        answered[region.name] += 1
    assert set(answered.values()) == {10}


def test_each_region_has_events_of_its_own(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    events: list[Event] = []
    frames = [halves(make_frame, index, 3 if index < 12 else 5, 7) for index in range(20)]
    options = ClassifyOptions(regions=HALVES, steady=QUICK)
    answers = Answers(Frames(frames), make_classifier(), options=options, on_event=events.append)
    results = list(answers)
    begun = [(event.region, event.class_id, event.number) for event in events if not event.is_over]
    assert begun == [("left", 3, 1), ("right", 7, 1), ("left", 5, 2)]
    assert [event.is_over for event in events].count(True) == 3, "what lasts ends with the source"
    assert (results[-1].region_name, results[-1].steady, results[-2].steady) == ("right", "grey 7", "grey 5")


def test_only_watched_classes_are_announced(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    events: list[Event] = []
    frames = [make_frame(index, level=3 if index < 4 else 5) for index in range(12)]
    options = ClassifyOptions(steady=QUICK, watched=("grey 3",))
    results = list(Answers(Frames(frames), make_classifier(), options=options, on_event=events.append))
    assert [(event.label, event.is_over) for event in events] == [("grey 3", False), ("grey 3", True)]
    assert [result.steady for result in results] == [None, *["grey 3"] * 4, *[None] * 7]


def test_a_camera_that_is_away_ends_what_is_seen_while_nothing_comes(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    now_s, events = [0.0], list[tuple[float, bool]]()

    class Leaving(Frames):
        def frames(self, stop: Stop, prepare: Prepare | None = None) -> Iterator[CapturedFrame | None]:
            yield from super().frames(stop, prepare)
            for _ in range(200):
                now_s[0] += 0.1
                yield None

    answers = Answers(
        Leaving([make_frame(index) for index in range(5)]),
        make_classifier(),
        options=ClassifyOptions(steady=QUICK),
        on_event=lambda event: events.append((round(now_s[0], 1), event.is_over)),
        clock=lambda: now_s[0],
    )
    assert len(list(answers)) == 5
    assert events == [(0.0, False), (10.1, True)], "and not once more at the end"


def test_events_are_numbered_on_when_another_classifier_takes_over(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    events: list[Event] = []
    frames = [make_frame(index, level=3) for index in range(10)]
    options = ClassifyOptions(steady=QUICK)
    answers = Answers(Frames(frames), make_classifier(), options=options, on_event=events.append)
    for number, _ in enumerate(answers):
        if number == 4:
            answers.use(make_classifier())
    assert [(event.number, event.is_over) for event in events] == [(1, False), (1, True), (2, False), (2, True)]


def test_another_classifier_takes_over_while_no_frame_comes(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    taken: list[str] = []
    first, second, third = (make_classifier() for _ in range(3))

    class Away(Frames):
        def frames(self, stop: Stop, prepare: Prepare | None = None) -> Iterator[CapturedFrame | None]:
            yield make_frame(0)
            answers.use(second, lambda: taken.append("never"))
            answers.use(third, lambda: taken.append("third"))
            assert answers.is_waiting(third) and not answers.is_waiting(second)
            yield None
            assert answers.classifier is third and taken == ["third"] and not answers.is_waiting(third)
            yield make_frame(1)

    answers = Answers(Away([]), first)
    assert len(list(answers)) == 2


def test_what_was_prepared_for_one_classifier_is_not_used_by_another(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    """A frame that waits while another version takes over, of which the preprocessing may differ."""
    classifier = make_classifier()
    dark = make_classifier().preparer()(make_frame(level=1).image)
    other = dark._replace(preprocessing=replace(Preprocessing(), colour_order="BGR"))
    bright = make_frame(level=8).image
    assert classifier.classify(bright, dark).best.class_id == 1
    assert classifier.classify(bright, other).best.class_id == 8


def noisy(image: Frame, generator: np.random.Generator) -> Frame:
    noise = generator.normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_the_model_rests_while_nothing_changes_and_answers_a_change_at_once(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    generator, levels = np.random.default_rng(0), [3] * 20 + [4] * 20
    frames = []
    for index, level in enumerate(levels):
        frame = make_frame(index, level=level, captured_at_s=index / 25)
        frames.append(replace(frame, image=noisy(np.repeat(np.repeat(frame.image, 8, 0), 8, 1), generator)))
    results = list(Answers(Frames(frames), make_classifier(), options=ClassifyOptions(idle=True)))
    assert [index for index, result in enumerate(results) if not result.is_kept] == [0, 20]
    assert [result.prediction.best.class_id for result in results] == levels
    assert results[5].prediction.infer_ms == 0
    assert results[5].to_dict()["kept"] is True and "kept" not in results[0].to_dict()


def test_what_has_not_changed_passes_its_turn_on(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    frames = [halves(make_frame, index, 3, index % 10) for index in range(10)]
    results = list(Answers(Frames(frames), make_classifier(), options=ClassifyOptions(regions=HALVES, idle=True)))
    assert classes(results) == [("left", 3), *(("right", index) for index in range(1, 10))]
    assert not any(result.is_kept for result in results)


def test_a_change_is_what_differs_from_the_picture_that_was_classified() -> None:
    def still(level: float, height: int = 480, width: int = 640) -> Frame:
        return np.full((height, width, 3), level, np.uint8)

    motion = Motion()

    def must(image: Frame, now_s: float, wish: object = None) -> bool:
        return motion.must_classify(cells_of(image), now_s, wish)

    assert must(still(100), 0.0), "nothing was classified yet"
    assert not must(still(100 + CHANGED_LEVELS), 0.1)
    assert must(still(101 + CHANGED_LEVELS), 0.2)
    slowly = [must(still(101 + CHANGED_LEVELS + step), 0.2 + 0.01 * step) for step in range(1, 28)]
    assert slowly.count(True) == 3, "slow changes add up"
    small = still(136)
    small[120:150, 160:200] = 0
    assert must(small, 0.5), "one cell of 256 is enough"
    assert not must(small, 5.0) and must(small, 5.6), "the longest rest"
    assert must(small, 5.7, "another variant") and not must(small, 5.8, "another variant")
    for size in ((1, 1), (16, 16), (2160, 3840)):
        assert cells_of(still(3, *size)).shape == (16, 16, 3)


def test_a_frame_that_waited_is_compared_with_what_was_classified_meanwhile(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    turns = Turns(make_classifier(), (), is_live=True, is_idle=True)
    dark, light = make_frame(0, level=3), make_frame(1, level=7)
    assert turns.choose(turns.prepare(dark), 0.0)[1] is False
    blink, after = turns.prepare(light), turns.prepare(dark)
    assert blink.prepared is not None and after.prepared is None, "it differs not from what was classified by then"
    assert [turns.choose(frame, 0.1)[1] for frame in (blink, after)] == [False, False]


def test_pinning_a_variant_asks_for_a_new_answer(
    make_frame: Callable[..., CapturedFrame], make_classifier: Callable[..., Classifier]
) -> None:
    classifier = make_classifier()
    turns = Turns(classifier, (), is_live=True, is_idle=True)
    frames = [turns.prepare(make_frame(index)) for index in range(3)]
    assert [turns.choose(frame, 0.1)[1] for frame in frames[:2]] == [False, True]
    classifier.set_budget(Budget(latency_ms=5.0))
    assert turns.choose(frames[2], 0.2)[1] is False


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a=0,0,1,1", "a=0,0,0.5,1"], "duplicate region name 'a'"),
        (["a b=0,0,1,1", "A-b=0,0,0.5,1"], "duplicate region name 'a b'"),
        (["0,0,1,1", "a=0,0,0.5,1"], "one of several regions has no name"),
        (["0,0,1,1", "0,0,0.5,1"], "one of several regions has no name"),
        (["=0,0,1,1"], "expected a name before '='"),
        (["a/b=0,0,1,1"], "invalid region name 'a/b'"),
        (['a"}\n=0,0,1,1'], "invalid region name"),
        (["a=0,0,0,1"], "invalid region 0,0,0,1: expected LEFT,TOP,RIGHT,BOTTOM"),
        (["a=0,0,1.5,1"], "invalid region 0,0,1.5,1"),
        (["a=nan,0,1,1"], "invalid region nan,0,1,1"),
        (["a=0,0,1"], "invalid region 'a=0,0,1'"),
        ([f"r{number}=0,0,1,1" for number in range(17)], "too many regions: 17"),
    ],
)
def test_regions_that_cannot_be_told_apart_or_are_none_are_refused(texts: list[str], message: str) -> None:
    with pytest.raises(SourceError) as raised:
        parse_regions(texts)
    assert message in str(raised.value)


def test_a_region_s_name_is_kept() -> None:
    assert Region.parse("front door=0,0,0.5,1").name == "front door"
    assert Region.parse("0,0,0.5,1").name == ""
