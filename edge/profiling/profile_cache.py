"""Where this machine keeps the latency profiles it measured, and whether one still speaks of what is at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from edge.board.affinity import default_threads
from edge.board.device import Device, describe
from edge.bundles.bundle import Bundle
from edge.errors import BackendError, EdgeError
from edge.inference.backends import backend_reports, open_backend
from edge.paths import state_folder
from edge.profiling.measure import QUICK, measure
from edge.profiling.prediction import predict
from edge.profiling.profile import LatencyProfile, ProfileRow, load_profile
from edge.profiling.threads import ThreadChoice
from edge.profiling.timing import Effort
from edge.progress import Progress, no_progress

__all__ = ["merged", "misfit", "profile_for", "profile_path", "profiles_folder", "store"]


_TRY_AGAIN_S: Final = 600.0
"""How long a profile that is not valid still serves: a busy machine is not measured at every start."""


def profiles_folder() -> Path:
    """``$XDG_STATE_HOME/mobilenet-edge/profiles``, by default below ``~/.local/state``."""
    return state_folder() / "profiles"


def profile_path(
    bundle: Bundle, backend: str, threads: ThreadChoice, device: Device, folder: Path | None = None
) -> Path:
    """The file of one bundle, backend and thread count on one board."""
    name = f"{device.board_slug}--{bundle.name[:80]}--{backend}-{threads or default_threads()}.json"
    return (folder or profiles_folder()) / name.replace("/", "-")


def profile_for(
    bundle: Bundle,
    *,
    backend: str = "auto",
    threads: ThreadChoice = None,
    folder: Path | None = None,
    effort: Effort = QUICK,
    progress: Progress = no_progress,
    announce: Callable[[str], None] = lambda message: None,
) -> LatencyProfile:
    """This machine's profile of a bundle: the stored one where it fits, else a new measurement, which is stored.

    Args:
        bundle: What the profile is of.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference; None for the default, ``auto`` for each variant's fastest.
        folder: Where profiles are kept; None for :func:`profiles_folder`.
        effort: How long to measure where that is needed.
        progress: Called as a measurement goes on.
        announce: Told why something is measured, and what cannot be stored.

    Raises:
        BackendError: No backend runs a variant.
    """
    device = describe()
    path = profile_path(bundle, backend, threads, device, folder)
    reason = "this machine has no profile of it"
    if path.exists():
        try:
            profile = load_profile(path)
            reason = misfit(profile, bundle, threads, device) or _changed_backend(profile, bundle, backend)
        except EdgeError as error:
            reason = str(error).rstrip(".")
        if not reason:
            return profile
    announce(f"measuring bundle {bundle.name} for a moment, because {reason}")
    profile = measure(bundle, backend=backend, threads=threads, effort=effort, progress=progress)
    store(profile, path, announce)
    return profile


def _changed_backend(profile: LatencyProfile, bundle: Bundle, backend: str) -> str:
    """What runs now, where that is not what was measured: an engine was built since, or does not fit any more."""
    try:
        with closing(open_backend(bundle, bundle.variants[-1].variant, name=backend).backend) as opened:
            name = opened.name
    except BackendError:
        return ""  # measuring tells more of it
    return "" if name == profile.backend else f"the profile was measured with {profile.backend}, and {name} runs now"


def store(profile: LatencyProfile, path: Path, announce: Callable[[str], None]) -> None:
    """Keep a profile; a machine that cannot be written to still gets its measurement."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        profile.save(path)
    except OSError as reason:
        announce(f"the profile is not kept: {reason}")


def merged(path: Path, found: LatencyProfile, bundle: Bundle) -> LatencyProfile | None:
    """A new profile, completed by the one kept at ``path`` where the new one is of a few variants only.

    Rows of the kept profile stay where the new one has none or a prediction, if both were measured validly on the
    same board in the same way; predictions are made anew from all that is measured.

    Returns:
        None if variants are still missing: such a profile is not worth keeping.
    """
    kept = {row.variant: row for row in _kept_rows(path, found, bundle)}
    rows = kept | {r.variant: r for r in found.rows if r.provenance == "measured" or r.variant not in kept}
    whole = replace(found, rows=tuple(rows[e.variant] for e in bundle.variants if e.variant in rows))
    if any(row.provenance == "predicted" for row in whole.rows):
        whole = predict(whole, bundle)
    return whole if len(whole.rows) == len(bundle.variants) else None


def _kept_rows(path: Path, found: LatencyProfile, bundle: Bundle) -> tuple[ProfileRow, ...]:
    """The rows at ``path`` that were measured, or predicted, as those of ``found`` were."""
    try:
        kept = load_profile(path)
    except EdgeError:
        return ()
    alike = ("backend_version", "threads", "frame_size", "cpus", "valid")
    if kept.device.get("board") != found.device.get("board") or not found.valid:
        return ()
    if any(getattr(kept, name) != getattr(found, name) for name in alike):
        return ()
    files = {file.sha256 for entry in bundle.variants for file in entry.artifacts}
    return tuple(row for row in kept.rows if row.model_sha256 in files)


def _age_s(profile: LatencyProfile) -> float:
    """Seconds since the profile was measured; endless where its date is not one."""
    try:
        return (datetime.now(timezone.utc) - datetime.fromisoformat(profile.created)).total_seconds()
    except (ValueError, TypeError):
        return math.inf


def misfit(profile: LatencyProfile, bundle: Bundle, threads: ThreadChoice, device: Device) -> str:
    """Why a profile does not speak of this bundle on this machine; empty when it does."""
    if not profile.valid and _age_s(profile) > _TRY_AGAIN_S:
        return f"the last profile is not valid: {profile.objections[0].rstrip('.')}"
    if profile.device.get("board") != device.board:
        return f"the profile is of another board ({profile.device.get('board')})"
    wanted = None if threads == "auto" else threads or default_threads()
    if profile.threads != wanted:
        return f"the profile is for {_count(profile.threads)}, not {_count(wanted)}"
    versions = [report.detail for report in backend_reports() if report.is_available]
    if profile.backend != "fake" and profile.backend_version not in versions:
        return f"the profile was measured with {profile.backend_version}, which is not installed"
    for entry in bundle.variants:
        row = profile.find(entry.variant)
        if row is None or row.model_sha256 is None or entry.artifact_of(row.model_sha256) is None:
            return f"the profile does not have this bundle's {entry.variant.name}"
    return ""


def _count(threads: int | None) -> str:
    if threads is None:
        return "each variant's own threads"
    return f"{threads} thread{'s' if threads > 1 else ''}"
