import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from convert.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from convert.errors import CheckpointError
from convert.model import MobileNetV1
from convert.pipeline.inputs import own_resolutions
from edge.bundles.architecture import BLOCKS
from edge.bundles.variant import RESOLUTIONS
from edge.vision.images import read_image

BN = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def write_keras(model: MobileNetV1, path: Path) -> None:
    """The model in the layout of Keras Applications."""
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    layers = [("conv1", "kernel", "stem", (2, 3, 1, 0))]
    for n in range(len(BLOCKS)):
        layers.append((f"conv_dw_{n + 1}", "depthwise_kernel", f"blocks.{n}.0", (2, 3, 0, 1)))
        layers.append((f"conv_pw_{n + 1}", "kernel", f"blocks.{n}.1", (2, 3, 1, 0)))
    with h5py.File(path, "w") as file:
        for layer, kernel, ours, order in layers:
            file[f"{layer}/{layer}/{kernel}:0"] = state[f"{ours}.conv.weight"].transpose(order)
            for theirs, name in BN.items():
                file[f"{layer}_bn/{layer}_bn/{theirs}:0"] = state[f"{ours}.bn.{name}"]
        file["conv_preds/conv_preds/kernel:0"] = state["classifier.weight"].T[None, None]
        file["conv_preds/conv_preds/bias:0"] = state["classifier.bias"]


@pytest.fixture
def keras_file(model: MobileNetV1, tmp_path: Path) -> Path:
    path = tmp_path / "weights.h5"
    write_keras(model, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    return str(error.value)


def test_what_is_saved_is_loaded(model: MobileNetV1, checkpoint: Checkpoint) -> None:
    assert checkpoint.layout == "mobilenet-edge"
    assert checkpoint.config == model.config
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(checkpoint.model(x), model(x))


def test_keras_layout_gives_the_same_network(model: MobileNetV1, keras_file: Path) -> None:
    loaded = load_checkpoint(keras_file)
    assert (loaded.layout, loaded.config) == ("keras", model.config)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), model(x))


def test_keras_weights_below_model_weights_are_found(model: MobileNetV1, keras_file: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.h5"
    with h5py.File(keras_file) as source, h5py.File(whole, "w") as target:
        source.copy("/", target, name="model_weights")
    assert load_checkpoint(whole).config == model.config


def test_the_real_checkpoint_answers_as_keras_does(shared_data: Path) -> None:

    reference = np.load(shared_data / "keras_reference_probs.npz")
    names, model = reference["names"][::12], load_checkpoint(shared_data / "mobilenet_1_0_224_tf.h5").model
    for resolution in (224, 192, 160, 128):
        size = (resolution, resolution)
        frames = [read_image(shared_data / "photos" / str(name)) for name in names]
        pixels = [cv2.cvtColor(cv2.resize(f, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB) for f in frames]
        x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            probabilities = model(x).softmax(dim=1).numpy()
        assert np.abs(probabilities - reference[f"probs_{resolution}"][::12]).max() < 1e-4


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.h5"
    assert refusal(path) == f"Cannot read checkpoint {path}: no such file or directory."


def test_another_format_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x7fEXE a program")
    assert refusal(path).startswith(
        f"{path} is not a checkpoint that this package reads: expected a file of Keras (.keras, .h5), "
    )


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_truncated_keras_file_is_refused(keras_file: Path, share: float) -> None:
    data = keras_file.read_bytes()
    keras_file.write_bytes(data[: int(share * len(data))])
    assert "cut short" in refusal(keras_file)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_a_truncated_own_file_is_refused(checkpoint: Checkpoint, tmp_path: Path, share: float) -> None:
    path = tmp_path / "part.safetensors"
    data = checkpoint.path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert refusal(path).startswith(f"{path} is damaged or cut short: ")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.__delitem__("conv_dw_5"), "lacks array 'conv_dw_5/depthwise_kernel'"),
        (lambda f: f.__delitem__("conv_pw_2_bn/conv_pw_2_bn/gamma:0"), "lacks array 'conv_pw_2_bn/gamma'"),
        (
            lambda f: replace(f, "conv_pw_3/conv_pw_3/kernel:0", np.zeros((1, 1, 5, 64))),
            "the weights of layer 'conv_pw_3' are (64, 5, 1, 1), expected (64, 32, 1, 1) (blocks.2.1)",
        ),
        (
            lambda f: replace(f, "conv1/conv1/kernel:0", np.zeros((3, 3))),
            "array 'conv1/kernel' is (3, 3), expected 4 dimensions.",
        ),
        (
            lambda f: replace(f, "conv1_bn/conv1_bn/beta:0", np.full(8, np.nan)),
            "tensor 'stem.bn.bias' has 8 NaN or infinite values: the training diverged.",
        ),
    ],
)
def test_a_wrong_keras_file_names_the_tensor(
    keras_file: Path, damage: Callable[[h5py.File], None], message: str
) -> None:
    with h5py.File(keras_file, "r+") as file:
        damage(file)
    assert message in refusal(keras_file)


def test_a_file_without_its_top_is_loaded_to_train_from(model: MobileNetV1, keras_file: Path) -> None:
    with h5py.File(keras_file, "r+") as file:
        del file["conv_preds"]
    loaded = load_checkpoint(keras_file)
    assert loaded.is_headless
    assert torch.equal(loaded.model.blocks.state_dict()["12.1.conv.weight"], model.blocks[12][1].conv.weight)  # type: ignore[index]


def with_dense(file: h5py.File) -> None:
    """A head of one's own: Keras 2 lists all layers, also those without weights."""
    kernel, bias = file["conv_preds/conv_preds/kernel:0"][0, 0], file["conv_preds/conv_preds/bias:0"][()]
    del file["conv_preds"]
    file["dense/dense/kernel:0"], file["dense/dense/bias:0"] = kernel, bias


def listed(file: h5py.File, *others: str) -> None:
    """The attributes by which Keras 2 keeps the order."""
    in_order = sorted(file, key=lambda name: (name[:5] != "conv1", [int(n) for n in re.findall(r"\d+", name)], name))
    names = [*others, *in_order]
    file.attrs["layer_names"] = [name.encode() for name in names]
    for name in others:
        file.create_group(name).attrs["weight_names"] = np.zeros(0, "S1")
    for name in sorted(set(names) - set(others)):
        file[name].attrs["weight_names"] = [f"{name}/{leaf}".encode() for leaf in file[name][name]]


def test_weights_alone_say_what_is_assumed(model: MobileNetV1, keras_file: Path) -> None:
    assert load_checkpoint(keras_file).note == ""  # Keras Applications' own, by all its names
    with h5py.File(keras_file, "r+") as file:
        with_dense(file)
    loaded = load_checkpoint(keras_file)
    assert torch.equal(loaded.model.classifier.weight, model.classifier.weight)
    assert loaded.note == (
        "the file holds weights alone: ReLU6, SAME padding, eps 1e-3, a global average pool and a softmax are taken, "
        "as Keras Applications has them (if the network is another, save the whole model: model.save('model.keras')); "
        "the file does not say what its pixels are: taken as -1 to 1"
    )


def test_a_layer_that_changes_pixels_is_seen_by_its_name(keras_file: Path) -> None:
    with h5py.File(keras_file, "r+") as file:
        listed(file, "rescaling_1")
    assert load_checkpoint(keras_file).note == "the file does not say what its pixels are: taken as -1 to 1"


def maximum(file: h5py.File) -> None:
    with_dense(file)
    listed(file, "global_max_pooling2d")


def convolution_before(file: h5py.File) -> None:
    with_dense(file)
    channels = file["dense/dense/kernel:0"].shape[0]
    file["conv_z/conv_z/kernel:0"] = np.eye(channels, dtype=np.float32)[None, None]


def without_biases(file: h5py.File) -> None:
    with_dense(file)
    del file["dense/dense/bias:0"]


def test_a_classifier_without_biases_is_taken_as_one(model: MobileNetV1, keras_file: Path) -> None:
    with h5py.File(keras_file, "r+") as file:
        without_biases(file)
    loaded = load_checkpoint(keras_file)
    assert torch.equal(loaded.model.classifier.weight, model.classifier.weight)
    assert not loaded.model.classifier.bias.any()
    assert "; layer 'dense' has no biases and is taken as trained without (use_bias=False); " in loaded.note


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (maximum, "layer 'global_max_pooling2d' takes the maximum of the places"),
        (convolution_before, "with layer 'conv_z' between the body and the Dense layers: save the whole model"),
        (lambda f: f.__delitem__("conv_preds/conv_preds/bias:0"), "lacks array 'conv_preds/bias': it is not a whole"),
        (
            lambda f: f.__delitem__("conv_preds/conv_preds/kernel:0"),
            "lacks array 'conv_preds/kernel' ('conv_preds/bias",
        ),
        (lambda f: f.__delitem__("conv1_bn/conv1_bn/gamma:0"), "(3 of 4 are there): it is not a whole Keras MobileNet"),
    ],
)
def test_what_weights_alone_do_not_tell_is_refused(
    change: Callable[[h5py.File], None], message: str, keras_file: Path
) -> None:
    with h5py.File(keras_file, "r+") as file:
        change(file)
    assert message in refusal(keras_file)


def test_a_classifier_listed_before_the_body_is_found(model: MobileNetV1, tmp_path: Path) -> None:
    """Keras 3 lists outer layers first: ``layers/conv2d`` before ``layers/functional/layers/conv2d``."""
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    path = tmp_path / "k.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = state["classifier.weight"].T[None, None]
        file["layers/conv2d/vars/1"] = state["classifier.bias"]
        inner = "layers/functional/layers"
        places = ["stem", *(f"blocks.{n}.{part}" for n in range(len(BLOCKS)) for part in (0, 1))]
        counts = {"conv2d": 0, "depthwise_conv2d": 0}
        for number, place in enumerate(places):
            kind, order = ("depthwise_conv2d", (2, 3, 0, 1)) if place.endswith(".0") else ("conv2d", (2, 3, 1, 0))
            own = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
            file[f"{inner}/{own}/vars/0"] = state[f"{place}.conv.weight"].transpose(order)
            for index, leaf in enumerate(BN.values()):
                norm = f"batch_normalization_{number}" if number else "batch_normalization"
                file[f"{inner}/{norm}/vars/{index}"] = state[f"{place}.bn.{leaf}"]
    loaded, x = load_checkpoint(path), torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(loaded.model(x), model(x), atol=1e-5)


def test_a_resolution_that_is_no_multiple_of_32_becomes_the_nearest(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    def own(*sides: int | None) -> tuple[int, ...]:
        return own_resolutions([dataclasses.replace(checkpoint, resolution=side) for side in sides])

    assert (own(96), own(160, 96), own(None), own(96, None)) == ((96,), (160, 96), RESOLUTIONS, RESOLUTIONS)
    assert not caplog.records
    assert (own(180), own(100), own(10), own(150, 160)) == ((192,), (96,), (32,), (160,))
    assert "it asks for pictures of 180x180, which is not a multiple of 32: made for ρ=192" in caplog.text


def test_the_resolutions_that_a_checkpoint_is_for_come_before_its_file_s(checkpoint: Checkpoint) -> None:
    first, second = (dataclasses.replace(checkpoint, resolution=96, only_at=sides) for sides in ((96, 128), (224,)))
    assert own_resolutions([first]) == (128, 96)
    assert own_resolutions([first, second]) == (224, 128, 96)
    assert own_resolutions([dataclasses.replace(first, only_at=()), second]) == (96,)
    assert (first.sides_of((224, 96)), checkpoint.sides_of((224, 96))) == ((96,), (224, 96))


def replace(file: h5py.File, name: str, values: np.ndarray) -> None:
    del file[name]
    file[name] = values.astype(np.float32)


def test_an_own_file_without_its_configuration_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file(load_file(checkpoint.path), path)
    assert refusal(path) == (
        f"{path} has mobilenet-edge's tensors without their configuration: write it with "
        "convert.checkpoints.save_checkpoint, which keeps both."
    )


@pytest.mark.parametrize("config", ["{", "[]", json.dumps({"alpha": -1}), json.dumps({"width": 1})])
def test_a_senseless_configuration_is_refused(checkpoint: Checkpoint, tmp_path: Path, config: str) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(load_file(checkpoint.path), path, {"mobilenet_edge_config": config})
    assert "its configuration" in refusal(path)


def test_a_tensor_too_many_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "more.safetensors"
    config = json.dumps(checkpoint.config.to_dict())
    save_file(load_file(checkpoint.path) | {"head.weight": torch.zeros(2)}, path, {"mobilenet_edge_config": config})
    assert refusal(path) == f"{path} has tensor 'head.weight', which no MobileNet v1 has (1 such)."


def test_negative_variances_are_refused(model: MobileNetV1, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    write_keras(model, path)
    with h5py.File(path, "a") as file:
        file["conv_pw_3_bn/conv_pw_3_bn/moving_variance:0"][2] = -1e-3
    assert refusal(path) == f"{path}: tensor 'blocks.2.1.bn.running_var' has negative variances: the file is damaged."


def test_a_channel_without_variance_is_loaded(model: MobileNetV1, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    write_keras(model, path)
    with h5py.File(path, "a") as file:
        file["conv_pw_3_bn/conv_pw_3_bn/moving_variance:0"][:] = 0
    with torch.no_grad():
        assert torch.isfinite(load_checkpoint(path).model(torch.randn(1, 3, 64, 64))).all()


def own_statistics(model: MobileNetV1, side: int) -> dict[str, torch.Tensor]:
    return {k: v + side / 100 for k, v in model.state_dict().items() if "running" in k}


def test_statistics_of_each_resolution_are_kept_and_used(model: MobileNetV1, tmp_path: Path) -> None:
    path = tmp_path / "family.safetensors"
    save_checkpoint(model, path, {side: own_statistics(model, side) for side in (128, 224)})
    loaded, variances = load_checkpoint(path), model.state_dict()["stem.bn.running_var"]
    for side, used in ((128, 128), (224, 224), (160, 128), (192, 224), (320, 224)):
        network = loaded.at(side)
        assert torch.equal(network.state_dict()["stem.bn.running_var"], variances + used / 100)
        assert torch.equal(network.stem.conv.weight, model.stem.conv.weight)
    assert torch.equal(loaded.model.state_dict()["stem.bn.running_var"], variances)


def test_a_checkpoint_without_own_statistics_is_the_same_at_every_resolution(checkpoint: Checkpoint) -> None:
    assert checkpoint.at(128) is checkpoint.model


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda own: own.pop("stem.bn.running_var"), "lacks tensor 'at_128/stem.bn.running_var'"),
        (lambda own: own.update({"stem.bn.running_var": -own["stem.bn.running_var"]}), "negative variances"),
        (
            lambda own: own.update({"stem.bn.weight": own["stem.bn.running_var"].clone()}),
            "has tensor 'at_128/stem.bn.weight'",
        ),
    ],
)
def test_statistics_that_do_not_fit_are_refused(
    model: MobileNetV1, tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], object], says: str
) -> None:
    own = own_statistics(model, 128)
    spoil(own)
    path = tmp_path / "family.safetensors"
    save_checkpoint(model, path, {128: own})
    assert says in refusal(path)
