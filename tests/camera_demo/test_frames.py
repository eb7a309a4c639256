import json
from collections.abc import Callable

from camera_demo.frames import CapturedFrame, Result


def test_an_answer_as_json_has_the_labels_the_variant_and_the_times(make_result: Callable[..., Result]) -> None:
    assert json.loads(json.dumps(make_result(5).to_dict())) == {
        "frame": 5,
        "time": "2023-11-14T22:13:20.250+00:00",
        "position_s": 0.2,
        "variant": "mobilenet_v1_0.25_128",
        "backend": "fake",
        "unknown": False,
        "labels": [
            {"index": 3, "label": "three", "probability": 0.97},
            {"index": 8, "label": "eight", "probability": 0.02},
        ],
        "capture_to_answer_ms": 7.5,
        "preprocess_ms": 0.5,
        "infer_ms": 5.25,
        "top_k_ms": 0.25,
        "fps": 29.97,
        "dropped": 2,
    }


def test_a_picture_of_a_folder_is_named(
    make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame]
) -> None:
    assert make_result(frame=make_frame(file="a/b.png")).to_dict()["file"] == "a/b.png"


def test_without_a_guess_there_is_no_best(make_result: Callable[..., Result]) -> None:
    assert make_result(guesses=()).best is None
