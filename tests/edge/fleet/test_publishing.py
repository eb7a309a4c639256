"""The operator's side: what is signed, and what is refused before it is."""

from __future__ import annotations

import json
import os
import stat
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.bundles.bundle import open_bundle
from edge.errors import BundleError, ChannelError, EdgeError, OutputError, SignatureError
from edge.fleet import publishing
from edge.fleet.channel import CHANNEL_FILE
from edge.fleet.health import Gate
from edge.fleet.keys import take_key
from edge.fleet.rings import parse_ring
from edge.fleet.signed import key_id, public_key_of, read_keys, seal
from edge.locks import locked
from edge.updates.archive import pack
from edge.updates.signature import sign
from tests.edge.fleet.conftest import Operator
from tests.edge.small_demo import FILE, write_small_demo
from tests.edge.updates.test_signature import make_keys


class TestKeys:
    def test_a_key_is_made_once_for_its_owner_alone(self, tmp_path: Path) -> None:
        made = take_key(tmp_path / "conf" / "k.pem", tmp_path / "www")
        assert made.is_new
        assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
        assert [public_key_of(made.private)] == list(read_keys(made.public))
        before = made.private.read_bytes()
        assert not take_key(made.private, tmp_path / "www").is_new
        assert made.private.read_bytes() == before

    def test_a_key_is_never_served(self, tmp_path: Path) -> None:
        (tmp_path / "www").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "www")
        for place in (tmp_path / "www" / "k.pem", tmp_path / "link" / "sub" / "k.pem"):
            with pytest.raises(ChannelError, match="would be served"):
                take_key(place, tmp_path / "www")
        assert list((tmp_path / "www").iterdir()) == []

    def test_a_file_that_is_no_key_stays(self, tmp_path: Path) -> None:
        (tmp_path / "k.pem").write_text("mine")
        with pytest.raises(SignatureError, match="does not hold a private Ed25519 key"):
            take_key(tmp_path / "k.pem", tmp_path / "www")
        assert (tmp_path / "k.pem").read_text() == "mine"


class TestReleases:
    def test_a_bundle_that_is_older_than_the_newest_is_said(self, operator: Operator) -> None:
        old, new, newer = operator.bundle(), operator.bundle(), operator.bundle()
        said: list[str] = []

        def publish(bundle: Path) -> None:
            publishing.publish(operator.folder, str(bundle), operator.keys, clock=operator.clock, announce=said.append)

        publish(new)
        publish(newer)
        with pytest.raises(ChannelError, match="expected 1 to 80 characters"):
            offer = publishing.Offer(label="")
            publishing.publish(operator.folder, str(old), operator.keys, offer, announce=said.append)
        assert said == []
        publish(old)
        (message,) = said
        assert f"{old} was made at 2026-01-01T00:00:00+00:00, before version" in message
        assert message.endswith("(2026-01-01T00:00:02+00:00). If that is a mistake: edge channel withdraw.")

    def test_a_signed_bundle_that_boards_refuse_as_older_is_refused(self, operator: Operator, tmp_path: Path) -> None:
        private, _ = make_keys(tmp_path)

        def bundle(serial: int) -> Path:
            folder = write_small_demo(tmp_path / f"serial{serial}", serial=serial)
            signature = sign((folder / "manifest.json").read_bytes(), private)
            pack(open_bundle(folder), place := folder.with_suffix(".zip"), signature)
            return place

        operator.publish(bundle(20))
        newest, older = operator.publish(bundle(30)), bundle(25)
        before = sorted(operator.folder.rglob("*")), operator.read()
        with pytest.raises(ChannelError, match=r"serial 25, that one has 30\): boards with a bundle.pub refuse it"):
            operator.publish(older)
        assert (sorted(operator.folder.rglob("*")), operator.read()) == before
        publishing.withdraw(operator.folder, operator.keys, newest.version, "x", clock=operator.clock)
        operator.publish(older)

    def test_a_release_opens_ring_by_ring(self, operator: Operator) -> None:
        assert (operator.read().serial, operator.read().releases) == (1, ())
        release = operator.publish(to=None, label="one")
        assert (release.open_rings, [ring.name for ring in release.rings]) == (1, ["first", "quarter", "all"])
        place = operator.folder / release.url
        assert place.stat().st_size == release.size_bytes
        for count in (2, 3):
            assert publishing.promote(operator.folder, operator.keys, clock=operator.clock).open_rings == count
        with pytest.raises(ChannelError, match=r"\(one\) is open up to the ring all: there is nothing to promote"):
            publishing.promote(operator.folder, operator.keys, clock=operator.clock)
        assert operator.read().serial == 4
        assert operator.read().releases[0].open_rings == 3

    def test_the_next_one_is_offered_as_the_last_one_was(self, operator: Operator) -> None:
        rings = (parse_ring("lab=@lab"), parse_ring("all=100"))
        first = operator.publish(rings=rings, gate=Gate(minutes=7))
        second = operator.publish(to=None)
        assert (second.rings, second.gate, second.parent) == (rings, first.gate, first.version)
        assert publishing.promote(operator.folder, operator.keys, to="all", clock=operator.clock).open_rings == 2
        with pytest.raises(ChannelError, match="no ring 'some': expected lab or all"):
            publishing.promote(operator.folder, operator.keys, to="some", clock=operator.clock)

    def test_a_release_is_found_by_its_label(self, operator: Operator) -> None:
        operator.publish(label="one", to=None)
        operator.publish(label="two")
        opened = publishing.promote(operator.folder, operator.keys, version="one", to="all", clock=operator.clock)
        assert opened.label == "one"
        with pytest.raises(ChannelError, match=r"no release three: expected one of .*\(one\), .*\(two\)"):
            publishing.withdraw(operator.folder, operator.keys, "three", "why", clock=operator.clock)
        taken = publishing.withdraw(operator.folder, operator.keys, "two", "slow", clock=operator.clock)
        assert (taken.label, taken.withdrawn) == ("two", "slow")
        with pytest.raises(ChannelError, match=r"\(one\) is open up to"):
            publishing.promote(operator.folder, operator.keys, clock=operator.clock)
        for release in operator.read().releases:
            publishing.withdraw(operator.folder, operator.keys, release.version, "slow", clock=operator.clock)
        with pytest.raises(ChannelError, match=r"^Every release .* is withdrawn: edge channel publish adds one\.$"):
            publishing.promote(operator.folder, operator.keys, clock=operator.clock)

    def test_a_folder_can_be_published(self, operator: Operator, tmp_path: Path) -> None:
        folder = write_small_demo(tmp_path / "plain")
        assert publishing.publish(operator.folder, str(folder), operator.keys, clock=operator.clock).size_bytes > 1000

    def test_old_releases_leave_the_file(self, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.fleet.offering._KEPT", 2)
        versions = [operator.publish().version for _ in range(3)]
        assert [one.version for one in operator.read().releases] == versions[1:]

    def test_pausing_and_resuming(self, operator: Operator) -> None:
        operator.publish(to=None)
        paused = publishing.pause(operator.folder, operator.keys, "heat", clock=operator.clock)
        assert (paused.paused, paused.paused_reason) == (True, "heat")
        with pytest.raises(ChannelError, match=r"paused \(heat\): edge channel resume"):
            publishing.promote(operator.folder, operator.keys, clock=operator.clock)
        resumed = publishing.resume(operator.folder, operator.keys, clock=operator.clock)
        assert (resumed.paused, resumed.paused_reason, resumed.serial) == (False, None, 4)

    def test_renewing_lasts_as_long_again(self, operator: Operator) -> None:
        operator.later(days=80)
        assert publishing.renew(operator.folder, operator.keys, clock=operator.clock).expires_at == (
            operator.now + timedelta(days=90)
        )
        renewed = publishing.renew(operator.folder, operator.keys, days=7, clock=operator.clock)
        assert renewed.expires_at - renewed.created_at == timedelta(days=7)
        for days in (0, -1, 1e9, float("nan")):
            with pytest.raises(ChannelError, match="cannot last"):
                publishing.renew(operator.folder, operator.keys, days=days, clock=operator.clock)


class TestRefusals:
    @pytest.fixture(autouse=True)
    def nothing_changes(self, operator: Operator) -> object:
        operator.publish(label="one")
        before = operator.read()
        yield
        left = [path.name for path in operator.folder.rglob("*") if path.name.startswith(".") and path.name != ".lock"]
        assert left == []
        if (operator.folder / CHANNEL_FILE).exists() and operator.keys and not getattr(operator, "spoiled", False):
            assert operator.read() == before

    def test_a_channel_is_begun_once(self, operator: Operator) -> None:
        with pytest.raises(ChannelError, match="has a channel already"):
            publishing.init(operator.folder, "birds", operator.keys, clock=operator.clock)

    def test_the_same_version_twice(self, operator: Operator) -> None:
        with pytest.raises(ChannelError, match="is in the channel already"):
            operator.publish(Path(operator.made[0]))

    @pytest.mark.parametrize(
        ("label", "why"), [("", "expected 1 to 80"), ("x" * 81, "expected 1 to 80"), ("one", "already")]
    )
    def test_a_label_that_says_nothing_or_too_much(self, operator: Operator, label: str, why: str) -> None:
        with pytest.raises(ChannelError, match=why):
            operator.publish(label=label)

    def test_a_reason_that_says_nothing(self, operator: Operator) -> None:
        for refused in (
            lambda: publishing.pause(operator.folder, operator.keys, " ", clock=operator.clock),
            lambda: publishing.withdraw(operator.folder, operator.keys, "one", "", clock=operator.clock),
        ):
            with pytest.raises(ChannelError, match="The reason is empty"):
                refused()

    def test_a_bundle_of_another_name(self, operator: Operator, tmp_path: Path) -> None:
        with pytest.raises(ChannelError, match="a channel brings one bundle"):
            operator.publish(operator.bundle(name="fish"))
        assert not list(operator.folder.rglob("fish*"))

    def test_a_bundle_with_a_damaged_file(self, operator: Operator, tmp_path: Path) -> None:
        from edge.bundles.bundle import open_bundle
        from edge.updates.archive import pack

        folder = write_small_demo(tmp_path / "broken", created="x")
        opened = open_bundle(folder)
        content = bytearray((folder / FILE).read_bytes())
        content[5000] ^= 1
        (folder / FILE).write_bytes(content)
        pack(opened, tmp_path / "broken.zip")
        with pytest.raises(BundleError, match="is not what its manifest says"):
            operator.publish(tmp_path / "broken.zip")
        (tmp_path / "none.zip").write_bytes(b"PK")
        with pytest.raises(BundleError, match=r"is not a \.zip file of a bundle"):
            operator.publish(tmp_path / "none.zip")

    def test_a_bundle_that_has_left_the_folder_or_changed_there(self, operator: Operator) -> None:
        place = operator.folder / operator.read().releases[0].url
        content = place.read_bytes()
        place.write_bytes(content[:-1] + b"x")
        with pytest.raises(ChannelError, match=r"is not version .* any more: put it back, or withdraw"):
            publishing.pause(operator.folder, operator.keys, "x", clock=operator.clock)
        place.unlink()
        with pytest.raises(ChannelError, match="is not in the channel's folder"):
            publishing.pause(operator.folder, operator.keys, "x", clock=operator.clock)

    def test_a_channel_that_somebody_changed(self, operator: Operator, tmp_path: Path) -> None:
        operator.spoiled = True  # type: ignore[attr-defined]
        path = operator.folder / CHANNEL_FILE
        good = path.read_text()
        other = take_key(tmp_path / "other.pem", operator.folder)
        for content, message in (
            (good[:-30], "damaged or cut short"),
            (good.replace('\\"serial\\": 3', '\\"serial\\": 2'), "not signed by a key that is trusted here"),
            (seal(json.loads(good)["payload"], [other.private]), "not signed by a key"),
        ):
            path.write_text(content)
            with pytest.raises(EdgeError, match=message):
                publishing.pause(operator.folder, operator.keys, "x", clock=operator.clock)
            assert path.read_text() == content

    def test_no_channel(self, operator: Operator, tmp_path: Path) -> None:
        for folder in (tmp_path / "nowhere", tmp_path):
            with pytest.raises(ChannelError, match="edge channel init"):
                publishing.resume(folder, operator.keys, clock=operator.clock)

    @pytest.mark.parametrize("year", [1970, 2026])
    def test_a_clock_that_is_behind(self, operator: Operator, year: int) -> None:
        with pytest.raises(ChannelError, match=f"clock says {year}-01-02.* set it"):
            publishing.renew(operator.folder, operator.keys, clock=lambda: datetime(year, 1, 2, tzinfo=timezone.utc))

    def test_two_at_once(self, operator: Operator) -> None:
        with (
            locked(operator.folder / ".lock", lambda: None),
            pytest.raises(ChannelError, match="Somebody else changes"),
        ):
            publishing.pause(operator.folder, operator.keys, "x", clock=operator.clock)

    def test_a_folder_that_cannot_be_written(self, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*arguments: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OutputError, match="no space left on device"):
                publishing.pause(operator.folder, operator.keys, "x", clock=operator.clock)


class TestRotation:
    def test_a_key_is_named_and_the_old_one_retired(self, operator: Operator, tmp_path: Path) -> None:
        old, new = operator.keys[0], take_key(tmp_path / "new.pem", operator.folder).private
        named = publishing.rotate(operator.folder, [old], to=new, clock=operator.clock)
        assert named.keys == (public_key_of(old), public_key_of(new))
        old_id = key_id(public_key_of(old))
        with pytest.raises(ChannelError, match="None of the keys that sign would be left"):
            publishing.rotate(operator.folder, [old], retire=old_id, clock=operator.clock)
        with pytest.raises(ChannelError, match=f"no key 00: expected {old_id} or"):
            publishing.rotate(operator.folder, [old], retire="00", clock=operator.clock)
        retired = publishing.rotate(operator.folder, [old, new], retire=old_id, clock=operator.clock)
        assert retired.keys == (public_key_of(new),)
        with pytest.raises(SignatureError, match="may not sign this channel any more"):
            publishing.renew(operator.folder, [old], clock=operator.clock)
        assert publishing.renew(operator.folder, [new], clock=operator.clock).serial == 4


def test_readers_see_the_old_file_or_the_new_one(operator: Operator) -> None:
    """Whoever reads while somebody publishes never sees half a file."""
    path, is_done, wrong = operator.folder / CHANNEL_FILE, threading.Event(), list[str]()

    def read() -> None:
        while not is_done.is_set():
            try:
                operator.read()
            except EdgeError as error:
                wrong.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        publishing.renew(operator.folder, operator.keys, clock=operator.clock)
    is_done.set()
    reader.join()
    assert wrong == []
    assert path.exists()
