"""Bundles as one file, and archives that mean ill."""

from __future__ import annotations

import os
import socket
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.bundle import MANIFEST, open_bundle
from edge.bundles.members import FileEntry
from edge.errors import BundleError, OutputError
from edge.updates.archive import Source, pack, reading
from edge.updates.signature import SIGNATURE
from tests.edge.conftest import file_entry


@pytest.fixture
def packed(bundle_folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "tiny.zip"
    pack(open_bundle(bundle_folder), out)
    return out


def make_zip(path: Path, files: Mapping[Any, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def copied(source: Path, entry: FileEntry, to: Path) -> bytes:
    with reading(source) as files:
        files.copy(entry, to)
    return (to / entry.file).read_bytes()


def complaint(source: Path, entry: FileEntry, to: Path) -> str:
    with pytest.raises(BundleError) as refused, reading(source) as files:
        files.copy(entry, to)
    return str(refused.value)


@pytest.mark.parametrize("is_packed", [False, True])
def test_every_file_comes_as_it_was(bundle_folder: Path, packed: Path, tmp_path: Path, is_packed: bool) -> None:
    bundle = open_bundle(bundle_folder)
    with reading(packed if is_packed else bundle_folder) as files:
        assert files.read(MANIFEST, 100_000) == (bundle_folder / MANIFEST).read_bytes()
        assert files.read(SIGNATURE, 64) is None
        for entry in bundle.manifest.files():
            files.copy(entry, tmp_path / "copy")
            assert (tmp_path / "copy" / entry.file).read_bytes() == (bundle_folder / entry.file).read_bytes()


def test_the_same_bundle_gives_the_same_file(bundle_folder: Path, packed: Path, tmp_path: Path) -> None:
    os.utime(bundle_folder / "labels.txt", (0, 0))
    pack(open_bundle(bundle_folder), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_the_signature_goes_along(bundle_folder: Path, tmp_path: Path) -> None:
    bundle, out = open_bundle(bundle_folder), tmp_path / "signed.zip"
    pack(bundle, out, b"x" * 64)
    with reading(out) as files:
        assert files.read(SIGNATURE, 64) == b"x" * 64
    (bundle_folder / SIGNATURE).write_bytes(b"y" * 64)
    pack(bundle, out)
    with reading(out) as files:
        assert files.read(SIGNATURE, 64) == b"y" * 64


def test_a_place_that_cannot_be_written_keeps_what_it_has(bundle_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        pack(open_bundle(bundle_folder), tmp_path / "no" / "tiny.zip")


def test_a_bundle_packed_with_its_folder_is_found(tmp_path: Path) -> None:
    path = make_zip(
        tmp_path / "b.zip", {"birds/manifest.json": b"{}", "birds/a": b"A", "birds/golden/manifest.json": b""}
    )
    with reading(path) as source:
        assert source.read(MANIFEST, 10) == b"{}"
        assert source.read("a", 10) == b"A"


class TestIllWill:
    def test_names_that_lead_elsewhere_are_never_touched(self, tmp_path: Path) -> None:
        evil: dict[str | zipfile.ZipInfo, bytes] = {
            "../../evil": b"x",
            "/evil": b"x",
            "a/../../evil": b"x",
            "good": b"G",
        }
        path = make_zip(tmp_path / "b.zip", evil)
        assert copied(path, file_entry("good", b"G"), tmp_path / "in" / "to") == b"G"
        assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
            "b.zip",
            "in",
            "in/to",
            "in/to/good",
        ]

    def test_a_manifest_cannot_name_them(self) -> None:
        for name in ("../evil", "/evil", "a/../../evil", "a\\..\\evil"):
            with pytest.raises(BundleError, match="would lie outside the bundle"):
                file_entry(name, b"x")

    def test_a_link_is_only_its_text(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("model")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        path = make_zip(tmp_path / "b.zip", {link: b"/etc/passwd"})
        copied(path, file_entry("model", b"/etc/passwd"), tmp_path / "to")
        assert not (tmp_path / "to/model").is_symlink()
        told = complaint(path, file_entry("model", b"/etc/shadow"), tmp_path / "to2")
        assert told == f"model in {path} is not what its manifest says: get the bundle again."

    def test_a_bomb_is_refused_by_the_size_the_manifest_gives_before_it_is_unpacked(self, tmp_path: Path) -> None:
        path = make_zip(tmp_path / "b.zip", {"model": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 100_000
        message = complaint(path, file_entry("model", bytes(1000)), tmp_path / "to")
        assert "model" in message and "(it has 50000000 bytes, its manifest says 1000)" in message
        assert (tmp_path / "to/model").stat().st_size == 0

    def test_a_bomb_that_lies_about_its_size_stops_at_the_size_the_manifest_gives(self, tmp_path: Path) -> None:
        path = make_zip(tmp_path / "b.zip", {"model": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)
        path.write_bytes(path.read_bytes().replace((50_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
        complaint(path, file_entry("model", bytes(1000)), tmp_path / "to")
        assert (tmp_path / "to/model").stat().st_size <= 1001

    @pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_compression_that_is_unpacked_whole_is_refused(self, tmp_path: Path, compression: int) -> None:
        path = make_zip(tmp_path / "b.zip", {MANIFEST: bytes(5_000_000), "model": b"M"}, compression=compression)
        with pytest.raises(BundleError, match=r"compression \d+, expected stored or deflated"), reading(path) as files:
            files.read(MANIFEST, 10_000_000)
        message = complaint(path, file_entry("model", b"M"), tmp_path / "to")
        assert "expected stored or deflated" in message

    def test_a_list_of_files_longer_than_any_is_not_read(self, tmp_path: Path) -> None:
        path = make_zip(tmp_path / "b.zip", {f"{number:060}": b"" for number in range(40_000)})
        with pytest.raises(BundleError, match=r"is not a \.zip file of a bundle"), reading(path):
            pass

    def test_an_archive_of_64_bits_is_bounded_too(self, tmp_path: Path) -> None:
        path = tmp_path / "b.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("0" * 20, b"")
            archive.filelist *= 70_000
        assert b"PK\x06\x06" in path.read_bytes()[-200:]
        with pytest.raises(BundleError, match=r"is not a \.zip file of a bundle"), reading(path):
            pass

    def test_a_comment_does_not_hide_the_list_of_files(self, tmp_path: Path) -> None:
        path = make_zip(tmp_path / "b.zip", {"model": b"M"})
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"PK" * 1000
        assert copied(path, file_entry("model", b"M"), tmp_path / "to") == b"M"

    def test_a_manifest_longer_than_any_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        path = make_zip(tmp_path / "b.zip", {MANIFEST: bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)
        with pytest.raises(BundleError, match=r"longer than 1000 bytes: expected a bundle"), reading(path) as files:
            files.read(MANIFEST, 1000)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    @pytest.mark.parametrize("second", ["model", "Model", "MODEL"])
    def test_names_that_are_equal_or_differ_in_case_are_refused(self, tmp_path: Path, second: str) -> None:
        path = tmp_path / "b.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model", b"first")
            archive.writestr(second, b"last")
        message = complaint(path, file_entry("model", b"last"), tmp_path / "to")
        assert message == f"{path} has two files named {second!r}: get the bundle again."

    @pytest.mark.parametrize("name", ["model", MANIFEST])
    @pytest.mark.parametrize("kind", ["link", "link to a device", "pipe", "socket"])
    def test_what_is_not_a_plain_file_in_a_folder_is_not_opened(
        self, bundle_folder: Path, tmp_path: Path, kind: str, name: str
    ) -> None:
        place = bundle_folder / name
        place.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(place))
        else:
            place.symlink_to("/dev/zero" if "device" in kind else "labels.txt")
        message = rf"Cannot read {name} in .* \(not a plain file\)"
        with reading(bundle_folder) as files, pytest.raises(BundleError, match=message):
            files.read(name, 100)
        if name == MANIFEST:
            with pytest.raises(BundleError, match="not a plain file"):
                open_bundle(bundle_folder)
        else:
            assert "not a plain file" in complaint(bundle_folder, file_entry(name, b""), tmp_path / "to")

    def test_a_folder_that_is_a_link_is_not_followed(self, bundle_folder: Path, tmp_path: Path) -> None:
        (bundle_folder / "golden").symlink_to(bundle_folder)
        message = complaint(bundle_folder, file_entry("golden/labels.txt", b""), tmp_path / "to")
        assert message == f"Cannot read golden/labels.txt in {bundle_folder} (not a directory): get the bundle again."

    def test_a_pipe_in_place_of_an_archive_is_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "b.zip")
        with pytest.raises(BundleError, match=r"is not a \.zip file of a bundle"), reading(tmp_path / "b.zip"):
            pass


class TestDamage:
    def test_no_archive_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "b.zip").write_bytes(b"<html>")
        for place, told in (
            ("b.zip", "is not a .zip file of a bundle: edge bundle pack BUNDLE OUT.zip writes one."),
            ("none.zip", "expected a bundle's folder, a .zip file of one, or https://HOST/PATH."),
        ):
            with pytest.raises(BundleError) as refused, reading(tmp_path / place):
                pass
            assert str(refused.value).endswith(told)

    def test_any_cut_and_any_flipped_byte_is_found_out(self, packed: Path, bundle_folder: Path, tmp_path: Path) -> None:
        """Or falls on a place that says nothing."""
        whole, bundle = packed.read_bytes(), open_bundle(bundle_folder)
        cuts = [whole[:n] for n in range(0, len(whole), 150)]
        flips = [whole[:n] + bytes([whole[n] ^ 0x55]) + whole[n + 1 :] for n in range(0, len(whole), 41)]
        refused = 0
        for number, content in enumerate(cuts + flips):
            broken, to = tmp_path / "broken.zip", tmp_path / str(number)
            broken.write_bytes(content)
            try:
                with reading(broken) as files:
                    head = files.read(MANIFEST, 100_000)
                    for entry in bundle.manifest.files():
                        files.copy(entry, to)
            except BundleError:
                head = None
            if head is None:
                refused += 1
                continue
            assert head == (bundle_folder / MANIFEST).read_bytes()
            for entry in bundle.manifest.files():
                assert (to / entry.file).read_bytes() == (bundle_folder / entry.file).read_bytes()
        assert refused > len(cuts)

    def test_a_missing_file_is_named(self, packed: Path, bundle_folder: Path, tmp_path: Path) -> None:
        for place in (packed, bundle_folder):
            told = complaint(place, file_entry("none", b""), tmp_path / f"to-{place.name}")
            assert told == f"{place} lacks none: get the bundle again."

    def test_a_folder_in_a_files_place(self, bundle_folder: Path, tmp_path: Path) -> None:
        (bundle_folder / "model").mkdir()
        told = complaint(bundle_folder, file_entry("model", b""), tmp_path / "to")
        assert told == f"Cannot read model in {bundle_folder} (not a plain file): get the bundle again."

    def test_a_bundle_with_a_password(self, tmp_path: Path) -> None:
        def opens(name: str, size_bytes: int | None) -> Any:
            raise RuntimeError(f"File '{name}' is encrypted, password required for extraction")

        with pytest.raises(BundleError, match="is encrypted, password required"):
            Source(tmp_path, opens).read("model", 10)
