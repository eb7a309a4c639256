"""Learning while the live loop runs: from the collected pictures to a bundle that takes over, and back."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import edge
from camera_demo.collecting.collection import Collection
from camera_demo.taught_bundle import TAUGHT, TaughtBundle
from edge.errors import EdgeError, OutputError, TeachingError
from edge.evaluation.page import matrix_axes

__all__ = ["Load", "Teacher", "Use"]

_KEPT: Final = 5
_MOST_CLASSES: Final = 12
"""Of more, no confusion matrix is shown."""
_KEEPS: Final = "The next start goes on with it: it is installed as {}."

Load = Callable[[edge.Bundle, edge.Variant], edge.LiveClassifier]
Use = Callable[[edge.LiveClassifier, edge.Bundle], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Used:
    """A bundle that the loop goes on with, or went on with before."""

    bundle: edge.Bundle
    classifier: edge.LiveClassifier | None
    """None where it was not loaded since the start."""
    origin: Path
    """Where it was taught: an installed one is a copy."""
    is_installed: bool = True


class Teacher:
    """One lesson at a time, on a thread of its own. For any thread."""

    def __init__(
        self,
        collection: Collection,
        parent: edge.Bundle,
        running: tuple[edge.Bundle, edge.LiveClassifier],
        installed: TaughtBundle,
        load: Load,
        use: Use,
    ) -> None:
        """Begin with what runs.

        Args:
            collection: The labelled pictures.
            parent: What is taught, and gone back to in the end.
            running: What the loop began with, and its classifier, which stays loaded to go back to: the parent, or what
                it was taught before.
            installed: The bundle as which what was learned is installed.
            load: Loads a variant of a bundle.
            use: Lets the loop go on with a classifier of a bundle.
        """
        self._collection, self._parent, self._load, self._use = collection, parent, load, use
        self._installed = installed
        self._first = running[1]
        self._guard, self._turn = threading.RLock(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._stage: tuple[str, float] | None = None
        self._taught: edge.Taught | None = None
        self._error = self._note = ""
        self._used = [_Used(parent, None, parent.root)]
        if running[0].root == parent.root:
            self._used = [_Used(*running, parent.root)]
        else:
            before = installed.before()
            self._used += [] if before is None else [_Used(before, None, before.root)]
            self._used.append(_Used(*running, running[0].root))
            self._note = _KEEPS.format(installed.name)
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
        """Let the loop go on with what was learned, now and, where bundles can be installed, after the next start.

        Raises:
            TeachingError: Nothing was learned yet, or it is in use, or a key is configured that has not signed it.
            EdgeError: It does not pass its self-test, or cannot be loaded.
        """
        with self._turn:
            with self._guard:
                taught, now = self._taught, self._used[-1]
            if taught is None or now.origin == taught.bundle.root:
                raise TeachingError("There is nothing new to use: learn first.")
            bundle, note, is_installed = taught.bundle, _KEEPS.format(self._installed.name), True
            try:
                bundle = self._installed.use(taught.bundle.root)
            except OutputError as reason:
                note, is_installed = f"The next start does not go on with it. {reason}", False
            try:
                classifier = self._loaded(bundle)
            except EdgeError:
                if is_installed:
                    self._installed.back()
                raise
            with self._guard:
                self._free()
                kept = [self._used[0]] if len(self._used) == 1 else [self._used[0], now]
                self._retire(self._used[1:-1])
                self._used = [*kept, _Used(bundle, classifier, taught.bundle.root, is_installed)]
                self._note = note
            self._use(classifier, bundle)

    def back(self) -> None:
        """Let the loop go on with what was in use before, now and after the next start.

        Raises:
            TeachingError: Nothing was.
            EdgeError: It does not pass its self-test any more, or cannot be loaded.
        """
        with self._turn:
            with self._guard:
                if len(self._used) < 2:
                    raise TeachingError("There is nothing to go back to: the bundle of the start is in use.")
                before, now = self._used[-2:]
            classifier = before.classifier or self._loaded(before.bundle)
            note = ""
            try:
                if now.is_installed:
                    self._installed.back()
            except OutputError as reason:
                note = f"The next start goes on with {now.bundle.name} again. {reason}"
            except EdgeError:
                if before.classifier is None:
                    classifier.close()
                raise
            with self._guard:
                self._free()
                self._retire([now])  # the loop may be in the middle of an answer
                self._used = [*self._used[:-2], replace(before, classifier=classifier)]
                self._note = note or ("" if len(self._used) == 1 else _KEEPS.format(self._installed.name))
            self._use(classifier, before.bundle)

    def _loaded(self, bundle: edge.Bundle) -> edge.LiveClassifier:
        """A classifier of the variant that runs, or of the most accurate one."""
        now = self._used[-1].classifier
        known = [entry.variant for entry in bundle.variants]
        return self._load(bundle, now.variant if now is not None and now.variant in known else bundle.most_accurate)

    def is_kept_from(self, parent: edge.Bundle) -> bool:
        """Take another version of the parent, to teach and to go back to, if what it was taught is in use.

        What was taught stays in use, as it does at the next start. Where the parent itself is, nothing happens:
        see :meth:`renew`.
        """
        with self._turn, self._guard:
            if len(self._used) < 2:
                return False
            self._retire(self._used[:1])
            self._parent = parent
            self._used[0] = _Used(parent, None, parent.root)
            return True

    def renew(self, parent: edge.Bundle, classifier: edge.LiveClassifier) -> None:
        """Let the loop go on with another version of the parent, and teach that from now on.

        What the loop began with is closed by whoever opened it.
        """
        with self._turn:
            with self._guard:
                self._free()
                self._retire(self._used)
                self._parent, self._first, self._note = parent, classifier, ""
                self._used = [_Used(parent, classifier, parent.root)]
            self._use(classifier, parent)

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
                "in_use": self._used[-1].bundle.name,
                "can_go_back": len(self._used) > 1,
                "can_use": taught is not None and self._used[-1].origin != taught.bundle.root,
                "note": self._note or None,
                "counts": dict(sorted(Counter(labels.values()).items())),
                "stage": None if stage is None else {"name": stage[0], "share": round(stage[1], 3)},
                "error": self._error or None,
                "result": None if taught is None else _result(taught),
            }

    def _learn(self) -> None:
        out = self._collection.folder / TAUGHT / f"taught-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
        try:
            names = [str(variant) for variant in self._first.variants]
            found = edge.teach(
                self._collection.folder,
                out,
                bundle=self._parent,
                name=self._installed.name,
                variants=names,
                replace=True,
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
        used = {one.bundle.root.resolve() for one in self._used}
        for old in sorted(folder.glob("taught-*"))[:-_KEPT]:
            if old.resolve() not in used:
                shutil.rmtree(old, ignore_errors=True)

    def _progress(self, stage: str, share: float) -> None:
        self._stage = stage, share

    def close(self) -> None:
        """Free what was loaded beside the first classifier. A lesson under way is left to end with the process."""
        with self._guard:
            self._retire(self._used)
            del self._used[1:]
            self._free()

    def _retire(self, used: Sequence[_Used]) -> None:
        """Close their classifiers at the next change, but the first one's, which is not ours."""
        self._retired += [one.classifier for one in used if one.classifier not in (None, self._first)]

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
