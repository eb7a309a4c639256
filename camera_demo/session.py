"""One run of the live demo, from what was asked for to the summary."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from camera_demo.addresses import redacted
from camera_demo.capture_format import CaptureFormat
from camera_demo.control import AnyClassifier
from camera_demo.errors import SinkError
from camera_demo.loading import load
from camera_demo.loop import ClassifyOptions, LiveLoop
from camera_demo.region import Region
from camera_demo.run_state import RunState
from camera_demo.settings import Settings
from camera_demo.sinks import Sink, SinkContext, open_sink
from camera_demo.smoothing import Smoothing
from camera_demo.source_status import SourceStatus
from camera_demo.sources import Source, open_source
from camera_demo.sources.default import default_source
from camera_demo.stop import Stop
from camera_demo.summary import Stats
from camera_demo.systemd import Notifier
from camera_demo.uri import Uri, parse_sink, parse_source
from edge.board.health import Health
from edge.board.sampler import HealthSampler
from edge.budget import Budget
from edge.bundles.bundle import open_bundle
from edge.bundles.variant import Variant
from edge.control.adaptive import AdaptiveClassifier
from edge.errors import BudgetError
from edge.inference.backends import Backend

__all__ = ["run"]

_STDOUT: Final = "-"
_USUAL_FPS: Final = 30.0


def run(settings: Settings, stop: Stop, *, announce: Callable[[str], None]) -> None:
    """Classify what the input shows until it ends or ``stop`` is requested.

    What is wrong shows early: names first, then the bundle, the source and the sinks, and only then is the board
    measured and the model loaded, and tested with the bundle's own pictures.

    Args:
        settings: What was asked for.
        stop: Ends the run when requested.
        announce: Takes one line for people; at the end, the summary's.

    Raises:
        EdgeError: Anything that is wrong, see :mod:`edge.errors`; the summary of what was done is told first.
    """
    budget, sink_uris, options = _budget(settings), _sink_uris(settings), _classify_options(settings)
    capture_format = _capture_format(settings)
    source_uri = default_source(announce) if settings.input is None else parse_source(settings.input)
    _check_distinct(source_uri, sink_uris)
    bundle = open_bundle(settings.bundle)
    if settings.variant is not None:
        bundle.find(Variant.parse(settings.variant))
    run_state, stats, notifier = RunState(SourceStatus(source_uri.name)), None, Notifier()
    try:
        with contextlib.ExitStack() as opened:
            source = open_source(
                source_uri,
                run_state.source,
                capture_format=capture_format,
                pace=settings.pace,
                loop=settings.loop,
                wait=settings.wait,
            )
            opened.callback(source.close)
            sinks = _open_sinks(sink_uris, source, opened, run_state, settings, announce)
            classifier, control = load(bundle, budget, settings, announce)
            opened.callback(classifier.close)
            opened.enter_context(HealthSampler(_on_health(classifier, run_state)))
            run_state.control, stats = control, Stats(backend=_describe(classifier.backend))
            loop = LiveLoop(
                classifier, sinks, stats, options=options, budget_ms=lambda: control.budget_ms, beat=notifier.beat
            )
            stop.is_attended = True
            notifier.ready(f"classifying {source.name}")
            opened.callback(notifier.stopping)
            loop.run(source, stop, max_frames=settings.max_frames)
    finally:
        for line in stats.summary().lines() if stats else ():
            announce(line)


def _budget(settings: Settings) -> Budget:
    if settings.budget_ms is None:
        return Budget.of(fps=_USUAL_FPS if settings.fps is None else settings.fps)
    if settings.fps is not None:
        raise BudgetError("--fps and --budget-ms say the same thing: give one of them.")
    return Budget(latency_ms=settings.budget_ms)


def _classify_options(settings: Settings) -> ClassifyOptions:
    smoothing = Smoothing(settings.smoothing, settings.top_k) if settings.smoothing else None
    region = None if settings.roi is None else Region.parse(settings.roi)
    return ClassifyOptions(threshold=settings.threshold, smoothing=smoothing, region=region)


def _capture_format(settings: Settings) -> CaptureFormat:
    return CaptureFormat(
        width=settings.input_width,
        height=settings.input_height,
        rate_hz=settings.input_rate,
        codec=settings.input_codec,
        flip=settings.input_flip,
    )


def _sink_uris(settings: Settings) -> list[Uri]:
    texts = settings.outputs or ("terminal",)
    uris = [parse_sink(text) for text in texts]
    for number, uri in enumerate(uris):
        if uri in uris[:number]:
            raise SinkError(f"The output {redacted(texts[number])} is named twice: name it once.")
    if settings.headless:
        return [uri for uri in uris if uri.scheme.name != "display"] or [parse_sink("terminal")]
    return uris


def _check_distinct(source: Uri, sinks: list[Uri]) -> None:
    """Refuse to write a file over the one that is read."""
    for sink in sinks:
        if sink.place and Path(sink.place).is_file() and Path(sink.place).resolve() == Path(source.place).resolve():
            raise SinkError(f"{sink.place} is the input: choose another name for the output.")


def _open_sinks(
    uris: list[Uri],
    source: Source,
    opened: contextlib.ExitStack,
    run_state: RunState,
    settings: Settings,
    announce: Callable[[str], None],
) -> list[Sink]:
    writes_data = any(uri.scheme.name == "json" and uri.place == _STDOUT for uri in uris)
    text = sys.stderr if writes_data else sys.stdout
    context = SinkContext(
        rate_hz=source.rate_hz, text=text, announce=announce, run_state=run_state, token=settings.token
    )
    sinks = []
    for uri in uris:
        sink = open_sink(uri, context, is_live=source.is_live)
        opened.callback(sink.close)
        sinks.append(sink)
    return sinks


def _on_health(classifier: AnyClassifier, run_state: RunState) -> Callable[[Health], None]:
    """Takes looks at the machine, for the page and for a classifier that adapts to heat."""

    def on_health(health: Health) -> None:
        run_state.on_health(health)
        if isinstance(classifier, AdaptiveClassifier):
            classifier.on_health(health)

    return on_health


def _describe(backend: Backend) -> str:
    return f"{backend.name} ({backend.version}, {backend.threads} thread{'s' if backend.threads > 1 else ''})"
