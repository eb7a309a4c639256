"""TensorRT engines: files derived on the device from a bundle's ONNX, kept apart from the bundle, never shipped.

An engine is good for one TensorRT, CUDA, GPU architecture and Jetson Linux. All of these are in its file's name, with
the SHA-256 of the ONNX file it came from; so after an update of the system the old engine is not found. Beside it
stands a JSON file that says how it was built and what its own SHA-256 is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edge.errors import BackendError, OutputError, os_reason
from edge.files import sha256_of, write_atomically, writing
from edge.json_files import read_json, to_json
from edge.locks import locked
from edge.paths import cache_folder

__all__ = ["DamagedEngineError", "Engine", "EngineStore", "Platform", "Source", "record_path"]

_SCHEMA_VERSION: Final = 1


class DamagedEngineError(BackendError):
    """An engine that is not whole, or was written by another version."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault}: {_AGAIN}")
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an engine is bound to."""

    tensorrt: str
    """TensorRT's full version: ``10.3.0.30``."""
    cuda: str
    """The CUDA runtime's version: ``12.6``."""
    compute_capability: str
    """The GPU's architecture: ``8.7``."""
    l4t: str | None
    """Version of Jetson Linux; None on a PC."""

    @property
    def slug(self) -> str:
        """``trt10.3.0.30-cuda12.6-sm87-l4t36.4.3``."""
        parts = [f"trt{self.tensorrt}", f"cuda{self.cuda}", f"sm{self.compute_capability.replace('.', '')}"]
        return "-".join([*parts, *([f"l4t{self.l4t}"] if self.l4t else [])])

    def __str__(self) -> str:
        words = f"TensorRT {self.tensorrt}, CUDA {self.cuda}, compute capability {self.compute_capability}"
        return f"{words}, Jetson Linux {self.l4t}" if self.l4t else words


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The ONNX file that an engine is built from."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The file's name without its ending: ``mobilenet_v1_0.50_160_int8``."""
        return self.path.stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that was found whole."""

    path: Path
    build: Mapping[str, Any]
    """How it was built: ``seconds``, ``workspace_mb``, ``optimization_level``, ``dla_core``, ``created``."""


class EngineStore:
    """The folder of this user's engines, by default ``~/.cache/mobilenet-edge/engines``."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "engines"

    @classmethod
    def below(cls, cache: Path) -> EngineStore:
        """A new store in ``cache``, for a process whose ``$XDG_CACHE_HOME`` that is.

        Raises:
            OutputError: The folder cannot be made.
        """
        store = cls(cache / "mobilenet-edge/engines")
        with writing(store.folder):
            store.folder.mkdir(parents=True)
        return store

    def path(self, source: Source, platform: Platform) -> Path:
        """Where the engine of ``source`` for ``platform`` stands, or would."""
        return self.folder / f"{source.name}.{platform.slug}-{source.sha256[:16]}.engine"

    def timing_cache(self, platform: Platform) -> Path:
        """Where the builder's timings for ``platform`` are kept."""
        return self.folder / f"timings.{platform.slug}.cache"

    def find(self, source: Source, platform: Platform) -> Engine:
        """The engine of ``source`` for ``platform``.

        Raises:
            BackendError: There is none, or it is not whole; the message says what to do, and which engines of the same
                file were built for another platform.
        """
        path = self.path(source, platform)
        if not path.exists():
            others = ", ".join(self._others(source)) or "none"
            raise BackendError(
                f"it has no engine for {platform} (for other systems: {others}): edge-convert engine BUNDLE builds it."
            )
        record = read_json(record_path(path), "engine record", BackendError)
        found, size_bytes = record.get("engine"), path.stat().st_size
        if not isinstance(found, dict) or record.get("schema_version") != _SCHEMA_VERSION:
            raise DamagedEngineError(f"Engine record {record_path(path)} is of another version")
        if found.get("size_bytes") != size_bytes or found.get("sha256") != sha256_of(path):
            raise DamagedEngineError(f"Engine {path} is damaged or cut short ({size_bytes} bytes)")
        return Engine(path=path, build=dict(record.get("build") or {}))

    def _others(self, source: Source) -> list[str]:
        """The systems for which there are engines of ``source``."""
        ending = f"-{source.sha256[:16]}.engine"
        names = sorted(path.name for path in self.folder.glob(f"{source.name}.*{ending}"))
        return [name.removeprefix(f"{source.name}.").removesuffix(ending) for name in names]

    def add(self, source: Source, platform: Platform, content: Path, build: Mapping[str, Any]) -> Engine:
        """Take the finished file ``content`` of this folder in as the engine of ``source`` for ``platform``.

        Raises:
            OutputError: The folder cannot be written.
        """
        path = self.path(source, platform)
        record = {
            "schema_version": _SCHEMA_VERSION,
            "engine": {"file": path.name, "size_bytes": content.stat().st_size, "sha256": sha256_of(content)},
            "source": {"file": source.path.name, "sha256": source.sha256},
            "platform": asdict(platform),
            "build": dict(build),
        }
        path.unlink(missing_ok=True)  # an old engine must not stand beside the new record
        write_atomically(record_path(path), to_json(record))
        try:
            content.replace(path)
        except OSError as reason:
            raise OutputError(f"Cannot write {path}: {os_reason(reason)}.") from reason
        return Engine(path=path, build=dict(build))

    @contextlib.contextmanager
    def lock(self, announce: Callable[[str], None] = lambda message: None) -> Iterator[None]:
        """Hold the folder while an engine is built: builders take turns, also for the sake of the timings they take.

        Args:
            announce: Called with a message if this process has to wait for another one.

        Raises:
            OutputError: The folder cannot be written.
        """
        with locked(self.folder / ".lock", lambda: announce("another process is building an engine: waiting for it")):
            yield


_AGAIN: Final = "build it again with edge-convert engine BUNDLE --force."


def record_path(engine: Path) -> Path:
    """The file beside an engine that says what it is."""
    return engine.with_name(f"{engine.name}.json")
