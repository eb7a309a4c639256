"""The published Keras Applications layout (``mobilenet_1_0_224_tf.h5``), read with h5py alone.

Layer names and array shapes: keras-team/keras ``keras/src/applications/mobilenet.py``. Batch norm's epsilon is
Keras' default, 1e-3; the activation is ReLU6; the padding equals TensorFlow's SAME.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.weights import Arrays, Weights, configured
from convert.errors import CheckpointError
from edge.bundles.architecture import BLOCKS

__all__ = ["read"]

_BN = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def read(path: Path) -> Weights:
    """The network in ``path``, its tensors renamed and transposed as :class:`MobileNetV1` has them.

    Raises:
        CheckpointError: The file is damaged, lacks a tensor, or has one of another rank.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file.get("model_weights", file))
    except (OSError, RuntimeError) as reason:
        if isinstance(reason, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged or cut short: {reason}.") from reason


def _read(path: Path, root: h5py.Group) -> Weights:
    tensors = _unit(path, root, "conv1", "kernel", "stem")
    for index in range(len(BLOCKS)):
        tensors |= _unit(path, root, f"conv_dw_{index + 1}", "depthwise_kernel", f"blocks.{index}.0")
        tensors |= _unit(path, root, f"conv_pw_{index + 1}", "kernel", f"blocks.{index}.1")
    kernel = _array(path, root, "conv_preds", "kernel", rank=4)
    tensors["classifier.weight"] = kernel[0, 0].T
    tensors["classifier.bias"] = _array(path, root, "conv_preds", "bias", rank=1)
    return Weights(layout="keras", config=configured(tensors), tensors=tensors)


def _unit(path: Path, root: h5py.Group, layer: str, kernel: str, ours: str) -> Arrays:
    weight = _array(path, root, layer, kernel, rank=4)
    # (height, width, in, out) for a convolution, (height, width, in, 1) for a depthwise one: out comes first here.
    tensors = {f"{ours}.conv.weight": weight.transpose((2, 3, 0, 1) if "depthwise" in kernel else (3, 2, 0, 1))}
    for theirs, name in _BN.items():
        tensors[f"{ours}.bn.{name}"] = _array(path, root, f"{layer}_bn", theirs, rank=1)
    return tensors


def _array(path: Path, root: h5py.Group, layer: str, name: str, rank: int) -> NDArray[np.float32]:
    group = root.get(layer)
    found = group.get(f"{layer}/{name}:0") if isinstance(group, h5py.Group) else None
    if not isinstance(found, h5py.Dataset):
        hint = " A file without its top ('no_top') has no classifier." if layer == "conv_preds" else ""
        raise CheckpointError(f"{path} lacks array '{layer}/{name}': it is not a Keras MobileNet v1.{hint}")
    if found.ndim != rank:
        raise CheckpointError(f"{path}: array '{layer}/{name}' is {found.shape}, expected {rank} dimensions.")
    try:
        return np.asarray(found[()], np.float32)
    except (OSError, RuntimeError) as reason:
        raise CheckpointError(f"{path}: array '{layer}/{name}' cannot be read: the file is cut short.") from reason
