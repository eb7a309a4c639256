from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edge.zip_files import DAMAGE, open_archive, open_packed


def make(path: Path, *, compression: int = zipfile.ZIP_DEFLATED, files: int = 1, comment: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("0" * 40, b"content")
        archive.filelist *= files
        archive.comment = comment
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"PK" * 1000, b"x" * 65535])
def test_a_usual_archive_is_read(tmp_path: Path, compression: int, comment: bytes) -> None:
    path = make(tmp_path / "x.zip", compression=compression, comment=comment)
    with open_archive(path) as archive, open_packed(archive, archive.infolist()[0]) as file:
        assert file.read() == b"content"


def test_one_behind_something_else_is_read_too(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip")
    path.write_bytes(b"model" * 100 + path.read_bytes())
    with open_archive(path) as archive:
        assert len(archive.infolist()) == 1


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_unpacked_whole_is_refused(tmp_path: Path, compression: int) -> None:
    expected = pytest.raises(zipfile.BadZipFile, match="expected stored or deflated")
    with open_archive(make(tmp_path / "x.zip", compression=compression)) as archive, expected:
        open_packed(archive, archive.infolist()[0])


@pytest.mark.parametrize("files", [60_000, 70_000], ids=["32 bits", "64 bits"])
def test_a_long_list_of_files_is_not_read(tmp_path: Path, files: int) -> None:
    with pytest.raises(zipfile.BadZipFile, match="its list of files is too long"):
        open_archive(make(tmp_path / "x.zip", files=files))


def test_the_larger_of_two_lengths_counts(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", files=70_000)
    content = bytearray(path.read_bytes())
    content[-10:-6] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match="its list of files is too long"):
        open_archive(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06", bytes(100), b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DAMAGE):
        open_archive(tmp_path / "x.zip")


def test_a_device_is_not_opened() -> None:
    with pytest.raises(zipfile.BadZipFile, match="not a plain file"):
        open_archive(Path("/dev/zero"))
