"""The simulated fleet in small: what scripts/test-fleet tells of twenty boards, with three."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fleet.run import tell
from scripts.fleet.servers import find_program


@pytest.mark.skipif(find_program("mosquitto") is None, reason="mosquitto is not installed: apt-get install mosquitto")
def test_a_fleet_ends_on_the_good_version_whatever_happens(tmp_path: Path) -> None:
    table = tell(tmp_path, count=3, kills=1, is_live=False, forks=True)
    assert "the second good bundle, all rings open | 3 × v4 |" in table
