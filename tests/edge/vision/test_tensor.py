"""What tensors look like and what their integers stand for."""

from __future__ import annotations

import numpy as np
import pytest

from edge.vision.tensor import TensorSpec


def test_integers_stand_for_reals() -> None:
    spec = TensorSpec(shape=(1, 3), dtype="int8", scale=0.5, zero_point=-1)
    assert spec.is_quantized
    assert spec.real(np.array([-128, -1, 127], np.int8)).tolist() == [-63.5, 0.0, 64.0]


def test_floats_stand_for_themselves() -> None:
    spec = TensorSpec(shape=(1, 2), dtype="float32")
    assert not spec.is_quantized
    assert spec.real(np.array([0.25, 3.0], np.float32)).tolist() == [0.25, 3.0]


@pytest.mark.parametrize(
    ("shape", "is_first", "resolution"), [((1, 128, 128, 3), False, 128), ((1, 3, 160, 160), True, 160)]
)
def test_the_place_of_the_channels_is_seen(shape: tuple[int, ...], is_first: bool, resolution: int) -> None:
    spec = TensorSpec(shape=shape, dtype="float32")
    assert (spec.is_channels_first, spec.resolution) == (is_first, resolution)


def test_an_empty_tensor_has_its_form() -> None:
    empty = TensorSpec(shape=(1, 4, 4, 3), dtype="float16").empty()
    assert (empty.shape, empty.dtype.name) == ((1, 4, 4, 3), "float16")
