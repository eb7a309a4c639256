"""The Python in the documents runs as it stands, and prints what the commands print."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import pytest

import camera_demo
import edge

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("docs/python.md", "README.md")


def blocks_of(document: str) -> list[tuple[int, str]]:
    """Every Python block of a document, with the line that it begins on."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n") + 1, match[1]) for match in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the blocks run: a picture and a clip, of the demo."""
    made = tmp_path_factory.mktemp("docs")
    bundle = edge.open_bundle("demo")
    golden = bundle.manifest.golden
    assert golden is not None
    cv2.imwrite(str(made / "photo.jpg"), edge.read_image(bundle.path(golden.pictures[0].file)))
    shutil.copy(Path(str(files("camera_demo"))) / "clips/digits.mp4", made / "clip.mp4")
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a document's blocks in order in one namespace, and gives it and what each block printed."""

    def run_all(document: str) -> tuple[dict[str, Any], list[list[str]]]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        namespace: dict[str, Any] = {"__name__": "__main__"}
        printed = []
        for line, block in blocks_of(document):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile("\n" * (line - 1) + block, str(ROOT / document), "exec"), namespace)
            printed.append(output.getvalue().splitlines())
        return namespace, printed

    return run_all


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_runs(document: str, run: Any) -> None:
    run(document)


def test_the_blocks_print_what_the_commands_print(run: Any, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    namespace, printed = run("docs/python.md")
    from edge.cli.classify import classify
    from edge.cli.select import select

    classify([folder / "photo.jpg"], json=True)
    [picture] = json.loads(capfd.readouterr().out)
    best, *guesses, _ = next(
        lines
        for lines, (_, block) in zip(printed, blocks_of("docs/python.md"), strict=True)
        if "guess.class_id" in block
    )
    assert [line.split()[0] for line in guesses] == [str(one["index"]) for one in picture["classes"]]
    assert [float(line.split()[-1]) for line in guesses] == [
        pytest.approx(one["probability"], abs=1e-6) for one in picture["classes"]
    ]
    assert best.startswith(picture["classes"][0]["label"])
    select(fps=30, max_mb=1.0, json=True)
    chosen = json.loads(capfd.readouterr().out)
    assert chosen["chosen"] == namespace["choice"].variant.name
    assert {row["variant"] for row in chosen["variants"] if row["verdict"] != "chosen"} == {
        variant.name for variant in namespace["choice"].rejected
    }
    assert isinstance(namespace["answer"], camera_demo.Result)
    assert edge.read_image(folder / "answer.png").shape == namespace["answer"].frame.image.shape


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
                package = {"edge": edge, "camera_demo": camera_demo}.get(node.value.id)
                assert package is None or node.attr in package.__all__, node.attr
