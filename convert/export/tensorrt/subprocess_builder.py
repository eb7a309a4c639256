"""Have an engine built and taken into the store: by one process at a time, within the memory there is."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Final

import psutil

from convert.errors import ConversionError
from convert.export.tensorrt.build import BuildOptions
from edge.bundles.variant import Variant
from edge.child_command import child_command
from edge.inference.engine_cache import DamagedEngineError, Engine, EngineStore, Platform, Source
from edge.progress import Progress, no_progress

__all__ = ["Made", "make_engine"]

_BUILDER_MB: Final = 700
"""What a builder takes besides its workspace, libraries and kernels to choose from: an estimate, not yet measured on
a Jetson."""
_MORE_MEMORY: Final = "Close other programs, add swap, or allow a smaller workspace."


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An engine of the store, and whether it was built now."""

    source: Source
    engine: Engine
    is_new: bool
    is_taken: bool = False
    """Whether an equal machine built it, and it was taken now."""


def make_engine(
    source: Source,
    variant: Variant,
    precision: str,
    platform: Platform,
    *,
    store: EngineStore,
    options: BuildOptions | None = None,
    force: bool = False,
    module: str = "tensorrt",
    free_mb: Callable[[], float] = lambda: psutil.virtual_memory().available / 1e6,
    trial: Callable[[Path], object] = lambda cache: None,
    announce: Callable[[str], None] = lambda message: None,
    progress: Progress = no_progress,
) -> Made:
    """The engine of ``source`` for ``platform``: the one in the store, else a new one.

    Args:
        source: The ONNX file.
        variant: What it is a model of.
        precision: As the file was written.
        platform: This machine's.
        store: Where engines are kept.
        options: How to build; None for the defaults.
        force: Build even if there is one.
        module: The module that builds: ``tensorrt``, or ``tensorrt_rtx``.
        free_mb: Memory that programs can still get, in MB.
        trial: Called before a new engine is put among the others, with a cache folder that has it alone. What it raises
            ends the call.
        announce: Called with what a user should know.
        progress: Called as the builder goes on.

    Raises:
        ConversionError: The engine cannot be built; what was in the store before still is.
        OutputError: The store cannot be written.
    """
    options = options or BuildOptions()
    with store.lock(announce):
        if not force and (engine := _in_store(source, platform, store, announce)):
            return Made(source=source, engine=engine, is_new=False)
        _check_memory(options, free_mb())
        announce(f"building {source.name} for {platform}; on a Jetson this can take minutes")
        with tempfile.TemporaryDirectory(dir=store.folder, prefix=".building.") as folder:
            out, start = Path(folder).resolve() / "engine", time.monotonic()
            request = _request(source.path, variant, precision, platform, options, module)
            request |= {"out": str(out), "timing_cache": str(store.timing_cache(platform).resolve())}
            found = _run(request, progress)
            record = asdict(options) | found | {"precision": precision, "seconds": round(time.monotonic() - start, 1)}
            record["created"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
            staged = EngineStore.below(Path(folder))
            new = staged.add(source, platform, out, record)
            trial(Path(folder))
            return Made(source=source, engine=store.add(source, platform, new.path, record), is_new=True)


def _in_store(source: Source, platform: Platform, store: EngineStore, announce: Callable[[str], None]) -> Engine | None:
    path = store.path(source, platform)
    try:
        return store.find(source, platform) if path.exists() else None
    except DamagedEngineError as reason:
        announce(f"{reason.fault}: building it again")
        return None


def _check_memory(options: BuildOptions, free_mb: float) -> None:
    needed_mb = options.workspace_mb * 1.049 + _BUILDER_MB
    if free_mb < needed_mb:
        raise ConversionError(
            f"Building needs about {needed_mb:.0f} MB of memory, and {free_mb:.0f} MB are free: the system would kill "
            f"it. {_MORE_MEMORY}"
        )


def _request(
    model: Path, variant: Variant, precision: str, platform: Platform, options: BuildOptions, module: str
) -> dict[str, Any]:
    """What :mod:`.worker` is to build, and of what."""
    return {
        "module": module,
        "model": str(model.resolve()),
        "resolution": variant.resolution,
        "precision": precision,
        "compute_capability": platform.compute_capability,
        "options": asdict(options),
    }


def _run(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Start the builder, pass on what it reports, and see it end, whatever happens here."""
    with tempfile.TemporaryFile("w+", errors="replace") as complaints, _worker(complaints) as worker:
        try:
            result = _talk(worker, request, progress)
        except BaseException:  # Ctrl-C too, which does not reach the builder
            worker.kill()
            raise
        if result is None:
            raise ConversionError(_end_of(worker.wait(), complaints))
        return result


def _worker(complaints: IO[str]) -> subprocess.Popen[str]:
    """A builder in a session of its own, so that Ctrl-C reaches this process alone."""
    return subprocess.Popen(
        child_command("convert.export.tensorrt.worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        text=True,
        start_new_session=True,
    )


def _talk(worker: subprocess.Popen[str], request: dict[str, Any], progress: Progress) -> dict[str, Any] | None:
    """What the builder did; None if it ended without a word."""
    assert worker.stdin is not None and worker.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it is gone already, and its exit code says why
        worker.stdin.write(json.dumps(request) + "\n")
        worker.stdin.flush()
    for line in worker.stdout:
        if not line.startswith("{"):
            continue  # a library that prints to stdout
        message = json.loads(line)
        if "error" in message:
            raise ConversionError(message["error"])
        if "done" in message:
            done: dict[str, Any] = message["done"]
            return done
        progress(message["stage"], message["share"])
    return None


def _end_of(code: int, complaints: IO[str]) -> str:
    complaints.seek(0)
    last = ([line.strip() for line in complaints if line.strip()] or ["it said nothing"])[-1].rstrip(".")
    if code == -signal.SIGKILL:
        return f"The builder was killed: most likely memory ran out. {_MORE_MEMORY}"
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"The builder ended without an engine ({name}): {last}."
