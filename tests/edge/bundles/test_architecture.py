"""The family's mult-adds and parameters, to the last one."""

from __future__ import annotations

import pytest

from edge.bundles.architecture import BLOCKS, LayerCosts, costs, scaled
from edge.errors import VariantError

# Rounded figures of all 16 variants, counted layer by layer for 1000 classes; rows are α, columns ρ.
MEGA_MACS = {
    1.0: (568.74, 418.12, 290.68, 186.40),
    0.75: (325.40, 239.27, 166.40, 106.77),
    0.5: (149.50, 109.97, 76.52, 49.16),
    0.25: (41.03, 30.21, 21.06, 13.57),
}
CASES = [
    (alpha, resolution, mega)
    for alpha, row in MEGA_MACS.items()
    for resolution, mega in zip((224, 192, 160, 128), row, strict=True)
]


@pytest.mark.parametrize(("alpha", "resolution", "mega"), CASES)
def test_mult_adds_of_every_variant(alpha: float, resolution: int, mega: float) -> None:
    assert round(costs(alpha, resolution, 1000)[0].total / 1e6, 2) == mega


def test_mult_adds_of_the_largest_variant_by_kind() -> None:
    macs, _ = costs(1.0, 224, 1000)
    assert macs == LayerCosts(stem=10_838_016, depthwise=17_385_984, pointwise=539_492_352, classifier=1_024_000)
    assert macs.total == 568_740_352


def test_shares_of_the_largest_variant_are_those_of_table_2() -> None:
    macs, params = costs(1.0, 224, 1000)
    shares = [round(100 * n / macs.total, 2) for n in (macs.pointwise, macs.depthwise, macs.classifier)]
    assert shares == [94.86, 3.06, 0.18]
    convolutions = params.pointwise / (params.total - 2 * 10_944)  # the table leaves out gamma and beta
    assert round(100 * convolutions, 1) == pytest.approx(74.6, abs=0.4)


@pytest.mark.parametrize(
    ("alpha", "parameters"), [(1.0, 4_231_976), (0.75, 2_585_560), (0.5, 1_331_592), (0.25, 470_072)]
)
@pytest.mark.parametrize("resolution", [128, 224])
def test_parameters_depend_on_the_width_alone(alpha: float, parameters: int, resolution: int) -> None:
    assert costs(alpha, resolution, 1000)[1].total == parameters


def test_classes_only_change_the_classifier() -> None:
    (many, many_params), (few, few_params) = costs(0.5, 160, 1000), costs(0.5, 160, 10)
    assert (few.classifier, few_params.classifier) == (512 * 10, 512 * 10 + 10)
    assert many.total - many.classifier == few.total - few.classifier
    assert many_params.total - many_params.classifier == few_params.total - few_params.classifier


def test_the_body_has_thirteen_blocks_and_halves_the_picture_four_times_after_the_stem() -> None:
    assert len(BLOCKS) == 13
    assert [block.stride for block in BLOCKS].count(2) == 4
    assert BLOCKS[-1].stride == 1, "the paper's table has a misprint here"


@pytest.mark.parametrize(("filters", "alpha", "left"), [(32, 0.75, 24), (32, 0.1, 3), (32, 0.01, 1), (64, 1.4, 89)])
def test_channels_round_down_to_one_at_least(filters: int, alpha: float, left: int) -> None:
    assert scaled(filters, alpha) == left


@pytest.mark.parametrize(
    ("alpha", "resolution", "classes"),
    [
        (0, 224, 1000),
        (-0.5, 224, 1000),
        (float("nan"), 224, 1000),
        (float("inf"), 224, 1000),
        (1.0, 0, 1000),
        (1.0, -32, 1000),
        (1.0, 200, 1000),
        (1.0, 224, 0),
    ],
)
def test_impossible_networks_are_refused(alpha: float, resolution: int, classes: int) -> None:
    with pytest.raises(VariantError) as refused:
        costs(alpha, resolution, classes)
    assert str(refused.value) == (
        f"No MobileNet v1 has α={alpha}, ρ={resolution} and {classes} classes: "
        "α must be positive, ρ a multiple of 32, and there must be a class."
    )
