"""A newly activated or rolled back version of a bundle, taken by the running loop: no restart, no camera reopened."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.registry import find_installed
from edge.errors import BundleError, EdgeError
from edge.inference.live_classifier import LiveClassifier
from edge.profiling.profile import LatencyProfile

__all__ = ["InUse", "Switcher", "is_switchable"]

_log = logging.getLogger(__name__)

_SHIPPED: Final = "shipped"
_UNREADABLE: Final = "unreadable"
_LOOK_S: Final = 2.0
_TAKEN_S: Final = 0.1
_LET_GO_S: Final = 2.0
"""What the capturing thread may take to end with the old model, after the loop took the new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """What the loop classifies with."""

    bundle: Bundle
    classifier: LiveClassifier
    profile: LatencyProfile | None


class Loop(Protocol):
    """The part of :class:`camera_demo.live.Answers` that takes another classifier."""

    def is_waiting(self, classifier: LiveClassifier) -> bool:
        """Whether the loop has yet to take a classifier."""


def is_switchable(name: str) -> bool:
    """Whether a bundle is named, so that it has versions; a folder stays what it is."""
    return not Path(name).is_dir()


class Switcher:
    """Looks every two seconds, on a thread of its own, whether another version of a bundle is active.

    A look reads the hundred bytes that say so. A version that cannot be loaded is refused, and the loop goes on with
    what it has.
    """

    def __init__(
        self,
        name: str,
        version: str,
        in_use: InUse,
        *,
        is_only_noted: Callable[[Bundle], bool],
        load: Callable[[Bundle, InUse], InUse],
        use: Callable[[InUse], None],
        on_refusal: Callable[[str, str], None],
        loop: Loop,
    ) -> None:
        """Prepare the thread.

        Args:
            name: The bundle's name.
            version: The version of it that was active at the start.
            in_use: What the loop began with: that version, or what it was taught.
            is_only_noted: Whether a version need not be loaded, because something else is in use instead of it; raises
                where it cannot be used.
            load: Loads a version; raises where that is not possible.
            use: Lets the loop go on with it.
            on_refusal: Takes a version and why it cannot be used; two empty texts when that is over.
            loop: Says when it has taken a classifier.
        """
        self._name, self._version, self._in_use = name, version, in_use
        self._is_only_noted, self._load, self._use = is_only_noted, load, use
        self._on_refusal, self._loop = on_refusal, loop
        self._seen = ""
        self._loaded: list[LiveClassifier] = []
        self._is_refusing = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="switching", daemon=True)

    def __enter__(self) -> Switcher:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """End, once a version that is being loaded is; and close what was loaded."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        for classifier in self._loaded:
            with suppress(EdgeError):
                classifier.close()

    def _run(self) -> None:
        while not self._end.wait(_LOOK_S):
            self.look()

    def look(self) -> None:
        """Look once, and take another version if there is one."""
        active = self._active()
        if active == self._seen:
            return
        self._seen = version = active
        try:
            if version != self._version:
                bundle = open_bundle(self._name)
                version = bundle.version
            if version == self._version:
                self._settle()
                return
            loaded = None
            if not self._is_only_noted(bundle):
                _log.info("Loading version %s of bundle %s.", version, bundle.name, extra={"event": "version_loading"})
                loaded = self._load(bundle, self._in_use)
        except EdgeError as reason:
            self._refuse(version, str(reason))
        except Exception as reason:  # noqa: BLE001 - the loop goes on with what it has
            self._refuse(version, f"internal error ({type(reason).__name__}: {reason})")
        else:
            self._version = version
            self._settle()
            if loaded is not None:
                self._loaded.append(loaded.classifier)
                self._take(loaded)

    def _active(self) -> str:
        """The version that is active; another text where the bundle is not installed, or nobody can tell."""
        try:
            installed = find_installed(self._name)
        except BundleError:
            return _UNREADABLE
        return _SHIPPED if installed is None or installed.active is None else installed.active

    def _take(self, loaded: InUse) -> None:
        before, self._in_use = self._in_use, loaded
        self._use(loaded)
        while self._loop.is_waiting(loaded.classifier):
            if self._end.wait(_TAKEN_S):
                return
        if not self._end.wait(_LET_GO_S):
            with suppress(EdgeError):
                before.classifier.close()

    def _settle(self) -> None:
        if self._is_refusing:
            self._is_refusing = False
            self._on_refusal("", "")

    def _refuse(self, version: str, reason: str) -> None:
        self._is_refusing = True
        _log.error(
            "Version %s of bundle %s cannot be used, version %s stays: %s",
            version,
            self._name,
            self._version,
            reason,
            extra={"event": "version_refused", "version": version},
        )
        self._on_refusal(version, reason)
