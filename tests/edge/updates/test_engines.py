"""Engines of equal machines: published, signed, tried in a child process, and refused where anything is off."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import Artifact, Golden
from edge.errors import BackendError, DownloadError, EdgeError, SelfTestError, SignatureError
from edge.inference.engine_cache import Engine, EngineStore, Platform, Source
from edge.inference.engine_trial import try_engine
from edge.updates.engines import publish_engine, sign_engines, take_engine
from edge.updates.signature import sign
from tests.edge.conftest import TINY, file_entry, labels_bytes, make_manifest, model_file, write_bundle
from tests.edge.fake_gpu import engine_bytes
from tests.edge.file_server import becomes, says, serving
from tests.edge.inference.test_backends import onnx_bytes
from tests.edge.updates.test_signature import make_keys

ORIN = Platform(tensorrt="10.3.0", cuda="12.6", compute_capability="8.7", l4t="36.4.3")
LABELS = ("blue", "green", "red")
PIXELS = (255, 204, 153)
"""The golden picture: 1.0, 0.6 and 0.2 to the network, whose engine answers each channel's mean."""
MACHINE = """
import tests.edge.fake_gpu as fake
from edge.inference.backends import tensorrt
from edge.inference.cuda import Cuda
from edge.inference.engine_cache import Platform

cudart = fake.FakeCudart(integrated=True)
tensorrt.runtime = lambda: fake.FakeTensorRT(cudart)
tensorrt.load_cuda = lambda: Cuda(cudart)
tensorrt.is_expected = lambda: True
tensorrt.current_platform = lambda trt, cuda: Platform(
    tensorrt="10.3.0", cuda="12.6", compute_capability="8.7", l4t="36.4.3"
)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """One variant as ONNX, with a golden picture."""
    content, picture = onnx_bytes(), cv2.imencode(".png", np.full((32, 32, 3), PIXELS, np.uint8))[1].tobytes()
    artifact = model_file(TINY.name, content, format="onnx")
    golden = Golden(
        pictures=(file_entry("0.png", picture),),
        inputs={32: ((0.2, 0.6, 1.0) * 4,)},
        answers={artifact.file: (((0, 0.2), (1, 0.6), (2, 1.0)),)},
    )
    labels = file_entry("labels.txt", labels_bytes(LABELS))
    manifest = make_manifest({TINY.name: 0.5}, classes=3, labels=labels, golden=golden)
    manifest = replace(manifest, variants=(replace(manifest.variants[0], artifacts=(artifact,)),))
    files = {artifact.file: content, "labels.txt": labels_bytes(LABELS), "0.png": picture}
    return open_bundle(write_bundle(tmp_path / "bundle", manifest, files))


@dataclass
class Desk:
    """The machine that takes, and the folder that the other one publishes in."""

    bundle: Bundle
    folder: Path
    store: EngineStore
    other: EngineStore

    @property
    def artifact(self) -> Artifact:
        return self.bundle.variants[0].artifacts[0]

    @property
    def source(self) -> Source:
        return Source(path=self.bundle.path(self.artifact.file), sha256=self.artifact.sha256)

    def build(self, content: bytes | None = None, **build: Any) -> Engine:
        """An engine of the other machine's store."""
        with self.other.lock():
            new = self.other.folder / "new"
            new.write_bytes(content or engine_bytes())
            return self.other.add(self.source, ORIN, new, {"seconds": 1.5, "dla_core": None} | build)

    def take(self, place: Path | str | None = None, **wanted: Any) -> Engine | None:
        options: dict[str, Any] = {"store": self.store, "trial": lambda *given: True}
        return take_engine(str(place or self.folder), self.bundle, TINY, self.artifact, ORIN, **options | wanted)

    def refused(self, error: type[EdgeError], **wanted: Any) -> str:
        with pytest.raises(error) as refused:
            self.take(**wanted)
        assert "\n" not in str(refused.value)
        assert {path.name for path in self.store.folder.glob("*")} <= {".lock"}, "nothing is left"
        return str(refused.value)


@pytest.fixture
def desk(bundle: Bundle, tmp_path: Path) -> Desk:
    return Desk(bundle, tmp_path / "published", EngineStore(tmp_path / "mine"), EngineStore(tmp_path / "theirs"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives child processes a stand-in for GPU and TensorRT, and what else a test puts there."""

    def make(more: str = "") -> None:
        folder = tmp_path / "machine"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(MACHINE + more)
        root = str(Path(__file__).resolve().parents[3])
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), root]))

    return make


class TestTaking:
    def test_it_gives_the_golden_answers_and_is_found_from_then_on(
        self, desk: Desk, machine: Callable[[str], None]
    ) -> None:
        machine("")
        published = publish_engine(desk.build(), desk.folder)
        taken = desk.take(trial=try_engine)
        assert taken is not None
        found = desk.store.find(desk.source, ORIN)
        assert (found.path, found.path.read_bytes()) == (taken.path, published.read_bytes())
        assert (found.build["seconds"], found.build["taken_from"]) == (1.5, str(desk.folder))
        assert {p.name for p in desk.store.folder.iterdir()} == {".lock", found.path.name, f"{found.path.name}.json"}

    def test_what_is_signed_by_a_trusted_key_is_taken(self, desk: Desk, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        publish_engine(desk.build(), desk.folder, key=private)
        assert desk.take(key=public) is not None

    def test_it_is_known_to_be_tried_where_no_program_looks_for_it(self, desk: Desk) -> None:
        publish_engine(desk.build(), desk.folder)
        seen: list[Path] = []

        def look(bundle: Bundle, variant: object, precision: str, cache: Path) -> bool:
            seen.extend(cache.glob("mobilenet-edge/engines/*.engine"))
            assert not list(desk.store.folder.glob("*.engine"))
            return True

        assert desk.take(trial=look) is not None
        assert [path.name for path in seen] == [desk.store.path(desk.source, ORIN).name]

    def test_a_folder_without_one_for_this_machine_has_none(self, desk: Desk) -> None:
        publish_engine(desk.build(), desk.folder)
        (engine,) = desk.folder.glob("*.engine")
        for path in desk.folder.glob("*"):
            path.rename(path.with_name(path.name.replace("36.4.3", "36.4.4")))
        assert engine.name not in {path.name for path in desk.folder.iterdir()}
        assert desk.take() is None
        assert list(desk.store.folder.iterdir()) == []

    def test_a_server_without_one_has_none(self, desk: Desk, tmp_path: Path) -> None:
        with serving(b"", says(404)) as server:
            assert desk.take(server.url, key=make_keys(tmp_path)[1]) is None

    def test_from_an_address_all_three_files_are_fetched(self, desk: Desk, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        published = publish_engine(desk.build(), desk.folder, key=private)
        record, signature = (published.with_name(published.name + end).read_bytes() for end in (".json", ".sig"))
        with serving(record, becomes(record), becomes(signature), becomes(published.read_bytes())) as server:
            taken = desk.take(server.url, key=public)
        assert taken is not None and taken.build["taken_from"] == server.url


class TestRefusing:
    def test_where_a_key_is_configured_it_must_be_signed(self, desk: Desk, tmp_path: Path) -> None:
        public = make_keys(tmp_path)[1]
        published = publish_engine(desk.build(), desk.folder)
        assert desk.refused(SignatureError, key=public) == (
            f"The engine {published.name} in {desk.folder} is not signed, and the key {public} requires a signature: "
            "edge-convert engine BUNDLE --publish FOLDER --sign KEY makes one."
        )

    def test_another_keys_signature_is_none(self, desk: Desk, tmp_path: Path) -> None:
        publish_engine(desk.build(), desk.folder, key=make_keys(tmp_path, "theirs")[0])
        reason = desk.refused(SignatureError, key=make_keys(tmp_path)[1])
        assert "'s signature is not by a key in " in reason

    def test_a_bundles_signature_does_not_pass_for_an_engines(self, desk: Desk, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        published = publish_engine(desk.build(), desk.folder)
        record = published.with_name(f"{published.name}.json").read_bytes()
        published.with_name(f"{published.name}.sig").write_bytes(sign(record, private))
        assert "'s signature is not by a key in " in desk.refused(SignatureError, key=public)

    def test_publishing_again_without_a_key_leaves_no_old_signature(self, desk: Desk, tmp_path: Path) -> None:
        published = publish_engine(desk.build(), desk.folder, key=make_keys(tmp_path)[0])
        publish_engine(desk.build(), desk.folder)
        assert sorted(path.name for path in desk.folder.iterdir()) == [published.name, f"{published.name}.json"]

    def test_from_an_address_none_is_taken_without_a_key(self, desk: Desk) -> None:
        reason = desk.refused(SignatureError, place="https://example.com/engines?token=x")
        assert reason.startswith("An engine is code, and https://example.com/engines?*** is an address: --key names ")

    def test_an_engine_that_was_changed_is_not_its_records(self, desk: Desk, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        published = publish_engine(desk.build(), desk.folder, key=private)
        content = published.read_bytes()
        for changed in (content[:-1], content[:-1] + b" "):
            published.write_bytes(changed)
            reason = desk.refused(BackendError, key=public)
            assert reason == f"Engine {published} is not what its record says: publish it again."
        published.unlink()
        assert desk.refused(BackendError).endswith("no such file or directory.")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"schema_version": 2}, "cannot be used: schema_version is 2: expected 1"),
            ({"build": {"dla_core": "all"}}, "build.dla_core is 'all': expected a small number"),
            ({"engine": {"file": "../x", "size_bytes": 5, "sha256": "0"}}, "is of another engine: expected one of "),
            ({"engine": {"file": "x", "size_bytes": 10**10, "sha256": "0"}}, "expected 1 to 2000000000"),
            ({"source": {"file": "x.onnx", "sha256": "0" * 64}}, "is of another engine"),
            ({"platform": {"tensorrt": "1", "cuda": "1", "compute_capability": "1", "l4t": None}}, "of another engine"),
            ({"source": {}}, "lacks 'source.file': publish the engine again."),
            ({"more": 1}, "unknown key 'more'"),
        ],
    )
    def test_a_record_that_is_not_this_engines(self, desk: Desk, change: dict[str, Any], reason: str) -> None:
        published = publish_engine(desk.build(), desk.folder)
        record = published.with_name(f"{published.name}.json")
        record.write_text(json.dumps(json.loads(record.read_text()) | change))
        assert reason in desk.refused(BackendError)

    @pytest.mark.parametrize("content", [b"", b"{", b"[" * 90_000, b" " * 200_000])
    def test_a_record_that_is_none(self, desk: Desk, content: bytes) -> None:
        published = publish_engine(desk.build(), desk.folder)
        published.with_name(f"{published.name}.json").write_bytes(content)
        assert str(desk.folder) in desk.refused(BackendError)

    def test_a_server_that_sends_another_file(self, desk: Desk, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        published = publish_engine(desk.build(), desk.folder, key=private)
        record, signature = (published.with_name(published.name + end).read_bytes() for end in (".json", ".sig"))
        other = bytes(len(published.read_bytes()))
        with serving(record, becomes(record), becomes(signature), becomes(other), becomes(other)) as server:
            assert "is not the file expected" in desk.refused(DownloadError, place=server.url, key=public)

    def test_a_missing_folder(self, desk: Desk) -> None:
        reason = desk.refused(BackendError, place=desk.folder / "no")
        assert reason == f"There is no folder {desk.folder / 'no'}: expected one that --publish has written."

    def test_one_that_was_taken_is_not_published(self, desk: Desk, tmp_path: Path) -> None:
        publish_engine(desk.build(), desk.folder)
        taken = desk.take()
        assert taken is not None
        with pytest.raises(BackendError, match=r"was taken from .*: publish that one"):
            publish_engine(taken, tmp_path / "again")


class TestSigning:
    def test_what_a_board_published_is_signed_where_the_key_is(self, desk: Desk, tmp_path: Path) -> None:
        private, public = make_keys(tmp_path)
        published = publish_engine(desk.build(), desk.folder)
        assert sign_engines(desk.folder, private) == (published,)
        assert desk.take(key=public) is not None

    def test_nothing_is_signed_that_is_not_what_its_record_says(self, desk: Desk, tmp_path: Path) -> None:
        published = publish_engine(desk.build(), desk.folder)
        published.write_bytes(b"another")
        with pytest.raises(BackendError, match="is not what its record says: publish it again"):
            sign_engines(desk.folder, make_keys(tmp_path)[0])
        published.with_name(f"{published.name}.json").unlink()
        with pytest.raises(BackendError, match="is not JSON"):
            sign_engines(desk.folder, make_keys(tmp_path)[0])
        assert [path.name for path in desk.folder.iterdir()] == [published.name]

    def test_a_folder_without_engines_has_nothing_to_sign(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match="There is no engine in "):
            sign_engines(tmp_path, make_keys(tmp_path)[0])


class TestTrial:
    def test_wrong_answers_are_refused(self, desk: Desk, machine: Callable[[str], None]) -> None:
        machine("fake._Context._mean = lambda self: None\n")
        publish_engine(desk.build(), desk.folder)
        reason = desk.refused(SelfTestError, trial=try_engine)
        assert "gives a wrong answer: for 0.png of bundle tiny a probability is off by 1.00" in reason

    def test_one_that_does_not_load(self, desk: Desk, machine: Callable[[str], None]) -> None:
        machine("")
        publish_engine(desk.build(engine_bytes(version="9.9")), desk.folder)
        assert "cannot load the engine (Version tag does not match)" in desk.refused(BackendError, trial=try_engine)

    def test_one_that_ends_the_process_ends_the_childs(self, desk: Desk, machine: Callable[[str], None]) -> None:
        machine("import os\nfake._Runtime.deserialize_cuda_engine = lambda self, content: os.abort()\n")
        publish_engine(desk.build(), desk.folder)
        reason = desk.refused(BackendError, trial=try_engine)
        assert reason == (
            f"The engine of {TINY.name} (int8) ended the process that tried it (signal 6): it is not used."
        )

    def test_one_that_hangs_is_stopped(self, desk: Desk, machine: Callable[[str], None]) -> None:
        machine("import time\nfake._Runtime.deserialize_cuda_engine = lambda self, content: time.sleep(600)\n")
        publish_engine(desk.build(), desk.folder)

        def trial(*given: Any) -> bool:
            return try_engine(*given, longest_s=0.2)

        assert "did not answer within 0.2 s" in desk.refused(BackendError, trial=trial)

    def test_without_tensorrt_it_says_so(self, desk: Desk) -> None:
        publish_engine(desk.build(), desk.folder)
        assert "tensorrt: TensorRT cannot be imported" in desk.refused(BackendError, trial=try_engine)
