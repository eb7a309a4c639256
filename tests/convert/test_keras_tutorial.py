"""The tutorial's two commands, as docs/keras.md writes them, on a network that Keras saved."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Final

import pytest

from camera_demo.cli import main as camera_demo
from convert.cli.app import main as edge_convert

DOCUMENT: Final = Path(__file__).parents[2] / "docs/keras.md"
UNTRAINED: Final = ["--min-agreement", "0"]
"""The network's weights are random, and int8 moves its answers more than a trained one's."""
HEADLESS: Final = ["--headless", "--max-frames", "3", "--backend", "litert", "--budget-ms", "60000"]
"""No window, and a budget that a busy machine keeps, too."""


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT.read_text(), flags=re.S | re.M)
    return [shlex.split(line) for language, block in blocks if not language for line in block.splitlines()]


@pytest.fixture
def workplace(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    source = shared_data / "forms" / "rescaling.keras"
    if not source.is_file():
        pytest.skip("shared/data/forms is not beside the checkout")
    shutil.copy(source, tmp_path / "model.keras")
    (tmp_path / "photos").mkdir()
    for path in sorted((shared_data / "photos").glob("*.jpg"))[::3]:
        shutil.copy(path, tmp_path / "photos")
    (tmp_path / "labels.txt").write_text("ant\nbee\ncat\ndog\nelk")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(program: object, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as end:
        program()  # type: ignore[operator]
    assert end.value.code in (0, None)


def test_the_tutorials_two_commands_lead_from_keras_to_the_camera(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    convert, show = commands()
    assert (convert[:3], show[0]) == (["edge-convert", "bundle", "model.keras"], "camera-demo")
    run(edge_convert, [*convert, *UNTRAINED], monkeypatch)
    assert [path.name for path in (workplace / "my").glob("*.tflite")] == ["mobilenet_v1_0.25_96_int8.tflite"]
    capfd.readouterr()
    run(camera_demo, [show[0], "synthetic:", "json:-", *show[1:], *HEADLESS], monkeypatch)
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert len(rows) == 3
    assert {label["label"] for row in rows for label in row["labels"]} == {"ant", "bee", "cat", "dog", "elk"}
