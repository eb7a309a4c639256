"""The files themselves: which layout they have, and their layers with the weights."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from convert.checkpoints.architectures import naming_architecture
from convert.checkpoints.bounds import LARGEST_RATIO, check_archive
from convert.checkpoints.formats import KERAS_CONFIG
from convert.checkpoints.graph import side_of
from convert.checkpoints.keras.config import KerasLayer, flattened
from convert.checkpoints.keras.layers import translated
from convert.checkpoints.keras.store import Store, opened
from convert.checkpoints.keras.weights_only import from_weights
from convert.checkpoints.network import Array, Layer, Network
from convert.errors import CheckpointError

__all__ = ["read_archive", "read_h5"]

_WEIGHTS: Final = "model.weights.h5"
_LARGEST_CONFIG: Final = 8_000_000
"""A MobileNet's has 0.1 MB."""


def read_archive(path: Path) -> Network:
    """The network in a ``.keras`` archive.

    Raises:
        CheckpointError: It is damaged, or not a row of layers that a MobileNet v1 can have.
    """
    size_bytes = path.stat().st_size
    try:
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            config = _member(path, archive, KERAS_CONFIG, _LARGEST_CONFIG)
            weights = _member(path, archive, _WEIGHTS, LARGEST_RATIO * size_bytes)
    except CheckpointError:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error) as reason:
        why = str(reason).rstrip(".")
        raise CheckpointError(f"{path} is damaged or cut short: {why}. Copy it again.") from reason
    with opened(path, io.BytesIO(weights), size_bytes) as file, naming_architecture(path, lambda: _names(config)):
        return _from_config(path, _parsed(path, config), Store(path, file, len(weights)))


def read_h5(path: Path) -> Network:
    """The network in an HDF5 file of Keras: a whole model, or weights alone.

    Raises:
        CheckpointError: As :func:`read_archive`.
    """
    size_bytes = path.stat().st_size
    with opened(path, path, size_bytes) as file:
        try:
            store = Store(path, file, size_bytes)
            config = store.text("model_config")
            if config is None:
                with naming_architecture(path, lambda: (part for name in store.paths for part in name.split("/"))):
                    return from_weights(path, store)
            text = config.encode()
            with naming_architecture(path, lambda: _names(text)):
                return _from_config(path, _parsed(path, text), store)
        except (OSError, RuntimeError) as reason:
            if isinstance(reason, CheckpointError):
                raise
            raise CheckpointError(f"{path} is damaged or cut short: {reason}. Copy it again.") from reason


def _member(path: Path, archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    try:
        with archive.open(name) as file:
            content = file.read(largest + 1)
    except KeyError as reason:
        raise CheckpointError(f"{path} lacks {name}: expected a .keras file, as model.save writes it.") from reason
    if len(content) > largest:
        raise CheckpointError(f"{path}: {name} has more than {largest / 1e6:.0f} MB: that is not a MobileNet v1's.")
    return content


def _names(config: bytes) -> list[str]:
    """What networks and layers are called."""
    return re.findall(r'"name": *"([^"\\]+)"', config.decode("utf-8", "replace"))


def _parsed(path: Path, config: bytes) -> Mapping[str, Any]:
    if len(config) > _LARGEST_CONFIG:
        raise CheckpointError(
            f"{path}: its configuration has {len(config) / 1e6:.0f} MB: that is not a MobileNet v1's."
        )
    try:
        found = json.loads(config)
    except (ValueError, RecursionError) as reason:
        raise CheckpointError(f"{path}: its configuration is not JSON: {str(reason)[:80]}.") from reason
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path}: its configuration is a JSON {type(found).__name__}: expected a Keras model's.")
    return found


def _from_config(path: Path, config: Mapping[str, Any], store: Store) -> Network:
    layers = flattened(path, config)
    notes: list[str] = []

    def arrays(layer: KerasLayer, names: tuple[str, ...]) -> list[Array]:
        return [_array(path, store, layer, name, index) for index, name in enumerate(names)]

    found: list[Layer] = []
    for layer in layers:
        try:
            found += translated(path, layer, arrays)
        except (KeyError, TypeError, ValueError, AttributeError) as reason:
            if isinstance(reason, CheckpointError):
                raise
            raise CheckpointError(
                f"{path}: the configuration of layer '{layer.name}' ({layer.kind}) cannot be used: "
                f"{type(reason).__name__} {str(reason)[:80]}."
            ) from reason
    resized = next((layer for layer in layers if layer.kind in ("Resizing", "CenterCrop")), None)
    side = _side(path, layers)
    if resized is not None:
        side = side_of(
            path, [None, resized.config.get("height"), resized.config.get("width"), 3], is_channels_last=True
        )
    if resized is not None:
        notes.append(f"layer '{resized.name}' ({resized.kind}) is left to the device, which resizes in its own way")
    return Network(layout="keras", layers=tuple(found), resolution=side, notes=tuple(notes))


def _array(path: Path, store: Store, layer: KerasLayer, name: str, index: int) -> Array:
    """One array: by number in Keras 3's ``vars`` groups, by name in the groups of Keras 2 and of Keras 3's ``.h5``."""
    by_number = f"{layer.group}/vars/{index}"
    if store.has(by_number) or store.has("vars") or any(p.startswith("layers/") for p in store.paths[:1]):
        return store.array(by_number)
    leaves = (name, "depthwise_kernel") if layer.kind == "DepthwiseConv2D" and name == "kernel" else (name,)
    ends = tuple(f"{end}{colon}" for end in leaves for colon in ("", ":0"))
    inside = [p for p in store.paths if p.startswith(f"{layer.outermost}/") and p.rpartition("/")[2] in ends]
    if layer.outermost != layer.name:  # in a network's group lie the arrays of all its layers
        inside = [p for p in inside if p.split("/")[-2] == layer.name]
    if len(inside) != 1:
        return store.array(f"{layer.outermost}/{layer.name}/{name}")
    return store.array(inside[0])


def _side(path: Path, layers: list[KerasLayer]) -> int | None:
    """The side of the square pictures that the first layer asks for."""
    resized = any(layer.kind in ("Resizing", "CenterCrop") for layer in layers)
    for layer in layers:
        shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
        if shape and len(shape) == 4 and not resized:
            return side_of(path, shape, is_channels_last=shape[3] in (1, 3) or shape[1] not in (1, 3))
    return None
