"""The bundle of a taught network: model files, labels, golden pictures and the manifest with its parent's hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.bundles.bundle import MANIFEST, Bundle
from edge.bundles.manifest import Accuracy, Artifact, BundledVariant, Manifest, in_order
from edge.bundles.variant import Variant
from edge.bundles.writing import file_entry, tool, write_labels
from edge.errors import TeachingError
from edge.files import sha256_of
from edge.inference.backends.litert import LiteRTBackend
from edge.inference.golden import small_picture, write_golden
from edge.inference.inspection import Inspection, inspect_models
from edge.inference.metadata_writer import ModelCard, ModelFacts
from edge.inference.tflite_metadata import read_metadata
from edge.intervals import wilson_interval
from edge.json_files import to_json
from edge.progress import Progress
from edge.teaching.graph import Backbone
from edge.teaching.head import Array, Lesson, softmax
from edge.teaching.pictures import Pictures
from edge.teaching.threshold import confidence_of
from edge.vision.images import read_image
from edge.vision.preprocess import Preprocessor

__all__ = ["Student", "backbone_classes", "write_taught"]

_GOLDEN: Final = 3
_MOST_OFF: Final = 0.15
"""The most that a written file's probabilities may differ from those that were learned."""
_CHECKED: Final = 8
"""Pictures that this is checked on."""
_MEASURED_ON: Final = "{} pictures, each burst left out in turn"


@dataclass(frozen=True, slots=True)
class Student:
    """One variant's file, cut."""

    entry: BundledVariant
    artifact: Artifact
    backbone: Backbone


def backbone_classes(bundle: Bundle) -> int:
    """How many classes a bundle's features were trained on, however often it was taught since."""
    count = bundle.manifest.source.get("backbone_classes")
    return count if type(count) is int else bundle.manifest.classes


def write_taught(
    root: Path,
    name: str,
    parent: Bundle,
    pictures: Pictures,
    students: Sequence[Student],
    lessons: Mapping[Variant, Lesson],
    features: Mapping[Variant, Array],
    *,
    progress: Progress,
) -> None:
    """Fill a new bundle's folder.

    Args:
        root: The folder, empty.
        name: The bundle's name.
        parent: What was taught.
        pictures: What was learned from.
        students: The variants.
        lessons: What each has learned.
        features: What each saw of each picture.
        progress: Called as the work goes on.

    Raises:
        TeachingError: A written file does not answer as it was taught.
        BackendError: A written file does not run here.
    """
    recipe, labels = parent.manifest.preprocessing, pictures.labels
    label_file = write_labels(root, labels)
    cards = {student.entry.variant: _card(student, parent, labels) for student in students}
    for student in students:
        variant = student.entry.variant
        content = student.backbone.with_classifier(
            lessons[variant].head, _facts(student, parent, pictures), cards[variant]
        )
        file = root / student.artifact.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    progress("trying the files", 0.0)
    inspections = inspect_models([root / student.artifact.file for student in students])
    for student in students:
        _check_answers(root, student, lessons[student.entry.variant], features[student.entry.variant], pictures, parent)
    entries = [
        _entry(root, student, inspection, lessons[student.entry.variant], pictures)
        for student, inspection in zip(students, inspections, strict=True)
    ]
    now = datetime.now(timezone.utc)
    manifest = Manifest(
        name=name,
        created=now.isoformat(timespec="seconds"),
        serial=int(now.timestamp()),
        classes=len(labels),
        labels=label_file,
        preprocessing=recipe,
        variants=in_order(entries),
        source=_source(parent, pictures, cards[students[0].entry.variant]),
    )
    progress("answering golden pictures", 0.5)
    best = lessons[students[0].entry.variant]
    shown = [small_picture(read_image(pictures.paths[place])) for place in _golden(best, pictures)]
    golden = write_golden(Bundle(root=root, manifest=manifest, labels=labels), shown)
    (root / MANIFEST).write_text(to_json(replace(manifest, golden=golden).to_dict()), encoding="utf-8")


def _card(student: Student, parent: Bundle, labels: tuple[str, ...]) -> ModelCard:
    """The file's own words: the parent's author and licence, under which the most part of its weights stands."""
    about, source = read_metadata(parent.path(student.artifact.file)), parent.manifest.source
    return ModelCard(
        labels=labels,
        version=student.artifact.sha256[:12],
        author=about.author or str(source.get("author", source.get("publisher", ""))),
        license=about.license or str(source.get("license", "")),
    )


def _facts(student: Student, parent: Bundle, pictures: Pictures) -> ModelFacts:
    variant, taken = student.entry.variant, student.artifact.input
    return ModelFacts(
        name=variant.name,
        description=f"{variant.network}, taught from {parent.name}",
        resolution=variant.resolution,
        classes=len(pictures.labels),
        preprocessing=parent.manifest.preprocessing,
        input_dtype=student.backbone.dtype if taken is None else taken.dtype,
        output_dtype=student.backbone.output_dtype,
    )


def _check_answers(
    root: Path, student: Student, lesson: Lesson, features: Array, pictures: Pictures, parent: Bundle
) -> None:
    """Hold a written file's answers against what was learned.

    Raises:
        TeachingError: They are others.
    """
    expected = softmax(lesson.head.logits(features))
    with closing(LiteRTBackend(root / student.artifact.file, 1)) as backend:
        preprocessor = Preprocessor(parent.manifest.preprocessing, backend.input_spec)
        for place in range(0, len(pictures.paths), max(1, len(pictures.paths) // _CHECKED)):
            preprocessor(read_image(pictures.paths[place]), backend.input())
            off = float(np.abs(backend.output_spec.real(backend.infer())[0] - expected[place]).max())
            if not off <= _MOST_OFF:
                raise TeachingError(
                    f"The file written for {student.entry.variant.name} does not answer as it was taught: a "
                    f"probability is off by {off:.2f}. Leave this variant out; 'edge doctor' may show what is wrong "
                    "with the runtime."
                )


def _entry(root: Path, student: Student, inspection: Inspection, lesson: Lesson, pictures: Pictures) -> BundledVariant:
    classes = np.array(pictures.classes)
    count, right = len(classes), int((lesson.held_out.argmax(1) == classes).sum())
    whole = file_entry(root, student.artifact.file)
    artifact = Artifact(
        file=whole.file,
        size_bytes=whole.size_bytes,
        sha256=whole.sha256,
        format="tflite",
        precision=student.artifact.precision,
        accuracy=Accuracy(
            agreement=None,
            top1=round(right / count, 4),
            top1_range=wilson_interval(right, count),
            pictures=count,
            labelled=count,
            measured_on=_MEASURED_ON.format(count),
        ),
        input=inspection.inputs[0],
        confidence=confidence_of(lesson, classes),
    )
    return BundledVariant(
        variant=student.entry.variant,
        mult_adds=inspection.mult_adds,
        parameters=inspection.parameters,
        artifacts=(artifact,),
    )


def _golden(lesson: Lesson, pictures: Pictures) -> list[int]:
    """Pictures of different classes that the network is surest of without having learned from them."""
    sure = lesson.held_out[np.arange(len(pictures.classes)), list(pictures.classes)]
    ranked = [int(place) for place in np.argsort(-sure, kind="stable")]
    first = {pictures.classes[place]: place for place in reversed(ranked)}
    return sorted(first.values(), key=ranked.index)[:_GOLDEN]


def _source(parent: Bundle, pictures: Pictures, card: ModelCard) -> dict[str, Any]:
    counts = np.bincount(pictures.classes)
    rights = {"author": card.author, "license": card.license}
    return {
        "tool": tool(),
        **{key: value for key, value in rights.items() if value},
        "taught_from": parent.name,
        "parent_sha256": sha256_of(parent.path(MANIFEST)),
        "backbone_classes": backbone_classes(parent),
        "parent_source": dict(parent.manifest.source),
        "pictures": {label: int(count) for label, count in zip(pictures.labels, counts, strict=True)},
        "bursts": len(set(pictures.bursts)),
    }
