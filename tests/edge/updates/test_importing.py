"""Ready .tflite files become a bundle on the device; what is not a classifier is refused by what it is."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import camera_demo
import edge
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.cli.app import main
from edge.errors import BackendError, BundleError, OutputError
from edge.inference.inspection import inspect_model
from edge.inference.tflite_metadata import read_metadata
from edge.profiling.timing import StopRule
from edge.updates.importing import ImportOptions, import_models
from edge.updates.ready_models import read_ready_model
from tests.commands import run_in_process
from tests.conftest import SHARED, draw
from tests.edge.tflite_files import edited, hungry

FORMS = SHARED / "data" / "forms"
FLOAT, UINT8 = FORMS / "whole_float.tflite", FORMS / "whole_uint8.tflite"
NAMES = ("red", "green", "blue", "round", "square")
needs_forms = pytest.mark.skipif(not FORMS.is_dir(), reason=f"there is no {FORMS} on this machine")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("".join(f"{number} {name}\n" for number, name in enumerate(NAMES)))  # as Teachable Machine does
    return path


def demo_file() -> Path:
    bundle = edge.open_bundle("demo")
    return bundle.path(bundle.find(Variant(0.25, 128)).artifacts[0].file)


def demo_labels(tmp_path: Path) -> Path:
    path = tmp_path / "demo.txt"
    path.write_text("".join(f"{label}\n" for label in edge.open_bundle("demo").labels))
    return path


def interpreter_answer(path: Path, tensor: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tensor)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])


class TestADemoFile:
    def test_is_recognised_with_its_cost_labels_and_normalization(self) -> None:
        model = read_ready_model(demo_file())
        entry = edge.open_bundle("demo").find(Variant(0.25, 128))
        assert (model.variant, model.precision, model.classes) == (Variant(0.25, 128), "int8", 11)
        assert model.inspection.mult_adds == entry.mult_adds
        assert model.preprocessing.mean == (127.5,) * 3 and model.preprocessing.std == (127.5,) * 3
        assert model.labels == edge.open_bundle("demo").labels

    def test_becomes_a_bundle_that_answers_alike(self, tmp_path: Path) -> None:
        bundle = import_models([demo_file()], tmp_path / "copy")
        frame = draw(3)
        with edge.Classifier(bundle) as ours, edge.Classifier("demo", "0.25_128") as original:
            assert ours.classify(frame).guesses == original.classify(frame).guesses
        accuracy = bundle.variants[0].artifacts[0].accuracy
        assert (accuracy.agreement, accuracy.top1, accuracy.measured_on) == (None, None, "not measured")
        assert bundle.manifest.golden is not None

    def test_is_measured_on_labelled_pictures(self, tmp_path: Path) -> None:
        with edge.Classifier("demo", "0.25_128") as original:
            best = [original.classify(draw(seed)).best.label for seed in range(4)]
        for seed, label in enumerate(best):
            folder = tmp_path / "pictures" / label.replace(" ", "_")
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{seed}.png"), draw(seed))
        options = ImportOptions(pictures=tmp_path / "pictures")
        accuracy = import_models([demo_file()], tmp_path / "out", options).variants[0].artifacts[0].accuracy
        assert (accuracy.top1, accuracy.top5, accuracy.labelled) == (1.0, 1.0, 4)
        assert accuracy.measured_on == "4 pictures of pictures"


@needs_forms
class TestTensorFlowsOwn:
    """Written by TensorFlow's converter: a free batch, and an output that exists only after the first run."""

    def bundle(self, path: Path, labels: Path, tmp_path: Path) -> Bundle:
        options = ImportOptions(labels=labels, pixels="-1..1" if path == FLOAT else None)
        return import_models([path], tmp_path / "bundle", options)

    @pytest.mark.parametrize("path", [FLOAT, UINT8], ids=["float", "uint8"])
    def test_answers_are_the_interpreters_own(self, path: Path, labels: Path, tmp_path: Path) -> None:
        bundle = self.bundle(path, labels, tmp_path)
        assert [entry.variant for entry in bundle.variants] == [Variant(0.25, 96)]
        assert bundle.labels == NAMES
        frames = [draw(seed, (96, 96)) for seed in range(5)]
        with edge.Classifier(bundle, threads=1) as classifier:
            for frame in frames:  # one after another: an output that moves must not be read where it was
                rgb = np.ascontiguousarray(frame[None, :, :, ::-1])
                tensor = (rgb / 127.5 - 1).astype(np.float32) if path == FLOAT else rgb
                answer = interpreter_answer(path, tensor)
                wanted = answer if path == FLOAT else answer / 256
                assert np.abs(classifier.probabilities(frame) - wanted).max() <= (1e-5 if path == FLOAT else 1 / 256)

    def test_the_commands_take_it(self, labels: Path, tmp_path: Path) -> None:
        def command(*arguments: object) -> str:
            done = run_in_process(main, "edge", *arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout

        out, picture = tmp_path / "bundle", tmp_path / "one.png"
        cv2.imwrite(str(picture), draw(1))
        made = json.loads(command("bundle", "import", UINT8, "--labels", labels, "--out", out, "--json"))
        assert made["variants"][0]["mult_adds"] == 7490432
        assert json.loads(command("bundle", "verify", out, "--json"))["tested"] == 1
        assert "%" in command("classify", picture, "--bundle", out)

    @pytest.mark.parametrize("path", [FLOAT, UINT8], ids=["float", "uint8"])
    def test_it_is_profiled_selected_and_run_live_like_any_other(
        self, path: Path, labels: Path, tmp_path: Path
    ) -> None:
        bundle = self.bundle(path, labels, tmp_path)
        stop = StopRule(least_rounds=1, most_s=0.1, precision=100.0)
        profile = edge.profile(bundle, keep=False, refresh=True, stop=stop, threads=1)
        choice = edge.select(bundle, profile, budget_ms=10_000)
        assert choice.variant == Variant(0.25, 96)
        live = list(camera_demo.answers("demo", bundle=bundle.root, variant="0.25_96", threads=1))
        assert len(live) > 50 and {answer.variant for answer in live} == {"mobilenet_v1_0.25_96"}
        with edge.Classifier(bundle, choice.variant, threads=1) as classifier:
            for answer in live[::20]:
                assert answer.prediction.guesses == classifier.classify(answer.frame.image).guesses

    def test_a_folder_that_is_no_bundle_is_never_replaced(self, labels: Path, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("precious")
        with pytest.raises(OutputError, match="is not a bundle, and only bundles are replaced: choose another name"):
            import_models([UINT8], tmp_path, ImportOptions(labels=labels), replace=True)
        assert (tmp_path / "thesis.txt").read_text() == "precious"

    def test_a_float_file_has_to_be_told_its_range(self, labels: Path, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"float pixels and does not say of which range: expected one of -1\.\.1"):
            import_models([FLOAT], tmp_path / "bundle", ImportOptions(labels=labels))
        assert not (tmp_path / "bundle").exists()

    @pytest.mark.parametrize(
        ("given", "way_on"), [("--labels", "Pass --pixels RANGE."), ("--pixels=-1..1", "Pass --labels FILE.")]
    )
    def test_the_command_names_the_option_that_is_missing(
        self, given: str, way_on: str, labels: Path, tmp_path: Path
    ) -> None:
        arguments = [given, labels] if given == "--labels" else [given]
        done = run_in_process(main, "edge", "bundle", "import", FLOAT, "--out", tmp_path / "bundle", *arguments)
        assert done.returncode == 1 and done.stderr.endswith(f". {way_on}\n")

    def test_labels_are_needed_and_as_many_as_classes(self, labels: Path, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="holds no labels: expected a file of 5 labels"):
            import_models([UINT8], tmp_path / "bundle")
        labels.write_text("background\n" + "\n".join(NAMES))
        with pytest.raises(BundleError, match="There are 6 labels for a model of 5 classes: off by one"):
            import_models([UINT8], tmp_path / "bundle", ImportOptions(labels=labels))

    def test_files_of_one_bundle_have_to_match(self, labels: Path, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"Two files are mobilenet_v1_0\.25_96 in int8"):
            import_models([UINT8, UINT8], tmp_path / "bundle", ImportOptions(labels=labels))
        with pytest.raises(BundleError, match=r"has 11 classes, .* 5: expected alike"):
            import_models([UINT8, demo_file()], tmp_path / "bundle", ImportOptions(labels=labels))

    def test_a_folder_that_is_there_stays(self, labels: Path, tmp_path: Path) -> None:
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle" / "mine.txt").write_text("mine")
        with pytest.raises(OutputError):
            self.bundle(UINT8, labels, tmp_path)
        assert (tmp_path / "bundle" / "mine.txt").read_text() == "mine"


class TestAnotherNetwork:
    def test_takes_a_name_from_its_file(self, tmp_path: Path) -> None:
        def shorter(model: Any, schema: Any) -> None:
            del model.subgraphs[0].operators[3:5]  # a block less

        path = edited(demo_file(), tmp_path / "Vehicle Net-v2_128_quant.tflite", shorter)
        try:
            model = read_ready_model(path)
        except BackendError:
            pytest.skip("the runtime checks this graph's shapes")
        assert model.variant.name == "vehicle_net_v2_128"

    @pytest.mark.parametrize(
        ("name", "variant"),
        [
            ("mobilenet_v2_224", Variant(1.0, 224, "mobilenet_v2")),
            ("teachable_machine_96", Variant(1.0, 96, "teachable_machine")),
            ("0.5_160", Variant(0.5, 160)),
        ],
    )
    def test_has_a_name_that_reads_back(self, name: str, variant: Variant) -> None:
        assert Variant.parse(name) == variant
        assert Variant.parse(variant.name) == variant

    @pytest.mark.parametrize("network", ["Upper", "", "x/y", "mobilenet v2", "-x"])
    def test_has_no_odd_name(self, network: str) -> None:
        with pytest.raises(edge.VariantError, match="Invalid network name"):
            Variant(1.0, 96, network)


class TestRefusals:
    def test_what_is_not_a_model_is_said_to_be_none(self, tmp_path: Path) -> None:
        path = tmp_path / "model.tflite"
        with pytest.raises(BackendError, match="no such file or directory"):
            read_ready_model(path)
        path.write_bytes(b"PK\x03\x04not a model")
        with pytest.raises(BackendError, match="is not a TensorFlow Lite model"):
            read_ready_model(path)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_a_truncated_file_is_one_line(self, tmp_path: Path, share: float) -> None:
        path, content = tmp_path / "model.tflite", demo_file().read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(BackendError) as refused:
            read_ready_model(path)
        assert "\n" not in str(refused.value) and str(path) in str(refused.value)

    def test_a_file_that_kills_the_runtime_kills_a_child_only(self, tmp_path: Path) -> None:
        def aborting(model: Any, schema: Any) -> None:
            model.subgraphs[0].operators[5].outputs = [-1]

        path = edited(demo_file(), tmp_path / "model.tflite", aborting)
        with pytest.raises(BackendError) as refused:
            inspect_model(path)
        assert "\n" not in str(refused.value)

    def test_a_file_that_hangs_is_given_up(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match=r"did not answer within 0\.01 s"):
            inspect_model(demo_file(), longest_s=0.01)

    def test_a_file_that_wants_too_much_memory_is_given_up(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError) as refused:
            inspect_model(hungry(tmp_path / "model.tflite"))
        assert "\n" not in str(refused.value) and "model.tflite" in str(refused.value)

    def test_a_second_output_is_no_classifier(self, tmp_path: Path) -> None:
        def two(model: Any, schema: Any) -> None:
            graph = model.subgraphs[0]
            graph.outputs = [*graph.outputs, graph.operators[3].outputs[0]]

        with pytest.raises(BackendError, match="has 2 outputs: it is not a classifier"):
            read_ready_model(edited(demo_file(), tmp_path / "model.tflite", two))

    def test_logits_are_not_probabilities(self, tmp_path: Path) -> None:
        def without_softmax(model: Any, schema: Any) -> None:
            graph = model.subgraphs[0]
            graph.outputs = [graph.operators[-1].inputs[0]]
            graph.operators.pop()

        with pytest.raises(BackendError, match=r"ends in .*, not in a softmax, so its answers are not probabilities"):
            read_ready_model(edited(demo_file(), tmp_path / "model.tflite", without_softmax))

    def test_a_feature_map_is_named(self, tmp_path: Path) -> None:
        def features(model: Any, schema: Any) -> None:
            graph = model.subgraphs[0]
            graph.outputs = [graph.operators[20].outputs[0]]
            del graph.operators[21:]

        with pytest.raises(BackendError, match="a feature map or a segmentation: expected probabilities"):
            read_ready_model(edited(demo_file(), tmp_path / "model.tflite", features))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_labels_that_would_unpack_to_gigabytes_are_not_read(tmp_path: Path, compression: int) -> None:
    labels = bytes(100_000_000)
    path = edited(demo_file(), tmp_path / "model.tflite", lambda model, schema: None)  # without an archive
    with zipfile.ZipFile(path, "a", compression) as archive:
        archive.writestr("labels.txt", labels)
    path.write_bytes(path.read_bytes().replace(len(labels).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    program = (
        "import resource, sys; from pathlib import Path; from edge.inference.tflite_metadata import read_metadata\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; found = read_metadata(Path(sys.argv[1]))\n"
        "print(found.labels, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    labels_found, grown_kb = done.stdout.split()
    assert labels_found == "None" and int(grown_kb) < 20_000


def test_metadata_that_is_damaged_counts_as_none(tmp_path: Path) -> None:
    path, content = tmp_path / "model.tflite", bytearray(demo_file().read_bytes())
    place = content.index(b"TFLITE_METADATA")
    content[place : place + 15] = b"TFLITE_METADOTA"
    path.write_bytes(content)
    metadata = read_metadata(path)
    assert (metadata.mean, metadata.std) == (None, None)
    assert metadata.labels == edge.open_bundle("demo").labels, "they are in the archive behind the model"
