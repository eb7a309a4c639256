from dataclasses import replace

import numpy as np
import pytest
import torch

from convert.data.calibration_data import CalibrationData
from convert.model import MobileNetV1
from convert.quantization import FoldedNetwork, equalize, fold
from convert.quantization.equalization import _free, reaches
from edge.vision.preprocess import Preprocessing

DEAD = (1, 5)


@pytest.fixture(scope="module")
def network(model: MobileNetV1) -> FoldedNetwork:
    """A network of which the stem's channels 1 and 5 never fire."""
    network = fold(model)
    stem = network.layers[0]
    bias = stem.bias.clone()
    bias[list(DEAD)] = -1 - stem.weight[list(DEAD)].abs().sum(dim=(1, 2, 3))
    return replace(network, layers=(replace(stem, bias=bias), *network.layers[1:]))


@pytest.fixture(scope="module")
def pixels(data: CalibrationData) -> np.ndarray:
    return data.calibration.pixels[64]


@pytest.fixture(scope="module")
def equalized(network: FoldedNetwork, pixels: np.ndarray) -> FoldedNetwork:
    return equalize(network, pixels, Preprocessing())


def real(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(Preprocessing().real(pixels)).permute(0, 3, 1, 2)


def test_no_picture_leaves_what_a_layer_can_reach(network: FoldedNetwork) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (8, 64, 64, 3), np.uint8) * 255
    for (layer, _, y), reach in zip(network.trace(real(noise)), reaches(network, Preprocessing()), strict=True):
        out = layer.activate(y)
        assert (out >= reach.low[:, None, None] - 1e-3).all() and (out <= reach.high[:, None, None] + 1e-3).all()


def test_the_answers_stay(network: FoldedNetwork, equalized: FoldedNetwork, pixels: np.ndarray) -> None:
    with torch.no_grad():
        before, after = network.logits(real(pixels)), equalized.logits(real(pixels))
    assert (before - after).abs().max() < 0.1 * before.std()


def test_a_channel_that_cannot_reach_the_cap_is_stretched(network: FoldedNetwork) -> None:
    low = replace(network.layers[0], weight=network.layers[0].weight * 0.1, bias=network.layers[0].bias * 0.1)
    weak = replace(network, layers=(low, *network.layers[1:]))
    stretched = equalize(weak, np.zeros((1, 64, 64, 3), np.uint8), Preprocessing())
    before, after = (reaches(n, Preprocessing())[0].high for n in (weak, stretched))
    alive = before > 0.3
    assert alive.any() and (before[alive] < 5.9).all()
    assert torch.allclose(after[alive], torch.full_like(after[alive], 6.0), atol=1e-4)


def test_dead_channels_become_shifted_copies_of_live_ones(
    network: FoldedNetwork, equalized: FoldedNetwork, pixels: np.ndarray
) -> None:
    stem, depthwise, pointwise = equalized.layers[:3]
    for dead in DEAD:
        assert (stem.weight[dead] != network.layers[0].weight[dead]).any()
        twins = [c for c in range(len(stem.bias)) if c != dead and torch.equal(stem.weight[c], stem.weight[dead])]
        assert twins
        for twin in twins:
            assert stem.bias[twin] != stem.bias[dead]
            assert torch.equal(depthwise.weight[twin], depthwise.weight[dead])
            assert torch.equal(pointwise.weight[:, twin], pointwise.weight[:, dead])


def test_copies_lower_the_noise_of_rounding(
    network: FoldedNetwork, equalized: FoldedNetwork, pixels: np.ndarray
) -> None:
    def noise(of: FoldedNetwork) -> float:
        stem, depthwise, pointwise = of.layers[:3]
        exact = stem.activate(stem.convolve(real(pixels)))
        step = exact.max() / 255
        rounded = (exact / step).round() * step
        outs = [pointwise.convolve(depthwise.activate(depthwise.convolve(x))) for x in (exact, rounded)]
        return float((outs[0] - outs[1]).square().mean())

    with torch.no_grad():
        assert noise(equalized) < 0.8 * noise(network)


def test_a_network_without_dead_channels_or_room_is_left_alone(model: MobileNetV1, pixels: np.ndarray) -> None:
    lively = fold(model)
    network = replace(lively, layers=tuple(replace(n, bias=n.bias.abs() + 0.5) for n in lively.layers))
    tall = tuple(replace(n, weight=20 * n.weight) if n.cap is not None else n for n in network.layers)
    network = replace(network, layers=tall)
    assert not any((reach.half_width < 1e-2).any() for reach in reaches(network, Preprocessing()))
    for before, after in zip(network.layers, equalize(network, pixels, Preprocessing()).layers, strict=True):
        assert torch.equal(before.weight, after.weight) and torch.equal(before.bias, after.bias)


def test_a_channel_that_says_next_to_nothing_is_employed_too_and_leaves_its_mean(
    model: MobileNetV1, pixels: np.ndarray
) -> None:
    plain = fold(model)
    depthwise = plain.layers[1]
    weight = depthwise.weight.clone()
    weight[3] *= 1e-4 / weight[3].abs().max()
    bias = depthwise.bias.clone()
    bias[3] = 0.5
    network = replace(plain, layers=(plain.layers[0], replace(depthwise, weight=weight, bias=bias), *plain.layers[2:]))
    equalized = equalize(network, pixels, Preprocessing())
    assert (equalized.layers[1].weight[3] != weight[3]).any()
    with torch.no_grad():
        before, after = network.logits(real(pixels)), equalized.logits(real(pixels))
    assert (before - after).abs().max() < 0.1 * before.std()


def test_what_may_be_given_up_is_little_beside_rounding_all_together() -> None:
    swing = torch.tensor([1e-3, 5e-3, 0.0, 8e-3, 3.0])
    assert _free(swing, 1.0) == [0, 1, 2, 3], "1.4 % of the rounding's power"
    assert _free(swing, 0.5) == [0, 1, 2]
    assert _free(swing, 0.0) == [2]
