import pytest
import torch
from torch import Tensor

from convert.complexity import LayerKind
from convert.quantization.folding import FoldedLayer
from convert.quantization.gptq import MomentSums, round_weights


def layer_of(kind: LayerKind, weight: Tensor, pads: tuple[int, int, int, int] = (0, 0, 0, 0)) -> FoldedLayer:
    return FoldedLayer(
        name="layer", kind=kind, weight=weight, bias=torch.zeros(len(weight)), stride=1, pads=pads, cap=6.0
    )


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
    sums = MomentSums(layer)
    for x in pictures(channels):
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
    sums = MomentSums(layer)
    for x, exact in zip(quantized, real, strict=True):
        sums.add(x, exact)
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
    sums = MomentSums(layer)
    sums.add(torch.zeros(16, 4, 4), torch.zeros(16, 4, 4))
    scales = coarse_scales(layer.weight)
    levels = round_weights(layer.weight, scales, sums.moments())
    assert torch.equal(levels, (layer.weight / scales[:, None, None, None]).round())


def test_levels_stay_symmetric() -> None:
    layer = LAYERS["conv"]
    sums = MomentSums(layer)
    for x in pictures(3):
        sums.add(x, x)
    levels = round_weights(layer.weight, coarse_scales(layer.weight) / 20, sums.moments())
    assert levels.abs().max() == 127


def test_the_means_are_those_of_all_windows_with_their_zeros() -> None:
    layer = layer_of("depthwise", torch.ones(2, 1, 3, 3), (1,) * 4)
    sums = MomentSums(layer)
    sums.add(torch.ones(2, 4, 4), 2 * torch.ones(2, 4, 4))
    moments = sums.moments()
    assert moments.mean.shape == (2, 9)
    assert torch.allclose(moments.mean[0].reshape(3, 3)[1, 1], torch.tensor(1.0, dtype=torch.float64))
    assert torch.allclose(moments.mean[0].reshape(3, 3)[0, 0], torch.tensor(9 / 16, dtype=torch.float64))
    assert torch.allclose(moments.real_mean, 2 * moments.mean)
