"""Other models for the running loop: what was taught on the page, and versions of the bundle that were activated."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

from camera_demo.actions.rules import check_labels, check_rules
from camera_demo.collecting.collection import Collection
from camera_demo.control import Control
from camera_demo.health_recorder import HealthRecorder
from camera_demo.live import Answers
from camera_demo.loading import load
from camera_demo.run_state import RunState
from camera_demo.settings import Settings
from camera_demo.switching import InUse, Switcher
from camera_demo.taught_bundle import TaughtBundle
from camera_demo.teaching import Teacher
from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import ProfileError
from edge.inference.live_classifier import LiveClassifier
from edge.inference.unknown import class_thresholds
from edge.profiling.profile import LatencyProfile
from edge.profiling.profile_cache import profile as measured_profile
from edge.profiling.profile_cache import stored_profile
from edge.profiling.successor import predict_successor

__all__ = ["ModelChanges", "check_settings"]

_log = logging.getLogger(__name__)


def check_settings(settings: Settings, bundle: Bundle) -> None:
    """Hold the settings against what a bundle knows.

    Raises:
        EdgeError: It does not have the variant, or a class that a rule, a threshold or ``watch`` names.
    """
    if settings.variant is not None:
        bundle.find(Variant.parse(settings.variant))
    check_rules(settings.action, bundle.labels, tuple(region.name for region in settings.classify.regions))
    check_labels(settings.asked_for, bundle.labels, "watch")
    class_thresholds("off", None, settings.classify.thresholds, bundle.labels)


class ModelChanges:
    """Lets the loop go on with other models, and tells those who must know what it goes on with."""

    def __init__(
        self,
        settings: Settings,
        budget: Budget,
        in_use: InUse,
        answers: Answers,
        run_state: RunState,
        recorder: HealthRecorder | None,
    ) -> None:
        """Begin with what the loop began with.

        Args:
            settings: Which models and how they run.
            budget: What a frame may take, unless somebody changed that.
            in_use: What the loop began with.
            answers: The loop.
            run_state: What is told.
            recorder: Writes the health record, if there is one.
        """
        self._settings, self._budget, self._in_use = settings, budget, in_use
        self._answers, self._run_state, self._recorder = answers, run_state, recorder
        self._profiles: dict[Path, LatencyProfile | None] = {in_use.bundle.root: in_use.profile}

    def teacher(self, collection: Collection, parent: Bundle, installed: TaughtBundle) -> Teacher:
        """What teaches ``parent`` with the collected pictures, on the page; ``installed`` is what it was taught."""
        running = self._in_use.bundle, self._in_use.classifier
        return Teacher(collection, parent, running, installed, self._load_other, self._use)

    def switcher(self, parent: Bundle) -> Switcher:
        """What takes versions that are activated of the bundle that was asked for, to be entered."""
        return Switcher(
            self._settings.model.bundle,
            parent.version,
            self._in_use,
            is_only_noted=self._is_only_noted,
            load=self._load_version,
            use=self._use_version,
            on_refusal=self._on_refusal,
            loop=self._answers,
        )

    def _use(self, classifier: LiveClassifier, bundle: Bundle) -> None:
        self._answers.use(classifier, partial(self._used, classifier, bundle))

    def _used(self, classifier: LiveClassifier, bundle: Bundle) -> None:
        """Called in the loop's thread, between the last answer of one model and the first of the next."""
        profile = self._profiles.get(bundle.root)
        self._run_state.loaded(Control.of(classifier, bundle, profile, self._settings.model), bundle)
        if self._recorder is not None:
            self._recorder.uses(bundle, profile)
        _log.info(
            "Version %s of bundle %s is in use, %s.",
            bundle.version,
            bundle.name,
            classifier.variant.name,
            extra={"event": "version_used", "version": bundle.version},
        )

    def _load_other(self, other: Bundle, variant: Variant) -> LiveClassifier:
        check_settings(self._settings, other)  # as the next start does
        options = replace(self._settings.model, bundle=str(other.root), variant=variant.name)
        classify, now = self._settings.classify, self._answers.classifier
        return load(
            other,
            options,
            now.budget or self._budget,
            top_k=classify.computed,
            unknown=classify.unknown,
            thresholds=classify.thresholds,
        )[0]

    def _is_only_noted(self, version: Bundle) -> bool:
        """Whether what was taught goes on, with this version as its parent."""
        check_settings(self._settings, version)
        return self._run_state.teacher is not None and self._run_state.teacher.is_kept_from(version)

    def _use_version(self, version: InUse) -> None:
        self._profiles = {version.bundle.root: version.profile}
        if self._run_state.teacher is None:
            self._use(version.classifier, version.bundle)
        else:
            self._run_state.teacher.renew(version.bundle, version.classifier)

    def _load_version(self, bundle: Bundle, before: InUse) -> InUse:
        """Load a version as the start would, with what people have changed since, and without measuring the board."""
        settings, now = self._settings, self._answers.classifier
        classifier, profile = load(
            bundle,
            settings.model,
            now.budget or self._budget,
            top_k=settings.classify.computed,
            unknown=settings.classify.unknown,
            thresholds=settings.classify.thresholds,
            profile=None if settings.model.variant is not None else self._profile(bundle, before),
            announce=_log.info,
        )
        if now.pinned in classifier.variants and now.pinned is not None:
            classifier.pin(now.pinned)
        return InUse(bundle=bundle, classifier=classifier, profile=profile)

    def _profile(self, bundle: Bundle, before: InUse) -> LatencyProfile:
        """What a version takes here: measured earlier, else predicted from the version before."""
        model = self._settings.model
        stored = stored_profile(bundle, backend=model.backend, threads=model.threads)
        if stored is not None:
            return stored
        try:
            if before.profile is not None:
                return predict_successor(before.profile, before.bundle, bundle)
        except ProfileError as reason:
            _log.warning("Measuring while frames are classified, which may make some late: %s", reason)
        return measured_profile(bundle, backend=model.backend, threads=model.threads, keep=False, announce=_log.info)

    def _on_refusal(self, version: str, reason: str) -> None:
        self._run_state.refused = (version, reason) if version else None
        if self._recorder is not None:
            self._recorder.refuse(version, reason)
