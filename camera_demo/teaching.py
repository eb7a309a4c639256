"""Learning while the live loop runs: from the collected pictures to a bundle that takes over, and back."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import edge
from camera_demo.collecting.collection import Collection
from edge.errors import EdgeError, TeachingError
from edge.evaluation.page import matrix_axes

__all__ = ["Teacher"]

_FOLDER: Final = ".taught"
_KEPT: Final = 5
_MOST_CLASSES: Final = 12
"""Of more, no confusion matrix is shown."""

Load = Callable[[edge.Bundle, edge.Variant], edge.LiveClassifier]
Use = Callable[[edge.LiveClassifier, edge.Bundle], None]


class Teacher:
    """One lesson at a time, on a thread of its own. For any thread."""

    def __init__(
        self, collection: Collection, bundle: edge.Bundle, classifier: edge.LiveClassifier, load: Load, use: Use
    ) -> None:
        """Take the running classifier for the parent.

        Args:
            collection: The labelled pictures.
            bundle: What the loop began with, which is what is taught.
            classifier: Its classifier; it stays loaded to go back to.
            load: Loads a variant of a bundle.
            use: Lets the loop go on with a classifier of a bundle.
        """
        self._collection, self._parent, self._load, self._use = collection, bundle, load, use
        self._first = classifier
        self._guard = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stage: tuple[str, float] | None = None
        self._taught: edge.Taught | None = None
        self._error = ""
        self._used: list[tuple[edge.Bundle, edge.LiveClassifier]] = [(bundle, classifier)]
        self._retired: list[edge.LiveClassifier] = []

    def learn(self) -> None:
        """Begin a lesson.

        Raises:
            TeachingError: One is under way.
        """
        with self._guard:
            if self._stage is not None:
                raise TeachingError("A lesson is under way: wait until it is over.")
            self._stage, self._error = ("looking at pictures", 0.0), ""
            self._thread = threading.Thread(target=self._learn, name="teaching", daemon=True)
            self._thread.start()

    def use(self) -> None:
        """Let the loop go on with what was learned.

        Raises:
            TeachingError: Nothing was learned yet, or it is in use.
            EdgeError: It cannot be loaded.
        """
        with self._guard:
            taught = self._taught
            if taught is None or self._used[-1][0].root == taught.bundle.root:
                raise TeachingError("There is nothing new to use: learn first.")
            variant = self._used[-1][1].variant
            known = [entry.variant for entry in taught.bundle.variants]
            classifier = self._load(taught.bundle, variant if variant in known else taught.bundle.most_accurate)
            self._free()
            self._used.append((taught.bundle, classifier))
            self._use(classifier, taught.bundle)

    def back(self) -> None:
        """Let the loop go on with what was in use before.

        Raises:
            TeachingError: Nothing was.
        """
        with self._guard:
            if len(self._used) < 2:
                raise TeachingError("There is nothing to go back to: the bundle of the start is in use.")
            self._free()
            self._retired.append(self._used.pop()[1])  # the loop may be in the middle of an answer
            bundle, classifier = self._used[-1]
            self._use(classifier, bundle)

    def wait(self, timeout_s: float) -> None:
        """Wait for the lesson that is under way."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def to_dict(self) -> dict[str, Any]:
        """The state of now as JSON values."""
        with self._guard:
            taught, stage = self._taught, self._stage
            labels = self._collection.labels()
            return {
                "parent": self._parent.name,
                "in_use": self._used[-1][0].name,
                "can_go_back": len(self._used) > 1,
                "can_use": taught is not None and self._used[-1][0].root != taught.bundle.root,
                "counts": dict(sorted(Counter(labels.values()).items())),
                "stage": None if stage is None else {"name": stage[0], "share": round(stage[1], 3)},
                "error": self._error or None,
                "result": None if taught is None else _result(taught),
            }

    def _learn(self) -> None:
        out = self._collection.folder / _FOLDER / f"taught-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
        try:
            names = [str(variant) for variant in self._first.variants]
            found = edge.teach(
                self._collection.folder,
                out,
                bundle=self._parent,
                variants=names,
                overwrite=True,
                threads=1,
                progress=self._progress,
            )
            with self._guard:
                self._taught = found
                self._keep_few(out.parent)
        except EdgeError as reason:
            self._error = str(reason)
        except Exception as reason:  # noqa: BLE001 - the page shows it; the loop goes on
            self._error = f"internal error ({type(reason).__name__}: {reason})"
        finally:
            self._stage = None

    def _keep_few(self, folder: Path) -> None:
        """Remove the oldest bundles but some, and none that may be gone back to."""
        used = {bundle.root.resolve() for bundle, _ in self._used}
        for old in sorted(folder.glob("taught-*"))[:-_KEPT]:
            if old.resolve() not in used:
                shutil.rmtree(old, ignore_errors=True)

    def _progress(self, stage: str, share: float) -> None:
        self._stage = stage, share

    def close(self) -> None:
        """Free what was loaded beside the first classifier. A lesson under way is left to end with the process."""
        with self._guard:
            self._retired += [classifier for _, classifier in self._used[1:]]
            del self._used[1:]
            self._free()

    def _free(self) -> None:
        while self._retired:
            with suppress(EdgeError):
                self._retired.pop().close()


def _result(taught: edge.Taught) -> dict[str, Any]:
    best = taught.best
    matrix = None
    if len(taught.bundle.labels) <= _MOST_CLASSES:
        rows, columns = matrix_axes(best)
        matrix = {"columns": [best.name_of_answer(c) for c in columns], "rows": best.matrix(rows, columns)}
    return {
        "bundle": str(taught.bundle.root),
        "variant": taught.bundle.most_accurate.name,
        "pictures": len(best.known),
        "accuracy": None if best.accuracy is None else round(best.accuracy, 4),
        "classes": [one.to_dict() for one in best.classes],
        "confusion": matrix,
        "notes": list(taught.notes),
    }
