"""What may be in files of Keras: other ways to write the same network, and what is not one, in one line each."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pytest
import torch

from convert.checkpoints import load_checkpoint
from convert.model import MobileNetV1, ModelConfig
from edge.bundles.architecture import BLOCKS
from tests.convert.conftest import CLASSES, lively, refusal

SIDE: Final = 64
Rows = list[tuple[str, str, dict[str, Any], list[np.ndarray]]]
"""Name, class, configuration and arrays of each layer."""


def convolution(name: str, weight: np.ndarray, stride: int, *, is_depthwise: bool) -> Any:
    kernel = weight.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
    config = {"kernel_size": list(kernel.shape[:2]), "strides": [stride, stride], "padding": "same", "use_bias": False}
    config |= {} if is_depthwise else {"filters": kernel.shape[3]}
    return name, "DepthwiseConv2D" if is_depthwise else "Conv2D", config, [kernel]


def body(model: MobileNetV1) -> Rows:
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    rows: Rows = [("picture", "InputLayer", {"batch_shape": [None, SIDE, SIDE, 3]}, [])]
    places = [("stem", 2)] + [
        (f"blocks.{n}.{part}", b.stride if part == 0 else 1) for n, b in enumerate(BLOCKS) for part in (0, 1)
    ]
    for number, (place, stride) in enumerate(places):
        is_depthwise = place.endswith(".0")
        rows.append(convolution(f"c{number}", state[f"{place}.conv.weight"], stride, is_depthwise=is_depthwise))
        norm = [state[f"{place}.bn.{leaf}"] for leaf in ("weight", "bias", "running_mean", "running_var")]
        rows.append((f"n{number}", "BatchNormalization", {"epsilon": 1e-3}, norm))
        rows.append((f"a{number}", "ReLU", {"max_value": 6.0}, []))
    return rows


def head(model: MobileNetV1) -> Rows:
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    dense = [state["classifier.weight"].T, state["classifier.bias"]]
    return [
        ("pool", "GlobalAveragePooling2D", {}, []),
        ("out", "Dense", {"units": CLASSES, "activation": "softmax"}, dense),
    ]


def sequential(rows: Rows) -> dict[str, Any]:
    layers = [{"class_name": kind, "config": {**config, "name": name}} for name, kind, config, _ in rows]
    return {"class_name": "Sequential", "config": {"name": "all", "layers": layers}}


def write(
    path: Path, rows: Rows, *, config: bytes | None = None, spoil: Callable[[h5py.File], object] | None = None
) -> Path:
    """A ``.keras`` of the rows, as Keras 3 writes it."""
    content, counts = io.BytesIO(), dict[str, int]()
    groups = {"DepthwiseConv2D": "depthwise_conv2d", "Conv2D": "conv2d", "BatchNormalization": "batch_normalization"}
    with h5py.File(content, "w") as file:
        for _, kind, _, arrays in rows:
            group = groups.get(kind, kind.lower())
            number = counts[group] = counts.get(group, -1) + 1
            for index, values in enumerate(arrays):
                file[f"layers/{group}{f'_{number}' if number else ''}/vars/{index}"] = values
        if spoil:
            spoil(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config if config is not None else json.dumps(sequential(rows)))
        archive.writestr("model.weights.h5", content.getvalue())
    return path


@pytest.fixture(scope="module")
def network() -> MobileNetV1:
    return lively(ModelConfig(alpha=0.25, classes=CLASSES))


def answers(path: Path, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = load_checkpoint(path).model(x).softmax(dim=1)
    return found


X: Final = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def wanted(network: MobileNetV1) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network(X).softmax(dim=1)
    return found


def dense(name: str, weight: np.ndarray, bias: np.ndarray, activation: Any = "linear") -> Any:
    return name, "Dense", {"units": len(bias), "activation": activation}, [weight.astype("f4"), bias.astype("f4")]


def test_a_sequential_network_is_read_and_knows_its_resolution(network: MobileNetV1, tmp_path: Path) -> None:
    path = write(tmp_path / "plain.keras", body(network) + head(network))
    assert torch.allclose(answers(path, X), wanted(network), atol=1e-5)
    assert load_checkpoint(path).resolution == SIDE


@pytest.mark.parametrize(
    ("layer", "mean", "std"),
    [
        (("r", "Rescaling", {"scale": 1 / 127.5, "offset": -1}, []), 127.5, 127.5),
        (("r", "Rescaling", {"scale": 1 / 255, "offset": 0.0}, []), 0.0, 255.0),
        (("r", "Normalization", {"mean": [0.5] * 3, "variance": [0.0625] * 3}, []), 127.5, 63.75),
        (("r", "Normalization", {"mean": [120.0] * 3, "variance": [3600.0] * 3}, []), 120.0, 60.0),
        (("r", "Normalization", {"mean": [116.0] * 3, "variance": [1.0] * 3}, []), 116.0, 1.0),
    ],
)
def test_the_normalization_comes_from_the_file(
    layer: Any, mean: float, std: float, network: MobileNetV1, tmp_path: Path
) -> None:
    rows = body(network)
    found = load_checkpoint(write(tmp_path / "n.keras", [rows[0], layer, *rows[1:], *head(network)])).config
    assert found.mean == pytest.approx((mean,) * 3, abs=1e-3)
    assert found.std == pytest.approx((std,) * 3, rel=1e-4)


def test_what_does_nothing_when_a_network_answers_is_passed_over(network: MobileNetV1, tmp_path: Path) -> None:
    rows = body(network)
    rows[1:1] = [
        ("c", "Cast", {"dtype": "float32"}, []),
        ("f", "RandomFlip", {}, []),
        ("z", "RandomZoom", {}, []),
        ("g", "GaussianNoise", {}, []),
    ]
    path = write(tmp_path / "aug.keras", [*rows, head(network)[0], ("d", "Dropout", {}, []), head(network)[1]])
    assert torch.allclose(answers(path, X), wanted(network), atol=1e-5)


@pytest.mark.parametrize("is_before", [True, False])
def test_a_batch_norm_between_dense_layers_is_folded_exactly(
    is_before: bool, network: MobileNetV1, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(256, 12)) / 16, random.normal(size=(12, CLASSES))
    norm = [random.uniform(0.5, 2, 12), random.normal(size=12), random.normal(size=12), random.uniform(0.5, 2, 12)]
    bias, last = random.normal(size=12), random.normal(size=CLASSES)
    bn: Any = ("bn", "BatchNormalization", {"epsilon": 0.01}, norm)
    relu: Any = ("relu", "Activation", {"activation": "relu6"}, [])
    rows: Rows = [dense("one", first, bias), *((bn, relu) if is_before else (relu, bn)), dense("two", second, last)]
    path = write(tmp_path / "bn.keras", [*body(network), head(network)[0], *rows])
    with torch.no_grad():
        hidden = network.features(X).double().numpy() @ first + bias
    gamma, beta, mean, variance = norm
    hidden = hidden if is_before else np.clip(hidden, 0, 6)
    hidden = (hidden - mean) / np.sqrt(variance + 0.01) * gamma + beta
    hidden = np.clip(hidden, 0, 6) if is_before else hidden
    expected = torch.from_numpy(hidden @ second + last).softmax(dim=1).float()
    assert torch.allclose(answers(path, X), expected, atol=1e-5)
    assert load_checkpoint(path).config.hidden == ((12, "relu6"),)


def test_dense_layers_with_nothing_between_are_one(network: MobileNetV1, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(256, 12)) / 16, random.normal(size=(12, CLASSES))
    rows: Rows = [dense("one", first, np.ones(12)), dense("two", second, np.zeros(CLASSES), "softmax")]
    path = write(tmp_path / "two.keras", [*body(network), head(network)[0], *rows])
    with torch.no_grad():
        expected = (network.features(X) @ torch.from_numpy(first).float() + 1) @ torch.from_numpy(second).float()
    assert torch.allclose(answers(path, X), expected.softmax(dim=1), atol=1e-5)
    assert load_checkpoint(path).config.hidden == ()


def test_one_sigmoid_is_the_softmax_of_zero_and_its_logit(network: MobileNetV1, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(256, 1)) / 16
    for activation in ("sigmoid", "linear"):
        rows: Rows = [*body(network), head(network)[0], dense("yes", weight, np.ones(1), activation)]
        path = write(tmp_path / "one.keras", rows)
        with torch.no_grad():
            expected = (network.features(X) @ torch.from_numpy(weight).float() + 1).sigmoid()
        assert torch.allclose(answers(path, X), torch.cat([1 - expected, expected], dim=1), atol=1e-6)
        assert "class 1 of two" in load_checkpoint(path).note


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (
            [dense("tags", np.zeros((256, 4)), np.zeros(4), "sigmoid")],
            " answers with 4 sigmoids, each for itself",
        ),
        ([dense("a", np.zeros((256, 4)), np.zeros(4), "tanh")], ": layer 'a' is tanh: between fully connected layers"),
        (
            [("f", "Lambda", {"function": "import os"}, [])],
            ": layer 'f' is a Lambda, which holds code",
        ),
        ([("f", "MyHead", {}, [])], ": layer 'f' is a MyHead: MobileNet v1 has none such."),
        ([("f", "GlobalMaxPooling2D", {}, [])], ": layer 'f' takes the maximum of the places: expected a global "),
        ([dense("a", np.zeros((7, 4)), np.zeros(4))], ": layer 'a' takes 7 values, expected 256."),
    ],
)
def test_other_heads_are_refused_by_name(last: Rows, message: str, network: MobileNetV1, tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "odd.keras", [*body(network), head(network)[0], *last])).startswith(message)


def test_a_convolutional_head_is_refused(network: MobileNetV1, tmp_path: Path) -> None:
    last = convolution("wide", np.zeros((4, 256, 3, 3), np.float32), 1, is_depthwise=False)
    assert " has a convolutional head: layer 'wide'" in refusal(
        write(tmp_path / "odd.keras", [*body(network), head(network)[0], last])
    )


def test_a_depth_multiplier_is_refused(network: MobileNetV1, tmp_path: Path) -> None:
    rows = body(network)
    kernel = rows[4][3][0]
    rows[4][3][0] = np.concatenate([kernel, kernel], axis=3)
    assert "layer 'c1' has depth multiplier 2: only 1 is supported" in refusal(write(tmp_path / "dm.keras", rows))


def test_other_activations_and_dilations_are_refused(network: MobileNetV1, tmp_path: Path) -> None:
    rows = body(network) + head(network)
    rows[3] = ("a0", "Activation", {"activation": "swish"}, [])
    assert "the activation behind layer 'c0' is swish: expected ReLU6 or ReLU." in refusal(
        write(tmp_path / "a.keras", rows)
    )
    rows[3] = ("a0", "ReLU", {"max_value": None}, [])
    assert "is relu6, behind 'c0' relu: expected the same everywhere" in refusal(write(tmp_path / "a.keras", rows))
    rows[1][2]["dilation_rate"] = 2
    assert "layer 'c0' has dilation 2" in refusal(write(tmp_path / "a.keras", rows))


def test_a_layer_of_1x1_before_the_pool_is_the_classifier_behind_it(network: MobileNetV1, tmp_path: Path) -> None:
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    name, kind, config, arrays = convolution(
        "last", state["classifier.weight"][:, :, None, None], 1, is_depthwise=False
    )
    arrays.append(state["classifier.bias"])
    rows: Rows = [*body(network), (name, kind, config | {"use_bias": True}, arrays), head(network)[0]]
    rows.append(("end", "Softmax", {}, []))
    assert torch.allclose(answers(write(tmp_path / "c.keras", rows), X), wanted(network), atol=1e-5)


@pytest.mark.parametrize("activation", [{"max_value": 1.0}, {"max_value": 6.0, "negative_slope": 0.1}])
def test_a_relu_as_a_layer_s_activation_is_read_with_its_settings(
    activation: dict[str, Any], network: MobileNetV1, tmp_path: Path
) -> None:
    relu = {"class_name": "ReLU", "config": activation}
    rows: Rows = [*body(network), head(network)[0], dense("a", np.zeros((256, 4)), np.zeros(4), relu)]
    assert ": layer 'a' is a ReLU " in refusal(write(tmp_path / "r.keras", rows))


def test_the_window_of_a_pool_tells_the_resolution_where_the_file_does_not(
    network: MobileNetV1, tmp_path: Path
) -> None:
    rows = body(network)
    rows[0][2]["batch_shape"] = [None, None, None, 3]
    pool: Any = ("pool", "AveragePooling2D", {"pool_size": [2, 2]}, [])
    path = write(tmp_path / "p.keras", [*rows, pool, ("flat", "Flatten", {}, []), head(network)[1]])
    assert load_checkpoint(path).resolution == 64
    assert torch.allclose(answers(path, X), wanted(network), atol=1e-5)
    rest: Rows = [pool, ("means", "GlobalAveragePooling2D", {}, []), head(network)[1]]
    assert "'means' averages what a window of 2x2 leaves" in refusal(write(tmp_path / "q.keras", [*rows, *rest]))


def test_pictures_that_are_not_square_are_refused(network: MobileNetV1, tmp_path: Path) -> None:
    rows = body(network) + head(network)
    rows[0][2]["batch_shape"] = [None, 96, 128, 3]
    assert refusal(write(tmp_path / "r.keras", rows)).startswith(" takes pictures of 96x128: expected square ones.")


def test_normalizations_of_other_channels_are_named(network: MobileNetV1, tmp_path: Path) -> None:
    rows = body(network) + head(network)
    rows.insert(3, ("again", "BatchNormalization", {}, [np.ones(3, np.float32)] * 4))
    message = ": the normalization behind layer 'c0' is operands could not be broadcast"
    assert refusal(write(tmp_path / "n.keras", rows)).startswith(message)
    rows = body(network) + head(network)
    rows[2][3][:] = [np.ones((2, 3), np.float32)] * 4
    assert "'n0/moving_mean' is (2, 3)" in refusal(write(tmp_path / "n.keras", rows))


def bfloat16(file: h5py.File) -> None:
    """Every array in half, as Keras 3 writes it."""
    names: list[str] = []
    file.visititems(lambda name, one: names.append(name) if isinstance(one, h5py.Dataset) else None)
    for name in names:
        upper = (np.asarray(file[name], np.float32).view(np.uint32) >> 16).astype(np.uint16)
        del file[name]
        file[name] = upper.view("V2")
        file[name].attrs["dtype"] = "bfloat16"


def test_bfloat16_is_read_and_int8_is_not(network: MobileNetV1, tmp_path: Path) -> None:
    rows = body(network) + head(network)
    found = load_checkpoint(write(tmp_path / "half.keras", rows, spoil=bfloat16)).model.classifier.weight
    wanted = (network.classifier.weight.detach().view(torch.int32) >> 16 << 16).view(torch.float32)
    assert torch.equal(found, wanted)
    rows[-1][3][0] = np.ones((256, CLASSES), np.int8)
    assert ": array 'layers/dense/vars/0' is of int8: it is quantized already." in refusal(
        write(tmp_path / "int8.keras", rows)
    )


def external(file: h5py.File) -> None:
    file["layers/dense_9"] = h5py.ExternalLink("/etc/passwd", "/x")


def cyclic(file: h5py.File) -> None:
    file["layers/again"] = file["layers"]


def bomb(file: h5py.File) -> None:
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (40_000, 4_000), "f4", compression="gzip", fillvalue=0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (external, " holds the link 'dense_9' to another file, \"/etc/passwd\": links are never followed."),
        (cyclic, " has groups more than 32 deep: it is not a file of weights."),
        (bomb, ": array 'layers/dense/vars/0' is larger than the file can hold: it is damaged."),
        (
            lambda f: f.__delitem__("layers/conv2d_3"),
            " lacks array 'layers/conv2d_3/vars/0': its",
        ),
        (
            lambda f: f.__delitem__("layers"),
            " lacks array 'c0/c0/kernel': its configuration and its weights disagree.",
        ),
    ],
)
def test_weights_that_cannot_be_are_refused(
    spoil: Callable[[h5py.File], object], message: str, network: MobileNetV1, tmp_path: Path
) -> None:
    assert refusal(write(tmp_path / "odd.keras", body(network) + head(network), spoil=spoil)).startswith(message)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"{", ": its configuration is not JSON: "),
        (b"[]", ": its configuration is a JSON list: expected a Keras model's."),
        (b"{}", ": its configuration is not one of Keras (KeyError: 'class_name'). Save"),
        (
            b'{"class_name": "MyModel", "config": {}}',
            " is of the class 'MyModel', whose layers only its own code",
        ),
        (b'{"class_name": "Sequential", "config": {"layers": [3]}}', ": its configuration is not one of Keras ("),
        (b" " * 9_000_000, ": config.json has more than 8 MB: that is not a MobileNet v1's."),
        (b"[" * 100_000, ": its configuration is not JSON: "),
    ],
)
def test_a_configuration_that_is_not_one_is_refused(
    config: bytes, message: str, network: MobileNetV1, tmp_path: Path
) -> None:
    assert refusal(write(tmp_path / "odd.keras", body(network), config=config)).startswith(message)


def test_a_configuration_of_other_shapes_than_the_weights_is_refused(network: MobileNetV1, tmp_path: Path) -> None:
    rows = body(network) + head(network)
    rows[7][2]["filters"] = 99
    assert (
        ": array 'c2/kernel' is (1, 1, 8, 16), which is not what the configuration of layer 'c2' (Conv2D) says"
        in refusal(write(tmp_path / "odd.keras", rows))
    )


def test_networks_that_branch_are_refused(network: MobileNetV1, tmp_path: Path) -> None:
    def layer(name: str, kind: str, *sources: str) -> dict[str, Any]:
        nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
        return {"class_name": kind, "config": {"name": name}, "name": name, "inbound_nodes": nodes}

    layers = [layer("i", "InputLayer"), layer("a", "ReLU", "i"), layer("sum", "Add", "i", "a")]
    config = {"class_name": "Functional", "config": {"layers": layers, "output_layers": [["sum", 0, 0]]}}
    path = write(tmp_path / "v2.keras", body(network), config=json.dumps(config).encode())
    assert refusal(path).startswith(": layer 'sum' (Add) joins 'a' and 'i': MobileNet v1 is one row of layers.")


def test_a_zip_that_is_not_a_keras_file_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("weights/model.h5", "x")
    assert refusal(tmp_path / "a.keras").startswith(
        " is a zip archive, not a .keras file: unpack it and name weights/model.h5"
    )


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_keras_file_is_refused(share: float, network: MobileNetV1, tmp_path: Path) -> None:
    path = write(tmp_path / "cut.keras", body(network) + head(network))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "cut short" in refusal(path)
