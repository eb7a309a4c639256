"""A board that follows a channel: what it installs, and what keeps it from installing something."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.bundles.bundle import open_bundle
from edge.bundles.registry import find_installed
from edge.errors import ChannelError, SelfTestError
from edge.fleet import publishing
from edge.fleet.channel import CHANNEL_FILE, Runtime
from edge.fleet.keys import take_key
from edge.fleet.rings import parse_ring
from edge.fleet.signed import key_id, public_key_of, seal
from edge.fleet.state import FollowState, state_file, write_state
from edge.updates.archive import pack
from edge.updates.download import Limits
from edge.updates.install import activate, roll_back
from edge.updates.signature import sign
from tests.edge.file_server import certificate, cut_after, moved, says, stalls_after
from tests.edge.fleet.conftest import Operator, no_room
from tests.edge.fleet.site import Site, TestBoard, hosting
from tests.edge.small_demo import FILE, write_small_demo
from tests.edge.updates.test_signature import make_keys

KILLS = int(os.environ.get("MNE_KILLS", "5"))
"""How often a step is killed: more is surer."""
PATIENT = Limits(timeout_s=20.0, tries=3, pause_s=0.0, spare_bytes=0)
Y1970, Y2040 = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1970, 2040))


def payload_of(operator: Operator) -> dict[str, object]:
    values: dict[str, object] = json.loads(json.loads((operator.folder / CHANNEL_FILE).read_text())["payload"])
    return values


def put(operator: Operator, **changes: object) -> None:
    """Sign what no command would sign."""
    text = json.dumps(payload_of(operator) | changes)
    (operator.folder / CHANNEL_FILE).write_text(seal(text, operator.keys))


@pytest.mark.usefixtures("quick_test")
class TestInstalling:
    def test_a_release_comes_to_use_and_is_watched(self, operator: Operator, board: TestBoard) -> None:
        release = operator.publish(label="one")
        states: list[FollowState] = []
        state = board.step(on_change=states.append)
        assert (state.phase, state.installed, state.latest) == ("watching", release.version, release.version)
        assert (state.channel, state.serial, state.ring, state.bundle) == ("birds", 3, "all", "small")
        assert state.gate == release.gate
        assert state.labels == {release.version: "one"}
        assert board.in_use == release.version
        assert board.state == state
        assert list(dict.fromkeys(one.phase for one in states)) == ["idle", "downloading", "testing", "watching"]
        assert not list((board.folder / "downloads").iterdir())

    def test_a_channel_without_releases(self, board: TestBoard) -> None:
        state = board.step()
        assert (state.phase, state.latest, state.bundle, board.in_use) == ("idle", None, None, None)

    def test_a_month_off_is_one_step(self, operator: Operator, board: TestBoard, site: Site) -> None:
        operator.publish()
        board.settle()
        for _ in range(4):
            operator.later(days=7)
            newest = operator.publish()
        board.now = site.date = operator.now
        site.asked.clear()
        assert board.step().installed == newest.version
        assert len([path for path in site.asked if path.startswith("bundles/")]) == 1

    def test_only_a_ring_that_is_open_gets_it(self, operator: Operator, board: TestBoard, tmp_path: Path) -> None:
        lab = TestBoard(folder=tmp_path / "lab", url=board.url, key=board.key, id="lab1", group="lab")
        release = operator.publish(to=None, rings=(parse_ring("lab=@lab"), parse_ring("all=100")))
        assert lab.step().installed == release.version
        state = board.step()
        assert (state.phase, state.installed, state.latest, state.ring) == ("idle", None, None, "all")
        publishing.promote(operator.folder, operator.keys, clock=operator.clock)
        assert board.step().installed == release.version

    def test_what_is_held_says_for_what(self, operator: Operator, board: TestBoard) -> None:
        operator.publish(not_before=operator.now + timedelta(hours=1), runtime=Runtime(minimum="99"))
        state = board.step()
        assert (state.phase, board.in_use) == ("held", None)
        assert "not to be installed before 2026-11-27T18:20:00Z" in (state.error or "")
        board.now += timedelta(hours=2)
        assert "not to be installed" in (board.step().error or ""), "one clock is not enough"
        publishing.pause(operator.folder, operator.keys, "heat", clock=operator.clock)
        assert board.step().error == "the channel is paused: heat"

    def test_a_withdrawn_version_is_left_even_while_it_is_watched(
        self, operator: Operator, board: TestBoard, site: Site
    ) -> None:
        first = operator.publish()
        board.settle()
        second = operator.publish()
        assert board.step().phase == "watching"
        publishing.withdraw(operator.folder, operator.keys, second.version, "slow", clock=operator.clock)
        site.asked.clear()
        state = board.step()
        assert (state.installed, state.phase) == (first.version, "idle")
        assert site.asked == ["channel.json"], "the version before is here already"

    def test_a_version_beside_the_channels_address_or_elsewhere(self, operator: Operator, board: TestBoard) -> None:
        bundle = operator.bundle()
        shutil.copy(bundle, operator.folder / "elsewhere.zip")
        release = operator.publish(bundle, url=board.url.replace("channel.json", "elsewhere.zip"))
        assert board.step().installed == release.version


@pytest.mark.usefixtures("quick_test")
class TestRepair:
    """What the next step makes of an interrupted one, or of what somebody did by hand."""

    def test_a_roll_back_by_hand_is_respected(self, operator: Operator, board: TestBoard) -> None:
        first = operator.publish()
        board.settle()
        second = operator.publish()
        board.settle()
        roll_back("small", folder=board.folder / "bundles")
        state = board.step()
        assert (state.phase, state.installed, board.in_use) == ("rolled_back", first.version, first.version)
        assert state.bad_versions == {second.version}
        assert board.step().phase == "rolled_back"
        assert board.step(retries_bad=True).installed == second.version
        third = operator.publish()
        board.settle()
        assert board.in_use == third.version

    def test_a_version_put_to_use_by_hand_stays_until_the_channel_has_a_newer_one(
        self, operator: Operator, board: TestBoard
    ) -> None:
        operator.publish()
        board.settle()
        second = operator.bundle()
        activate(str(second), folder=board.folder / "bundles")
        release = operator.publish(second)
        state = board.step()
        assert (state.phase, state.installed) == ("idle", release.version)

    def test_a_version_put_to_use_by_hand_is_not_replaced_by_one_that_was_there(
        self, operator: Operator, board: TestBoard
    ) -> None:
        first = operator.publish()
        board.settle()
        operator.publish()
        board.settle()
        by_hand = activate(str(operator.bundle()), folder=board.folder / "bundles").installed.active
        state = board.step()
        assert (state.phase, state.installed, board.in_use) == ("held", by_hand, by_hand)
        assert state.error == f"version {by_hand} was put to use by hand, and stays until there is a newer one"
        assert board.step() == state
        activate(str(operator.folder / first.url), allow_older=True, folder=board.folder / "bundles")
        assert (board.step().phase, board.in_use) == ("held", first.version)
        third = operator.publish()
        assert board.settle().installed == third.version
        assert board.step().passed_over is None

    def test_the_channel_counts_again_after_a_retry(self, operator: Operator, board: TestBoard) -> None:
        release = operator.publish()
        board.settle()
        activate(str(operator.bundle()), folder=board.folder / "bundles")
        assert board.step().phase == "held"
        assert board.step(retries_bad=True).installed == release.version

    def test_a_note_that_is_damaged_is_written_again(self, operator: Operator, board: TestBoard) -> None:
        release = operator.publish()
        board.settle()
        (board.folder / "bundles" / "small" / "active.json").write_text("{")
        assert board.settle().installed == release.version
        assert board.in_use == release.version

    def test_a_state_that_is_damaged_is_one_line(self, operator: Operator, board: TestBoard) -> None:
        board.step()
        state_file(board.folder).write_text("{")
        assert "Remove it to start from scratch" in board.fails(is_noted=False)
        state_file(board.folder).unlink()
        assert board.step().phase == "idle"

    def test_what_a_killed_step_left_is_removed(self, operator: Operator, board: TestBoard) -> None:
        operator.publish()
        board.step()
        (board.folder / ".follow.json.abc").write_text("{")
        (board.folder / "downloads" / ".old.zip.part").write_text("x")
        board.settle()
        assert not (board.folder / ".follow.json.abc").exists()
        assert list((board.folder / "downloads").iterdir()) == []


@pytest.mark.usefixtures("quick_test")
class TestChannelFile:
    """Bad files leave what is in use, and the next good one is taken."""

    @pytest.fixture(autouse=True)
    def nothing_changes(self, quick_test: None, operator: Operator, board: TestBoard, site: Site) -> Iterator[None]:
        self.first: str | None = operator.publish().version
        board.settle()
        self.good = (operator.folder / CHANNEL_FILE).read_bytes()
        yield
        assert board.in_use == self.first
        site.bad.clear()
        board.now = site.date = operator.now
        (operator.folder / CHANNEL_FILE).write_bytes(self.good)
        assert board.step().phase == "idle"

    def test_cut_short(self, operator: Operator, board: TestBoard) -> None:
        path = operator.folder / CHANNEL_FILE
        path.write_bytes(path.read_bytes()[:-40])
        assert "damaged or cut short" in board.fails()

    def test_of_a_newer_schema(self, operator: Operator, board: TestBoard) -> None:
        put(operator, schema_version=2, serial=99)
        assert "has schema 2, expected 1: update mobilenet-edge" in board.fails()

    def test_unsigned(self, operator: Operator, board: TestBoard) -> None:
        path = operator.folder / CHANNEL_FILE
        path.write_text(json.dumps(payload_of(operator)))
        assert "is not signed" in board.fails()

    def test_signed_by_another_key(self, operator: Operator, board: TestBoard, tmp_path: Path) -> None:
        other = take_key(tmp_path / "other.pem", operator.folder)
        text = json.dumps(payload_of(operator) | {"serial": 99})
        (operator.folder / CHANNEL_FILE).write_text(seal(text, [other.private]))
        assert key_id(public_key_of(other.private)) in board.fails()

    def test_two_bundles_of_one_version(self, operator: Operator, board: TestBoard) -> None:
        releases = payload_of(operator)["releases"]
        assert isinstance(releases, list)
        put(operator, serial=99, releases=[*releases, {**releases[0], "sha256": "0" * 64}])
        assert "two releases are of the version" in board.fails()

    @pytest.mark.parametrize(
        ("shares", "message"), [((5, 120), "share of 120 %"), ((50, 20), "not larger than ring a")]
    )
    def test_rings_over_100_percent_or_falling(
        self, operator: Operator, board: TestBoard, shares: tuple[int, int], message: str
    ) -> None:
        releases = payload_of(operator)["releases"]
        assert isinstance(releases, list)
        rings = [{"name": name, "percent": share} for name, share in zip("ab", shares, strict=True)]
        put(operator, serial=99, releases=[{**releases[0], "rings": rings, "open_rings": 1}])
        assert message in board.fails()

    def test_an_older_one_that_somebody_replays(self, operator: Operator, board: TestBoard) -> None:
        old = (operator.folder / CHANNEL_FILE).read_bytes()
        publishing.renew(operator.folder, operator.keys, clock=operator.clock)
        board.step()
        self.good = (operator.folder / CHANNEL_FILE).read_bytes()
        (operator.folder / CHANNEL_FILE).write_bytes(old)
        assert "has the serial 3, and this board has seen 4" in board.fails()
        put(operator, serial=4, paused=True)
        assert "differs from another one with the serial 4" in board.fails()
        assert board.state.serial == 4

    def test_another_channel_of_the_same_key(self, operator: Operator, board: TestBoard) -> None:
        put(operator, name="fish", serial=99)
        assert "is the channel 'fish', and this board follows 'birds'" in board.fails()

    def test_expired(self, operator: Operator, board: TestBoard, site: Site) -> None:
        board.now = site.date = operator.now + timedelta(days=91)
        assert "expired at 2027-02-25T17:20:00Z" in board.fails()

    def test_signed_in_the_future(self, operator: Operator, board: TestBoard) -> None:
        put(operator, serial=99, created="2040-01-01T00:00:00Z", expires="2040-03-01T00:00:00Z")
        assert "yet to come: check the clock where it is signed" in board.fails()
        assert board.state.serial == 3

    def test_too_long(self, operator: Operator, board: TestBoard) -> None:
        (operator.folder / CHANNEL_FILE).write_bytes(b" " * 1_000_001)
        assert "more than the 1000000 bytes allowed" in board.fails()

    def test_not_there_or_not_answered(self, board: TestBoard, site: Site) -> None:
        site.bad["channel.json"] = [says(404), says(503), cut_after(20)]
        assert "404" in board.fails()
        assert "503" in board.fails()
        assert "the connection ended after 20 of" in board.fails()

    def test_a_redirect_to_plain_http(self, board: TestBoard, site: Site) -> None:
        site.bad["channel.json"] = [moved("http://example.com/channel.json")]
        assert "is not encrypted" in board.fails()


@pytest.mark.usefixtures("quick_test")
class TestClock:
    def test_1970_with_a_server_that_knows_better(self, operator: Operator, board: TestBoard) -> None:
        release = operator.publish()
        board.now = Y1970
        state = board.step()
        assert state.installed == release.version
        assert state.since.startswith("1970")

    def test_1970_with_a_server_that_says_nothing(self, operator: Operator, board: TestBoard, site: Site) -> None:
        release = operator.publish(not_before=operator.now + timedelta(days=1))
        board.now, site.has_date = Y1970, False
        state = board.step()
        assert state.phase == "held", "the time of the signed file is before the earliest time"
        assert "this board's clock says 1970-01-01T00:00:00Z, a signed file 2026-11-27" in (state.error or "")
        operator.later(days=2)
        publishing.renew(operator.folder, operator.keys, clock=operator.clock)
        assert board.step().installed == release.version

    def test_1970_and_a_file_that_expired(self, operator: Operator, board: TestBoard, site: Site) -> None:
        operator.publish()
        board.now, site.date = Y1970, operator.now + timedelta(days=91)
        assert "expired" in board.fails()

    def test_2040(self, operator: Operator, board: TestBoard) -> None:
        release = operator.publish()
        board.now = Y2040
        message = board.fails()
        assert "expired" in message
        assert "this board's clock says 2040-01-01T00:00:00Z, the server 2026-11-27T17:20:00Z: set it" in message
        board.now = operator.now
        assert board.step().installed == release.version, "a wrong clock spoils nothing for later"

    def test_a_signer_and_a_host_that_are_both_ahead(
        self, operator: Operator, board: TestBoard, site: Site, tmp_path: Path
    ) -> None:
        right = operator.now
        operator.now = site.date = Y2040
        release = operator.publish()
        state = board.step()
        assert state.installed == release.version, "two clocks against one"
        site.date = operator.now = right
        with pytest.raises(ChannelError, match="which is before 2040-01-01T00:00:00Z: set it"):
            operator.publish()
        assert board.step().error == (
            "this board and the server say 2026-11-27T17:20:00Z, a signed file says 2040-01-01T00:00:00Z: "
            "check the clock where it is signed"
        )
        key = take_key(tmp_path / "second.pem", operator.folder)
        (operator.folder / CHANNEL_FILE).unlink()
        publishing.init(operator.folder, "birds", [key.private], clock=operator.clock)
        operator.keys = [key.private]
        release = operator.publish()
        assert "not signed by a key" in board.fails()
        board.key = key.public
        assert board.step().latest == release.version, "with another key, what was seen counts no more"

    def test_a_signer_and_a_host_that_are_both_behind(self, operator: Operator, board: TestBoard, site: Site) -> None:
        site.date = operator.now
        operator.publish()
        board.now = operator.now + timedelta(days=100)
        assert "expired" in board.fails(), "so nothing old is installed"


@pytest.mark.usefixtures("quick_test")
class TestKeys:
    def test_a_key_is_replaced_without_touching_a_board(
        self, operator: Operator, board: TestBoard, tmp_path: Path
    ) -> None:
        old, new = operator.keys[0], take_key(tmp_path / "new.pem", operator.folder).private
        board.step()
        publishing.rotate(operator.folder, [old], to=new, clock=operator.clock)
        board.step()
        publishing.rotate(operator.folder, [new], retire=key_id(public_key_of(old)), clock=operator.clock)
        operator.keys = [new]
        release = operator.publish()
        assert board.step().installed == release.version
        stolen = json.loads((operator.folder / CHANNEL_FILE).read_text())["payload"].replace(
            '"serial": 5', '"serial": 50'
        )
        (operator.folder / CHANNEL_FILE).write_text(seal(stolen, [old]))
        assert "not signed by a key that is trusted here" in board.fails()

    def test_a_board_that_was_off_meanwhile_follows_while_both_sign(
        self, operator: Operator, board: TestBoard, tmp_path: Path
    ) -> None:
        old, new = operator.keys[0], take_key(tmp_path / "new.pem", operator.folder).private
        board.step()
        publishing.rotate(operator.folder, [old], to=new, clock=operator.clock)
        publishing.rotate(operator.folder, [old, new], retire=key_id(public_key_of(old)), clock=operator.clock)
        board.step()
        publishing.renew(operator.folder, [new], clock=operator.clock)
        assert board.step().serial == 4
        late = TestBoard(folder=tmp_path / "late", url=board.url, key=board.key)
        assert "not signed by a key" in late.fails()

    def test_another_configured_key_starts_the_chain_again(
        self, operator: Operator, board: TestBoard, tmp_path: Path
    ) -> None:
        for _ in range(3):
            publishing.renew(operator.folder, operator.keys, clock=operator.clock)
        board.step()
        shutil.rmtree(operator.folder)
        pair = take_key(tmp_path / "fresh.pem", operator.folder)
        publishing.init(operator.folder, "birds", [pair.private], clock=operator.clock)
        assert "not signed by a key" in board.fails()
        board.key = pair.public
        assert board.step().serial == 1

    def test_a_configured_file_with_one_key_more_lets_no_older_file_pass(
        self, operator: Operator, board: TestBoard, tmp_path: Path
    ) -> None:
        old = (operator.folder / CHANNEL_FILE).read_bytes()
        publishing.renew(operator.folder, operator.keys, clock=operator.clock)
        board.step()
        more = take_key(tmp_path / "more.pem", operator.folder)
        board.key = tmp_path / "both.pub"
        board.key.write_bytes(operator.public.read_bytes() + more.public.read_bytes())
        (operator.folder / CHANNEL_FILE).write_bytes(old)
        assert "has the serial 1, and this board has seen 2" in board.fails()
        text = json.dumps(payload_of(operator) | {"serial": 3})
        (operator.folder / CHANNEL_FILE).write_text(seal(text, [more.private]))
        assert board.step().serial == 3

    def test_another_channel_of_another_bundle_begins_at_once(
        self, operator: Operator, board: TestBoard, tmp_path: Path
    ) -> None:
        operator.publish()
        assert board.step().phase == "watching"
        www, pair = tmp_path / "other", take_key(tmp_path / "other.pem", tmp_path / "other")
        publishing.init(www, "other", [pair.private], clock=operator.clock)
        other = replace(operator, folder=www, keys=[pair.private], scratch=tmp_path / "others", made=[])
        release = other.publish(other.bundle(name="another"))
        with hosting(www) as site:
            board.url, board.key = site.url, pair.public
            state = board.step()
        assert (state.channel, state.bundle, state.phase, state.installed) == (
            "other",
            "another",
            "watching",
            release.version,
        )

    def test_the_first_version_is_withdrawn_while_it_is_watched(self, operator: Operator, board: TestBoard) -> None:
        version = operator.publish().version
        board.step()
        publishing.withdraw(operator.folder, operator.keys, version, "late", clock=operator.clock)
        state = board.step()
        assert (state.phase, state.installed) == ("watching", version)
        assert "was withdrawn (late), and no other is meant for this board" in str(state.error)

    def test_a_secret_in_the_address_is_not_kept(self, board: TestBoard) -> None:
        board.url += "?token=secret"
        board.step()
        assert "secret" not in state_file(board.folder).read_text()

    def test_a_key_that_cannot_be_read(self, board: TestBoard) -> None:
        board.key = board.folder / "none.pub"
        assert "Cannot read the key" in board.fails(is_noted=False)


@pytest.mark.usefixtures("quick_test")
class TestBundles:
    @pytest.fixture(autouse=True)
    def nothing_changes(self, quick_test: None, operator: Operator, board: TestBoard) -> Iterator[None]:
        self.first: str | None = operator.publish().version
        board.settle()
        yield
        assert board.in_use == self.first
        open_bundle(board.folder / "bundles" / "small" / "versions" / str(self.first))

    def test_a_corrupt_one_is_not_taken_and_asked_for_again(
        self, operator: Operator, board: TestBoard, site: Site
    ) -> None:
        place = operator.folder / operator.publish().url
        content = bytearray(place.read_bytes())
        content[5000] ^= 1
        place.write_bytes(content)
        assert "is not the file expected: its SHA-256" in board.fails()
        place.write_bytes(content[:-1])
        assert "it is another file" in board.fails()
        assert board.state.bad == (), "what a host breaks says nothing of the version"

    def test_one_that_is_no_bundle(self, operator: Operator, board: TestBoard) -> None:
        release = operator.publish()
        (operator.folder / release.url).write_bytes(b"PK" * 50)
        import hashlib

        digest = hashlib.sha256(b"PK" * 50).hexdigest()
        releases = payload_of(operator)["releases"]
        assert isinstance(releases, list)
        put(operator, serial=99, releases=[releases[0], {**releases[1], "sha256": digest, "size_bytes": 100}])
        assert "is not a .zip file of a bundle" in board.fails()
        assert board.step().phase == "failed"
        assert board.state.bad_versions == {release.version}

    def test_one_of_another_version_than_the_channel_says(self, operator: Operator, board: TestBoard) -> None:
        operator.publish()
        releases = payload_of(operator)["releases"]
        assert isinstance(releases, list)
        put(operator, serial=99, releases=[releases[0], {**releases[1], "version": "0" * 16}])
        assert "the channel says 0000000000000000 of small: publish it again" in board.fails()

    def test_one_that_the_bundle_key_did_not_sign(self, operator: Operator, board: TestBoard, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        operator.publish()
        assert "is not signed, and the key" in board.fails(bundle_key=public)
        assert board.state.bad == ()
        assert len(list((board.folder / "downloads").glob("*.zip"))) == 1, "it is not fetched again each time"
        folder = write_small_demo(tmp_path / "signed", created="y")
        pack(open_bundle(folder), tmp_path / "signed.zip", sign((folder / "manifest.json").read_bytes(), private))
        signed = operator.publish(tmp_path / "signed.zip")
        assert board.step(bundle_key=public).installed == signed.version
        self.first = signed.version

    def test_no_room(self, operator: Operator, board: TestBoard, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        operator.publish()
        site.asked.clear()
        with no_room(monkeypatch, 100_000):
            message = board.fails()
        assert "are free and" in message
        assert site.asked == ["channel.json"], "nothing is fetched that has no room once unpacked"

    def test_a_server_that_dies_in_the_middle(self, operator: Operator, board: TestBoard, site: Site) -> None:
        release = operator.publish()
        site.bad[release.url] = [cut_after(200_000)]
        assert "the next try resumes there" in board.fails()
        site.requests.clear()
        assert board.step().installed == release.version
        assert [one["Range"] for one in site.requests if "Range" in one] == ["bytes=200000-"]
        self.first = release.version

    def test_what_has_come_waits_while_the_channel_is_paused(
        self, operator: Operator, board: TestBoard, site: Site
    ) -> None:
        release = operator.publish()
        site.bad[release.url] = [cut_after(200_000)]
        board.fails()
        publishing.pause(operator.folder, operator.keys, "heat", clock=operator.clock)
        assert board.step().phase == "held"
        publishing.resume(operator.folder, operator.keys, clock=operator.clock)
        site.requests.clear()
        self.first = board.step().installed
        assert [one["Range"] for one in site.requests if "Range" in one] == ["bytes=200000-"]

    def test_a_redirect_to_plain_http(self, operator: Operator, board: TestBoard, site: Site) -> None:
        release = operator.publish()
        site.bad[release.url] = [moved("http://example.com/x.zip")]
        assert "is not encrypted" in board.fails()

    def test_an_address_on_plain_http(self, operator: Operator, board: TestBoard) -> None:
        operator.publish(url="http://example.com/x.zip")
        assert "is not encrypted" in board.fails()
        operator.publish(url="file:///etc/passwd")
        assert "expected" in board.fails()


def test_the_self_test_is_real(operator: Operator, board: TestBoard, tmp_path: Path) -> None:
    """A bundle that is whole, signed, and answers otherwise than it says it does."""
    good = operator.publish()
    board.settle()
    folder = write_small_demo(tmp_path / "wrong", created="x")
    values = json.loads((folder / "manifest.json").read_text())
    answers = values["golden"]["answers"][FILE]
    values["golden"]["answers"][FILE] = answers[::-1] if isinstance(answers, list) else answers
    (folder / "manifest.json").write_text(json.dumps(values))
    pack(open_bundle(folder), tmp_path / "wrong.zip")
    bad = operator.publish(tmp_path / "wrong.zip")
    with pytest.raises(SelfTestError):
        board.step()
    assert (board.in_use, board.state.phase) == (good.version, "failed")
    assert [(one.version, one.was_in_use) for one in board.state.bad] == [(bad.version, False)]
    state = board.step()
    assert (state.phase, state.installed) == ("failed", good.version)
    assert list((board.folder / "downloads").iterdir()) == []


@pytest.mark.usefixtures("quick_test")
def test_a_host_with_a_certificate(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS from the channel to the bundle, and never left for HTTP."""
    release = operator.publish()
    context, trusted = certificate(tmp_path)
    with hosting(operator.folder, context) as site, hosting(operator.folder) as plain:
        board = TestBoard(folder=tmp_path / "board", url=site.url, key=operator.public)
        assert "its certificate is not trusted" in board.fails()
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        site.bad["channel.json"] = [moved(plain.url)]
        assert "is not encrypted: expected https://" in board.fails()
        site.bad[release.url] = [moved(plain.url.replace("channel.json", release.url))]
        assert "is not encrypted: expected https://" in board.fails()
        assert board.step().installed == release.version


def test_a_channel_on_plain_http(board: TestBoard) -> None:
    for url in ("http://example.com/channel.json", "ftp://example.com/channel.json", "channel.json"):
        board.url = url
        board.fails(is_noted=False)
        assert not board.folder.exists()


@pytest.mark.usefixtures("quick_test")
def test_two_followers_at_once(operator: Operator, board: TestBoard, site: Site) -> None:
    """The second one says so and ends; the first one goes on undisturbed."""
    release = operator.publish()
    let_go = threading.Event()
    site.bad[release.url] = [stalls_after(100_000, let_go)]
    done: list[FollowState] = []
    first = threading.Thread(target=lambda: done.append(board.step(limits=PATIENT)))
    first.start()
    while release.url not in site.asked:
        time.sleep(0.005)
    assert "Another process follows a channel" in board.fails(is_noted=False)
    let_go.set()
    first.join()
    assert done[0].installed == release.version


@pytest.mark.usefixtures("quick_test")
def test_uninstalling_while_following(operator: Operator, board: TestBoard, site: Site) -> None:
    """The folders vanish while a bundle comes: one line, and nothing is put where they were."""
    release = operator.publish()

    def vanish(stage: str, share: float) -> None:
        shutil.rmtree(board.folder, ignore_errors=True)

    board.fails(is_noted=False, progress=vanish)
    assert not (board.folder / "bundles").exists()
    assert not state_file(board.folder).exists()
    assert board.settle().installed == release.version, "installing it again begins from scratch"


@pytest.mark.usefixtures("quick_test")
@pytest.mark.parametrize("phase", ["downloading", "testing"])
def test_a_folder_that_is_being_removed_gets_nothing_more(operator: Operator, board: TestBoard, phase: str) -> None:
    operator.publish()

    def remove_as_far_as_it_goes(state: FollowState) -> None:
        if state.phase == phase:
            state_file(board.folder).unlink()  # rm -r, which has more to remove yet

    message = board.fails(is_noted=False, on_change=remove_as_far_as_it_goes)
    assert message == f"{board.folder} was removed on the way: nothing more is done."
    assert not state_file(board.folder).exists() and not (board.folder / "bundles" / "small" / "active.json").exists()


FORKING = """
import os, signal, sys
import edge.bundles.registry, edge.updates.download.partial, edge.updates.install
import cryptography.hazmat.primitives.asymmetric.ed25519
from datetime import datetime, timezone
from pathlib import Path
from edge.fleet import step
from edge.fleet.following import follow
from edge.fleet.rings import Board
from edge.updates.download import Limits
folder, url, key = sys.argv[1:]
now = datetime(2026, 11, 27, 17, 20, tzinfo=timezone.utc)
edge.updates.install.verify_answers = lambda bundle, backend: 1

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def around(module, name, when):
    plain = getattr(module, name)
    def wrapped(*arguments, **options):
        if when == "before":
            die()
        plain(*arguments, **options)
        die()
    setattr(module, name, wrapped)

def prepare(point):
    if point.startswith("noted "):
        phase, plain = point.split()[1], step.write_state
        def note(state, folder):
            plain(state, folder)
            if state.phase == phase:
                die()
        step.write_state = note
    elif point == "half a state":
        step.write_state = lambda state, folder: ((folder / ".follow.json.x").write_text("{"), die())
    elif point == "half a download":
        edge.updates.download.partial.Partial.append = lambda part, data: (part._file.write(data[:999]), die())
    elif point == "half a bundle":
        around(edge.updates.archive.Source, "copy", "after")
    elif point.endswith(" the switch"):
        around(edge.bundles.registry, "write_atomically", point.split()[0])

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        prepare(line.strip())
        limits = Limits(timeout_s=30, tries=3, pause_s=0, spare_bytes=0)
        follow(url, Path(key), Board(id="attic"), folder=Path(folder), limits=limits, clock=lambda: now)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Takes a step in a child each time, which kills itself at the point told. Prints its number, then its exit code."""

POINTS = (
    "half a state",
    "noted downloading",
    "half a download",
    "noted testing",
    "half a bundle",
    "before the switch",
    "after the switch",
    "noted watching",
)


class _Forking:
    """The program above, at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._answers = process.stdin, process.stdout

    def step(self, point: str = "", kill_after_s: float | None = None) -> int:
        print(point, file=self._orders, flush=True)
        child = int(self._answers.readline())
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(self._answers.readline())


@pytest.fixture
def forking(board: TestBoard) -> Iterator[_Forking]:
    command = [sys.executable, "-c", FORKING, str(board.folder), board.url, str(board.key)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield _Forking(process)
        assert process.stdin is not None
        process.stdin.close()


def ends_well(board: TestBoard, forking: _Forking, old: str | None, new: str) -> None:
    """After a step was killed: old or new is in use, whole, and the next steps end on the new one."""
    installed = find_installed("small", (board.folder / "bundles",))
    assert installed is not None
    assert installed.active in (old, new)
    assert installed.active is not None
    open_bundle(installed.folder(installed.active))
    assert forking.step() == 0
    assert board.in_use == new
    assert board.state.phase in ("watching", "idle")
    assert forking.step() == 0
    assert (board.in_use, board.state.phase, board.state.bad) == (new, board.state.phase, ())
    left = [path.name for path in board.folder.rglob(".*") if path.name not in (".lock", ".follow.lock")]
    assert left == []
    watched = board.state  # as if the health window had ended well, so that the next release is taken
    write_state(watched.in_phase("idle", board.now), board.folder)


def test_a_step_killed_between_any_two_parts_of_it(operator: Operator, board: TestBoard, forking: _Forking) -> None:
    operator.publish()
    assert forking.step() == 0
    write_state(board.state.in_phase("idle", board.now), board.folder)
    for point in POINTS:
        old, new = board.in_use, operator.publish().version
        assert forking.step(point) == -signal.SIGKILL, point
        is_new = POINTS.index(point) >= POINTS.index("after the switch")
        assert board.in_use == (new if is_new else old), point
        ends_well(board, forking, old, new)


def test_a_step_killed_at_random_moments(operator: Operator, board: TestBoard, forking: _Forking) -> None:
    chance = random.Random(5)
    operator.publish()
    assert forking.step() == 0
    write_state(board.state.in_phase("idle", board.now), board.folder)
    for _ in range(KILLS):
        old, new = board.in_use, operator.publish().version
        assert forking.step(kill_after_s=chance.uniform(0, 0.2)) in (0, -signal.SIGKILL)
        ends_well(board, forking, old, new)
