"""``edge teach``: new classes from a few pictures, on the device."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

import edge
from edge.bundles.table import bundle_table
from edge.cli.options import AsJson, Threads
from edge.console import note, progress_bar, stdout, write_json
from edge.evaluation.table import show_evaluation

__all__ = ["teach"]


def teach(
    pictures: Annotated[
        Path, typer.Argument(help="A folder of pictures for each class, or a labels.csv.", metavar="PICTURES")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle to write.")],
    bundle: Annotated[
        str, typer.Option("--bundle", help="What to learn from: a bundle's folder or name.")
    ] = "imagenet",
    variant: Annotated[list[str] | None, typer.Option(help="Teach only this variant; repeat for several.")] = None,
    threads: Threads = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there already.")] = False,
    json: AsJson = False,
) -> None:
    """Learn new classes from a few pictures of each, on this machine, without torch.

    Example: edge teach pictures --bundle imagenet --out my-things
    """
    with progress_bar("teaching") as progress:
        taught = edge.teach(
            pictures, out, bundle=bundle, variants=variant or (), replace=force, threads=threads, progress=progress
        )
    if json:
        evaluations = {one.name: found.to_dict() for one, found in taught.evaluations.items()}
        write_json({"bundle": str(out), "variants": evaluations, "notes": list(taught.notes)})
        return
    stdout().print(bundle_table(taught.bundle.manifest))
    show_evaluation(taught.best)
    for one in taught.notes:
        note(one)
    stdout().print(f"{out}: ready. Try it: camera-demo --bundle {shlex.quote(str(out))}", soft_wrap=True)
