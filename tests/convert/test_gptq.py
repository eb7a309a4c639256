import pytest
import torch
from torch import Tensor
from torch.nn import functional

from convert.complexity import LayerKind
from convert.quantization.folding import FoldedLayer
from convert.quantization.gptq import MomentSums, round_weights
from convert.quantization.network import Quantization

UNIT = Quantization(1.0, 0)
"""Levels that are what they stand for."""


def layer_of(
    kind: LayerKind, weight: Tensor, pads: tuple[int, int, int, int] = (0, 0, 0, 0), stride: int = 1
) -> FoldedLayer:
    bias = torch.zeros(len(weight))
    return FoldedLayer(name="layer", kind=kind, weight=weight, bias=bias, stride=stride, pads=pads, cap=6.0)


def pictures(channels: int, side: int = 12, count: int = 20, *, seed: int = 0) -> Tensor:
    """Inputs whose channels and neighbours go together, as a network's do."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 4, side // 4, side // 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    mixing = torch.randn(channels, 4, generator=torch.Generator().manual_seed(7))
    return torch.einsum("oc,bchw->bohw", mixing, smooth)


def coarse_scales(weight: Tensor) -> Tensor:
    """Steps so wide that the way of rounding shows."""
    return weight.abs().amax(dim=(1, 2, 3)) / 15


LAYERS = {
    "pointwise": layer_of("pointwise", torch.randn(6, 16, 1, 1, generator=torch.Generator().manual_seed(1))),
    "depthwise": layer_of("depthwise", torch.randn(16, 1, 3, 3, generator=torch.Generator().manual_seed(2)), (1,) * 4),
    "conv": layer_of("conv", torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(3)), (0, 1, 0, 1)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_change_less_than_with_rounding_to_the_nearest(kind: str) -> None:
    layer = LAYERS[kind]
    channels = 3 if kind == "conv" else 16
    x = pictures(channels)
    sums = MomentSums(layer, UNIT, len(x))
    sums.add(x, x)
    scales = coarse_scales(layer.weight)
    steps = scales[:, None, None, None]
    unseen = pictures(channels, seed=1)
    errors = []
    for levels in (round_weights(layer.weight, scales, sums.moments()), (layer.weight / steps).round()):
        difference = layer.convolve(unseen, levels * steps) - layer.convolve(unseen)
        errors.append((difference - difference.mean(dim=(0, 2, 3), keepdim=True)).square().mean())
    assert errors[0] < 0.5 * errors[1]


def test_weights_undo_a_part_of_what_is_wrong_with_their_inputs() -> None:
    layer = LAYERS["pointwise"]
    real = pictures(16)
    quantized = 0.8 * real
    sums = MomentSums(layer, UNIT, len(real))
    sums.add(quantized, real)
    scales = layer.weight.abs().amax(dim=(1, 2, 3)) / 127
    levels = round_weights(layer.weight, scales, sums.moments())
    wanted = layer.convolve(real)
    left, untouched = (
        (layer.convolve(quantized, weight) - wanted).square().mean()
        for weight in (levels * scales[:, None, None, None], layer.weight)
    )
    assert left < untouched


def test_inputs_that_never_vary_leave_rounding_to_the_nearest() -> None:
    layer = LAYERS["pointwise"]
    sums = MomentSums(layer, UNIT, 1)
    sums.add(torch.zeros(1, 16, 4, 4), torch.zeros(1, 16, 4, 4))
    scales = coarse_scales(layer.weight)
    levels = round_weights(layer.weight, scales, sums.moments())
    assert torch.equal(levels, (layer.weight / scales[:, None, None, None]).round())


def test_levels_stay_symmetric() -> None:
    layer = LAYERS["conv"]
    x = pictures(3)
    sums = MomentSums(layer, UNIT, len(x))
    sums.add(x, x)
    levels = round_weights(layer.weight, coarse_scales(layer.weight) / 20, sums.moments())
    assert levels.abs().max() == 127


def test_the_means_are_those_of_all_windows_with_their_zeros() -> None:
    layer = layer_of("depthwise", torch.ones(2, 1, 3, 3), (1,) * 4)
    sums = MomentSums(layer, UNIT, 1)
    sums.add(torch.ones(1, 2, 4, 4), 2 * torch.ones(1, 2, 4, 4))
    moments = sums.moments()
    assert moments.mean.shape == (2, 9)
    assert torch.allclose(moments.mean[0].reshape(3, 3)[1, 1], torch.tensor(1.0, dtype=torch.float64))
    assert torch.allclose(moments.mean[0].reshape(3, 3)[0, 0], torch.tensor(9 / 16, dtype=torch.float64))
    assert torch.allclose(moments.real_mean, 2 * moments.mean)


def test_levels_stand_for_reals_and_their_padding_for_zero() -> None:
    layer = layer_of("depthwise", torch.ones(2, 1, 3, 3), (1,) * 4)
    sums = MomentSums(layer, Quantization(0.5, -10), 1)
    sums.add(torch.full((1, 2, 4, 4), -8, dtype=torch.int8), torch.ones(1, 2, 4, 4))
    moments = sums.moments()
    assert torch.allclose(moments.mean, moments.real_mean), "a level of -8 is (-8 + 10) / 2"


def whole_moments(layer: FoldedLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (groups, inputs) and covariance (groups, inputs, inputs) over every position, by im2col."""
    windows = functional.unfold(functional.pad(x, layer.pads), layer.weight.shape[-1], stride=layer.stride).double()
    groups = len(layer.weight) if layer.kind == "depthwise" else 1
    rows = windows.transpose(0, 1).reshape(groups, -1, windows.shape[0] * windows.shape[2])
    centred = rows - rows.mean(dim=2, keepdim=True)
    return rows.mean(dim=2), centred @ centred.transpose(1, 2) / rows.shape[2]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", LAYERS)
def test_moments_are_those_of_every_window(kind: LayerKind, stride: int) -> None:
    whole = LAYERS[kind]
    layer = layer_of(kind, whole.weight, whole.pads, stride)
    x = pictures(3 if kind == "conv" else 16, side=12)
    sums = MomentSums(layer, UNIT, len(x))
    sums.add(x, x)
    mean, covariance = whole_moments(layer, x)
    assert torch.allclose(sums.moments().mean, mean, atol=1e-5)
    assert torch.allclose(sums.moments().covariance, covariance, atol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_of_large_outputs_a_few_positions_tell_the_same(kind: LayerKind) -> None:
    layer = LAYERS[kind]
    x = pictures(3 if kind == "conv" else 16, side=60, count=48)
    sums = MomentSums(layer, UNIT, len(x))
    for start in range(0, len(x), 4):
        sums.add(x[start : start + 4], x[start : start + 4])
    mean, covariance = whole_moments(layer, x)
    deviation = covariance.diagonal(dim1=1, dim2=2).mean().sqrt()
    assert (sums.moments().mean - mean).abs().max() < 0.1 * deviation
    assert (sums.moments().covariance - covariance).norm() < 0.1 * covariance.norm()


def test_a_single_picture_tells_all_of_its_positions() -> None:
    layer = LAYERS["pointwise"]
    x = pictures(16, side=60, count=1)
    sums = MomentSums(layer, UNIT, len(x))
    sums.add(x, x)
    assert torch.allclose(sums.moments().covariance, whole_moments(layer, x)[1], atol=1e-4)
