"""This package's own checkpoints: safetensors with the model's configuration in the header."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from convert.model import MobileNetV1, ModelConfig
from edge.errors import CheckpointError
from edge.files import write_atomically

__all__ = ["read", "save_checkpoint"]

_KEY = "mobilenet_edge_config"


def save_checkpoint(model: MobileNetV1, path: Path) -> None:
    """Write a trained network, its configuration inside.

    Raises:
        OutputError: The file cannot be written.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items() if "num_batches" not in k}
    metadata = {_KEY: json.dumps(model.config.to_dict(), sort_keys=True)}
    write_atomically(path, save(tensors, metadata))


def read(path: Path) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    """The configuration and tensors in ``path``, the tensors named as :class:`MobileNetV1` names them.

    Raises:
        CheckpointError: The file is damaged or was written by another program.
    """
    try:
        with safe_open(path, framework="np") as file:
            config = _config(path, file.metadata() or {})
            return config, {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as reason:
        raise CheckpointError(f"{path} is damaged or cut short: {reason}.") from reason


def _config(path: Path, metadata: dict[str, str]) -> ModelConfig:
    if _KEY not in metadata:
        raise CheckpointError(f"{path} has no '{_KEY}' in its header: it was not written by mobilenet-edge.")
    try:
        return ModelConfig.from_dict(json.loads(metadata[_KEY]))
    except (ValueError, TypeError, AttributeError) as reason:
        raise CheckpointError(f"{path}: its configuration {metadata[_KEY]} cannot be used: {reason}") from reason
