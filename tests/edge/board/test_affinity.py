"""The fast CPUs, where there are slow ones too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edge.board.affinity import big_cpus, bound, usable_cpus

MakeTree = Callable[[Mapping[str, str]], Path]
CPU = "sys/devices/system/cpu/cpu{}/{}"


@pytest.mark.parametrize(
    ("capacities", "big"),
    [
        ({0: 1024, 1: 1024}, ()),
        ({0: 446, 1: 446, 2: 1024, 3: 1024}, (2, 3)),
        ({0: 381, 1: 381, 10: 1024, 11: 974}, (10, 11)),
        ({}, ()),
    ],
)
def test_are_those_of_the_greatest_capacity(tree: MakeTree, capacities: dict[int, int], big: tuple[int, ...]) -> None:
    root = tree({CPU.format(cpu, "cpu_capacity"): f"{capacity}\n" for cpu, capacity in capacities.items()})
    assert big_cpus(root) == big


def test_the_greatest_clock_stands_in_for_capacity(tree: MakeTree) -> None:
    clocks = {0: 5_200_000, 1: 5_200_000, 2: 3_800_000}
    root = tree({CPU.format(cpu, "cpufreq/cpuinfo_max_freq"): f"{clock}\n" for cpu, clock in clocks.items()})
    assert big_cpus(root) == (0, 1)


def test_a_board_of_equal_cpus_has_none_to_prefer(board: Callable[[str], Path]) -> None:
    assert big_cpus(board("pi4")) == ()


def test_the_process_is_bound_within_the_block_and_free_after_it() -> None:
    before = usable_cpus()
    if len(before) < 2:
        pytest.skip("there is one CPU to be bound to")
    with bound(before[:1]) as cpus:
        assert cpus == before[:1]
        assert usable_cpus() == before[:1]
    assert usable_cpus() == before


@pytest.mark.parametrize("cpus", [(), (10_000,)])
def test_cpus_that_are_not_there_bind_nothing(cpus: tuple[int, ...]) -> None:
    before = os.sched_getaffinity(0)
    with bound(cpus) as bound_to:
        assert bound_to == ()
        assert os.sched_getaffinity(0) == before


def test_where_binding_is_forbidden_nothing_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: int, cpus: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    with bound((1,)) as bound_to:
        assert bound_to == ()
