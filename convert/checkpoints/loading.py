"""One door for every checkpoint format: told apart by their first bytes and their tensors, never by the file's name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from convert.checkpoints import chain, keras, native, slim
from convert.checkpoints.containers import is_numpy, read_numpy, read_safetensors, read_torch
from convert.checkpoints.weights import Weights
from convert.model import MobileNetV1, ModelConfig
from edge.errors import CheckpointError, os_reason
from edge.files import sha256_of

__all__ = ["Checkpoint", "load_checkpoint", "reconfigured"]

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_ZIP: Final = b"PK\x03\x04"
_PICKLE: Final = b"\x80"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network and where it came from."""

    model: MobileNetV1
    """In evaluation mode, on the CPU."""
    path: Path
    layout: str
    """Whose layout it has: ``mobilenet-edge``, ``keras``, ``tf-slim``, ``timm``, ``torch``..."""
    sha256: str
    note: str = ""
    """What was chosen or left out that the tensors do not tell."""

    @property
    def config(self) -> ModelConfig:
        """The network's configuration."""
        return self.model.config


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a trained MobileNet v1.

    Args:
        path: Weights of Keras Applications (``.h5``), of this package or timm (``.safetensors``), a state dict that
            ``torch.save`` wrote, or TF-slim's variables (``.npz``).

    Raises:
        CheckpointError: The file is missing, damaged, of another format, or its tensors do not fit together.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as reason:
        raise CheckpointError(f"Cannot read checkpoint {path}: {os_reason(reason)}.") from reason
    found = _read(path, head)
    return Checkpoint(
        model=_build(path, found), path=path, layout=found.layout, sha256=sha256_of(path), note=found.note
    )


def reconfigured(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """The same weights with another configuration, for what the tensors do not tell.

    Raises:
        CheckpointError: The weights do not fit it.
    """
    config = replace(checkpoint.config, **changes)
    tensors = {name: tensor.numpy() for name, tensor in checkpoint.model.state_dict().items() if tensor.ndim}
    weights = Weights(layout=checkpoint.layout, config=config, tensors=tensors)
    return replace(checkpoint, model=_build(checkpoint.path, weights), note="")


def _read(path: Path, head: bytes) -> Weights:
    if head.startswith(_HDF5):
        return keras.read(path)
    if head[8:9] == b"{":
        arrays, metadata = read_safetensors(path)
        if native.is_native(metadata):
            return native.read(path, arrays, metadata)
        return chain.read(path, arrays, is_ordered=False)
    if head.startswith(_ZIP) and is_numpy(path):
        arrays = read_numpy(path)
        return slim.read(path, arrays) if slim.is_slim(arrays) else chain.read(path, arrays, is_ordered=False)
    if head.startswith((_ZIP, _PICKLE)):
        return chain.read(path, read_torch(path), is_ordered=True)
    raise CheckpointError(
        f"{path} is no checkpoint this package reads: expected Keras weights (.h5), weights of mobilenet-edge or timm "
        f"(.safetensors), a PyTorch state dict (.pth) or TF-slim variables (.npz); the file starts with {head[:8]!r}."
    )


def _build(path: Path, weights: Weights) -> MobileNetV1:
    config, tensors = weights.config, weights.tensors
    model = MobileNetV1(config)
    expected = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for name, wanted in expected.items():
        if name not in tensors:
            raise CheckpointError(f"{path} lacks tensor '{name}' {tuple(wanted.shape)}: it is no whole MobileNet v1.")
        found = tensors[name]
        if found.shape != tuple(wanted.shape):
            raise CheckpointError(
                f"{path}: tensor '{name}' is {found.shape}, expected {tuple(wanted.shape)} for α={config.alpha:g} "
                f"and {config.classes} classes."
            )
        if not np.isfinite(found).all():
            bad = int((~np.isfinite(found)).sum())
            raise CheckpointError(f"{path}: tensor '{name}' has {bad} NaN or infinite values: the training diverged.")
        if name.endswith("running_var") and (found < 0).any():
            raise CheckpointError(f"{path}: tensor '{name}' has negative variances: the file is damaged.")
    extra = sorted(set(tensors) - set(expected))
    if extra:
        raise CheckpointError(f"{path} has tensor '{extra[0]}', which no MobileNet v1 has ({len(extra)} such).")
    model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in tensors.items()}, strict=False)
    return model.eval()
