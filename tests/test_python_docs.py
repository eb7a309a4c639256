"""The Python in the documents runs as it stands, and prints what the commands print."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import pytest

import camera_demo
import convert
import edge
from convert.model import ModelConfig
from edge.cli.classify import classify
from edge.cli.select import select
from tests.conftest import draw
from tests.convert.conftest import LABELS, lively

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("docs/python.md", "README.md")


def blocks_of(document: str) -> list[tuple[int, str]]:
    """Every Python block of a document, with the line that it begins on."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n") + 1, match[1]) for match in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A document whose blocks ran in order in one namespace."""

    folder: Path
    namespace: dict[str, Any]
    printed: list[list[str]]
    """The lines that each block printed."""


@pytest.fixture(scope="module", params=DOCUMENTS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Each document, run in a folder of its own; the board is measured once for all."""
    folder = tmp_path_factory.mktemp("docs")
    _fill(folder)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("convert.quantization.quantizer.ENOUGH", 1)  # views of a dozen pictures take ten times as long
        for line, block in blocks_of(request.param):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile("\n" * (line - 1) + block, str(ROOT / request.param), "exec"), namespace)
            printed.append(output.getvalue().splitlines())
        yield Ran(folder=folder, namespace=namespace, printed=printed)


def _fill(folder: Path) -> None:
    """A picture and a clip of the demo; a network that answers differently from picture to picture, and its labels."""
    bundle = edge.open_bundle("demo")
    golden = bundle.manifest.golden
    assert golden is not None
    cv2.imwrite(str(folder / "photo.jpg"), edge.read_image(bundle.path(golden.pictures[0].file)))
    (folder / "test-photos/seven").mkdir(parents=True)
    shutil.copy(folder / "photo.jpg", folder / "test-photos/seven")
    for number in range(6):
        (folder / "things" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"things/{'ab'[number % 2]}/{chr(97 + number)}.png"), draw(number))
    shutil.copy(Path(str(files("camera_demo"))) / "clips/digits.mp4", folder / "clip.mp4")
    convert.save_checkpoint(lively(ModelConfig(alpha=0.25, classes=3), seed=2), folder / "weights.safetensors")
    (folder / "labels.txt").write_text("\n".join(LABELS[:3]) + "\n")
    (folder / "photos").mkdir()
    for number in range(48):
        cv2.imwrite(str(folder / f"photos/{chr(97 + number // 2)}{chr(97 + number % 2)}.png"), draw(number))


def test_every_block_runs(ran: Ran) -> None:
    assert [lines for lines in ran.printed if any("Error" in line for line in lines)] == []


@pytest.mark.parametrize("ran", ["docs/python.md"], indirect=True)
def test_the_blocks_print_what_the_commands_print(ran: Ran, capfd: pytest.CaptureFixture[str]) -> None:
    classify([ran.folder / "photo.jpg"], json=True)
    [picture] = json.loads(capfd.readouterr().out)
    blocks = [block for _, block in blocks_of("docs/python.md")]
    best, *guesses, _ = next(
        lines for lines, block in zip(ran.printed, blocks, strict=True) if "guess.class_id" in block
    )
    assert [line.split()[0] for line in guesses] == [str(one["index"]) for one in picture["classes"]]
    assert [float(line.split()[-1]) for line in guesses] == [
        pytest.approx(one["probability"], abs=1e-6) for one in picture["classes"]
    ]
    assert best.startswith(picture["classes"][0]["label"])
    select(fps=30, max_mb=1.0, json=True)
    chosen = json.loads(capfd.readouterr().out)
    choice = ran.namespace["choice"]
    assert chosen["chosen"] == choice.variant.name
    assert {row["variant"]: row["verdict"] for row in chosen["variants"] if row["verdict"] != "chosen"} == {
        variant.name: reason for variant, reason in choice.rejected.items()
    }
    answer = ran.namespace["answer"]
    assert edge.read_image(ran.folder / "answer.png").shape == answer.frame.image.shape
    assert [entry.variant.resolution for entry in edge.open_bundle(ran.folder / "my-bundle").variants] == [128, 96]


def test_the_first_program_opens_a_camera_and_prints_answers_in_eight_lines() -> None:
    _, program = blocks_of("docs/python.md")[0]
    assert "answers(" in program and "print(answer" in program
    assert len([line for line in program.splitlines() if line.strip()]) <= 8


def test_the_blocks_use_nothing_but_public_names() -> None:
    for _, block in blocks_of("docs/python.md"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                pytest.fail(f"from {node.module} import ...")
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                package = {"edge": edge, "camera_demo": camera_demo, "convert": convert}.get(node.value.id)
                assert package is None or node.attr in package.__all__, node.attr
