"""One door for every checkpoint format: recognised by their first bytes and their tensors, never by the file's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.checkpoints import native, slim, state_dict
from convert.checkpoints.architectures import naming_architecture
from convert.checkpoints.assembly import assembled
from convert.checkpoints.bounds import check_plain
from convert.checkpoints.containers import read_numpy, read_safetensors, read_torch
from convert.checkpoints.foreign import refusal
from convert.checkpoints.foreign_kinds import is_core_ml
from convert.checkpoints.formats import is_hdf5, is_keras_archive, is_onnx, is_tflite
from convert.checkpoints.network import Network
from convert.checkpoints.statistics import Statistics, nearest, parted, with_statistics
from convert.checkpoints.weights import Arrays, Weights
from convert.errors import CheckpointError
from convert.model import MobileNetV1, ModelConfig
from edge.errors import os_reason
from edge.files import sha256_of
from edge.paths import AnyPath
from edge.zip_files import DAMAGE, open_archive

__all__ = ["Checkpoint", "load_checkpoint", "reconfigured"]

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
    resolution: int | None = None
    """The side of the pictures that the file asks for; None where any will do."""
    is_headless: bool = False
    """Whether the file has the features alone: such a network can be trained from, but not answer."""
    statistics: Statistics = field(default_factory=dict)
    """Batch norm's statistics for resolutions that have their own."""

    only_at: tuple[int, ...] = ()
    """The resolutions it was trained for, where others have checkpoints of their own; empty for all."""

    def at(self, resolution: int) -> MobileNetV1:
        """The network as it is at ρ = ``resolution``: with the statistics of that or of the nearest resolution."""
        return with_statistics(self.model, nearest(self.statistics, resolution))

    def sides_of(self, resolutions: Sequence[int]) -> tuple[int, ...]:
        """Those of ``resolutions`` that it is for."""
        return tuple(side for side in resolutions if side in (self.only_at or resolutions))

    @property
    def config(self) -> ModelConfig:
        """The network's configuration."""
        return self.model.config


def load_checkpoint(path: AnyPath) -> Checkpoint:
    """Read a trained MobileNet v1.

    Args:
        path: A network or weights of Keras (``.keras``, ``.h5``), of this package, timm or Hugging Face
            (``.safetensors``), a state dict that ``torch.save`` wrote, ONNX, float TensorFlow Lite, or TF-slim's
            variables (``.npz``).

    Raises:
        CheckpointError: The file is missing, damaged, of another format, or its tensors do not fit together.
    """
    path = Path(path)
    if path.is_dir():
        raise refusal(path, b"", [])
    check_plain(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as reason:
        raise CheckpointError(f"Cannot read checkpoint {path}: {os_reason(reason)}.") from reason
    found = _read(path, head)
    shared, own = parted(found.tensors)
    return Checkpoint(
        model=_build(path, found.config, shared),
        path=path,
        layout=found.layout,
        sha256=sha256_of(path),
        note=found.note,
        resolution=found.resolution,
        is_headless=found.is_headless,
        statistics={side: _own(path, found.config, side, tensors) for side, tensors in own.items()},
    )


def reconfigured(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """The same weights with another configuration, for what the tensors do not tell.

    Raises:
        CheckpointError: The weights do not fit it.
    """
    config = replace(checkpoint.config, **changes)
    tensors = {name: tensor.numpy() for name, tensor in checkpoint.model.state_dict().items() if tensor.ndim}
    return replace(checkpoint, model=_build(checkpoint.path, config, tensors), note="")


def _read(path: Path, head: bytes) -> Weights:
    # Each reader is imported for its own format: the library that it needs may be absent for the others.
    if is_hdf5(head):
        from convert.checkpoints.keras import read_h5

        return _assembled(path, read_h5(path))
    if is_tflite(head):
        from convert.checkpoints.tflite_graph import read_tflite

        return _assembled(path, read_tflite(path))
    if is_onnx(head) and not is_core_ml(path):
        from convert.checkpoints.onnx_graph import read_onnx

        return _assembled(path, read_onnx(path))
    if head[8:9] == b"{":
        arrays, metadata = read_safetensors(path)
        if native.is_native(metadata):
            return native.read(path, arrays, metadata)
        return _of_tensors(path, arrays, is_ordered=False)
    names = _members(path) if head.startswith(_ZIP) else []
    if is_keras_archive(names):
        from convert.checkpoints.keras import read_archive

        return _assembled(path, read_archive(path))
    if names and all(name.endswith(".npy") for name in names):
        arrays = read_numpy(path)
        if slim.is_slim(arrays):
            return slim.read(path, arrays)
        return _of_tensors(path, arrays, is_ordered=False)
    is_torch = any(name.endswith("data.pkl") for name in names) and not any("/code/" in name for name in names)
    if head.startswith(_PICKLE) or is_torch or (head.startswith(_ZIP) and not names):
        arrays, notes = read_torch(path)
        return _of_tensors(path, arrays, is_ordered=True, notes=notes)
    raise refusal(path, head, names)


def _assembled(path: Path, network: Network) -> Weights:
    with naming_architecture(path, lambda: (layer.name for layer in network.layers)):
        return assembled(path, network)


def _of_tensors(path: Path, arrays: Arrays, *, is_ordered: bool, notes: Sequence[str] = ()) -> Weights:
    with naming_architecture(path, lambda: arrays):
        return assembled(path, state_dict.read(path, arrays, is_ordered=is_ordered, notes=notes))


def _members(path: Path) -> list[str]:
    """The names in a zip archive; none if it cannot be read."""
    try:
        with open_archive(path) as archive:
            return archive.namelist()
    except DAMAGE:
        return []


def _build(path: Path, config: ModelConfig, tensors: Mapping[str, NDArray[np.float32]]) -> MobileNetV1:
    _check(path, config, _expected(path, config), tensors)
    model = MobileNetV1(config)
    model.load_state_dict(_as_torch(tensors), strict=False)
    return model.eval()


def _own(path: Path, config: ModelConfig, side: int, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """The statistics that belong to one resolution."""
    wanted = {name: value for name, value in _expected(path, config).items() if "running" in name}
    _check(path, config, wanted, tensors, f"at_{side}/")
    return _as_torch(tensors)


def _expected(path: Path, config: ModelConfig) -> dict[str, Tensor]:
    """The tensors that a configuration asks for, without memory for their values."""
    try:
        with torch.device("meta"):
            model = MobileNetV1(config)
    except (RuntimeError, OverflowError, TypeError, ValueError) as reason:
        raise CheckpointError(f"{path}: its configuration {config} cannot be used: {reason}") from reason
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
        tensor_text = f"'{prefix}{name}'"
        if name not in tensors:
            raise CheckpointError(
                f"{path} lacks tensor {tensor_text} {tuple(wanted.shape)}: it is not a whole MobileNet v1."
            )
        found = tensors[name]
        if found.shape != tuple(wanted.shape):
            raise CheckpointError(
                f"{path}: tensor {tensor_text} is {found.shape}, expected {tuple(wanted.shape)} for α={config.alpha:g} "
                f"and {config.classes} classes."
            )
        if not np.isfinite(found).all():
            bad = int((~np.isfinite(found)).sum())
            raise CheckpointError(
                f"{path}: tensor {tensor_text} has {bad} NaN or infinite values: the training diverged."
            )
        if name.endswith("running_var") and (found < 0).any():
            raise CheckpointError(f"{path}: tensor {tensor_text} has negative variances: the file is damaged.")
    extra = sorted(set(tensors) - set(expected))
    if extra:
        raise CheckpointError(f"{path} has tensor '{prefix}{extra[0]}', which no MobileNet v1 has ({len(extra)} such).")
