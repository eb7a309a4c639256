"""This package's own checkpoints: safetensors with the model's configuration in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save

from convert.checkpoints.statistics import Statistics, tagged
from convert.checkpoints.weights import Arrays, Weights
from convert.errors import CheckpointError
from convert.model import MobileNetV1, ModelConfig
from edge.files import write_atomically
from edge.paths import AnyPath

__all__ = ["is_native", "read", "save_checkpoint"]

_KEY = "mobilenet_edge_config"


def save_checkpoint(model: MobileNetV1, path: AnyPath, statistics: Statistics | None = None) -> None:
    """Write a trained network, its configuration inside.

    Args:
        model: The network.
        path: The file to write.
        statistics: Batch norm's statistics for resolutions that have their own.

    Raises:
        OutputError: The file cannot be written.
    """
    found = model.state_dict() | tagged(statistics or {})
    tensors = {k: v.detach().cpu().contiguous() for k, v in found.items() if "num_batches" not in k}
    metadata = {_KEY: json.dumps(model.config.to_dict(), sort_keys=True)}
    write_atomically(Path(path), save(tensors, metadata))


def is_native(metadata: Mapping[str, str]) -> bool:
    """Whether the header of a safetensors file has a configuration of ours."""
    return _KEY in metadata


def read(path: Path, arrays: Arrays, metadata: Mapping[str, str]) -> Weights:
    """The network in ``arrays``, named as :class:`MobileNetV1` names its tensors.

    Raises:
        CheckpointError: The configuration in the header cannot be used.
    """
    try:
        config = ModelConfig.from_dict(json.loads(metadata[_KEY]))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as reason:
        raise CheckpointError(f"{path}: its configuration {metadata[_KEY][:200]} cannot be used: {reason}") from reason
    return Weights(layout="mobilenet-edge", config=config, tensors=arrays)
