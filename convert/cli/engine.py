"""``edge-convert engine``: TensorRT engines of a bundle, built on the Jetson that will run them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convert.cli.options import AsJson
from convert.export.tensorrt import BuildOptions, Engines, Made, build_engines
from edge.combinations import combined, without
from edge.console import note, progress_bar, stdout, table, write_json
from edge.files import check_folder
from edge.grouping import grouped
from edge.updates import engines as updates

__all__ = ["engine", "sign_engines"]


@combined(without("--like", "--key"), without("--publish", "--sign"))
@grouped
def engine(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or the shipped one's name.", metavar="BUNDLE")],
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant; may be given again.")] = None,
    precision: Annotated[
        Literal["auto", "fp32", "fp16", "int8", "int8_full"],
        typer.Option(help="Which of the bundle's ONNX files to build. auto: int8, or fp16 where int8 answers wrongly."),
    ] = "auto",
    options: BuildOptions = BuildOptions(),
    force: Annotated[bool, typer.Option("--force", help="Build even what is there.")] = False,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL", help="Take what an equal machine published there, after a test; build the others."
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", help="Public keys for --like. Default: bundle.pub, if there is one; an address needs one."
        ),
    ] = None,
    publish: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also put them into this folder, for equal machines.")
    ] = None,
    sign: Annotated[Path | None, typer.Option("--sign", help="Private key to sign what --publish writes.")] = None,
    json: AsJson = False,
) -> None:
    """Build the TensorRT engines of a bundle, on this machine and for it.

    Example: edge-convert engine my-bundle --variant 0.50_160 --precision fp16
    """
    if publish is not None:
        check_folder(publish)
    with progress_bar("building") as progress:
        built = build_engines(
            bundle,
            variants=variant or (),
            precision=precision,
            options=options,
            rebuild=force,
            like=like,
            key=key,
            progress=progress,
        )
    if publish is not None:
        for made in built.made:
            updates.publish_engine(made.engine, publish, key=sign)
        unsigned = "" if sign else "; not signed: machines with a key refuse them, and none takes them from an address"
        note(f"published {len(built.made)} engines in {publish}{unsigned}")
    if json:
        write_json({"platform": str(built.platform), "engines": [_row(made) for made in built.made]})
    else:
        _print(built)


def sign_engines(
    folder: Annotated[Path, typer.Argument(help="Where engines were published.", metavar="FOLDER")],
    key: Annotated[Path, typer.Option("--key", help="Private key.")],
) -> None:
    """Sign engines that a board has published, on the machine that has the key: it does not belong on a board.

    Example: edge-convert sign-engines engines --key key.pem
    """
    for engine_file in updates.sign_engines(folder, key):
        stdout().print(engine_file.name, soft_wrap=True)


def _row(made: Made) -> dict[str, object]:
    path = made.engine.path
    record = {"source": made.source.path.name, "engine": str(path), "size_bytes": path.stat().st_size}
    return record | {"is_new": made.is_new, "is_taken": made.is_taken, "build": dict(made.engine.build)}


def _print(built: Engines) -> None:
    rows = table(f"Engines for {built.platform}", "source", "MB", "seconds", "on DLA", "")
    for made in built.made:
        build, size_bytes = made.engine.build, made.engine.path.stat().st_size
        on_dla = f"{build['dla_layers']} of {build['layers']}" if build.get("dla_core") is not None else ""
        state = "taken" if made.is_taken else "built" if made.is_new else "was there"
        rows.add_row(made.source.name, f"{size_bytes / 1e6:.2f}", f"{build['seconds']:.1f}", on_dla, state)
    stdout().print(rows)
    stdout().print(str(built.made[0].engine.path.parent), soft_wrap=True)
