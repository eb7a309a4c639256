"""All engines of a bundle, for the machine this runs on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Literal

from convert.errors import ConversionError
from convert.export.tensorrt.build import BuildOptions
from convert.export.tensorrt.subprocess_builder import Made, make_engine
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import BundledVariant
from edge.bundles.variant import Variant
from edge.inference.backends.tensorrt import current_platform, runtime
from edge.inference.cuda import load_cuda
from edge.inference.engine_cache import EngineStore, Platform, Source
from edge.progress import Progress, no_progress, part_of

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
    progress: Progress = no_progress,
) -> Engines:
    """Build the TensorRT engines of a bundle, on this machine and for it.

    Args:
        bundle: The bundle, its folder, or its name.
        variants: Only these; empty for all.
        precision: Which of the bundle's ONNX files to build.
        options: How to build.
        rebuild: Build even what is in the cache.
        progress: Called as the work goes on.

    Raises:
        BackendError: TensorRT or CUDA cannot be loaded.
        ConversionError: The bundle has no such file, or it cannot be built.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(str(bundle))
    wanted = [v if isinstance(v, Variant) else Variant.parse(v) for v in variants]
    entries = [opened.find(variant) for variant in wanted] or list(opened.variants)
    sources = [_source(opened, entry, precision) for entry in entries]
    platform, store = current_platform(runtime(), load_cuda()), EngineStore()
    made = []
    for number, (entry, source) in enumerate(zip(entries, sources, strict=True)):
        part = part_of(progress, number / len(entries), 1 / len(entries), f"{source.name}: ")
        made.append(
            make_engine(
                source,
                entry.variant,
                precision,
                platform,
                store=store,
                options=options,
                force=rebuild,
                announce=_log.info,
                progress=part,
            )
        )
    return Engines(platform=platform, made=tuple(made))


def _source(bundle: Bundle, entry: BundledVariant, precision: OnnxPrecision) -> Source:
    artifact = entry.artifact("onnx", precision)
    if artifact is None:
        there = ", ".join(a.precision for a in entry.artifacts if a.format == "onnx") or "none"
        raise ConversionError(
            f"Bundle {bundle.name} has no {precision} ONNX file of {entry.variant.name} (it has: {there}): write the "
            f"bundle with the target onnx-{precision}."
        )
    return Source(path=bundle.path(artifact.file), sha256=artifact.sha256)
