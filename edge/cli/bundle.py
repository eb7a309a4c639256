"""``edge bundle``: what is in a bundle, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from edge.bundle import open_bundle
from edge.cli.options import AsJson
from edge.console import stdout, table, write_json
from edge.manifest import Manifest

__all__ = ["app", "bundle_table"]

app = typer.Typer()

Place = Annotated[str, typer.Argument(help="A bundle's folder, or the shipped one's name.", metavar="BUNDLE")]


@app.command()
def info(bundle: Place = "demo", json: AsJson = False) -> None:
    """Show what a bundle holds.

    Example: edge bundle info demo
    """
    opened = open_bundle(bundle)
    if json:
        write_json(opened.manifest.to_dict())
        return
    stdout().print(bundle_table(opened.manifest))
    recipe, manifest = opened.manifest.preprocessing, opened.manifest
    stdout().print(
        f"{len(opened.labels)} classes; {recipe.colour_order}, mean {recipe.mean[0]:g}, std {recipe.std[0]:g}, "
        f"crop {recipe.crop}, resize {recipe.resize}; written {manifest.created} by {manifest.source.get('tool', '?')}",
        soft_wrap=True,
    )


@app.command()
def verify(bundle: Place = "demo", json: AsJson = False) -> None:
    """Check every file of a bundle against its manifest.

    Example: edge bundle verify demo
    """
    opened = open_bundle(bundle)
    files = list(opened.manifest.files())
    size_bytes = sum(file.size_bytes for file in files)
    if json:
        write_json({"bundle": opened.name, "files": len(files), "size_bytes": size_bytes, "whole": True})
    else:
        stdout().print(f"{opened.name}: {len(files)} files, {size_bytes / 1e6:.2f} MB, all as measured", soft_wrap=True)


def bundle_table(manifest: Manifest) -> Table:
    """Every file of a bundle: its size, its cost, and what it was measured to do."""
    headings = ("variant", "file", "MB", "MMACs", "agree %", "top-1 %", "float's", "of")
    made = table(f"Bundle {manifest.name}", *headings, text=("file",))
    for entry in manifest.variants:
        for artifact in entry.artifacts:
            accuracy = artifact.accuracy
            made.add_row(
                entry.variant.name,
                f"{artifact.format} {artifact.precision}",
                f"{artifact.size_bytes / 1e6:.2f}",
                f"{entry.mult_adds / 1e6:.1f}",
                f"{100 * accuracy.agreement:.1f}",
                "" if accuracy.top1 is None else f"{100 * accuracy.top1:.1f}",
                "" if accuracy.float_top1 is None else f"{100 * accuracy.float_top1:.1f}",
                str(accuracy.pictures),
            )
    return made
