"""The command ``edge``: results on stdout, one line per error on stderr, exit codes."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.board.device import Device, describe
from edge.bundles.registry import Installed, bundles_folder
from edge.cli import app
from edge.errors import VariantError
from edge.profiling import equals
from edge.profiling import measure as measuring
from edge.profiling.conditions import conditions_of
from edge.profiling.profile import LatencyProfile, load_profile
from edge.profiling.timing import StopRule
from edge.vision.preprocess import Preprocessing
from tests.edge.conftest import TOP1, calm_machine, make_latency, make_manifest, make_profile, write_bundle
from tests.edge.small_demo import FILE, write_small_demo
from tests.edge.updates.test_signature import make_keys

TIMES = {"1.00_224": 70.0, "0.50_160": 12.0, "0.25_128": 4.0}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The error, which stands on the last line alone; notes may stand before it."""
        *before, last = self.err.splitlines()
        assert all(line.startswith("note: ") for line in before)
        assert "Traceback" not in self.err
        return last


Edge = Callable[..., Ended]


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Edge:
    """Runs the command in this process, on a wide terminal, with its own state folder."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("edge.native_output._is_shown", False)  # --debug sets it for the rest of a process
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def measure(*arguments: Any, **wanted: Any) -> LatencyProfile:
        briefly = {"machine": calm_machine(describe=describe), "stop": StopRule(least_rounds=1, most_s=0.1)}
        return measuring.measure(*arguments, **wanted | briefly)

    monkeypatch.setattr("edge.profiling.profile_cache.measure", measure)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["edge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        out, err = capfd.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    return run


@pytest.fixture
def profile_file(tmp_path: Path) -> Path:
    make_profile(TIMES).save(tmp_path / "pi4.json")
    return tmp_path / "pi4.json"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), 255, np.uint8))
    return path


class TestTheWhole:
    def test_help_names_the_commands_and_an_example(self, edge: Edge) -> None:
        ended = edge("--help")
        assert ended.code == 0
        for word in ("doctor", "profile", "select", "classify", "bundle", "Example: edge profile"):
            assert word in ended.out

    @pytest.mark.parametrize(
        "command",
        ["doctor", "profile", "select", "compare", "classify"]
        + [f"bundle {name}" for name in ("info", "verify", "list", "activate", "rollback", "deactivate", "pack")],
    )
    def test_every_command_has_help_with_an_example(self, edge: Edge, command: str) -> None:
        ended = edge(*command.split(), "--help")
        assert ended.code == 0
        assert f"Example: edge {command}" in ended.out

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("select --fps thirty", "Invalid value for '--fps': 'thirty' is not a number. See edge select --help."),
            ("profile --sustained x", "Invalid value for '--sustained': 'x' is not a number. See edge profile --help."),
            ("classify a --top-k x", "'--top-k' / '--topk': 'x' is not a whole number. See edge classify --help."),
            ("bundle pack", "Missing argument 'BUNDLE'. See edge bundle pack --help."),
        ],
    )
    def test_it_says_what_was_expected_and_whose_help_to_read(self, edge: Edge, line: str, expected: str) -> None:
        ended = edge(*line.split())
        assert (ended.code, ended.out) == (2, "")
        assert expected in ended.err

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("bundle pack demo photo.jpg", "Cannot write photo.jpg: expected a name that ends in .zip."),
            ("profile --publish {file}", "Cannot write {file}: {file} is not a folder. Choose another place."),
        ],
    )
    def test_a_place_that_cannot_be_is_refused_first(self, edge: Edge, photo: Path, line: str, expected: str) -> None:
        ended = edge(*line.format(file=photo).split())
        assert (ended.code, ended.err) == (1, f"edge: {expected.format(file=photo)}\n")

    @pytest.mark.parametrize("arguments", [("fly",), ("select", "--budget-ms", "soon"), ("classify",), ("--quick",)])
    def test_a_line_that_cannot_be_understood_ends_with_2(self, edge: Edge, arguments: tuple[str, ...]) -> None:
        ended = edge(*arguments)
        assert ended.code == 2
        assert ended.out == ""
        assert "Traceback" not in ended.err

    def test_debug_lets_the_error_through(self, edge: Edge, bundle_folder: Path, photo: Path) -> None:
        with pytest.raises(VariantError, match="names no variant"):
            edge("--debug", "classify", photo, "--bundle", bundle_folder, "--variant", "fast")

    def test_a_fault_of_ours_is_reported_as_such_on_one_line(
        self, edge: Edge, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(place: str) -> None:
            raise ZeroDivisionError("division by zero")

        monkeypatch.setattr("edge.cli.bundle.open_bundle", fail)
        ended = edge("bundle", "info", bundle_folder)
        assert (ended.code, ended.out) == (1, "")
        assert ended.error == (
            "edge: internal error (ZeroDivisionError: division by zero): please report it with the output of --debug"
        )

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO])
    def test_a_file_that_the_machine_does_not_give_is_no_fault_of_ours(
        self, edge: Edge, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def fail(place: str) -> None:
            raise OSError(number, os.strerror(number), "/shut/thing")

        monkeypatch.setattr("edge.cli.bundle.open_bundle", fail)
        ended = edge("bundle", "info", bundle_folder)
        assert (ended.code, ended.out) == (1, "")
        assert ended.error == f"edge: Cannot use /shut/thing: {os.strerror(number).lower()}."

    def test_control_c_ends_with_130(self, edge: Edge, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(place: str) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("edge.cli.bundle.open_bundle", interrupt)
        ended = edge("bundle", "info", bundle_folder)
        assert ended.code == 130
        assert "Traceback" not in ended.err

    def test_runs_as_a_module_and_bears_a_reader_that_leaves(self, bundle_folder: Path) -> None:
        command = [sys.executable, "-m", "edge", "bundle", "info", str(bundle_folder), "--json"]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            err = process.stderr.read()
            process.wait(timeout=60)
        assert process.returncode in (1, 141)
        assert err == ""

    def test_a_library_that_is_missing_sends_the_user_to_the_doctor(
        self, edge: Edge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("edge.cli.classify", "edge.cli.profile", "edge.cli.select", "edge.cli.bundle"):
            monkeypatch.delitem(sys.modules, name, raising=False)
            monkeypatch.delattr(f"edge.cli.{name.rpartition('.')[2]}", raising=False)
        monkeypatch.setitem(sys.modules, "edge.bundles.bundle", None)
        ended = edge("bundle", "info")
        assert ended.code == 1
        start = "edge: this command needs a library that cannot be imported (import of edge.bundles.bundle halted"
        assert ended.error.startswith(start)
        assert ended.error.endswith("): 'edge doctor' shows how to fix it.")


class TestBundle:
    def test_info_lists_the_variants(self, edge: Edge, bundle_folder: Path) -> None:
        ended = edge("bundle", "info", bundle_folder)
        assert (ended.code, ended.err) == (0, "")
        for name in TOP1:
            assert f"mobilenet_v1_{name}" in ended.out
        recipe = f"RGB, mean 127.5, std 127.5, crop center, resize {Preprocessing().resize}"
        assert f"5 classes; {recipe}; written 2025-01-01T00:00:00+00:00 by tests" in ended.out

    def test_info_bears_a_bundle_without_labelled_accuracy(self, edge: Edge, tmp_path: Path) -> None:
        folder = write_bundle(tmp_path / "b", make_manifest({"0.5_160": None}))
        assert edge("bundle", "info", folder).code == 0

    def test_info_as_json_is_the_manifest(self, edge: Edge, bundle_folder: Path) -> None:
        assert edge("bundle", "info", bundle_folder, "--json").json == json.loads(
            (bundle_folder / "manifest.json").read_text()
        )

    def test_verify_counts_what_it_checked(self, edge: Edge, tmp_path: Path) -> None:
        ended = edge("bundle", "verify", write_small_demo(tmp_path / "small", golden=None))
        assert ended == Ended(0, "small: 2 files, 0.30 MB, all as measured; no golden pictures, so not tested\n", "")

    def test_verify_as_json(self, edge: Edge, tmp_path: Path) -> None:
        values = edge("bundle", "verify", write_small_demo(tmp_path / "small", golden=None), "--json").json
        size_bytes = values["size_bytes"]
        assert values == {"bundle": "small", "files": 2, "size_bytes": size_bytes, "whole": True, "tested": 0}

    def test_verify_finds_damage(self, edge: Edge, bundle_folder: Path) -> None:
        path = bundle_folder / "mobilenet_v1_0.50_160_int8.tflite"
        path.write_bytes(path.read_bytes()[::-1])
        ended = edge("bundle", "verify", bundle_folder, "--json")
        assert (ended.code, ended.out) == (1, "")
        assert ended.error.startswith(f"edge: Bundle file {path} is not the one that was measured")

    def test_verify_finds_wrong_answers(self, edge: Edge, tmp_path: Path) -> None:
        folder = write_small_demo(tmp_path / "small")
        assert edge("bundle", "verify", folder).out.endswith("; 1 variant gave the golden answers\n")
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["golden"]["answers"][FILE][0][0][1] = 0.01
        (folder / "manifest.json").write_text(json.dumps(manifest))
        ended = edge("bundle", "verify", folder)
        assert ended.code == 1
        assert "gives a wrong answer" in ended.error

    def test_packed_signed_activated_listed_and_rolled_back(self, edge: Edge, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        folders = [write_small_demo(tmp_path / n, created=f"2026-01-0{n}T00:00:00+00:00") for n in ("1", "2")]
        for folder in folders:
            packed = edge("bundle", "pack", folder, folder.with_suffix(".zip"), "--sign", private, "--json").json
            assert packed["signed"]
            made = edge("bundle", "activate", packed["file"], "--sha256", packed["sha256"], "--key", public, "--json")
            assert (made.json["tested"], made.json["signature_checked"]) == (1, True)
        listed = edge("bundle", "list", "--json").json
        assert [row["bundle"] for row in listed] == ["small", "demo"]
        assert (listed[0]["active"], listed[1]["active"]) == (made.json["active"], None)
        assert "small" in edge("bundle", "list").out
        ended = edge("bundle", "rollback")
        assert ended.out == (
            f"small: version {made.json['previous']} is in use; 1 variant gave the golden answers. A running "
            "service takes it by itself; restart what else runs with it.\n"
        )
        assert edge("bundle", "info", "small", "--json").json["created"] == "2026-01-01T00:00:00+00:00"

    def test_before_the_first_version_that_is_installed_was_the_shipped_one(
        self, edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        for name in ("demo", "small"):
            (bundles_folder() / name).mkdir(parents=True)
            Installed(home=bundles_folder() / name).switch("a" * 16)
        rows = [line.split()[:3] for line in edge("bundle", "list").out.splitlines()]
        assert ["demo", "a" * 16, "shipped"] in rows
        assert ["small", "a" * 16, str(bundles_folder() / "small")] in rows

    def test_put_out_of_use_and_back(self, edge: Edge, tmp_path: Path) -> None:
        active = edge("bundle", "activate", write_small_demo(tmp_path / "1"), "--json").json["active"]
        assert edge("bundle", "deactivate").out.startswith("small: not in use. To undo it: edge bundle rollback small.")
        assert " none " in edge("bundle", "list").out
        says = f"Bundle small was put out of use: edge bundle rollback small puts version {active} to use."
        assert edge("bundle", "info", "small").error == f"edge: {says}"
        assert edge("bundle", "rollback", "small", "--json").json["active"] == active

    def test_an_older_signed_version_needs_an_option(self, edge: Edge, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        for serial in (2, 1):
            folder = write_small_demo(tmp_path / str(serial), serial=serial)
            edge("bundle", "pack", folder, folder.with_suffix(".zip"), "--sign", private)
            ended = edge("bundle", "activate", folder.with_suffix(".zip"), "--key", public)
        assert (ended.code, ended.error) == (
            1,
            "edge: Bundle small is older than the version in use: its serial is 1, expected 2 or more. To install it "
            "nevertheless, pass --allow-older.",
        )
        assert edge("bundle", "activate", tmp_path / "1.zip", "--key", public, "--allow-older").code == 0

    def test_a_configured_key_needs_no_option(
        self, edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        (tmp_path / "mobilenet-edge").mkdir()
        make_keys(tmp_path)[1].rename(tmp_path / "mobilenet-edge/bundle.pub")
        ended = edge("bundle", "activate", write_small_demo(tmp_path / "small"))
        assert ended.code == 1
        assert ended.error.startswith("edge: The bundle is not signed, and ")

    @pytest.mark.parametrize("installed", [0, 2])
    def test_rolling_back_needs_to_know_which(self, edge: Edge, tmp_path: Path, installed: int) -> None:
        for number in range(installed):
            edge("bundle", "activate", write_small_demo(tmp_path / str(number), name=f"b{number}"))
        told = "which of b0, b1? edge bundle rollback NAME" if installed else "edge bundle activate installs one"
        ended = edge("bundle", "rollback")
        assert (ended.code, ended.error.endswith(f": {told}.")) == (1, True)

    def test_a_bundle_that_is_not_there(self, edge: Edge, tmp_path: Path) -> None:
        ended = edge("bundle", "info", tmp_path / "no")
        assert ended.code == 1
        assert ended.error.startswith(f"edge: There is no bundle {tmp_path / 'no'}: expected a folder")


class TestClassify:
    def test_pictures_of_kinds_that_are_not_read_are_counted(
        self, edge: Edge, bundle_folder: Path, photo: Path
    ) -> None:
        options = ("--bundle", bundle_folder, "--backend", "fake")
        for name in ("a.gif", "b.GIF", "c.heic"):
            (photo.parent / name).write_bytes(b"x")
        ended = edge("classify", photo.parent, *options)
        kinds = "expected JPEG, PNG, BMP, WebP, AVIF, PNM or TIFF files"
        assert (ended.code, ended.err) == (0, f"note: not read in {photo.parent}: 2 .gif, 1 .heic, {kinds}\n")
        photo.unlink()
        ended = edge("classify", photo.parent, *options)
        only = "has no pictures that can be read, only 2 .gif, 1 .heic"
        assert (ended.code, ended.error) == (1, f"edge: {photo.parent} {only}: {kinds}.")

    def test_prints_the_best_classes(self, edge: Edge, bundle_folder: Path, photo: Path) -> None:
        ended = edge("classify", photo, "--bundle", bundle_folder, "--backend", "fake", "--top-k", 2)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"{photo}: thin 99.6%, red 0.0%  (")

    def test_takes_the_most_accurate_variant_or_the_one_named(self, edge: Edge, tmp_path: Path, photo: Path) -> None:
        folder = write_bundle(tmp_path / "b", make_manifest({"1.0_224": 0.4, "0.5_160": 0.8}))
        line = ("classify", photo, "--bundle", folder, "--backend", "fake", "--json")
        assert edge(*line).json[0]["variant"] == "mobilenet_v1_0.50_160"
        assert edge(*line, "--variant", "1_224").json[0]["variant"] == "mobilenet_v1_1.00_224"

    def test_takes_the_dearest_variant_where_accuracy_was_not_measured(
        self, edge: Edge, tmp_path: Path, photo: Path
    ) -> None:
        folder = write_bundle(tmp_path / "b", make_manifest({"1.0_224": None, "0.5_160": 0.8}))
        values = edge("classify", photo, "--bundle", folder, "--backend", "fake", "--json").json
        assert values[0]["variant"] == "mobilenet_v1_1.00_224"

    def test_as_json_gives_one_entry_a_picture(self, edge: Edge, bundle_folder: Path, photo: Path) -> None:
        values = edge("classify", photo, photo, "--bundle", bundle_folder, "--backend", "fake", "--json").json
        assert [value["image"] for value in values] == [str(photo)] * 2
        assert values[0]["classes"][0] == {"index": 4, "label": "thin", "probability": 0.996094}
        assert len(values[0]["classes"]) == 5
        assert values[0]["preprocess_ms"] > 0

    @pytest.mark.parametrize("as_json", [False, True])
    def test_one_bad_picture_among_good_ones_costs_only_itself(
        self, edge: Edge, bundle_folder: Path, photo: Path, tmp_path: Path, as_json: bool
    ) -> None:
        bad = tmp_path / "letter.jpg"
        bad.write_text("Dear friend")
        options = ("--bundle", bundle_folder, "--backend", "fake", *(["--json"] if as_json else []))
        ended = edge("classify", photo, bad, tmp_path / "no.png", photo, *options)
        assert ended.code == 1
        assert ended.out.count(str(photo)) == 2
        assert ended.err.splitlines() == [
            f"note: Image {bad} is not one that OpenCV can read: expected JPEG, PNG, BMP, WebP, AVIF, PNM or TIFF.",
            f"note: Cannot read image {tmp_path / 'no.png'}: no such file or directory.",
            "edge: 2 of 4 pictures could not be classified.",
        ]
        assert not as_json or len(ended.json) == 2

    def test_takes_folders(self, edge: Edge, bundle_folder: Path, photo: Path) -> None:
        folder = photo.parent / "photos"
        folder.mkdir()
        for name in ("b.png", "a.png", "notes.txt"):
            (folder / name).write_bytes(photo.read_bytes())
        values = edge("classify", folder, "--bundle", bundle_folder, "--backend", "fake", "--json").json
        assert [value["image"] for value in values] == [str(folder / "a.png"), str(folder / "b.png")]

    def test_says_so_when_a_folder_holds_no_picture(self, edge: Edge, bundle_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        ended = edge("classify", tmp_path / "empty", "--bundle", bundle_folder, "--backend", "fake")
        assert ended.code == 1
        assert ended.error == (
            f"edge: {tmp_path / 'empty'} has no pictures: expected JPEG, PNG, BMP, WebP, AVIF, PNM or TIFF files."
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                ("--variant", "fast"),
                "edge: 'fast' names no variant: expected mobilenet_v1_<α>_<ρ>, e.g. mobilenet_v1_0.50_160.",
            ),
            (
                ("--variant", "0.75_192"),
                "edge: Bundle tiny has no mobilenet_v1_0.75_192: "
                "it has mobilenet_v1_1.00_224, mobilenet_v1_0.50_160, mobilenet_v1_0.25_128.",
            ),
            (
                ("--backend", "tpu"),
                "edge: There is no backend 'tpu': expected auto, tensorrt, litert, onnxruntime, fake.",
            ),
        ],
    )
    def test_what_is_not_there_is_answered_with_what_is(
        self, edge: Edge, bundle_folder: Path, photo: Path, options: tuple[str, ...], message: str
    ) -> None:
        ended = edge("classify", photo, "--bundle", bundle_folder, *options)
        assert (ended.code, ended.out, ended.error) == (1, "", message)

    def test_files_that_no_backend_runs_give_one_line_with_every_reason(
        self, edge: Edge, bundle_folder: Path, photo: Path
    ) -> None:
        ended = edge("classify", photo, "--bundle", bundle_folder)
        assert ended.code == 1
        assert ended.err.splitlines()[-1].startswith("edge: No backend could open mobilenet_v1_1.00_224. litert: ")


class TestSelect:
    def test_prints_every_variant_with_its_verdict(self, edge: Edge, bundle_folder: Path, profile_file: Path) -> None:
        ended = edge("select", "--bundle", bundle_folder, "--profile", profile_file, "--budget-ms", 20)
        assert (ended.code, ended.err) == (0, "")
        assert "50.00 ms over" in ended.out
        assert "less accurate" in ended.out
        assert ended.out.splitlines()[-1] == (
            "mobilenet_v1_0.50_160: 12.00 ms p95 of 20.00 ms on Raspberry Pi 4 Model B Rev 1.4 (litert, threads 4)"
        )

    def test_as_json(self, edge: Edge, bundle_folder: Path, profile_file: Path) -> None:
        values = edge(
            "select", "--bundle", bundle_folder, "--profile", profile_file, "--fps", 50, "--min-top1", 70, "--json"
        ).json
        assert values["chosen"] == "mobilenet_v1_0.50_160"
        assert values["budget"] == {
            "latency_ms": 20.0,
            "percentile": "p95",
            "min_top1": 70.0,
            "max_mb": None,
            "max_rss_mb": None,
            "max_cpu_percent": None,
        }
        assert values["ranked_by"] == "top1"
        assert [(v["variant"], v["fits"]) for v in values["variants"]] == [
            ("mobilenet_v1_1.00_224", False),
            ("mobilenet_v1_0.50_160", True),
            ("mobilenet_v1_0.25_128", False),
        ]

    @pytest.mark.parametrize("options", [(), ("--budget-ms", "20", "--fps", "30")])
    def test_expects_one_budget(self, edge: Edge, bundle_folder: Path, options: tuple[str, ...]) -> None:
        ended = edge("select", "--bundle", bundle_folder, *options)
        assert (ended.code, ended.out) == (1, "")
        assert ended.error == "edge: Expected one of --budget-ms and --fps, e.g. --fps 30."

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--budget-ms", "0"), "A budget must be above 0 and at most 600000 ms, got 0 ms."),
            (("--fps", "-30"), "fps must be a number above 0, got -30."),
            (
                ("--fps", "30", "--percentile", "p42"),
                "Unknown percentile 'p42': expected one of p50, p90, p95, p99, avg, max.",
            ),
        ],
    )
    def test_budgets_out_of_range_are_refused(
        self, edge: Edge, bundle_folder: Path, options: tuple[str, ...], message: str
    ) -> None:
        ended = edge("select", "--bundle", bundle_folder, "--json", *options)
        assert (ended.code, ended.out, ended.error) == (1, "", f"edge: {message}")

    def test_no_variant_that_fits_is_an_error_that_names_the_fastest(
        self, edge: Edge, bundle_folder: Path, profile_file: Path
    ) -> None:
        ended = edge("select", "--bundle", bundle_folder, "--profile", profile_file, "--budget-ms", 3)
        assert (ended.code, ended.out) == (1, "")
        assert "Fastest is mobilenet_v1_0.25_128 at 4.00 ms." in ended.error

    def test_a_profile_that_is_not_valid_is_used_with_a_note(
        self, edge: Edge, bundle_folder: Path, tmp_path: Path
    ) -> None:
        make_profile(TIMES, valid=False, objections=("The clock fell.",)).save(tmp_path / "hot.json")
        ended = edge("select", "--bundle", bundle_folder, "--profile", tmp_path / "hot.json", "--budget-ms", 20)
        assert (ended.code, ended.err) == (0, "note: the profile is not valid: The clock fell.\n")

    def test_a_damaged_profile_is_refused(self, edge: Edge, bundle_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "p.json").write_text("{}")
        ended = edge("select", "--bundle", bundle_folder, "--profile", tmp_path / "p.json", "--budget-ms", 20)
        assert ended.code == 1
        assert ended.error.startswith(f"edge: Latency profile {tmp_path / 'p.json'} has schema None")

    def test_a_board_that_is_not_at_hand_is_chosen_for_by_its_published_figures(
        self, edge: Edge, bundle_folder: Path
    ) -> None:
        ended = edge("select", "--bundle", bundle_folder, "--board", "raspberry pi 4", "--budget-ms", 20)
        assert "6.59 (published p90)" in ended.out
        assert ended.err.startswith("note: published, not measured: Raspberry Pi 4 Model B, TFLite 2.4.1 (ruy), MLPerf")
        assert edge("select", "--board", "abacus", "--budget-ms", 20).code == 1

    def test_one_profile_at_a_time(self, edge: Edge, bundle_folder: Path, profile_file: Path) -> None:
        ended = edge("select", "--profile", profile_file, "--board", "raspberry pi 4", "--budget-ms", 20)
        assert ended.error == "edge: --profile and --board both name a profile: give one of them."

    def test_without_a_profile_it_measures_once(self, edge: Edge, bundle_folder: Path, tmp_path: Path) -> None:
        line = ("select", "--bundle", bundle_folder, "--backend", "fake", "--threads", 1, "--budget-ms", 5000)
        first, second = edge(*line), edge(*line)
        assert first.code == second.code == 0
        assert "note: measuring bundle tiny for a moment, because this machine has no profile of it" in first.err
        assert "measuring" not in second.err
        assert len(list((tmp_path / "state/mobilenet-edge/profiles").iterdir())) == 1


class TestProfile:
    def test_keeps_what_it_measured_where_select_finds_it(
        self, edge: Edge, bundle_folder: Path, tmp_path: Path
    ) -> None:
        options = ("--bundle", bundle_folder, "--backend", "fake", "--threads", 1)
        ended = edge("profile", *options, "--quick")
        assert ended.code == 0
        assert all(f"mobilenet_v1_{name}" in ended.out for name in TOP1)
        assert "fake 1; threads 1; frames 640x480" in ended.out
        (path,) = (tmp_path / "state/mobilenet-edge/profiles").iterdir()
        assert all(row.provenance == "measured" for row in load_profile(path).rows)
        assert "measuring" not in edge("select", *options, "--budget-ms", 5000).err

    def test_takes_the_profile_that_an_equal_published(
        self, edge: Edge, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, options = tmp_path / "profiles", ("--bundle", bundle_folder, "--backend", "fake", "--threads", 1)
        ended = edge("profile", *options, "--quick", "--publish", folder)
        [file] = (path for path in folder.glob("[!.]*.json") if path.name != "index.json")
        assert (ended.code, f"note: published as {file}\n" in ended.err) == (0, True)
        there = load_profile(file)
        monkeypatch.setattr(equals, "measure", lambda *args, **wanted: there)
        monkeypatch.setattr(equals, "conditions_here", lambda bundle, **wanted: conditions_of(there, bundle))
        ended = edge("profile", *options, "--like", folder)
        assert ended.code == 0
        assert f"measured on {there.created[:10]} on its equal {there.host}; checked here on " in ended.out
        assert f"measured on its equal {there.host}; " in edge("select", *options, "--budget-ms", 5000).out
        slow = replace(there, rows=tuple(replace(row, latency=make_latency(900.0)) for row in there.rows))
        monkeypatch.setattr(equals, "measure", lambda *args, **wanted: slow)
        ended = edge("profile", *options, "--like", file)
        assert (ended.code, ended.out) == (1, "")
        assert ended.error.startswith(f"edge: This board is not an equal of {there.host}: mobilenet_v1_")
        assert ended.error.endswith(" edge profile without --like measures this board in full.")

    def test_only_a_measurement_of_all_variants_is_published(self, edge: Edge, tmp_path: Path) -> None:
        for option in (("--like", "x.json"), ("--variant", "0.25_128")):
            ended = edge("profile", "--publish", tmp_path, *option)
            assert ended.error == "edge: --publish needs a measurement of all variants: omit --like and --variant."

    def test_as_json_is_what_it_writes(self, edge: Edge, bundle_folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "mine.json"
        ended = edge(
            "profile",
            "--bundle",
            bundle_folder,
            "--backend",
            "fake",
            "--quick",
            "--out",
            out,
            "--json",
            "--variant",
            "0.5_160",
        )
        assert ended.code == 0
        assert ended.json == json.loads(out.read_text())
        assert [row["variant"] for row in ended.json["variants"]] == ["mobilenet_v1_0.50_160"]
        assert not (tmp_path / "state/mobilenet-edge/profiles").exists()

    def test_a_profile_of_some_variants_does_not_replace_this_machines_own(
        self, edge: Edge, bundle_folder: Path, tmp_path: Path
    ) -> None:
        options = ("--bundle", bundle_folder, "--backend", "fake", "--quick", "--variant", "0.25_128")
        assert edge("profile", *options).code == 0
        assert not (tmp_path / "state/mobilenet-edge/profiles").exists()

    def test_a_file_that_cannot_be_written_is_an_error_on_one_line(
        self, edge: Edge, bundle_folder: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "no" / "mine.json"
        ended = edge(
            "profile", "--bundle", bundle_folder, "--backend", "fake", "--quick", "--variant", "0.25_128", "--out", out
        )
        assert (ended.code, ended.out) == (1, "")
        assert ended.error == f"edge: Cannot write {out}: there is no folder {out.parent}. Make it first."

    def test_a_missing_folder_is_told_before_anything_is_measured(
        self, edge: Edge, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.profiling.profile_cache.measure", lambda *args, **kwargs: pytest.fail("measured"))
        for option in ("--out", "--plot"):
            ended = edge("profile", "--bundle", bundle_folder, option, tmp_path / "no/mine.png")
            assert ended.error.endswith(f"there is no folder {tmp_path / 'no'}. Make it first.")

    def test_says_which_variant_fits_a_budget(self, edge: Edge, bundle_folder: Path) -> None:
        options = ("--bundle", bundle_folder, "--backend", "fake", "--quick", "--threads", 1)
        ended = edge("profile", *options, "--budget-ms", 5000)
        assert ended.code == 0
        assert re.search(r"\nmobilenet_v1_1\.00_224: [0-9.]+ ms p95 of 5000\.00 ms on ", ended.out)
        ended = edge("profile", *options, "--budget-ms", 5000, "--json")
        assert ended.json["bundle"] and "note: mobilenet_v1_1.00_224: " in ended.err
        ended = edge("profile", *options, "--budget-ms", 1e-6)
        assert ended.code == 0 and "note: No variant meets 1e-06 ms p95 on " in ended.err

    def test_more_threads_than_cpus_are_told(
        self, edge: Edge, bundle_folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.board.affinity.usable_cpus", lambda: (0, 1))
        told = "note: 9 threads share 2 CPUs: they wait for one another, and more than 2 is slower\n"
        options = ("--bundle", bundle_folder, "--backend", "fake", "--threads", 9)
        assert told in edge("profile", *options, "--quick", "--variant", "0.25_128").err
        assert told in edge("classify", photo, *options).err

    @pytest.mark.parametrize("threads", ["0", "-1", "many", "1.5", "", "1025", "9" * 12])
    def test_threads_are_a_number_or_auto(self, edge: Edge, bundle_folder: Path, threads: str) -> None:
        ended = edge("profile", "--bundle", bundle_folder, f"--threads={threads}")
        assert (ended.code, ended.out) == (1, "")
        assert ended.error == f"edge: invalid --threads '{threads}': expected a number from 1 to 1024, or auto."

    def test_threads_are_searched_and_kept_apart(self, edge: Edge, bundle_folder: Path, tmp_path: Path) -> None:
        options = ("--bundle", bundle_folder, "--backend", "fake", "--threads", "auto")
        assert "each variant's fastest thread count" in edge("profile", *options, "--quick").out
        (path,) = (tmp_path / "state/mobilenet-edge/profiles").iterdir()
        assert path.name.endswith("--fake-auto.json")
        profile = load_profile(path)
        assert profile.threads is None
        assert all(row.num_threads for row in profile.rows)
        assert "measuring" not in edge("select", *options, "--budget-ms", 5000).err

    def test_draws_a_page_with_the_budget_in_it(self, edge: Edge, bundle_folder: Path, tmp_path: Path) -> None:
        page = tmp_path / "tiny.html"
        options = ("--bundle", bundle_folder, "--backend", "fake", "--quick", "--plot", page, "--budget-ms", 33)
        assert edge("profile", *options).code == 0
        assert "budget 33 ms" in page.read_text(encoding="utf-8")

    def test_too_few_variants_to_predict_from_are_refused_before_anything_is_measured(
        self, edge: Edge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.profiling.profile_cache.measure", lambda *args, **kwargs: pytest.fail("measured"))
        ended = edge("profile", "--bundle", "demo", "--predict", "--variant", "0.25_128")
        assert ended.error == ("edge: 4 MobileNet v1 variants are needed to estimate the others: name more, or none.")

    def test_a_budget_to_draw_must_make_sense(self, edge: Edge, bundle_folder: Path) -> None:
        ended = edge("profile", "--bundle", bundle_folder, "--budget-ms", 0)
        assert ended.error == "edge: A budget must be above 0 and at most 600000 ms, got 0 ms."

    def test_predicts_the_rest_and_measures_what_is_named_later(self, edge: Edge, tmp_path: Path) -> None:
        names = ("1.00_224", "1.00_128", "0.50_160", "0.25_224", "0.25_128")
        bundle = write_bundle(tmp_path / "five", make_manifest(dict.fromkeys(names, 0.8)))
        options = ("--bundle", bundle, "--backend", "fake", "--threads", 1, "--quick")
        ended = edge("profile", *options, "--predict")
        assert "mobilenet_v1_0.50_160 (predicted)" in ended.out
        (path,) = (tmp_path / "state/mobilenet-edge/profiles").iterdir()
        assert [row.provenance for row in load_profile(path).rows].count("predicted") == 1
        assert "(predicted p95)" in edge("select", *options[:-1], "--budget-ms", 5000).out
        assert edge("profile", *options, "--variant", "0.50_160").code == 0
        assert all(row.provenance == "measured" for row in load_profile(path).rows)

    def test_a_sustained_run_is_recorded(self, edge: Edge, bundle_folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "hot.json"
        options = ("--bundle", bundle_folder, "--backend", "fake", "--quick", "--variant", "0.25_128")
        assert edge("profile", *options, "--sustained", 0.02, "--out", out).code == 0
        profile = load_profile(out)
        assert profile.sustained
        assert profile.rows[0].sustained_p95_ms


class TestCompare:
    @pytest.fixture
    def other_file(self, tmp_path: Path) -> Path:
        times = {name: 2 * value for name, value in TIMES.items()}
        make_profile(times, device=Device(board="Raspberry Pi 5")).save(tmp_path / "pi5.json")
        return tmp_path / "pi5.json"

    def test_prints_the_ratio_of_every_variant(self, edge: Edge, profile_file: Path, other_file: Path) -> None:
        ended = edge("compare", profile_file, other_file)
        assert ended.code == 0
        for words in ("A: pi4", "B: pi5", "2.00", "yes"):
            assert words in ended.out
        assert {row["ratio"] for row in edge("compare", profile_file, other_file, "--json").json["variants"]} == {2.0}

    def test_draws_both(self, edge: Edge, bundle_folder: Path, profile_file: Path, other_file: Path) -> None:
        plot = other_file.with_suffix(".png")
        assert edge("compare", profile_file, other_file, "--bundle", bundle_folder, "--plot", plot).code == 0
        assert plot.read_bytes()[:4] == b"\x89PNG"

    def test_refuses_unlike_ones_unless_forced(self, edge: Edge, profile_file: Path, tmp_path: Path) -> None:
        make_profile(TIMES, threads=1).save(tmp_path / "one.json")
        ended = edge("compare", profile_file, tmp_path / "one.json")
        assert (ended.code, ended.out) == (1, "")
        assert ended.error == (
            "edge: Cannot compare these profiles: threads are 4 and 1. Measure again under the same "
            "conditions. --force compares them nevertheless."
        )
        forced = edge("compare", profile_file, tmp_path / "one.json", "--force")
        assert (forced.code, forced.err) == (0, "note: different conditions: threads are 4 and 1\n")


class TestDoctor:
    def test_as_json_tells_the_machine_and_every_check(self, edge: Edge) -> None:
        ended = edge("doctor", "--json")
        assert ended.code in (0, 1)
        assert {"check", "status", "detail", "fix"} == set(ended.json["findings"][0])
        assert "board" in ended.json["device"]

    def test_as_a_table(self, edge: Edge) -> None:
        ended = edge("doctor")
        assert ended.code in (0, 1)
        assert "python" in ended.out
