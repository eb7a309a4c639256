"""Files that hold tensors by name: PyTorch's, safetensors' and NumPy's. Nothing in them is ever executed."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import pathlib
import pickle
import pickletools
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
from edge.zip_files import open_archive

__all__ = ["read_numpy", "read_safetensors", "read_torch"]

_FEWEST: Final = 20
"""Tensors of a state dict under a key that nobody knows."""
_PICKLE: Final = b"\x80"
_START: Final = 4096
_MAGIC: Final = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""How the old format of ``torch.save`` goes on after the pickle's version."""
_OTHER_MODELS: Final = ("sklearn.", "xgboost.", "lightgbm.", "catboost.")
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


def read_torch(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    """The tensors of a state dict that ``torch.save`` wrote, bare or within a training's checkpoint, in their order.

    Returns:
        The tensors, and what was chosen among several sets of them.

    Raises:
        CheckpointError: It is damaged, or holds more than plain values, such as a whole pickled model.
    """
    _check_pickle(path)
    try:
        with warnings.catch_warnings(), _plain_values_allowed():
            if zipfile.is_zipfile(path):
                check_archive(path)
                _check_sums(path)
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
    found = _state_dicts(content)
    if not found:
        kind = (
            f"keys {', '.join(map(repr, list(content)[:5]))}"
            if isinstance(content, Mapping)
            else type(content).__name__
        )
        raise CheckpointError(f"{path} holds no state dict but {kind}: expected tensors by name.")
    key, tensors = next(iter(found.items()))
    packed = next((name for name in tensors if "_packed_params" in name), "")
    if packed:
        raise CheckpointError(f"{path} is quantized already ('{packed}'): expected the floats that it was made from.")
    check_size(path, "its tensors", sum(4 * tensor.numel() for tensor in tensors.values()))
    others = [other for other in list(found)[1:] if len(found[other]) >= _FEWEST]
    note = f"of several sets of weights that under '{key}' is taken, not that under {' or '.join(map(repr, others))}"
    notes = (note + f" (to take the other: torch.save(checkpoint['{others[0]}'], FILE))",) if others else ()
    return {name: _tensor(path, name, tensor) for name, tensor in tensors.items()}, notes


def _check_pickle(path: Path) -> None:
    """Refuse a pickle that ``torch.save`` did not write; nothing of it is run."""
    with path.open("rb") as file:
        start = file.read(_START)
    if not start.startswith(_PICKLE) or _MAGIC.startswith(start[2:]) or start[2 : 2 + len(_MAGIC)] == _MAGIC:
        return
    texts: list[str] = []
    with contextlib.suppress(ValueError, IndexError, EOFError, UnicodeDecodeError):
        for code, value, _ in pickletools.genops(start):
            if isinstance(value, str):
                texts.append(value)
            if code.name in ("GLOBAL", "STACK_GLOBAL"):
                break
    first = next((text.split()[0] for text in texts if re.fullmatch(r"[a-z_]\w*(\.\w+)+( \w+)?", text)), "")
    if first.startswith(_OTHER_MODELS):
        raise CheckpointError(f"{path} is a pickled object of {first}: that is not a network. Expected a MobileNet v1.")
    raise CheckpointError(
        f"{path} is a pickle that torch.save did not write{f' ({first})' if first else ''}, as PaddlePaddle's and "
        "joblib's are. Where it was made, save its arrays by their names: np.savez('weights.npz', **arrays)."
    )


def _check_sums(path: Path) -> None:
    """Refuse an archive whose content is not what was written: torch looks at no checksum, and one bit is a weight."""
    with open_archive(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of {broken[:80]!r} does not match. Copy it again.")


def _state_dicts(content: object) -> dict[str, Mapping[str, torch.Tensor]]:
    """``content`` or what it holds, of what is tensors by name, the likeliest first; its key is "" if it is all."""
    if not isinstance(content, Mapping):
        return {}
    tensors = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    named = all(isinstance(name, str) for name in tensors)
    if named and tensors and (len(tensors) == len(content) or len(tensors) >= _FEWEST):
        return {"": tensors | {key: value for key, value in content.items() if "_packed_params" in str(key)}}
    found: dict[str, Mapping[str, torch.Tensor]] = {}
    for key in (*(key for key in _WRAPPERS if key in content), *content):
        if isinstance(content.get(key), Mapping) and key not in found:
            inner = _state_dicts(content[key])
            if inner and (key in _WRAPPERS or len(next(iter(inner.values()))) >= _FEWEST):
                found[str(key)] = next(iter(inner.values()))
    known = [key for key in found if key in _WRAPPERS]
    return found if known or len(found) == 1 else {}


def _plain_values_allowed() -> contextlib.AbstractContextManager[object]:
    """Lets the values pass that trainings keep beside the weights: settings, NumPy's numbers and arrays, paths, dates.

    None of them runs code when it is made.
    """
    allowed = getattr(torch.serialization, "safe_globals", None)
    if allowed is None:  # PyTorch before 2.5
        return contextlib.nullcontext()
    core = importlib.import_module("numpy._core.multiarray" if np.__version__ >= "2" else "numpy.core.multiarray")
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdUS"]
    dates = [datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone]
    paths = [(pathlib.PurePosixPath, f"pathlib.{name}") for name in ("PosixPath", "PurePosixPath")]
    paths += [(pathlib.PurePosixPath, f"pathlib._local.{name}") for name in ("PosixPath", "PurePosixPath")]
    windows = [(pathlib.PureWindowsPath, f"pathlib.{name}") for name in ("WindowsPath", "PureWindowsPath")]
    scalars = [
        (getattr(core, name), f"{module}.multiarray.{name}")
        for module in ("numpy._core", "numpy.core")
        for name in ("scalar", "_reconstruct")
    ]
    found: contextlib.AbstractContextManager[object] = allowed(
        [argparse.Namespace, np.dtype, np.ndarray, *numbers, *dates, *paths, *windows, *scalars]
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
