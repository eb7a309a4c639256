"""A channel and what its boards told, put together; and the command that shows it and can stop a release."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.cli import app, channel_status
from edge.fleet import hearing, publishing
from edge.fleet.channel import Channel, Release
from edge.fleet.hearing import Heard
from edge.fleet.rings import DEFAULT_RINGS, Board, Ring, ring_of
from edge.fleet.state import BadVersion
from edge.fleet.status import BoardStatus, FleetStatus, fleet_status
from tests.edge.fleet.conftest import Operator
from tests.edge.fleet.site import NOW, Site

OLD, NEW = "a" * 16, "b" * 16


def release(version: str, **changes: Any) -> Release:
    values: dict[str, Any] = {
        "version": version,
        "bundle_name": "birds",
        "url": "birds.zip",
        "sha256": "0" * 64,
        "size_bytes": 1,
        "installed_bytes": 1,
        "published": "2026-11-27T17:00:00Z",
        "rings": DEFAULT_RINGS,
        "open_rings": 1,
    }
    return Release(**values | changes)


CHANNEL = Channel(
    name="birds",
    serial=7,
    created="2026-11-27T17:00:00Z",
    expires="2027-02-25T17:00:00Z",
    releases=(release(OLD, open_rings=3), release(NEW, label="2026.12")),
    keys=("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",),
)


def bad(version: str = NEW, reason: str = "12 % late") -> BadVersion:
    return BadVersion(version=version, reason=reason, at="2026-11-27T17:00:00Z")


def board(name: str, **changes: Any) -> BoardStatus:
    values: dict[str, Any] = {"channel": "birds", "installed": OLD, "latest": OLD, "heard": NOW, "phase": "idle"}
    return BoardStatus(board_id=name, **values | changes)


def status(*boards: BoardStatus, channel: Channel = CHANNEL, **changes: Any) -> FleetStatus:
    return fleet_status(channel, boards, NOW, **{"silent_after": timedelta(hours=1), **changes})


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({}, "current"),
        ({"latest": None}, "current"),
        ({"latest": NEW}, "waiting"),
        ({"latest": NEW, "phase": "held", "error": "no room"}, "waiting"),
        ({"latest": NEW, "phase": "downloading"}, "changing"),
        ({"installed": NEW, "latest": NEW, "phase": "watching"}, "changing"),
        ({"phase": "failed", "error": "cannot fetch"}, "failed"),
        ({"phase": "rolled_back", "bad": (bad(),)}, "bad"),
        ({"bad": (bad("c" * 16),)}, "current"),
        ({"heard": NOW - timedelta(hours=2)}, "silent"),
        ({"heard": NOW - timedelta(hours=2), "bad": (bad(),)}, "silent"),
    ],
)
def test_how_a_board_stands(changes: dict[str, Any], standing: str) -> None:
    assert status(board("attic", **changes)).boards[0].standing == standing


def test_every_board_is_in_the_ring_that_the_channel_gives_it() -> None:
    names = [f"b{number}" for number in range(200)]
    found = status(*(board(name, ring="what it thinks") for name in names))
    for one in found.boards:
        ring = ring_of(DEFAULT_RINGS, "birds", Board(id=one.board_id))
        assert ring is not None and one.ring == DEFAULT_RINGS[ring].name
    assert found.rings == ("first", "quarter", "all")
    assert sum(found.count(ring) for ring in found.rings) == 200


def test_a_board_of_no_ring_and_one_without_a_name_are_shown_too() -> None:
    channel = replace(CHANNEL, releases=(release(NEW, rings=(Ring(name="lab", groups=("lab",)),)),))
    found = status(board("attic"), board("10.0.0.1:8000"), board("x", group="lab"), channel=channel)
    assert {one.board_id: one.ring for one in found.boards} == {"attic": None, "10.0.0.1:8000": None, "x": "lab"}
    assert found.rings == ("lab", None)


def test_boards_of_other_channels_are_left_out_and_the_latest_counts() -> None:
    late = board("attic", installed=NEW)
    early = board("attic", heard=NOW - timedelta(minutes=10))
    assert [one.installed for one in status(late, early, board("x", channel="cats")).boards] == [NEW]
    assert [one.installed for one in status(early, late).boards] == [NEW]
    assert len(status(board("new", channel=None)).boards) == 1


def test_expected_boards_that_were_never_heard_of_are_silent() -> None:
    found = status(board("attic"), expected=["attic", "cellar"])
    assert {one.board_id: one.standing for one in found.boards} == {"attic": "current", "cellar": "silent"}
    assert [one.phase for one in found.boards] == ["idle", None], "nothing is known of a board that was never heard of"
    assert found.remarks() == ["1 board was not heard of"]
    assert found.versions == {OLD: 1}


def test_a_release_that_is_bad_is_counted_by_boards_and_told_with_its_most_frequent_reason() -> None:
    found = status(
        board("a", bad=(bad(),)),
        board("b", bad=(bad(reason="p95 80 ms"),)),
        board("c", bad=(bad(), bad("c" * 16))),
        board("d", bad=(bad(OLD, "dark"),), heard=NOW - timedelta(days=3)),
        board("e"),
    )
    assert [(one.version, one.boards, one.reason) for one in found.bad] == [(NEW, 3, "12 % late"), (OLD, 1, "dark")]
    assert "3 boards found version bbbbbbbbbbbbbbbb (2026.12) bad: 12 % late" in found.remarks()


def test_a_version_that_was_withdrawn_is_bad_no_more() -> None:
    channel = replace(CHANNEL, releases=(CHANNEL.releases[0], release(NEW, withdrawn="late")))
    found = status(board("a", bad=(bad(),)), channel=channel)
    assert (found.bad, found.boards[0].standing, found.remarks()) == ((), "current", [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channel": replace(CHANNEL, paused=True, paused_reason="late")}, "the channel is paused: late"),
        ({"channel": replace(CHANNEL, expires="2026-12-01T00:00:00Z")}, "the channel expires: 2026-12-01T00:00:00Z"),
        ({"channel": replace(CHANNEL, expires="2026-11-27T17:10:00Z")}, "the channel has expired"),
        ({"certificate_expires": NOW + timedelta(days=9)}, "the certificate of the channel's host expires"),
        ({"unreadable": ["x is not JSON"]}, "the first: x is not JSON"),
    ],
)
def test_what_needs_a_person(changes: dict[str, Any], words: str) -> None:
    assert status(board("a")).remarks() == []
    (remark,) = status(board("a"), **changes).remarks()
    assert words in remark


def test_boards_that_are_late_hot_or_blind_are_counted_unless_that_was_long_ago() -> None:
    found = status(
        board("a", is_late=True, is_hot=True),
        board("b", is_late=True),
        board("c", lost_camera=True),
        board("d", lost_camera=True, heard=NOW - timedelta(days=1)),
    )
    for words in ("2 boards answer late", "1 board is held back by heat", "1 board lost a camera"):
        assert words in found.remarks()


def test_it_is_json_whatever_a_board_says() -> None:
    nasty = board("a", host="\x1b[31m\u202e", error="x\ny", bad=(bad(reason="\x00"),), phase="failed", group="é")
    found = json.loads(json.dumps(status(nasty).to_dict()))
    assert found["rings"][0].keys() >= {"ring", "boards", "current", "bad", "silent"}
    assert found["boards"][0]["heard"] == "2026-11-27T17:20:00Z"
    assert [one["version"] for one in found["releases"]] == [OLD, NEW]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], operator: Operator) -> Run:
    """Runs ``edge channel status`` at the time of the tests; ``boards`` is what the broker has."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(channel_status, "_now", lambda: operator.now + timedelta(minutes=1))

    def made(*arguments: str, boards: tuple[BoardStatus, ...] = ()) -> Ended:
        monkeypatch.setattr(hearing, "from_mqtt", lambda address: Heard(boards=boards))
        monkeypatch.setattr("sys.argv", ["edge", "channel", "status", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        return Ended(int(ended.value.code or 0), *capfd.readouterr())

    return made


@pytest.fixture
def stop(operator: Operator, run: Run) -> Callable[..., Ended]:
    def made(most: int, *boards: BoardStatus, **changes: Any) -> Ended:
        arguments = ["--mqtt", "mqtt://b", "--stop-at", str(most), "--key", str(operator.keys[0])]
        return run(str(changes.get("place", operator.folder)), *arguments, *changes.get("more", ()), boards=boards)

    return made


def test_all_is_well(operator: Operator, run: Run) -> None:
    one = operator.publish(label="one")
    ended = run(
        str(operator.folder),
        "--mqtt",
        "mqtt://b",
        boards=(board("a", installed=one.version, latest=one.version), board("b", installed=None, latest=None)),
    )
    assert ended.code == 0, ended
    assert "birds: serial 3, boards install" in ended.out and "(one)" in ended.out and "none  " in ended.out
    assert "signature is not checked" in ended.err


def test_the_channel_alone_is_shown_from_its_host(operator: Operator, site: Site, run: Run) -> None:
    operator.publish(label="one", to=None)
    ended = run(site.url, "--channel-key", str(operator.public), "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert found["channel"]["name"] == "birds" and found["releases"][0]["open_rings"] == 1
    assert found["boards"] == [] and found["stopped"] is None


def test_a_channel_by_another_key_is_refused(operator: Operator, site: Site, run: Run, tmp_path: Path) -> None:
    from edge.fleet.keys import take_key

    other = take_key(tmp_path / "other" / "k.pem", operator.folder).public
    ended = run(site.url, "--channel-key", str(other))
    assert ended.code == 1 and "not signed by a key that is trusted here" in ended.err


def test_a_release_that_is_bad_on_more_boards_than_allowed_stops_the_channel_once(
    operator: Operator, stop: Callable[..., Ended]
) -> None:
    version = operator.publish(label="slow").version
    ill = [board(f"b{number}", bad=(bad(version),), phase="rolled_back") for number in range(3)]
    before = operator.read().serial
    assert stop(3, *ill).code == channel_status.ATTENTION
    assert (operator.read().paused, operator.read().serial) == (False, before)
    ended = stop(2, *ill)
    assert ended.code == channel_status.STOPPED, ended
    assert "paused the channel: version" in ended.err and "is bad on 3 boards, more than 2: 12 % late" in ended.err
    assert operator.read().paused and "is bad on 3 boards" in str(operator.read().paused_reason)
    assert stop(2, *ill).code == channel_status.ATTENTION, "it is paused already"
    assert operator.read().serial == before + 1
    operator.later(minutes=2)
    publishing.withdraw(operator.folder, operator.keys, version, "slow", clock=operator.clock)
    publishing.resume(operator.folder, operator.keys, clock=operator.clock)
    assert stop(0, *ill).code == 0, "it is withdrawn"
    assert not operator.read().paused


def test_the_newest_bad_release_is_the_one_that_stops_the_channel(
    operator: Operator, stop: Callable[..., Ended]
) -> None:
    old = operator.publish(label="old").version
    operator.later(minutes=2)
    new = operator.publish(label="new", to=None).version
    ill = [board(f"b{number}", bad=(bad(old), *[bad(new)][:number])) for number in range(2)]
    assert "(new) is bad on 1 board," in stop(0, *ill).err


def test_a_bad_release_that_nobody_installs_any_more_does_not_stop_its_fix(
    operator: Operator, stop: Callable[..., Ended]
) -> None:
    old = operator.publish(label="old").version
    ill = board("a", bad=(bad(old),))
    operator.later(minutes=2)
    operator.publish(label="fix")
    assert stop(0, ill).code == channel_status.ATTENTION
    assert not operator.read().paused


def test_a_bad_release_that_some_boards_still_install_stops_the_channel(
    operator: Operator, stop: Callable[..., Ended]
) -> None:
    old = operator.publish(label="old").version
    operator.later(minutes=2)
    operator.publish(label="lab's", to=None, rings=(Ring(name="lab", groups=("lab",)),))
    assert "(old) is bad on 1 board," in stop(0, board("a", bad=(bad(old),))).err


def test_the_host_may_lag_behind_the_folder(
    operator: Operator, site: Site, stop: Callable[..., Ended], tmp_path: Path
) -> None:
    version = operator.publish().version
    (tmp_path / "lagging").mkdir()
    (tmp_path / "lagging/channel.json").write_bytes((operator.folder / "channel.json").read_bytes())
    ill = board("a", bad=(bad(version),))
    there = {"place": tmp_path / "lagging", "more": ["--folder", str(operator.folder)]}
    assert stop(0, ill, **there).code == channel_status.STOPPED
    serial = operator.read().serial
    assert stop(0, ill, **there).code == channel_status.ATTENTION
    assert operator.read().serial == serial


def test_another_channels_folder_is_not_paused(operator: Operator, stop: Callable[..., Ended], tmp_path: Path) -> None:
    version = operator.publish().version
    publishing.init(tmp_path / "cats", "cats", operator.keys, clock=operator.clock)
    ended = stop(0, board("a", bad=(bad(version),)), more=["--folder", str(tmp_path / "cats")])
    assert ended.code == 1 and "holds the channel cats, not birds: nothing was paused" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stop-at", "1"], "counts what boards tell: give --mqtt or --prometheus"),
        (["--mqtt", "mqtt://b", "--prometheus", "http://p"], "give one of them"),
        (["--expect", "/nowhere"], "--expect names boards that tell their state: give --mqtt or --prometheus"),
        (["--mqtt", "mqtt://b", "--expect", "/nowhere"], "Cannot read the names of boards in /nowhere"),
    ],
)
def test_options_that_do_not_go_together(operator: Operator, run: Run, arguments: list[str], words: str) -> None:
    ended = run(str(operator.folder), *arguments)
    assert ended.code == 1 and words in ended.err


def test_a_url_cannot_be_paused(run: Run) -> None:
    ended = run("https://h/channel.json", "--mqtt", "mqtt://b", "--stop-at", "1")
    assert ended.code == 1 and "give the folder that the host serves, with --folder" in ended.err


def test_a_folder_without_a_channel(run: Run, tmp_path: Path) -> None:
    ended = run(str(tmp_path))
    assert ended.code == 1 and "Cannot read the channel in" in ended.err


def test_boards_that_are_missing_are_named(operator: Operator, run: Run, tmp_path: Path) -> None:
    operator.publish()
    (tmp_path / "boards").write_text("# all\nattic\ncellar  # below\n\n")
    ended = run(
        str(operator.folder), "--mqtt", "mqtt://b", "--expect", str(tmp_path / "boards"), boards=(board("attic"),)
    )
    assert ended.code == channel_status.ATTENTION
    assert "1 board was not heard of" in ended.out and "cellar" in ended.out and "never" in ended.out
