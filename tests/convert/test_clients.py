"""Programs of other people use our files as they are. What needs MediaPipe is run by ``scripts/test-clients``."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

import edge
from benchmarks import clients
from convert.checkpoints import Checkpoint, load_checkpoint
from convert.data.calibration_data import CalibrationData, load_calibration_data
from convert.pipeline.variant import emit
from edge.bundles.bundle import read_labels
from edge.inference.metadata_writer import ModelCard
from edge.updates.importing import import_models
from edge.vision.images import image_files
from tests.conftest import draw
from tests.convert.conftest import LABELS
from tests.convert.test_to_tflite import AUTO, BUILTIN, TFLITE_RUNTIME, run
from tests.edge.teaching.test_teach import scene

DOCUMENT = Path(__file__).parents[2] / "docs/quantization.md"


@pytest.fixture
def mediapipe() -> Path:
    if not clients.PYTHON.exists():
        pytest.skip("MediaPipe is not in .venv/mediapipe: scripts/test-clients installs it and runs this")
    return clients.PYTHON


@pytest.fixture(scope="module")
def file(checkpoint: Checkpoint, data: CalibrationData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clients") / "m.tflite"
    card = ModelCard(labels=LABELS, author="somebody")
    (emitted,) = emit(checkpoint, 64, data, io="uint8", card=card, min_agreement=0)
    path.write_bytes(emitted.content)
    return path


def test_mediapipe_classifies_with_our_file_and_knows_our_labels(mediapipe: Path, file: Path, pictures: Path) -> None:
    answers = clients.ask(file, image_files(pictures), mediapipe)
    assert answers.agreement(answers.fed_our_pixels) == 1.0
    assert answers.labels == tuple(LABELS[n] for n in answers.ours)


def test_mediapipe_gives_our_best_class_on_real_photos(mediapipe: Path, shared_data: Path, tmp_path: Path) -> None:
    labels = read_labels(shared_data / "imagenet_labels.txt")
    data = load_calibration_data(shared_data / "photos", [224], labels=labels, classes=1000)
    checkpoint = load_checkpoint(shared_data / "mobilenet_1_0_224_tf.h5")
    (emitted,) = emit(checkpoint, 224, data, io="uint8", card=ModelCard(labels=labels), min_agreement=0)
    (tmp_path / "m.tflite").write_bytes(emitted.content)
    answers = clients.ask(tmp_path / "m.tflite", image_files(shared_data / "photos"), mediapipe)
    assert answers.agreement(answers.fed_our_pixels) >= 0.99
    assert answers.labels == tuple(labels[n] for n in answers.fed_our_pixels)


@pytest.fixture(scope="module")
def taught(file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A taught file and what it was taught from."""
    root = tmp_path_factory.mktemp("taught")
    for number, kind in enumerate(("ring", "bar", "cross")):
        (root / "things" / f"my {kind}").mkdir(parents=True)
        for seed in range(6):
            cv2.imwrite(str(root / f"things/my {kind}/b{seed // 2}-{seed % 2}.png"), scene(kind, 100 * number + seed))
    parent = import_models([file], root / "parent")
    made = edge.teach(root / "things", root / "taught", bundle=parent, threads=1).bundle
    return made.path(made.variants[0].artifacts[0].file), root / "things"


def test_mediapipe_classifies_with_a_taught_file_as_we_do(mediapipe: Path, taught: tuple[Path, Path]) -> None:
    file, things = taught
    answers = clients.ask(file, image_files(things), mediapipe)
    assert answers.agreement(answers.fed_our_pixels) == 1.0
    assert answers.labels == tuple(("my bar", "my cross", "my ring")[n] for n in answers.ours)
    assert len(set(answers.ours)) == 3


READER = """
import json, sys
from mediapipe.tasks.metadata import metadata_schema_py_generated as told, schema_py_generated as schema
model = schema.Model.GetRootAs(open(sys.argv[1], "rb").read(), 0)
(data,) = [model.Buffers(m.Buffer()).DataAsNumpy().tobytes() for m in map(model.Metadata, range(model.MetadataLength()))
           if m.Name() == b"TFLITE_METADATA"]
assert told.ModelMetadata.ModelMetadataBufferHasIdentifier(data, 0)
metadata = told.ModelMetadataT.InitFromPackedBuf(data, 0)
(graph,) = metadata.subgraphMetadata
(source,), (target,) = graph.inputTensorMetadata, graph.outputTensorMetadata
size, (unit,), (file,) = source.content.contentProperties.defaultSize, source.processUnits, target.associatedFiles
print(json.dumps([metadata.name.decode(), metadata.author.decode(), metadata.minParserVersion.decode(), size.width,
                  source.content.contentProperties.colorSpace, list(map(float, unit.options.mean)),
                  list(map(float, unit.options.std)), list(map(float, target.stats.max)), file.name.decode(), file.type,
                  type(target.content.contentProperties).__name__]))
"""


def test_the_published_schema_reads_the_metadata(mediapipe: Path, file: Path) -> None:
    done = subprocess.run([mediapipe, "-c", READER, str(file)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        *("mobilenet_v1_0.25_64", "somebody", "1.0.0", 64, 1),
        *([127.5] * 3, [127.5] * 3, [255.0], "labels.txt", 2, "FeaturePropertiesT"),
    ]


def script(runtime: str) -> str:
    """The program that the documentation shows, with one runtime or the other."""
    told = DOCUMENT.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    assert 0 < len(told.strip().splitlines()) <= 12
    assert "ai_edge_litert" in told
    return told.replace("ai_edge_litert", runtime)


@pytest.mark.parametrize(("runtime", "kernels"), [("ai_edge_litert", AUTO), ("tflite_runtime", BUILTIN)])
def test_the_short_script_in_the_documentation_names_the_class(
    runtime: str, kernels: OpResolverType, file: Path, tmp_path: Path
) -> None:
    path = [str(TFLITE_RUNTIME)] if runtime == "tflite_runtime" else []
    if path and not (TFLITE_RUNTIME / "tflite_runtime").is_dir():
        pytest.skip(f"tflite-runtime is not in {TFLITE_RUNTIME}; ./install.sh --test puts it there on Python <= 3.11")
    picture = draw(7, (64, 64))
    cv2.imwrite(str(tmp_path / "picture.png"), picture)
    command = [sys.executable, "-c", script(runtime), str(file), str(tmp_path / "picture.png")]
    done = subprocess.run(command, env={"PYTHONPATH": ":".join(path)}, capture_output=True, text=True, check=True)
    rgb = np.ascontiguousarray(picture[None, ..., ::-1])
    best = run(file.read_bytes(), rgb, kernels)[0].argmax()
    assert done.stdout.strip() == LABELS[best]
