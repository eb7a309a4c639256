"""Measure the latency of every variant of a bundle on this machine, from a frame to its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Final

from edge.board.affinity import big_cpus, bound, default_threads, most_threads
from edge.board.cpu_load import LoadMeter
from edge.board.device import Device, describe
from edge.board.health import Health, objections, read_health
from edge.board.memory import forget_peak, peak_rss_mb
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.inference.classifier import Classifier
from edge.profiling.energy import energy_mj
from edge.profiling.profile import HeatPoint, LatencyProfile, ProfileRow
from edge.profiling.sustained_run import sustained_run
from edge.profiling.threads import ThreadChoice, fastest_threads
from edge.profiling.timing import FRAME_SIZE, Samples, StopRule, run_rounds, timing_frames
from edge.progress import Progress, no_progress, part_of
from edge.vision.preprocess import Frame

__all__ = ["QUICK", "THOROUGH", "Machine", "measure"]


QUICK: Final = StopRule(least_rounds=4, most_s=10.0, precision=0.05)
THOROUGH: Final = StopRule()

_LOADED: Final = 0.2
"""The share of the progress that loading takes."""


def _look() -> Health:
    return read_health(load_percent=lambda: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The functions that a measurement reads the machine with; tests replace them."""

    describe: Callable[[], Device] = describe
    health: Callable[[], Health] = read_health
    load_meter: Callable[[], Callable[[], float | None]] = lambda: LoadMeter().percent
    """Starts to measure the work of other processes, and returns the function that gives the percentage."""
    big_cpus: Callable[[], Sequence[int]] = big_cpus
    look: Callable[[], Health] = _look
    """As :attr:`health`, but immediate and without the load: for use while frames are classified."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The cost of loading a variant alone and of its first run."""

    threads: int
    init_ms: float
    first_ms: float
    peak_rss_mb: float


def measure(
    bundle: Bundle,
    *,
    variants: Sequence[Variant] = (),
    backend: str = "auto",
    threads: ThreadChoice | Mapping[Variant, int] = None,
    stop: StopRule = THOROUGH,
    sustained_s: float = 0.0,
    progress: Progress = no_progress,
    machine: Machine = Machine(),
) -> LatencyProfile:
    """Time every variant on frames of 640x480.

    On a board with slower and faster CPUs the process is bound to the faster ones during the measurement.

    Args:
        bundle: The bundle to measure.
        variants: The variants to measure; empty for all.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference, the same for all or by variant; ``auto`` tries out each one's fastest count.
        stop: When to stop measuring.
        sustained_s: Seconds to keep running afterwards, to record the effect of heat.
        progress: Called with the stage and the share done, 0 to 1.
        machine: The machine to read.

    Raises:
        BackendError: No backend runs a variant.
    """
    chosen = [bundle.find(v).variant for v in dict.fromkeys(variants)] or [entry.variant for entry in bundle.variants]
    frames, before = timing_frames(), machine.health()
    points: tuple[HeatPoint, ...] = ()
    warm_ms: Mapping[Variant, float] = {}
    with bound(machine.big_cpus()) as cpus, ExitStack() as stack:
        for variant in chosen:  # loads the runtime and tries the file in a child process, which counts towards nothing
            progress(f"opening {variant.name}", 0.0)
            _open(bundle, variant, backend, 1).close()
        load = machine.load_meter()
        loaded = _load_each(bundle, chosen, backend, threads, frames, progress)
        opened = {v: stack.enter_context(_open(bundle, v, backend, loaded[v].threads)) for v in chosen}
        timed = run_rounds(opened, frames, stop, progress=part_of(progress, _LOADED, 1 - _LOADED))
        load_percent, after = load(), machine.health()
        energy = _energy(opened, frames, machine) if stop is not QUICK and after.power_w is not None else {}
        if sustained_s > 0:
            points, warm_ms = sustained_run(opened, frames, sustained_s, machine.look, progress=progress)
        rows = [
            _row(bundle, opened[v], timed[v], loaded[v], sustained_p95_ms=warm_ms.get(v), energy_mj=energy.get(v))
            for v in chosen
        ]
        first = opened[chosen[0]].backend
    doubts = objections(before, after, load_percent)
    return LatencyProfile(
        bundle=bundle.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        device=machine.describe(),
        backend=first.name,
        backend_version=first.version,
        threads=None if threads == "auto" or isinstance(threads, Mapping) else threads or default_threads(),
        frame_size=FRAME_SIZE,
        cpus=cpus,
        before=before,
        after=after,
        load_percent=load_percent,
        valid=not doubts,
        objections=doubts,
        sustained=points,
        rows=tuple(rows),
    )


def _open(bundle: Bundle, variant: Variant, backend: str, threads: int) -> Classifier:
    return Classifier(bundle, variant, backend=backend, threads=threads)


def _load_each(
    bundle: Bundle,
    variants: Sequence[Variant],
    backend: str,
    threads: ThreadChoice | Mapping[Variant, int],
    frames: Sequence[Frame],
    progress: Progress,
) -> dict[Variant, _Loaded]:
    """Load every variant alone, with the threads that it will have."""
    loaded = {}
    for number, variant in enumerate(variants):
        progress(f"loading {variant.name}", _LOADED * number / len(variants))
        open_with = partial(_open, bundle, variant, backend)
        if threads == "auto":
            count = fastest_threads(open_with, frames, most_threads())
        else:
            count = threads[variant] if isinstance(threads, Mapping) else threads or default_threads()
        loaded[variant] = _load(open_with, count, frames)
    return loaded


def _load(open_with: Callable[[int], Classifier], threads: int, frames: Sequence[Frame]) -> _Loaded:
    """Load a variant while no other is loaded, so that nothing else counts towards its memory."""
    forget_peak()
    start_s = time.perf_counter()
    with open_with(threads) as classifier:
        loaded_s = time.perf_counter()
        first = classifier.classify(frames[0])
        return _Loaded(threads, 1e3 * (loaded_s - start_s), first.total_ms, peak_rss_mb())


def _energy(opened: Mapping[Variant, Classifier], frames: Sequence[Frame], machine: Machine) -> dict[Variant, float]:
    found = {v: energy_mj(partial(c.classify, frames[0]), lambda: machine.look().power_w) for v, c in opened.items()}
    return {variant: millijoules for variant, millijoules in found.items() if millijoules is not None}


def _row(
    bundle: Bundle,
    classifier: Classifier,
    timed: Samples,
    loaded: _Loaded,
    *,
    sustained_p95_ms: float | None,
    energy_mj: float | None,
) -> ProfileRow:
    artifact = bundle.find(classifier.variant).artifact_of(classifier.model_sha256)
    conditions = classifier.backend.conditions
    return ProfileRow(
        variant=classifier.variant,
        latency=timed.latency(init_ms=loaded.init_ms, warmup_first_ms=loaded.first_ms),
        num_threads=loaded.threads,
        precision=artifact.precision if artifact else None,
        model_sha256=classifier.model_sha256,
        preprocess_ms=round(timed.stage_ms("preprocess_ms"), 4),
        infer_ms=round(timed.stage_ms("infer_ms"), 4),
        top_k_ms=round(timed.stage_ms("top_k_ms"), 4),
        cpu_ms=round(timed.cpu_ms, 4),
        peak_rss_mb=round(loaded.peak_rss_mb, 1),
        sustained_p95_ms=sustained_p95_ms,
        energy_mj=energy_mj,
        includes_transfers=conditions.includes_transfers,
        cuda_graph=conditions.cuda_graph,
        provenance="measured",
    )
