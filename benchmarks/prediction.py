"""How far predicted latencies are off: measure four of sixteen variants, predict the other twelve.

    python benchmarks/prediction.py                 the published boards
    python benchmarks/prediction.py PROFILE.json... and boards measured here, with all sixteen variants

Every board is predicted four ways: by a plain fit (constant, pointwise and depthwise mult-adds), by the formula alone,
corrected by what the formula leaves over on the other published profiles, and corrected by those of other boards only.
The errors are the mean and the greatest of |predicted / known - 1| over the variants left out; "in bar" is the share
of them within the error bar of the third way. ``--leave K`` also leaves K variants out at random, many times.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.bundles.variant import Variant
from edge.profiling.prediction import choose_among, fit
from edge.profiling.profile import LatencyProfile, load_profile
from edge.profiling.reference_profiles import published_profiles

Times = dict[Variant, float]
CLASSES: Final = 1000
_DRAWS: Final = 200


@dataclass(frozen=True)
class Board:
    """One set of latencies of all variants."""

    name: str
    board: str
    times: Times


@dataclass(frozen=True)
class Errors:
    """Of one prediction, in percent."""

    mean: float
    most: float
    in_bar: float


def board_of(profile: LatencyProfile) -> Board:
    """A profile's means where it was published, else its medians."""
    precision = profile.rows[0].precision or ""
    name = f"{profile.board}, {profile.backend} {precision}"
    figure = "avg" if profile.source else "p50"
    return Board(name, profile.board, {row.variant: row.latency.nearest(figure)[1] for row in profile.rows})


def errors(times: Times, measured: Sequence[Variant], others: Sequence[Times]) -> Errors:
    """Predict what was not measured and hold it against what is known."""
    made = fit({variant: times[variant] for variant in measured}, CLASSES, others)
    left_out = [variant for variant in times if variant not in measured]
    off = [abs(made.ms(variant) / times[variant] - 1) for variant in left_out]
    bars = [made.bar(variant) for variant in left_out]
    inside = [low <= times[v] <= high for v, (low, high) in zip(left_out, bars, strict=True)]
    return Errors(100 * statistics.fmean(off), 100 * max(off), 100 * statistics.fmean(inside))


def plain_error(times: Times, measured: Sequence[Variant]) -> Errors:
    """A least relative squares fit of a constant, pointwise and depthwise mult-adds, and nothing else."""

    def costs(variant: Variant) -> list[float]:
        counts = variant.mult_adds(CLASSES)
        return [1.0, float(counts.pointwise + counts.classifier), float(counts.depthwise)]

    rows = np.array([costs(variant) for variant in measured]) / [[times[variant]] for variant in measured]
    found = np.linalg.lstsq(rows / rows.max(axis=0), np.ones(len(measured)), rcond=None)[0] / rows.max(axis=0)
    off = [abs(float(np.dot(costs(v), found)) / ms - 1) for v, ms in times.items() if v not in measured]
    return Errors(100 * statistics.fmean(off), 100 * max(off), 0.0)


def ways(board: Board, all_boards: Sequence[Board], measured: Sequence[Variant]) -> list[Errors]:
    """The three ways to predict one board."""
    others = [other.times for other in all_boards if other is not board]
    elsewhere = [other.times for other in all_boards if other.board != board.board]
    return [errors(board.times, measured, prior) for prior in ([], others, elsewhere)]


def table(boards: Sequence[Board], published: Sequence[Board], count: int) -> None:
    """Print a line for each board."""
    print(f"measured {count}, mean / greatest error in %")
    print(f"{'board':42} {'plain fit':>10} {'formula':>10} {'corrected':>10} {'other boards':>13} {'in bar':>7}")
    for board in boards:
        chosen = choose_among(list(board.times), count)
        found = ways(board, published, chosen)
        cells = [f"{one.mean:.1f} / {one.most:.0f}" for one in (plain_error(board.times, chosen), *found)]
        print(f"{board.name:42} {cells[0]:>10} {cells[1]:>10} {cells[2]:>10} {cells[3]:>13} {found[1].in_bar:6.0f}%")
    print("measured: " + ", ".join(v.name.removeprefix("mobilenet_v1_") for v in chosen))


def drawn(boards: Sequence[Board], published: Sequence[Board], left_out: int) -> None:
    """Print the mean error over random choices of the variants left out, beside that of the best choice."""
    dice = random.Random(0)
    print(f"\nleft out {left_out} at random, {_DRAWS} draws: mean error in % (corrected)")
    for board in boards:
        count = len(board.times) - left_out
        found: list[float] = []
        while len(found) < _DRAWS:
            chosen = dice.sample(list(board.times), count)
            found.append(ways(board, published, chosen)[1].mean)
        best = ways(board, published, choose_among(list(board.times), count))[1].mean
        print(f"{board.name:48} chosen {best:5.1f}   drawn {statistics.median(found):5.1f}, worst {max(found):6.1f}")


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profiles", type=Path, nargs="*", metavar="PROFILE.json")
    parser.add_argument("--measured", type=int, default=4)
    parser.add_argument("--leave", type=int, nargs="*", default=[], metavar="K")
    options = parser.parse_args()
    published = [board_of(profile) for profile in published_profiles() if profile.source]
    boards = [*published, *(board_of(load_profile(path)) for path in options.profiles)]
    table(boards, published, options.measured)
    for left_out in options.leave:
        drawn(boards, published, left_out)


if __name__ == "__main__":
    main()
