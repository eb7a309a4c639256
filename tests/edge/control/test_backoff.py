"""How long to wait before a better variant: by what came of it before, and by the other work."""

from __future__ import annotations

from edge.bundles.variant import Variant
from edge.control.backoff import Patience
from edge.control.ladder import Rung

BIG = Rung(variant=Variant(1.0, 224), p95_ms=30.0, worth=70.0)
MIDDLE = Rung(variant=Variant(0.5, 160), p95_ms=7.0, worth=60.0)


def fallen(load_percent: float | None = None) -> Patience:
    patience = Patience(3.0, 60.0)
    patience.felt(load_percent)
    patience.fell(BIG, 2.0, 100.0)
    return patience


def test_each_climb_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    patience, waits = fallen(), []
    for number in range(7):
        patience.climbed(BIG, 200.0 + number)
        patience.fell(BIG, 2.0, 201.0 + number)
        waits.append(patience.wait_s)
    assert waits == [6.0, 12.0, 24.0, 48.0, 60.0, 60.0, 60.0]


def test_a_climb_that_held_brings_the_usual_wait_back() -> None:
    patience = fallen()
    patience.climbed(BIG, 200.0)
    patience.fell(BIG, 2.0, 201.0)
    assert patience.wait_s == 6.0
    patience.climbed(BIG, 300.0)
    patience.fell(BIG, 2.0, 400.0)
    assert patience.wait_s == 3.0


def test_the_wait_is_longer_while_the_same_load_lasts() -> None:
    patience = fallen(190.0)
    assert patience.wait_s == 12.0
    patience.felt(150.0)
    assert patience.wait_s == 12.0
    patience.felt(90.0)
    assert patience.wait_s == 3.0


def test_a_load_seen_only_after_the_fall_counts_as_well() -> None:
    patience = fallen()
    patience.felt(180.0)
    assert patience.wait_s == 12.0


def test_there_is_a_way_back_when_the_load_has_ended_or_frames_take_clearly_less() -> None:
    patience = fallen(190.0)
    assert patience.way_back(1.9) is None
    assert patience.way_back(1.5) == BIG
    patience.felt(5.0)
    assert patience.way_back(1.9) == BIG


def test_the_way_back_leads_to_where_it_began_until_that_is_reached() -> None:
    patience = fallen()
    patience.fell(MIDDLE, 3.0, 101.0)
    assert patience.way_back(1.0) == BIG
    patience.climbed(MIDDLE, 110.0)
    assert patience.way_back(1.0) == BIG
    patience.climbed(BIG, 120.0)
    assert patience.way_back(1.0) is None


def test_a_new_beginning_forgets_falls_and_waits() -> None:
    patience = fallen(190.0)
    patience.climbed(MIDDLE, 101.0)
    patience.fell(MIDDLE, 2.0, 102.0)
    patience.begin_anew()
    assert (patience.wait_s, patience.way_back(0.1)) == (3.0, None)


def test_a_clock_that_jumped_blames_no_climb() -> None:
    patience = fallen()
    patience.climbed(BIG, 200.0)
    patience.forget_time()
    patience.fell(BIG, 2.0, 201.0)
    assert patience.wait_s == 3.0
