import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import camera_demo
from camera_demo.events import Event
from camera_demo.frames import CapturedFrame, Result
from camera_demo.live import Answers, answers
from camera_demo.options import ClassifyOptions
from camera_demo.region import Region
from camera_demo.session import run, show
from camera_demo.settings import Settings
from camera_demo.sinks import WatcherLeft
from camera_demo.sources import Prepare
from camera_demo.sources.prefetch import BackgroundSource, latest_frames, read_ahead
from camera_demo.stop import Stop
from camera_demo.summary import FrameRate, Stats
from edge.budget import Budget
from edge.bundles.bundle import open_bundle
from edge.errors import BudgetError, BundleError, ConfidenceError
from edge.inference.backends.fake import FakeBackend
from edge.inference.classifier import Classifier
from edge.inference.prediction import Prepared
from edge.vision.preprocess import Frame


class ListedFrames:
    """A source of frames made beforehand."""

    name, is_live, rate_hz, dropped = "list", False, 25.0, 0

    def __init__(self, frames: list[CapturedFrame]) -> None:
        self._frames = frames

    def frames(self, stop: Stop, prepare: Prepare | None = None) -> Iterator[CapturedFrame]:
        yield from self._frames

    def close(self) -> None:
        """Nothing is held."""


class Album:
    """A sink that keeps what it is shown and leaves when it has enough."""

    def __init__(self, *, wants_picture: bool = False, enough: int = 1000, on_show: Callable[[], None] = lambda: None):
        self.wants_picture, self._enough, self._on_show = wants_picture, enough, on_show
        self.results: list[Result] = []
        self.events: list[Event] = []

    def show(self, result: Result) -> None:
        self.results.append(result)
        self._on_show()
        if len(self.results) >= self._enough:
            raise WatcherLeft

    def on_event(self, event: Event) -> None:
        self.events.append(event)

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
    show(Answers(ten_frames, classifier), [album], stats)
    assert [result.frame.index for result in album.results] == list(range(10))
    assert [result.best.class_id for result in album.results if result.best] == list(range(10))
    assert {result.variant for result in album.results} == {"mobilenet_v1_0.25_128"}
    assert stats.frames == 10


def test_the_answer_s_age_is_counted_from_the_capture(
    make_frame: Callable[..., CapturedFrame], classifier: Classifier, stats: Stats
) -> None:
    album = Album()
    source = ListedFrames([make_frame(captured_at_s=100.0)])
    show(Answers(source, classifier, clock=lambda: 100.25, wall_clock=lambda: 1.7e9), [album], stats)
    assert album.results[0].answer_ms == 250.0
    assert album.results[0].answered_at_s == 1.7e9


def test_a_picture_is_drawn_only_for_a_sink_that_wants_one(
    ten_frames: ListedFrames, classifier: Classifier, stats: Stats
) -> None:
    plain, drawn = Album(), Album(wants_picture=True)
    show(Answers(ten_frames, classifier), [plain], stats)
    show(Answers(ten_frames, classifier), [plain, drawn], stats)
    assert [result.picture is None for result in plain.results] == [True] * 10 + [False] * 10
    assert all(result.picture is not None for result in drawn.results)


def test_it_ends_after_the_frames_asked_for(ten_frames: ListedFrames, classifier: Classifier, stats: Stats) -> None:
    show(Answers(ten_frames, classifier), [], stats, max_frames=4)
    assert stats.frames == 4


def test_it_ends_when_the_end_is_requested(ten_frames: ListedFrames, classifier: Classifier, stats: Stats) -> None:
    stop = Stop()
    show(Answers(ten_frames, classifier, stop=stop), [Album(on_show=stop.request)], stats)
    assert stats.frames == 1


def test_it_ends_when_nobody_watches(ten_frames: ListedFrames, classifier: Classifier, stats: Stats) -> None:
    show(Answers(ten_frames, classifier), [Album(enough=3)], stats)
    assert stats.frames == 3


@pytest.mark.parametrize("is_live", [False, True])
def test_a_source_with_a_thread_of_its_own_prepares_the_region_there(
    is_live: bool,
    make_frame: Callable[..., CapturedFrame],
    classifier: Classifier,
    stats: Stats,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, album, shapes = make_frame(level=3), Album(enough=1), list[tuple[int, ...]]()
    frame.image[:, 32:] = make_frame(level=7).image[:, 32:]
    prepare = classifier.preparer()

    def note(image: Frame) -> Prepared:
        shapes.append((threading.get_ident(), *image.shape))
        return prepare(image)

    monkeypatch.setattr(classifier, "preparer", lambda: note)

    source = (latest_frames if is_live else read_ahead)(ListedFrames([frame]))
    options = ClassifyOptions(regions=(Region.parse("0.5,0,1,1"),))
    show(Answers(source, classifier, options=options), [album], stats)
    source.close()
    assert [shape[1:] for shape in shapes] == [(48, 32, 3)]
    assert shapes[0][0] != threading.get_ident()
    assert album.results[0].frame.prepared is not None
    assert album.results[0].best is not None and album.results[0].best.class_id == 7


def test_a_file_s_frame_is_as_old_as_its_preparing_took(make_frame: Callable[..., CapturedFrame]) -> None:
    source = read_ahead(ListedFrames([make_frame()]))

    def prepare(frame: CapturedFrame) -> CapturedFrame:
        return replace(frame, prepared=Prepared(frame.image, 1000.0))

    began_s = time.monotonic()
    [frame] = [frame for frame in source.frames(Stop(), prepare) if frame]
    source.close()
    assert began_s <= frame.captured_at_s + 1.0 <= time.monotonic()


def test_guesses_below_the_threshold_are_left_out(
    ten_frames: ListedFrames, classifier: Classifier, stats: Stats
) -> None:
    album = Album()
    show(Answers(ten_frames, classifier, options=ClassifyOptions(threshold=0.5)), [album], stats)
    assert {len(result.guesses) for result in album.results} == {1}
    show(Answers(ten_frames, classifier, options=ClassifyOptions(threshold=1.0)), [album], stats)
    assert album.results[-1].best is None


def test_the_rate_is_that_of_the_last_answers() -> None:
    rate = FrameRate()
    assert rate.tick(5.0) == 0.0
    assert rate.tick(5.0) == 0.0
    for number in range(100):
        answer = rate.tick(10 + number / 20)
    assert answer == pytest.approx(20)


def test_answers_go_by_the_frames_of_a_clip_and_equal_the_command_s(
    make_clip: Callable[..., Path], bundle_folder: Path, tmp_path: Path
) -> None:
    clip = make_clip([2] * 3 + [7] * 2)
    model: dict[str, Any] = {"bundle": str(bundle_folder), "variant": "0.25_128", "backend": "fake", "threads": 1}
    results = list(camera_demo.answers(clip, **model, options=ClassifyOptions(top_k=2)))
    outputs = (f"json:{tmp_path / 'o.jsonl'}",)
    run(Settings(input=str(clip), outputs=outputs, top_k=2, **model), Stop(), announce=lambda line: None)
    printed = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [result.best.class_id for result in results if result.best] == [2, 2, 2, 7, 7]
    for name in ("frame", "position_s", "variant", "backend", "labels", "dropped"):
        assert [result.to_dict()[name] for result in results] == [line[name] for line in printed]
    assert {result.budget_ms for result in results} == {1000 / 30}


def test_answers_adapt_unless_a_variant_is_named(
    make_clip: Callable[..., Path], bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with answers(make_clip([1, 2]), bundle=bundle_folder, backend="fake", fps=5) as adapting:
        assert adapting.classifier.mode == "auto"
        assert [result.budget_ms for result in adapting] == [200.0, 200.0]
    with answers(make_clip([1]), bundle=bundle_folder, backend="fake", variant="0.25_128") as fixed:
        assert fixed.classifier.mode == "fixed"


def test_answers_take_what_the_rest_of_the_package_gives(make_clip: Callable[..., Path], bundle_folder: Path) -> None:
    bundle = open_bundle(bundle_folder)
    variant = bundle.variants[-1].variant
    with answers(make_clip([1]), bundle=bundle, backend="fake", variant=variant, budget_ms=40) as opened:
        [result] = opened
    assert (result.variant, result.budget_ms) == (variant.name, 40.0)
    assert "array" not in repr(result), "no pixels"
    again = replace(result, fps=1.0)
    assert (result in [again, result], again == result, len({again, result})) == (True, False, 2)


@pytest.mark.parametrize("ending", ["break", "error", "with", "gc", "end", "close"])
@pytest.mark.parametrize("source", ["synthetic:64x64@200", "clip"])
def test_everything_is_closed_however_it_ends(
    source: str, ending: str, make_clip: Callable[..., Path], bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    close_source, close_model = BackgroundSource.close, FakeBackend.close

    def note_source(source: BackgroundSource) -> None:
        close_source(source)
        closed.append("source")

    def note_model(model: FakeBackend) -> None:
        close_model(model)
        closed.append("model")

    monkeypatch.setattr(BackgroundSource, "close", note_source)
    monkeypatch.setattr(FakeBackend, "close", note_model)
    before = set(threading.enumerate())

    def opened() -> Answers:
        place: Any = make_clip([1, 2, 3] * 20) if source == "clip" else source
        return answers(place, bundle=bundle_folder, backend="fake", variant="0.25_128")

    if ending == "break":
        for _ in opened():
            break
    elif ending == "error":
        with pytest.raises(ValueError, match="mine"), opened() as stream:
            for _ in stream:
                raise ValueError("mine")
    elif ending == "with":
        with opened() as stream:
            next(stream)
    elif ending == "gc":
        stream = opened()
        next(stream)
        del stream
        gc.collect()
    elif ending == "close":
        stream = opened()
        next(stream)
        stream.close()
        stream.close()
        assert next(stream, None) is None
    else:
        stream = opened()
        for number, _ in enumerate(stream):
            if number == 3:
                stream._stop.request()
        assert next(stream, None) is None
    assert closed == ["model", "source"]
    assert set(threading.enumerate()) == before


def test_what_cannot_be_opened_leaves_nothing_open(bundle_folder: Path, make_clip: Callable[..., Path]) -> None:
    before = set(threading.enumerate())
    with pytest.raises(BundleError, match="There is no bundle nowhere"):
        answers(make_clip([1]), bundle="nowhere")
    with pytest.raises(camera_demo.SourceError):
        answers("nowhere.mp4", bundle=bundle_folder)
    with pytest.raises(BudgetError, match="give one of fps, budget_ms and budget"):
        answers(make_clip([1]), bundle=bundle_folder, fps=30, budget=Budget(latency_ms=3))
    with pytest.raises(ConfidenceError, match="There is no class 'gren': did you mean"):
        answers(make_clip([1]), bundle=bundle_folder, options=ClassifyOptions(watched=("gren",)))
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("source", ["synthetic:64x64@200", "clip"])
def test_a_program_ends_though_it_never_closed_its_answers(
    source: str, make_clip: Callable[..., Path], bundle_folder: Path
) -> None:
    place = str(make_clip([1, 2, 3] * 200)) if source == "clip" else source
    code = (
        f"import camera_demo; stream = camera_demo.answers({place!r}, bundle={str(bundle_folder)!r}, "
        "backend='fake', variant='0.25_128'); print(next(stream).frame.index >= 0); kept = [stream, stream.source]"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_the_face_is_lazy_and_every_name_is_there() -> None:
    code = (
        "import sys, camera_demo; print({'cv2', 'numpy', 'typer', 'torch'} & set(sys.modules)); "
        "print(all(getattr(camera_demo, name) for name in camera_demo.__all__), camera_demo.__version__); "
        "print({'typer', 'torch', 'starlette', 'rich'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.splitlines() == ["set()", f"True {version('mobilenet-edge')}", "set()"]
    with pytest.raises(AttributeError, match="module 'camera_demo' has no attribute 'answer'"):
        camera_demo.answer  # type: ignore[attr-defined]  # noqa: B018
