import threading
import time
from collections.abc import Callable, Iterator

import pytest

from camera_demo.frames import CapturedFrame, Result
from camera_demo.loop import ClassifyOptions, FrameRate, LiveLoop
from camera_demo.region import Region
from camera_demo.sinks import WatcherLeft
from camera_demo.sources.prefetch import latest_frames, read_ahead
from camera_demo.stop import Stop
from camera_demo.summary import Stats
from edge.inference.classifier import Classifier
from edge.inference.prediction import Prepared
from edge.vision.preprocess import Frame


class ListedFrames:
    """A source of frames made beforehand."""

    name, is_live, rate_hz, dropped = "list", False, 25.0, 0

    def __init__(self, frames: list[CapturedFrame]) -> None:
        self._frames = frames

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        yield from self._frames

    def close(self) -> None:
        """Nothing is held."""


class Album:
    """A sink that keeps what it is shown and leaves when it has enough."""

    def __init__(self, *, wants_picture: bool = False, enough: int = 1000, on_show: Callable[[], None] = lambda: None):
        self.wants_picture, self._enough, self._on_show = wants_picture, enough, on_show
        self.results: list[Result] = []

    def show(self, result: Result) -> None:
        self.results.append(result)
        self._on_show()
        if len(self.results) >= self._enough:
            raise WatcherLeft

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def ten_frames(make_frame: Callable[..., CapturedFrame]) -> ListedFrames:
    return ListedFrames([make_frame(index, level=index) for index in range(10)])


@pytest.fixture
def stats() -> Stats:
    return Stats(backend="b")


@pytest.fixture
def classifier(make_classifier: Callable[..., Classifier]) -> Classifier:
    return make_classifier()


def test_every_frame_of_a_file_is_answered_in_order(
    ten_frames: ListedFrames, classifier: Classifier, stats: Stats
) -> None:
    album = Album()
    LiveLoop(classifier, [album], stats).run(ten_frames, Stop())
    assert [result.frame.index for result in album.results] == list(range(10))
    assert [result.best.class_id for result in album.results if result.best] == list(range(10))
    assert {result.variant for result in album.results} == {"mobilenet_v1_0.25_128"}
    assert stats.frames == 10


def test_the_answer_s_age_is_counted_from_the_capture(
    make_frame: Callable[..., CapturedFrame], classifier: Classifier, stats: Stats
) -> None:
    album = Album()
    source = ListedFrames([make_frame(captured_at_s=100.0)])
    LiveLoop(classifier, [album], stats, clock=lambda: 100.25, wall_clock=lambda: 1.7e9).run(source, Stop())
    assert album.results[0].answer_ms == 250.0
    assert album.results[0].answered_at_s == 1.7e9


def test_a_picture_is_drawn_only_for_a_sink_that_wants_one(
    ten_frames: ListedFrames, classifier: Classifier, stats: Stats
) -> None:
    plain, drawn = Album(), Album(wants_picture=True)
    LiveLoop(classifier, [plain], stats).run(ten_frames, Stop())
    LiveLoop(classifier, [plain, drawn], stats).run(ten_frames, Stop())
    assert [result.picture is None for result in plain.results] == [True] * 10 + [False] * 10
    assert all(result.picture is not None for result in drawn.results)


def test_it_ends_after_the_frames_asked_for(ten_frames: ListedFrames, classifier: Classifier, stats: Stats) -> None:
    LiveLoop(classifier, [], stats).run(ten_frames, Stop(), max_frames=4)
    assert stats.frames == 4


def test_it_ends_when_the_end_is_requested(ten_frames: ListedFrames, classifier: Classifier, stats: Stats) -> None:
    stop = Stop()
    LiveLoop(classifier, [Album(on_show=stop.request)], stats).run(ten_frames, stop)
    assert stats.frames == 1


def test_it_ends_when_nobody_watches(ten_frames: ListedFrames, classifier: Classifier, stats: Stats) -> None:
    LiveLoop(classifier, [Album(enough=3)], stats).run(ten_frames, Stop())
    assert stats.frames == 3


@pytest.mark.parametrize("is_live", [False, True])
def test_a_source_with_a_thread_of_its_own_prepares_the_region_there(
    is_live: bool, make_frame: Callable[..., CapturedFrame], classifier: Classifier, stats: Stats
) -> None:
    frame, album, shapes = make_frame(level=3), Album(enough=1), list[tuple[int, ...]]()
    frame.image[:, 32:] = make_frame(level=7).image[:, 32:]
    prepare = classifier.preparer()

    def note(image: Frame) -> Prepared:
        shapes.append((threading.get_ident(), *image.shape))
        return prepare(image)

    class Noted:
        variant, backend, classify = classifier.variant, classifier.backend, classifier.classify

        def preparer(self) -> Callable[[Frame], Prepared]:
            return note

    source = (latest_frames if is_live else read_ahead)(ListedFrames([frame]))
    options = ClassifyOptions(region=Region.parse("0.5,0,1,1"))
    LiveLoop(Noted(), [album], stats, options=options).run(source, Stop())
    source.close()
    assert [shape[1:] for shape in shapes] == [(48, 32, 3)]
    assert shapes[0][0] != threading.get_ident()
    assert album.results[0].frame.prepared is not None
    assert album.results[0].best is not None and album.results[0].best.class_id == 7


def test_a_file_s_frame_is_as_old_as_its_preparing_took(make_frame: Callable[..., CapturedFrame]) -> None:
    source = read_ahead(ListedFrames([make_frame()]))
    source.prepare = lambda image: Prepared(image, 1000.0)
    [frame] = [frame for frame in source.frames(Stop()) if frame]
    source.close()
    assert 1.0 <= time.monotonic() - frame.captured_at_s < 2.0


def test_guesses_below_the_threshold_are_left_out(
    ten_frames: ListedFrames, classifier: Classifier, stats: Stats
) -> None:
    album = Album()
    LiveLoop(classifier, [album], stats, options=ClassifyOptions(threshold=0.5)).run(ten_frames, Stop())
    assert {len(result.guesses) for result in album.results} == {1}
    LiveLoop(classifier, [album], stats, options=ClassifyOptions(threshold=1.0)).run(ten_frames, Stop())
    assert album.results[-1].best is None


def test_the_rate_is_that_of_the_last_answers() -> None:
    rate = FrameRate()
    assert rate.tick(5.0) == 0.0
    assert rate.tick(5.0) == 0.0
    for number in range(100):
        answer = rate.tick(10 + number / 20)
    assert answer == pytest.approx(20)
