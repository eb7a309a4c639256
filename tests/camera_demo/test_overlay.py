from collections.abc import Callable

import numpy as np
import pytest

from camera_demo.frames import CapturedFrame, Result
from camera_demo.overlay import draw
from camera_demo.region import parse_regions


def test_the_answer_is_drawn_on_a_copy(
    make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame]
) -> None:
    frame = make_frame(image=np.full((480, 640, 3), 100, np.uint8))
    drawn = draw(make_result(frame=frame))
    assert (frame.image == 100).all()
    assert drawn.shape == frame.image.shape
    assert (drawn[:390] == 100).all()
    assert (drawn[400:] == 25).mean() > 0.5
    assert (drawn[400:] > 200).any()


def test_the_bar_is_as_long_as_the_network_is_sure(
    make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame]
) -> None:
    frame = make_frame(image=np.zeros((480, 640, 3), np.uint8))

    def bar(probability: float) -> int:
        result = make_result(frame=frame, probability=probability)
        return int((draw(result)[410] == (96, 200, 64)).all(axis=-1).sum())

    assert abs(bar(1.0) - 2 * bar(0.5)) <= 2
    assert bar(0.5) > 250


@pytest.mark.parametrize("size", [(1, 1), (30, 400), (400, 30), (48, 48), (1080, 1920)])
@pytest.mark.parametrize("label", ["three", "Größe", "数字", "a" * 500, "", "bell\a\n"])
def test_any_label_on_any_size_is_drawn(
    make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame], size: tuple[int, int], label: str
) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    assert draw(make_result(label=label, frame=make_frame(image=image))).shape == image.shape


def test_without_a_guess_it_says_so(make_result: Callable[..., Result]) -> None:
    sure, unsure = draw(make_result()), draw(make_result(guesses=()))
    assert (sure != unsure).any()


@pytest.mark.parametrize("size", [(48, 48), (480, 640), (1080, 1920)])
def test_every_region_is_framed_and_named(
    make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame], size: tuple[int, int]
) -> None:
    frame = make_frame(image=np.full((*size, 3), 128, np.uint8))
    door, gate = parse_regions(["door=0,0,0.5,0.8", "gate=0.6,0.1,1,0.8"])
    height, width = size
    drawn = draw(make_result(frame=frame, region=door, elsewhere=(make_result(frame=frame, region=gate),)))
    for region in (door, gate):
        left, top, right, _ = region.box(height, width)
        assert (drawn[top, (left + right) // 2] == (96, 200, 64)).all()
        inner = drawn[top + 2 : height // 4, left + 2 : right - 2]
        assert (inner < 64).any() == (height > 100), "its name stands on a dark ground, where there is room"
    assert (frame.image == 128).all()


def test_names_of_regions_with_one_corner_stand_below_each_other(
    make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame]
) -> None:
    frame = make_frame(image=np.full((480, 640, 3), 128, np.uint8))
    whole, part, low = parse_regions(["whole=0,0,1,1", "part=0,0,0.5,1", "low=0,0,1,0.1"])
    others = [make_result(frame=frame, region=region) for region in (part, low)]
    alone = draw(make_result(frame=frame, region=whole))
    both = draw(make_result(frame=frame, region=whole, elsewhere=(others[0],)))
    tall = round(2 * 0.2 * round(480 * 0.17))
    for drawn, second in ((alone, False), (both, True)):
        grounds = [(drawn[row : row + tall - 6, 3:40] < 64).mean() > 0.5 for row in (3, 3 + tall)]
        assert grounds == [True, second]
    assert draw(make_result(frame=frame, region=whole, elsewhere=tuple(others))).shape == frame.image.shape
