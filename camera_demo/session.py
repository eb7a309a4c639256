"""One run of the live demo, from what was asked for to the summary."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from camera_demo.loop import LiveLoop
from camera_demo.sinks import Sink, SinkContext, open_sink
from camera_demo.sources import Source, open_source
from camera_demo.sources.default import default_source
from camera_demo.stop import Stop
from camera_demo.summary import Tally
from camera_demo.uri import Uri, parse_sink, parse_source
from edge.backends import Backend
from edge.bundle import Bundle, open_bundle
from edge.classify import Classifier
from edge.console import progress_bar
from edge.errors import BudgetError, SinkError
from edge.select import Budget, select
from edge.store import profile_for
from edge.threads import default_threads
from edge.variant import Variant

__all__ = ["Settings", "run"]

_STDOUT: Final = "-"
_USUAL_FPS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for."""

    input: str | None = None
    """None for the first camera, else the demo clip."""
    outputs: tuple[str, ...] = ()
    """None at all for a line on the terminal."""
    bundle: str = "demo"
    fps: float | None = None
    """The rate to keep; None for 30, unless there is a budget."""
    budget_ms: float | None = None
    """The same as milliseconds a frame."""
    variant: str | None = None
    """A variant to use whatever the budget says."""
    backend: str = "auto"
    threads: int | None = None
    headless: bool = False
    """Whether ``display`` is left out."""
    top_k: int = 5
    threshold: float = 0.0
    """Probability, 0 to 1, below which a guess is not shown."""
    max_frames: int | None = None
    pace: bool | None = None
    loop: bool = False


def run(settings: Settings, stop: Stop, *, announce: Callable[[str], None]) -> None:
    """Classify what the input shows until it ends or ``stop`` is requested.

    What is wrong shows early: names first, then the bundle, the source and the sinks, and only then is the board
    measured and the model loaded.

    Args:
        settings: What was asked for.
        stop: Ends the run when requested.
        announce: Takes one line for people; at the end, the summary's.

    Raises:
        EdgeError: Anything that is wrong, see :mod:`edge.errors`; the summary of what was done is told first.
    """
    budget, sink_uris = _budget(settings), _sink_uris(settings)
    source_uri = default_source(announce) if settings.input is None else parse_source(settings.input)
    _check_distinct(source_uri, sink_uris)
    bundle = open_bundle(settings.bundle)
    pinned = None if settings.variant is None else bundle.find(Variant.parse(settings.variant)).variant
    threads = settings.threads or default_threads()
    tally = None
    try:
        with contextlib.ExitStack() as opened:
            source = open_source(source_uri, pace=settings.pace, loop=settings.loop)
            opened.callback(source.close)
            sinks = _open_sinks(sink_uris, source, opened, announce)
            variant = pinned or _choose(bundle, budget, settings.backend, threads, announce)
            classifier = opened.enter_context(_classifier(bundle, variant, settings, threads, announce))
            tally = Tally(budget.latency_ms, variant=variant.name, backend=_describe(classifier.backend))
            loop = LiveLoop(classifier, sinks, tally, threshold=settings.threshold)
            stop.is_attended = True
            loop.run(source, stop, max_frames=settings.max_frames)
    finally:
        for line in tally.summary().lines() if tally else ():
            announce(line)


def _budget(settings: Settings) -> Budget:
    if settings.budget_ms is None:
        return Budget.of_fps(_USUAL_FPS if settings.fps is None else settings.fps)
    if settings.fps is not None:
        raise BudgetError("--fps and --budget-ms say the same thing: give one of them.")
    return Budget(latency_ms=settings.budget_ms)


def _sink_uris(settings: Settings) -> list[Uri]:
    uris = [parse_sink(text) for text in settings.outputs or ("terminal",)]
    if settings.headless:
        uris = [uri for uri in uris if uri.scheme.name != "display"] or [parse_sink("terminal")]
    for number, uri in enumerate(uris):
        if uri in uris[:number]:
            raise SinkError(f"The output {settings.outputs[number]} is named twice: name it once.")
    return uris


def _check_distinct(source: Uri, sinks: list[Uri]) -> None:
    """Refuse to write a file over the one that is read."""
    for sink in sinks:
        if sink.place and Path(sink.place).is_file() and Path(sink.place).resolve() == Path(source.place).resolve():
            raise SinkError(f"{sink.place} is the input: choose another name for the output.")


def _open_sinks(
    uris: list[Uri], source: Source, opened: contextlib.ExitStack, announce: Callable[[str], None]
) -> list[Sink]:
    writes_data = any(uri.scheme.name == "json" and uri.place == _STDOUT for uri in uris)
    text = sys.stderr if writes_data else sys.stdout
    context = SinkContext(rate_hz=source.rate_hz, text=text, announce=announce)
    sinks = []
    for uri in uris:
        sink = open_sink(uri, context)
        opened.callback(sink.close)
        sinks.append(sink)
    return sinks


def _choose(bundle: Bundle, budget: Budget, backend: str, threads: int, announce: Callable[[str], None]) -> Variant:
    with progress_bar(f"profiling {bundle.name}") as progress:
        profile = profile_for(bundle, backend=backend, threads=threads, progress=progress, announce=announce)
    chosen = select(bundle, profile, budget).chosen
    latency = "" if chosen.latency_ms is None else f": {budget.percentile} {chosen.latency_ms:.2f} ms"
    announce(f"Using {chosen.variant.name}{latency} within the budget of {budget.latency_ms:.2f} ms.")
    return chosen.variant


def _classifier(
    bundle: Bundle, variant: Variant, settings: Settings, threads: int, announce: Callable[[str], None]
) -> Classifier:
    classifier = Classifier.open(bundle, variant, backend=settings.backend, threads=threads, top_k=settings.top_k)
    for refusal in classifier.refusals:
        announce(f"Fell back to {classifier.backend.name}. {refusal.backend}: {refusal.reason}")
    return classifier


def _describe(backend: Backend) -> str:
    return f"{backend.name} ({backend.version}, {backend.threads} thread{'s' if backend.threads > 1 else ''})"
