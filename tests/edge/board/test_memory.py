"""Memory: what the kernel tells of this process, and what stands in where it does not."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from edge.board.memory import available_mb, forget_peak, peak_rss_mb, rss_mb


def test_peak_memory_is_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmPeak:\t 9 kB\nVmHWM:\t   50000 kB\nVmRSS:\t 7 kB\n")
    assert peak_rss_mb(tmp_path) == 51.2


def test_memory_in_use_stands_in_where_the_kernel_tells_no_peak(tmp_path: Path) -> None:
    forget_peak(tmp_path / "no")
    assert peak_rss_mb(tmp_path / "no") == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.2)


def test_memory_in_use_and_memory_left_are_those_of_the_machine() -> None:
    assert rss_mb() == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.2)
    assert 0 < available_mb() <= psutil.virtual_memory().total / 1e6
