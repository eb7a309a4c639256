"""Files that hold tensors by name: PyTorch's, safetensors' and NumPy's. Nothing in them is ever executed."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import pathlib
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from convert.checkpoints.bounds import check_archive, check_arrays, check_header, check_size
from convert.checkpoints.weights import Arrays
from convert.errors import CheckpointError

__all__ = ["read_numpy", "read_safetensors", "read_torch"]

_FEWEST: Final = 20
"""Tensors of a state dict under a key that nobody knows."""
_WRAPPERS: Final = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "params",
    "state_dict_ema",
    "model_ema",
    "module",
    "weights",
)
"""Under which of its keys a training's checkpoint keeps the weights, the likeliest first."""


def read_numpy(path: Path) -> Arrays:
    """The arrays of an ``.npz``.

    Raises:
        CheckpointError: It is damaged, or holds Python objects.
    """
    try:
        check_arrays(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: _floats(path, name, archive[name]) for name in archive.files}
    except CheckpointError:
        raise
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as reason:
        raise CheckpointError(f"{path} is damaged, or holds more than arrays of numbers: {_line(reason)}.") from reason


def read_safetensors(path: Path) -> tuple[Arrays, dict[str, str]]:
    """The tensors, in alphabetical order as the format has them, and the text in the header.

    Raises:
        CheckpointError: The file is damaged.
    """
    try:
        check_header(path)
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {n: _tensor(path, n, file.get_tensor(n)) for n in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as reason:
        raise CheckpointError(f"{path} is damaged or cut short: {_line(reason)}. Copy it again.") from reason


def read_torch(path: Path) -> Arrays:
    """The tensors of a state dict that ``torch.save`` wrote, bare or within a training's checkpoint, in their order.

    Raises:
        CheckpointError: It is damaged, or holds more than plain values, such as a whole pickled model.
    """
    try:
        with warnings.catch_warnings(), _plain_values_allowed():
            if zipfile.is_zipfile(path):
                check_archive(path)
            warnings.simplefilter("ignore")  # on pickles that other programs wrote: what counts is whether it loads
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as reason:
        named = re.search(r"GLOBAL ([\w.]+)", str(reason))
        what = f" ({named[1]})" if named else ""
        raise CheckpointError(
            f"{path} holds Python objects besides tensors{what}, and loading those would run their code. Save the "
            "weights alone: torch.save(model.state_dict(), FILE)."
        ) from reason
    except CheckpointError:
        raise
    except Exception as reason:
        raise CheckpointError(f"{path} is damaged or cut short: {_line(reason)}. Copy it again.") from reason
    found = _state_dict(content)
    if found is None:
        kind = (
            f"keys {', '.join(map(repr, list(content)[:5]))}"
            if isinstance(content, Mapping)
            else type(content).__name__
        )
        raise CheckpointError(f"{path} holds no state dict but {kind}: expected tensors by name.")
    check_size(path, "its tensors", sum(4 * tensor.numel() for tensor in found.values()))
    return {name: _tensor(path, name, tensor) for name, tensor in found.items()}


def _state_dict(content: object) -> Mapping[str, torch.Tensor] | None:
    """``content`` or what it holds, if that is tensors by name."""
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return content if all(isinstance(name, str) for name in content) else None
    wrapped = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
    known = next((found for key in wrapped if (found := _state_dict(content[key])) is not None), None)
    if known is not None:
        return known
    others = [found for value in content.values() if len(found := _state_dict(value) or {}) >= _FEWEST]
    return others[0] if len(others) == 1 else None


def _plain_values_allowed() -> contextlib.AbstractContextManager[object]:
    """Lets the values pass that trainings keep beside the weights: settings, NumPy's numbers, paths, dates.

    None of them runs code when it is made.
    """
    allowed = getattr(torch.serialization, "safe_globals", None)
    if allowed is None:  # PyTorch before 2.5
        return contextlib.nullcontext()
    core = importlib.import_module("numpy._core.multiarray" if np.__version__ >= "2" else "numpy.core.multiarray")
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefd"]
    dates = [datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone]
    paths = [(pathlib.PurePosixPath, f"pathlib.{name}") for name in ("PosixPath", "PurePosixPath")]
    paths += [(pathlib.PurePosixPath, f"pathlib._local.{name}") for name in ("PosixPath", "PurePosixPath")]
    windows = [(pathlib.PureWindowsPath, f"pathlib.{name}") for name in ("WindowsPath", "PureWindowsPath")]
    scalars = [(core.scalar, f"{module}.multiarray.scalar") for module in ("numpy._core", "numpy.core")]
    found: contextlib.AbstractContextManager[object] = allowed(
        [argparse.Namespace, np.dtype, *numbers, *dates, *paths, *windows, *scalars]
    )
    return found


def _tensor(path: Path, name: str, tensor: torch.Tensor) -> NDArray[np.float32]:
    if tensor.is_meta:
        raise CheckpointError(f"{path}: tensor '{name}' has a shape but no values: save the model from its device.")
    if tensor.is_quantized or tensor.is_sparse:
        raise CheckpointError(f"{path}: tensor '{name}' is quantized or sparse: expected the floats it was made from.")
    return _floats(path, name, tensor.detach().float().numpy() if tensor.is_floating_point() else tensor.numpy())


def _floats(path: Path, name: str, values: NDArray[Any]) -> NDArray[np.float32]:
    if values.dtype.kind not in "fiub":
        raise CheckpointError(f"{path}: array '{name}' is of {values.dtype}: expected numbers.")
    return np.asarray(values, np.float32)


def _line(reason: Exception) -> str:
    """The first line of what a library says, without its full stop and without what torch guesses."""
    first = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
    return first.partition(". This is an internal")[0].rstrip(".")
