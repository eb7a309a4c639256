"""Model files that lie are refused in one line, before this process loads them; what was tried is not tried again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import edge
from edge.bundles.bundle import Bundle, open_bundle, shipped_folder
from edge.errors import BackendError
from edge.inference import inspection, trial
from edge.inference.backends import open_backend
from edge.inference.inspection import inspect_models
from edge.inference.selftest import verify_answers
from edge.inference.tflite_structure import check_structure
from edge.paths import cache_folder
from edge.updates.install import activate
from tests.edge.conftest import BundleOf
from tests.edge.inference.test_backends import JUNK, onnx_bytes, tflite_bytes
from tests.edge.small_demo import FILE, write_small_demo
from tests.edge.tflite_files import CRAFTED, edited, hungry, write_bundle_around


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def demo_file() -> Path:
    folder = shipped_folder("demo")
    assert folder is not None
    return folder / FILE


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The files of each child process, by name."""
    made: list[list[str]] = []

    def counting(paths: list[Path], **options: Any) -> Any:
        made.append([path.name for path in paths])
        return inspect_models(paths, **options)

    monkeypatch.setattr(trial, "inspect_models", counting)
    return made


def load(bundle: Bundle, backend: str = "litert") -> None:
    open_backend(bundle, bundle.variants[0].variant, name=backend).backend.close()


class TestStructure:
    @pytest.mark.parametrize("name", CRAFTED)
    def test_what_does_not_fit_is_named(self, demo_file: Path, tmp_path: Path, name: str) -> None:
        change, expected = CRAFTED[name]
        path = edited(demo_file, tmp_path / "model.tflite", change)
        with pytest.raises(BackendError) as refused:
            check_structure(path)
        is_sound = ": exp" in expected and expected.startswith(("its input is in", "its output is in"))
        kind = "cannot run as it is" if is_sound else "is not a valid TensorFlow Lite model"
        assert str(refused.value).startswith(f"{path} {kind}: ")
        assert expected in str(refused.value)

    def test_what_fits_passes(self, demo_file: Path, tmp_path: Path) -> None:
        check_structure(edited(demo_file, tmp_path / "model.tflite", lambda model, schema: None))
        for path in demo_file.parent.glob("*.tflite"):
            check_structure(path)

    @pytest.mark.parametrize("size", [0, 3, 8, 12, 100, 4000, 100_000])
    def test_a_cut_file_is_refused(self, demo_file: Path, tmp_path: Path, size: int) -> None:
        path = tmp_path / "model.tflite"
        path.write_bytes(demo_file.read_bytes()[:size])
        with pytest.raises(BackendError, match="is not a valid TensorFlow Lite model"):
            check_structure(path)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match=r"Cannot read .*: no such file"):
            check_structure(tmp_path / "no")


class TestChild:
    def test_several_files_run_in_one_and_are_told_apart(self, demo_file: Path, tmp_path: Path) -> None:
        good = edited(demo_file, tmp_path / "good.tflite", lambda model, schema: None)
        small, large = demo_file, demo_file.with_name("mobilenet_v1_0.50_224_int8.tflite")
        sizes = [found.inputs[0].shape for found in inspect_models([small, good, large])]
        assert sizes == [(1, 128, 128, 3), (1, 128, 128, 3), (1, 224, 224, 3)]
        crash = edited(demo_file, tmp_path / "crash.tflite", CRAFTED["output -1"][0])
        with pytest.raises(BackendError, match=r"crash\.tflite"):
            inspect_models([small, crash, large])

    def test_onnx_files_run_in_it_too(self, tmp_path: Path) -> None:
        good, bad = tmp_path / "good.onnx", tmp_path / "bad.onnx"
        good.write_bytes(onnx_bytes())
        bad.write_bytes(JUNK)
        (found,) = inspect_models([good], format="onnx")
        assert (found.inputs[0].shape, found.outputs[0].shape) == ((1, 3, 32, 32), (1, 3))
        with pytest.raises(BackendError, match=r"cannot load .*bad\.onnx"):
            inspect_models([bad], format="onnx")

    def test_a_model_that_takes_gigabytes_is_stopped_long_before(self, tmp_path: Path) -> None:
        program = (
            "import resource, sys; from pathlib import Path; from edge.inference.inspection import inspect_model\n"
            "try: inspect_model(Path(sys.argv[1]))\n"
            "except RuntimeError as error: print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10, error)"
        )
        path = hungry(tmp_path / "model.tflite")
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        peak_mb, _, message = done.stdout.partition(" ")
        assert "model.tflite" in message and int(peak_mb) < 300

    def test_modules_in_the_folder_it_is_called_in_are_not_run(
        self, demo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("json", "numpy", "edge", "runpy"):
            (tmp_path / f"{name}.py").write_text("open('was-run', 'w'); raise SystemExit(9)")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
        assert inspect_models([demo_file])[0].is_finite
        assert not (tmp_path / "was-run").exists()

    def test_the_cause_of_its_death_is_said(self, tmp_path: Path) -> None:
        say, path = inspection._cause_of_death, tmp_path / "x"
        assert "did not answer within 60 s" in say(path, -signal.SIGALRM, 60.0)
        assert "was killed by signal 6 when" in say(path, -signal.SIGABRT, 60.0)
        assert "ended without an answer" in say(path, 1, 60.0)


class TestLoading:
    def test_a_folder_is_tried_once(self, tmp_path: Path, tries: list[list[str]]) -> None:
        bundle = open_bundle(write_small_demo(tmp_path / "bundle"))
        load(bundle)
        load(bundle)
        assert tries == [[FILE]]
        note = cache_folder() / "tried" / bundle.variants[0].artifacts[0].sha256
        note.write_text("ai-edge-litert 0.1")
        load(bundle)
        assert tries == [[FILE], [FILE]], "another runtime, another verdict"

    def test_without_a_cache_it_is_tried_each_time(self, tmp_path: Path, tries: list[list[str]]) -> None:
        (tmp_path / "cache").write_text("not a folder")
        bundle = open_bundle(write_small_demo(tmp_path / "bundle"))
        load(bundle)
        load(bundle)
        assert tries == [[FILE], [FILE]]

    def test_what_ships_or_was_installed_is_not_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: list[list[str]]
    ) -> None:
        load(open_bundle("demo"))
        assert tries == []
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        activate(str(write_small_demo(tmp_path / "bundle")))
        assert tries[0] == [FILE]
        tries.clear()
        load(open_bundle("small"))
        assert tries == []

    @pytest.mark.parametrize("name", ["output -1", "while", "output scale 0"])
    def test_a_file_that_lies_never_reaches_the_runtime(
        self, demo_file: Path, tmp_path: Path, tries: list[list[str]], name: str
    ) -> None:
        model = edited(demo_file, tmp_path / "model.tflite", CRAFTED[name][0])
        bundle = open_bundle(write_bundle_around(tmp_path / "bundle", model))
        with pytest.raises(BackendError, match=f"{FILE} of bundle small is not a valid TensorFlow Lite model"):
            load(bundle)
        assert tries == []

    def test_a_refusal_is_not_kept(self, tmp_path: Path, tries: list[list[str]]) -> None:
        bundle = open_bundle(write_bundle_around(tmp_path / "bundle", hungry(tmp_path / "model.tflite")))
        for _ in range(2):
            with pytest.raises(BackendError, match=f"{FILE} of bundle small"):
                load(bundle)
        assert tries == [[FILE], [FILE]]

    @pytest.mark.parametrize("command", ["classify", "profile", "camera-demo"])
    def test_commands_end_in_one_line(self, demo_file: Path, tmp_path: Path, command: str) -> None:
        model = edited(demo_file, tmp_path / "model.tflite", CRAFTED["output -1"][0])
        folder = write_bundle_around(tmp_path / "bundle", model)
        picture = str(folder / "golden" / "0.png")
        line = {
            "classify": ["edge", "classify", picture, "--bundle", str(folder)],
            "profile": ["edge", "profile", "--bundle", str(folder), "--out", str(tmp_path / "p.json")],
            "camera-demo": ["camera_demo", "synthetic:64x64@30", "json:-", "--bundle", str(folder)],
        }[command]
        done = subprocess.run(
            [sys.executable, "-m", *line],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"COLUMNS": "300"},
        )
        assert done.returncode == 1, done.stderr
        assert "its output is tensor -1 of 90" in done.stderr
        assert done.stderr.count("\n") == (2 if command == "camera-demo" else 1), "it says that it measures first"
        assert done.stderr.splitlines()[-1].startswith(f"{line[0].replace('_', '-')}: ")


class TestVerifying:
    def test_every_variant_is_tried_with_no_golden_answers_too(self, tmp_path: Path, tries: list[list[str]]) -> None:
        empty: dict[str, Any] = {"pictures": [], "inputs": {}, "answers": {}}
        for number, golden in enumerate([None, empty]):
            bundle = open_bundle(write_small_demo(tmp_path / f"bundle{number}", golden=golden))
            assert verify_answers(bundle) == 0
        assert tries[0] == tries[-1] == [FILE]

    def test_the_whole_demo_is_one_child(self, tries: list[list[str]]) -> None:
        bundle = edge.open_bundle("demo")
        assert verify_answers(bundle) == len(bundle.variants)
        assert [len(files) for files in tries] == [len(bundle.variants)]

    @pytest.mark.parametrize("backend", ["auto", "litert"])
    def test_another_backend_does_not_excuse_a_bad_file(self, bundle_of: BundleOf, backend: str) -> None:
        with pytest.raises(BackendError, match="is not a valid TensorFlow Lite model"):
            verify_answers(bundle_of({"tflite": JUNK, "onnx": onnx_bytes()}), backend=backend)

    def test_onnx_is_tried_where_it_is_the_backend(self, bundle_of: BundleOf, tries: list[list[str]]) -> None:
        bundle = bundle_of({"tflite": tflite_bytes(), "onnx": onnx_bytes()})
        assert verify_answers(bundle, backend="onnxruntime") == 0
        assert [name.rpartition(".")[2] for files in tries for name in files] == ["onnx", "onnx"]
