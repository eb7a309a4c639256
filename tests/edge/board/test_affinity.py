"""The fast CPUs, where there are slow ones too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psutil
import pytest

from edge.board import affinity
from edge.board.affinity import big_cpus, bound, cpu_quota, default_threads, usable_cpus

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


V1 = "sys/fs/cgroup/cpu/{}cpu.cfs_{}_us"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        pytest.param({}, None, id="no cgroups"),
        pytest.param({"proc/self/cgroup": "0::/\n"}, None, id="v2 without the controller"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None, id="v2 unlimited"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5, id="v2 in a container"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/system.slice/camera.service\n",
                "sys/fs/cgroup/system.slice/camera.service/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/system.slice/cpu.max": "200000 100000\n",
            },
            2.0,
            id="v2: the slice around it is tighter",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../outside\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"},
            0.5,
            id="v2: the namespace hides where it is",
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, None, id="v2 damaged"),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/docker/a\n0::/\n",
                V1.format("docker/a/", "quota"): "250000\n",
                V1.format("docker/a/", "period"): "100000\n",
            },
            2.5,
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            },
            0.5,
            id="v1 without a link to the controller",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/docker/a\n",
                V1.format("", "quota"): "50000\n",
                V1.format("", "period"): "25000\n",
            },
            2.0,
            id="v1 in a container: its own folder is the root",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/\n",
                V1.format("", "quota"): "-1\n",
                V1.format("", "period"): "100000\n",
            },
            None,
            id="v1 unlimited",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpuset:/\n",
                V1.format("", "quota"): "50000\n",
                V1.format("", "period"): "100000\n",
            },
            None,
            id="v1 of another controller",
        ),
    ],
)
def test_the_tightest_quota_of_its_cgroups_counts(
    tree: MakeTree, files: Mapping[str, str], quota: float | None
) -> None:
    assert cpu_quota(tree(files)) == quota


def test_a_set_of_cpus_bounds_the_threads_like_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports a cgroup's ``cpuset`` as the CPUs that a process may be bound to."""
    monkeypatch.setattr(affinity, "cpu_quota", lambda: 3.7)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8)
    for cpus, threads in (({1}, 1), ({0, 5}, 2), (set(range(8)), 3)):
        monkeypatch.setattr(os, "sched_getaffinity", partial(lambda found, process: found, cpus))
        assert default_threads() == threads
