"""The store of engines: what it finds, what it refuses, and what stays whole."""

from __future__ import annotations

import json
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import BackendError, OutputError
from edge.inference.engine_cache import EngineStore, Platform, Source

ORIN = Platform(tensorrt="10.3.0.30", cuda="12.6", compute_capability="8.7", l4t="36.4.3")
NAME = "mobilenet_v1_0.25_32_int8"
SOURCE = Source(path=Path(f"{NAME}.onnx"), sha256="a" * 64)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


def fill(store: EngineStore, platform: Platform = ORIN, content: bytes = b"engine") -> Path:
    with store.lock():
        new = store.folder / "new"
        new.write_bytes(content)
        return store.add(SOURCE, platform, new, {"seconds": 1.5, "dla_core": None}).path


def refusal(store: EngineStore, source: Source = SOURCE, platform: Platform = ORIN) -> str:
    with pytest.raises(BackendError) as refused:
        store.find(source, platform)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_name_holds_all_that_an_engine_is_bound_to(store: EngineStore) -> None:
    name = f"{NAME}.trt10.3.0.30-cuda12.6-sm87-l4t36.4.3-aaaaaaaaaaaaaaaa.engine"
    assert fill(store) == store.folder / name
    assert Platform(tensorrt="11.4", cuda="13.2", compute_capability="8.9", l4t=None).slug == "trt11.4-cuda13.2-sm89"


def test_what_was_added_is_found_with_how_it_was_built(store: EngineStore) -> None:
    path = fill(store)
    engine = store.find(SOURCE, ORIN)
    assert (engine.path, engine.build["seconds"]) == (path, 1.5)
    record = json.loads(Path(f"{path}.json").read_text())
    assert record["source"] == {"file": f"{NAME}.onnx", "sha256": "a" * 64}
    assert record["platform"]["l4t"] == "36.4.3"
    assert sorted(p.name for p in store.folder.iterdir()) == [".lock", path.name, f"{path.name}.json"]


@pytest.mark.parametrize(
    "platform",
    [
        replace(ORIN, tensorrt="10.16.2.10"),
        replace(ORIN, cuda="13.2"),
        replace(ORIN, compute_capability="11.0"),
        replace(ORIN, l4t="39.2.0"),
    ],
)
def test_after_an_update_the_engine_is_not_found_and_the_old_one_named(store: EngineStore, platform: Platform) -> None:
    assert refusal(store).startswith("it has no engine for TensorRT 10.3.0.30, CUDA 12.6, compute capability 8.7, ")
    fill(store)
    assert refusal(store, platform=platform) == (
        f"it has no engine for {platform} (for other systems: {ORIN.slug}): edge-convert engine BUNDLE builds it."
    )


def test_another_file_of_the_same_name_has_no_engine(store: EngineStore) -> None:
    fill(store)
    assert "for other systems: none" in refusal(store, replace(SOURCE, sha256="b" * 64))


@pytest.mark.parametrize("content", [b"engin", b"", b"ENGINE"])
def test_an_engine_that_is_not_whole_is_refused(store: EngineStore, content: bytes) -> None:
    path = fill(store)
    path.write_bytes(content)
    assert refusal(store).startswith(f"Engine {path} is damaged or cut short ({len(content)} bytes): build it again")


@pytest.mark.parametrize("record", ["", "{}", '{"schema_version": 1}', '{"schema_version": 2, "engine": {}}'])
def test_an_engine_without_its_record_is_refused(store: EngineStore, record: str) -> None:
    path = fill(store)
    Path(f"{path}.json").write_text(record)
    assert refusal(store).startswith(("Engine record ", "Cannot read engine record "))


def test_a_new_engine_takes_the_place_of_the_old(store: EngineStore) -> None:
    fill(store)
    path = fill(store, content=b"better")
    assert store.find(SOURCE, ORIN).path == path
    assert path.read_bytes() == b"better"


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is not a folder"), EngineStore(tmp_path / "file").lock():
        pass


def test_engines_live_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert EngineStore().folder == Path("/var/cache/mobilenet-edge/engines")


def hold(folder: Path, held: object, seconds: float) -> None:
    with EngineStore(folder).lock():
        held.set()  # type: ignore[attr-defined]
        time.sleep(seconds)


def test_two_processes_take_turns(store: EngineStore) -> None:
    context = multiprocessing.get_context("fork")
    held, told = context.Event(), list[str]()
    other = context.Process(target=hold, args=(store.folder, held, 0.3))
    other.start()
    assert held.wait(10)
    with store.lock(told.append):
        assert not other.is_alive() or other.exitcode is None
    other.join()
    assert told == ["another process is building an engine: waiting for it"]
