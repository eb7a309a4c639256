"""Whether a stored profile still tells what variants take on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from datetime import datetime
from typing import Final

import psutil

from edge.board.affinity import default_threads
from edge.board.device import Device
from edge.board.health import objections, read_health
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.inference.backends import backend_reports
from edge.profiling.profile import LatencyProfile
from edge.profiling.threads import ThreadChoice

__all__ = ["stale_reason"]

_KEPT_S: Final = 3600.0
"""A profile that is not valid is used for this long without another try: a measurement takes a while at every start."""


def _is_worth_another_try(profile: LatencyProfile) -> bool:
    """Whether a profile that is not valid may turn out better now.

    That is an hour later, or after the machine was started again, and if the machine is calm now: one that is always
    busy is not measured at every start.
    """
    try:
        created_s = datetime.fromisoformat(profile.created).timestamp()
    except ValueError:
        created_s = -math.inf
    if created_s >= max(time.time() - _KEPT_S, psutil.boot_time()):
        return False
    now = read_health()
    return not objections(now, now, now.load_percent)


def stale_reason(
    profile: LatencyProfile,
    bundle: Bundle,
    threads: ThreadChoice,
    device: Device,
    variants: Collection[Variant] = (),
) -> str:
    """Why a profile cannot be used for these variants, or all, of a bundle on this machine; empty when it can."""
    if not profile.valid and _is_worth_another_try(profile):
        return f"the last profile is not valid: {profile.objections[0].rstrip('.')}"
    if profile.device.board != device.board:
        return f"the profile is of another board ({profile.device.board})"
    wanted = None if threads == "auto" else threads or default_threads()
    if profile.threads != wanted:
        return f"the profile is for {_count(profile.threads)}, not {_count(wanted)}"
    versions = [report.detail for report in backend_reports() if report.is_available]
    if profile.backend != "fake" and profile.backend_version not in versions:
        return f"the profile was measured with {profile.backend_version}, which is not installed"
    for entry in bundle.variants:
        if variants and entry.variant not in variants:
            continue
        row = profile.find(entry.variant)
        if row is None or row.model_sha256 is None or entry.artifact_of(row.model_sha256) is None:
            return f"the profile does not have this bundle's {entry.variant.name}"
    return ""


def _count(threads: int | None) -> str:
    if threads is None:
        return "each variant's own threads"
    return f"{threads} thread{'s' if threads > 1 else ''}"
