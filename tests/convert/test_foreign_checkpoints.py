"""Checkpoints of others: each layout is written by a network of its own kind, which our network must equal."""

import argparse
import datetime
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

import convert
from convert.checkpoints import Checkpoint, load_checkpoint
from convert.errors import CheckpointError
from convert.model import IMAGENET_MEAN, MobileNetV1, ModelConfig
from edge.bundles.architecture import BLOCKS
from tests.convert import timm_alone
from tests.convert.conftest import CLASSES, lively, refusal

State = dict[str, Tensor]
ALPHA = 0.25


def widths() -> Iterator[tuple[int, int, int]]:
    """Inputs, outputs and stride of each block."""
    channels = int(32 * ALPHA)
    for block in BLOCKS:
        yield channels, int(block.filters * ALPHA), block.stride
        channels = int(block.filters * ALPHA)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


class Sequential(nn.Module):
    """``model.0.0`` ... ``model.13.4`` and ``fc``, after marvis/pytorch-mobilenet."""

    def __init__(self, bias: bool = False) -> None:
        super().__init__()
        stem = nn.Sequential(conv(3, 8, 3, 2, bias=bias), nn.BatchNorm2d(8), nn.ReLU())
        blocks = (
            nn.Sequential(
                conv(a, a, 3, stride, a, bias),
                nn.BatchNorm2d(a),
                nn.ReLU(),
                conv(a, b, 1),
                nn.BatchNorm2d(b),
                nn.ReLU(),
            )
            for a, b, stride in widths()
        )
        self.model = nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.model(x).flatten(1))  # type: ignore[no-any-return]


class CifarBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, inputs, 3, stride, inputs), nn.BatchNorm2d(inputs)
        self.conv2, self.bn2 = conv(inputs, outputs, 1), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))))


class Cifar(nn.Module):
    """``conv1``, ``layers.0.conv1`` ... ``linear``, after kuangliu/pytorch-cifar: a stem of stride 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 8, 3), nn.BatchNorm2d(8)
        self.layers = nn.Sequential(*(CifarBlock(*block) for block in widths()))
        self.linear = nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = self.layers(functional.relu(self.bn1(self.conv1(x))))
        return self.linear(features.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class ConvolutionsFirst(nn.Module):
    """Registers all its convolutions before all its batch norms, and classifies with a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convs, self.norms = nn.ModuleList([conv(3, 8, 3, 2)]), nn.ModuleList([nn.BatchNorm2d(8)])
        for a, b, stride in widths():
            self.convs.extend([conv(a, a, 3, stride, a), conv(a, b, 1)])
            self.norms.extend([nn.BatchNorm2d(a), nn.BatchNorm2d(b)])
        self.head = nn.Conv2d(256, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            x = functional.relu(norm(convolution(x)))
        return self.head(x.mean(dim=(2, 3), keepdim=True)).flatten(1)  # type: ignore[no-any-return]


def trained(model: nn.Module) -> nn.Module:
    """Random batch norms and statistics, as after a training."""
    torch.manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.2, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return model.eval()


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def assert_same_answers(ours: Checkpoint, theirs: nn.Module, side: int = 64) -> None:
    torch.manual_seed(4)
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        assert torch.allclose(ours.model(x), theirs(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [Sequential, lambda: Sequential(bias=True), ConvolutionsFirst])
def test_common_networks_answer_the_same_from_a_state_dict(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    theirs = trained(make())
    ours = load_checkpoint(saved(theirs.state_dict(), tmp_path / "m.pth"))
    expected = ModelConfig(alpha=ALPHA, classes=CLASSES, padding="symmetric", activation="relu", bn_eps=1e-5)
    assert (ours.layout, ours.config.mean) == ("torch", IMAGENET_MEAN)
    assert (ours.config.alpha, ours.config.padding, ours.config.activation) == (ALPHA, "symmetric", "relu")
    assert ours.config.bn_eps == expected.bn_eps and ours.note.startswith("ReLU, symmetric padding")
    assert_same_answers(ours, theirs)


def test_networks_for_small_pictures_keep_their_stem(tmp_path: Path) -> None:
    theirs = trained(Cifar())
    ours = load_checkpoint(saved({"net": theirs.state_dict(), "acc": 93.1, "epoch": 200}, tmp_path / "ckpt.pth"))
    assert (ours.layout, ours.config.stem_stride) == ("pytorch-cifar", 1)
    assert_same_answers(ours, theirs, 32)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"epoch": 9, "optimizer": {"state": {}}, "state_dict": state},
        lambda state: {"model": {f"_orig_mod.{name}": value for name, value in state.items()}},
        lambda state: {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
    ],
)
def test_what_trainings_wrap_around_a_state_dict_is_taken_off(wrap: Callable[[State], Any], tmp_path: Path) -> None:
    theirs = trained(Sequential())
    ours = load_checkpoint(saved(wrap(theirs.state_dict()), tmp_path / "m.pt"))
    wanted = theirs.state_dict()["fc.weight"]
    assert torch.allclose(ours.model.classifier.weight, wanted, atol=1e-3)


class Named(nn.Module):
    """Layers of any names: alphabetical order is not that of the network."""

    def __init__(self, stem: str, block: str, first: str, second: str, classifier: str, channels: int = 3) -> None:
        super().__init__()
        self.names = [[stem, f"{stem}_norm"]]
        self.add_module(stem, conv(channels, 8, 3, 2))
        self.add_module(f"{stem}_norm", nn.BatchNorm2d(8))
        for number, (a, b, stride) in enumerate(widths()):
            layers = {first: conv(a, a, 3, stride, a), f"{first}_norm": nn.BatchNorm2d(a)}
            layers |= {second: conv(a, b, 1), f"{second}_norm": nn.BatchNorm2d(b)}
            self.add_module(f"{block}{number}", nn.ModuleDict(layers))
            self.names += [[f"{block}{number}.{name}", f"{block}{number}.{name}_norm"] for name in (first, second)]
        self.add_module(classifier, nn.Conv2d(256, CLASSES, 1))
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        for convolution, norm in self.names:
            x = functional.relu(self.get_submodule(norm)(self.get_submodule(convolution)(x)))
        return self.get_submodule(self.classifier)(x.mean(dim=(2, 3), keepdim=True)).flatten(1)  # type: ignore[no-any-return]


NAMED = {
    "stem last": ("stem", "blocks", "depthwise", "pointwise", "head"),
    "pointwise first": ("first", "layer", "spatial", "channel", "zz"),
    "classifier first": ("c", "body", "dw", "pw", "answer"),
}


@pytest.mark.parametrize("names", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("channels", [3, 1])
def test_names_in_any_order_are_put_in_that_of_the_layers(
    names: tuple[str, str, str, str, str], channels: int, tmp_path: Path
) -> None:
    theirs, path = trained(Named(*names, channels=channels)), tmp_path / "m.safetensors"
    save_file(theirs.state_dict(), path)
    ours, x = load_checkpoint(path), torch.randn(2, channels, 32, 32, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        assert torch.allclose(ours.model(x), theirs(x), rtol=1e-4, atol=1e-4)


def folded(theirs: nn.Module) -> State:
    """As after ``fuse_modules``: convolutions with biases, and no norm."""
    state, given = {}, theirs.state_dict()
    modules = list(theirs.named_modules())
    convolutions = [name for name, module in modules if isinstance(module, nn.Conv2d)]
    norms = [(name, module.eps) for name, module in modules if isinstance(module, nn.BatchNorm2d)]
    for convolution, (norm, eps) in zip(convolutions, norms, strict=True):
        gain = given[f"{norm}.weight"] / (given[f"{norm}.running_var"] + eps).sqrt()
        state[f"{convolution}.weight"] = given[f"{convolution}.weight"] * gain[:, None, None, None]
        state[f"{convolution}.bias"] = given[f"{norm}.bias"] - given[f"{norm}.running_mean"] * gain
    return state | {name: value for name, value in given.items() if name.startswith("fc.")}


def pruned(theirs: nn.Module) -> State:
    for module in theirs.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            prune.l1_unstructured(module, "weight", 0.1)  # type: ignore[no-untyped-call]
    return theirs.state_dict()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (folded, ""),
        (pruned, ""),
        (lambda m: torch.optim.swa_utils.AveragedModel(m).state_dict(), ""),
        (
            lambda m: {f"net.{k}": v for k, v in m.state_dict().items()} | {"criterion.weight": torch.ones(CLASSES)},
            "left out: criterion, which the training kept beside the network; ",
        ),
        (lambda m: m.state_dict() | {"epoch": 3}, ""),
    ],
    ids=["folded", "pruned", "averaged", "loss", "flat"],
)
def test_other_shapes_of_the_same_state_are_read(change: Callable[[nn.Module], Any], note: str, tmp_path: Path) -> None:
    theirs = trained(Sequential())
    ours = load_checkpoint(saved(change(theirs), tmp_path / "m.pth"))
    assert_same_answers(ours, theirs)
    assert ours.note.startswith(note + "ReLU, symmetric")


def test_which_of_several_sets_of_weights_is_taken_is_said(tmp_path: Path) -> None:
    theirs, average = trained(Sequential()), Sequential().state_dict()
    ours = load_checkpoint(saved({"state_dict_ema": average, "state_dict": theirs.state_dict()}, tmp_path / "m.pth"))
    assert_same_answers(ours, theirs)
    assert ours.note.startswith(
        "of several sets of weights that under 'state_dict' is taken, not that under 'state_dict_ema' (to take the "
        "other: torch.save(checkpoint['state_dict_ema'], FILE)); "
    )


def test_one_wrong_bit_is_seen(tmp_path: Path) -> None:
    path = saved(trained(Sequential()).state_dict(), tmp_path / "m.pth")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)
    assert " is damaged: the checksum of 'm/data/" in refusal(path)


@pytest.mark.parametrize("make", [Sequential, Cifar, ConvolutionsFirst])
def test_safetensors_are_put_in_the_order_of_the_layers(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    theirs, path = trained(make()), tmp_path / "m.safetensors"
    save_file(theirs.state_dict(), path)
    assert_same_answers(load_checkpoint(path), theirs, 32)


def test_the_old_format_of_torch_is_read(tmp_path: Path) -> None:
    theirs, path = trained(Sequential()), tmp_path / "old.pth"
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=False)
    assert_same_answers(load_checkpoint(path), theirs)


def test_of_a_slimmable_network_the_widest_is_taken(tmp_path: Path) -> None:
    ours = lively(ModelConfig(alpha=ALPHA, classes=CLASSES, padding="symmetric", bn_eps=1e-5))
    state: State = {}
    units = [("stem", "features.0.0", "features.0.1")]
    for n in range(len(BLOCKS)):
        units += [
            (f"blocks.{n}.{p}", f"features.{n + 1}.body.{3 * p}", f"features.{n + 1}.body.{3 * p + 1}") for p in (0, 1)
        ]
    values = ours.state_dict()
    for mine, convolution, norm in units:
        state[f"{convolution}.weight"] = values[f"{mine}.conv.weight"]
        state |= {f"{norm}.{leaf}": values[f"{mine}.bn.{leaf}"] for leaf in ("weight", "bias")}
        for number, share in enumerate((2, 1)):
            for leaf in ("running_mean", "running_var"):
                whole = values[f"{mine}.bn.{leaf}"]
                state[f"{norm}.bn.{number}.{leaf}"] = whole[: len(whole) // share]
    state |= {f"classifier.0.{leaf}": values[f"classifier.{leaf}"] for leaf in ("weight", "bias")}
    found = load_checkpoint(saved({"model": state}, tmp_path / "us.pt"))
    assert (found.layout, found.config.activation, found.config.mean) == ("slimmable", "relu6", IMAGENET_MEAN)
    assert_same_answers(found, ours)


def slim_variables(model: MobileNetV1, classes: int, suffix: str = "") -> dict[str, np.ndarray]:
    """The model as TF-slim names it, with a row for the background before the others if there is one class more."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    layers = [("Conv2d_0", "weights", "stem", (2, 3, 1, 0))]
    for n in range(len(BLOCKS)):
        layers.append((f"Conv2d_{n + 1}_depthwise", "depthwise_weights", f"blocks.{n}.0", (2, 3, 0, 1)))
        layers.append((f"Conv2d_{n + 1}_pointwise", "weights", f"blocks.{n}.1", (2, 3, 1, 0)))
    found = {}
    for layer, kernel, ours, order in layers:
        found[f"MobilenetV1/{layer}/{kernel}"] = state[f"{ours}.conv.weight"].transpose(order)
        names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        found |= {f"MobilenetV1/{layer}/BatchNorm/{k}": state[f"{ours}.bn.{v}"] for k, v in names.items()}
    more = classes - len(state["classifier.bias"])
    weight, bias = (
        np.pad(state[f"classifier.{n}"].T, [(0, 0)] * d + [(more, 0)]) for n, d in (("weight", 1), ("bias", 0))
    )
    found["MobilenetV1/Logits/Conv2d_1c_1x1/weights"] = weight[None, None]
    found["MobilenetV1/Logits/Conv2d_1c_1x1/biases"] = bias
    return {f"{name}{suffix}": values for name, values in found.items()} | {"global_step": np.array(1)}


@pytest.mark.parametrize("suffix", ["", ":0", "/ExponentialMovingAverage"])
def test_slims_variables_give_the_same_network(model: MobileNetV1, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "slim.npz"
    np.savez(path, **slim_variables(model, CLASSES, suffix))  # type: ignore[arg-type]
    ours = load_checkpoint(path)
    assert (ours.layout, ours.config, ours.note) == ("tf-slim", model.config, "")
    assert_same_answers(ours, model)


def test_slims_averages_go_before_the_last_weights(model: MobileNetV1, tmp_path: Path) -> None:
    path, last = tmp_path / "slim.npz", {k: 0 * v for k, v in slim_variables(model, CLASSES).items()}
    np.savez(path, **last | slim_variables(model, CLASSES, "/ExponentialMovingAverage"))  # type: ignore[arg-type]
    assert_same_answers(load_checkpoint(path), model)


def test_slims_background_is_left_out_of_1001_classes(tmp_path: Path) -> None:
    model, path = lively(ModelConfig(alpha=ALPHA, classes=1000)), tmp_path / "slim.npz"
    np.savez(path, **slim_variables(model, 1001))  # type: ignore[arg-type]
    ours = load_checkpoint(path)
    assert ours.config.classes == 1000
    assert ours.note == "class 0 of 1001, the background, is left out: what remains is in Keras' order"
    assert_same_answers(ours, model)


@pytest.mark.parametrize("name", ["mobilenetv1_100", "mobilenetv1_100h", "mobilenetv1_125"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_timms_networks_answer_the_same(name: str, suffix: str, tmp_path: Path) -> None:
    try:
        with timm_alone.timm() as timm:
            theirs = trained(timm.create_model(name, pretrained=False))
            told: dict[str, Any] = timm.get_pretrained_cfg(name).to_dict()
    except ImportError as reason:
        pytest.skip(f"timm is not in {timm_alone.FOLDER} ({reason}); ./install.sh --test puts it there")
    path = tmp_path / f"{name}.{suffix}"
    state = {key: value.contiguous() for key, value in theirs.state_dict().items()}
    if suffix == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    ours = load_checkpoint(path)
    assert (ours.layout, ours.config.classes) == ("timm", told["num_classes"])
    assert (ours.config.mean, ours.config.std) == tuple(tuple(255 * v for v in told[key]) for key in ("mean", "std"))
    assert (ours.config.alpha, ours.config.head) == (1.25 if "125" in name else 1.0, 1024 if "100h" in name else 0)
    assert_same_answers(ours, theirs)


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("model.3.3.weight"), " has 26 convolutions and 27 batch norms before its classifier: "),
        (
            without("model.3.4.running_var"),
            ": batch norm 'model.3.4' lacks running_var, expected 32 channels of all four.",
        ),
        (without("fc.weight"), " has tensor 'fc.bias' without its weight: "),
        (
            lambda s: s | {"model.3.1.running_mean": torch.tensor(1.0)},
            ": batch norm 'model.3.1' has () channels, expected 32 channels of all four.",
        ),
        (
            lambda s: s | {"model.0.0.bias": torch.zeros(4)},
            ": the bias of layer 'model.0.0' is (4,), expected 8 channels.",
        ),
        (lambda s: s | {"mean": torch.zeros(3)}, " has tensor 'mean', which no MobileNet v1 has. If the network does "),
        (
            lambda s: {f"{who}.{k}": v for who in ("student", "teacher") for k, v in s.items()},
            " holds 2 networks, 'student', 'teacher': save one of them: torch.save({k[8:]: v for k, v in ",
        ),
        (
            lambda s: without("fc.weight")(s) | {"fc.weight_g": torch.ones(CLASSES, 1), "fc.weight_v": torch.ones(1)},
            ": the weights of 'fc' are not there, but what they are computed from, as by weight norm.",
        ),
        (
            lambda s: without("fc.weight")(s) | {"fc.parametrizations.weight.original0": torch.ones(CLASSES, 1)},
            ": the weights of 'fc' are not there, but what they are computed from, as by weight norm.",
        ),
        (
            lambda s: {k: v for k, v in s.items() if "fc" not in k and "model.3" not in k},
            " has 0 linear layers, 25 convolutions and 25 batch ",
        ),
        (
            lambda s: s | {"model.3.3.weight": torch.zeros(32, 5, 1, 1)},
            ": the weights of layer 'model.3.3' are (32, 5, 1, 1), ",
        ),
        (lambda s: s | {"model.2.0.weight": torch.zeros(16, 16, 3, 3)}, "expected (16, 1, 3, 3) (blocks.1.0)"),
        (
            lambda s: s | {"extras.0.weight": torch.zeros(4)},
            " has batch norm 'extras.0' without its running mean and variance: ",
        ),
        (lambda s: s | {"fc.weight": torch.full((CLASSES, 256), torch.nan)}, "NaN or infinite values"),
        (lambda s: s | {"fc.weight": torch.zeros(CLASSES, 255)}, ": layer 'fc' takes 255 values, expected 256."),
    ],
)
def test_a_state_dict_of_another_network_is_refused(
    change: Callable[[State], State], message: str, tmp_path: Path
) -> None:
    state = trained(Sequential()).state_dict()
    assert message in refusal(saved(change(state), tmp_path / "odd.pth"))


def test_a_classifier_without_biases_is_taken_as_one(tmp_path: Path) -> None:
    theirs = trained(Sequential())
    torch.nn.init.zeros_(theirs.fc.bias)  # type: ignore[union-attr, arg-type]
    loaded = load_checkpoint(saved(without("fc.bias")(theirs.state_dict()), tmp_path / "bare.pth"))
    assert_same_answers(loaded, theirs)
    cut = saved(without("linear.bias")(trained(Cifar()).state_dict()), tmp_path / "cut.pth")
    assert refusal(cut) == " lacks tensor 'linear.bias': it is not a whole network of pytorch-cifar."
    assert loaded.note.endswith("; layer 'fc' has no biases and is taken as trained without (bias=False)")


def test_a_network_pruned_channel_by_channel_is_refused(tmp_path: Path) -> None:
    state = trained(Sequential()).state_dict()
    for name in [n for n in state if n.startswith(("model.13.3", "model.13.4")) and state[n].ndim]:
        state[name] = state[name][:200]
    state["fc.weight"] = state["fc.weight"][:, :200]
    assert "A network pruned channel by channel" in refusal(saved(state, tmp_path / "pruned.pth"))


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trap-sprung"),))


def test_code_in_a_file_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "loading those would run their code" in refusal(saved({"state_dict": Trap()}, tmp_path / "trap.pth"))
    (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap()))
    assert refusal(tmp_path / "trap.pkl") != ""
    np.savez(tmp_path / "trap.npz", weights=np.array([Trap()]))
    assert "holds more than arrays of numbers" in refusal(tmp_path / "trap.npz")
    assert not (tmp_path / "trap-sprung").exists()


def test_plain_values_beside_the_weights_are_allowed(tmp_path: Path) -> None:
    theirs = trained(Sequential())
    beside = {
        "args": argparse.Namespace(lr=0.1, tags=["a"]),
        "best_acc1": np.float64(71.2),
        "epoch": np.int64(3),
        "started": datetime.datetime(2024, 1, 1),
        "folder": Path("runs"),
        "optimizer": {"state": {}, "param_groups": []},
        "history": np.arange(5.0),
        "names": np.array(["cat", "dog"]),
    }
    for key in ("state_dict", "model_state", "whatever"):
        ours = load_checkpoint(saved({**beside, key: theirs.state_dict()}, tmp_path / "training.pth.tar"))
        assert_same_answers(ours, theirs)


def test_several_linear_layers_and_one_logit_are_heads(tmp_path: Path) -> None:
    theirs = trained(Sequential())
    theirs.fc = nn.Sequential(nn.Linear(256, 12), nn.ReLU(), nn.Linear(12, 1))
    ours = load_checkpoint(saved(theirs.state_dict(), tmp_path / "two.pth"))
    assert (ours.config.hidden, ours.config.classes) == (((12, "relu"),), 2)
    assert "between its linear layers the activation is taken for ReLU" in ours.note and "sigmoid" in ours.note
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        logits = ours.model(x)
        assert not logits[:, 0].any()
        assert torch.allclose(logits[:, 1:], theirs(x), atol=1e-4)


def test_features_alone_are_for_training_from(tmp_path: Path) -> None:
    state = {name: values for name, values in trained(Sequential()).state_dict().items() if "fc" not in name}
    path = saved(state, tmp_path / "features.pth")
    assert load_checkpoint(path).is_headless
    with pytest.raises(CheckpointError, match=r"edge-convert train PICTURES --from features.pth --out trained"):
        convert.quantize(path, 64)


HF_PLACES = [f"layer.{n}" for n in range(2 * len(BLOCKS))]


def huggingface(model: MobileNetV1) -> State:
    """The tensors as transformers' MobileNetV1ForImageClassification names them."""
    state: State = {}
    ours = ["stem", *(f"blocks.{n}.{part}" for n in range(len(BLOCKS)) for part in (0, 1))]
    for place, theirs in zip(ours, ["conv_stem", *HF_PLACES], strict=True):
        for name, values in model.state_dict().items():
            if name.startswith(f"{place}."):
                name = name.removeprefix(f"{place}.").replace("conv.", "convolution.").replace("bn.", "normalization.")
                state[f"mobilenet_v1.{theirs}.{name}"] = values
    return state | {f"classifier.{leaf}": model.state_dict()[f"classifier.{leaf}"] for leaf in ("weight", "bias")}


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_hugging_faces_networks_are_read_by_their_own_customs(suffix: str, tmp_path: Path) -> None:
    model, path = lively(ModelConfig(alpha=ALPHA, classes=CLASSES)), tmp_path / f"model.{suffix}"
    state = {name: values.contiguous() for name, values in huggingface(model).items()}
    if suffix == "bin":
        torch.save(state, path)
    else:
        save_file({name: values for name, values in state.items() if "num_batches" not in name}, path)
    ours = load_checkpoint(path)
    assert (ours.layout, ours.config) == ("transformers", model.config)
    assert_same_answers(ours, model)


def test_the_configuration_beside_hugging_faces_weights_decides(tmp_path: Path) -> None:
    config = ModelConfig(
        alpha=ALPHA,
        classes=CLASSES,
        padding="symmetric",
        activation="relu",
        bn_eps=1e-5,
        mean=(0.0,) * 3,
        std=(255.0,) * 3,
    )
    model = lively(config)
    torch.save(huggingface(model), tmp_path / "pytorch_model.bin")
    told = {"model_type": "mobilenet_v1", "tf_padding": False, "hidden_act": "relu", "layer_norm_eps": 1e-5}
    (tmp_path / "config.json").write_text(json.dumps(told))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}))
    ours = load_checkpoint(tmp_path / "pytorch_model.bin")
    assert ours.config == config
    assert_same_answers(ours, model)
    (tmp_path / "config.json").write_text(json.dumps(told | {"hidden_act": "swish"}))
    assert "is swish: expected ReLU6 or ReLU." in refusal(tmp_path / "pytorch_model.bin")


def test_a_whole_pickled_model_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    assert refusal(saved(Sequential(), tmp_path / "model.pth")).endswith("torch.save(model.state_dict(), FILE).")


@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
@pytest.mark.parametrize("kind", ["pth", "npz", "old"])
def test_a_truncated_file_is_refused(model: MobileNetV1, tmp_path: Path, share: float, kind: str) -> None:
    path = tmp_path / "part"
    if kind == "npz":
        buffer = io.BytesIO()
        np.savez(buffer, **slim_variables(model, CLASSES))  # type: ignore[arg-type]
        path.write_bytes(buffer.getvalue())
    else:
        torch.save(Sequential().state_dict(), path, _use_new_zipfile_serialization=kind == "pth")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "is damaged or cut short" in refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "arch": "mobilenet"}, " holds no state dict but keys 'epoch', 'arch': expected tensors by name."),
        ([1, 2], " holds no state dict but list: expected tensors by name."),
        ({"a": torch.zeros(2), "b": 1}, " holds no state dict but keys 'a', 'b'"),
        ({}, " holds no state dict but "),
    ],
)
def test_a_file_without_a_state_dict_says_what_it_holds(content: object, message: str, tmp_path: Path) -> None:
    assert message in refusal(saved(content, tmp_path / "odd.pt"))


def test_arrays_that_are_no_network_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    assert refusal(tmp_path / "other.npz")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    assert refusal(tmp_path / "empty.zip")


def test_slims_missing_variable_is_named(model: MobileNetV1, tmp_path: Path) -> None:
    variables = slim_variables(model, CLASSES)
    del variables["MobilenetV1/Conv2d_7_pointwise/BatchNorm/gamma"]
    np.savez(tmp_path / "slim.npz", **variables)  # type: ignore[arg-type]
    assert " lacks variable 'MobilenetV1/Conv2d_7_pointwise/BatchNorm/gamma'" in refusal(tmp_path / "slim.npz")
