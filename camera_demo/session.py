"""One run of the live demo, from its settings to the summary."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from camera_demo.actions.dispatcher import Actions
from camera_demo.collecting.options import parse_place
from camera_demo.control import Control
from camera_demo.errors import SinkError
from camera_demo.events import Event, Steady
from camera_demo.following import FollowWatcher
from camera_demo.health_recorder import HealthRecorder
from camera_demo.live import USUAL_FPS, Answers
from camera_demo.loading import load
from camera_demo.model_changes import ModelChanges, check_settings
from camera_demo.options import ClassifyOptions
from camera_demo.overlay import draw
from camera_demo.run_state import RunState
from camera_demo.settings import Settings
from camera_demo.sinks import Outputs, Sink, SinkContext, WatcherLeft, open_sink
from camera_demo.sinks.targets import check_targets
from camera_demo.source_id import source_id
from camera_demo.source_status import SourceStatus
from camera_demo.sources import LiveSource, open_source
from camera_demo.sources.default import default_source
from camera_demo.stop import Stop
from camera_demo.summary import Stats
from camera_demo.switching import InUse, is_switchable
from camera_demo.systemd import Notifier
from camera_demo.taught_bundle import TaughtBundle
from camera_demo.unused_settings import announce_unused
from camera_demo.uri import Uri, parse_sink, parse_source
from edge.addresses import redacted
from edge.board.health import Health
from edge.board.sampler import HealthSampler
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.console import progress_bar
from edge.errors import BudgetError, EdgeError
from edge.fleet.health_record import record_file
from edge.inference.backends import Backend
from edge.inference.live_classifier import LiveClassifier
from edge.profiling.profile import LatencyProfile

__all__ = ["run", "show"]

_STDOUT: Final = "-"
_NOT_USED: Final = "{} is not used, but {}, from which it was taught. {}"


def run(settings: Settings, stop: Stop, *, announce: Callable[[str], None]) -> None:
    """Classify what the input shows until it ends or ``stop`` is requested.

    Errors show early: names first, then the bundle, the source and the sinks, and only then is the board
    measured and the model loaded, and tested with the bundle's own pictures.

    Args:
        settings: The settings.
        stop: Ends the run when requested.
        announce: Takes one line for people; at the end, the summary's.

    Raises:
        EdgeError: Anything that is wrong, see :mod:`edge.errors`; the summary of what was done comes first.
    """
    budget, sink_uris, model = _budget(settings), _sink_uris(settings), settings.model
    options, capture_format = settings.classify, settings.capture_format
    source_uri = default_source(announce) if settings.input is None else parse_source(settings.input)
    check_targets(source_uri, sink_uris)
    announce_unused(settings, source_uri, sink_uris, announce)
    parent = open_bundle(model.bundle)
    bundle, installed = _taught(sink_uris, parent, settings, announce)
    camera, topic = settings.name or source_uri.short_name, settings.name or source_id(source_uri)
    run_state, stats, notifier = RunState(SourceStatus(source_uri.name), camera=camera), None, Notifier()
    switches = notifier.is_service if settings.switch_versions is None else settings.switch_versions
    say_misses, recorder = _misses(run_state, announce), None
    if switches:
        recorder = HealthRecorder(record_file(), camera, run_state.source, on_minute=run_state.on_minute)
    if recorder is not None:
        recorder.begin(bundle)
    check_settings(settings, bundle)
    try:
        with contextlib.ExitStack() as opened:
            source = open_source(
                source_uri, run_state.source, capture_format=capture_format, playback=settings.playback
            )
            opened.callback(source.close)
            options = _with_events(options, settings, is_live=source.is_live)
            run_state.announces = options.steady is not None
            opened.enter_context(FollowWatcher(run_state.on_follow))
            if recorder is not None:
                opened.enter_context(recorder)
            outputs = _open_sinks(sink_uris, source, opened, run_state, settings, announce, topic)
            actions = Actions(settings.action, camera)
            opened.callback(actions.close)
            with progress_bar(f"profiling {bundle.name}") as show_progress:

                def progress(stage: str, share: float) -> None:
                    run_state.measuring(stage, share)
                    show_progress(stage, share)

                def loaded(bundle: Bundle) -> tuple[LiveClassifier, LatencyProfile | None]:
                    return load(
                        bundle,
                        model,
                        budget,
                        top_k=options.computed,
                        unknown=options.unknown,
                        thresholds=options.thresholds,
                        progress=progress,
                        announce=announce,
                    )

                try:
                    classifier, profile = loaded(bundle)
                except EdgeError as reason:
                    if bundle is parent:
                        raise
                    announce(_NOT_USED.format(bundle.name, parent.name, reason))
                    bundle = parent
                    classifier, profile = loaded(bundle)
            opened.callback(classifier.close)
            run_state.loaded(Control.of(classifier, bundle, profile, model), bundle)
            if recorder is not None:
                recorder.uses(bundle, profile)
            stats = Stats(backend=_describe(classifier.backend))
            stop.attend()
            notifier.ready(f"classifying {source.name}")
            opened.callback(notifier.stopping)
            on_event = partial(_on_event, outputs, actions, stop)
            answers = Answers(source, classifier, options=options, stop=stop, beat=notifier.beat, on_event=on_event)
            opened.enter_context(HealthSampler(_on_health(answers, run_state, recorder, say_misses)))
            in_use = InUse(bundle=bundle, classifier=classifier, profile=profile)
            changes = ModelChanges(settings, budget, in_use, answers, run_state, recorder)
            if run_state.collector is not None and installed is not None:
                run_state.teacher = changes.teacher(run_state.collector.collection, parent, installed)
                opened.callback(run_state.teacher.close)
            if switches and is_switchable(model.bundle):
                opened.enter_context(changes.switcher(parent))
            show(answers, [outputs], stats, recorder, max_frames=settings.max_frames)
            outputs.close()
    finally:
        for line in stats.summary().lines() if stats else ():
            announce(line)
        say_misses()


def show(
    answers: Answers,
    sinks: Sequence[Sink],
    stats: Stats,
    recorder: HealthRecorder | None = None,
    *,
    max_frames: int | None = None,
) -> None:
    """Count each answer and show it to every sink, until there is none, nobody watches, or ``max_frames`` are shown.

    Raises:
        SourceError: The source broke off.
        SinkError: A sink broke.
        OutputError: A file cannot be written.
        BackendError: The runtime failed.
    """
    with answers:
        for result in answers:
            stats.add(result)
            if recorder is not None:
                recorder.add(result)
            if any(sink.wants_picture for sink in sinks):
                result = replace(result, picture=draw(result))
            try:
                for sink in sinks:
                    sink.show(result)
            except WatcherLeft:
                return
            if stats.frames == max_frames:
                return


def _budget(settings: Settings) -> Budget:
    if settings.fps is not None and settings.budget_ms is not None:
        raise BudgetError("fps and budget_ms say the same thing: give one of them.")
    fps = USUAL_FPS if settings.fps is None and settings.budget_ms is None else settings.fps
    return Budget.of(fps=fps, budget_ms=settings.budget_ms)


def _sink_uris(settings: Settings) -> list[Uri]:
    texts = settings.outputs or ("terminal",)
    uris = [parse_sink(text) for text in texts]
    for number, uri in enumerate(uris):
        if uri in uris[:number]:
            raise SinkError(f"The output {redacted(texts[number])} is named twice: name it once.")
    if settings.headless:
        return [uri for uri in uris if uri.scheme.name != "display"] or [parse_sink("terminal")]
    return uris


def _open_sinks(
    uris: list[Uri],
    source: LiveSource,
    opened: contextlib.ExitStack,
    run_state: RunState,
    settings: Settings,
    announce: Callable[[str], None],
    topic: str,
) -> Outputs:
    writes_data = any(uri.scheme.name == "json" and uri.location == _STDOUT for uri in uris)
    text = sys.stderr if writes_data else sys.stdout
    context = SinkContext(
        rate_hz=source.rate_hz,
        text=text,
        announce=announce,
        run_state=run_state,
        camera=run_state.camera,
        regions=tuple(region.name for region in settings.classify.regions if region.name),
        watched=settings.asked_for,
        topic=topic,
        token=settings.token,
    )
    sinks = []
    for uri in uris:
        sink = open_sink(uri, context, is_live=source.is_live)
        opened.callback(sink.close)
        sinks.append(sink)
    return Outputs(sinks, [uri.name for uri in uris])


def _with_events(options: ClassifyOptions, settings: Settings, *, is_live: bool) -> ClassifyOptions:
    """The options, with events where nothing is said of them: of cameras, and where an action or class is asked for."""
    is_wanted = settings.steady is None and (is_live or bool(settings.action) or bool(settings.watch))
    return replace(options, steady=Steady()) if is_wanted and options.steady is None else options


def _on_event(outputs: Sink, actions: Actions, stop: Stop, event: Event) -> None:
    """Pass an event on: to the actions first, so that a sink that breaks takes none of them with it."""
    actions.on_event(event)
    try:
        outputs.on_event(event)
    except WatcherLeft:
        stop.request()


def _on_health(
    answers: Answers, run_state: RunState, recorder: HealthRecorder | None, say_misses: Callable[[], None]
) -> Callable[[Health], None]:
    """Takes samples of the machine's health, for the page, the record, and a classifier that adapts to heat."""

    def on_health(health: Health) -> None:
        run_state.on_health(health)
        answers.classifier.on_health(health)
        if recorder is not None:
            recorder.on_health(health)
        say_misses()

    return on_health


def _misses(run_state: RunState, announce: Callable[[str], None]) -> Callable[[], None]:
    """Says once of each fixed variant that it misses the budget: one that adapts says so by changing."""
    said: set[Control] = set()

    def say() -> None:
        control = run_state.control
        if control is not None and control not in said and control.is_fixed and (miss := control.miss):
            said.add(control)
            announce(miss.text)

    return say


def _taught(
    sink_uris: Sequence[Uri], parent: Bundle, settings: Settings, announce: Callable[[str], None]
) -> tuple[Bundle, TaughtBundle | None]:
    """What to begin with: the bundle that was asked for, or what it was taught and put to use on the page."""
    places = [uri.location for uri in sink_uris if uri.scheme.name == "collect"]
    if not places:
        return parent, None
    installed = TaughtBundle(parse_place(places[-1])[0], parent, backend=settings.model.backend)
    try:
        taught = installed.in_use()
        if taught is None:
            return parent, installed
        check_settings(settings, taught)
    except EdgeError as reason:
        announce(_NOT_USED.format(installed.name, parent.name, reason))
        return parent, installed
    announce(
        f"Going on with {taught.name}, which was taught from {parent.name} and put to use on the page. Back is on the "
        f"page, or: edge bundle deactivate {taught.name}"
    )
    return taught, installed


def _describe(backend: Backend) -> str:
    return f"{backend.name} ({backend.version}, {backend.threads} thread{'s' if backend.threads > 1 else ''})"
