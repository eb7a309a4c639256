"""timm without torchvision: its networks need none of what it imports from there."""

from __future__ import annotations

import enum
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

FOLDER = Path(sys.prefix) / "timm"
"""Where ``install.sh --test`` puts it, apart from torchvision, which asks for another torch."""
_LEFT_OUT = ("torchvision", "huggingface_hub", "yaml", "PIL")
_MODES = ("nearest", "nearest_exact", "bilinear", "bicubic", "box", "hamming", "lanczos")


class _Nothing(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class Nothing(metaclass=_Nothing):
    """Whatever is asked of it is nothing."""


class _Empty(types.ModuleType):
    """A module that has every name, and nothing behind it."""

    __version__ = "99.0"
    __path__: ClassVar[list[str]] = []  # type: ignore[misc]
    InterpolationMode = enum.Enum("InterpolationMode", [(mode.upper(), mode) for mode in _MODES])  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        is_left_out = fullname.partition(".")[0] in _LEFT_OUT
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if is_left_out else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leaves it empty."""


@contextmanager
def timm() -> Iterator[Any]:
    """The package, for as long as it is needed.

    Raises:
        ImportError: It is not installed.
    """
    before = set(sys.modules)
    finder = _Finder()
    sys.meta_path.append(finder)  # behind the others: what is installed is used
    sys.path.append(str(FOLDER))
    try:
        yield importlib.import_module("timm")
    finally:
        sys.path.remove(str(FOLDER))
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ("timm", *_LEFT_OUT):
                del sys.modules[name]
