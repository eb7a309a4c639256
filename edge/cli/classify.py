"""``edge classify``: what is on a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge.board.affinity import default_threads
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.cli.options import AsJson, BackendName, BundlePlace, Threads
from edge.console import note, stdout, write_json
from edge.errors import ImageError
from edge.inference.classifier import Classifier
from edge.inference.prediction import Prediction
from edge.vision.images import image_files, read_image

__all__ = ["classify"]


def classify(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", metavar="IMAGE...")],
    bundle: BundlePlace = "demo",
    variant: Annotated[str | None, typer.Option(help="Default: the most accurate one.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", "--topk", min=1, help="How many classes to print.")] = 5,
    backend: BackendName = "auto",
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Classify pictures. Exit code 1 when one of them cannot be read.

    Example: edge classify photo.jpg --bundle demo --top-k 3
    """
    opened = open_bundle(bundle)
    chosen = Variant.parse(variant) if variant else _most_accurate(opened)
    results, failed = [], 0
    with Classifier(opened, chosen, backend=backend, threads=threads or default_threads(), top_k=top_k) as classifier:
        for refusal in classifier.refusals:
            note(f"not {refusal.backend}: {refusal.reason}")
        for path in _files(images):
            try:
                prediction = classifier.classify(read_image(path))
            except ImageError as reason:
                failed += 1
                note(str(reason))
                continue
            results.append(_as_dict(path, prediction, chosen))
            if not json:
                stdout().print(_line(path, prediction), soft_wrap=True, markup=False)
    if json:
        write_json(results)
    if failed:
        raise ImageError(f"{failed} of {failed + len(results)} pictures could not be classified.")


def _files(places: list[Path]) -> list[Path]:
    files: list[Path] = []
    for place in places:
        found = image_files(place) if place.is_dir() else [place]
        if not found:
            raise ImageError(f"{place} holds no picture: expected JPEG, PNG, BMP, WebP, PNM or TIFF files.")
        files += found
    return files


def _most_accurate(bundle: Bundle) -> Variant:
    """By measured top-1 where every variant has one, else the dearest."""
    top1 = [entry.artifacts[0].accuracy.top1 for entry in bundle.variants]
    if None in top1:
        return bundle.variants[0].variant
    return max(bundle.variants, key=lambda entry: entry.artifacts[0].accuracy.top1 or 0).variant


def _line(path: Path, prediction: Prediction) -> str:
    guesses = ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in prediction.guesses)
    return f"{path}: {guesses}  ({prediction.total_ms:.1f} ms)"


def _as_dict(path: Path, prediction: Prediction, variant: Variant) -> dict[str, Any]:
    return {
        "image": str(path),
        "variant": variant.name,
        "classes": [
            {"index": guess.class_id, "label": guess.label, "probability": round(guess.probability, 6)}
            for guess in prediction.guesses
        ],
        "preprocess_ms": round(prediction.preprocess_ms, 3),
        "infer_ms": round(prediction.infer_ms, 3),
    }
