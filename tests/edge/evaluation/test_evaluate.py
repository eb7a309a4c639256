"""From a folder of labelled pictures to counts, sentences, a page and a picture."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import edge
from edge.cli.app import build
from edge.errors import ConfidenceError, ImageError
from edge.evaluation.page import MOST_CLASSES, matrix_axes, write_page
from edge.evaluation.picture_answer import PictureAnswer
from edge.evaluation.result import Evaluation
from edge.evaluation.table import show_evaluation
from tests.edge.conftest import LABELS


def answer(truth: int | None, best: int, probability: float = 0.9, **more: bool) -> PictureAnswer:
    return PictureAnswer(Path(f"{truth}-{best}.jpg"), truth, best, probability, **more)


def evaluation(*answers: PictureAnswer, labels: tuple[str, ...] = ("cup", "mug", "plate")) -> Evaluation:
    return Evaluation(model="m", measured_on="photos", labels=labels, answers=answers)


CUPS = evaluation(
    *[answer(0, 0)] * 11,
    answer(0, 1),
    answer(1, 1),
    answer(1, 0, 0.2, is_unknown=True),
    answer(None, 2, is_nothing=True),
    answer(None, 2, 0.1, is_unknown=True, is_nothing=True),
)


def test_every_class_is_counted() -> None:
    cup, mug, plate = CUPS.classes
    assert (cup.pictures, cup.right, cup.answers, cup.unknown) == (12, 11, 11, 0)
    assert (cup.recall, cup.precision) == (11 / 12, 1.0)
    assert cup.recall_range == (0.6461, 0.9851)
    assert (mug.pictures, mug.right, mug.answers, mug.unknown) == (2, 1, 2, 1)
    assert (plate.pictures, plate.answers, plate.recall, plate.precision) == (0, 1, None, 0.0)
    assert (CUPS.accuracy, CUPS.right, CUPS.false_alarms) == (12 / 14, 12, 1)


def test_the_class_for_nothing_is_right_for_pictures_of_nothing() -> None:
    found = evaluation(answer(0, 0), answer(2, 2, is_nothing=True), answer(2, 0, is_nothing=True))
    assert (found.false_alarms, found.right, len(found.known)) == (1, 1, 1)
    cup, plate = found.classes[0], [one for one in found.classes if one.label == "plate"]
    assert (cup.answers, cup.right) == (2, 1)
    assert not plate, "no picture shows it, and naming it for nothing was right"
    assert found.is_right(None, 2) and found.is_right(None, None) and not found.is_right(None, 0)


def test_the_matrix_has_rows_for_what_is_shown_and_columns_for_what_is_named() -> None:
    rows, columns = matrix_axes(CUPS)
    assert (rows, columns) == ((0, 1, None), (0, 1, 2, None))
    assert CUPS.matrix(rows, columns) == [[11, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]]
    assert [CUPS.name_of(row) for row in rows] == ["cup", "mug", "(nothing)"]
    assert [(c.shown, c.answer, len(c.pictures)) for c in CUPS.confusions] == [(0, 1, 1), (None, 2, 1), (1, None, 1)]


def test_plain_sentences_say_how_far_the_figures_can_be_relied_on() -> None:
    found = list(CUPS.findings())
    assert found[0] == "right on 12 of 14 pictures: 86 %, between 60 and 96 %"
    assert "unknown on 1 of them, 1 of which would have been wrong" in found
    assert "1 of 2 pictures of nothing taken for a class: 50 %, between 9 and 91 %" in found
    assert "12 pictures of 'cup': recall between 65 and 99 %" in found
    assert "2 pictures of 'mug': recall between 9 and 91 %" in found


def test_classes_and_kinds_of_pictures_that_were_not_looked_at_are_named(
    photos: Path, bundle_folder: Path, tmp_path: Path
) -> None:
    assert "nothing is known of classes without pictures: 'plate'" in CUPS.findings()
    shown_as_nothing = evaluation(answer(0, 0), answer(1, 1), answer(2, 2, is_nothing=True))
    assert not any("without pictures" in sentence for sentence in shown_as_nothing.findings())
    folder = tmp_path / LABELS[0].replace(" ", "_")
    shutil.copytree(next(path for path in photos.iterdir() if path.name == folder.name), folder)
    shutil.copytree(folder, tmp_path / ".net")
    (folder / "phone.heic").touch()
    found = edge.evaluate(bundle_folder, tmp_path, "0.25_128", backend="fake")
    assert "not read, as they are of other kinds: 1 .heic" in found.findings()
    assert found.to_dict()["other_kinds"] == "1 .heic"
    assert found.left_out[".net"] == 3


def test_of_many_classes_with_few_pictures_a_handful_is_named() -> None:
    labels = tuple(f"class {n}" for n in range(60))
    found = evaluation(*(answer(n, n) for n in range(60)), labels=labels)
    sentences = list(found.findings())
    assert sum("1 picture of" in sentence for sentence in sentences) == 5
    assert "55 more classes have too few pictures to tell" in sentences
    assert len(matrix_axes(found)[0]) == MOST_CLASSES


def test_json_holds_it_all() -> None:
    values = json.loads(json.dumps(CUPS.to_dict()))
    assert (values["pictures"], values["right"], values["accuracy"], values["false_alarms"]) == (14, 12, 0.8571, 1)
    assert values["classes"][0]["recall_range"] == [0.6461, 0.9851]
    assert values["confusions"][0] == {"shown": "cup", "named": "mug", "pictures": 1}


def test_a_page_shows_the_worst_and_trusts_no_name(tmp_path: Path) -> None:
    picture = tmp_path / "<b>&.png"
    cv2.imwrite(str(picture), np.full((40, 20, 3), 99, np.uint8))
    found = evaluation(
        PictureAnswer(picture, 0, 1, 0.9), PictureAnswer(Path("gone.png"), 0, 1, 0.8), labels=('"<script>', "\x1b]0;x")
    )
    write_page(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "\x1b" not in page and "&lt;b&gt;&amp;.png" in page
    assert page.count("data:image/jpeg;base64,") == 1


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Grey pictures in folders of classes; the fake backend's class is the level modulo the classes."""
    for label in LABELS:
        folder = tmp_path / "photos" / label.replace(" ", "_")
        folder.mkdir(parents=True)
        for level in (60, 130):
            cv2.imwrite(str(folder / f"{level}.png"), np.full((32, 32, 3), level, np.uint8))
    (tmp_path / "photos" / LABELS[0].replace(" ", "_") / "broken.png").write_bytes(b"not a picture")
    (tmp_path / "photos" / "other").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "other" / "1.png"), np.full((32, 32, 3), 8, np.uint8))
    return tmp_path / "photos"


def test_a_bundle_is_evaluated_on_a_folder(photos: Path, bundle_folder: Path) -> None:
    found = edge.evaluate(bundle_folder, photos, "0.25_128", backend="fake", nothing=photos / "other")
    assert len(found.known) == 2 * len(LABELS) and len(found.nothing) == 1
    assert {one.truth for one in found.known} == set(range(len(LABELS)))
    assert len(found.unread) == 1 and "broken.png" in found.unread[0]
    assert dict(found.left_out) == {"other": 1}
    sentences = list(found.findings())
    assert any("'other' (1)" in sentence for sentence in sentences)
    assert any("1 picture cannot be read. The first:" in sentence for sentence in sentences)
    show_evaluation(found)


def test_a_list_says_what_each_picture_shows(photos: Path, bundle_folder: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text('{"60.png": 1}')
    found = edge.evaluate(bundle_folder, photos, "0.25_128", backend="fake", truth=truth)
    assert {one.truth for one in found.known} == {1} and len(found.known) == len(LABELS)
    truth.write_text('{"61.png": 1}')
    with pytest.raises(ImageError, match="names none of the"):
        edge.evaluate(bundle_folder, photos, backend="fake", truth=truth)


def test_folders_that_tell_nothing_are_refused(photos: Path, bundle_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="There is no folder"):
        edge.evaluate(bundle_folder, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="has no pictures: expected JPEG"):
        edge.evaluate(bundle_folder, tmp_path / "empty")
    (tmp_path / "empty" / "1.heic").touch()
    with pytest.raises(ImageError, match=r"\(1 .heic are not read\)"):
        edge.evaluate(bundle_folder, tmp_path / "empty")
    with pytest.raises(ImageError, match="is named after a class of the bundle: expected some of"):
        edge.evaluate(bundle_folder, photos / "other")
    with pytest.raises(ImageError, match="expected some that show none of the classes"):
        (tmp_path / "none").mkdir()
        edge.evaluate(bundle_folder, photos, nothing=tmp_path / "none")
    with pytest.raises(ConfidenceError, match="There is no class 'backdrop'"):
        edge.evaluate(bundle_folder, photos, nothing=photos / "other", background="backdrop")


def test_pictures_of_which_none_can_be_read_are_refused(bundle_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / LABELS[0].replace(" ", "_")
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"None of 1 pictures can be read. The first: .*1\.png"):
        edge.evaluate(bundle_folder, tmp_path / "photos", backend="fake")


def test_one_class_alone_is_evaluated_too(photos: Path, bundle_folder: Path) -> None:
    found = edge.evaluate(bundle_folder, photos / LABELS[1].replace(" ", "_") / "..", "0.25_128", backend="fake")
    assert found.known
    alone = edge.evaluate(bundle_folder, photos / LABELS[1].replace(" ", "_"), "0.25_128", backend="fake")
    assert {one.truth for one in alone.known} == {1}


def test_the_command_prints_writes_and_draws(photos: Path, bundle_folder: Path, tmp_path: Path) -> None:
    runner, html, plot = CliRunner(), tmp_path / "page.html", tmp_path / "matrix.png"
    command = ["evaluate", str(bundle_folder), str(photos), "--backend", "fake", "--variant", "0.25_128"]
    done = runner.invoke(build(), [*command, "--html", str(html), "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert "recall %" in done.stdout and "right on" in done.stdout
    assert "<h2>Classes</h2>" in html.read_text()
    assert cv2.imread(str(plot)) is not None
    done = runner.invoke(build(), [*command, "--json"])
    assert json.loads(done.stdout)["pictures"] == 2 * len(LABELS)
    with pytest.raises(edge.EdgeError, match=r"expected a name that ends in \.png or \.svg"):
        runner.invoke(build(), [*command, "--plot", "matrix.jpg"], catch_exceptions=False)


def test_it_needs_no_torch(tmp_path: Path) -> None:
    code = "import sys, edge; edge.evaluate; print({'torch', 'typer', 'rich', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
