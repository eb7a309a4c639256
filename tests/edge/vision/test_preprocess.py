"""From frames to tensors: every step against its formula."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import BackendError, ImageError
from edge.vision.preprocess import Frame, Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec
from tests.conftest import draw

SIDE = 16
INT8 = TensorSpec(shape=(1, SIDE, SIDE, 3), dtype="int8", scale=1 / 127.5, zero_point=-1)
UINT8 = TensorSpec(shape=(1, SIDE, SIDE, 3), dtype="uint8", scale=1 / 127.5, zero_point=127)
FLOAT = TensorSpec(shape=(1, SIDE, SIDE, 3), dtype="float32")
FLOAT_FIRST = TensorSpec(shape=(1, 3, SIDE, SIDE), dtype="float32")
IMAGENET = Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
PLAIN = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))
EVERY_VALUE: Frame = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE, 1).repeat(3, axis=2)
"""Each of the 256 values once in each channel, of the network's size."""
SCALE = "Scale it to 0 to 255 and convert it: frame.astype(np.uint8)."


def run(recipe: Preprocessing, spec: TensorSpec, frame: Frame) -> NDArray[Any]:
    out = spec.empty()
    Preprocessor(recipe, spec)(frame, out)
    return out


def sized(side: int) -> TensorSpec:
    return replace(UINT8, shape=(1, side, side, 3), scale=1.0, zero_point=0)


class TestNormalization:
    def test_int8_is_the_formula_rounded_half_up_for_every_value(self) -> None:
        real = EVERY_VALUE / 127.5 - 1
        expected = np.floor(real / INT8.scale + INT8.zero_point + 0.5 + 1e-6)
        np.testing.assert_array_equal(run(Preprocessing(), INT8, EVERY_VALUE)[0], expected)

    def test_int8_of_the_usual_range_is_the_pixel_minus_128(self) -> None:
        np.testing.assert_array_equal(
            run(Preprocessing(), INT8, EVERY_VALUE)[0].astype(int), EVERY_VALUE.astype(int) - 128
        )

    @pytest.mark.parametrize("spec", [UINT8, replace(UINT8, zero_point=128)])
    def test_uint8_of_the_usual_range_is_the_pixel_itself(self, spec: TensorSpec) -> None:
        recipe = Preprocessing() if spec is UINT8 else Preprocessing(mean=(128,) * 3, std=(127.5,) * 3)
        np.testing.assert_array_equal(run(recipe, spec, EVERY_VALUE)[0], EVERY_VALUE)

    @given(
        mean=st.tuples(*[st.floats(0, 255)] * 3),
        std=st.tuples(*[st.floats(1, 255)] * 3),
        zero_point=st.integers(-128, 127),
        scale=st.floats(0.01, 0.1),
    )
    @settings(max_examples=50, deadline=None)
    def test_int8_of_any_range_is_the_nearest_level_saturated(
        self, mean: tuple[float, float, float], std: tuple[float, float, float], zero_point: int, scale: float
    ) -> None:
        recipe, spec = Preprocessing(mean=mean, std=std), replace(INT8, scale=scale, zero_point=zero_point)
        level = (EVERY_VALUE - np.array(mean)) / np.array(std) / scale + zero_point
        got = run(recipe, spec, EVERY_VALUE)[0].astype(np.float64)
        assert (np.abs(got - np.clip(level, -128, 127)) <= 0.5 + 4e-3).all()

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_floats_are_the_formula_with_each_channels_own_mean_and_std(self, dtype: str) -> None:
        got = run(IMAGENET, replace(FLOAT, dtype=dtype), EVERY_VALUE)[0]
        expected = (EVERY_VALUE - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == "float32" else 2e-3, atol=1e-3)

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_channels_first_holds_the_same_values(self, dtype: str) -> None:
        frame = draw(0)
        last, first = (run(IMAGENET, replace(spec, dtype=dtype), frame) for spec in (FLOAT, FLOAT_FIRST))
        assert first.dtype == dtype
        np.testing.assert_array_equal(first, last.transpose(0, 3, 1, 2))

    @pytest.mark.parametrize("spec", [INT8, UINT8])
    def test_integers_may_come_channels_first_too(self, spec: TensorSpec) -> None:
        frame = draw(0)
        first = replace(spec, shape=(1, 3, SIDE, SIDE))
        np.testing.assert_array_equal(
            run(Preprocessing(), first, frame), run(Preprocessing(), spec, frame).transpose(0, 3, 1, 2)
        )

    def test_real_is_what_the_tensors_integers_stand_for(self) -> None:
        integers = run(Preprocessing(), INT8, EVERY_VALUE)
        real = Preprocessing().real(EVERY_VALUE)
        np.testing.assert_allclose(INT8.real(integers)[0], real, atol=INT8.scale / 2 + 1e-6)


class TestColours:
    BLUE: Frame = np.full((SIDE, SIDE, 3), (200, 100, 50), np.uint8)

    @pytest.mark.parametrize("spec", [INT8, UINT8, FLOAT])
    def test_rgb_networks_get_red_first(self, spec: TensorSpec) -> None:
        pixel = run(Preprocessing(colour_order="RGB"), spec, self.BLUE)[0, 0, 0]
        assert list(np.argsort(pixel)) == [0, 1, 2]

    @pytest.mark.parametrize("spec", [INT8, UINT8, FLOAT])
    def test_bgr_networks_get_blue_first(self, spec: TensorSpec) -> None:
        pixel = run(Preprocessing(colour_order="BGR"), spec, self.BLUE)[0, 0, 0]
        assert list(np.argsort(pixel)) == [2, 1, 0]

    def test_means_are_in_the_networks_order(self) -> None:
        recipe = Preprocessing(colour_order="RGB", mean=(50, 100, 200), std=(1, 1, 1))
        assert not run(recipe, FLOAT, self.BLUE).any()


class TestCrop:
    def test_center_keeps_the_middle_square(self) -> None:
        frame = np.zeros((SIDE, 3 * SIDE, 3), np.uint8)
        frame[:, SIDE : 2 * SIDE] = 255
        assert (run(PLAIN, sized(SIDE), frame) == 255).all()

    def test_center_keeps_the_middle_of_a_tall_frame_too(self) -> None:
        frame = np.zeros((3 * SIDE, SIDE, 3), np.uint8)
        frame[SIDE : 2 * SIDE] = 255
        assert (run(PLAIN, sized(SIDE), frame) == 255).all()

    def test_none_squeezes_everything_in(self) -> None:
        frame = np.zeros((SIDE, 3 * SIDE, 3), np.uint8)
        frame[:, SIDE : 2 * SIDE] = 255
        squeezed = run(replace(PLAIN, crop="none"), sized(SIDE), frame)
        assert squeezed[0, :, 0].max() == 0
        assert squeezed[0, :, SIDE // 2].min() == 255

    def test_none_keeps_the_border_of_a_square_that_is_a_little_more_than_double(self) -> None:
        side = 2 * SIDE + 4
        frame = np.full((side, side, 3), 255, np.uint8)
        frame[2:-2, 2:-2] = 0
        assert run(PLAIN, sized(SIDE), frame).max() == 0, "the middle is an exact double"
        assert run(replace(PLAIN, crop="none"), sized(SIDE), frame)[0, 0, 0].min() > 0

    @pytest.mark.parametrize("crop", ["center", "none"])
    def test_a_fraction_cuts_the_border(self, crop: Any) -> None:
        frame = np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8)
        frame[SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2] = 255
        assert (run(replace(PLAIN, crop=crop, crop_fraction=0.5), sized(SIDE), frame) == 255).all()

    def test_a_fraction_never_cuts_everything(self) -> None:
        run(replace(PLAIN, crop_fraction=0.01), sized(SIDE), np.zeros((3, 3, 3), np.uint8))


class TestResize:
    @pytest.mark.parametrize("times", [2, 4])
    def test_halving_takes_exact_means_of_squares(self, times: int) -> None:
        frame = draw(3, (times * SIDE, times * SIDE))
        expected = frame.astype(int)
        for _ in range(times // 2):
            rows, columns = expected.shape[0] // 2, expected.shape[1] // 2
            expected = (expected.reshape(rows, 2, columns, 2, 3).sum((1, 3)) + 2) // 4
        got = run(replace(PLAIN, colour_order="BGR", resize="halving"), sized(SIDE), frame)[0]
        np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize(
        ("resize", "size", "halvings"),
        [
            ("halving", 31, 0),
            ("halving", 32, 1),
            ("halving", 63, 1),
            ("halving", 120, 2),
            ("bilinear", 63, 0),
            ("bilinear", 64, 1),
            ("bilinear", 127, 1),
            ("bilinear", 150, 2),
        ],
    )
    def test_halves_what_is_far_too_large_then_goes_on_linearly(self, resize: Any, size: int, halvings: int) -> None:
        frame = draw(3, (size, size))
        expected = frame
        for _ in range(halvings):
            half = expected.shape[0] // 2
            even = expected[: 2 * half, : 2 * half]
            expected = np.asarray(cv2.resize(even, (half, half), interpolation=cv2.INTER_AREA), np.uint8)
        linear = cv2.resize(expected, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        recipe = replace(PLAIN, colour_order="BGR", resize=resize)
        np.testing.assert_array_equal(run(recipe, sized(SIDE), frame)[0], linear)

    @pytest.mark.parametrize(
        ("frame", "kept"), [(480, 480), (500, 480), (548, 480), (549, 549), (240, 240), (270, 240), (280, 280)]
    )
    def test_a_middle_square_near_an_exact_multiple_is_cut_to_it(self, frame: int, kept: int) -> None:
        picture, border = draw(3, (frame, frame)), (frame - kept) // 2
        middle = picture[border : border + kept, border : border + kept]
        recipe = replace(PLAIN, colour_order="BGR")
        np.testing.assert_array_equal(run(recipe, sized(120), picture), run(recipe, sized(120), middle))

    @pytest.mark.parametrize(("resize", "interpolation"), [("bilinear", cv2.INTER_LINEAR), ("area", cv2.INTER_AREA)])
    def test_one_step_is_opencvs(self, resize: Any, interpolation: int) -> None:
        frame = draw(3, (60, 60))
        expected = cv2.resize(frame, (SIDE, SIDE), interpolation=interpolation)
        recipe = replace(PLAIN, colour_order="BGR", resize=resize)
        np.testing.assert_array_equal(run(recipe, sized(SIDE), frame)[0], expected)

    @pytest.mark.parametrize("resize", ["halving", "bilinear", "area"])
    @pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 3), (SIDE, SIDE), (33, 35), (67, 65), (101, 37)])
    def test_every_size_of_one_colour_stays_that_colour(self, resize: Any, size: tuple[int, int]) -> None:
        frame = np.full((*size, 3), (7, 77, 177), np.uint8)
        for crop in ("center", "none"):
            recipe = replace(PLAIN, colour_order="BGR", resize=resize, crop=crop)
            assert (run(recipe, sized(SIDE), frame) == (7, 77, 177)).all()

    def test_area_does_not_blur_what_grows(self) -> None:
        frame = draw(3, (8, 8))
        area, linear = (run(replace(PLAIN, resize=r), sized(SIDE), frame) for r in ("area", "bilinear"))
        np.testing.assert_array_equal(area, linear)


class TestFrames:
    def test_sizes_may_change_from_frame_to_frame(self) -> None:
        preprocessor, out = Preprocessor(Preprocessing(), INT8), INT8.empty()
        for size in [(96, 128), (48, 64), (1, 1), (96, 128), (200, 31)]:
            frame = draw(4, size)
            preprocessor(frame, out)
            np.testing.assert_array_equal(out, run(Preprocessing(), INT8, frame))

    def test_a_slice_of_a_larger_picture_is_a_frame(self) -> None:
        frame = draw(5, (96, 128))
        for part in (frame[10:70, 20:90], frame[::2, ::2], frame[:, ::-1], frame[::-1]):
            np.testing.assert_array_equal(
                run(Preprocessing(), INT8, part), run(Preprocessing(), INT8, np.ascontiguousarray(part))
            )

    def test_a_frame_that_is_read_only_stays_as_it_was(self) -> None:
        frame = draw(5, (SIDE, SIDE))
        frame.flags.writeable = False
        run(Preprocessing(), INT8, frame)
        np.testing.assert_array_equal(frame, draw(5, (SIDE, SIDE)))

    @pytest.mark.parametrize("spec", [INT8, UINT8, FLOAT, FLOAT_FIRST])
    @pytest.mark.parametrize("order", ["RGB", "BGR"])
    def test_pixels_then_normalize_is_the_whole_way(self, spec: TensorSpec, order: Any) -> None:
        recipe, frame = replace(IMAGENET, colour_order=order), draw(6)
        preprocessor, out = Preprocessor(recipe, spec), spec.empty()
        preprocessor.normalize(preprocessor.pixels(frame), out)
        np.testing.assert_array_equal(out, run(recipe, spec, frame))

    @pytest.mark.parametrize("spec", [INT8, UINT8])
    def test_the_fast_way_normalizes_pixels_alike(self, spec: TensorSpec) -> None:
        preprocessor, out = Preprocessor(Preprocessing(), spec), spec.empty()
        preprocessor.normalize(preprocessor.pixels(draw(6)), out)
        np.testing.assert_array_equal(out, run(Preprocessing(), spec, draw(6)))

    @pytest.mark.parametrize(
        ("frame", "form"),
        [
            (np.zeros((4, 4), np.uint8), "uint8 (4, 4). Convert it: cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)."),
            (np.zeros((4, 4, 1), np.uint8), "uint8 (4, 4, 1). Convert it: cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)."),
            (np.zeros((4, 4, 4), np.uint8), "uint8 (4, 4, 4). Convert it: cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)."),
            (np.zeros((3, 4, 4), np.uint8), "uint8 (3, 4, 4). Put the channels last: frame.transpose(1, 2, 0)."),
            (np.zeros((4, 4, 3), np.float32), f"float32 (4, 4, 3). {SCALE}"),
            (np.zeros((4, 4, 3), np.int8), f"int8 (4, 4, 3). {SCALE}"),
            (np.zeros((4, 4), np.int8), "int8 (4, 4)."),
            (np.zeros((0, 4, 3), np.uint8), "uint8 (0, 4, 3)."),
            (np.zeros((), np.uint8), "uint8 ()."),
            (np.zeros(4, np.uint8), "uint8 (4,)."),
            (np.zeros((1, 4, 4, 3), np.uint8), "uint8 (1, 4, 4, 3). Classify one picture at a time."),
        ],
    )
    def test_other_forms_are_refused(self, frame: NDArray[Any], form: str) -> None:
        with pytest.raises(ImageError) as refused:
            run(Preprocessing(), INT8, frame)
        assert str(refused.value) == f"Expected a frame uint8 (height, width, 3) BGR, got {form}"

    def test_another_type_is_refused_after_good_frames_of_the_same_shape(self) -> None:
        preprocessor, out = Preprocessor(Preprocessing(), INT8), INT8.empty()
        preprocessor(np.zeros((4, 4, 3), np.uint8), out)
        wrong: Any = np.zeros((4, 4, 3), np.float32)
        with pytest.raises(ImageError, match=r"got float32 \(4, 4, 3\)"):
            preprocessor(wrong, out)

    @pytest.mark.parametrize("recipe", [Preprocessing(), Preprocessing(colour_order="BGR")])
    def test_nothing_large_is_allocated_once_the_size_is_known(self, recipe: Preprocessing) -> None:
        spec = replace(INT8, shape=(1, 128, 128, 3))
        preprocessor, out, frame = Preprocessor(recipe, spec), spec.empty(), draw(7, (480, 640))
        preprocessor(frame, out)
        tracemalloc.start()
        try:
            for _ in range(3):
                preprocessor(frame, out)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak_bytes < 8_000


class TestRecipes:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"colour_order": "GRB"}, "Preprocessing cannot do 'GRB': expected one of RGB, BGR, GRAY."),
            ({"resize": "cubic"}, "Preprocessing cannot do 'cubic': expected one of bilinear, halving, area."),
            ({"crop": "left"}, "Preprocessing cannot do 'left': expected one of center, none."),
            (
                {"std": (1, 0, 1)},
                "Preprocessing needs three means and three positive stds, got (127.5, 127.5, 127.5), (1, 0, 1).",
            ),
            (
                {"mean": (1, 2)},
                "Preprocessing needs three means and three positive stds, got (1, 2), (127.5, 127.5, 127.5).",
            ),
            (
                {"mean": (1, 2, float("nan"))},
                "Preprocessing needs three means and three positive stds, got (1, 2, nan), (127.5, 127.5, 127.5).",
            ),
            ({"crop_fraction": 0}, "Preprocessing cannot keep 0 of a picture: expected above 0, up to 1."),
            ({"crop_fraction": 1.5}, "Preprocessing cannot keep 1.5 of a picture: expected above 0, up to 1."),
            (
                {"crop_fraction": float("nan")},
                "Preprocessing cannot keep nan of a picture: expected above 0, up to 1.",
            ),
        ],
    )
    def test_impossible_recipes_are_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ImageError) as refused:
            Preprocessing(**changes)
        assert str(refused.value) == message

    @pytest.mark.parametrize(
        "shape", [(1, 16, 16, 4), (2, 16, 16, 3), (1, 16, 8, 3), (1, 3, 16, 8), (1, 1000), (1, 16, 16, 3, 1)]
    )
    def test_inputs_that_are_no_square_picture_are_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(BackendError) as refused:
            Preprocessor(Preprocessing(), TensorSpec(shape=shape, dtype="int8"))
        assert str(refused.value) == (
            f"The model's input is {shape}: expected one square RGB picture, (1, ρ, ρ, 3) or (1, 3, ρ, ρ)."
        )


class TestGrey:
    RECIPE = Preprocessing(colour_order="GRAY", mean=(127.5,), std=(127.5,))

    def test_grey_is_a_weighted_mean_of_the_resized_picture(self) -> None:
        frame = draw(3, (64, 64))
        spec = TensorSpec(shape=(1, 64, 64, 1), dtype="uint8", scale=1 / 127.5, zero_point=128)
        pixels = Preprocessor(self.RECIPE, spec).pixels(frame)
        blue, green, red = np.moveaxis(frame.astype(np.float64), 2, 0)
        assert pixels.shape == (64, 64, 1)
        assert np.abs(pixels[..., 0] - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 0.51

    @pytest.mark.parametrize("dtype", ["int8", "float32", "float16"])
    @pytest.mark.parametrize("is_first", [False, True])
    def test_every_tensor_holds_the_same_grey_picture(self, dtype: str, is_first: bool) -> None:
        frame, shape = draw(4, (96, 128)), (1, 1, 32, 32) if is_first else (1, 32, 32, 1)
        scale, zero = (1 / 127.5, -1) if dtype == "int8" else (1.0, 0)
        spec = TensorSpec(shape=shape, dtype=dtype, scale=scale, zero_point=zero)
        preprocessor, tensor = Preprocessor(self.RECIPE, spec), spec.empty()
        preprocessor(frame, tensor)
        pixels = preprocessor.pixels(frame)
        assert np.abs(spec.real(tensor).reshape(32, 32, 1) - self.RECIPE.real(pixels)).max() < 0.005
        other = spec.empty()
        preprocessor.normalize(pixels, other)
        assert np.array_equal(tensor, other)

    def test_a_colour_tensor_is_refused(self) -> None:
        with pytest.raises(BackendError, match="one square GRAY picture"):
            Preprocessor(self.RECIPE, TensorSpec(shape=(1, 32, 32, 3), dtype="int8"))


def test_the_exact_way_gives_the_same_on_every_machine() -> None:
    """Where OpenCV's linear resize rounds otherwise on Arm: from 480 rows to 192, not an exact multiple."""
    frame = np.random.default_rng(7).integers(0, 256, (480, 640, 3), np.uint8)
    spec = TensorSpec(shape=(1, 192, 192, 3), dtype="uint8", scale=1 / 127.5, zero_point=128)
    exact = Preprocessor(Preprocessing(), spec, is_exact=True).pixels(frame)
    assert hashlib.sha256(exact.tobytes()).hexdigest()[:16] == "11b6573ec38ec4d2"
    usual = Preprocessor(Preprocessing(), spec).pixels(frame)
    assert np.abs(exact.astype(int) - usual).max() <= 1
