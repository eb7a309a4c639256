"""How long to wait before a better variant: by what came of it before, and by the other work."""

from __future__ import annotations

from edge.bundles.variant import Variant
from edge.control.backoff import Backoff
from edge.operating_points import OperatingPoint

BIG = OperatingPoint(variant=Variant(1.0, 224), p95_ms=30.0, score=70.0)
MIDDLE = OperatingPoint(variant=Variant(0.5, 160), p95_ms=7.0, score=60.0)


def fallen(load_percent: float | None = None) -> Backoff:
    return Backoff().on_load(load_percent).on_downgrade(BIG, 2.0, 100.0)


def test_each_climb_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    backoff, waits = fallen(), []
    for number in range(7):
        backoff = backoff.on_upgrade(BIG, 200.0 + number)
        backoff = backoff.on_downgrade(BIG, 2.0, 201.0 + number)
        waits.append(backoff.wait_s)
    assert waits == [6.0, 12.0, 24.0, 48.0, 60.0, 60.0, 60.0]


def test_a_climb_that_held_brings_the_usual_wait_back() -> None:
    backoff = fallen()
    backoff = backoff.on_upgrade(BIG, 200.0)
    backoff = backoff.on_downgrade(BIG, 2.0, 201.0)
    assert backoff.wait_s == 6.0
    backoff = backoff.on_upgrade(BIG, 300.0)
    backoff = backoff.on_downgrade(BIG, 2.0, 400.0)
    assert backoff.wait_s == 3.0


def test_the_wait_is_longer_while_the_same_load_lasts() -> None:
    backoff = fallen(190.0)
    assert backoff.wait_s == 12.0
    backoff = backoff.on_load(150.0)
    assert backoff.wait_s == 12.0
    backoff = backoff.on_load(90.0)
    assert backoff.wait_s == 3.0


def test_a_load_seen_only_after_the_fall_counts_as_well() -> None:
    backoff = fallen()
    backoff = backoff.on_load(180.0)
    assert backoff.wait_s == 12.0


def test_there_is_a_recovery_target_when_the_load_has_ended_or_frames_take_clearly_less() -> None:
    backoff = fallen(190.0)
    assert backoff.recovery_target(1.9) is None
    assert backoff.recovery_target(1.5) == BIG
    backoff = backoff.on_load(5.0)
    assert backoff.recovery_target(1.9) == BIG


def test_the_recovery_target_leads_to_where_it_began_until_that_is_reached() -> None:
    backoff = fallen()
    backoff = backoff.on_downgrade(MIDDLE, 3.0, 101.0)
    assert backoff.recovery_target(1.0) == BIG
    backoff = backoff.on_upgrade(MIDDLE, 110.0)
    assert backoff.recovery_target(1.0) == BIG
    backoff = backoff.on_upgrade(BIG, 120.0)
    assert backoff.recovery_target(1.0) is None


def test_a_new_beginning_forgets_falls_and_waits() -> None:
    backoff = fallen(190.0)
    backoff = backoff.on_upgrade(MIDDLE, 101.0)
    backoff = backoff.on_downgrade(MIDDLE, 2.0, 102.0)
    backoff = backoff.restarted()
    assert (backoff.wait_s, backoff.recovery_target(0.1)) == (3.0, None)


def test_a_clock_that_jumped_blames_no_climb() -> None:
    backoff = fallen()
    backoff = backoff.on_upgrade(BIG, 200.0)
    backoff = backoff.after_jump()
    backoff = backoff.on_downgrade(BIG, 2.0, 201.0)
    assert backoff.wait_s == 3.0
