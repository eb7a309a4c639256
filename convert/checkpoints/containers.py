"""Files that hold tensors by name: PyTorch's, safetensors' and NumPy's. Nothing in them is ever executed."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from convert.checkpoints.weights import Arrays
from convert.errors import CheckpointError

__all__ = ["read_numpy", "read_safetensors", "read_torch"]

_WRAPPERS: Final = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "params",
    "state_dict_ema",
    "model_ema",
)
"""Under which of its keys a training's checkpoint keeps the weights, the likeliest first."""


def read_numpy(path: Path) -> Arrays:
    """The arrays of an ``.npz``.

    Raises:
        CheckpointError: It is damaged, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _floats(path, name, archive[name]) for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as reason:
        if isinstance(reason, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged, or holds more than arrays of numbers: {_line(reason)}.") from reason


def read_safetensors(path: Path) -> tuple[Arrays, dict[str, str]]:
    """The tensors, in alphabetical order as the format has them, and the text in the header.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {n: _tensor(path, n, file.get_tensor(n)) for n in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as reason:
        raise CheckpointError(f"{path} is damaged or cut short: {_line(reason)}.") from reason


def read_torch(path: Path) -> Arrays:
    """The tensors of a state dict that ``torch.save`` wrote, bare or within a training's checkpoint, in their order.

    Raises:
        CheckpointError: It is damaged, or holds more than plain values, such as a whole pickled model.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickles that other programs wrote: what counts is whether it loads
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as reason:
        raise CheckpointError(
            f"{path} holds Python objects besides tensors, and loading those would run their code. Save the weights "
            "alone: torch.save(model.state_dict(), FILE)."
        ) from reason
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as reason:
        raise CheckpointError(f"{path} is damaged or cut short: {_line(reason)}.") from reason
    found = _state_dict(content)
    if found is None:
        kind = (
            f"keys {', '.join(map(repr, list(content)[:5]))}"
            if isinstance(content, Mapping)
            else type(content).__name__
        )
        raise CheckpointError(f"{path} holds no state dict but {kind}: expected tensors by name.")
    return {name: _tensor(path, name, tensor) for name, tensor in found.items()}


def _state_dict(content: object) -> Mapping[str, torch.Tensor] | None:
    """``content`` or what it holds, if that is tensors by name."""
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return content if all(isinstance(name, str) for name in content) else None
    wrapped = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
    return next((found for key in wrapped if (found := _state_dict(content[key])) is not None), None)


def _tensor(path: Path, name: str, tensor: torch.Tensor) -> NDArray[np.float32]:
    if tensor.is_quantized or tensor.is_sparse:
        raise CheckpointError(f"{path}: tensor '{name}' is quantized or sparse: expected the floats it was made from.")
    return _floats(path, name, tensor.detach().float().numpy() if tensor.is_floating_point() else tensor.numpy())


def _floats(path: Path, name: str, values: NDArray[Any]) -> NDArray[np.float32]:
    if values.dtype.kind not in "fiub":
        raise CheckpointError(f"{path}: array '{name}' is of {values.dtype}: expected numbers.")
    return np.asarray(values, np.float32)


def _line(reason: Exception) -> str:
    """The first line of what a library says, without its full stop."""
    return (str(reason).strip().splitlines() or [type(reason).__name__])[0].rstrip(".")
