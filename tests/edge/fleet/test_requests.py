"""Asking for the next step by a file, and waiting for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import OutputError
from edge.fleet.requests import REQUEST_FILE, request_install, request_places, wait_for_request
from edge.fleet.timer import UNITS, units_folder
from edge.paths import state_folder


def test_a_request_is_noticed_and_so_is_the_next(tmp_path: Path) -> None:
    place = tmp_path / "state" / REQUEST_FILE

    def ask(seconds: float) -> None:
        request_install(place.parent)

    assert wait_for_request(60, [place], sleep=ask)
    assert wait_for_request(60, [place], sleep=ask)


def test_without_one_the_time_runs_out(tmp_path: Path) -> None:
    request_install(tmp_path)
    now_s = [0.0]

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 1
        now_s[0] += seconds

    assert not wait_for_request(3.5, [tmp_path / REQUEST_FILE], clock=lambda: now_s[0], sleep=sleep)
    assert now_s[0] == 3.5


def test_a_link_is_looked_at_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / REQUEST_FILE).symlink_to("/dev/zero")
    assert not wait_for_request(0.01, [tmp_path / REQUEST_FILE], sleep=lambda seconds: None)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        request_install(tmp_path / "file")


def test_systemd_watches_the_file_that_the_service_writes() -> None:
    """The follower starts; nothing is passed to it, so no word of a broker's decides what it installs."""
    unit = (units_folder() / "mobilenet-edge-follow.path").read_text()
    watched = unit.partition("PathChanged=")[2].partition("\n")[0]
    assert Path(watched) in request_places() and state_folder() / REQUEST_FILE in request_places()
    service = (Path(__file__).parents[3] / "camera_demo/service/mobilenet-edge.service").read_text()
    assert f"XDG_STATE_HOME={Path(watched).parents[1]}" in service
    step = (units_folder() / "mobilenet-edge-follow.service").read_text()
    assert "StartLimitIntervalSec=0\n" in step, "nobody can stop updates by asking for them"
    assert "ExecStart=/opt/mobilenet-edge/bin/edge channel follow\n" in step and "install-requested" not in step
    assert set(UNITS) == {path.name for path in units_folder().iterdir()}
