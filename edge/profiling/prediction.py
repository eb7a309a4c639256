"""Predict the latency of variants that were not measured from a few that were measured.

The model is t = c + p * pointwise + d * depthwise + a * positions: a constant for each call, a cost for each mult-add
of either kind (a depthwise one costs many times a pointwise one, because its operands are used only once), and a cost
for each position in a layer's output, however few its channels: vector units work on whole registers. It is fitted by
least *relative* squares, so that 10 % of a small variant count as much as 10 % of a large one; no cost is negative, and
a small ridge term divides among the costs what four variants do not determine.

The residuals are similar on all boards (small and narrow layers run less efficiently). So the same formula is fitted to
the published profiles, and the mean of their residuals corrects the prediction; the formula itself counts as one more
board, with residuals of 0. ``benchmarks/prediction.py`` measures the gain.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.architecture import positions
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import ProfileError
from edge.profiling.latency import Latency
from edge.profiling.profile import LatencyProfile, ProfileRow
from edge.profiling.reference_profiles import published_profiles

__all__ = ["LEAST_MEASURED", "Fit", "choose_among", "choose_to_measure", "fit", "predict", "published_times"]

LEAST_MEASURED: Final = 4
"""The number of coefficients of the formula."""

_FIGURES: Final = ("avg_ms", "median_ms", "p90_ms", "p95_ms")
_RIDGE: Final = 0.003
_MOST_CHOICES: Final = 20_000
_TWO_SIDED: Final = 1.96
_LEAST_SPREAD: Final = 0.01

Times = dict[Variant, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The formula fitted to one board."""

    coefficients: tuple[float, float, float, float]
    """Milliseconds for a call, for a million pointwise and depthwise mult-adds, and for a million positions."""
    correction: dict[Variant, float]
    """The mean residual of the published boards, as the logarithm of a factor; 0 for variants not listed."""
    spread: float
    """Standard deviation of the error, as a share of the prediction."""
    classes: int

    def ms(self, variant: Variant) -> float:
        """The prediction for ``variant``."""
        plain = float(_costs([variant], self.classes)[0] @ self.coefficients)
        return plain * math.exp(self.correction.get(variant, 0.0))

    def bar(self, variant: Variant) -> tuple[float, float]:
        """The ends of its error bar: 95 of 100 variants are expected between them."""
        factor = math.exp(_TWO_SIDED * self.spread)
        return self.ms(variant) / factor, self.ms(variant) * factor


def fit(measured: Times, classes: int, published: Sequence[Times] = ()) -> Fit:
    """Fit the formula to the variants measured.

    Args:
        measured: Milliseconds of at least :data:`LEAST_MEASURED` variants.
        classes: Outputs of the classifier.
        published: Milliseconds of other boards; boards that lack a variant of ``measured`` are skipped.

    Raises:
        ProfileError: There are too few variants.
    """
    chosen = list(measured)
    if len(chosen) < LEAST_MEASURED:
        raise ProfileError(f"Cannot predict from {len(chosen)} variants: expected {LEAST_MEASURED} or more.")
    coefficients = _coefficients(measured, classes)
    boards = [times for times in published if all(variant in times for variant in chosen)]
    residuals = [_residuals(times, chosen, classes) for times in boards]
    own = [math.log(ms / float(_costs([v], classes)[0] @ coefficients)) for v, ms in measured.items()]
    spread_here = math.sqrt(sum(error**2 for error in own) / (len(own) - 3))  # the ridge leaves about one free
    spread = max(_LEAST_SPREAD, spread_here, _spread_between(residuals, chosen))
    c, p, d, a = coefficients.tolist()
    return Fit(coefficients=(c, p, d, a), correction=_mean(residuals), spread=spread, classes=classes)


def choose_to_measure(bundle: Bundle) -> list[Variant]:
    """Of a bundle, the MobileNets v1 that determine the others best, see :func:`choose_among`; all other networks."""
    variants = [entry.variant for entry in bundle.variants]
    chosen = choose_among([variant for variant in variants if variant.is_mobilenet_v1])
    return [variant for variant in variants if variant in chosen or not variant.is_mobilenet_v1]


def choose_among(variants: Sequence[Variant], count: int = LEAST_MEASURED) -> list[Variant]:
    """The ``count`` variants that best determine a smooth surface over width and resolution.

    That is the choice with the greatest determinant of the normal equations for 1, log α, log ρ and their product
    (D-optimal design): on a grid, the four corners. Three large variants and a small one would determine the formula
    better, but the formula is not exact, and variants far from these would be predicted badly
    (``benchmarks/prediction.py``). Where there are too many choices to try them all, one is found greedily.
    """
    if len(variants) <= count:
        return list(variants)
    rows = _surface(variants)
    if math.comb(len(variants), count) <= _MOST_CHOICES:
        choices = itertools.combinations(range(len(variants)), count)
        best = list(max(choices, key=lambda choice: _determinant(rows[list(choice)])))
    else:
        best = _greedily(rows, count)
    return [variants[row] for row in sorted(best)]


def predict(profile: LatencyProfile, bundle: Bundle, published: Sequence[Times] | None = None) -> LatencyProfile:
    """Add a row, marked as predicted, for every MobileNet v1 of the bundle that was not measured.

    Earlier predictions are replaced; measured rows stay as they are. Other networks get no row: their names do not tell
    what they cost.

    Args:
        profile: A profile of at least :data:`LEAST_MEASURED` measured MobileNets v1.
        bundle: The bundle that was measured.
        published: Latencies of other boards; None for the profiles that ship.

    Raises:
        ProfileError: Too few variants were measured.
    """
    measured = [row for row in profile.rows if row.provenance == "measured"]
    known = {row.variant for row in measured}
    missing = [e for e in bundle.variants if e.variant.is_mobilenet_v1 and e.variant not in known]
    if not missing:
        return replace(profile, rows=tuple(measured))
    boards = published_times() if published is None else published
    classes = bundle.manifest.classes
    fits = {name: fit(_times(measured, name), classes, boards) for name in _FIGURES}
    threads = statistics.mode(row.num_threads for row in measured)
    rows = {row.variant: row for row in measured}
    for entry in missing:
        rows[entry.variant] = ProfileRow(
            variant=entry.variant,
            latency=_predicted(fits, entry.variant),
            num_threads=threads,
            precision=entry.artifacts[0].precision,
            model_sha256=entry.artifacts[0].sha256,
            provenance="predicted",
        )
    return replace(profile, rows=tuple(rows[entry.variant] for entry in bundle.variants if entry.variant in rows))


def published_times() -> list[Times]:
    """The mean latencies of each profile that ships, in milliseconds."""
    return [{row.variant: row.latency.avg_ms for row in profile.rows} for profile in published_profiles()]


def _costs(variants: Sequence[Variant], classes: int) -> NDArray[np.float64]:
    """(variants, 4): 1, and millions of mult-adds in 1x1 and in depthwise layers and of positions.

    The stem grows with width and area as the depthwise layers do, and counts as one of them.
    """
    rows = []
    for variant in variants:
        costs = variant.mult_adds(classes)
        pointwise, outputs = costs.pointwise + costs.classifier, positions(variant.resolution)
        rows.append((1.0, pointwise / 1e6, costs.depthwise / 1e6, outputs / 1e6))
    return np.asarray(rows, np.float64)


def _coefficients(times: Times, classes: int) -> NDArray[np.float64]:
    """The fit by least relative squares, with no coefficient below 0.

    The ridge weighs each term except the constant by its mean share of the times; the results hardly change when it is
    between a third and ten times of its size.
    """
    values = np.asarray(list(times.values()), np.float64)
    weighted = _costs(list(times), classes) / values[:, None]
    ridge = np.diag(math.sqrt(_RIDGE) * weighted.mean(axis=0))[1:]
    rows, wanted = np.vstack([weighted, ridge]), np.concatenate([np.ones(len(values)), np.zeros(len(ridge))])
    active = list(range(rows.shape[1]))
    while True:
        found = np.linalg.lstsq(rows[:, active], wanted, rcond=None)[0]
        if found.min() >= 0:
            break
        active.pop(int(found.argmin()))
    coefficients = np.zeros(rows.shape[1])
    coefficients[active] = found
    return coefficients


def _residuals(times: Times, chosen: Sequence[Variant], classes: int) -> dict[Variant, float]:
    """The logarithm of each time over the formula's, fitted to the variants ``chosen``."""
    coefficients = _coefficients({variant: times[variant] for variant in chosen}, classes)
    plain = _costs(list(times), classes) @ coefficients
    return {variant: math.log(ms / base) for (variant, ms), base in zip(times.items(), plain, strict=True)}


def _mean(residuals: Sequence[dict[Variant, float]]) -> dict[Variant, float]:
    """The mean over the boards and one more whose residuals are 0."""
    variants = dict.fromkeys(variant for board in residuals for variant in board)
    return {v: sum(board.get(v, 0.0) for board in residuals) / (len(residuals) + 1) for v in variants}


def _spread_between(residuals: Sequence[dict[Variant, float]], chosen: Sequence[Variant]) -> float:
    """The root mean square of the residuals of each board after correction by the others."""
    errors = []
    for number, board in enumerate(residuals):
        correction = _mean([*residuals[:number], *residuals[number + 1 :]])
        errors += [value - correction.get(v, 0.0) for v, value in board.items() if v not in chosen]
    return math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else 0.0


def _surface(variants: Sequence[Variant]) -> NDArray[np.float64]:
    """(variants, 4): 1, log α, log ρ and their product, each between -1 and 1."""
    logs = np.log([(variant.alpha, variant.resolution) for variant in variants])
    middle, half = (logs.max(axis=0) + logs.min(axis=0)) / 2, (logs.max(axis=0) - logs.min(axis=0)) / 2
    alpha, resolution = ((logs - middle) / np.where(half > 0, half, 1.0)).T
    return np.stack([np.ones(len(variants)), alpha, resolution, alpha * resolution], axis=1)


def _determinant(rows: NDArray[np.float64]) -> float:
    """Of the normal equations; a little of the unit matrix makes choices differ where there is only one α or one ρ."""
    return float(np.linalg.det(rows.T @ rows + 1e-6 * np.eye(rows.shape[1])))


def _greedily(rows: NDArray[np.float64], count: int) -> list[int]:
    """Indices of ``count`` rows, each the one that adds most to those before it."""
    chosen: list[int] = []
    while len(chosen) < count:
        rest = [row for row in range(len(rows)) if row not in chosen]
        chosen.append(max(rest, key=lambda row: _determinant(rows[[*chosen, row]])))
    return chosen


def _times(rows: Sequence[ProfileRow], name: str) -> Times:
    return {row.variant: getattr(row.latency, name) for row in rows if row.variant.is_mobilenet_v1}


def _predicted(fits: dict[str, Fit], variant: Variant) -> Latency:
    """Every figure by its own fit, in rising order, with the error bars of the median and the p95."""
    figures: dict[str, Any] = {name: one.ms(variant) for name, one in fits.items()}
    for lower, upper in itertools.pairwise(("median_ms", "p90_ms", "p95_ms")):
        figures[upper] = max(figures[upper], figures[lower])
    for name in ("median", "p95"):
        value, (low, high) = figures[f"{name}_ms"], fits[f"{name}_ms"].bar(variant)
        figures |= {f"{name}_low_ms": min(low, value), f"{name}_high_ms": max(high, value)}
    return Latency(**{name: round(value, 4) for name, value in figures.items()})
