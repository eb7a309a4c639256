"""``edge-convert engine``: TensorRT engines of a bundle, built on the Jetson that will run them."""

from __future__ import annotations

from typing import Annotated

import typer

from convert.cli.onnx import Precision
from convert.cli.options import AsJson
from convert.errors import ConversionError
from convert.export.tensorrt import BuildOptions, Made, make_engine
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import BundledVariant
from edge.bundles.variant import Variant
from edge.console import note, progress_bar, stdout, table, write_json
from edge.inference.backends.tensorrt import current_platform, runtime
from edge.inference.cuda import load_cuda
from edge.inference.engine_cache import EngineStore, Source

__all__ = ["engine"]


def engine(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or the shipped one's name.", metavar="BUNDLE")],
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant; may be given again.")] = None,
    precision: Annotated[Precision, typer.Option(help="Which of the bundle's ONNX files to build.")] = "int8",
    workspace_mb: Annotated[int, typer.Option(help="The most scratch memory that a layer may use, MiB.")] = 256,
    optimization_level: Annotated[
        int | None, typer.Option(help="0 to 5, how long to look for faster kernels; default: TensorRT's.")
    ] = None,
    dla: Annotated[int | None, typer.Option(help="Use this DLA core, and the GPU for what it cannot.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even what is there.")] = False,
    json: AsJson = False,
) -> None:
    """Build the TensorRT engines of a bundle, on this machine and for it.

    Example: edge-convert engine my-bundle --variant 0.50_160 --precision fp16
    """
    opened = open_bundle(bundle)
    entries = [opened.find(Variant.parse(name)) for name in variant or ()] or list(opened.variants)
    sources = [(entry, _source(opened, entry, precision)) for entry in entries]
    options = BuildOptions(workspace_mb=workspace_mb, optimization_level=optimization_level, dla_core=dla)
    trt = runtime()
    platform = current_platform(trt, load_cuda())
    store = EngineStore()
    rows: list[tuple[Source, Made]] = []
    for entry, source in sources:
        with progress_bar(f"building {source.name}") as progress:
            made = make_engine(
                source,
                entry.variant,
                precision,
                platform,
                store=store,
                options=options,
                force=force,
                announce=note,
                progress=progress,
            )
        rows.append((source, made))
    if json:
        write_json({"platform": str(platform), "engines": [_row(source, made) for source, made in rows]})
    else:
        _print(f"Engines for {platform}", rows)


def _source(bundle: Bundle, entry: BundledVariant, precision: str) -> Source:
    artifact = entry.artifact("onnx", precision)
    if artifact is None:
        there = ", ".join(a.precision for a in entry.artifacts if a.format == "onnx") or "none"
        raise ConversionError(
            f"Bundle {bundle.name} has no {precision} ONNX file of {entry.variant.name} (there: {there}): "
            f"write it with edge-convert bundle --targets onnx-{precision}."
        )
    return Source(path=bundle.path(artifact.file), sha256=artifact.sha256)


def _row(source: Source, made: Made) -> dict[str, object]:
    path = made.engine.path
    record = {"source": source.path.name, "engine": str(path), "size_bytes": path.stat().st_size}
    return record | {"is_new": made.is_new, "build": dict(made.engine.build)}


def _print(title: str, rows: list[tuple[Source, Made]]) -> None:
    told = table(title, "source", "MB", "seconds", "on DLA", "")
    for source, made in rows:
        build, size_bytes = made.engine.build, made.engine.path.stat().st_size
        on_dla = f"{build['dla_layers']} of {build['layers']}" if build.get("dla_core") is not None else ""
        state = "built" if made.is_new else "was there"
        told.add_row(source.name, f"{size_bytes / 1e6:.2f}", f"{build['seconds']:.1f}", on_dla, state)
    stdout().print(told)
    stdout().print(str(rows[0][1].engine.path.parent), soft_wrap=True)
