"""From a bundle to a tested classifier that keeps a budget, or keeps one variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import edge
from edge.inference.unknown import Unknown, class_thresholds

__all__ = ["ModelOptions", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model answers, and how it runs."""

    bundle: str = "demo"
    """A bundle's folder, or the name of an installed or shipped bundle."""
    variant: str | None = None
    """A variant to use whatever its latency; None for the best that keeps the budget at any moment."""
    backend: str = "auto"
    """A backend's name, or ``auto``."""
    threads: int | None = None
    """Threads for the inference; None for :func:`edge.board.affinity.default_threads`."""


def load(
    bundle: edge.Bundle,
    options: ModelOptions,
    budget: edge.Budget,
    *,
    top_k: int = 5,
    unknown: Unknown = "auto",
    thresholds: Mapping[str, float] | None = None,
    profile: edge.LatencyProfile | None = None,
    progress: Callable[[str, float], None] = lambda stage, share: None,
    announce: Callable[[str], None] = lambda message: None,
) -> tuple[edge.LiveClassifier, edge.LatencyProfile | None]:
    """Load what answers, and test it with the bundle's golden pictures.

    Args:
        bundle: The opened bundle.
        options: Which variant and how it runs.
        budget: What a frame may take.
        top_k: Number of classes in each answer.
        unknown: When an answer is unknown.
        thresholds: Probabilities below which single classes are, by label.
        profile: What the variants take here; None for the board's own profile, measured if there is none.
        progress: Called while the board is measured, with the stage and the share done, 0 to 1.
        announce: Called with one line for people at a time.

    Returns:
        The classifier, and the board's profile that it goes by; None for a fixed variant.

    Raises:
        SelfTestError: A variant gives wrong answers.
        NoVariantFits: No variant is within the budget by this machine's profile.
        BackendError: No backend works.
        BundleError: The bundle does not have the variant.
        ConfidenceError: A threshold is for a class that the bundle does not have.
    """
    class_thresholds("off", None, thresholds or {}, bundle.labels)  # before the board is measured
    backend, threads = options.backend, options.threads
    choice: edge.Selection | None = None
    classifier: edge.LiveClassifier
    if options.variant is not None:
        profile = None
        classifier = edge.Classifier(
            bundle,
            options.variant,
            backend=backend,
            threads=threads,
            top_k=top_k,
            budget=budget,
            unknown=unknown,
            thresholds=thresholds,
        )
    else:
        if profile is None:
            profile = edge.profile(bundle, backend=backend, threads=threads, progress=progress, announce=announce)
        choice = edge.select(bundle, profile, budget)  # raises before any model is loaded
        classifier = edge.AdaptiveClassifier(
            bundle,
            profile,
            budget,
            backend=backend,
            threads=threads,
            top_k=top_k,
            unknown=unknown,
            thresholds=thresholds,
            sample_health=False,
        )
    try:
        for each in classifier.classifiers.values():
            edge.self_test(bundle, each)
    except BaseException:
        classifier.close()
        raise
    for refusal in classifier.refusals:
        announce(f"Fell back to {classifier.backend.name}. {refusal.backend}: {refusal.reason}")
    if choice is not None:
        chosen = choice.chosen
        latency = "" if chosen.latency_ms is None else f": {budget.percentile} {chosen.latency_ms:.2f} ms"
        announce(f"Using {chosen.variant.name}{latency} within the budget of {budget.latency_ms:.2f} ms.")
    return classifier, profile
