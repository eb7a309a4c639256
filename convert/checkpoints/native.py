"""This package's own checkpoints: safetensors with the model's configuration in the header."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors.torch import save

from convert.checkpoints.statistics import Statistics, tagged
from convert.checkpoints.weights import Arrays, Weights
from convert.errors import CheckpointError
from convert.model import MobileNetV1, ModelConfig
from edge.files import write_atomically
from edge.paths import AnyPath

__all__ = ["is_native", "read", "save_checkpoint"]

_KEY: Final = "mobilenet_edge_config"
_RESOLUTION: Final = "mobilenet_edge_resolution"
_HEADLESS: Final = "mobilenet_edge_headless"
_SIDE: Final = re.compile(r"[1-9]\d{0,4}", re.ASCII)


def save_checkpoint(
    model: MobileNetV1,
    path: AnyPath,
    statistics: Statistics | None = None,
    *,
    resolution: int | None = None,
    is_headless: bool = False,
) -> None:
    """Write a trained network, its configuration inside.

    Args:
        model: The network.
        path: The file to write.
        statistics: Batch norm's statistics for resolutions that have their own.
        resolution: The side of the pictures that it is for; None where any will do.
        is_headless: Whether it has the features alone, and its classifier is of zeros.

    Raises:
        OutputError: The file cannot be written.
    """
    found = model.state_dict() | tagged(statistics or {})
    tensors = {k: v.detach().cpu().contiguous() for k, v in found.items() if "num_batches" not in k}
    metadata = {_KEY: json.dumps(model.config.to_dict(), sort_keys=True)}
    if resolution is not None:
        metadata[_RESOLUTION] = str(resolution)
    if is_headless:
        metadata[_HEADLESS] = "yes"
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
    side = metadata.get(_RESOLUTION, "")
    return Weights(
        layout="mobilenet-edge",
        config=config,
        tensors=arrays,
        resolution=int(side) if _SIDE.fullmatch(side) else None,
        is_headless=_HEADLESS in metadata,
    )
