"""Holding a budget: down at once, up with patience, never to and fro."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.board.health import Health
from edge.budget import Budget
from edge.bundles.variant import Variant
from edge.control.backoff import SHORTEST_S
from edge.control.controller import Controller
from edge.control.decision import Change, FrameTime, Observation, Pin, Release, decide
from edge.errors import NoVariantFits, VariantError
from edge.operating_points import OperatingPoint

BIG, MIDDLE, SMALL, TINY = (Variant(1.0, 224), Variant(0.75, 192), Variant(0.5, 160), Variant(0.25, 128))
POINTS = tuple(
    OperatingPoint(variant=variant, p95_ms=p95_ms, score=score)
    for variant, p95_ms, score in ((BIG, 30.0, 70.0), (MIDDLE, 15.0, 67.0), (SMALL, 7.0, 60.0), (TINY, 2.0, 41.0))
)
P95_MS = {point.variant: point.p95_ms for point in POINTS}
BUDGET = Budget(latency_ms=33.0)
HOT, COOL = Health(temperature_c=79.0, limit_c=80.0), Health(temperature_c=60.0, limit_c=80.0)


@dataclass
class Board:
    """A simulated board: frames at a steady rate, each as slow as ``slowdown`` says for its time."""

    slowdown: Callable[[float], float] = lambda now_s: 1.0
    controller: Controller = field(default_factory=lambda: Controller(POINTS, BUDGET))
    fps: float = 30.0
    now_s: float = 1000.0
    noise: Callable[[], float] = lambda: 1.0
    changes: list[Change] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    """When frames were late."""

    def note(self, change: Change | None) -> Change | None:
        self.changes += [change] if change else []
        return change

    def frame(self) -> Change | None:
        variant = self.controller.variant
        took_ms = self.slowdown(self.now_s) * P95_MS[variant] * self.noise()
        self.now_s += max(1 / self.fps, took_ms / 1000)
        if took_ms > self.controller.state.budget.latency_ms:
            self.late_s.append(self.now_s)
        return self.note(self.controller.on_frame(variant, took_ms, self.now_s))

    def run(self, seconds: float) -> Board:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.frame()
        return self

    def feel(self, health: Health) -> Change | None:
        return self.note(self.controller.on_health(health, self.now_s))

    def path(self) -> list[Variant]:
        return [change.after for change in self.changes]


def load(start_s: float, end_s: float, times: float) -> Callable[[float], float]:
    return lambda now_s: times if start_s <= now_s - 1000 < end_s else 1.0


class TestStart:
    @pytest.mark.parametrize(
        ("budget_ms", "variant"), [(100, BIG), (30, BIG), (29.9, MIDDLE), (7, SMALL), (2, TINY), (0.1, TINY)]
    )
    def test_is_the_best_variant_in_time_by_its_profile_or_the_fastest(
        self, budget_ms: float, variant: Variant
    ) -> None:
        controller = Controller(POINTS, Budget(latency_ms=budget_ms))
        assert controller.variant == variant
        assert controller.is_holding == (budget_ms >= 2)
        assert (controller.state.slowdown, controller.state.expected_p95_ms) == (1.0, P95_MS[variant])

    def test_needs_a_variant(self) -> None:
        with pytest.raises(NoVariantFits, match="expected at least one operating point"):
            Controller((), BUDGET)

    def test_passes_over_a_variant_that_a_faster_one_beats(self) -> None:
        slow = OperatingPoint(variant=Variant(0.5, 224), p95_ms=20.0, score=66.0)
        assert Controller((*POINTS, slow), Budget(latency_ms=25)).variant == MIDDLE


class TestFall:
    def test_comes_with_the_second_late_frame_and_goes_straight_to_the_right_variant(self) -> None:
        board = Board(load(2, 99, 4.0)).run(2)
        assert board.changes == []
        assert [board.frame() for _ in range(2)] == [None, board.controller.last_change]
        assert board.path() == [SMALL], "4 x 15 ms would be late, 4 x 7 ms is not"
        assert board.run(30).path() == [SMALL]
        assert len(board.late_s) == 2

    def test_says_why(self) -> None:
        board = Board(load(2, 99, 4.0)).run(3)
        assert str(board.changes[0]) == (
            "mobilenet_v1_1.00_224 -> mobilenet_v1_0.50_160: "
            "p95 of the last second 120.0 ms, budget 33.0 ms, 4.00 times the profile"
        )
        assert (board.controller.changes["slow"], board.changes[0].cause) == (1, "slow")

    def test_first_halves_the_threads_while_others_take_cpus(self) -> None:
        board = Board(load(0, 99, 1.2))
        board.feel(Health(load_percent=120.0))
        assert [board.frame() for _ in range(2)] == [None, None]
        assert (board.controller.state.has_fewer_threads, board.controller.state.slowdown) == (True, 1.0)
        assert board.run(1).path() == [MIDDLE], "frames that are late on fewer threads as well need another variant"

    def test_on_all_threads_again_begins_anew(self) -> None:
        board = Board(load(0, 0.1, 1.2))
        board.feel(Health(load_percent=120.0))
        board.run(2)
        for load_percent in (40.0, None, 40.0):  # a crowd that shrinks is still one; a load that is not known is none
            was_crowded = board.controller.state.is_crowded
            board.feel(Health(load_percent=load_percent))
            assert board.controller.state.is_crowded == (was_crowded and load_percent is not None)
        state = board.controller.state
        assert (state.has_fewer_threads, state.ratios, board.path()) == (False, (), [])

    def test_does_not_follow_one_late_frame(self) -> None:
        slow_once = itertools.chain([1.0] * 40, [5.0], itertools.repeat(1.0))
        assert Board(noise=lambda: next(slow_once)).run(60).changes == []

    def test_ends_at_the_fastest_and_says_that_it_does_not_hold(self) -> None:
        board = Board(load(0, 99, 40.0)).run(5)
        assert board.path() == [TINY]
        assert not board.controller.is_holding
        assert board.controller.state.expected_p95_ms == pytest.approx(80)

    def test_takes_the_variant_with_room_to_spare(self) -> None:
        board = Board(load(0, 99, 2.1)).run(5)
        assert board.path() == [SMALL], "2.1 x 15 ms would be 31.5 ms of 33"

    @pytest.mark.parametrize("fps", [2, 5, 15, 60, 200])
    def test_leaves_no_frame_late_from_one_second_or_three_frames_on(self, fps: float) -> None:
        board = Board(load(3, 60, 1.6), fps=fps, controller=Controller(POINTS, Budget(latency_ms=33)))
        board.run(60)
        assert board.controller.variant == MIDDLE
        assert all(late_s <= 1003 + max(1, 3 / fps) for late_s in board.late_s)


class TestClimb:
    def test_follows_the_quiet_time_and_skips_what_lies_between(self) -> None:
        board = Board(load(2, 10, 15.0)).run(30)
        assert board.path() == [TINY, BIG]
        assert board.changes[1].cause == "recovered"
        assert 1013 <= board.changes[1].at_s <= 1014.2
        assert board.changes[1].reason.startswith("it has had room for 3.0")

    def test_waits_again_after_each_moment_without_room(self) -> None:
        wave = Board(lambda now_s: 4.0 if now_s % 2.5 < 0.3 else 1.0).run(120)
        assert board_variants(wave) <= {SMALL, MIDDLE}

    def test_is_tried_ever_more_rarely_where_it_fails(self) -> None:
        """A load that only the big variant feels: what the small one shows is no reason to go up again and again."""
        board = Board()
        board.slowdown = lambda now_s: 1.4 if board.controller.variant == BIG else 1.0
        board.run(600)
        climbs_s = [change.at_s for change in board.changes if change.after == BIG]
        waits_s = [b - a for a, b in itertools.pairwise(climbs_s)]
        assert waits_s == sorted(waits_s)
        assert max(waits_s) >= 60
        assert len(climbs_s) <= 14
        assert len(board.late_s) < 0.003 * 600 * 30

    def test_is_as_soon_as_ever_after_one_that_held(self) -> None:
        board = Board()
        board.slowdown = lambda now_s: 4.0 if 1002 <= now_s < 1004 or 1200 <= now_s < 1202 else 1.0
        board.run(260)
        assert board.path() == [SMALL, BIG, SMALL, BIG]
        assert board.changes[3].at_s - 1202 < 4.5

    def test_waits_long_while_the_load_lasts_that_made_frames_late(self) -> None:
        board = Board(load(2, 4, 4.0))
        busy = Health(load_percent=190.0)
        for _ in range(12):
            board.run(1)
            board.feel(busy)
        assert board.path() == [SMALL], "the other work is still there"
        board.feel(Health(load_percent=3.0))
        board.run(0.2)
        assert board.path() == [SMALL, BIG]

    def test_comes_in_the_end_even_though_the_load_lasts(self) -> None:
        board = Board(load(2, 4, 4.0))
        for _ in range(18):
            board.run(1)
            board.feel(Health(load_percent=190.0))
        assert board.path() == [SMALL, BIG]


class TestHeat:
    def test_takes_work_away_before_the_limit(self) -> None:
        board = Board()
        for second in range(20):
            board.run(1)
            board.feel(Health(temperature_c=70 + 0.4 * second, limit_c=80.0))
        assert board.path() == [MIDDLE]
        assert board.changes[0].cause == "hot"
        assert "°C and rising, 80 °C in about" in board.changes[0].reason
        assert board.controller.changes["hot"] == 1

    def test_goes_on_step_by_step_while_it_stays_hot(self) -> None:
        board = Board()
        for _ in range(70):
            board.run(1)
            board.feel(HOT)
        assert board.path() == [MIDDLE, SMALL, TINY]
        assert board.changes[1].at_s - board.changes[0].at_s >= 20

    def test_keeps_low_until_the_board_has_been_cool_for_a_minute(self) -> None:
        board = Board()
        board.feel(HOT)
        for _ in range(59):
            board.run(1)
            board.feel(COOL)
        assert board.path() == [MIDDLE]
        board.run(6)
        assert board.path() == [MIDDLE, BIG]

    def test_throttle_bits_count_as_hot(self) -> None:
        board = Board()
        board.feel(Health(throttle_bits=0x4))
        assert board.changes[0].reason == "the board reports that it is throttled"

    def test_bits_since_boot_do_not(self) -> None:
        assert Board().feel(Health(throttle_bits=0xF0000)) is None

    def test_a_board_short_of_power_does_not_climb(self) -> None:
        board = Board(load(1, 3, 4.0)).run(1)
        board.feel(Health(throttle_bits=0x1))
        board.run(20)
        assert board.path() == [SMALL]
        board.feel(Health(throttle_bits=0x10000))
        board.run(5)
        assert board.path() == [SMALL, BIG]

    @pytest.mark.parametrize(
        "health",
        [
            Health(),
            Health(temperature_c=-256.0),
            Health(temperature_c=float("nan")),
            Health(temperature_c=1e9),
            Health(temperature_c=60.0, limit_c=-256.0),
        ],
    )
    def test_what_no_board_can_feel_counts_for_nothing(self, health: Health) -> None:
        board = Board()
        for _ in range(40):
            board.run(1)
            board.feel(health)
        assert board.changes == []


class TestWishes:
    def test_another_budget_holds_at_once(self) -> None:
        board = Board().run(2)
        board.note(board.controller.set_budget(Budget(latency_ms=8), board.now_s))
        assert board.path() == [SMALL]
        assert board.changes[0].reason == "the budget is now 8.0 ms"
        board.note(board.controller.set_budget(Budget(latency_ms=33), board.now_s))
        assert board.path() == [SMALL, BIG]
        assert board.controller.changes == {"budget": 2}

    def test_another_budget_is_judged_by_what_frames_take_now(self) -> None:
        board = Board(load(0, 99, 2.0), controller=Controller(POINTS, Budget(latency_ms=100))).run(2)
        board.note(board.controller.set_budget(Budget(latency_ms=31), board.now_s))
        assert board.path() == [MIDDLE]

    def test_a_pinned_variant_stays_whatever_comes(self) -> None:
        board = Board(load(0, 999, 9.0))
        board.note(board.controller.pin(MIDDLE, board.now_s))
        board.run(20)
        board.feel(HOT)
        board.note(board.controller.set_budget(Budget(latency_ms=1), board.now_s))
        assert board.path() == [MIDDLE]
        assert board.controller.state.pinned == MIDDLE
        board.note(board.controller.release(board.now_s))
        assert board.path() == [MIDDLE, TINY]
        assert board.controller.state.pinned is None
        assert board.controller.changes == {"pinned": 1, "released": 1}

    def test_pinning_the_variant_in_use_is_no_change(self) -> None:
        controller = Controller(POINTS, BUDGET)
        assert controller.pin(BIG, 0.0) is None
        assert controller.state.pinned == BIG

    def test_only_what_is_loaded_can_be_pinned(self) -> None:
        with pytest.raises(VariantError) as refused:
            Controller(POINTS[:2], BUDGET).pin(TINY, 0.0)
        assert str(refused.value) == (
            "mobilenet_v1_0.25_128 is not loaded: expected one of mobilenet_v1_1.00_224, mobilenet_v1_0.75_192."
        )


class TestNonsense:
    @pytest.mark.parametrize("latency_ms", [0.0, -5.0, float("nan"), float("inf")])
    def test_times_that_cannot_be_count_for_nothing(self, latency_ms: float) -> None:
        controller = Controller(POINTS, BUDGET)
        assert [controller.on_frame(BIG, latency_ms, n / 30) for n in range(60)] == [None] * 60
        assert controller.state.slowdown == 1.0

    def test_neither_does_a_variant_that_is_not_there_nor_a_clock_that_is_none(self) -> None:
        controller = Controller(POINTS, BUDGET)
        assert controller.on_frame(Variant(0.5, 224), 500.0, 1.0) is None
        assert controller.on_frame(BIG, 500.0, float("nan")) is None
        assert controller.on_health(HOT, float("nan")) is None
        assert controller.state.slowdown == 1.0

    @pytest.mark.parametrize("jump_s", [-1e6, -5.0, 1e6])
    def test_a_clock_that_jumps_makes_it_forget_not_fail(self, jump_s: float) -> None:
        board = Board(load(2, 5, 4.0)).run(4)
        assert board.path() == [SMALL]
        board.now_s += jump_s
        board.slowdown = lambda now_s: 1.0
        board.run(2.5)
        assert board.path() == [SMALL], "the quiet time starts again"
        assert board.run(2).path() == [SMALL, BIG]

    def test_a_long_pause_forgets_late_frames(self) -> None:
        controller = Controller(POINTS, BUDGET)
        assert controller.on_frame(BIG, 100.0, 0.0) is None
        assert controller.on_frame(BIG, 100.0, 60.0) is None, "one of now, one of a minute ago"


def board_variants(board: Board) -> set[Variant]:
    return set(board.path())


LOADS = st.lists(st.tuples(st.floats(0.5, 20), st.floats(0.5, 12)), min_size=1, max_size=12)


def steps(loads: list[tuple[float, float]]) -> Callable[[float], float]:
    ends = list(itertools.accumulate(seconds for seconds, _ in loads))

    def slowdown(now_s: float) -> float:
        return next((times for end, (_, times) in zip(ends, loads, strict=True) if now_s - 1000 < end), 1.0)

    return slowdown


class TestProperties:
    @given(loads=LOADS, fps=st.floats(5, 100), budget_ms=st.floats(3, 60))
    @settings(deadline=None, max_examples=40)
    def test_whatever_the_load_late_frames_end_soon_where_a_variant_fits(
        self, loads: list[tuple[float, float]], fps: float, budget_ms: float
    ) -> None:
        board = Board(steps(loads), Controller(POINTS, Budget(latency_ms=budget_ms)), fps=fps)
        run_of_late = 0
        for _ in range(600):
            slowdown, count = board.slowdown(board.now_s), len(board.late_s)
            board.frame()
            can_hold = slowdown * P95_MS[TINY] <= 0.9 * budget_ms and board.slowdown(board.now_s) == slowdown
            run_of_late = run_of_late + 1 if len(board.late_s) > count and can_hold else 0
            assert run_of_late <= max(3, 0.05 * fps + 3)

    @given(loads=LOADS, seed=st.integers(0, 1000), budget_ms=st.floats(3, 60))
    @settings(deadline=None, max_examples=40)
    def test_every_climb_follows_a_quiet_time_and_every_change_is_counted(
        self, loads: list[tuple[float, float]], seed: int, budget_ms: float
    ) -> None:
        noise = random.Random(seed)
        board = Board(steps(loads), Controller(POINTS, Budget(latency_ms=budget_ms)))
        board.noise = lambda: noise.lognormvariate(-0.2, 0.2)
        board.run(40)
        times_s = [1000.0, *(change.at_s for change in board.changes)]
        for before_s, change in zip(times_s, board.changes, strict=False):
            if change.cause == "recovered":
                assert change.at_s - before_s >= SHORTEST_S
        assert sum(board.controller.changes.values()) == len(board.changes)
        assert board.controller.last_change == (board.changes[-1] if board.changes else None)
        assert [c.before for c in board.changes[1:]] == board.path()[:-1]

    @given(times=st.floats(0.3, 20), spread=st.floats(0, 0.5), seed=st.integers(0, 1000), fps=st.floats(5, 60))
    @example(times=3.5, spread=0.3125, seed=0, fps=31.0)
    @settings(deadline=None, max_examples=25)
    def test_a_steady_load_however_noisy_brings_ever_fewer_changes(
        self, times: float, spread: float, seed: int, fps: float
    ) -> None:
        noise = random.Random(seed)
        board = Board(lambda now_s: times, fps=fps)
        board.noise = lambda: noise.lognormvariate(-1.64 * spread, spread)
        board.run(300)
        late = [change for change in board.changes if change.at_s > 1120]
        assert len(late) <= 10, "three minutes: at most a climb and its fall in two steps each, and what was under way"

    @given(loads=LOADS)
    @settings(deadline=None, max_examples=25)
    def test_the_best_variant_is_back_when_the_load_is_gone(self, loads: list[tuple[float, float]]) -> None:
        board = Board(steps(loads)).run(sum(seconds for seconds, _ in loads) + 65)
        assert board.controller.variant == BIG

    @given(st.data())
    @settings(deadline=None, max_examples=60)
    def test_any_order_of_any_calls_leaves_a_variant_of_the_ladder(self, data: Any) -> None:
        controller = Controller(POINTS, BUDGET)
        times_s = st.one_of(st.floats(0, 100), st.floats())
        for _ in range(40):
            now_s = data.draw(times_s)
            match data.draw(st.integers(0, 4)):
                case 0:
                    temperature_c = data.draw(st.one_of(st.none(), st.floats()))
                    controller.on_health(
                        Health(temperature_c=temperature_c, throttle_bits=data.draw(st.integers(0, 15))), now_s
                    )
                case 1:
                    controller.set_budget(Budget(latency_ms=data.draw(st.floats(0.1, 1000))), now_s)
                case 2:
                    controller.pin(data.draw(st.sampled_from(list(P95_MS))), now_s)
                case 3:
                    controller.release(now_s)
                case _:
                    controller.on_frame(data.draw(st.sampled_from(list(P95_MS))), data.draw(st.floats()), now_s)
            assert controller.variant in P95_MS
            assert controller.state.slowdown > 0


class TestDecide:
    """The decision is a function: the same state and observation give the same answer, and nothing else changes."""

    STATE = Controller(POINTS, BUDGET).state

    def test_leaves_the_state_it_was_given(self) -> None:
        before = self.STATE._replace()
        after, change = decide(self.STATE, FrameTime(BIG, 500.0), 1.0)
        assert (self.STATE, change) == (before, None)
        assert after.slowdown == 500 / 30
        assert decide(self.STATE, FrameTime(BIG, 500.0), 1.0) == (after, None)

    @pytest.mark.parametrize(
        ("observation", "after", "cause"),
        [
            (FrameTime(BIG, 120.0), SMALL, "slow"),
            (HOT, MIDDLE, "hot"),
            (Budget(latency_ms=8), SMALL, "budget"),
            (Pin(TINY), TINY, "pinned"),
        ],
    )
    def test_takes_each_row_of_its_table(self, observation: Observation, after: Variant, cause: str) -> None:
        state = decide(self.STATE, FrameTime(BIG, 120.0), 1.0)[0] if cause == "slow" else self.STATE
        state, change = decide(state, observation, 1.1)
        assert change is not None and (change.before, change.after, change.cause) == (BIG, after, cause)
        assert state.running.variant == after

    def test_takes_the_row_of_a_release(self) -> None:
        state, _ = decide(self.STATE, Pin(TINY), 1.0)
        state, change = decide(state, Release(), 2.0)
        assert change is not None and (change.after, change.cause, change.reason) == (
            BIG,
            "released",
            "automatic again",
        )
        assert state.pinned is None

    def test_takes_the_row_of_a_recovery(self) -> None:
        state, _ = decide(self.STATE, Budget(latency_ms=8), 1.0)
        state, changes = state._replace(budget=BUDGET), []
        for number in range(120):
            state, change = decide(state, FrameTime(SMALL, 7.0), 1 + number / 30)
            changes += [(change.after, change.cause)] if change else []
        assert changes == [(BIG, "recovered")]
