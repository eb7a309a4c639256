"""What stands behind the body: a pool, fully connected layers with activations and norms between, and an answer.

Fully connected layers with nothing between are one, and a batch norm goes into the layer beside it: both exactly. One
sigmoid of logit z is the softmax of two logits, 0 and z: exactly, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from convert.checkpoints.network import (
    ActivationLayer,
    Affine,
    Array,
    BestClass,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Norm,
    Pool,
)
from convert.checkpoints.weights import Arrays
from convert.errors import CheckpointError
from convert.model import Activation, HiddenLayer

__all__ = ["Head", "read_head"]

_ACTIVATIONS: Final[dict[str, Activation]] = {"relu": "relu", "relu6": "relu6"}
_SIGMOID_NOTE: Final = "its one sigmoid is class 1 of two; class 0 is the rest"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """The layers behind the pool."""

    tensors: Arrays
    """As :class:`convert.model.MobileNetV1` names them."""
    classes: int
    hidden: tuple[HiddenLayer, ...] = ()
    notes: tuple[str, ...] = ()
    is_missing: bool = False
    """Whether the file has the features alone; ``tensors`` is a classifier of zeros then."""
    side: int | None = None
    """The side of the picture before the pool, where the pool's window tells it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stage:
    """Weights and biases of one fully connected layer in the making, and scales before it that are not in it yet."""

    channels: int
    weight: Array | None = None
    bias: Array | None = None
    scale: Array | None = None
    shift: Array | None = None

    def dense(self, weight: Array, bias: Array | None) -> _Stage:
        """With one more layer, whose weights are (out, in) and biases (out,), behind it."""
        weight = weight.astype(np.float64)
        bias = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
        if self.scale is not None and self.shift is not None:
            weight, bias = weight * self.scale, bias + weight @ self.shift
        if self.weight is not None and self.bias is not None:
            weight, bias = weight @ self.weight, bias + weight @ self.bias
        return _Stage(channels=len(weight), weight=weight, bias=bias)

    def scaled(self, scale: Array, shift: Array) -> _Stage:
        if self.weight is not None and self.bias is not None:
            column = np.broadcast_to(scale, self.bias.shape)[:, None]
            return replace(self, weight=self.weight * column, bias=self.bias * scale + shift)
        own_scale: Array = np.ones(self.channels) if self.scale is None else self.scale
        own_shift: Array = np.zeros(self.channels) if self.shift is None else self.shift
        return replace(self, scale=own_scale * scale, shift=own_shift * scale + shift)


def read_head(path: Path, layers: tuple[Layer, ...], channels: int, side: int | None) -> Head:
    """The head in ``layers``, which take ``channels`` on a picture of ``side`` (None if unknown).

    Raises:
        CheckpointError: It is not one that this package runs.
    """
    stage, tensors = _Stage(channels=channels), Arrays()
    hidden: list[HiddenLayer] = []
    behind: list[str] = []
    is_pooled, answer, window = side == 1, "", None
    for layer in layers:
        if answer:
            behind += _notes_behind(path, layer, answer)
        elif isinstance(layer, Pool):
            _check_pool(path, layer, side)
            if is_pooled and window is not None:
                raise _not_global(path, layer, f"averages what a window of {window}x{window} leaves")
            window = layer.side if side is None else None
            is_pooled = True
        elif isinstance(layer, Dense) or _is_pointwise(layer, is_pooled):
            assert isinstance(layer, (Dense, Convolution))
            weight = layer.weight.reshape(len(layer.weight), -1)
            _check_inputs(path, layer.name, weight.shape[1], stage.channels)
            stage = stage.dense(weight, layer.bias)
        elif isinstance(layer, Norm):
            stage = _scaled(path, layer, stage, *layer.as_affine())
        elif isinstance(layer, Affine):
            stage = _scaled(path, layer, stage, layer.scale, layer.shift)
        elif isinstance(layer, ActivationLayer):
            if layer.function in ("softmax", "sigmoid"):
                answer = layer.function
            elif layer.function not in _ACTIVATIONS:
                raise CheckpointError(
                    f"{path}: layer '{layer.name}' is {layer.function}: between fully connected layers expected ReLU "
                    "or ReLU6, and behind the last a softmax, one sigmoid or nothing."
                )
            elif stage.weight is not None or stage.scale is not None:  # else of means that no ReLU changes
                stage = stage if stage.weight is not None else stage.dense(np.eye(stage.channels), None)
                tensors |= _named(f"hidden.{len(hidden)}.0", stage)
                hidden.append((stage.channels, _ACTIVATIONS[layer.function]))
                stage = _Stage(channels=stage.channels)
        elif isinstance(layer, BestClass):
            if stage.weight is None or stage.channels == 1:
                raise CheckpointError(
                    f"{path}: layer '{layer.name}' leaves the number of the largest of {stage.channels} values: "
                    "expected a fully connected layer before it, with one output for each class."
                )
            answer = "logits"
            behind += _notes_behind(path, layer, answer)
        elif not isinstance(layer, Flatten):
            raise CheckpointError(
                f"{path} has a convolutional head: layer '{layer.name}' stands behind the body. Supported are a global "
                "average pool and Dense layers behind it: replace the head by those, and train it."
            )
    if stage.weight is None:
        if hidden or answer:
            raise CheckpointError(f"{path} ends in no fully connected layer: expected one output for each class.")
        return Head(
            tensors=_named("classifier", stage.dense(np.zeros((1, channels)), None)), classes=1, is_missing=True
        )
    stage, notes = _two_classes(path, stage, answer)
    return Head(
        tensors=tensors | _named("classifier", stage),
        classes=stage.channels,
        hidden=tuple(hidden),
        notes=(*notes, *behind),
        side=window,
    )


def _notes_behind(path: Path, layer: Layer, answer: str) -> tuple[str, ...]:
    """What to say of a layer behind the answer, which changes the numbers, but not which class is the best."""
    if isinstance(layer, Flatten) or (isinstance(layer, ActivationLayer) and layer.function == "log"):
        return ()
    if isinstance(layer, BestClass):
        return (f"layer '{layer.name}' is left out, which leaves the number of the best class alone",)
    if isinstance(layer, Affine) and layer.scale.size == 1 and np.all(layer.scale > 0) and not np.any(layer.shift):
        times = float(layer.scale.ravel()[0])
        return (f"layer '{layer.name}' is left out, which multiplies the {answer} by {times:g}",)
    raise CheckpointError(f"{path}: layer '{layer.name}' stands behind the {answer}: expected nothing there.")


def _check_pool(path: Path, layer: Pool, side: int | None) -> None:
    if layer.is_maximum:
        raise _not_global(path, layer, "takes the maximum of the places")
    if layer.side is not None and side is not None and layer.side != side:
        raise _not_global(path, layer, f"averages {layer.side}x{layer.side} of {side}x{side} places")


def _not_global(path: Path, layer: Layer, does: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: layer '{layer.name}' {does}: expected a global average pool. Use GlobalAveragePooling2D, and train "
        "the head again."
    )


def _is_pointwise(layer: Layer, is_pooled: bool) -> bool:
    return is_pooled and isinstance(layer, Convolution) and not layer.is_depthwise and layer.weight.shape[2:] == (1, 1)


def _check_inputs(path: Path, name: str, found: int, channels: int) -> None:
    if found == channels:
        return
    if found % channels == 0:
        raise CheckpointError(
            f"{path}: layer '{name}' takes {found} values, {found // channels} places of {channels} channels, one by "
            "one (Flatten). The network then knows one resolution only: use GlobalAveragePooling2D instead of Flatten, "
            "and train the head again."
        )
    raise CheckpointError(f"{path}: layer '{name}' takes {found} values, expected {channels}.")


def _scaled(path: Path, layer: Layer, stage: _Stage, scale: Array, shift: Array) -> _Stage:
    try:
        return stage.scaled(scale, shift)
    except ValueError as reason:
        raise CheckpointError(f"{path}: layer '{layer.name}' does not have {stage.channels} channels.") from reason


def _named(name: str, stage: _Stage) -> Arrays:
    assert stage.weight is not None and stage.bias is not None
    return {f"{name}.weight": stage.weight.astype(np.float32), f"{name}.bias": stage.bias.astype(np.float32)}


def _two_classes(path: Path, stage: _Stage, answer: str) -> tuple[_Stage, tuple[str, ...]]:
    """Two logits, 0 and z, of one logit z; others as they are."""
    if answer == "sigmoid" and stage.channels > 1:
        raise CheckpointError(
            f"{path} answers with {stage.channels} sigmoids, each for itself (multi-label): supported are classes of "
            "which one is right. End the network in a softmax over the classes, or in one sigmoid, and train the head."
        )
    if stage.channels > 1 or answer == "softmax":
        return stage, ()
    assert stage.weight is not None and stage.bias is not None
    both = stage.dense(np.array([[0.0], [1.0]]), None)
    note = _SIGMOID_NOTE if answer else f"its one output is taken for a sigmoid's logit: {_SIGMOID_NOTE}"
    return both, (note,)
