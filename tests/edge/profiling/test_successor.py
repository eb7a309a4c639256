"""What the next version of a bundle will take, by the profile of the one that runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from edge.bundles.bundle import Bundle
from edge.bundles.manifest import BundledVariant
from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant
from edge.errors import ProfileError
from edge.profiling.profile import LatencyProfile
from edge.profiling.successor import predict_successor
from tests.edge.conftest import make_bundle, make_profile, make_row

NAMES = [Variant(alpha, side).name for alpha in ALPHAS for side in RESOLUTIONS]
CORNERS = [Variant(alpha, side).name for alpha in (1.0, 0.25) for side in (224, 128)]
TIMES = {name: 1.0 + Variant.parse(name).mult_adds(3).total / 1e7 for name in NAMES}


def bundle_of(names: Iterable[str]) -> Bundle:
    return make_bundle(dict.fromkeys(names))


def retrained(bundle: Bundle) -> Bundle:
    """The same networks with other weights."""

    def other(entry: BundledVariant) -> BundledVariant:
        files = tuple(replace(file, sha256=file.sha256[::-1]) for file in entry.artifacts)
        return replace(entry, artifacts=files)

    return replace(bundle, manifest=replace(bundle.manifest, variants=tuple(map(other, bundle.variants))))


def profile_of(names: Iterable[str]) -> LatencyProfile:
    return make_profile({name: TIMES[name] for name in names})


def test_the_same_networks_take_the_same_time() -> None:
    bundle, profile = bundle_of(NAMES), profile_of(NAMES)
    successor = retrained(bundle)
    found = predict_successor(profile, bundle, successor)
    for entry in successor.variants:
        row, old = found.find(entry.variant), profile.find(entry.variant)
        assert row is not None and old is not None
        assert (row.provenance, row.latency, row.model_sha256) == ("predicted", old.latency, entry.artifacts[0].sha256)
    again = predict_successor(found, successor, bundle)
    assert again.rows == tuple(
        replace(again.rows[n], model_sha256=row.model_sha256) for n, row in enumerate(again.rows)
    )
    assert [row.latency for row in again.rows] == [row.latency for row in found.rows]


def test_other_variants_are_predicted_from_those_that_are_known() -> None:
    bundle, profile = bundle_of(CORNERS), profile_of(CORNERS)
    found = predict_successor(profile, bundle, retrained(bundle_of(NAMES)))
    assert [row.variant.name for row in found.rows] == [e.variant.name for e in bundle_of(NAMES).variants]
    for row in found.rows:
        assert row.provenance == "predicted"
        assert row.latency.p95_ms == pytest.approx(TIMES[row.variant.name], rel=0.5)
    none_alike = [name for name in NAMES if name not in CORNERS]
    assert len(predict_successor(profile, bundle, bundle_of(none_alike)).rows) == len(none_alike)


def test_what_cannot_be_predicted_is_left_out() -> None:
    bundle, profile = bundle_of(CORNERS[:2]), profile_of(CORNERS[:2])
    found = predict_successor(profile, bundle, retrained(bundle_of(NAMES)))
    assert sorted(row.variant.name for row in found.rows) == sorted(CORNERS[:2])
    with pytest.raises(ProfileError, match="predict from 2 variants"):
        predict_successor(profile, bundle, bundle_of(CORNERS[2:]))


def test_of_other_networks_only_the_same_are_known() -> None:
    others = ("mobilenet_v2_224", "efficientnet_lite0_300")
    bundle, profile = bundle_of((*CORNERS, others[0])), profile_of(CORNERS)
    profile = replace(profile, rows=(*profile.rows, make_row(others[0], 30.0)))
    found = predict_successor(profile, bundle, retrained(bundle_of((*NAMES, *others))))
    assert {row.variant.name for row in found.rows} == {*NAMES, others[0]}
    with pytest.raises(ProfileError, match="none of its networks has been measured"):
        predict_successor(profile, bundle, bundle_of(others[1:]))


def test_a_network_of_another_shape_is_not_taken_for_the_same() -> None:
    bundle, profile = bundle_of(NAMES[:1]), profile_of(NAMES[:1])
    entry = bundle.variants[0]
    other = replace(entry, mult_adds=2 * entry.mult_adds)
    with pytest.raises(ProfileError):
        predict_successor(profile, bundle, replace(bundle, manifest=replace(bundle.manifest, variants=(other,))))


def test_every_figure_is_a_number() -> None:
    found = predict_successor(profile_of(CORNERS), bundle_of(CORNERS), bundle_of(NAMES))
    assert all(math.isfinite(row.latency.avg_ms) for row in found.rows)
