import pytest
import torch
from torch.nn import functional

from convert.model import MobileNetV1, ModelConfig, pads
from edge.errors import CheckpointError
from edge.variant import ALPHAS, RESOLUTIONS, Variant


def count_mult_adds(model: MobileNetV1, resolution: int) -> int:
    """Mult-adds of every convolution and of the classifier, counted as the network runs."""
    total = 0

    def count(layer: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
        total += layer.weight[0].numel() * out[0].numel()

    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model(torch.zeros(1, 3, resolution, resolution))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_network_costs_what_the_architecture_says(alpha: float) -> None:
    model = MobileNetV1(ModelConfig(alpha=alpha)).eval()
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == Variant(alpha, 224).parameters(1000).total
    for resolution in RESOLUTIONS:
        assert count_mult_adds(model, resolution) == Variant(alpha, resolution).mult_adds(1000).total


@pytest.mark.parametrize(("alpha", "resolution"), [(0.1, 32), (0.35, 64), (1.4, 32)])
def test_any_width_and_any_multiple_of_32_can_be_built(alpha: float, resolution: int) -> None:
    model = MobileNetV1(ModelConfig(alpha=alpha, classes=3)).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, resolution, resolution)).shape == (2, 3)
    assert count_mult_adds(model, resolution) == Variant(alpha, resolution).mult_adds(3).total


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
        ({"alpha": 0.0}, "Width multiplier 0.0 cannot be: α must be greater than 0."),
        ({"alpha": float("nan")}, "Width multiplier nan cannot be: α must be greater than 0."),
        ({"classes": 0}, "A classifier of 0 classes cannot be: expected one or more."),
        ({"bn_eps": 0.0}, "Batch norm cannot use eps 0.0: expected a small positive number."),
        (
            {"padding": "valid"},
            "No MobileNet v1 has padding 'valid' and activation 'relu6': "
            "expected one of ('same', 'symmetric') and one of ('relu6', 'relu').",
        ),
    ],
)
def test_an_impossible_configuration_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError) as error:
        ModelConfig(**config)  # type: ignore[arg-type]
    assert str(error.value) == message
