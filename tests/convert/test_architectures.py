"""Other networks are named by the names that their authors give to layers, and MobileNet v1 is never taken for one."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from tests.convert.conftest import refusal

NAMED = {
    "MobileNetV2": "features.1.conv.0.0.weight features.18.0.weight classifier.1.weight",
    "MobileNetV2,": "conv_stem.weight blocks.1.0.conv_pwl.weight classifier.weight",
    "MobileNetV2, by": "mobilenet_v2.layer.0.expand_1x1.convolution.weight classifier.weight",
    "MobileNetV3": "features.1.block.0.0.weight features.1.block.1.fc1.weight classifier.0.weight",
    "MobileNetV3,": "blocks.1.0.se.conv_reduce.weight blocks.1.0.conv_pwl.weight conv_head.bias classifier.weight",
    "MobileNetV4": "blocks.0.0.dw_start.conv.weight head.weight",
    "EfficientNet": "features.1.0.block.1.fc1.weight features.1.0.block.0.0.weight classifier.1.weight",
    "a ResNet": "conv1.weight layer1.0.conv1.weight layer4.1.conv2.weight fc.weight",
    "a vision transformer": "cls_token patch_embed.proj.weight blocks.0.attn.qkv.weight",
    "an SSD detector": "base_net.0.0.weight classification_headers.0.weight regression_headers.0.weight",
    "a YOLO detector": "model.0.conv.weight model.22.cv2.0.0.conv.weight model.22.dfl.conv.weight",
    "ShuffleNet": "stage2.0.branch1.0.weight fc.weight",
    "a DenseNet": "features.denseblock1.denselayer1.conv1.weight classifier.weight",
    "GhostNet": "blocks.0.0.ghost1.primary_conv.0.weight classifier.weight",
    "MnasNet": "layers.8.0.layers.0.weight classifier.1.weight",
}


@pytest.mark.parametrize(("network", "names"), NAMED.items())
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_tensors_of_another_network_say_which(network: str, names: str, suffix: str, tmp_path: Path) -> None:
    arrays = {name: np.zeros((4, 3, 1, 1) if "conv" in name else (4, 4), np.float32) for name in names.split()}
    path = tmp_path / f"a.{suffix}"
    if suffix == "pth":
        torch.save({name: torch.from_numpy(values) for name, values in arrays.items()}, path)
    else:
        save_file(arrays, path)
    assert refusal(path).startswith(f" is {network}")
    assert refusal(path).endswith(
        ", by the names in it: expected a MobileNet v1. A .tflite file of another network becomes a bundle as it is: "
        "edge bundle import."
    )


def layer(kind: str, name: str, *sources: str) -> object:
    nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": kind, "config": {"name": name}, "name": name, "inbound_nodes": nodes}


@pytest.mark.parametrize(
    ("model", "names", "network"),
    [
        ("mobilenetv2_0.35_96", ("a", "b"), "MobileNetV2"),
        ("functional", ("block_1_expand", "block_1_project"), "MobileNetV2"),
        ("MobilenetV3small", ("a", "b"), "MobileNetV3"),
        ("functional_3", ("block2a_expand_conv", "b"), "EfficientNet"),
        ("functional_3", ("conv2_block1_1_conv", "b"), "a ResNet"),
    ],
)
def test_layers_of_another_network_say_which(model: str, names: tuple[str, str], network: str, tmp_path: Path) -> None:
    layers = [layer("InputLayer", "x"), *(layer("ReLU", name, "x") for name in names), layer("Add", "sum", *names)]
    config = {"name": model, "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["sum", 0, 0]]}
    text = json.dumps({"class_name": "Functional", "config": config})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = text
    assert refusal(tmp_path / "a.h5").startswith(f" is {network}, by the names in it")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", text)
        archive.write(tmp_path / "a.h5", "model.weights.h5")
    assert refusal(tmp_path / "a.keras").startswith(f" is {network}, by the names in it")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/features/features.1/conv/conv.0/conv.0.0/Conv", " is MobileNetV2, by the names in it"),
        ("/layer1/layer1.0/conv1/Conv /layer4/layer4.1/conv1/Conv", " is a ResNet, by the names in it"),
        (
            "/model/model.0/Conv",
            ": tensor 'x' goes to '/model/model.0/Conv' (Conv) and 'b' (Conv): MobileNet v1 is one",
        ),
    ],
)
def test_operators_of_another_network_say_which(name: str, message: str, tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [1, 3, 8, 8]) for end in ("x", "y")]
    weight = numpy_helper.from_array(np.zeros((3, 3, 1, 1), np.float32), "w")
    names = (*name.split(), "b")
    nodes = [helper.make_node("Conv", ["x", "w"], [f"t{n}"], name=one) for n, one in enumerate(names)]
    nodes.append(helper.make_node("Add", ["t0", "t1"], ["y"]))
    graph = helper.make_graph(nodes, "g", [ends[0]], [ends[1]], [weight])
    onnx.save(helper.make_model(graph), str(tmp_path / "a.onnx"))
    assert refusal(tmp_path / "a.onnx").startswith(message)


@pytest.mark.parametrize(
    "names",
    ["model.0.0.weight model.1.3.weight fc.weight", "features.0.0.weight features.1.0.0.weight classifier.weight"],
)
def test_mobilenets_own_names_are_no_other_networks(names: str, tmp_path: Path) -> None:
    save_file({name: np.zeros((4, 3, 1, 1), np.float32) for name in names.split()}, tmp_path / "a.safetensors")
    assert "by the names in it" not in refusal(tmp_path / "a.safetensors")
