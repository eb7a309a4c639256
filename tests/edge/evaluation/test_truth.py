import json
from pathlib import Path

import pytest

from edge.errors import ImageError
from edge.evaluation.truth import read_truth, unknown_folders


def test_folder_names_are_the_truth_where_they_are_labels() -> None:
    paths = [Path("x/no_card/1.jpg"), Path("x/Zero/2.jpg"), Path("x/other/3.jpg")]
    assert read_truth(paths, ["zero", "no card"], None) == {paths[0]: 1, paths[1]: 0}


def test_without_labels_no_folder_is_a_class() -> None:
    assert read_truth([Path("1.jpg"), Path("x/2.jpg")], [""] * 3, None) == {}


def test_a_file_of_classes_is_the_truth(tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    file.write_text(json.dumps({"1.jpg": 1, "9.jpg": 0}))
    paths = [Path("x/1.jpg"), Path("x/2.jpg")]
    assert read_truth(paths, ["a", "b"], file) == {paths[0]: 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds a JSON list: expected an object."),
        ('{"a.jpg": 2}', "a.jpg has class 2, expected 0 to 1."),
        ('{"a.jpg": -1}', "a.jpg has class -1, expected 0 to 1."),
        ('{"a.jpg": "zero"}', "a.jpg has class 'zero', expected 0 to 1."),
        ('{"a.jpg": true}', "a.jpg has class True, expected 0 to 1."),
    ],
)
def test_a_senseless_file_of_classes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "truth.json"
    file.write_text(text)
    with pytest.raises(ImageError) as error:
        read_truth([Path("a.jpg")], ["zero", "one"], file)
    assert message in str(error.value)


def test_folders_that_are_no_class_are_counted() -> None:
    paths = [Path("x/mug/1.jpg"), Path("x/zero/2.jpg"), Path("x/mug/3.jpg"), Path("x/cups/4.jpg")]
    assert unknown_folders(paths, {paths[1]: 0}) == {"mug": 2, "cups": 1}
