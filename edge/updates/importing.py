"""Make a bundle of ready ``.tflite`` files, on the device, without torch.

The files stay as they are. What cannot be known of them is not claimed: there is no float original to agree with, and
their accuracy is known only where labelled pictures are given.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edge.bundles.bundle import MANIFEST, Bundle, label_mismatch, open_bundle, read_labels
from edge.bundles.manifest import Accuracy, Artifact, BundledVariant, Manifest, in_order
from edge.bundles.members import check_place
from edge.bundles.writing import file_entry, tool, write_labels
from edge.errors import BundleError, ImageError, UnsaidError
from edge.evaluation.confidence import Answers, measure_confidence
from edge.evaluation.truth import read_truth
from edge.files import new_folder
from edge.inference.classifier import Classifier
from edge.inference.golden import write_golden
from edge.intervals import wilson_interval
from edge.json_files import to_json
from edge.progress import Progress, no_progress
from edge.updates.ready_models import ReadyModel, read_ready_model
from edge.vision.images import image_files, read_image
from edge.vision.preprocess import ColourOrder, Frame

__all__ = ["ImportOptions", "import_models"]

_GOLDEN_SIDE: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the files themselves do not say."""

    labels: Path | None = None
    """One label a line; None for those inside the first file that has some."""
    pixels: str | None = None
    """The range of a float network's input, one of :data:`edge.updates.ready_models.PIXEL_RANGES`."""
    colour_order: ColourOrder = "RGB"
    network: str | None = None
    """Name of the network, where it is not a MobileNet v1."""
    pictures: Path | None = None
    """Labelled pictures to measure the accuracy on, in folders named after the classes."""
    truth: Path | None = None
    """A JSON object of file names and class numbers instead of such folders."""
    source: Mapping[str, Any] | None = None
    """Where the files come from, for the manifest."""
    published_top1: Mapping[str, float] | None = None
    """Published top-1 (0 to 1) by variant, where nothing is measured."""


def import_models(
    files: Sequence[Path],
    out: Path,
    options: ImportOptions = ImportOptions(),
    *,
    replace: bool = False,
    progress: Progress = no_progress,
) -> Bundle:
    """Write a bundle of ready ``.tflite`` classifiers.

    Args:
        files: The files, all of the same classes and preprocessing.
        out: The folder to write, whose name is the bundle's; it appears whole or not at all.
        options: What the files do not say.
        replace: Whether a bundle that is there is replaced.
        progress: Called as the work goes on.

    Raises:
        BackendError: A file is not a classifier of pictures, or does not run here.
        BundleError: Labels, classes or preprocessing do not match.
        ImageError: The labelled pictures cannot be read.
        OutputError: The folder exists or cannot be written.
    """
    check_place(out, replace=replace)
    models = []
    for number, path in enumerate(files):
        progress(f"examining {path.name}", number / (2 * len(files)))
        model = read_ready_model(
            path, pixels=options.pixels, colour_order=options.colour_order, network=options.network
        )
        models.append(model)
    _check_alike(models)
    labels = _labels(models, options.labels)
    with new_folder(out, replace=replace) as folder:
        label_file = write_labels(folder, labels)
        entries = tuple(_entry(model, folder, options) for model in models)
        manifest = Manifest(
            name=out.resolve().name,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            classes=len(labels),
            labels=label_file,
            preprocessing=models[0].preprocessing,
            variants=in_order(entries),
            source={"tool": tool(), "imported": [path.name for path in files], **(options.source or {})},
        )
        bundle = Bundle(root=folder, manifest=manifest, labels=labels)
        manifest = _measured(bundle, options, lambda stage, share: progress(stage, 0.5 + share / 2))
        (folder / MANIFEST).write_text(to_json(manifest.to_dict()), encoding="utf-8")
    return open_bundle(out)


def _check_alike(models: Sequence[ReadyModel]) -> None:
    first = models[0]
    for other in models[1:]:
        if other.classes != first.classes:
            raise BundleError(
                f"{other.path} has {other.classes} classes, {first.path} {first.classes}: expected alike."
            )
        if other.preprocessing != first.preprocessing:
            raise BundleError(
                f"{other.path} and {first.path} take differently normalized pictures: put each into its own bundle."
            )
    variants = [(model.variant, model.precision) for model in models]
    for variant, precision in variants:
        if variants.count((variant, precision)) > 1:
            raise BundleError(f"Two files are {variant.name} in {precision}: a bundle holds one of each.")


def _labels(models: Sequence[ReadyModel], path: Path | None) -> tuple[str, ...]:
    inside = next((model.labels for model in models if model.labels), None)
    labels = read_labels(path) if path is not None else inside
    classes = models[0].classes
    if labels is None:
        raise UnsaidError(
            f"{models[0].path} holds no labels: expected a file of {classes} labels, one a line.", needs="labels"
        )
    if len(labels) != classes:
        raise BundleError(
            f"There are {len(labels)} labels for a model of {classes} classes: {label_mismatch(len(labels), classes)}"
        )
    return labels


def _entry(model: ReadyModel, folder: Path, options: ImportOptions) -> BundledVariant:
    variant, inspection = model.variant, model.inspection
    file = f"{variant.name}_{model.precision}.tflite"
    shutil.copyfile(model.path, folder / file)
    top1 = (options.published_top1 or {}).get(variant.name)
    accuracy = Accuracy(agreement=None, pictures=0, measured_on="published" if top1 else "not measured", top1=top1)
    whole = file_entry(folder, file)
    artifact = Artifact(
        file=file,
        size_bytes=whole.size_bytes,
        sha256=whole.sha256,
        format="tflite",
        precision=model.precision,
        accuracy=accuracy,
        input=inspection.inputs[0],
    )
    return BundledVariant(
        variant=variant, mult_adds=inspection.mult_adds, parameters=inspection.parameters, artifacts=(artifact,)
    )


def _measured(bundle: Bundle, options: ImportOptions, progress: Progress) -> Manifest:
    """The manifest with the files' answers to golden pictures, and their accuracy where pictures are given."""
    golden = write_golden(bundle, [_drawing(seed) for seed in range(3)])
    truth = _truth(options, bundle.labels) if options.pictures is not None else {}
    entries = []
    for number, entry in enumerate(bundle.variants):
        progress(f"running {entry.variant.name}", number / len(bundle.variants))
        artifact = entry.artifacts[0]
        if truth:
            with Classifier(bundle, entry.variant, backend="litert", top_k=5) as classifier:
                artifact = _judged(artifact, classifier, truth, bundle.labels, options)
        entries.append(replace(entry, artifacts=(artifact,)))
    return replace(bundle.manifest, variants=tuple(entries), golden=golden)


def _truth(options: ImportOptions, labels: Sequence[str]) -> dict[Path, int]:
    """The class of each labelled picture."""
    assert options.pictures is not None
    paths = image_files(options.pictures)
    found = read_truth(paths, labels, options.truth, BundleError)
    if not found:
        how = "no folder named after a label" if options.truth is None else f"no picture that {options.truth} names"
        raise ImageError(f"{options.pictures} holds {how}, so accuracy cannot be measured.")
    return found


def _judged(
    artifact: Artifact, classifier: Classifier, truth: Mapping[Path, int], labels: Sequence[str], options: ImportOptions
) -> Artifact:
    """The file with its accuracy and the threshold of unknown, by the labelled pictures."""
    guesses = [classifier.classify(read_image(path)).guesses for path in truth]
    known = Answers(
        np.array([each[0].class_id for each in guesses]),
        np.array([each[0].probability for each in guesses]),
        np.array(list(truth.values())),
    )
    named = [{guess.class_id for guess in each} for each in guesses]
    among_five = sum(wanted in each for each, wanted in zip(named, truth.values(), strict=True))
    count, right = len(truth), int(known.is_right.sum())
    accuracy = Accuracy(
        agreement=None,
        top1=round(right / count, 4),
        top1_range=wilson_interval(right, count),
        top5=round(among_five / count, 4),
        pictures=count,
        labelled=count,
        measured_on=f"{count} pictures of {Path(str(options.pictures)).resolve().name}",
    )
    return replace(artifact, accuracy=accuracy, confidence=measure_confidence(known, labels=labels))


def _drawing(seed: int) -> Frame:
    """A picture of a few coloured shapes on a gradient, the same on every machine."""
    generator = np.random.default_rng(seed)
    ramp = np.linspace(30, 220, _GOLDEN_SIDE)
    frame = np.stack([ramp[::-1][:, None] + 0 * ramp, 0 * ramp[:, None] + ramp, (ramp[:, None] + ramp) / 2], axis=2)
    picture: Frame = np.ascontiguousarray(frame.astype(np.uint8))
    for _ in range(5):
        corner = tuple(int(n) for n in generator.integers(0, _GOLDEN_SIDE, 2))
        colour = tuple(int(n) for n in generator.integers(0, 256, 3))
        cv2.circle(picture, corner, int(generator.integers(10, 50)), colour, -1)
    return picture
