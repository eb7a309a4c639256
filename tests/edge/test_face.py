"""The face of the package: what ``import edge`` gives, and that it gives what the commands print."""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import camera_demo
import convert
import edge
import edge.errors
import edge.fleet
from edge.inference.backends.fake import FakeBackend
from edge.vision.preprocess import Frame, Preprocessing
from tests.edge.conftest import LABELS, make_profile

ROOT = Path(__file__).parents[2]
BIG, SMALL = edge.Variant(1.0, 224), edge.Variant(0.25, 128)
PROFILE = make_profile({"1.00_224": 20.0, "0.50_160": 5.0, "0.25_128": 1.0})


@pytest.fixture
def bundle(bundle_folder: Path) -> edge.Bundle:
    return edge.open_bundle(bundle_folder)


@pytest.fixture(params=["fixed", "adaptive"])
def live(request: pytest.FixtureRequest, bundle: edge.Bundle) -> Iterator[edge.LiveClassifier]:
    """A classifier of each kind, by nothing but the protocol."""
    if request.param == "fixed":
        classifier: edge.LiveClassifier = edge.Classifier(bundle, "1.00_224", backend="fake")
    else:
        classifier = edge.AdaptiveClassifier(bundle, PROFILE, fps=30, backend="fake", memory_limit_mb=1e6)
    with classifier:
        yield classifier


def grey(level: int) -> Frame:
    return np.full((48, 64, 3), level, np.uint8)


class TestNames:
    def test_every_name_is_there_and_documented(self) -> None:
        for name in edge.__all__:
            assert inspect.getdoc(getattr(edge, name)), name
        assert set(edge.__all__) <= set(dir(edge))

    def test_completion_offers_them_and_nothing_of_how_they_are_loaded(self) -> None:
        for package in (edge, edge.fleet, camera_demo, convert):
            offered = {name for name in dir(package) if not name.startswith("__")}
            assert offered == set(package.__all__), package.__name__

    def test_every_error_is_there(self) -> None:
        classes = {one.__name__ for one in vars(edge.errors).values() if isinstance(one, type)}
        assert {name for name in classes if issubclass(getattr(edge, name), edge.EdgeError)} == classes
        assert classes <= set(edge.__all__)

    def test_a_library_that_is_missing_is_named_with_the_way_to_get_it(self) -> None:
        code = "import sys; sys.modules['cv2'] = None; import edge, convert\ntry: edge.Classifier\n"
        code += "except ModuleNotFoundError as error: print(error.name, error)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout == "cv2 edge.Classifier needs cv2, which is not installed: ./install.sh.\n"

    def test_what_is_printed_fits_a_line_or_two(self, bundle: edge.Bundle) -> None:
        choice = edge.select(bundle, PROFILE, fps=30)
        for value, start in (
            (bundle, "Bundle(root="),
            (PROFILE, "LatencyProfile(bundle="),
            (choice, "Selection(budget="),
        ):
            assert repr(value).startswith(start)
            assert len(repr(value).replace(str(bundle.root), "")) < 640, start

    def test_the_version_is_the_distribution_s(self) -> None:
        assert edge.__version__ == version("mobilenet-edge")

    def test_a_name_that_is_not_there_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="module 'edge' has no attribute 'profil'"):
            edge.profil  # type: ignore[attr-defined]  # noqa: B018

    def test_importing_it_loads_nothing_else(self) -> None:
        code = (
            "import sys; before = set(sys.modules); import edge; "
            "print(sorted(set(sys.modules) - before)); edge.Variant; "
            "print([name for name in ('cv2', 'torch', 'typer', 'rich', 'numpy') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.splitlines() == ["['edge']", "[]"]

    def test_what_a_picture_needs_loads_neither_torch_nor_the_commands(self) -> None:
        code = "import sys, edge; edge.Classifier; print({'torch', 'typer', 'rich'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout == "set()\n"


class TestPictures:
    @pytest.fixture
    def picture(self, tmp_path: Path) -> Path:
        """A gradient in blue, green and red, as PNG."""
        column = np.linspace(0, 255, 90, dtype=np.uint8)
        frame = np.stack(
            [np.tile(column, (60, 1)), np.tile(column[::-1], (60, 1)), np.full((60, 90), 200, np.uint8)], axis=-1
        )
        cv2.imwrite(str(tmp_path / "picture.png"), frame)
        return tmp_path / "picture.png"

    def test_a_path_an_array_rgb_and_pil_give_one_answer(self, live: edge.LiveClassifier, picture: Path) -> None:
        frame = np.asarray(cv2.imread(str(picture)), np.uint8)
        pil = Image.open(picture)
        data = picture.read_bytes()
        files = (picture, str(picture), PurePath(picture), data, bytearray(data), memoryview(data))
        given = (*files, edge.read_image(picture), edge.read_image(data), frame, pil, pil.convert("RGBA"))

        def tensor(one: Any, *, rgb: bool = False) -> bytes:
            """What the network got."""
            live.classify(one, rgb=rgb)
            return live.backend.input().tobytes()

        expected = tensor(frame)
        assert [tensor(one) == expected for one in given] == [True] * len(given)
        assert tensor(frame[..., ::-1], rgb=True) == expected
        assert tensor(frame[..., ::-1].copy()) != expected, "the order of the channels counts"

    def test_a_pil_image_is_turned_as_its_exif_says_once(self, bundle: edge.Bundle, tmp_path: Path) -> None:
        upright = Image.fromarray(np.tile(np.linspace(0, 255, 40, dtype=np.uint8)[:, None, None], (1, 60, 3)))
        exif = Image.Exif()
        exif[0x0112] = 6
        upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
        with edge.Classifier(bundle, SMALL, backend="fake") as classifier:
            tensors = []
            for image in (tmp_path / "turned.png", Image.open(tmp_path / "turned.png"), upright):
                classifier.classify(image)
                tensors.append(classifier.backend.input().tobytes())
        assert tensors == [tensors[0]] * 3

    def test_arrays_of_every_layout_give_one_answer(self, live: edge.LiveClassifier) -> None:
        frame = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
        fixed = frame.copy()
        fixed.flags.writeable = False
        layouts = (
            frame[::-1].copy()[::-1],
            frame[:, ::-1].copy()[:, ::-1],
            frame[..., ::-1].copy()[..., ::-1],
            np.asfortranarray(frame),
            frame.transpose(2, 0, 1).copy().transpose(1, 2, 0),
            frame.repeat(2, 0).repeat(2, 1)[::2, ::2],
            fixed,
        )
        live.classify(frame)
        expected = live.backend.input().tobytes()
        for layout in layouts:
            live.classify(layout)
            assert live.backend.input().tobytes() == expected, layout.strides

    def test_every_mode_of_pil_gives_the_answer_of_the_file_or_is_refused(
        self, live: edge.LiveClassifier, tmp_path: Path
    ) -> None:
        def tensor(one: Any) -> bytes:
            live.classify(one)
            return live.backend.input().tobytes()

        grey = np.tile(np.linspace(0, 255, 90, dtype=np.uint8), (60, 1))
        Image.fromarray(grey).save(tmp_path / "grey.png")
        cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
        clear = Image.fromarray(grey).convert("P")
        clear.info["transparency"] = bytes(range(256))
        expected = tensor(tmp_path / "grey.png")
        assert tensor(tmp_path / "deep.png") == expected
        opened = Image.open(tmp_path / "deep.png")
        older = Image.fromarray(grey.astype(np.int32) * 257)  # what PIL made of such a file before its version 10
        older.format = "PNG"
        for image in (Image.fromarray(grey), Image.fromarray(grey).convert("LA"), clear, opened, older):
            assert tensor(image) == expected, image.mode
        for mode in ("I", "F"):
            with pytest.raises(edge.ImageError, match=f"has the mode {mode}, which does not say what is white"):
                live.classify(Image.fromarray(grey).convert(mode))
        opened.close()
        with pytest.raises(edge.ImageError, match="The PIL image cannot be decoded: Operation on closed image"):
            live.classify(opened)

    @pytest.mark.parametrize(
        ("picture", "message"),
        [
            (None, "There is no picture: cv2.imread returns None when a file cannot be read."),
            ([[1, 2], [3, 4]], "Cannot classify a list: expected a path, a uint8 (height, width, 3) BGR array, the "),
            (np.zeros((4, 4, 3)), "Expected a frame uint8 (height, width, 3) BGR, got float64 (4, 4, 3)."),
            (np.zeros((4, 4), np.uint8), "Expected a frame uint8 (height, width, 3) BGR, got uint8 (4, 4)."),
            (np.zeros((0, 4, 3), np.uint8), "Expected a frame uint8 (height, width, 3) BGR, got uint8 (0, 4, 3)."),
            ("nowhere.jpg", "Cannot read image nowhere.jpg: no such file or directory."),
        ],
    )
    @pytest.mark.parametrize("rgb", [False, True])
    def test_others_are_refused_by_what_they_are(
        self, live: edge.LiveClassifier, picture: object, message: str, rgb: bool
    ) -> None:
        with pytest.raises(edge.ImageError) as refused:
            live.classify(picture, rgb=rgb)  # type: ignore[arg-type]
        assert str(refused.value).startswith(message)
        assert live.classify(grey(255)).best.label == "thin", "and the next one works"


class TestProtocol:
    def test_both_say_what_runs(self, live: edge.LiveClassifier, bundle: edge.Bundle) -> None:
        assert live.classify(grey(0)).best.label == "red"
        assert (live.variant, live.backend.name, live.refusals, live.left_out) == (BIG, "fake", (), {})
        assert live.model_sha256 == bundle.find(BIG).artifacts[0].sha256
        assert live.variants == tuple(live.classifiers)
        assert live.classifiers[BIG].variant == BIG
        assert live.preparer()(grey(9)).pixels.shape == (224, 224, 3)
        assert (dict(live.changes), live.last_change) == ({}, None)

    def test_both_take_a_budget_and_health(self, live: edge.LiveClassifier) -> None:
        live.set_budget(edge.Budget(latency_ms=21.0))
        assert live.budget == edge.Budget(latency_ms=21.0)
        live.on_health(edge.Health())
        live.classify(grey(0))
        assert live.variant == BIG

    def test_both_can_pin_what_they_run_and_refuse_what_they_do_not_have(self, live: edge.LiveClassifier) -> None:
        live.pin("1.00_224")
        live.pin(BIG)
        assert live.pinned == BIG
        with pytest.raises(edge.VariantError, match=r"expected|fixed"):
            live.pin("0.75_192")
        assert live.pinned == BIG

    def test_both_close_twice(self, live: edge.LiveClassifier) -> None:
        live.close()
        live.close()
        with pytest.raises(edge.BackendError, match="is closed"):
            live.classify(grey(0))

    def test_threads_share_either_while_another_changes_its_budget(self, live: edge.LiveClassifier) -> None:
        def labels(level: int) -> set[str]:
            return {live.classify(grey(level)).label for _ in range(25)}

        with ThreadPoolExecutor(4) as threads:
            answers = [threads.submit(labels, level) for level in (0, 255, 0, 255)]
            for number in range(25):
                live.set_budget(edge.Budget(latency_ms=(0.5, 6, 33)[number % 3]))
        assert [answer.result() for answer in answers] == [{"red"}, {"thin"}, {"red"}, {"thin"}]

    def test_values_travel_between_processes_and_classifiers_do_not(
        self, live: edge.LiveClassifier, bundle: edge.Bundle
    ) -> None:
        choice = edge.select(bundle, PROFILE, fps=30)
        for value in (bundle, PROFILE, choice, choice.variant, choice.budget, live.classify(grey(0)), edge.Health()):
            assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(TypeError, match="cannot be copied or pickled: open one in each process"):
            pickle.dumps(live)

    def test_the_modes_differ(self, bundle: edge.Bundle) -> None:
        with edge.Classifier(bundle, BIG, backend="fake") as fixed:
            assert (fixed.mode, fixed.pinned, fixed.budget, fixed.slowdown, fixed.is_holding) == (
                "fixed",
                BIG,
                None,
                None,
                None,
            )
            with pytest.raises(edge.VariantError, match=r"fixed to mobilenet_v1_1\.00_224: an AdaptiveClassifier can"):
                fixed.release()
        with edge.AdaptiveClassifier(bundle, PROFILE, fps=30, backend="fake", memory_limit_mb=1e6) as adaptive:
            assert (adaptive.mode, adaptive.slowdown, adaptive.is_holding) == ("auto", 1.0, True)
            assert adaptive.budget.latency_ms == pytest.approx(1000 / 30)
            adaptive.pin("0.25_128")
            adaptive.classify(grey(0))
            assert (adaptive.mode, adaptive.variant) == ("pinned", SMALL)
            adaptive.release()
            assert adaptive.mode == "auto"

    def test_an_adaptive_one_samples_health_in_its_block_unless_told_otherwise(
        self, bundle: edge.Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[str] = []
        monkeypatch.setattr(edge.HealthSampler, "start", lambda sampler: steps.append("start"))
        monkeypatch.setattr(edge.HealthSampler, "close", lambda sampler: steps.append("close"))
        with edge.AdaptiveClassifier(bundle, PROFILE, fps=30, backend="fake", memory_limit_mb=1e6):
            assert steps == ["start"]
        assert steps == ["start", "close"]
        with edge.AdaptiveClassifier(bundle, PROFILE, fps=30, backend="fake", memory_limit_mb=1e6, sample_health=False):
            assert steps == ["start", "close"]

    def test_a_backend_that_is_open_can_be_joined(self) -> None:
        backend = FakeBackend(resolution=32, classes=5)
        with edge.Classifier.of_backend(backend, LABELS, Preprocessing(), variant=edge.Variant(0.25, 32)) as joined:
            assert (joined.classify(grey(0)).best.label, joined.model_sha256, joined.refusals) == ("red", "", ())


class TestWithTheCommands:
    def test_classify_prints_the_face_s_answers(self, capfd: pytest.CaptureFixture[str]) -> None:
        from edge.cli.classify import classify

        bundle = edge.open_bundle("demo")
        picture = bundle.path((bundle.manifest.golden or pytest.fail("no golden pictures")).pictures[0].file)
        classify([picture], json=True)
        [printed] = json.loads(capfd.readouterr().out)
        with edge.Classifier("demo") as classifier:
            answer = classifier.classify(picture)
        assert printed["variant"] == bundle.most_accurate.name == classifier.variant.name
        expected = answer.to_dict()
        assert {name: printed[name] for name in ("unknown", "classes")} == {
            name: expected[name] for name in ("unknown", "classes")
        }
        assert list(printed) == ["image", "variant", *expected]
        assert [(one["index"], one["probability"]) for one in printed["classes"]] == [
            (guess.class_id, round(guess.probability, 6)) for guess in answer.guesses
        ]

    def test_select_prints_the_face_s_choice(
        self, bundle: edge.Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        from edge.cli.select import select

        PROFILE.save(tmp_path / "profile.json")
        select(str(bundle.root), fps=100, profile=tmp_path / "profile.json", json=True)
        printed = json.loads(capfd.readouterr().out)
        choice = edge.select(bundle.root, edge.load_profile(tmp_path / "profile.json"), fps=100)
        assert printed["chosen"] == choice.variant.name == "mobilenet_v1_0.50_160"
        assert {edge.Variant.parse(row["variant"]): row["verdict"] for row in printed["variants"]} == {
            choice.variant: "chosen",
            **choice.rejected,
        }
        assert choice.rejected == {BIG: "10.00 ms over", SMALL: "fits; less accurate"}

    def test_select_takes_every_condition(self, bundle: edge.Bundle) -> None:
        choice = edge.select(bundle, PROFILE, budget_ms=25, min_top1=75, percentile="p50")
        assert choice.budget == edge.Budget(latency_ms=25, min_top1=75, percentile="p50")
        assert choice.variant == BIG
        with pytest.raises(edge.NoVariantFits, match="Fastest is"):
            edge.select(bundle, PROFILE, edge.Budget(latency_ms=0.5))
        with pytest.raises(edge.BudgetError, match="give one of fps, budget_ms and budget"):
            edge.select(bundle, PROFILE)
