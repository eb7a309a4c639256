"""This machine's own latency profiles: measured once, stored, and measured again when they no longer apply."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from edge.board.affinity import default_threads
from edge.board.device import Device, describe
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.errors import BackendError, EdgeError, OutputError, ProfileError
from edge.files import writing
from edge.inference.backends import open_backend
from edge.locks import locked
from edge.paths import AnyPath, is_there, state_folder
from edge.profiling.equals import take_from_equal
from edge.profiling.measure import QUICK, measure
from edge.profiling.prediction import LEAST_MEASURED, choose_to_measure, predict
from edge.profiling.profile import LatencyProfile, ProfileRow, load_profile
from edge.profiling.staleness import stale_reason
from edge.profiling.threads import ThreadChoice
from edge.profiling.timing import StopRule
from edge.progress import Progress, no_progress

__all__ = ["merged", "profile", "profile_path", "profiles_folder", "stored_profile"]

_LOCK: Final = "measuring.lock"
_ACTS: Final = ("measuring", "checking an equal board's profile of")


def profiles_folder() -> Path:
    """``$XDG_STATE_HOME/mobilenet-edge/profiles``, by default below ``~/.local/state``."""
    return state_folder() / "profiles"


def profile_path(bundle: Bundle, backend: str, threads: ThreadChoice, device: Device) -> Path:
    """The file of one bundle, backend and thread count on one board."""
    name = f"{device.board_slug}--{bundle.name[:80]}--{backend}-{threads or default_threads()}.json"
    return profiles_folder() / name.replace("/", "-")


def profile(
    bundle: Bundle | AnyPath,
    *,
    variants: Sequence[Variant | str] = (),
    backend: str = "auto",
    threads: ThreadChoice = None,
    stop: StopRule = QUICK,
    sustained_s: float = 0.0,
    predict_rest: bool = False,
    like: AnyPath | None = None,
    refresh: bool = False,
    keep: bool = True,
    progress: Progress = no_progress,
    announce: Callable[[str], None] = lambda message: None,
) -> LatencyProfile:
    """This board's latency profile of a bundle: the stored one while it is valid for it, else a new measurement.

    Args:
        bundle: An opened bundle, or what :func:`edge.bundles.bundle.open_bundle` opens.
        variants: The variants that the profile must have; empty for all.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference; None for the default, ``auto`` for each variant's fastest.
        stop: When to stop measuring: ``QUICK`` or ``THOROUGH`` of :mod:`edge.profiling.measure`.
        sustained_s: Seconds to keep running after the measurement, to record the effect of heat.
        predict_rest: Whether to measure only ``variants``, or four representative ones, and to estimate the others.
        like: A profile of an equal board to take instead of measuring, or a folder of profiles: a path or
            ``https://...``; three variants are measured to check it. The other ways to measure do not go with it.
        refresh: Whether to measure even if a stored profile could be used.
        keep: Whether to store a new measurement for the next time.
        progress: Called with the stage and the share done, 0 to 1.
        announce: Called with why something is measured, why a profile that is used is not valid, and what is not
            stored and why.

    Raises:
        BackendError: No backend runs a variant.
        BundleError: The bundle cannot be opened, or does not have a variant.
        ProfileError: Too few variants are named to estimate the others from; or the profile of the equal board cannot
            be used.
        UnequalBoardError: There is no profile of an equal board, or this one is faster or slower than that.
        DownloadError: That profile cannot be fetched.
    """
    if like is not None and (variants or predict_rest or sustained_s):
        raise ProfileError(
            "A profile of an equal board is taken whole: name no variants, no prediction, no sustained run."
        )
    bundle, device = open_bundle(bundle), describe()
    named = [bundle.find(Variant.parse(variant)).variant for variant in variants]
    path = profile_path(bundle, backend, threads, device)

    usable = partial(_usable, path, bundle, backend, threads, device, named)

    def measured() -> LatencyProfile:
        if like is not None:
            taken = take_from_equal(bundle, str(like), backend=backend, threads=threads, progress=progress)
            if keep:
                _store(taken, taken, bundle, path, announce)
            return taken
        chosen = _representative(bundle, named) if predict_rest else named
        made = measure(
            bundle,
            variants=chosen,
            backend=backend,
            threads=threads,
            stop=stop,
            sustained_s=sustained_s,
            progress=progress,
        )
        made = predict(made, bundle) if predict_rest else made
        if keep:
            _store(merged(path, made, bundle), made, bundle, path, announce)
        return made

    found, reason = (None, "") if refresh else usable()
    if found is None:
        with _alone(announce) as has_waited:
            if has_waited and not refresh:
                found, reason = usable()
            if found is None and not refresh:
                announce(f"{_ACTS[like is not None]} bundle {bundle.name} for a moment, because {reason}")
            found = measured() if found is None else found
    if not refresh:
        _announce_objections(found, announce)
    return found


def stored_profile(bundle: Bundle, *, backend: str = "auto", threads: ThreadChoice = None) -> LatencyProfile | None:
    """This board's stored profile of a bundle; None where there is none that can be used. Measures nothing."""
    device = describe()
    return _usable(profile_path(bundle, backend, threads, device), bundle, backend, threads, device, ())[0]


def _usable(
    path: Path, bundle: Bundle, backend: str, threads: ThreadChoice, device: Device, variants: Collection[Variant]
) -> tuple[LatencyProfile | None, str]:
    """The stored profile, or why there is none that can be used."""
    if not is_there(path, Path.exists):
        return None, "this machine has no profile of it"
    try:
        stored = load_profile(path)
        reason = stale_reason(stored, bundle, threads, device, variants)
        reason = reason or _changed_backend(stored, bundle, backend)
    except EdgeError as error:
        return None, str(error).rstrip(".")
    return (None, reason) if reason else (stored, "")


@contextmanager
def _alone(announce: Callable[[str], None]) -> Iterator[bool]:
    """Keep other programs from measuring meanwhile: each would make the other's figures too high.

    Yields:
        Whether another one measured first, and may have stored what is needed.
    """
    waited: list[bool] = []

    def on_wait() -> None:
        waited.append(True)
        announce("another program measures this machine: waiting for it.")

    with ExitStack() as opened:
        with suppress(OutputError):  # nothing can be written: then nothing is stored either
            opened.enter_context(locked(state_folder() / _LOCK, on_wait))
        yield bool(waited)


def _representative(bundle: Bundle, named: list[Variant]) -> list[Variant]:
    """The variants to estimate the others from."""
    known, all_of_them = (
        {variant for variant in variants if variant.is_mobilenet_v1}
        for variants in (named, [entry.variant for entry in bundle.variants])
    )
    if named and len(known) < min(LEAST_MEASURED, len(all_of_them)):
        raise ProfileError(
            f"{LEAST_MEASURED} MobileNet v1 variants are needed to estimate the others: name more, or none."
        )
    return named or choose_to_measure(bundle)


def _changed_backend(profile: LatencyProfile, bundle: Bundle, backend: str) -> str:
    """What runs now, where that is not what was measured: an engine was built since, or does not fit any more."""
    try:
        with closing(open_backend(bundle, bundle.variants[-1].variant, name=backend).backend) as opened:
            name = opened.name
    except BackendError:
        return ""  # the measurement reports it
    return "" if name == profile.backend else f"the profile was measured with {profile.backend}, and {name} runs now"


def _announce_objections(profile: LatencyProfile, announce: Callable[[str], None]) -> None:
    for objection in profile.objections:
        announce(f"the profile is not valid: {objection}")


def _store(
    whole: LatencyProfile | None,
    found: LatencyProfile,
    bundle: Bundle,
    path: Path,
    announce: Callable[[str], None],
) -> None:
    """Store a profile, or announce why not: it is of a few variants, or the machine cannot be written to."""
    if whole is None:
        announce(
            f"the profile is not stored: it has {len(found.rows)} of {len(bundle.variants)} variants, and no stored "
            "profile that was measured in the same way has the others. Measure all variants once."
        )
        return
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        whole.save(path)
    except OSError as reason:
        announce(f"the profile is not stored: {reason}")


def merged(path: Path, found: LatencyProfile, bundle: Bundle) -> LatencyProfile | None:
    """A new profile of some variants, completed by the one stored at ``path``.

    Stored rows stay where the new profile has none or a prediction, if both were measured on the same board in the same
    way and are valid; predictions are made again from all measured rows.

    Returns:
        None if variants are still missing: such a profile is not stored.
    """
    kept = {row.variant: row for row in _kept_rows(path, found, bundle)}
    rows = kept | {r.variant: r for r in found.rows if r.provenance == "measured" or r.variant not in kept}
    whole = replace(found, rows=tuple(rows[e.variant] for e in bundle.variants if e.variant in rows))
    if any(row.provenance == "predicted" for row in whole.rows):
        whole = predict(whole, bundle)
    return whole if len(whole.rows) == len(bundle.variants) else None


def _kept_rows(path: Path, found: LatencyProfile, bundle: Bundle) -> tuple[ProfileRow, ...]:
    """The rows at ``path``, if they were measured in the same way as those of ``found``."""
    try:
        kept = load_profile(path)
    except EdgeError:
        return ()
    alike = ("backend_version", "threads", "frame_size", "cpus", "valid")
    if kept.device.board != found.device.board or kept.equal is not None or not found.valid:
        return ()
    if any(getattr(kept, name) != getattr(found, name) for name in alike):
        return ()
    files = {file.sha256 for entry in bundle.variants for file in entry.artifacts}
    return tuple(row for row in kept.rows if row.model_sha256 in files)
