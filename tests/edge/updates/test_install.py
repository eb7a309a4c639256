"""Bundles that come to use whole and right, or not at all: whatever they are, and whenever the power fails."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.bundle import MANIFEST, open_bundle
from edge.bundles.manifest import Manifest
from edge.bundles.registry import find_installed
from edge.errors import BackendError, BundleError, DownloadError, EdgeError, OutputError, SelfTestError, SignatureError
from edge.updates import install as activation
from edge.updates.archive import Source, pack
from edge.updates.download import Limits
from edge.updates.install import Activation, activate, deactivate, roll_back
from edge.updates.signature import sign
from edge.updates.versions import put_in_place
from tests.edge.conftest import make_manifest, write_bundle
from tests.edge.file_server import cut_after, moved, serving
from tests.edge.small_demo import FILE, write_small_demo
from tests.edge.test_files import locked_disk, small_disk
from tests.edge.tflite_files import CRAFTED, edited, hungry, write_bundle_around
from tests.edge.updates.test_signature import make_keys

__all__ = ["locked_disk", "small_disk"]

KILLS = int(os.environ.get("MNE_KILLS", "30"))
"""How often the process is killed: more is surer."""
QUICK = Limits(timeout_s=1.0, tries=2, pause_s=0.01, spare_bytes=0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where bundles are installed."""
    return tmp_path / "bundles"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_small_demo(tmp_path / "first")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_small_demo(tmp_path / "second", created="2026-01-01T00:00:00+00:00")


@pytest.fixture(scope="module")
def activated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``first`` was activated, to be copied: activating tries it in a process, which takes a while."""
    folder = tmp_path_factory.mktemp("activated")
    activate(str(write_small_demo(folder / "first")), folder=folder / "bundles")
    return folder / "bundles"


def version_of(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:16]


def packed(folder: Path, **options: Any) -> Path:
    out = folder.with_suffix(".zip")
    pack(open_bundle(folder), out, **options)
    return out


def in_use(home: Path, name: str = "small") -> tuple[str | None, str | None]:
    """The version in use and the one before, both whole."""
    installed = find_installed(name, (home,))
    assert installed is not None
    for version in (installed.active, installed.previous):
        if version is not None:
            open_bundle(installed.folder(version))
    return installed.active, installed.previous


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.parent.name not in ("golden",))


class TestActivating:
    @pytest.mark.parametrize("is_packed", [False, True])
    def test_a_bundle_comes_to_use(self, home: Path, first: Path, is_packed: bool) -> None:
        made = activate(str(packed(first) if is_packed else first), folder=home)
        assert isinstance(made, Activation)
        assert (made.bundle.name, made.tested) == ("small", 1)
        assert made.bundle.root == home / "small/versions" / version_of(first)
        assert in_use(home) == (version_of(first), None)
        assert sorted(path.name for path in home.iterdir()) == [".lock", "small"]

    def test_nothing_is_put_where_the_folder_was_removed_on_the_way(
        self, home: Path, first: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def removed_before(*arguments: Any) -> int:
            shutil.rmtree(home)
            return put_in_place(*arguments)

        monkeypatch.setattr(activation, "put_in_place", removed_before)
        with pytest.raises(OutputError, match="was removed on the way: nothing is installed"):
            activate(str(first), folder=home)
        assert names(home) == []

    def test_the_version_before_stays_and_the_one_before_that_goes(self, home: Path, tmp_path: Path) -> None:
        folders = [write_small_demo(tmp_path / str(n), created=f"2026-01-0{n}T00:00:00+00:00") for n in (1, 2, 3)]
        for folder in folders:
            activate(str(folder), folder=home)
        assert in_use(home) == (version_of(folders[2]), version_of(folders[1]))
        assert sorted(p.name for p in (home / "small/versions").iterdir()) == sorted(map(version_of, folders[1:]))

    def test_the_same_again_changes_nothing(self, home: Path, first: Path, second: Path) -> None:
        for folder in (first, second, second):
            activate(str(folder), folder=home)
        assert in_use(home) == (version_of(second), version_of(first))

    def test_a_damaged_version_is_installed_anew(self, home: Path, first: Path) -> None:
        root = activate(str(first), folder=home).bundle.root
        (root / FILE).write_bytes(b"damage")
        activate(str(first), folder=home)
        assert in_use(home) == (version_of(first), None)

    def test_a_note_that_makes_no_sense_is_written_anew(self, home: Path, first: Path) -> None:
        (home / "small").mkdir(parents=True)
        (home / "small/active.json").write_text("{")
        activate(str(first), folder=home)
        assert in_use(home) == (version_of(first), None)

    def test_what_was_left_half_done_is_cleared_away(self, home: Path, first: Path) -> None:
        (home / "small/versions/.abc.x1y2/deep").mkdir(parents=True)
        (home / "small/.active.json.x1y2").touch()
        activate(str(first), folder=home)
        assert not [path for path in (home / "small").rglob(".*")]

    def test_without_golden_pictures_nothing_is_tested(self, home: Path, tmp_path: Path) -> None:
        made = activate(str(write_small_demo(tmp_path / "bare", golden=None)), folder=home)
        assert (made.bundle.name, made.tested) == ("small", 0)

    def test_two_take_turns(self, home: Path, first: Path, second: Path) -> None:
        told: list[str] = []
        activate(str(first), folder=home)
        with activation._locked(home, told.append):
            thread = threading.Thread(
                target=activate, args=(str(second),), kwargs={"folder": home, "announce": told.append}
            )
            thread.start()
            while not told:
                time.sleep(0.01)
            assert in_use(home)[0] == version_of(first)
        thread.join()
        assert told == ["another process is installing a bundle: waiting for it"]
        assert in_use(home)[0] == version_of(second)


class TestRefusals:
    """Nothing of what is in use is touched, and nothing is left."""

    @pytest.fixture(autouse=True)
    def unchanged(self, activated: Path, home: Path, first: Path) -> Any:
        shutil.copytree(activated, home, symlinks=True)
        before = names(home)
        yield
        assert in_use(home) == (version_of(first), None)
        assert names(home) == before

    def complaint(self, home: Path, source: Path | str, kind: type[EdgeError], **options: Any) -> str:
        with pytest.raises(kind) as refused:
            activate(str(source), folder=home, limits=QUICK, **options)
        return str(refused.value)

    def test_what_is_not_there(self, home: Path, tmp_path: Path) -> None:
        assert self.complaint(home, tmp_path / "no", BundleError).startswith(f"There is no {tmp_path / 'no'}: expected")
        (tmp_path / "empty").mkdir()
        told = self.complaint(home, tmp_path / "empty", BundleError)
        assert told == f"{tmp_path / 'empty'} has no manifest.json: expected a bundle."

    def test_a_manifest_that_is_none(self, home: Path, second: Path) -> None:
        (second / MANIFEST).write_text("{")
        assert self.complaint(home, second, BundleError).startswith(f"Bundle manifest in {second} is not JSON")

    def test_a_refusal_under_a_new_name_leaves_no_folder(self, home: Path, second: Path) -> None:
        values = json.loads((second / MANIFEST).read_text())
        (second / MANIFEST).write_text(json.dumps(values | {"name": "other"}))
        (second / FILE).write_bytes(b"")
        self.complaint(home, second, BundleError)
        assert not (home / "other").exists()

    def test_a_long_name_is_named_in_short(self, home: Path, second: Path) -> None:
        values = json.loads((second / MANIFEST).read_text())
        (second / MANIFEST).write_text(json.dumps(values | {"name": "a" * 1_000_000}))
        assert len(self.complaint(home, second, BundleError)) < 500

    def test_a_changed_model_file(self, home: Path, second: Path) -> None:
        model = bytearray((second / FILE).read_bytes())
        model[1000] ^= 1
        (second / FILE).write_bytes(model)
        told = self.complaint(home, second, BundleError)
        assert told == f"{FILE} in {second} is not what its manifest says: get the bundle again."

    def test_a_model_that_answers_otherwise_than_it_should(self, home: Path, second: Path) -> None:
        values = json.loads((second / MANIFEST).read_text())
        for answer in values["golden"]["answers"][FILE]:
            answer[0][1] = 1 - answer[0][1]
        (second / MANIFEST).write_text(json.dumps(values))
        assert "gives a wrong answer" in self.complaint(home, second, SelfTestError)

    @pytest.mark.parametrize("golden", ["kept", "none"])
    @pytest.mark.parametrize("kind", ["aborting", "hungry", "junk"])
    def test_a_model_that_would_end_the_process(self, home: Path, tmp_path: Path, kind: str, golden: str) -> None:
        model = tmp_path / "model.tflite"
        if kind == "aborting":
            edited(tmp_path / "first" / FILE, model, CRAFTED["output -1"][0])
        elif kind == "hungry":
            hungry(model)
        else:
            model.write_bytes(b"junk")
        folder = write_bundle_around(tmp_path / "third", model, **({} if golden == "kept" else {"golden": None}))
        message = self.complaint(home, folder, BackendError)
        assert f"{FILE} of bundle small" in message and "\n" not in message

    def test_a_model_that_no_backend_here_runs(self, home: Path, second: Path) -> None:
        assert "onnxruntime" in self.complaint(home, second, BackendError, backend="onnxruntime")

    @pytest.mark.parametrize("name", ["../small", "a/b", ".hidden", ""])
    def test_a_name_that_cannot_be_a_folders(self, home: Path, tmp_path: Path, name: str) -> None:
        folder = write_small_demo(tmp_path / "third", name=name)
        told = self.complaint(home, folder, BundleError)
        assert told == f"'{name}' cannot be installed: expected a name of letters, digits, '.', '_', '-'."

    def test_a_wrong_checksum(self, home: Path, second: Path) -> None:
        path = packed(second)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        told = self.complaint(home, path, BundleError, sha256="0" * 64)
        assert told == f"{path} is not the file expected: its SHA-256 is {found}, expected {'0' * 64}."
        told = self.complaint(home, second, BundleError, sha256=found)
        assert told == f"{second} is not a file, so it has no SHA-256: expected a .zip file."

    def test_too_little_room(self, home: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1_000_000))
        assert "1 MB are free and 21 MB needed. Free some space." in self.complaint(home, second, OutputError)

    def test_a_disk_that_fills_on_the_way(self, home: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fills(*_: object) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(Source, "copy", fills)
        assert "no space left on device" in self.complaint(home, second, OutputError)

    def test_a_signature_that_is_missing_or_anothers(self, home: Path, second: Path, tmp_path: Path) -> None:
        public = make_keys(tmp_path)[1]
        other = make_keys(tmp_path, "other")[0]
        assert "is not signed" in self.complaint(home, second, SignatureError, key=public)
        path = packed(second, signature=sign((second / MANIFEST).read_bytes(), other))
        assert "is of another origin" in self.complaint(home, path, SignatureError, key=public)

    def test_a_signature_of_another_manifest(self, home: Path, first: Path, second: Path, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        path = packed(second, signature=sign((first / MANIFEST).read_bytes(), private))
        assert "is of another origin" in self.complaint(home, path, SignatureError, key=public)

    def test_a_server_that_cuts_lies_or_sends_elsewhere(self, home: Path, second: Path) -> None:
        content = packed(second).read_bytes()
        with serving(content) as server:
            assert "is not the file expected" in self.complaint(home, server.url, DownloadError, sha256="0" * 64)
            server.behaviours = [moved("http://example.com/b.zip")]
            assert "is not encrypted" in self.complaint(home, server.url, DownloadError)
        with serving(content[:-1000]) as server:
            assert "is not a .zip file of a bundle" in self.complaint(home, server.url, BundleError)
        assert "is not encrypted" in self.complaint(home, "http://example.com/b.zip", DownloadError)


class TestSerials:
    """A version that was signed long ago is not taken for a new one."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> tuple[Path, Path]:
        return make_keys(tmp_path)

    def signed(self, folder: Path, keys: tuple[Path, Path], **changes: Any) -> str:
        write_small_demo(folder, **changes)
        return str(packed(folder, signature=sign((folder / MANIFEST).read_bytes(), keys[0])))

    def test_an_older_signed_version_is_refused_unless_allowed(
        self, home: Path, tmp_path: Path, keys: tuple[Path, Path]
    ) -> None:
        new, old = self.signed(tmp_path / "new", keys, serial=7), self.signed(tmp_path / "old", keys, serial=6)
        activate(new, folder=home, key=keys[1])
        with pytest.raises(SignatureError) as refused:
            activate(old, folder=home, key=keys[1])
        assert str(refused.value) == (
            "Bundle small is older than the version in use: its serial is 6, expected 7 or more."
        )
        assert in_use(home) == (version_of(tmp_path / "new"), None)
        activate(old, folder=home, key=keys[1], allow_older=True)
        assert in_use(home) == (version_of(tmp_path / "old"), version_of(tmp_path / "new"))

    def test_one_without_a_serial_is_older_than_one_with_a_serial(
        self, home: Path, tmp_path: Path, keys: tuple[Path, Path]
    ) -> None:
        activate(self.signed(tmp_path / "new", keys, serial=1), folder=home, key=keys[1])
        with pytest.raises(SignatureError, match="its serial is 0, expected 1 or more"):
            activate(self.signed(tmp_path / "old", keys), folder=home, key=keys[1])

    def test_a_newer_one_is_taken_and_without_a_key_any(
        self, home: Path, tmp_path: Path, keys: tuple[Path, Path]
    ) -> None:
        activate(self.signed(tmp_path / "1", keys, serial=1), folder=home, key=keys[1])
        activate(self.signed(tmp_path / "2", keys, serial=2), folder=home, key=keys[1])
        assert in_use(home)[0] == version_of(tmp_path / "2")
        activate(str(tmp_path / "1"), folder=home)
        assert in_use(home)[0] == version_of(tmp_path / "1")

    def test_rolling_back_checks_the_key_too(self, home: Path, tmp_path: Path, keys: tuple[Path, Path]) -> None:
        activate(str(write_small_demo(tmp_path / "unsigned")), folder=home)
        activate(self.signed(tmp_path / "1", keys, serial=1), folder=home, key=keys[1])
        with pytest.raises(SignatureError, match="is not signed"):
            roll_back("small", folder=home, key=keys[1])
        activate(self.signed(tmp_path / "2", keys, serial=2), folder=home, key=keys[1])
        roll_back("small", folder=home, key=keys[1])
        assert in_use(home) == (version_of(tmp_path / "1"), version_of(tmp_path / "2"))

    def test_rolling_back_to_a_shipped_version_needs_no_signature(
        self, home: Path, tmp_path: Path, keys: tuple[Path, Path]
    ) -> None:
        activate(self.signed(tmp_path / "1", keys, name="demo"), folder=home, key=keys[1])
        assert roll_back("demo", folder=home, key=keys[1]).installed.active is None


def test_a_disk_too_small_takes_nothing(small_disk: Path, first: Path) -> None:
    with pytest.raises(OutputError, match="0 MB are free"):
        activate(str(first), folder=small_disk / "bundles")


def test_a_disk_that_nobody_may_write_to(locked_disk: Path, first: Path) -> None:
    with pytest.raises(OutputError, match=r"Cannot write .*\.lock: read-only file system"):
        activate(str(first), folder=locked_disk / "bundles")


def test_a_signed_bundle_comes_over_a_bad_line(home: Path, first: Path, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path)
    content = packed(first, signature=sign((first / MANIFEST).read_bytes(), private)).read_bytes()
    limits = Limits(timeout_s=1, tries=3, pause_s=0, spare_bytes=0)
    with serving(content, cut_after(50_000), cut_after(100_000)) as server:
        checksum = hashlib.sha256(content).hexdigest()
        activate(server.url, sha256=checksum, key=public, folder=home, limits=limits)
        assert [request.get("Range") for request in server.requests] == [None, "bytes=50000-", "bytes=150000-"]
    assert in_use(home) == (version_of(first), None)
    assert not (home / ".downloads").exists()
    assert (home / "small/versions" / version_of(first) / "manifest.sig").is_file()


def test_a_cut_download_goes_on_at_the_next_call(home: Path, first: Path) -> None:
    content = packed(first).read_bytes()
    with serving(content, cut_after(50_000), cut_after(0), cut_after(0)) as server:
        with pytest.raises(DownloadError, match="are kept: the next try resumes there"):
            activate(server.url, folder=home, limits=QUICK)
        activate(server.url, folder=home, limits=QUICK)
        assert server.requests[-1]["Range"] == "bytes=50000-"
    assert in_use(home) == (version_of(first), None)


class TestRollingBack:
    def test_there_and_back_again(self, home: Path, first: Path, second: Path) -> None:
        for folder in (first, second):
            activate(str(folder), folder=home)
        assert roll_back("small", folder=home).tested == 1
        assert in_use(home) == (version_of(first), version_of(second))
        roll_back("small", folder=home)
        assert in_use(home) == (version_of(second), version_of(first))

    def test_nothing_to_go_back_to(self, home: Path, first: Path) -> None:
        with pytest.raises(
            BundleError, match=f"No bundle small is installed in {home}: edge bundle list shows what is"
        ):
            roll_back("small", folder=home)
        activate(str(first), folder=home)
        with pytest.raises(BundleError, match=f"has no version before {version_of(first)}: nothing to go back to"):
            roll_back("small", folder=home)

    def test_one_that_is_put_out_of_use_stays_installed(self, home: Path, first: Path) -> None:
        activate(str(first), folder=home)
        for _ in range(2):
            assert deactivate("small", folder=home).active is None
            assert in_use(home) == (None, version_of(first))
        assert roll_back("small", folder=home).tested == 1
        assert in_use(home) == (version_of(first), None)
        with pytest.raises(BundleError, match="No bundle big is installed"):
            deactivate("big", folder=home)

    def test_the_shipped_one_is_before_the_first(self, home: Path, tmp_path: Path) -> None:
        activate(str(write_small_demo(tmp_path / "d", name="demo")), folder=home)
        assert len(roll_back("demo", folder=home).bundle.variants) > 1
        assert in_use(home, "demo")[0] is None

    def test_a_version_that_does_not_run_is_not_gone_back_to(
        self, home: Path, first: Path, second: Path, tmp_path: Path
    ) -> None:
        for folder in (first, second):
            activate(str(folder), folder=home)
        model = edited(first / FILE, tmp_path / "model.tflite", CRAFTED["output -1"][0])
        version = home / "small" / "versions" / version_of(first)
        shutil.rmtree(version)
        write_bundle_around(version, model)
        with pytest.raises(BackendError, match="its output is tensor -1 of 90"):
            roll_back("small", folder=home)
        assert in_use(home) == (version_of(second), version.name)

    def test_a_damaged_version_is_not_gone_back_to(self, home: Path, first: Path, second: Path) -> None:
        root = activate(str(first), folder=home).bundle.root
        activate(str(second), folder=home)
        (root / FILE).unlink()
        with pytest.raises(BundleError, match=f"lacks {FILE}"):
            roll_back("small", folder=home)
        installed = find_installed("small", (home,))
        assert installed is not None
        assert installed.active == version_of(second)


FORKING = """
import os, sys
import edge.updates.install, edge.inference.backends.litert, cv2
from pathlib import Path
from edge.bundles.bundle import open_bundle
for line in sys.stdin:
    action, source = line.split()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if action == "activate":
            edge.updates.install.activate(source, folder=Path(sys.argv[1]))
        else:
            edge.updates.install.roll_back(source, folder=Path(sys.argv[1]))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Does what it is told in a child each time, whose process number it prints, and then its exit code."""


def test_a_process_killed_at_any_moment_loses_nothing(home: Path, first: Path, second: Path) -> None:
    """Activations and roll-backs, from a folder and over HTTP, killed at a random moment: each switch is whole."""
    known = {version_of(first), version_of(second)}
    chance, ended = random.Random(7), {"killed": 0, "done": 0}
    with (
        serving(packed(first).read_bytes()) as server,
        subprocess.Popen(
            [sys.executable, "-c", FORKING, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as forking,
    ):
        assert forking.stdin is not None
        assert forking.stdout is not None

        def run(order: str, kill_after_s: float | None) -> int:
            assert forking.stdin is not None
            assert forking.stdout is not None
            print(order, file=forking.stdin, flush=True)
            child = int(forking.stdout.readline())
            if kill_after_s is not None:
                time.sleep(kill_after_s)
                with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(child, signal.SIGKILL)
            return int(forking.stdout.readline())

        orders = [f"activate {second}", f"activate {server.url}", f"activate {first}", "rollback small"]
        assert run(orders[0], None) == run(orders[1], None) == 0
        start = time.perf_counter()
        assert run(orders[0], None) == 0
        whole_s = 1.3 * (time.perf_counter() - start)
        for _ in range(KILLS):
            before = in_use(home)
            code = run(chance.choice(orders), chance.uniform(0, whole_s))
            ended["killed" if code == -signal.SIGKILL else "done"] += 1
            assert code in (0, -signal.SIGKILL)
            after = in_use(home)
            assert set(after) <= known
            assert after in (before, before[::-1]), "a switch happens as one, or not"
        assert run(orders[0], None) == 0
        forking.stdin.close()
    assert ended["killed"] > KILLS // 4
    assert in_use(home)[0] == version_of(second)
    assert sorted(path.name for path in (home / "small").rglob("*") if path.name.startswith(".")) == []


def test_a_manifest_may_not_give_a_files_place_to_another(home: Path, tmp_path: Path) -> None:
    """A label file that would stand where the manifest does."""
    manifest: Manifest = make_manifest()
    folder = write_bundle(tmp_path / "tiny", manifest)
    values = json.loads((folder / MANIFEST).read_text())
    values["labels"]["file"] = MANIFEST
    (folder / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(EdgeError):
        activate(str(folder), folder=home)
    assert not (home / "tiny/versions").exists() or not list((home / "tiny/versions").iterdir())
