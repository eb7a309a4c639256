"""``edge-convert engine``, with TensorRT-RTX in the place of TensorRT and no GPU asked."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import convert.export.tensorrt.engines as command
from convert.cli.app import build
from convert.errors import ConversionError
from convert.export.tensorrt import make_engine
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import SelfTestError, SignatureError
from edge.inference.engine_cache import Platform
from edge.updates.engines import take_engine
from tests.edge.inference.test_backends import hide
from tests.edge.updates.test_signature import make_keys

PLATFORM = Platform(tensorrt="10.3.0", cuda="12.6", compute_capability="8.6", l4t="36.4.3")


@pytest.fixture
def jetson(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The engines' folder of a machine that says it is a Jetson."""
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (x86_64: dev extra)")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(command, "runtime", lambda: None)
    monkeypatch.setattr(command, "load_cuda", lambda: None)
    monkeypatch.setattr(command, "current_platform", lambda trt, cuda: PLATFORM)
    monkeypatch.setattr(command, "make_engine", functools.partial(make_engine, module="tensorrt_rtx"))
    monkeypatch.setattr(command, "try_engine", lambda *arguments: True)
    return tmp_path / "mobilenet-edge/engines"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(build(), ["engine", *map(str, arguments)], catch_exceptions=False)


def test_every_variant_is_built_once(jetson: Path, tiny_bundle: Path) -> None:
    first = json.loads(run(tiny_bundle, "--json").stdout)
    assert first["platform"] == str(PLATFORM)
    assert [row["source"] for row in first["engines"]] == [
        "mobilenet_v1_0.25_96_int8.onnx",
        "mobilenet_v1_0.25_64_int8.onnx",
    ]
    assert all(Path(row["engine"]).parent == jetson and row["size_bytes"] > 100_000 for row in first["engines"])
    assert [row["is_new"] for row in first["engines"]] == [True, True]
    again = json.loads(run(tiny_bundle, "--json").stdout)
    assert [row["is_new"] for row in again["engines"]] == [False, False]
    assert [row["build"] for row in again["engines"]] == [row["build"] for row in first["engines"]]


def test_a_table_tells_what_was_done(jetson: Path, tiny_bundle: Path) -> None:
    arguments = (tiny_bundle, "--variant", "0.25_64", "--precision", "fp16", "--workspace-mb", 64)
    told = run(*arguments, "--optimization-level", 1).stdout
    assert f"Engines for {PLATFORM}" in " ".join(told.split())
    assert "mobilenet_v1_0.25_64_fp16" in told and "built" in told and str(jetson) in told.replace("\n", "")
    assert "was there" in run(*arguments).stdout
    assert json.loads(next(jetson.glob("*.json")).read_text())["build"]["workspace_mb"] == 64


Refuse = Callable[..., list[tuple[str, str, list[str]]]]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Lets engines of these precisions answer wrongly; gives what is tried: variant, precision, files of the store."""

    def refuse(*precisions: str) -> list[tuple[str, str, list[str]]]:
        tried = []

        def try_engine(bundle: Bundle, variant: Variant, precision: str, cache: Path) -> bool:
            alone = sorted((cache / "mobilenet-edge/engines").iterdir())
            tried.append((variant.name, precision, [path.suffix for path in alone]))
            if precision in precisions:
                raise SelfTestError(f"{variant.name} gives a wrong answer.")
            return True

        monkeypatch.setattr(command, "try_engine", try_engine)
        return tried

    return refuse


def test_a_new_engine_that_answers_wrongly_is_not_kept(jetson: Path, tiny_bundle: Path, refuse: Refuse) -> None:
    """As on an H100 with TensorRT 8.6: the fp32 and fp16 engines of a variant were right, the int8 one was wrong."""
    tried = refuse("int8")
    with pytest.raises(ConversionError) as refused:
        run(tiny_bundle, "--variant", "0.25_64", "--precision", "int8")
    assert str(refused.value) == (
        "mobilenet_v1_0.25_64 gives a wrong answer. The new int8 engine of mobilenet_v1_0.25_64 is not kept. "
        "Build another precision: fp16 or fp32."
    )
    assert tried == [("mobilenet_v1_0.25_64", "int8", [".engine", ".json"])]
    assert not list(jetson.glob("*.engine"))


def test_fp16_takes_the_place_of_int8_that_answers_wrongly(
    jetson: Path, tiny_bundle: Path, refuse: Refuse, caplog: pytest.LogCaptureFixture
) -> None:
    tried = refuse("int8")
    rows = json.loads(run(tiny_bundle, "--json").stdout)["engines"]
    assert [row["source"] for row in rows] == ["mobilenet_v1_0.25_96_fp16.onnx", "mobilenet_v1_0.25_64_fp16.onnx"]
    assert [(name[-2:], precision) for name, precision, _ in tried] == [("96", "int8"), ("96", "fp16"), ("64", "fp16")]
    assert [path.name.split(".trt")[0][-4:] for path in jetson.glob("*.engine")] == ["fp16", "fp16"]
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == (
        "mobilenet_v1_0.25_96 gives a wrong answer. The new int8 engine of mobilenet_v1_0.25_96 is not kept. "
        "fp16 is built instead, for this variant and those to come"
    )


def test_where_fp16_answers_wrongly_too_fp32_is_advised(jetson: Path, tiny_bundle: Path, refuse: Refuse) -> None:
    refuse("int8", "fp16")
    with pytest.raises(ConversionError, match=r"Build another precision: fp32\.$"):
        run(tiny_bundle)
    assert not list(jetson.glob("*.engine"))


def test_a_precision_that_the_bundle_lacks_is_named(jetson: Path, tiny_bundle: Path) -> None:
    with pytest.raises(ConversionError) as refused:
        run(tiny_bundle, "--precision", "int8_full")
    assert str(refused.value) == (
        "Bundle tiny has no int8_full ONNX file of mobilenet_v1_0.25_96 (it has: fp32, fp16, int8): "
        "write the bundle with the target onnx-int8_full."
    )
    assert not list(jetson.glob("*"))


def test_without_tensorrt_the_way_out_is_told(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "tensorrt")
    with pytest.raises(Exception, match=r"TensorRT cannot be imported .* --system-site-packages"):
        run(tiny_bundle)


def test_an_equal_takes_what_was_published_and_builds_the_rest(
    jetson: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    private, public = make_keys(tmp_path)
    folder = tmp_path / "published"
    first = run(tiny_bundle, "--variant", "0.25_64", "--publish", folder, "--sign", private, "--json")
    assert "note: published 1 engines in " in first.stderr and "not signed" not in first.stderr
    shutil.rmtree(jetson)
    monkeypatch.setattr(command, "take_engine", functools.partial(take_engine, trial=lambda *given: True))
    monkeypatch.setattr(command, "configured_key", lambda: public)
    rows = {row["source"]: row for row in json.loads(run(tiny_bundle, "--like", folder, "--json").stdout)["engines"]}
    small, large = rows["mobilenet_v1_0.25_64_int8.onnx"], rows["mobilenet_v1_0.25_96_int8.onnx"]
    assert (small["is_taken"], large["is_taken"], large["is_new"]) == (True, False, True)
    assert small["build"]["taken_from"] == str(folder)
    assert "was there" in run(tiny_bundle, "--like", folder).stdout
    run(tiny_bundle, "--variant", "0.25_64", "--publish", folder, "--force")
    with pytest.raises(SignatureError, match="is not signed, and the key"):
        run(tiny_bundle, "--variant", "0.25_64", "--like", folder, "--force")
