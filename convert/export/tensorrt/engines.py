"""All engines of a bundle, for the machine this runs on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
from edge.paths import AnyPath
from edge.progress import Progress, no_progress, part_of
from edge.updates.download import shown
from edge.updates.engines import take_engine
from edge.updates.signature import configured_key

__all__ = ["Engines", "OnnxPrecision", "build_engines"]

OnnxPrecision = Literal["fp32", "fp16", "int8", "int8_full"]
_log = logging.getLogger(__name__)


class _WrongEngineError(ConversionError):
    """A new engine gives other answers than its ONNX file, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What was built, and for which machine."""

    platform: Platform
    made: tuple[Made, ...]
    """In the bundle's order, or in that asked for."""


def build_engines(
    bundle: AnyPath | Bundle,
    *,
    variants: Sequence[Variant | str] = (),
    precision: OnnxPrecision | Literal["auto"] = "auto",
    options: BuildOptions = BuildOptions(),
    rebuild: bool = False,
    like: AnyPath | None = None,
    key: Path | None = None,
    progress: Progress = no_progress,
) -> Engines:
    """Build the TensorRT engines of a bundle, on this machine and for it.

    Args:
        bundle: The bundle, its folder, or its name.
        variants: Only these; empty for all.
        precision: Which of the bundle's ONNX files to build; ``auto`` for int8, and fp16 from the first variant on
            whose int8 engine answers wrongly on this machine.
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
    chosen: OnnxPrecision = "int8" if precision == "auto" else precision
    for entry in entries:
        _artifact(opened, entry, chosen)
    platform = current_platform(runtime(), load_cuda())
    work = _Work(opened, platform, EngineStore(), options, rebuild, like, key or configured_key())
    made: list[Made] = []
    for number, entry in enumerate(entries):
        part = part_of(progress, number / len(entries), 1 / len(entries), f"{entry.variant.name}: ")
        while len(made) == number:
            try:
                made.append(work.make(entry, chosen, part))
            except _WrongEngineError as reason:
                if precision != "auto" or chosen == "fp16":
                    others = " or ".join(each for each in ("fp16", "fp32") if each != chosen)
                    raise ConversionError(f"{reason} Build another precision: {others}.") from reason
                chosen = "fp16"
                _log.warning("%s fp16 is built instead, for this variant and those to come", reason)
    return Engines(platform=platform, made=tuple(made))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is the same for all engines of a call."""

    bundle: Bundle
    platform: Platform
    store: EngineStore
    options: BuildOptions
    rebuild: bool
    like: AnyPath | None
    key: Path | None

    def make(self, entry: BundledVariant, precision: OnnxPrecision, progress: Progress) -> Made:
        """Take one engine from an equal machine, or build it."""
        artifact = _artifact(self.bundle, entry, precision)
        source = Source(path=self.bundle.path(artifact.file), sha256=artifact.sha256)
        if self.like is not None and (self.rebuild or not self._has(source)):
            place = str(self.like)
            taken = take_engine(
                place,
                self.bundle,
                entry.variant,
                artifact,
                self.platform,
                store=self.store,
                key=self.key,
                progress=progress,
            )
            if taken is not None:
                return Made(source=source, engine=taken, is_new=True, is_taken=True)
            _log.info("%s has no engine of %s for %s: it is built here", shown(place), source.name, self.platform)
        return make_engine(
            source,
            entry.variant,
            precision,
            self.platform,
            store=self.store,
            options=self.options,
            force=self.rebuild,
            trial=partial(_try, self.bundle, entry.variant, precision),
            announce=_log.info,
            progress=progress,
        )

    def _has(self, source: Source) -> bool:
        try:
            self.store.find(source, self.platform)
        except BackendError:
            return False
        return True


def _try(bundle: Bundle, variant: Variant, precision: str, cache: Path) -> None:
    """Run a new engine on the golden pictures before it is used: builders have made wrong ones."""
    try:
        try_engine(bundle, variant, precision, cache)
    except EdgeError as reason:
        raise _WrongEngineError(f"{reason} The new {precision} engine of {variant.name} is not kept.") from reason


def _artifact(bundle: Bundle, entry: BundledVariant, precision: OnnxPrecision) -> Artifact:
    artifact = entry.artifact("onnx", precision)
    if artifact is None:
        there = ", ".join(a.precision for a in entry.artifacts if a.format == "onnx") or "none"
        raise ConversionError(
            f"Bundle {bundle.name} has no {precision} ONNX file of {entry.variant.name} (it has: {there}): write the "
            f"bundle with the target onnx-{precision}."
        )
    return artifact
