"""Frames are kept for a reason, within quotas, none twice; what was kept survives a cut, and serves to learn from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import camera_demo
from camera_demo.collecting.collection import LINES, Collection
from camera_demo.collecting.collector import Collector
from camera_demo.collecting.options import CollectOptions, parse_place
from camera_demo.collecting.picture import Collected
from camera_demo.errors import SinkError
from camera_demo.frames import CapturedFrame, Result
from camera_demo.region import Region
from camera_demo.source_status import SourceStatus
from convert.data.image_sets import find_pictures
from edge.errors import OutputError
from edge.inference.prediction import Guess, Prediction
from edge.teaching import pictures as teaching
from edge.vision.images import image_files
from tests.conftest import draw

MakeResult = Callable[..., Result]


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    opened = Collection(tmp_path / "seen")
    yield opened
    opened.close()


@pytest.fixture
def answer(make_result: MakeResult) -> MakeResult:
    """An answer to a picture of its own, at ``at_s`` seconds."""

    def make(seed: int, at_s: float, probability: float = 0.5, label: str = "cup", **changes: Any) -> Result:
        frame = CapturedFrame(image=draw(seed), index=seed, captured_at_s=at_s, position_s=at_s)
        guesses = (Guess(0, label, probability), Guess(1, "other", 1 - probability))
        changes = {"frame": frame, "guesses": guesses, "answered_at_s": 1.6e9 + at_s, **changes}
        return make_result(prediction=Prediction(guesses, 0.1, 1.0, 0.1), **changes)

    return make


def test_a_frame_is_kept_for_each_reason_and_no_other(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection, CollectOptions(every=100.0, share=0.5), draw=lambda: 0.9)
    assert collector.see(answer(0, 0, 0.99)) is not None  # the first of every 100 s
    assert collector.see(answer(1, 10, 0.99)) is None
    assert collector.see(answer(2, 20, 0.5)) is not None
    assert collector.see(answer(3, 30, 0.1, is_unknown=True)) is not None
    collector._draw = lambda: 0.1
    assert collector.see(answer(4, 40, 0.99)) is not None
    assert collector.see(answer(5, 101, 0.99)) is not None
    assert [one.why for one in collection.pictures()] == ["every", "unsure", "unknown", "share", "every"]


def test_what_is_kept_is_what_was_classified_with_what_was_known(collection: Collection, answer: MakeResult) -> None:
    kept = Collector(collection).see(answer(1, 5, region=Region(left=0, top=0, right=0.5, bottom=0.5, name="door")))
    assert kept is not None and (kept.guess, kept.region, kept.why) == ("cup", "door", "unsure")
    picture = cv2.imread(str(collection.folder / kept.file))
    assert picture is not None and picture.shape == (48, 64, 3)
    (line,) = (collection.folder / LINES).read_text().splitlines()
    assert json.loads(line)["guesses"][0] == {"label": "cup", "probability": 0.5}
    assert json.loads(line)["time"] == "2020-09-13T12:26:45.000+00:00"


def test_near_duplicates_are_not_kept(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection)
    first = answer(1, 0)
    assert collector.see(first) is not None
    noisy = np.clip(draw(1).astype(int) + np.random.default_rng(0).integers(-6, 7, draw(1).shape), 0, 255)
    again = answer(1, 50)
    object.__setattr__(again.frame, "image", noisy.astype(np.uint8))
    assert collector.see(again) is None
    assert collector.see(answer(2, 100)) is not None


def test_quotas_hold_by_minute_and_hour(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection, CollectOptions(minute=3, hour=5))
    kept = [collector.see(answer(n, n)) is not None for n in range(6)]
    assert kept == [True] * 3 + [False] * 3
    kept = [collector.see(answer(100 + n, 100 + n)) is not None for n in range(4)]
    assert kept == [True, True, False, False]
    assert collector.see(answer(900, 3700)) is not None


def test_of_a_class_the_most_redundant_leaves_first_and_never_a_labelled_one(
    collection: Collection, answer: MakeResult
) -> None:
    collector = Collector(collection, CollectOptions(per_class=3, minute=100))
    kept = [collector.see(answer(n, 10 * n)) for n in range(3)]
    names = [one.file for one in kept if one is not None]
    collection.label([names[0]], "mine")
    for n in range(3, 9):
        assert collector.see(answer(n, 10 * n)) is not None
    left = collection.pictures()
    assert len(left) == 4 and names[0] in {one.file for one in left}
    assert {one.file for one in left} == {path.name for path in collection.folder.glob("*.jpg")}


def test_the_folder_grows_to_its_megabytes_and_no_further(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection, CollectOptions(mb=0.03, minute=100))
    for n in range(12):
        collector.see(answer(n, n, label=f"class {n}"))
    assert collection.size_bytes < 60_000 and len(collection.pictures()) > 1


def test_a_full_disk_is_left_alone_and_told_once(
    collection: Collection, answer: MakeResult, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Collection, "has_room", lambda self: False)
    collector = Collector(collection)
    assert collector.see(answer(0, 0)) is None and collector.see(answer(1, 10)) is None
    assert caplog.messages == ["The disk is nearly full: nothing is collected until there is room."]
    monkeypatch.undo()
    assert collector.see(answer(2, 20)) is not None


def test_what_cannot_be_written_is_told_and_tried_again_later(
    collection: Collection, answer: MakeResult, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: Collection, image: object, picture: Collected) -> Collected:
        raise OutputError("Cannot write seen: no space left on device on seen.")

    collector = Collector(collection)
    with monkeypatch.context() as patch:
        patch.setattr(Collection, "add", full)
        assert collector.see(answer(0, 0)) is None and collector.see(answer(1, 30)) is None
    assert len(caplog.messages) == 1 and caplog.messages[0].endswith("Nothing is collected for 60 s.")
    assert collector.see(answer(2, 59)) is None and collector.see(answer(3, 61)) is not None


def spoil_table(folder: Path) -> None:
    (folder / "labels.csv").write_text("no, such, columns\n1,2,3\n")


@pytest.mark.parametrize("spoil", [spoil_table, shutil.rmtree])
def test_a_folder_that_others_spoil_does_not_end_the_loop(
    spoil: Callable[[Path], None], collection: Collection, answer: MakeResult, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector(collection)
    assert collector.see(answer(0, 0)) is not None
    spoil(collection.folder)
    assert collector.see(answer(1, 10)) is None
    (message,) = caplog.messages
    assert message.endswith("Nothing is collected for 60 s.") and "\n" not in message


def test_frames_that_are_asked_for_are_kept_with_their_class_as_one_burst(
    collection: Collection, answer: MakeResult
) -> None:
    collector = Collector(collection, CollectOptions(unsure=None, unknown=False, minute=1))
    assert collector.see(answer(0, 0)) is None
    collector.ask(3, "AC/DC 🎸")
    for n in range(1, 8):
        collector.see(answer(n, n))
    collector.ask(1, "hat")
    collector.see(answer(20, 8.5))
    kept = collection.pictures()
    assert [one.why for one in kept] == ["asked"] * 4
    labels = collection.labels()
    assert [labels[one.file] for one in kept] == ["AC/DC 🎸"] * 3 + ["hat"]
    stems = [one.file.rpartition("_")[0] for one in kept]
    assert len(set(stems[:3])) == 1 and stems[3] != stems[0]


def test_a_burst_ends_where_the_camera_is_lost_and_what_was_taken_stays(
    collection: Collection, answer: MakeResult
) -> None:
    status = SourceStatus("camera")
    options = CollectOptions(unsure=None, unknown=False)
    collector = Collector(collection, options, losses=lambda: status.now.losses)
    status.found("camera")
    collector.ask(50, "cup")
    for n in range(1, 4):
        collector.see(answer(n, n))
    status.lost("camera", "unplugged")
    assert collector.asked == 0
    assert collector.note == (
        "The camera was lost: 3 pictures of 'cup' were taken and are kept. Once it is back, hold the button again."
    )
    status.found("camera")
    assert collector.see(answer(10, 10)) is None  # whoever held it may have put it away
    assert list(collection.labels().values()) == ["cup"] * 3
    collector.ask(1, "hat")
    assert collector.note == "" and collector.see(answer(11, 11)) is not None


def test_what_others_wrote_into_the_table_stays(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection)
    names = [one.file for n in range(2) if (one := collector.see(answer(n, 10 * n))) is not None]
    table = collection.folder / "labels.csv"
    table.write_text(f"split,path,label,who\nval,{names[1]},fox,Eve\ntrain,../x.jpg,dog,\ntest,../y.jpg,,\n")
    assert collection.label([names[0], names[1]], "cup") == {names[0]: "", names[1]: "fox"}
    assert table.read_text() == (
        f"split,path,label,who\nval,{names[1]},cup,Eve\ntrain,../x.jpg,dog,\ntest,../y.jpg,,\n,{names[0]},cup,\n"
    )


def test_what_was_deleted_is_gone_with_its_class_after_the_next_start(
    collection: Collection, answer: MakeResult
) -> None:
    collector = Collector(collection)
    names = [one.file for n in range(2) if (one := collector.see(answer(n, 10 * n))) is not None]
    collection.label(names, "cup")
    collection.delete(names[:1])
    for name in (".labels.csv.x1", ".collected.jsonl.x1"):
        (collection.folder / name).write_text("half")
    collection.close()
    again = Collection(collection.folder)
    assert again.labels() == {names[1]: "cup"} and again.restore(names[:1]) == 0
    assert [path.name for path in again.folder.glob(".*")] == [".collecting.lock"]
    again.close()


def test_labels_are_given_undone_and_kept_beside_what_others_wrote(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection)
    names = [one.file for n in range(3) if (one := collector.see(answer(n, 10 * n))) is not None]
    assert collection.label(names[:2], "cup") == {names[0]: "", names[1]: ""}
    table = collection.folder / "labels.csv"
    table.write_text(table.read_text() + f"{names[2]},by another tool\n")
    assert collection.label([names[0], "no such.jpg"], "fox") == {names[0]: "cup"}
    assert collection.labels() == {names[0]: "fox", names[1]: "cup", names[2]: "by another tool"}
    collection.label([names[0]], "")
    assert names[0] not in collection.labels()


def test_deleted_pictures_come_back_with_what_was_known(collection: Collection, answer: MakeResult) -> None:
    kept = Collector(collection).see(answer(1, 0))
    assert kept is not None and collection.delete([kept.file, "../../etc/passwd"]) == 1
    assert not image_files(collection.folder) and not collection.pictures()
    assert collection.restore([kept.file, "../x"]) == 1
    assert collection.pictures() == [kept]


def test_after_a_cut_every_whole_picture_is_there(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection)
    names = [one.file for n in range(2) if (one := collector.see(answer(n, 10 * n))) is not None]
    folder = collection.folder
    (folder / LINES).write_bytes((folder / LINES).read_bytes()[:-7])  # cut in the last line
    (folder / ".x.jpg.abc").write_bytes(b"half")
    collection.close()
    again = Collection(folder)
    assert [(one.file, one.why) for one in again.pictures()] == [(names[0], "unsure"), (names[1], "found")]
    assert len((folder / LINES).read_text().splitlines()) == 2 and not (folder / ".x.jpg.abc").exists()
    assert Collector(again).see(answer(0, 100)) is None  # what it looks like is known again
    again.close()


def test_the_folder_serves_calibration_and_teaching_as_it_is(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection)
    names = [one.file for n in range(6) if (one := collector.see(answer(n, 8 * n))) is not None]
    collection.label(names[:3], "cup")
    collection.label(names[3:], "fox")
    assert [path.name for path in find_pictures(collection.folder)] == sorted(names)
    found = teaching.find_pictures(collection.folder)
    assert found.labels == ("cup", "fox") and len(set(found.bursts)) == 6


def test_one_process_collects_into_a_folder(collection: Collection) -> None:
    program = (
        "import sys; from pathlib import Path; from camera_demo.collecting.collection import Collection; "
        "Collection(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(collection.folder)], capture_output=True, text=True)
    assert "Another process collects into" in done.stderr


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("", "names no folder"),
        ("x?ever=1", "has no option 'ever': expected some of class, every"),
        ("x?every=often", "invalid every=often: expected seconds"),
        ("x?unsure=0.7-0.3", "invalid unsure=0.7-0.3: expected two probabilities or no"),
        ("x?share=2", "invalid share=2: expected a share"),
        ("x?minute=0", "invalid minute=0"),
        ("x?unknown=1", "invalid unknown=1: expected yes or no"),
        ("x?mb=nan", "invalid mb=nan"),
    ],
)
def test_invalid_places_are_refused(place: str, says: str) -> None:
    with pytest.raises(SinkError, match=says):
        parse_place(place)


def test_options_follow_the_folder() -> None:
    folder, options = parse_place("a/b?every=60&unsure=no&unknown=no&class=7&mb=20")
    assert folder == Path("a/b")
    assert options == CollectOptions(every=60.0, unsure=None, unknown=False, per_class=7, mb=20.0)


def test_the_live_demo_collects_beside_other_outputs(tmp_path: Path, bundle_folder: Path) -> None:
    line = [sys.executable, "-m", "camera_demo", "demo", "json:-", f"collect:{tmp_path / 'seen'}?every=0.001&minute=50"]
    pinned = ["--bundle", str(bundle_folder), "--variant", "0.25_128", "--backend", "fake"]
    done = subprocess.run([*line, *pinned], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 50
    assert 1 < len(image_files(tmp_path / "seen")) <= 50


def test_killed_while_collecting_nothing_is_half_written(tmp_path: Path, bundle_folder: Path) -> None:
    seen = tmp_path / "seen"
    line = [
        sys.executable,
        "-m",
        "camera_demo",
        "synthetic:",
        "json:-",
        f"collect:{seen}?every=0.001&minute=9999&hour=9999",
    ]
    pinned = ["--bundle", str(bundle_folder), "--variant", "0.25_128", "--backend", "fake"]
    for answers in (3, 7, 20):
        process = subprocess.Popen([*line, *pinned], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        for _ in range(answers):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        collection = Collection(seen)
        for one in collection.pictures():
            assert cv2.imread(str(seen / one.file)) is not None
        assert len(collection.pictures()) == len(list(seen.glob("*.jpg")))
        collection.close()


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is not a folder"):
        Collection(tmp_path / "file" / "seen")


def test_answers_of_a_program_are_collected_the_same(collection: Collection, bundle_folder: Path) -> None:
    collector = Collector(collection, CollectOptions(every=0.001, minute=100))
    for result in camera_demo.answers("demo", bundle=bundle_folder, variant="0.25_128", backend="fake"):
        collector.see(result)
    assert len(collection.pictures()) == collector.kept > 1


def test_two_who_label_at_once_lose_nothing(collection: Collection, answer: MakeResult) -> None:
    collector = Collector(collection, CollectOptions(minute=100))
    names = [one.file for n in range(12) if (one := collector.see(answer(n, 10 * n))) is not None]
    threads = [
        threading.Thread(target=lambda mine=mine: [collection.label([name], f"class {name}") for name in mine])
        for mine in (names[::2], names[1::2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collection.labels() == {name: f"class {name}" for name in names}
