"""Every attribute of TensorRT that our code touches, held against NVIDIA's own bindings of each version it serves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.tensorrt_api import BINDINGS, TABLE, has, touched

BEHIND = {
    "IBuilderConfig.num_compute_capabilities": "ComputeCapability",
    "IBuilderConfig.set_compute_capability": "ComputeCapability",
    "IProgressMonitor.__init__": "IProgressMonitor",
}
"""What is used only once the other name was found."""
SINCE_8_6 = "IBuilderConfig.builder_optimization_level"
"""Its absence is not in the table: 8.5 has no bindings on PyPI by themselves."""


@pytest.fixture(scope="module")
def versions_with() -> dict[str, set[str]]:
    values: dict[str, Any] = json.loads(TABLE.read_text())
    assert values["bindings"] == BINDINGS
    return {path: set(versions.split()) for path, versions in values["versions_with"].items()}


def test_the_table_is_of_the_code_as_it_is(versions_with: dict[str, set[str]]) -> None:
    outright, asked = touched()
    assert len(outright) > 40
    assert set(versions_with) == outright | asked, "run: python -m scripts.tensorrt_api"


def test_what_is_used_outright_is_in_every_version(versions_with: dict[str, set[str]]) -> None:
    for path in touched()[0]:
        expected = versions_with[BEHIND[path]] if path in BEHIND else set(BINDINGS)
        assert versions_with[path] == expected, path


def test_what_is_asked_for_first_is_in_some_versions_only(versions_with: dict[str, set[str]]) -> None:
    asked = touched()[1]
    for path in asked - {SINCE_8_6}:
        assert versions_with[path] != set(BINDINGS), f"{path} is everywhere: no need to ask"
    for path in ("BuilderFlag.FP16", "BuilderFlag.INT8", "NetworkDefinitionCreationFlag.EXPLICIT_BATCH"):
        assert versions_with[path] == set(BINDINGS) - {"11.4"}
    assert asked >= {SINCE_8_6, "Builder.platform_has_fast_int8", "ComputeCapability", "IProgressMonitor"}


def test_tensorrt_rtx_has_what_is_used_outright() -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (x86_64: dev extra)")
    assert [path for path in touched()[0] if not has(rtx, path)] == []
    assert has(rtx, "ComputeCapability")
