from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from convert.data.calibration_data import CalibrationData
from convert.errors import CalibrationError, ConversionError
from convert.model import MobileNetV1
from convert.quantization import (
    FoldedNetwork,
    Quantization,
    QuantizedLayer,
    QuantizedNetwork,
    fold,
    quantize,
    quantizer,
)
from convert.quantization.calibration import batches
from convert.quantization.quantizer import highest_logit
from edge.vision.preprocess import Preprocessing


@pytest.fixture(scope="module")
def network(model: MobileNetV1) -> FoldedNetwork:
    return fold(model)


@pytest.fixture(scope="module")
def quantized(network: FoldedNetwork, data: CalibrationData) -> QuantizedNetwork:
    return quantize(network, data.calibration.pixels[64], Preprocessing())


def test_folding_leaves_the_answers(model: MobileNetV1, network: FoldedNetwork) -> None:
    x = torch.randn(2, 3, 64, 64).clamp(-1, 1)
    with torch.no_grad():
        assert torch.allclose(network.logits(x), model(x), atol=1e-4)


def test_every_layer_is_there_in_order(quantized: QuantizedNetwork) -> None:
    names = [layer.name for layer in quantized.layers]
    assert names[:3] == ["stem", "block1/depthwise", "block1/pointwise"]
    assert (len(names), names[-1]) == (28, "classifier")
    assert quantized.variant.name == "mobilenet_v1_0.25_64"


def test_each_layer_reads_what_the_one_before_writes(quantized: QuantizedNetwork) -> None:
    for before, after in zip(quantized.layers, quantized.layers[1:], strict=False):
        assert after.input == before.output


def test_weights_are_symmetric_and_as_fine_as_the_channel_allows(
    network: FoldedNetwork, quantized: QuantizedNetwork
) -> None:
    for folded, layer in zip(network.layers, quantized.layers, strict=True):
        widest = np.abs(folded.weight.numpy()).max(axis=(1, 2, 3))
        assert np.allclose(layer.weight_scales, widest / 127, rtol=1e-5)
        assert np.abs(layer.weight.astype(int)).max() == 127


def test_the_input_range_comes_from_the_preprocessing_not_from_the_pictures(network: FoldedNetwork) -> None:
    grey = np.full((2, 32, 32, 3), 100, np.uint8)
    assert quantize(network, grey, Preprocessing()).input == Quantization(1 / 127.5, -1)


def test_activations_hold_zero_exactly_and_relu6_starts_there(quantized: QuantizedNetwork) -> None:
    for layer in quantized.layers[:-1]:
        assert layer.output.zero_point == -128
        assert layer.output.scale * 255 <= 6.001


def test_the_corrected_biases_keep_the_means_of_the_logits(
    network: FoldedNetwork, quantized: QuantizedNetwork, data: CalibrationData
) -> None:
    pixels = data.calibration.pixels[64]
    whole = replace(quantized.layers[-1], output=Quantization.of_range(-20, 20))
    quantized = replace(quantized, layers=(*quantized.layers[:-1], whole))
    plain = []
    for folded, layer in zip(network.layers, quantized.layers, strict=True):
        bias = folded.bias.numpy() / (layer.weight_scales * layer.input.scale)
        plain.append(replace(layer, bias=np.round(bias).astype(np.int32)))
    x = torch.from_numpy(Preprocessing().real(pixels)).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = network.logits(x).mean(dim=0).numpy()
    corrected, uncorrected = (
        np.abs(simulate(n, pixels).mean(axis=0) - wanted).mean()
        for n in (quantized, replace(quantized, layers=tuple(plain)))
    )
    assert corrected < quantized.logits.scale
    assert corrected < 0.5 * uncorrected


def simulate(network: QuantizedNetwork, pixels: np.ndarray) -> np.ndarray:
    """Logits in exact integer arithmetic, layer by layer, rounded as TensorFlow Lite does."""
    q = pixels.astype(np.int64).transpose(0, 3, 1, 2) - 128
    for layer in network.layers:
        if layer.kind == "classifier":
            q = np.round(q.mean(axis=(2, 3), keepdims=True)).astype(np.int64)
        q = simulate_layer(layer, q)
    return np.asarray((q[:, :, 0, 0] - network.logits.zero_point) * network.logits.scale)


def simulate_layer(layer: QuantizedLayer, q: np.ndarray) -> np.ndarray:
    """One layer's int8 output (count, out, height, width) for its int8 input."""
    x = torch.from_numpy((q - layer.input.zero_point).astype(np.float64))
    weight = torch.from_numpy(layer.weight.astype(np.float64))
    groups = len(weight) if layer.kind == "depthwise" else 1
    x = torch.nn.functional.pad(x, layer.pads)
    sums = torch.nn.functional.conv2d(x, weight, stride=layer.stride, groups=groups).numpy()
    sums += layer.bias[:, None, None]
    scale = layer.weight_scales.astype(np.float64)[:, None, None] * layer.input.scale / layer.output.scale
    levels = np.round(sums * scale) + layer.output.zero_point
    top = 127 if layer.cap is None else min(127, round(layer.cap / layer.output.scale) + layer.output.zero_point)
    return np.clip(levels, -128 if layer.cap is None else layer.output.zero_point, top).astype(np.int64)


@pytest.mark.parametrize("enough", [1, 16])
def test_the_same_inputs_give_the_same_integers(
    network: FoldedNetwork, data: CalibrationData, enough: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizer, "ENOUGH", enough)
    pixels = data.calibration.pixels[64][:4]
    first, second = (quantize(network, pixels, Preprocessing()) for _ in range(2))
    for a, b in zip(first.layers, second.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
        assert (a.input, a.output) == (b.input, b.output)


@pytest.mark.parametrize("most_held", [0, 1_000_000])
def test_outputs_that_are_too_large_to_hold_are_computed_again(
    network: FoldedNetwork,
    quantized: QuantizedNetwork,
    data: CalibrationData,
    most_held: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quantizer, "MOST_HELD", most_held)
    again = quantize(network, data.calibration.pixels[64], Preprocessing())
    for a, b in zip(quantized.layers, again.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
        assert (a.input, a.output) == (b.input, b.output)


def test_few_pictures_are_seen_in_other_views_too_and_enough_are_not(
    network: FoldedNetwork, data: CalibrationData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counted(pixels: np.ndarray, recipe: Preprocessing) -> Iterator[tuple[float, torch.Tensor]]:
        seen.append(len(pixels))
        return batches(pixels, recipe)

    monkeypatch.setattr(quantizer, "batches", counted)
    pixels = data.calibration.pixels[64]
    for enough, count in ((128, 2), (16, 2), (16, 5), (16, 12)):
        monkeypatch.setattr(quantizer, "ENOUGH", enough)
        quantize(network, pixels[:count], Preprocessing())
    assert seen == [2 * 16, 2 * 8, 5 * 3, 12], "up to fifteen views of each"


def test_progress_rises_to_one(network: FoldedNetwork, data: CalibrationData) -> None:
    shares: list[float] = []
    quantize(network, data.calibration.pixels[64], Preprocessing(), progress=lambda _, share: shares.append(share))
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_dead_channels_neither_overflow_nor_vanish(network: FoldedNetwork, data: CalibrationData) -> None:
    weight = network.layers[3].weight.clone()
    weight[:2] = 1e-11 * weight[:2]
    dead = replace(network.layers[3], weight=weight)
    layers = (*network.layers[:3], dead, *network.layers[4:])
    quantized = quantize(replace(network, layers=layers), data.calibration.pixels[64], Preprocessing())
    layer = quantized.layers[3]
    assert np.abs(layer.bias.astype(np.int64)).max() <= 2**30
    constant = layer.bias[:2] * layer.weight_scales[:2] * layer.input.scale
    assert np.allclose(constant, dead.bias[:2].numpy(), rtol=1e-3, atol=1e-3)


def test_a_layer_that_never_fires_keeps_a_usable_scale(network: FoldedNetwork, data: CalibrationData) -> None:
    silent = replace(network.layers[4], bias=network.layers[4].bias - 100)
    layers = (*network.layers[:4], silent, *network.layers[5:])
    quantized = quantize(replace(network, layers=layers), data.calibration.pixels[64], Preprocessing())
    assert 6 / quantized.layers[4].output.scale < 2**31


def test_no_pictures_are_refused(network: FoldedNetwork) -> None:
    with pytest.raises(CalibrationError) as error:
        quantize(network, np.zeros((0, 64, 64, 3), np.uint8), Preprocessing())
    assert str(error.value) == "There are no calibration pictures: expected at least one."


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 6.0, Quantization(float(np.float32(6 / 255)), -128)),
        (-6.0, 0.0, Quantization(float(np.float32(6 / 255)), 127)),
        (2.0, 5.1, Quantization(float(np.float32(5.1 / 255)), -128)),
        (-1.0, 1.0, Quantization(float(np.float32(2 / 255)), 0)),
    ],
)
def test_a_range_becomes_the_finest_quantization_that_holds_zero(
    low: float, high: float, expected: Quantization
) -> None:
    assert Quantization.of_range(low, high) == expected


@pytest.mark.parametrize(("scale", "zero_point"), [(0.0, 0), (float("nan"), 0), (1.0, 128), (1.0, -129)])
def test_an_impossible_quantization_is_refused(scale: float, zero_point: int) -> None:
    with pytest.raises(ConversionError):
        Quantization(scale, zero_point)


def test_the_highest_logit_comes_from_the_spread_where_no_picture_is_one_that_the_network_is_sure_of() -> None:
    logits = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0))
    assert highest_logit(logits) == pytest.approx(10.5, rel=0.01)
    logits[0, 0] = 20.0
    assert highest_logit(logits) == 20.0


def test_the_highest_logit_of_few_classes_is_what_one_of_them_can_reach() -> None:
    sure = 8.0 * torch.eye(10)  # around the mean of 0.8 with standard deviation 2.4: (8 - 0.8) / 2.4 = √9
    assert highest_logit(sure) == pytest.approx(8.0)
    assert highest_logit(0.5 * sure) == pytest.approx(4.0)


def test_the_logits_range_is_cut_where_only_the_least_probable_lie(
    network: FoldedNetwork, quantized: QuantizedNetwork, data: CalibrationData
) -> None:
    x = torch.from_numpy(Preprocessing().real(data.calibration.pixels[64])).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = network.logits(x)
    low = (-128 - quantized.logits.zero_point) * quantized.logits.scale
    assert low >= 1.05 * logits.min() - quantized.logits.scale  # views of the pictures reach a little further
    high = (127 - quantized.logits.zero_point) * quantized.logits.scale
    assert high >= logits.max() - 1.5 * quantized.logits.scale, "half a step is lost where zero is exact"
