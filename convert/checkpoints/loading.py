"""One door for every checkpoint format: tell them apart by their first bytes, never by the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.checkpoints import keras, native
from convert.checkpoints.statistics import Statistics, nearest, parted, with_statistics
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
    statistics: Statistics = field(default_factory=dict)
    """Batch norm's statistics for resolutions that have their own."""

    def at(self, resolution: int) -> MobileNetV1:
        """The network as it is at ρ = ``resolution``: with the statistics of that or of the nearest resolution."""
        return with_statistics(self.model, nearest(self.statistics, resolution))

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
    shared, own = parted(tensors)
    return Checkpoint(
        model=_build(path, config, shared),
        path=path,
        layout=layout,
        sha256=sha256_of(path),
        statistics={side: _own(path, config, side, found) for side, found in own.items()},
    )


def _build(path: Path, config: ModelConfig, tensors: Mapping[str, NDArray[np.float32]]) -> MobileNetV1:
    model = MobileNetV1(config)
    _check(path, config, _expected(model), tensors)
    model.load_state_dict(_as_torch(tensors), strict=False)
    return model.eval()


def _own(path: Path, config: ModelConfig, side: int, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """The statistics that belong to one resolution."""
    wanted = {name: value for name, value in _expected(MobileNetV1(config)).items() if "running" in name}
    _check(path, config, wanted, tensors, f"at_{side}/")
    return _as_torch(tensors)


def _expected(model: MobileNetV1) -> dict[str, Tensor]:
    return {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def _as_torch(tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    return {k: torch.from_numpy(np.array(v)) for k, v in tensors.items()}


def _check(
    path: Path,
    config: ModelConfig,
    expected: Mapping[str, Tensor],
    tensors: Mapping[str, NDArray[np.float32]],
    prefix: str = "",
) -> None:
    """Refuse tensors that are not just those expected."""
    for name, wanted in expected.items():
        told = f"'{prefix}{name}'"
        if name not in tensors:
            raise CheckpointError(f"{path} lacks tensor {told} {tuple(wanted.shape)}: it is no whole MobileNet v1.")
        found = tensors[name]
        if found.shape != tuple(wanted.shape):
            raise CheckpointError(
                f"{path}: tensor {told} is {found.shape}, expected {tuple(wanted.shape)} for α={config.alpha:g} "
                f"and {config.classes} classes."
            )
        if not np.isfinite(found).all():
            bad = int((~np.isfinite(found)).sum())
            raise CheckpointError(f"{path}: tensor {told} has {bad} NaN or infinite values: the training diverged.")
        if name.endswith("running_var") and (found < 0).any():
            raise CheckpointError(f"{path}: tensor {told} has negative variances: the file is damaged.")
    extra = sorted(set(tensors) - set(expected))
    if extra:
        raise CheckpointError(f"{path} has tensor '{prefix}{extra[0]}', which no MobileNet v1 has ({len(extra)} such).")
