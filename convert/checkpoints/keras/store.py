"""The arrays of an HDF5 file by path, read without following a link and without trusting its sizes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import h5py
import numpy as np

from convert.checkpoints.bounds import LARGEST_RATIO
from convert.checkpoints.network import Array
from convert.errors import CheckpointError

__all__ = ["Store", "opened"]

_DEEPEST: Final = 32
_MOST_OBJECTS: Final = 100_000
_BFLOAT16_BYTES: Final = 2


class Store:
    """One open file."""

    def __init__(self, path: Path, file: h5py.File, size_bytes: int) -> None:
        self._path, self._left = path, LARGEST_RATIO * size_bytes
        self._root = file["model_weights"] if "model_weights" in _hard_names(path, file) else file
        self._attributes, self._count = file.attrs, 0
        self._datasets = dict(self._walk(self._root, "", 0))

    @property
    def paths(self) -> list[str]:
        """Of every array below the weights, the optimizer's left out."""
        return [name for name in self._datasets if not name.startswith(("optimizer", "seed_generator"))]

    def has(self, path: str) -> bool:
        """Whether there is such an array."""
        return path in self._datasets

    def array(self, path: str) -> Array:
        """The array at a path.

        Raises:
            CheckpointError: There is none, or it cannot be read.
        """
        found = self._datasets.get(path)
        if found is None:
            raise CheckpointError(
                f"{self._path} lacks array '{path}': its configuration and its weights disagree. "
                "Save both at once: model.save('model.keras')."
            )
        if found.dtype.kind in "iu" and found.ndim > 1:
            raise CheckpointError(
                f"{self._path}: array '{path}' is of {found.dtype}: it is quantized already. Expected the float "
                "network, as it was before model.quantize."
            )
        is_half = found.dtype.kind == "V" and found.dtype.itemsize == _BFLOAT16_BYTES
        if (found.dtype.kind not in "fiu" and not is_half) or found.is_virtual or found.external:
            raise CheckpointError(f"{self._path}: array '{path}' does not hold its numbers itself: expected floats.")
        chunk = math.prod(found.chunks or ()) * found.dtype.itemsize
        self._left -= max(found.size * found.dtype.itemsize, chunk)  # a chunk is expanded whole
        if self._left < 0:
            raise CheckpointError(f"{self._path}: array '{path}' is larger than the file can hold: it is damaged.")
        try:
            values = np.asarray(found[()])
            if is_half:  # bfloat16, which HDF5 knows as two bytes: the upper half of a float
                values = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
            return values.astype(np.float32)
        except (OSError, RuntimeError) as reason:
            raise CheckpointError(f"{self._path}: array '{path}' cannot be read: the file is cut short.") from reason

    def text(self, name: str) -> str | None:
        """A text attribute of the file."""
        value = self._attributes.get(name)
        return (
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else None
        )

    def layer_names(self) -> list[str]:
        """The layers' names in order, as Keras 2 lists them; none in other files."""
        return _names(self._root.attrs, "layer_names")

    def weight_names(self, layer: str) -> list[str]:
        """The paths of one layer's arrays below the layer's group, in order."""
        group = self._root.get(layer)
        return _names(group.attrs, "weight_names") if isinstance(group, h5py.Group) else []

    def _walk(self, group: h5py.Group, prefix: str, depth: int) -> Iterator[tuple[str, h5py.Dataset]]:
        if depth > _DEEPEST:
            raise CheckpointError(f"{self._path} has groups more than {_DEEPEST} deep: it is not a file of weights.")
        for name in _hard_names(self._path, group):
            found = group[name]
            self._count += 1
            if self._count > _MOST_OBJECTS:
                raise CheckpointError(f"{self._path} has more than {_MOST_OBJECTS} arrays: not a file of weights.")
            if isinstance(found, h5py.Dataset):
                yield prefix + name, found
            elif isinstance(found, h5py.Group):
                yield from self._walk(found, f"{prefix}{name}/", depth + 1)


def opened(path: Path, file: BinaryIO | Path, size_bytes: int) -> h5py.File:
    """The file, open for reading.

    Raises:
        CheckpointError: It is damaged.
    """
    try:
        return h5py.File(file, "r")
    except (OSError, RuntimeError, ValueError) as reason:
        raise CheckpointError(f"{path} is damaged or cut short: {reason}. Copy it again.") from reason


def _hard_names(path: Path, group: h5py.Group) -> list[str]:
    """The names in a group, without soft links."""
    names = []
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise CheckpointError(
                f"{path} holds the link '{name}' to another file, {json.dumps(link.filename)[:80]}: links are never "
                "followed. Save the model again, into one file."
            )
        if isinstance(link, h5py.HardLink):
            names.append(name)
    return names


def _names(attributes: Any, key: str) -> list[str]:
    """A list of names, which Keras cuts in parts (``key0``, ``key1``...) where it is long."""
    parts = [attributes.get(key)]
    if parts[0] is None:
        numbers = iter(range(_MOST_OBJECTS))
        parts = [value for value in iter(lambda: attributes.get(f"{key}{next(numbers)}"), None)]
    found = [name for part in parts if part is not None for name in np.asarray(part).ravel().tolist()]
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in found]
