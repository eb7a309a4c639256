"""The verdict on a new version: its table of rules, and what must hold for any figures."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.fleet.baseline import Baseline
from edge.fleet.health import Gate, HealthMinute, Verdict, judge
from edge.fleet.health_minute import VariantMinute
from tests.edge.fleet.minutes import OLD, VARIANT, minute, minutes_after, minutes_before

PROFILE = {"profile_p95_ms": {VARIANT: 10.0}}


def verdict(after: list[HealthMinute], before: list[HealthMinute] | None = None, **gate: Any) -> Verdict:
    return judge(minutes_before() if before is None else before, after, Gate(**gate))


def test_a_version_that_fares_as_before_is_ok() -> None:
    assert verdict(minutes_after(30)) == Verdict(outcome="ok")
    assert verdict(minutes_after(30), before=[]) == Verdict(outcome="ok")


def test_it_is_too_early_until_the_window_is_over() -> None:
    assert verdict(minutes_after(29)) == Verdict(outcome="too_early", reasons=("29 of 30 minutes are over",))
    assert verdict([]).outcome == "too_early"


def test_it_is_too_early_with_few_answers_however_bad() -> None:
    found = verdict(minutes_after(30, frames=9, late=9, unknown=9, confidence=0.1))
    assert found.outcome == "too_early"
    assert "270 of 300 answers came" in found.reasons


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"late": 300}, "16.7% of answers were late: 5.0% allowed", id="late"),
        pytest.param({"p95_ms": 19.0}, "the p95 of mobilenet_v1_0.50_160 was 19.0 ms: 18.0 ms allowed", id="p95"),
        pytest.param({"unknown": 700}, "38.9% of answers were unknown, 10.0% before: 20.0% allowed", id="unknown"),
        pytest.param(
            {"confidence": 0.5}, "the mean confidence was 0.500, 0.800 before: at least 0.700", id="confidence"
        ),
        pytest.param({"restarts": 1}, "camera-demo was started again 30 times: 1 allowed", id="restarts"),
        pytest.param(
            {"source_up": 0.0, "frames": 0}, "the camera was there before the switch, and gave no frame", id="camera"
        ),
        pytest.param({"frames": 0}, "there were answers before the switch, and none after it", id="no answers"),
        pytest.param({"refused": "1: no"}, "it could not be loaded: 1: no", id="refused"),
    ],
)
def test_what_is_worse_than_before_is_told(changes: dict[str, Any], reason: str) -> None:
    found = verdict(minutes_after(30, **changes))
    assert found.outcome == "worse"
    assert found.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"late": 300, "frames": 1800},
        {"p95_ms": 30.0},
        {"unknown": 900},
        {"confidence": 0.4},
        {"source_up": 0.0, "frames": 0},
        {"restarts": 1},
    ],
)
def test_what_was_as_bad_before_is_not_held_against_it(changes: dict[str, Any]) -> None:
    assert verdict(minutes_after(30, **changes), before=minutes_before(120, **changes)).outcome != "worse"


def test_what_is_clearly_bad_is_found_before_the_window_is_over() -> None:
    assert verdict(minutes_after(5, late=1800)).outcome == "worse"
    assert verdict(minutes_after(1, refused="1: no")).outcome == "worse"
    assert verdict([minute(0, restarts=1, frames=0, seconds=0.0), minute(0, restarts=1)]).outcome == "worse"


def test_a_new_board_is_judged_by_the_limits_alone() -> None:
    assert verdict(minutes_after(30, unknown=1800, confidence=0.1), before=[]).outcome == "ok"
    assert verdict(minutes_after(30, late=600), before=[]).outcome == "worse"
    assert verdict(minutes_after(30, source_up=0.0, frames=0), before=[]).outcome == "too_early"
    assert verdict(minutes_after(30, p95_ms=21.0, **PROFILE), before=[]).outcome == "worse"
    assert verdict(minutes_after(30, p95_ms=19.0, **PROFILE), before=[]).outcome == "ok"


def test_a_camera_that_goes_later_or_was_away_is_not_the_models_fault() -> None:
    away = {"source_up": 0.0, "frames": 0}
    assert verdict([*minutes_after(10), *minutes_after(20, **away)]).outcome == "ok"
    before = [*minutes_before(120)[:-1], minute(-1, OLD, **away)]
    assert verdict(minutes_after(30, **away), before=before).outcome == "too_early"


def test_a_slow_version_is_not_measured_by_its_own_profile() -> None:
    before = minutes_before(120, frames=0, **PROFILE)
    after = minutes_after(30, p95_ms=30.0, profile_p95_ms={VARIANT: 30.0})
    assert verdict(after, before=before).outcome == "worse"


def test_the_fastest_variants_may_jitter() -> None:
    before = minutes_before(120, p95_ms=0.3, profile_p95_ms={VARIANT: 0.3})
    assert verdict(minutes_after(30, p95_ms=1.2), before=before).outcome == "ok"
    assert verdict(minutes_after(30, p95_ms=1.5), before=before).outcome == "worse"


@pytest.mark.parametrize("changes", [{"hot": True}, {"load_percent": 90.0}])
def test_heat_and_other_load_are_not_held_against_it(changes: dict[str, Any]) -> None:
    slow = {"late": 1800, "p95_ms": 100.0, **changes}
    assert verdict([*minutes_after(20), *minutes_after(15, **slow)]).outcome == "ok"
    assert verdict([*minutes_after(20), *minutes_after(15, **slow)], blames_heat=True).outcome == "worse"
    assert verdict(minutes_after(30, **slow)).outcome == "too_early"


@pytest.mark.parametrize("changes", [{"hot": True}, {"load_percent": 90.0}])
def test_a_board_that_is_always_hot_or_busy_is_judged_all_the_same(changes: dict[str, Any]) -> None:
    before = minutes_before(120, **changes)
    assert verdict(minutes_after(30, **changes), before=before).outcome == "ok"
    assert verdict(minutes_after(30, late=1800, **changes), before=before).outcome == "worse"


def test_a_new_board_that_is_always_busy_is_judged_and_bursts_are_left_out() -> None:
    assert verdict(minutes_after(30, load_percent=180.0, late=1800), before=[]).outcome == "worse"
    bursts = [minute(number, load_percent=150.0, late=1800) for number in range(5)]
    assert verdict([*minutes_after(30, load_percent=20.0), *bursts], before=[]).outcome == "ok"


def test_each_camera_is_compared_with_itself() -> None:
    before = minutes_before(60, camera="door") + minutes_before(60, camera="yard", confidence=0.3)
    same = minutes_after(30, camera="door") + minutes_after(30, camera="yard", confidence=0.3)
    assert verdict(same, before=before).outcome == "ok"
    worse = verdict(minutes_after(30, camera="door", confidence=0.3) + same[30:], before=before)
    assert worse.outcome == "worse"
    assert worse.reasons[0].startswith("door: the mean confidence")


def test_a_scene_that_changes_all_day_leaves_more_room_than_a_still_one() -> None:
    changing = [minute(number, OLD, unknown=1700 if number // 15 % 2 else 100) for number in range(-600, 0)]
    still = minutes_before(600, unknown=900)
    after = minutes_after(30, unknown=1300)
    assert verdict(after, before=changing).outcome == "ok"
    assert verdict(after, before=still).outcome == "worse"


def test_more_frames_of_the_same_minutes_prove_nothing_more() -> None:
    values, weights = [0.2, 0.4] * 30, [100.0] * 60
    few, many = (Baseline.of(values, [w * k for w in weights]).margin([100.0 * k] * 30) for k in (1, 1000))
    assert few == pytest.approx(many)
    assert Baseline.of(values, weights).margin([100.0] * 120) < few


def test_equal_figures_are_rarely_called_worse() -> None:
    """Correlated minutes of one and the same process on both sides: few false alarms in windows looked at six times."""
    chance, alarms = random.Random(5), 0
    for _ in range(40):
        level, series = 0.0, []
        for _ in range(150):
            level = 0.8 * level + chance.gauss(0.0, 0.06)
            series.append(min(1.0, max(0.0, 0.3 + level)))
        made = [
            minute(n - 120, OLD, unknown=round(1800 * share), confidence=1 - share) for n, share in enumerate(series)
        ]
        gate = {"unknown_over_before": 0.0, "confidence_under_before": 0.0}
        alarms += any(
            verdict(made[120:end], before=made[:120], **gate).outcome == "worse" for end in range(125, 151, 5)
        )
    assert alarms <= 4


MINUTES = st.lists(
    st.builds(
        lambda frames, late, unknown, confidence, p95_ms, up, restarts: minute(
            frames=frames,
            late=round(late * frames),
            unknown=round(unknown * frames),
            confidence=confidence if frames else None,
            p95_ms=p95_ms,
            source_up=1.0 if frames else up,
            restarts=restarts,
        ),
        st.sampled_from([0, 5, 600, 1800]),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0.1, 50),
        st.floats(0, 1),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=9,
)
GATES = st.builds(
    Gate, minutes=st.sampled_from([3.0, 8.0]), min_frames=st.sampled_from([1, 2000]), max_restarts=st.just(1)
)


def worsened(one: HealthMinute, data: st.DataObject) -> HealthMinute:
    """The minute with figures that are as good or worse."""
    frames = one.frames
    more = st.integers(0, 1800)
    variants = {
        name: VariantMinute(frames=v.frames, p95_ms=v.p95_ms + data.draw(st.floats(0, 50)))
        for name, v in one.variants.items()
    }
    return replace(
        one,
        late=min(frames, one.late + data.draw(more)),
        unknown=min(frames, one.unknown + data.draw(more)),
        confidence=None if one.confidence is None else max(0.0, one.confidence - data.draw(st.floats(0, 1))),
        variants=variants,
        source_up=one.source_up if frames else one.source_up * data.draw(st.sampled_from([0.0, 0.5, 1.0])),
        restarts=max(one.restarts, data.draw(st.sampled_from([0, 1]))),
        refused=data.draw(st.sampled_from(["", "1: no"])),
    )


@settings(max_examples=40, deadline=None)
@given(before=MINUTES, after=MINUTES, gate=GATES, data=st.data())
def test_worse_figures_never_turn_worse_into_ok(
    before: list[HealthMinute], after: list[HealthMinute], gate: Gate, data: st.DataObject
) -> None:
    first = judge(before, after, gate)
    second = judge(before, [worsened(one, data) for one in after], gate)
    if first.outcome == "worse":
        assert second.outcome != "ok"
    if first.outcome == "too_early":
        assert second.outcome != "ok"


@settings(max_examples=25, deadline=None)
@given(before=MINUTES, after=MINUTES, gate=GATES, data=st.data())
def test_a_stricter_gate_never_finds_less(
    before: list[HealthMinute], after: list[HealthMinute], gate: Gate, data: st.DataObject
) -> None:
    share = data.draw(st.floats(0, 1))
    stricter = replace(
        gate,
        max_late_share=gate.max_late_share * share,
        p95_over_profile=1 + (gate.p95_over_profile - 1) * share,
        unknown_over_before=gate.unknown_over_before * share,
        confidence_under_before=gate.confidence_under_before * share,
        max_restarts=round(gate.max_restarts * share),
    )
    if judge(before, after, gate).outcome == "worse":
        assert judge(before, after, stricter).outcome == "worse"


@settings(max_examples=25, deadline=None)
@given(before=MINUTES, after=MINUTES, gate=GATES)
def test_a_verdict_is_ok_only_of_a_whole_window_with_enough_answers(
    before: list[HealthMinute], after: list[HealthMinute], gate: Gate
) -> None:
    found = judge(before, after, gate)
    if found.outcome == "ok":
        assert sum(one.seconds for one in after) >= 60 * gate.minutes
        assert sum(one.frames for one in after) >= gate.min_frames
    if found.outcome == "worse":
        assert found.reasons
