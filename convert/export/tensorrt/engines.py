"""All engines of a bundle, for the machine this runs on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Literal

from convert.errors import ConversionError
from convert.export.tensorrt.build import BuildOptions
from convert.export.tensorrt.subprocess_builder import Made, make_engine
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import Artifact, BundledVariant
from edge.bundles.variant import Variant
from edge.errors import BackendError, EdgeError
from edge.inference.backends.tensorrt import current_platform, runtime
from edge.inference.cuda import load_cuda
from edge.inference.engine_cache import EngineStore, Platform, Source
from edge.inference.engine_trial import try_engine
from edge.progress import Progress, no_progress, part_of
from edge.updates.download import shown
from edge.updates.engines import take_engine
from edge.updates.signature import configured_key

__all__ = ["Engines", "OnnxPrecision", "build_engines"]

OnnxPrecision = Literal["fp32", "fp16", "int8", "int8_full"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What was built, and for which machine."""

    platform: Platform
    made: tuple[Made, ...]
    """In the bundle's order, or in that asked for."""


def build_engines(
    bundle: str | PathLike[str] | Bundle,
    *,
    variants: Sequence[Variant | str] = (),
    precision: OnnxPrecision = "int8",
    options: BuildOptions = BuildOptions(),
    rebuild: bool = False,
    like: str | PathLike[str] | None = None,
    key: Path | None = None,
    progress: Progress = no_progress,
) -> Engines:
    """Build the TensorRT engines of a bundle, on this machine and for it.

    Args:
        bundle: The bundle, its folder, or its name.
        variants: Only these; empty for all.
        precision: Which of the bundle's ONNX files to build.
        options: How to build.
        rebuild: Build even what is in the cache, or take it again.
        like: The folder in which an equal machine has published its engines: a path or ``https://...``. What it has for
            this machine is taken, once it gives the bundle's golden answers here; the others are built.
        key: A file of public keys, one of which must have signed what is taken; None for the one configured.
        progress: Called as the work goes on.

    Raises:
        BackendError: TensorRT or CUDA cannot be loaded.
        ConversionError: The bundle has no such file, or it cannot be built.
        SignatureError: What would be taken is not signed by a trusted key.
        SelfTestError: What would be taken gives wrong answers.
        DownloadError: What would be taken cannot be fetched.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(str(bundle))
    wanted = [v if isinstance(v, Variant) else Variant.parse(v) for v in variants]
    entries = [opened.find(variant) for variant in wanted] or list(opened.variants)
    artifacts = [_artifact(opened, entry, precision) for entry in entries]
    sources = [Source(path=opened.path(artifact.file), sha256=artifact.sha256) for artifact in artifacts]
    platform, store = current_platform(runtime(), load_cuda()), EngineStore()
    made, trusted = [], key or configured_key()
    for number, (entry, artifact, source) in enumerate(zip(entries, artifacts, sources, strict=True)):
        part = part_of(progress, number / len(entries), 1 / len(entries), f"{source.name}: ")
        if like is not None and (rebuild or not _is_in(store, source, platform)):
            taken = take_engine(
                str(like), opened, entry.variant, artifact, platform, store=store, key=trusted, progress=part
            )
            if taken is not None:
                made.append(Made(source=source, engine=taken, is_new=True, is_taken=True))
                continue
            _log.info("%s has no engine of %s for %s: it is built here", shown(str(like)), source.name, platform)
        made.append(
            make_engine(
                source,
                entry.variant,
                precision,
                platform,
                store=store,
                options=options,
                force=rebuild,
                trial=partial(_try, opened, entry.variant, precision),
                announce=_log.info,
                progress=part,
            )
        )
    return Engines(platform=platform, made=tuple(made))


def _try(bundle: Bundle, variant: Variant, precision: str, cache: Path) -> None:
    """Run a new engine on the golden pictures before it is used: builders have made wrong ones."""
    try:
        try_engine(bundle, variant, precision, cache)
    except EdgeError as reason:
        others = " or ".join(each for each in ("int8", "fp16", "fp32") if each != precision)
        raise ConversionError(f"{reason} The new engine is not kept: build another, --precision {others}.") from reason


def _is_in(store: EngineStore, source: Source, platform: Platform) -> bool:
    try:
        store.find(source, platform)
    except BackendError:
        return False
    return True


def _artifact(bundle: Bundle, entry: BundledVariant, precision: OnnxPrecision) -> Artifact:
    artifact = entry.artifact("onnx", precision)
    if artifact is None:
        there = ", ".join(a.precision for a in entry.artifacts if a.format == "onnx") or "none"
        raise ConversionError(
            f"Bundle {bundle.name} has no {precision} ONNX file of {entry.variant.name} (it has: {there}): write the "
            f"bundle with the target onnx-{precision}."
        )
    return artifact
