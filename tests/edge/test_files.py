"""Files and folders that are whole or absent, and JSON that says what is wrong with it."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, NoReturn

import pytest

import edge.files as files_module
from edge.errors import BundleError, ExistsError, OutputError, ProfileError
from edge.files import (
    check_folder,
    check_free,
    check_parent,
    new_folder,
    sha256_of,
    write_atomically,
    writing,
)
from edge.json_files import read_json, to_json
from edge.paths import found_in


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_space(handle: int) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    yield from mounted(tmp_path / "small", "size=64k")


@pytest.fixture
def locked_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that nobody may write to, not even root, for whom permissions do not count."""
    yield from mounted(tmp_path / "locked", "ro")


def mounted(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True)
    except OSError as reason:
        pytest.skip(f"mount cannot be run here: {reason}")
    if done.returncode:
        pytest.skip(f"mounting a tmpfs needs root's powers here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


class TestWriteAtomically:
    @pytest.mark.parametrize("content", ["äöü\n", b"\x00\xff"])
    def test_writes_text_and_bytes(self, tmp_path: Path, content: str | bytes) -> None:
        write_atomically(tmp_path / "file", content)
        data = content.encode() if isinstance(content, str) else content
        assert (tmp_path / "file").read_bytes() == data

    def test_gives_the_permissions_of_an_ordinary_file(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "atomic", "x")
        (tmp_path / "ordinary").write_text("x")
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("atomic", "ordinary")}
        assert len(modes) == 1

    def test_files_that_other_threads_make_meanwhile_are_not_open_to_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        umask, ordinary = os.umask, tmp_path / "ordinary"

        def interrupted(mask: int) -> int:
            old = umask(mask)
            ordinary.write_text("another thread's")
            return old

        monkeypatch.setattr(os, "umask", interrupted)
        write_atomically(tmp_path / "atomic", "x")
        ordinary.touch()
        assert stat.S_IMODE(ordinary.stat().st_mode) == stat.S_IMODE((tmp_path / "atomic").stat().st_mode)

    def test_replaces_what_stood_there_and_leaves_no_other_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("old")
        write_atomically(tmp_path / "file", "new")
        assert (tmp_path / "file").read_text() == "new"
        assert names(tmp_path) == ["file"]

    def test_keeps_the_old_content_when_the_disk_fills(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "file"
        path.write_text("old")
        monkeypatch.setattr(os, "fsync", no_space)
        with pytest.raises(OutputError) as refused:
            write_atomically(path, "new")
        assert str(refused.value) == (
            f"Cannot write {path}: no space left on device on {tmp_path}. "
            "Free some space; nothing half-written was kept."
        )
        assert path.read_text() == "old"
        assert names(tmp_path) == ["file"]

    def test_keeps_the_old_content_on_a_disk_that_is_really_full(self, small_disk: Path) -> None:
        path = small_disk / "file"
        path.write_text("old")
        with pytest.raises(OutputError, match=r"no space left on device on .*Free some space"):
            write_atomically(path, bytes(1 << 20))
        assert path.read_text() == "old"
        assert names(small_disk) == ["file"]

    def test_keeps_the_old_content_when_interrupted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(handle: int) -> NoReturn:
            raise KeyboardInterrupt

        (tmp_path / "file").write_text("old")
        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(tmp_path / "file", "new")
        assert (tmp_path / "file").read_text() == "old"
        assert names(tmp_path) == ["file"]

    def test_names_the_folder_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError) as refused:
            write_atomically(tmp_path / "no" / "file", "x")
        path = tmp_path / "no/file"
        assert str(refused.value) == f"Cannot write {path}: there is no folder {tmp_path / 'no'}. Make it first."

    def test_refuses_a_path_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("old")
        path = tmp_path / "file" / "below"
        with pytest.raises(OutputError) as refused:
            write_atomically(path, "x")
        assert str(refused.value) == f"Cannot write {path}: {path.parent} is not a folder. Choose another place."

    def test_refuses_a_folder_in_the_files_place(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(OutputError) as refused:
            write_atomically(tmp_path / "folder", "x")
        assert str(refused.value) == f"Cannot write {tmp_path / 'folder'}: is a directory."
        assert names(tmp_path) == ["folder"]

    def test_refuses_a_disk_that_is_read_only(self, locked_disk: Path) -> None:
        with pytest.raises(OutputError) as refused:
            write_atomically(locked_disk / "file", "x")
        assert str(refused.value) == f"Cannot write {locked_disk / 'file'}: read-only file system."

    def test_says_whose_folder_it_is_when_permission_is_denied(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def deny(*_: object) -> NoReturn:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("edge.files.os.open", deny)
        with pytest.raises(OutputError) as refused:
            write_atomically(tmp_path / "file", "x")
        assert str(refused.value) == (
            f"Cannot write {tmp_path / 'file'}: permission denied in {tmp_path}. Choose a folder that is yours."
        )


class TestNewFolder:
    def test_appears_only_when_the_block_has_ended(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "new"
        with new_folder(path) as folder:
            (folder / "file").write_text("x")
            assert not path.exists()
        assert (path / "file").read_text() == "x"
        assert names(path.parent) == ["new"]

    def test_may_be_entered_by_whom_an_ordinary_folder_lets_in(self, tmp_path: Path) -> None:
        with new_folder(tmp_path / "new"):
            pass
        (tmp_path / "ordinary").mkdir()
        assert (tmp_path / "new").stat().st_mode == (tmp_path / "ordinary").stat().st_mode

    @pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), BundleError("no")])
    def test_leaves_nothing_when_the_block_fails(self, tmp_path: Path, error: BaseException) -> None:
        with pytest.raises(type(error)), new_folder(tmp_path / "new") as folder:
            (folder / "file").write_text("x")
            raise error
        assert names(tmp_path) == []

    def test_is_refused_where_something_stands(self, tmp_path: Path) -> None:
        (tmp_path / "old").mkdir()
        with pytest.raises(OutputError) as refused, new_folder(tmp_path / "old"):
            pytest.fail("the block ran")
        assert str(refused.value) == (f"{tmp_path / 'old'} already exists: expected a name that is free.")
        assert names(tmp_path) == ["old"]

    @pytest.mark.parametrize("replace", [False, True])
    def test_never_takes_the_place_of_a_file(self, tmp_path: Path, replace: bool) -> None:
        (tmp_path / "file").write_text("old")
        with pytest.raises(OutputError) as refused, new_folder(tmp_path / "file", replace=replace):
            pytest.fail("the block ran")
        assert str(refused.value) == f"{tmp_path / 'file'} is a file: expected a folder, or a name that is free."
        assert (tmp_path / "file").read_text() == "old"

    def test_replaces_the_old_one_once_it_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "bundle"
        path.mkdir()
        (path / "old").write_text("old")
        with new_folder(path, replace=True) as folder:
            (folder / "new").write_text("new")
            assert names(path) == ["old"]
        assert names(path) == ["new"]
        assert names(tmp_path) == ["bundle"]

    def test_keeps_the_old_one_when_the_block_fails(self, tmp_path: Path) -> None:
        path = tmp_path / "bundle"
        path.mkdir()
        (path / "old").write_text("old")
        with pytest.raises(ValueError, match="no"), new_folder(path, replace=True):
            raise ValueError("no")
        assert names(path) == ["old"]
        assert names(tmp_path) == ["bundle"]

    def test_puts_the_old_one_back_when_the_new_one_cannot_take_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, rename = tmp_path / "bundle", Path.rename
        path.mkdir()
        (path / "old").write_text("old")

        def fail_for_the_new_one(self: Path, target: Path) -> Path:
            if target == path and (self / "new").exists():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
        with pytest.raises(OutputError) as refused, new_folder(path, replace=True) as folder:
            (folder / "new").write_text("new")
        assert str(refused.value) == f"Cannot write {path}: input/output error."
        assert names(path) == ["old"]
        assert names(tmp_path) == ["bundle"]

    def test_keeps_the_old_ones_files_even_when_nothing_can_be_put_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, rename = tmp_path / "bundle", Path.rename
        path.mkdir()
        (path / "precious").write_text("old")

        def fail_for_the_place(self: Path, target: Path) -> Path:
            if target == path:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", fail_for_the_place)
        with pytest.raises(OutputError), new_folder(path, replace=True):
            pass
        assert [found.read_text() for found in tmp_path.rglob("precious")] == ["old"]

    def test_leaves_a_mount_point_alone(self, small_disk: Path) -> None:
        (small_disk / "old").write_text("old")
        with pytest.raises(OutputError) as refused, new_folder(small_disk, replace=True):
            pass
        assert str(refused.value) == f"Cannot write {small_disk}: device or resource busy."
        assert names(small_disk) == ["old"]
        assert names(small_disk.parent) == ["small"]

    def test_leaves_nothing_when_the_disk_fills(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "fsync", no_space)
        with pytest.raises(OutputError) as refused, new_folder(tmp_path / "new") as folder:
            (folder / "file").write_text("x")
        assert str(refused.value) == (
            f"Cannot write {tmp_path / 'new'}: no space left on device on {tmp_path}. "
            "Free some space; nothing half-written was kept."
        )
        assert names(tmp_path) == []

    def test_leaves_nothing_on_a_disk_that_is_really_full(self, small_disk: Path) -> None:
        with pytest.raises(OutputError, match="no space left on device"), new_folder(small_disk / "new") as folder:
            (folder / "file").write_bytes(bytes(1 << 20))
        assert names(small_disk) == []

    def test_what_somebody_else_puts_there_meanwhile_stays(self, tmp_path: Path) -> None:
        with pytest.raises(ExistsError), new_folder(tmp_path / "new") as folder:
            (folder / "file").write_text("ours")
            with new_folder(tmp_path / "new") as other:
                (other / "file").write_text("theirs")
        assert (tmp_path / "new/file").read_text() == "theirs"
        assert names(tmp_path) == ["new"]

    def test_cannot_stand_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("old")
        path = tmp_path / "file" / "new"
        with pytest.raises(OutputError) as refused, new_folder(path):
            pytest.fail("the block ran")
        assert str(refused.value) == f"Cannot write {path}: {path.parent} is not a folder. Choose another place."

    def test_cannot_stand_on_a_disk_that_is_read_only(self, locked_disk: Path) -> None:
        with pytest.raises(OutputError) as refused, new_folder(locked_disk / "new"):
            pytest.fail("the block ran")
        assert str(refused.value) == f"Cannot write {locked_disk / 'new'}: read-only file system."


class TestInterrupted:
    """Ctrl-C before each line of the module that writes, one after the other."""

    def test_a_file_is_the_old_or_the_new_one_and_alone(self, tmp_path: Path) -> None:
        def write(place: Path) -> None:
            place.mkdir()
            (place / "file").write_text("old")
            write_atomically(place / "file", "new")

        for place in interrupted_everywhere(tmp_path, write):
            assert (place / "file").read_text() in ("old", "new")
            assert names(place) == ["file"]

    @pytest.mark.parametrize("is_there", [True, False])
    def test_a_folder_is_whole_or_absent_and_alone(self, tmp_path: Path, is_there: bool) -> None:
        def write(place: Path) -> None:
            if is_there:
                (place / "folder").mkdir(parents=True)
                (place / "folder/file").write_text("old")
            with new_folder(place / "folder", replace=True) as folder:
                (folder / "file").write_text("new")

        for place in interrupted_everywhere(tmp_path, write):
            found = names(place) if place.exists() else []
            file = place / "folder/file"
            if is_there or file.exists():
                assert file.read_text() == "new" or (is_there and file.read_text() == "old")
                if file.read_text() == "new":  # what it replaced may wait to be removed
                    found = [name for name in found if not name.startswith(".folder.")]
            assert set(found) <= {"folder"}


def interrupted_everywhere(tmp_path: Path, act: Callable[[Path], None]) -> Iterator[Path]:
    """Run ``act`` in a new place for each line of ``edge/files.py`` that it reaches, and interrupt it before that."""
    for number in itertools.count():
        place, lines = tmp_path / str(number), itertools.count()

        def trace(
            frame: FrameType, event: str, _: object, lines: Iterator[int] = lines, number: int = number
        ) -> Callable[..., Any] | None:
            if frame.f_code.co_filename != files_module.__file__:
                return None
            if event == "line" and next(lines) == number:
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            act(place)
        except KeyboardInterrupt:
            sys.settrace(before)
            yield place
        else:
            break
        finally:
            sys.settrace(before)
    assert number > 15


def test_what_stands_in_a_folder_s_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "below")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        expected = f"Cannot write {path}: {tmp_path / 'file'} is not a folder. Choose another place."
        with pytest.raises(OutputError) as refused:
            check_folder(path)
        assert str(refused.value) == expected
        with pytest.raises(OutputError) as refused, writing(path):
            path.mkdir(exist_ok=True)
        assert str(refused.value) == expected


def test_a_free_place_is_found_free(tmp_path: Path) -> None:
    check_free(tmp_path / "free", replace=False)
    check_free(tmp_path, replace=True)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not JSON (Expecting value: line 1 column 1 (char 0)): the file is damaged or cut short."),
        (
            b'{"a": [1, 2',
            "is not JSON (Expecting ',' delimiter: line 1 column 12 (char 11)): the file is damaged or cut short.",
        ),
        (
            b"\xff\xfe",
            "is not JSON ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte): "
            "the file is damaged or cut short.",
        ),
        (b"[1, 2]", "holds a JSON list: expected an object."),
        (b"null", "holds a JSON NoneType: expected an object."),
        (b"[" * 200_000, "is nested too deeply to be one: expected a JSON object."),
    ],
)
def test_bad_json_is_described(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(BundleError) as refused:
        read_json(path, "bundle manifest", BundleError)
    assert str(refused.value) == f"Bundle manifest {path} {complaint}"


def test_a_missing_json_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.json"
    with pytest.raises(ProfileError) as refused:
        read_json(path, "latency profile", ProfileError)
    assert str(refused.value) == f"Cannot read latency profile {path}: no such file or directory."


def test_a_folder_is_no_json_file(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as refused:
        read_json(tmp_path, "latency profile", ProfileError)
    assert str(refused.value) == f"Cannot read latency profile {tmp_path}: is a directory."


def test_json_is_indented_unescaped_and_ends_in_a_newline() -> None:
    assert to_json({"label": "größe"}) == '{\n  "label": "größe"\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_no_word_for_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"latency": value})


def test_a_checksum_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("check", [check_parent, check_folder, partial(check_free, replace=True)])
def test_a_place_that_takes_no_files_is_refused_before_work_is_spent(
    check: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path / "new")
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(OutputError, match=r"permission denied in .*Choose a folder that is yours"):
        check(tmp_path / "new")
    if check is not check_parent:
        with pytest.raises(OutputError, match="permission denied"):
            check(tmp_path / "new" / "below")


def test_a_read_only_disk_is_named_before_work_is_spent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(OutputError, match=f"^Cannot write {tmp_path / 'new'}: read-only file system.$"):
        check_parent(tmp_path / "new")


def test_what_a_user_may_not_enter_has_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    assert found_in(tmp_path, "*.json") == [tmp_path / "a.json"]

    def shut(folder: Path, pattern: str) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "glob", shut)
    assert found_in(tmp_path, "*.json") == []
