"""What Hugging Face's libraries write beside a file of weights: the network's configuration, and that of its pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from convert.errors import CheckpointError

__all__ = ["beside"]

_CONFIG: Final = "config.json"
_PIXELS: Final = "preprocessor_config.json"
_LARGEST: Final = 4_000_000
_TIMM: Final = "pretrained_cfg"


def beside(path: Path, layout: str) -> dict[str, Any]:
    """Settings of :class:`convert.model.ModelConfig` in the files beside ``path``; none if they are another network's.

    Args:
        path: The file of weights.
        layout: Whose tensors it has: ``transformers`` or ``timm``; files beside others are not looked at.

    Raises:
        CheckpointError: A file beside it is not JSON.
    """
    if layout == "timm":
        found = _read(path.with_name(_CONFIG))
        pixels = found.get(_TIMM, {})
        return _pixels(pixels.get("mean"), pixels.get("std")) if isinstance(pixels, Mapping) else {}
    if layout != "transformers":
        return {}
    config, pixels = _read(path.with_name(_CONFIG)), _read(path.with_name(_PIXELS))
    if config.get("model_type", "mobilenet_v1") != "mobilenet_v1":
        return {}
    settings: dict[str, Any] = {}
    if "tf_padding" in config:
        settings["padding"] = "same" if config["tf_padding"] else "symmetric"
    if "layer_norm_eps" in config:
        settings["bn_eps"] = float(config["layer_norm_eps"])
    if "hidden_act" in config:
        settings["activation"] = str(config["hidden_act"])
    if pixels.get("do_normalize", True):
        settings |= _pixels(pixels.get("image_mean"), pixels.get("image_std"))
    return settings


def _pixels(mean: object, std: object) -> dict[str, Any]:
    """Mean and deviation for pixels of 0 to 255, of those for 0 to 1."""
    if not (isinstance(mean, list) and isinstance(std, list)):
        return {}
    return {name: tuple(255.0 * float(v) for v in values) for name, values in (("mean", mean), ("std", std))}


def _read(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file; empty if there is no such file."""
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST / 1e6:.0f} MB")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as reason:
        raise CheckpointError(f"{path} beside the weights cannot be used: {str(reason)[:80]}.") from reason
    return found if isinstance(found, Mapping) else {}
