"""Names of variants: what is read, what is printed, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant
from edge.errors import EdgeError, VariantError
from edge.text import shortened

ODD_ALPHAS = (0.125, 1.4, 0.35, 2.0)


@given(
    st.one_of(st.sampled_from(ALPHAS + ODD_ALPHAS), st.floats(0.01, 8)),
    st.integers(1, 40).map(lambda n: 32 * n),
)
def test_every_name_reads_back(alpha: float, resolution: int) -> None:
    variant = Variant(alpha, resolution)
    assert Variant.parse(variant.name) == variant
    assert Variant.parse(str(variant)) == variant


@given(st.text())
def test_any_text_is_a_variant_or_a_clear_error(text: str) -> None:
    try:
        Variant.parse(text)
    except VariantError as refused:
        assert "expected" in str(refused) or "must be" in str(refused)


@pytest.mark.parametrize(
    ("alpha", "name"),
    [
        (1.0, "mobilenet_v1_1.00_160"),
        (0.75, "mobilenet_v1_0.75_160"),
        (0.5, "mobilenet_v1_0.50_160"),
        (0.25, "mobilenet_v1_0.25_160"),
        (1.4, "mobilenet_v1_1.40_160"),
        (0.125, "mobilenet_v1_0.125_160"),
    ],
)
def test_names_have_two_decimals_or_more_where_two_lose_something(alpha: float, name: str) -> None:
    assert Variant(alpha, 160).name == name


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_0.50_160",
        "mobilenet_v1_0.5_160",
        "mobilenet_v1_0.500_160",
        "0.5_160",
        "0.50-160",
        "  0.5-160\n",
    ],
)
def test_short_and_long_names_mean_the_same(name: str) -> None:
    assert Variant.parse(name) == Variant(0.5, 160)


def test_a_whole_width_needs_no_decimals() -> None:
    assert Variant.parse("1_224") == Variant(1.0, 224)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mobilenet_v1",
        "MobileNet_v2_160",
        "mobilenet_v1_0.50",
        "mobilenet_v1_.5_160",
        "mobilenet_v1_-0.5_160",
        "mobilenet_v1_0.5_160_int8",
        "mobilenet_v1_0.50_160.tflite",
        "0.5x160",
        "nan_",
        "0.5_160.0",
        "0.5_" + "1" * 5000,
    ],
)
def test_other_names_are_refused_with_an_example(name: str) -> None:
    with pytest.raises(VariantError) as refused:
        Variant.parse(name)
    assert str(refused.value) == (
        f"'{shortened(name)}' names no variant: expected mobilenet_v1_<α>_<ρ>, e.g. mobilenet_v1_0.50_160."
    )


@pytest.mark.parametrize("alpha", [0.0, -0.5, float("nan"), float("inf")])
def test_impossible_widths_are_refused(alpha: float) -> None:
    with pytest.raises(VariantError) as refused:
        Variant(alpha, 160)
    assert str(refused.value) == f"invalid width multiplier {alpha}: α must be greater than 0, e.g. 0.5."


@pytest.mark.parametrize("resolution", [0, -32, 100, 225])
def test_impossible_resolutions_are_refused(resolution: int) -> None:
    with pytest.raises(VariantError) as refused:
        Variant(0.5, resolution)
    assert str(refused.value) == (
        f"invalid resolution {resolution}: ρ must be a multiple of 32, e.g. 224, 192, 160 or 128."
    )


def test_a_name_of_the_right_form_may_still_be_impossible() -> None:
    with pytest.raises(VariantError, match="invalid resolution 100"):
        Variant.parse("0.5_100")
    with pytest.raises(VariantError, match=r"invalid width multiplier 0\.0"):
        Variant.parse("0_128")


def test_a_bad_name_is_an_edge_error_and_a_value_error() -> None:
    for kind in (EdgeError, ValueError):
        with pytest.raises(kind):
            Variant.parse("resnet50")


def test_costs_are_those_of_the_architecture() -> None:
    assert Variant(1.0, 224).mult_adds(1000).total == 568_740_352
    assert Variant(0.25, 128).parameters(1000).total == 470_072


def test_the_family_has_sixteen_variants() -> None:
    names = {Variant(alpha, resolution).name for alpha in ALPHAS for resolution in RESOLUTIONS}
    assert len(names) == 16
