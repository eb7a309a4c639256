"""A profile that was measured on an equal board, taken for this one after three of its variants were measured here.

How far equal boards may differ is set by how well a short measurement repeats. The medians of six on one machine
differed by 2 to 5 % (``docs/latency.md``); the tolerance is twice that. Another governor, power mode or clock, and a
board that is held back by heat, make more of a difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Final

from edge.bundles.bundle import Bundle
from edge.errors import ProfileError, UnequalBoardError
from edge.profiling.comparison import Pair, compare
from edge.profiling.conditions import conditions_here
from edge.profiling.equal_board import EqualBoard
from edge.profiling.measure import QUICK, Machine, measure
from edge.profiling.profile import LatencyProfile, ProfileRow
from edge.profiling.profile_folder import find_equal
from edge.profiling.threads import ThreadChoice
from edge.profiling.timing import StopRule
from edge.progress import Progress, no_progress

__all__ = ["TOLERANCE", "choose_to_check", "take_from_equal"]

TOLERANCE: Final = 0.10
"""How much a median may differ between equal boards, as a share."""


def take_from_equal(
    bundle: Bundle,
    place: str,
    *,
    backend: str = "auto",
    threads: ThreadChoice = None,
    stop: StopRule = QUICK,
    progress: Progress = no_progress,
    machine: Machine = Machine(),
) -> LatencyProfile:
    """The profile of an equal board, if three of its variants take as long here.

    What depends on the place where a board is mounted, its sustained run, is left out.

    Args:
        bundle: The bundle.
        place: A profile or a folder of them, by path or ``https://...``.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference.
        stop: When to stop the check.
        progress: Called with the stage and the share done, 0 to 1.
        machine: The machine to read.

    Returns:
        The profile, marked as measured on an equal board, with what the check has found.

    Raises:
        UnequalBoardError: There is no profile of an equal board, or this board is faster or slower.
        ProfileError: The profile is damaged, not valid, or itself taken from another board.
        DownloadError: It cannot be fetched.
        BackendError: No backend runs a variant.
    """
    here = conditions_here(bundle, backend=backend, threads=threads, machine=machine)
    profile, host, where = find_equal(place, here, bundle)
    rows = choose_to_check(profile)
    counts = {row.variant: row.num_threads or 1 for row in rows}
    found = measure(
        bundle, variants=list(counts), backend=backend, threads=counts, stop=stop, progress=progress, machine=machine
    )
    pairs = compare(profile, replace(found, threads=profile.threads), force=True).pairs
    _refuse_unequal(pairs, host, found)
    return replace(
        profile,
        device=machine.describe(),
        host=None,
        equal=EqualBoard(
            host=host,
            place=where,
            checked=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            tolerance=TOLERANCE,
            ratios={pair.variant.name: round(pair.ratio, 4) for pair in pairs},
        ),
        sustained=(),
        rows=tuple(replace(row, sustained_p95_ms=None) for row in profile.rows),
    )


def choose_to_check(profile: LatencyProfile) -> list[ProfileRow]:
    """The fastest and the slowest measured variant, and the one nearest to the middle of the two, as a ratio.

    Raises:
        ProfileError: None was measured.
    """
    rows = sorted((row for row in profile.rows if row.provenance == "measured"), key=_median_ms)
    if not rows:
        raise ProfileError("Nothing in that profile was measured: expected the profile of an equal board.")
    middle_ms = math.sqrt(_median_ms(rows[0]) * _median_ms(rows[-1]))
    between = min(rows[1:-1], default=rows[0], key=lambda row: abs(math.log(_median_ms(row) / middle_ms)))
    return list({row.variant: row for row in (rows[0], between, rows[-1])}.values())


def _median_ms(row: ProfileRow) -> float:
    return row.latency.median_ms or row.latency.avg_ms


def _refuse_unequal(pairs: Sequence[Pair], host: str, found: LatencyProfile) -> None:
    """Refuse boards of which one is faster.

    Raises:
        UnequalBoardError: A ratio is out of tolerance; the message says the furthest.
    """
    worst = max(pairs, key=lambda pair: abs(math.log(pair.ratio)))
    if abs(math.log(worst.ratio)) <= math.log1p(TOLERANCE):
        return
    doubt = f" This board was not at rest: {found.objections[0]}" if found.objections else ""
    raise UnequalBoardError(
        f"This board is not an equal of {host}: {worst.variant.name} takes {worst.second_ms:.2f} ms here and "
        f"{worst.first_ms:.2f} ms there, {worst.ratio:.2f} times as long, expected 1 ± {100 * TOLERANCE:.0f} %.{doubt}"
    )
