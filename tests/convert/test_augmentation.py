import numpy as np
import pytest

from convert.quantization.augmentation import synthetic_images, with_views

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


def test_the_pictures_come_first_and_their_views_after() -> None:
    more = with_views(PIXELS, 4)
    assert more.shape == (15, 64, 64, 3) and more.dtype == np.uint8
    assert np.array_equal(more[:3], PIXELS)


def test_views_differ_from_their_picture_and_from_each_other() -> None:
    views = with_views(PIXELS[:1], 6)
    assert len({view.tobytes() for view in views}) == 7


def test_no_views_are_no_change() -> None:
    assert np.array_equal(with_views(PIXELS, 0), PIXELS)


def test_the_same_pictures_give_the_same_views() -> None:
    assert np.array_equal(with_views(PIXELS, 2), with_views(PIXELS, 2))


@pytest.mark.parametrize("resolution", [32, 160])
def test_drawn_pictures_are_all_different_and_use_the_range(resolution: int) -> None:
    pictures = synthetic_images(8, resolution)
    assert pictures.shape == (8, resolution, resolution, 3) and pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == 8
    assert pictures.std() > 20
    assert np.array_equal(pictures, synthetic_images(8, resolution))


def test_drawn_pictures_are_smooth_as_photographs_are() -> None:
    pictures = synthetic_images(8, 128).astype(float)
    assert np.abs(np.diff(pictures, axis=1)).mean() < 0.3 * pictures.std()
