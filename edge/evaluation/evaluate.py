"""Run a bundle on labelled pictures and count its answers: on the device, with the runtime alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.errors import ImageError
from edge.evaluation.picture_answer import PictureAnswer
from edge.evaluation.result import Evaluation
from edge.evaluation.truth import pictures_of_nothing, read_truth, unknown_folders
from edge.inference.classifier import Classifier
from edge.inference.unknown import Unknown, class_number
from edge.paths import AnyPath
from edge.progress import Progress, no_progress
from edge.vision.images import PICTURE_KINDS, hidden_folders, image_files, unread_pictures
from edge.vision.label_table import LABEL_TABLE

__all__ = ["evaluate"]

_NAMED = 5


def evaluate(
    bundle: Bundle | AnyPath,
    pictures: AnyPath,
    variant: Variant | str | None = None,
    *,
    truth: AnyPath | None = None,
    nothing: AnyPath | None = None,
    background: str | None = None,
    unknown: Unknown = "auto",
    thresholds: Mapping[str, float] | None = None,
    backend: str = "auto",
    threads: int | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Classify labelled pictures and count the answers by class.

    >>> evaluation = evaluate("my-bundle", "test-photos")
    >>> for finding in evaluation.findings():
    ...     print(finding)

    Args:
        bundle: A bundle's folder or name, or an opened one.
        pictures: A folder with a folder of pictures for each class, named as its label, or with a ``labels.csv``.
        variant: The variant or its name; None for the most accurate one.
        truth: A JSON object of file names and class numbers, or a CSV file, instead of such folders.
        nothing: A folder of pictures that show nothing in particular, for which ``unknown`` is right.
        background: The class that stands for nothing in particular, where there is one: it is right for them as well.
        unknown: As for :class:`edge.Classifier`.
        thresholds: Likewise.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference; None for the default.
        progress: Called as the work goes on.

    Raises:
        ImageError: There is no picture of a known class, or none can be read.
        BundleError: The bundle cannot be opened, or does not have the variant.
        BackendError: No backend works.
        ConfidenceError: ``unknown`` or a threshold is invalid, or there is no class ``background``.
    """
    opened = open_bundle(bundle)
    folder = Path(pictures)
    shown, left_out = _labelled(folder, opened.labels, None if truth is None else Path(truth))
    ground = None if background is None else class_number(background, opened.labels)
    tasks: list[tuple[Path, int | None, bool]] = [(path, class_id, False) for path, class_id in shown.items()]
    tasks += [] if nothing is None else [(path, ground, True) for path in pictures_of_nothing(Path(nothing))]
    answers, unread = [], []
    with Classifier(
        opened, variant, backend=backend, threads=threads, top_k=1, unknown=unknown, thresholds=thresholds
    ) as classifier:
        for number, (path, class_id, is_nothing) in enumerate(tasks):
            progress("classifying", number / len(tasks))
            try:
                found = classifier.classify(path)
            except ImageError as reason:
                unread.append(str(reason))
                continue
            best = found.best
            answers.append(PictureAnswer(path, class_id, best.class_id, best.probability, found.is_unknown, is_nothing))
        name = f"{opened.name} {classifier.variant.name} on {classifier.backend.name}"
    if not answers:
        raise ImageError(f"None of {len(tasks)} pictures can be read. The first: {unread[0]}")
    return Evaluation(
        model=name,
        measured_on=folder.resolve().name,
        labels=opened.labels,
        answers=tuple(answers),
        unread=tuple(unread),
        left_out=left_out,
        other_kinds=unread_pictures(folder),
    )


def _labelled(folder: Path, labels: Sequence[str], truth: Path | None) -> tuple[dict[Path, int], dict[str, int]]:
    """The pictures of known classes, and the folders of the others."""
    paths = image_files(folder)
    others = unread_pictures(folder)
    if not paths:
        unread = f" ({others} are not read)" if others else ""
        raise ImageError(f"{folder} has no pictures: expected {PICTURE_KINDS} files{unread}.")
    table = folder / LABEL_TABLE
    found = read_truth(paths, labels, table if truth is None and table.is_file() else truth)
    if not found:
        names = ", ".join(repr(label) for label in labels[:_NAMED])
        if truth is not None:
            raise ImageError(f"{truth} names none of the {len(paths)} pictures of {folder}: expected their file names.")
        raise ImageError(
            f"No folder of {folder} is named after a class of the bundle: expected some of {names}"
            f"{'...' if len(labels) > _NAMED else ''}, or a list of classes (truth)."
        )
    return found, unknown_folders(paths, found) | hidden_folders(folder)
