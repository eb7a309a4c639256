import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_demo.errors import SinkError, SourceError
from camera_demo.session import run
from camera_demo.settings import Settings
from camera_demo.stop import Stop, stop_on_signals
from edge.errors import BudgetError, BundleError, EdgeError, NoVariantFits, VariantError
from edge.vision.preprocess import Frame


@pytest.fixture
def settings(bundle_folder: Path) -> Callable[..., Settings]:
    """Settings on the grey bundle, its one variant pinned by default."""

    def make(**changes: Any) -> Settings:
        usual: dict[str, Any] = {"bundle": str(bundle_folder), "variant": "0.25_128", "backend": "fake", "threads": 1}
        if not changes.keys() & {"fps", "budget_ms"}:
            usual["budget_ms"] = 5000.0  # which a busy machine keeps, too
        return Settings(**(usual | changes))

    return make


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_clip_becomes_json_lines_a_video_and_a_summary(
    tmp_path: Path, make_clip: Callable[..., Path], settings: Callable[..., Settings]
) -> None:
    clip, said = make_clip([2] * 25 + [7] * 25), list[str]()
    outputs = (f"json:{tmp_path / 'out.jsonl'}", str(tmp_path / "out.mp4"))
    run(settings(input=str(clip), outputs=outputs), Stop(), announce=said.append)
    answers = lines_of(tmp_path / "out.jsonl")
    assert [answer["frame"] for answer in answers] == list(range(50))
    assert [answer["labels"][0]["label"] for answer in answers] == ["grey 2"] * 25 + ["grey 7"] * 25
    assert {len(answer["labels"]) for answer in answers} == {5}
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 50
    assert said[0].startswith("50 frames in ")
    assert said[2:] == [
        "seen: grey 2 0:00-0:00 100 %, grey 7 0:01-0:01 100 %",
        "mobilenet_v1_0.25_128 on fake (fake 1, 1 thread)",
    ]


def test_a_folder_is_classified_picture_by_picture(
    tmp_path: Path, make_grey: Callable[..., Frame], settings: Callable[..., Settings]
) -> None:
    (tmp_path / "in").mkdir()
    for level in (4, 1, 9):
        cv2.imwrite(str(tmp_path / "in" / f"{level}.png"), make_grey(level))
    wanted = settings(input=str(tmp_path / "in"), outputs=(f"json:{tmp_path / 'o.jsonl'}",), top_k=1)
    run(wanted, Stop(), announce=lambda line: None)
    seen = [(Path(a["file"]).stem, a["labels"][0]["index"], len(a["labels"])) for a in lines_of(tmp_path / "o.jsonl")]
    assert seen == [("1", 1, 1), ("4", 4, 1), ("9", 9, 1)]


def test_a_clip_that_breaks_off_is_told_after_its_summary_and_its_video_is_kept(
    tmp_path: Path, make_clip: Callable[..., Path], settings: Callable[..., Settings]
) -> None:
    whole = make_clip([1, 9] * 25, "whole.mkv").read_bytes()
    cut, said = tmp_path / "cut.mkv", list[str]()
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(SourceError, match="breaks off"):
        run(settings(input=str(cut), outputs=(str(tmp_path / "out.mp4"),)), Stop(), announce=said.append)
    assert " frames in " in said[0]
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 5


def test_the_terminal_is_the_default_and_leaves_stdout_to_json(
    settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    run(settings(input="synthetic:64x64", max_frames=2), Stop(), announce=lambda line: None)
    assert capfd.readouterr().out.startswith("grey ")
    outputs = ("json:-", "terminal")
    run(settings(input="synthetic:64x64", outputs=outputs, max_frames=2), Stop(), announce=lambda line: None)
    captured = capfd.readouterr()
    assert [json.loads(line)["frame"] for line in captured.out.splitlines()] == [0, 1]
    assert captured.err.startswith("grey ")


def test_headless_leaves_the_display_out(settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]) -> None:
    wanted = settings(input="synthetic:64x64", outputs=("display",), headless=True, max_frames=1)
    run(wanted, Stop(), announce=lambda line: None)
    assert capfd.readouterr().out.startswith("grey ")


def test_without_a_pinned_variant_the_budget_chooses_and_the_page_may_change_it(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said: list[str] = []
    wanted = settings(input="synthetic:64x64", outputs=(f"json:{tmp_path / 'o.jsonl'}",), variant=None, fps=5)
    run(replace(wanted, max_frames=3), Stop(), announce=said.append)
    chosen = next(line for line in said if line.startswith("Using "))
    assert re.fullmatch(r"Using mobilenet_v1_0.25_128: p95 [\d.]+ ms within the budget of 200.00 ms\.", chosen)
    assert said[-1] == "mobilenet_v1_0.25_128 on fake (fake 1, 1 thread)"
    assert len(list(tmp_path.glob("mobilenet-edge/profiles/*.json"))) == 1


def test_a_fixed_variant_that_misses_the_budget_is_said_once(settings: Callable[..., Settings]) -> None:
    said = list[str]()
    run(settings(input="synthetic:64x64", budget_ms=0.01, max_frames=25), Stop(), announce=said.append)
    [line] = [line for line in said if "misses" in line]
    assert re.fullmatch(
        r"mobilenet_v1_0\.25_128 misses the budget of 0\.01 ms by [\d.]+ ms \(p95 [\d.]+ ms\)\. "
        r"Start without --variant once: that measures which one would keep it\.",
        line,
    )


def test_a_budget_nothing_meets_ends_with_selects_own_words(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def select(bundle: Any, profile: str, budget: Any) -> Any:
        raise NoVariantFits("No variant meets 1.00 ms p95.")

    monkeypatch.setattr("edge.profile", lambda bundle, **others: "profile")
    monkeypatch.setattr("edge.select", select)
    (tmp_path / "out").mkdir()
    wanted = settings(input="synthetic:", outputs=(str(tmp_path / "out" / "o.mp4"),), variant=None, budget_ms=1)
    with pytest.raises(NoVariantFits, match=r"No variant meets 1\.00 ms p95\."):
        run(wanted, Stop(), announce=lambda line: None)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fps": 30, "budget_ms": 33}, BudgetError, "fps and budget_ms say the same thing: give one of them."),
        ({"fps": 0}, BudgetError, None),
        ({"bundle": "nowhere"}, BundleError, None),
        ({"variant": "big"}, VariantError, None),
        (
            {"variant": "1.0_224"},
            BundleError,
            "Bundle greys has no mobilenet_v1_1.00_224: it has mobilenet_v1_0.25_128.",
        ),
        ({"outputs": ("json:-", "json:-")}, SinkError, "The output json:- is named twice: name it once."),
        ({"input": "/dev/video99"}, SourceError, None),
    ],
)
def test_what_is_wrong_ends_it_with_its_own_words(
    settings: Callable[..., Settings], changes: dict[str, Any], error: type[EdgeError], message: str | None
) -> None:
    said: list[str] = []
    with pytest.raises(error) as raised:
        run(settings(**({"input": "synthetic:"} | changes)), Stop(), announce=said.append)
    assert message in (None, str(raised.value))
    assert said == []


@pytest.mark.parametrize("form", ["{}", "json:{}"])
def test_the_input_is_never_written_over(
    make_clip: Callable[..., Path], settings: Callable[..., Settings], form: str
) -> None:
    clip = make_clip([1])
    before = clip.read_bytes()
    with pytest.raises(SinkError) as raised:
        run(settings(input=str(clip), outputs=(form.format(clip),)), Stop(), announce=lambda line: None)
    assert str(raised.value) == f"{clip} is the input: choose another name for the output."
    assert clip.read_bytes() == before


def _outputs_are_refused(settings: Callable[..., Settings], source: Path | str, *outputs: Path | str) -> str:
    with pytest.raises(SinkError) as raised:
        run(settings(input=str(source), outputs=tuple(map(str, outputs))), Stop(), announce=lambda line: None)
    return str(raised.value)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_the_input_is_not_written_over_by_another_name_either(
    tmp_path: Path, make_clip: Callable[..., Path], settings: Callable[..., Settings], link: Callable[..., None]
) -> None:
    clip = make_clip([1])
    before, other = clip.read_bytes(), tmp_path / "other.mp4"
    link(clip, other)
    for output in (f"json:{other}", other):
        message = _outputs_are_refused(settings, clip, output)
        assert message == f"{other} is the input {clip}, by another name: choose another name for the output."
    assert "is the input" in _outputs_are_refused(settings, other, f"json:{clip}")
    assert clip.read_bytes() == before


@pytest.mark.parametrize("form", ["{}", "{}/*.png", "{}/a.png"])
def test_a_picture_that_is_read_is_not_written_over(
    tmp_path: Path, settings: Callable[..., Settings], form: str
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((8, 8, 3), np.uint8))
    before = (folder / "a.png").read_bytes()
    os.link(folder / "a.png", tmp_path / "b.jsonl")
    for output in (f"json:{folder}/a.png", f"json:{tmp_path}/b.jsonl"):
        assert "is the input" in _outputs_are_refused(settings, form.format(folder), output)
    assert (folder / "a.png").read_bytes() == before


def test_two_outputs_are_not_one_file(
    tmp_path: Path, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = _outputs_are_refused(settings, "synthetic:", "json:a.jsonl", "json:./a.jsonl")
    assert message == "The outputs a.jsonl and a.jsonl are the same file: give each its own."
    Path("b.mp4").touch()
    os.link("b.mp4", "c.mp4")
    assert "are the same file" in _outputs_are_refused(settings, "synthetic:", "b.mp4", "json:c.mp4")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_live_run_and_no_thread_stays(
    settings: Callable[..., Settings], tmp_path: Path, number: signal.Signals
) -> None:
    answers, before, said = tmp_path / "out.jsonl", set(threading.enumerate()), list[str]()

    def end_it_after_three_answers() -> None:
        while not answers.exists() or answers.read_bytes().count(b"\n") < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    outputs = (str(tmp_path / "out.mp4"), f"json:{answers}", "http://127.0.0.1:0")
    impatient = threading.Thread(target=end_it_after_three_answers)
    with stop_on_signals() as stop:
        impatient.start()
        run(settings(input="synthetic:320x240", outputs=outputs), stop, announce=said.append)
    impatient.join()
    assert set(threading.enumerate()) == before
    assert " frames in " in said[1]
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_a_slow_model_drops_frames_and_says_how_many(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.inference.backends.fake.FakeBackend.latency_ms", 30.0, raising=False)
    monkeypatch.setattr("edge.inference.backends.fake.FakeBackend.__setattr__", _keep_latency, raising=False)
    path = tmp_path / "out.jsonl"
    wanted = settings(input="synthetic:64x64@200", outputs=(f"json:{path}",), max_frames=10)
    run(wanted, Stop(), announce=lambda line: None)
    answers = lines_of(path)
    assert answers[-1]["dropped"] >= 10
    assert answers[-1]["frame"] - answers[-1]["dropped"] <= 10


def _keep_latency(self: object, name: str, value: object) -> None:
    if name != "latency_ms":
        object.__setattr__(self, name, value)


def test_a_signal_while_the_board_is_measured_ends_it_and_leaves_nothing(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def profile(bundle: Any, **others: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr("edge.profile", profile)
    (tmp_path / "out").mkdir()
    wanted = settings(input="synthetic:", outputs=(str(tmp_path / "out" / "o.mp4"),), variant=None)
    with stop_on_signals() as stop, pytest.raises(KeyboardInterrupt):
        run(wanted, stop, announce=lambda line: None)
    assert list((tmp_path / "out").iterdir()) == []
