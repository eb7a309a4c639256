"""``edge classify``: the best classes of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import edge
from edge.cli.options import AsJson, BackendName, BundlePlace, Threads, UnknownChoice
from edge.console import note, stdout, write_json
from edge.errors import ImageError
from edge.inference.prediction import UNKNOWN, Prediction
from edge.inference.unknown import parse_unknown
from edge.vision.images import PICTURE_KINDS, image_files, unread_pictures

__all__ = ["classify"]


def classify(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", metavar="IMAGE...")],
    bundle: BundlePlace = "demo",
    variant: Annotated[str | None, typer.Option(help="Default: the most accurate one.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", "--topk", min=1, help="Number of classes to print.")] = 5,
    unknown: UnknownChoice = "auto",
    backend: BackendName = "auto",
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Classify pictures. Exit code 1 when one of them cannot be read; other files of a folder are counted.

    Example: edge classify photo.jpg --bundle demo --top-k 3
    """
    results, failed = [], 0
    with edge.Classifier(
        bundle, variant, backend=backend, threads=threads, top_k=top_k, unknown=parse_unknown(unknown)
    ) as classifier:
        for refusal in classifier.refusals:
            note(f"not {refusal.backend}: {refusal.reason}")
        for path in _files(images):
            try:
                prediction = classifier.classify(path)
            except ImageError as reason:
                failed += 1
                note(str(reason))
                continue
            results.append({"image": str(path), "variant": classifier.variant.name, **prediction.to_dict()})
            if not json:
                stdout().print(_line(path, prediction), soft_wrap=True, markup=False)
    if json:
        write_json(results)
    if failed:
        raise ImageError(f"{failed} of {failed + len(results)} pictures could not be classified.")


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found, unread = image_files(path), unread_pictures(path)
        if not found:
            other = f" that can be read, only {unread}" if unread else ""
            raise ImageError(f"{path} has no pictures{other}: expected {PICTURE_KINDS} files.")
        if unread:
            note(f"not read in {path}: {unread}, expected {PICTURE_KINDS} files")
        files += found
    return files


def _line(path: Path, prediction: Prediction) -> str:
    guesses = ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in prediction.guesses)
    unknown = f"{UNKNOWN}, perhaps " if prediction.is_unknown else ""
    return f"{path}: {unknown}{guesses}  ({prediction.total_ms:.1f} ms)"
