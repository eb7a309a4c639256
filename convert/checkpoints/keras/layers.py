"""What each of Keras' layers is to us: a layer with weights, nothing, or a reason to refuse it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from convert.checkpoints.keras.config import KerasLayer
from convert.checkpoints.network import (
    ActivationLayer,
    Affine,
    Array,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Norm,
    Pool,
    ZeroPadding,
)
from convert.errors import CheckpointError

__all__ = ["Arrays", "translated"]

Arrays = Callable[[KerasLayer, tuple[str, ...]], list[Array]]
"""Reads a layer's arrays, by the names that Keras gives them."""
_SKIPPED: Final = (
    "InputLayer",
    "Dropout",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
    "AutoContrast",
    "Resizing",
    "CenterCrop",
    "AugMix",
    "CutMix",
    "MixUp",
    "RandAugment",
)
"""What does nothing when a network answers, or what the device does: resizing. Layers named Random... as well."""
_FLOATS: Final = ("float", "bfloat")
_OPERATIONS: Final = {
    "TrueDivide": "divide",
    "Divide": "divide",
    "truediv": "divide",
    "divide": "divide",
    "Multiply": "multiply",
    "multiply": "multiply",
    "mul": "multiply",
    "Add": "add",
    "add": "add",
    "AddV2": "add",
    "Subtract": "subtract",
    "subtract": "subtract",
    "sub": "subtract",
}
"""Operations on tensors, as ``preprocess_input`` leaves them: Keras 3's classes, and what Keras 2's TFOpLambda call."""


def translated(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    """``layer`` as this package's layers.

    Raises:
        CheckpointError: A MobileNet v1 has none such, or its arrays do not fit its configuration.
    """
    kind, config, name = layer.kind, layer.config, layer.name
    if kind in _SKIPPED or kind.startswith("Random") or _is_cast(layer):
        return
    if kind in _BUILDERS:
        yield from _BUILDERS[kind](path, layer, arrays)
    elif kind == "TFOpLambda" or (kind in _OPERATIONS and layer.constants):
        operation = str(config.get("function", kind)).rpartition(".")[2]
        yield _operation(path, layer, _OPERATIONS.get(operation, operation))
    elif kind == "Lambda":
        raise CheckpointError(
            f"{path}: layer '{name}' is a Lambda, which holds code, and no code of a file is ever run. Put a layer in "
            "its place, such as Rescaling for a normalization of pixels, and save the model again."
        )
    else:
        raise CheckpointError(
            f"{path}: layer '{name}' is a {kind}: MobileNet v1 has none such. This is another architecture, or a layer "
            "of your own that has to go before the model is saved."
        )


def _is_cast(layer: KerasLayer) -> bool:
    """Whether it makes floats of a picture's bytes; ``config`` has the type in Keras 3, the call in 2."""
    if layer.kind == "Cast":
        return str(layer.config.get("dtype")).startswith(_FLOATS)
    return layer.config.get("function") == "cast" and any(text.startswith(_FLOATS) for text in layer.texts)


def _convolution(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    config, is_depthwise = layer.config, layer.kind == "DepthwiseConv2D"
    stride, dilation = _one(path, layer, "strides"), _one(path, layer, "dilation_rate", 1)
    padding = config.get("padding", "valid")
    if dilation != 1 or padding not in ("same", "valid") or config.get("groups", 1) != 1:
        raise CheckpointError(
            f"{path}: layer '{layer.name}' has dilation {dilation}, padding '{padding}' and {config.get('groups', 1)} "
            "groups: MobileNet v1 has 1, 'same' or 'valid', and 1."
        )
    kernel, bias = _kernel(layer, arrays)
    size = config["kernel_size"]
    side = (size, size) if isinstance(size, int) else tuple(size)
    outputs = kernel.shape[-1] if kernel.ndim == 4 else -1
    if kernel.ndim != 4 or kernel.shape[:2] != side or (not is_depthwise and outputs != config["filters"]):
        raise _disagree(path, layer, "kernel", kernel)
    weight = kernel.transpose((2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1))
    weight = weight.reshape(-1, 1, *side) if is_depthwise else weight  # multiplied channels stand side by side
    if bias is not None and bias.shape != (len(weight),):
        raise _disagree(path, layer, "bias", bias)
    pads = None if padding == "same" else (0, 0, 0, 0)
    yield Convolution(name=layer.name, weight=weight, bias=bias, stride=stride, pads=pads, is_depthwise=is_depthwise)
    yield from _activation(layer)


def _dense(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    kernel, bias = _kernel(layer, arrays)
    if kernel.ndim != 2 or kernel.shape[1] != layer.config["units"]:
        raise _disagree(path, layer, "kernel", kernel)
    if bias is not None and bias.shape != (kernel.shape[1],):
        raise _disagree(path, layer, "bias", bias)
    yield Dense(name=layer.name, weight=kernel.T, bias=bias)
    yield from _activation(layer)


def _norm(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    config = layer.config
    has = {"gamma": config.get("scale", True), "beta": config.get("center", True)}
    names = [name for name, is_there in has.items() if is_there] + ["moving_mean", "moving_variance"]
    found = dict(zip(names, arrays(layer, tuple(names)), strict=True))
    mean, variance = found["moving_mean"], found["moving_variance"]
    if len({values.shape for values in found.values()}) != 1 or mean.ndim != 1:
        raise _disagree(path, layer, "moving_mean", mean)
    gamma, beta = found.get("gamma", np.ones(mean.shape)), found.get("beta", np.zeros(mean.shape))
    eps = float(config.get("epsilon", 1e-3))
    yield Norm(name=layer.name, gamma=gamma, beta=beta, mean=mean, variance=variance, eps=eps)


def _normalization(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    config = layer.config
    if config.get("mean") is not None:
        mean, variance = (np.asarray(config[name], np.float32).ravel() for name in ("mean", "variance"))
    else:
        mean, variance = (values.ravel() for values in arrays(layer, ("mean", "variance")))
    scale = 1 / np.maximum(np.sqrt(variance.astype(np.float64)), 1e-7)
    if config.get("invert"):
        raise CheckpointError(f"{path}: layer '{layer.name}' is an inverted Normalization: expected an ordinary one.")
    yield Affine(name=layer.name, scale=scale, shift=-mean * scale)


def _rescaling(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    scale, shift = (np.asarray(_plain(layer.config[key]), np.float64) for key in ("scale", "offset"))
    yield Affine(name=layer.name, scale=scale, shift=shift)


def _operation(path: Path, layer: KerasLayer, operation: str) -> Layer:
    if (
        operation not in _OPERATIONS.values()
        or len(layer.constants) != 1
        or (operation == "divide" and not layer.constants[0])
    ):
        raise CheckpointError(
            f"{path}: layer '{layer.name}' computes '{operation}' on a tensor: expected one number added, subtracted, "
            "multiplied or divided by. Put a Rescaling layer in its place."
        )
    number = np.float64(layer.constants[0])
    scale = {"multiply": number, "divide": 1 / (number or np.float64(np.nan))}.get(operation, np.float64(1))
    shift = {"add": number, "subtract": -number}.get(operation, np.float64(0))
    return Affine(name=layer.name, scale=np.asarray(scale), shift=np.asarray(shift))


def _relu(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    yield ActivationLayer(name=layer.name, function=_rectifier(layer.config))


def _rectifier(config: Mapping[str, Any]) -> str:
    top, slope = config.get("max_value"), config.get("negative_slope", 0.0) or 0.0
    if float(slope) or float(config.get("threshold", 0.0) or 0.0):
        return f"a ReLU of slope {slope} and threshold {config.get('threshold')}"
    return "relu" if top is None else "relu6" if float(top) == 6 else f"a ReLU up to {top}"


def _activation(layer: KerasLayer) -> Iterator[Layer]:
    function = _function(layer.config.get("activation"))
    if function != "linear":
        yield ActivationLayer(name=layer.name, function=function)


def _function(value: Any) -> str:
    """The name of an activation, however it was written: ``relu6``, ``{"class_name": "function", "config": ...}``."""
    if isinstance(value, Mapping):
        config = value.get("config")
        if value.get("class_name") == "ReLU" and isinstance(config, Mapping):
            return _rectifier(config)
        return _function(config if isinstance(config, str) else value.get("class_name"))
    return "linear" if value is None else str(value).rpartition(">")[2].lower()


def _padding(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    value = layer.config["padding"]
    rows, columns = ((value, value), (value, value)) if isinstance(value, int) else value
    top, bottom = (rows, rows) if isinstance(rows, int) else rows
    left, right = (columns, columns) if isinstance(columns, int) else columns
    yield ZeroPadding(name=layer.name, pads=(int(left), int(right), int(top), int(bottom)))


def _average(path: Path, layer: KerasLayer, arrays: Arrays) -> Iterator[Layer]:
    yield Pool(name=layer.name, side=_one(path, layer, "pool_size"))


def _kernel(layer: KerasLayer, arrays: Arrays) -> tuple[Array, Array | None]:
    found = arrays(layer, ("kernel", "bias") if layer.config.get("use_bias", True) else ("kernel",))
    return found[0], found[1] if len(found) > 1 else None


def _one(path: Path, layer: KerasLayer, key: str, default: int | None = None) -> int:
    """A number that is the same for height and width."""
    value = layer.config.get(key, default)
    values = {value} if isinstance(value, int) else set(value or ())
    if len(values) != 1:
        raise CheckpointError(f"{path}: layer '{layer.name}' has {key} {value}: expected the same for both directions.")
    return int(values.pop())


def _plain(value: Any) -> Any:
    """A number or a list, also where Keras wrote an array as an object."""
    return value["config"]["value"] if isinstance(value, Mapping) else value


def _disagree(path: Path, layer: KerasLayer, array: str, values: Array) -> CheckpointError:
    return CheckpointError(
        f"{path}: array '{layer.name}/{array}' is {values.shape}, which is not what the configuration of layer "
        f"'{layer.name}' ({layer.kind}) says: its configuration and its weights disagree. Save both "
        "at once: model.save('model.keras')."
    )


def _just(build: Callable[[KerasLayer], Layer]) -> Callable[[Path, KerasLayer, Arrays], Iterator[Layer]]:
    return lambda path, layer, arrays: iter((build(layer),))


_BUILDERS: Final[dict[str, Callable[[Path, KerasLayer, Arrays], Iterator[Layer]]]] = {
    "Conv2D": _convolution,
    "Convolution2D": _convolution,
    "DepthwiseConv2D": _convolution,
    "Dense": _dense,
    "BatchNormalization": _norm,
    "BatchNormalizationV1": _norm,
    "BatchNormalizationV2": _norm,
    "SyncBatchNormalization": _norm,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "ReLU": _relu,
    "Activation": lambda path, layer, arrays: _activation(layer),
    "Softmax": _just(lambda layer: ActivationLayer(name=layer.name, function="softmax")),
    "ZeroPadding2D": _padding,
    "AveragePooling2D": _average,
    "MaxPooling2D": _just(lambda layer: Pool(name=layer.name, is_maximum=True)),
    "GlobalMaxPooling2D": _just(lambda layer: Pool(name=layer.name, is_maximum=True)),
    "GlobalMaxPool2D": _just(lambda layer: Pool(name=layer.name, is_maximum=True)),
    "GlobalAveragePooling2D": _just(lambda layer: Pool(name=layer.name)),
    "GlobalAvgPool2D": _just(lambda layer: Pool(name=layer.name)),
    "Flatten": _just(lambda layer: Flatten(name=layer.name)),
    "Reshape": _just(lambda layer: Flatten(name=layer.name)),
}
