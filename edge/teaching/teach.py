"""Teach a bundle new classes: a bundle of the same networks, with a classifier learned from your pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from edge.board.affinity import default_threads
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import BundledVariant
from edge.bundles.members import check_place
from edge.bundles.variant import Variant
from edge.errors import BackendError, ImageError, OutputError, TeachingError
from edge.evaluation.picture_answer import PictureAnswer
from edge.evaluation.result import Evaluation
from edge.files import new_folder, writing
from edge.inference.backends.litert import LiteRTBackend
from edge.inference.trial import check_artifact
from edge.paths import AnyPath
from edge.progress import Progress, no_progress, part_of
from edge.teaching.graph import Backbone
from edge.teaching.head import Array, Lesson, learn
from edge.teaching.pictures import Pictures, find_pictures
from edge.teaching.writing import Student, backbone_classes, write_taught
from edge.vision.images import read_image
from edge.vision.preprocess import Preprocessing, Preprocessor

__all__ = ["Taught", "teach"]

_FEW_CLASSES: Final = 100
"""A backbone that tells fewer classes apart has not seen enough to know what is new."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taught:
    """What came of it."""

    bundle: Bundle
    evaluations: Mapping[Variant, Evaluation] = field(repr=False)
    """Of each variant, its answers to each picture, learned without the picture's burst."""
    notes: tuple[str, ...]
    """What lowers the result, or was passed over, in sentences."""

    @property
    def best(self) -> Evaluation:
        """That of the most accurate variant."""
        return self.evaluations[self.bundle.most_accurate]


def teach(
    pictures: AnyPath,
    out: AnyPath,
    *,
    bundle: Bundle | AnyPath = "imagenet",
    variants: Sequence[Variant | str] = (),
    name: str | None = None,
    replace: bool = False,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> Taught:
    """Learn new classes from pictures, on this machine, and write a bundle that knows them.

    The networks of the bundle stay as they are but for their last layer, so they are as fast as before.

    >>> taught = teach("pictures", "my-things", bundle="imagenet")
    >>> print(taught.best.accuracy)

    Args:
        pictures: A folder with a folder of pictures for each class, or with a ``labels.csv``; or such a file.
        out: The bundle's folder to write; it appears whole or not at all.
        bundle: What to learn from: a bundle whose networks know much.
        variants: Only these; empty for all that can be taught.
        name: The new bundle's name; None for the folder's.
        replace: Whether a bundle that is there is replaced.
        threads: Threads for the inference; None for the default.
        progress: Called as the work goes on.

    Raises:
        TeachingError: There is too little to learn from, or no network of the bundle can be taught.
        BundleError: The bundle cannot be opened, or does not have a variant.
        BackendError: A network cannot be run here.
        OutputError: The folder exists or cannot be written.
    """
    folder, parent = Path(out), open_bundle(bundle)
    check_place(folder, replace=replace)
    if Path(pictures).resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{folder} holds the pictures: choose another folder for the bundle.")
    found = find_pictures(Path(pictures))
    wanted = [parent.find(Variant.parse(one)) for one in variants] or list(parent.variants)
    students, notes = _students(parent, wanted)
    if (known := backbone_classes(parent)) < _FEW_CLASSES:
        notes.append(
            f"{parent.name} was trained on {known} classes only, so it may not tell new things "
            "apart: a network of many classes (edge bundle fetch imagenet) knows more"
        )
    recipe = parent.manifest.preprocessing
    features, unread = _features(students, recipe, found, threads, part_of(progress, 0, 0.8))
    kept = found.without({place for place, _ in unread}, _unread_notes(unread))
    classes = np.array(kept.classes)
    lessons = {}
    for number, student in enumerate(students):
        progress(f"learning {student.entry.variant.name}", 0.8 + 0.1 * number / len(students))
        lessons[student.entry.variant] = learn(features[student.entry.variant], classes, kept.bursts, len(kept.labels))
    with new_folder(folder, replace=replace) as temporary:
        write_taught(
            temporary,
            name or folder.resolve().name,
            parent,
            kept,
            students,
            lessons,
            features,
            progress=part_of(progress, 0.9, 0.1),
        )
    taught = open_bundle(folder)
    evaluations = {entry.variant: _evaluation(taught, entry, lessons[entry.variant], kept) for entry in taught.variants}
    return Taught(bundle=taught, evaluations=evaluations, notes=(*notes, *kept.notes))


def _students(parent: Bundle, entries: Sequence[BundledVariant]) -> tuple[list[Student], list[str]]:
    """The variants that can be taught, and why others cannot."""
    students, reasons = [], []
    for entry in entries:
        artifact = entry.artifact("tflite", "int8") or entry.artifact("tflite")
        try:
            if artifact is None:
                raise TeachingError(f"{entry.variant.name} has no .tflite file, which is what can be taught.")
            check_artifact(parent, artifact, "litert")
            students.append(Student(entry, artifact, Backbone(parent.path(artifact.file))))
        except (TeachingError, BackendError) as reason:
            reasons.append(str(reason))
    if not students:
        raise TeachingError(f"No network of bundle {parent.name} can be taught. {reasons[0]}")
    return students, [f"left out: {reason}" for reason in reasons]


def _features(
    students: Sequence[Student],
    recipe: Preprocessing,
    pictures: Pictures,
    threads: int | None,
    progress: Callable[[str, float], None],
) -> tuple[dict[Variant, Array], list[tuple[int, str]]]:
    """The features of each picture that can be read, by variant, and the places of others with the reason."""
    rows: dict[Variant, list[Array]] = {student.entry.variant: [] for student in students}
    unread: list[tuple[int, str]] = []
    with tempfile.TemporaryDirectory(prefix="mobilenet-edge-") as scratch, ExitStack() as stack:
        runs = []
        for student in students:
            path = Path(scratch) / f"{student.entry.variant.name}.tflite"
            with writing(path):
                path.write_bytes(student.backbone.without_classifier())
            backend = LiteRTBackend(path, threads or default_threads())
            stack.callback(backend.close)
            runs.append((student.entry.variant, backend, Preprocessor(recipe, backend.input_spec, is_exact=True)))
        for place, picture in enumerate(pictures.paths):
            progress("looking at pictures", place / len(pictures.paths))
            try:
                frame = read_image(picture)
            except ImageError as reason:
                unread.append((place, str(reason)))
                continue
            for variant, backend, preprocessor in runs:
                preprocessor(frame, backend.input())
                values = backend.output_spec.real(backend.infer())
                rows[variant].append(values.reshape(-1).astype(np.float64))
    if not next(iter(rows.values())):
        raise TeachingError(f"None of {len(pictures.paths)} pictures can be read. The first: {unread[0][1]}")
    return {variant: np.stack(values) for variant, values in rows.items()}, unread


def _unread_notes(unread: Sequence[tuple[int, str]]) -> list[str]:
    return [f"{len(unread)} pictures cannot be read. The first: {unread[0][1]}"] if unread else []


def _evaluation(bundle: Bundle, entry: BundledVariant, lesson: Lesson, pictures: Pictures) -> Evaluation:
    """The answers to each picture, learned without its burst."""
    confidence = entry.artifacts[0].confidence
    below = 0.0 if confidence is None else confidence.unknown_below
    answers = [
        PictureAnswer(path, truth, int(row.argmax()), float(row.max()), is_unknown=bool(row.max() < below))
        for path, truth, row in zip(pictures.paths, pictures.classes, lesson.held_out, strict=True)
    ]
    return Evaluation(
        model=f"{bundle.name} {entry.variant.name}",
        measured_on="those taught, each burst left out in turn",
        labels=bundle.labels,
        answers=tuple(answers),
    )
