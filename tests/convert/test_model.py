import json

import pytest
import torch
from torch.nn import functional

from convert.complexity import layer_costs, mult_adds_of, parameters_of
from convert.errors import CheckpointError
from convert.model import IMAGENET_MEAN, MobileNetV1, ModelConfig, Rounding, pads
from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_network_costs_what_the_architecture_says(alpha: float) -> None:
    model = MobileNetV1(ModelConfig(alpha=alpha)).eval()
    assert sum(p.numel() for p in model.parameters()) == Variant(alpha, 224).parameters(1000).total
    for resolution in RESOLUTIONS:
        layers = layer_costs(model, resolution)
        assert mult_adds_of(layers) == Variant(alpha, resolution).mult_adds(1000).total
        assert parameters_of(layers) == Variant(alpha, resolution).parameters(1000).total


@pytest.mark.parametrize(("alpha", "resolution"), [(0.1, 32), (0.35, 64), (1.4, 32)])
def test_any_width_and_any_multiple_of_32_can_be_built(alpha: float, resolution: int) -> None:
    model = MobileNetV1(ModelConfig(alpha=alpha, classes=3)).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, resolution, resolution)).shape == (2, 3)
    assert mult_adds_of(layer_costs(model, resolution)) == Variant(alpha, resolution).mult_adds(3).total


def test_stride_2_pads_as_tensorflow_does() -> None:
    assert pads(3, 2, "same") == (0, 1, 0, 1)
    assert pads(3, 1, "same") == (1, 1, 1, 1)
    assert pads(3, 2, "symmetric") == (1, 1, 1, 1)
    assert pads(1, 1, "same") == pads(1, 1, "symmetric") == (0, 0, 0, 0)


def test_the_body_shrinks_32_times_and_the_last_depthwise_keeps_its_size() -> None:
    model = MobileNetV1(ModelConfig(alpha=0.25, classes=2)).eval()
    with torch.no_grad():
        features = model.blocks(model.stem(torch.zeros(1, 3, 224, 224)))
    assert features.shape == (1, 256, 7, 7)


def test_padding_activation_and_eps_change_the_answer() -> None:
    torch.manual_seed(0)
    base = ModelConfig(alpha=0.25, classes=4)
    others = [
        ModelConfig(alpha=0.25, classes=4, padding="symmetric"),
        ModelConfig(alpha=0.25, classes=4, activation="relu"),
        ModelConfig(alpha=0.25, classes=4, bn_eps=0.5),
    ]
    model, x = MobileNetV1(base).eval(), 6 * torch.randn(1, 3, 64, 64)
    for unit in model.modules():
        if isinstance(unit, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(unit.weight, 8.0)
    with torch.no_grad():
        answer = model(x)
        for other in others:
            twin = MobileNetV1(other).eval()
            twin.load_state_dict(model.state_dict())
            assert not torch.allclose(twin(x), answer)


def test_a_unit_is_convolution_batch_norm_and_relu6() -> None:
    torch.manual_seed(1)
    unit, x = MobileNetV1(ModelConfig(classes=2)).eval().stem, torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        convolved = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), unit.conv.weight, stride=2)
        assert torch.allclose(unit(x), unit.bn(convolved).clamp(0, 6))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"alpha": 0.0}, "invalid width multiplier 0.0: α must be greater than 0."),
        ({"alpha": float("nan")}, "invalid width multiplier nan: α must be greater than 0."),
        ({"classes": 0}, "invalid classifier of 0 classes behind layers of []: expected one or more of each."),
        ({"bn_eps": 0.0}, "invalid batch norm eps 0.0: expected a small positive number."),
        ({"padding": "valid"}, "invalid padding 'valid': expected one of same, symmetric."),
        ({"activation": "gelu"}, "invalid activation 'gelu': expected one of relu6, relu."),
        ({"rounding": "up"}, "invalid rounding 'up': expected one of floor, floor_8, multiple_8."),
        (
            {"stem_stride": 4},
            "invalid head of 0 filters or stem of stride 4: expected 0 or more, and 1 or 2.",
        ),
        (
            {"std": (1.0, 0.0, 1.0)},
            "invalid deviation (1.0, 0.0, 1.0): expected numbers greater than 0.",
        ),
        (
            {"colour_order": "GRAY"},
            "invalid mean (127.5, 127.5, 127.5) and deviation (127.5, 127.5, 127.5): GRAY takes 1 number of each.",
        ),
        ({"hidden": ((16, "tanh"),)}, "invalid activation 'tanh': expected one of relu6, relu."),
        (
            {"hidden": ((0, "relu"),)},
            "invalid classifier of 1000 classes behind layers of [0]: expected one or more of each.",
        ),
    ],
)
def test_an_impossible_configuration_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError) as error:
        ModelConfig(**config)  # type: ignore[arg-type]
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("rounding", "alpha", "widths"),
    [
        ("floor", 0.35, (11, 22, 44)),
        ("floor_8", 0.1, (8, 8, 12)),
        ("multiple_8", 0.35, (16, 24, 48)),
        ("multiple_8", 1.25, (40, 80, 160)),
    ],
)
def test_widths_are_rounded_as_each_framework_does(rounding: Rounding, alpha: float, widths: tuple[int, ...]) -> None:
    assert ModelConfig(alpha=alpha, rounding=rounding).widths[:3] == widths


def test_a_head_stands_between_the_blocks_and_the_pool() -> None:
    """5.28 million parameters: what timm prints of mobilenetv1_100h."""
    layers = layer_costs(MobileNetV1(ModelConfig(head=1024)), 224)
    assert parameters_of(layers) == 5_282_600
    assert (layers[-2].kind, layers[-2].input_shape, layers[-1].kind) == ("pointwise", (1024, 7, 7), "classifier")


def test_a_stem_of_stride_1_is_for_small_pictures() -> None:
    model = MobileNetV1(ModelConfig(alpha=0.25, classes=2, stem_stride=1)).eval()
    assert layer_costs(model, 32)[-2].input_shape == (256, 2, 2)


def test_a_configuration_survives_json() -> None:
    config = ModelConfig(
        alpha=1.25, rounding="multiple_8", head=1024, mean=IMAGENET_MEAN, hidden=((64, "relu"), (32, "relu6"))
    )
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
