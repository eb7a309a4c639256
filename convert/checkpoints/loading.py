"""One door for every checkpoint format: tell them apart by their first bytes, never by the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convert.checkpoints import keras, native
from convert.model import MobileNetV1, ModelConfig
from edge.errors import CheckpointError, os_reason
from edge.files import sha256_of

__all__ = ["Checkpoint", "load_checkpoint"]

_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network and where it came from."""

    model: MobileNetV1
    """In evaluation mode, on the CPU."""
    path: Path
    layout: str
    """The format found: ``keras`` or ``mobilenet-edge``."""
    sha256: str

    @property
    def config(self) -> ModelConfig:
        """The network's configuration."""
        return self.model.config


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a trained MobileNet v1.

    Args:
        path: A Keras Applications ``.h5`` file, or this package's ``.safetensors``.

    Raises:
        CheckpointError: The file is missing, damaged, of another format, or its tensors do not fit together.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as reason:
        raise CheckpointError(f"Cannot read checkpoint {path}: {os_reason(reason)}.") from reason
    if head.startswith(_HDF5):
        layout, (config, tensors) = "keras", keras.read(path)
    elif head[8:9] == b"{":
        layout, (config, tensors) = "mobilenet-edge", native.read(path)
    else:
        raise CheckpointError(
            f"{path} is no checkpoint this package reads: expected Keras weights (.h5) or mobilenet-edge "
            f"weights (.safetensors); the file starts with {head[:8]!r}."
        )
    return Checkpoint(model=_build(path, config, tensors), path=path, layout=layout, sha256=sha256_of(path))


def _build(path: Path, config: ModelConfig, tensors: Mapping[str, NDArray[np.float32]]) -> MobileNetV1:
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
