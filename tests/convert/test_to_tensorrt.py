"""Engines built for real, on the CPU, by TensorRT-RTX, which has TensorRT's builder; running one needs a GPU."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper

from convert.data.calibration_data import CalibrationData, load_calibration_data
from convert.errors import ConversionError
from convert.export.onnx import to_onnx, to_qdq
from convert.export.tensorrt import BuildOptions, Built, build, make_engine, subprocess_builder
from convert.export.tensorrt.progress import Phases
from convert.model import ModelConfig
from convert.quantization import Form, fold, quantize, symmetrize
from edge.bundles.variant import RESOLUTIONS, Variant
from edge.files import sha256_of
from edge.inference.backends.tensorrt import new_log
from edge.inference.engine_cache import EngineStore, Platform, Source
from tests.convert.conftest import lively

trt: Any = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (x86_64: dev extra)")

pytestmark = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX")  # it keeps no timings

PLATFORM = Platform(tensorrt=f"rtx{trt.__version__}", cuda="13.0", compute_capability="8.6", l4t=None)
PRECISIONS = ("fp32", "fp16", "int8", "int8_full")
MakeOnnx = Callable[[Variant, str], Path]


@pytest.fixture(scope="module")
def make_onnx(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeOnnx:
    """Writes any form of any variant, of random weights and eleven classes as the demo bundle has."""
    folder = tmp_path_factory.mktemp("onnx")
    data: CalibrationData = load_calibration_data(pictures, RESOLUTIONS, classes=11)

    @cache
    def integers(variant: Variant) -> Any:
        network = fold(lively(ModelConfig(alpha=variant.alpha, classes=11)))
        pixels = data.calibration.pixels[variant.resolution][:2]
        return network, pixels, quantize(network, pixels, data.preprocessing)

    @cache
    def make(variant: Variant, precision: str) -> Path:
        network, pixels, quantized = integers(variant)
        path = folder / f"{variant.name}_{precision}.onnx"
        if precision in ("fp32", "fp16"):
            path.write_bytes(to_onnx(network, variant, "fp16" if precision == "fp16" else "fp32"))
        else:
            form: Form = "full" if precision == "int8_full" else "mixed"
            path.write_bytes(to_qdq(symmetrize(network, quantized, pixels, form)))
        return path

    return make


SMALL = Variant(0.25, 128)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


def source(path: Path) -> Source:
    return Source(path=path, sha256=sha256_of(path))


def build_one(path: Path, variant: Variant, precision: str, capability: str = "8.6", **wanted: Any) -> Built:
    return build(trt, path, resolution=variant.resolution, precision=precision, compute_capability=capability, **wanted)


def weights_mb(path: Path, variant: Variant, precision: str) -> float:
    """What the builder's own log says the weights take on the GPU."""
    lines: list[str] = []
    build_one(path, variant, precision, log=new_log(trt, lines.append))
    found = [match[1] for line in lines if (match := re.search(r"Total Weights Memory: (\d+) bytes", line))]
    assert len(found) == 1
    return int(found[0]) / 1e6


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_every_form_of_every_demo_variant_becomes_an_engine(make_onnx: MakeOnnx, alpha: float) -> None:
    for resolution in RESOLUTIONS:
        assert_every_form_becomes_an_engine(make_onnx, Variant(alpha, resolution), "8.6")


def test_every_form_becomes_an_engine_of_another_gpu(make_onnx: MakeOnnx) -> None:
    assert_every_form_becomes_an_engine(make_onnx, Variant(0.5, 160), "8.9")


def assert_every_form_becomes_an_engine(make_onnx: MakeOnnx, variant: Variant, capability: str) -> None:
    for precision in PRECISIONS:
        built = build_one(make_onnx(variant, precision), variant, precision, capability)
        assert len(built.content) > 100_000 and built.layers > 50, (variant.name, precision)


def test_pointwise_weights_stay_int8_in_the_engine(make_onnx: MakeOnnx) -> None:
    """Weights on the GPU: two bytes each in fp16, one in int8 for all but the few of stem and depthwise layers."""
    variant = Variant(1.0, 128)
    parameters = variant.parameters(11)
    fp32, fp16, int8 = (weights_mb(make_onnx(variant, p), variant, p) for p in ("fp32", "fp16", "int8"))
    assert fp32 == pytest.approx(4 * parameters.total / 1e6, rel=0.03)
    assert fp16 == pytest.approx(2 * parameters.total / 1e6, rel=0.04)
    in_int8 = parameters.pointwise + parameters.classifier
    assert int8 == pytest.approx((in_int8 + 2 * (parameters.total - in_int8)) / 1e6, rel=0.05)


class TestBadInput:
    def broken(self, path: Path, **wanted: Any) -> str:
        with pytest.raises(ConversionError) as refused:
            build_one(path, SMALL, wanted.pop("precision", "fp32"), **wanted)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    def test_a_file_cut_short(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        path = tmp_path / "cut.onnx"
        path.write_bytes(make_onnx(SMALL, "fp32").read_bytes()[:100_000])
        told = self.broken(path)
        assert told.startswith(f"TensorRT {trt.__version__} cannot read {path}: ")
        assert told.endswith("Expected a whole ONNX file.")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert self.broken(tmp_path / "none.onnx") == f"Cannot read {tmp_path / 'none.onnx'}: no such file."

    def test_external_data_that_is_missing(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        model = onnx.load(str(make_onnx(SMALL, "fp32")))
        external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
        onnx.save(model, str(tmp_path / "split.onnx"))
        build_one(tmp_path / "split.onnx", SMALL, "fp32")
        (tmp_path / "weights.bin").unlink()
        assert "weights.bin" in self.broken(tmp_path / "split.onnx")

    def test_another_input(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        other = make_onnx(Variant(0.25, 160), "fp32")
        assert self.broken(other) == (
            "mobilenet_v1_0.25_160_fp32.onnx takes (1, 3, 160, 160): expected one picture (1, 3, 128, 128). "
            "Write the bundle again."
        )
        info = helper.make_tensor_value_info
        inputs = [info(name, TensorProto.FLOAT, [1, 3, 128, 128]) for name in ("a", "b")]
        outputs = [info("sum", TensorProto.FLOAT, [1, 3, 128, 128])]
        graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["sum"])], "two", inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        onnx.save(model, str(tmp_path / "two.onnx"))
        assert "takes (1, 3, 128, 128) and (1, 3, 128, 128): expected one picture" in self.broken(tmp_path / "two.onnx")

    @pytest.mark.parametrize("capability", ["5.3", "6.2"])
    def test_int8_on_a_gpu_that_has_none(self, make_onnx: MakeOnnx, capability: str) -> None:
        told = self.broken(make_onnx(SMALL, "int8"), precision="int8", capability=capability)
        assert told.startswith(f"This GPU, of compute capability {capability}, has no int8 arithmetic")
        assert told.endswith("Build the fp16 file instead.")

    def test_a_gpu_that_tensorrt_rtx_does_not_know(self, make_onnx: MakeOnnx) -> None:
        """An H100, of capability 9.0, on which TensorRT-RTX does not run either."""
        told = self.broken(make_onnx(SMALL, "fp32"), capability="9.0")
        assert told == (
            f"TensorRT-RTX {trt.__version__} does not know GPUs of compute capability 9.0: build with TensorRT."
        )

    def test_int8_where_tensorrt_itself_says_no(self) -> None:
        from convert.export.tensorrt.build import _has_int8

        assert not _has_int8(SimpleNamespace(platform_has_fast_int8=False), "8.7")
        assert _has_int8(SimpleNamespace(platform_has_fast_int8=True), "5.3")
        assert _has_int8(SimpleNamespace(), "11.0")

    def test_a_dla_that_is_not_there(self, make_onnx: MakeOnnx) -> None:
        told = self.broken(make_onnx(SMALL, "fp16"), precision="fp16", options=BuildOptions(dla_core=0))
        assert told.startswith("There is no DLA core 0, this machine has 0; ")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"optimization_level": 6}, "invalid optimization level 6: expected 0 to 5."),
            ({"workspace_mb": 0}, "invalid workspace of 0 MB: expected 1 or more."),
        ],
    )
    def test_options_that_cannot_be(self, options: dict[str, int], message: str) -> None:
        with pytest.raises(ConversionError) as refused:
            BuildOptions(**options)
        assert str(refused.value) == message


BUILD = """
import sys
from pathlib import Path
from convert.export.tensorrt import make_engine
from edge.bundles.variant import Variant
from edge.inference.engine_cache import EngineStore, Platform, Source

path, folder, sha256, tensorrt = sys.argv[1:]
platform = Platform(tensorrt=tensorrt, cuda="13.0", compute_capability="8.6", l4t=None)
source, store = Source(path=Path(path), sha256=sha256), EngineStore(Path(folder))
made = make_engine(source, Variant(0.25, 128), "fp16", platform, store=store, module="tensorrt_rtx")
print(made.is_new, made.engine.path.name)
"""


class TestMaking:
    def make(self, path: Path, store: EngineStore, **wanted: Any) -> Any:
        precision = path.stem.removeprefix(f"{SMALL.name}_")
        wanted = {"module": "tensorrt_rtx"} | wanted
        return make_engine(source(path), SMALL, precision, PLATFORM, store=store, **wanted)

    def test_an_engine_is_built_once_and_then_found(self, make_onnx: MakeOnnx, store: EngineStore) -> None:
        path, seen = make_onnx(SMALL, "int8"), list[tuple[str, float]]()
        made = self.make(path, store, progress=lambda stage, share: seen.append((stage, share)))
        assert made.is_new and made.engine.path == store.path(source(path), PLATFORM)
        shares = [share for _, share in seen]
        assert shares == sorted(shares) and shares[0] >= 0 and 0.5 < shares[-1] <= 1
        assert {key: made.engine.build[key] for key in ("precision", "workspace_mb", "dla_core")} == {
            "precision": "int8",
            "workspace_mb": 256,
            "dla_core": None,
        }
        again = self.make(path, store, module="no_such_module")
        assert not again.is_new and again.engine == made.engine
        assert store.timing_cache(PLATFORM).stat().st_size > 0
        assert self.make(path, store, force=True).is_new
        assert sorted(p.suffix for p in store.folder.iterdir() if p.name != ".lock") == [".cache", ".engine", ".json"]

    def test_a_damaged_engine_is_built_again_aloud(self, make_onnx: MakeOnnx, store: EngineStore) -> None:
        path, told = make_onnx(SMALL, "fp16"), list[str]()
        made = self.make(path, store)
        made.engine.path.write_bytes(b"half")
        assert self.make(path, store, announce=told.append).is_new
        assert told[0] == f"Engine {made.engine.path} is damaged or cut short (4 bytes): building it again"
        assert told[1].startswith(f"building {SMALL.name}_fp16 for {PLATFORM}; ")

    def test_two_processes_at_once_build_one_engine(self, make_onnx: MakeOnnx, store: EngineStore) -> None:
        wanted = source(make_onnx(SMALL, "fp16"))
        command = [sys.executable, "-c", BUILD, str(wanted.path), str(store.folder), wanted.sha256, PLATFORM.tensorrt]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        results = [process.communicate(timeout=120)[0].split() for process in both]
        assert sorted(is_new for is_new, _ in results) == ["False", "True"]
        assert len({name for _, name in results}) == 1

    def test_too_little_memory_is_refused_at_once(self, make_onnx: MakeOnnx, store: EngineStore) -> None:
        with pytest.raises(ConversionError, match=r"Building needs about 969 MB of memory, and 500 MB are free"):
            self.make(make_onnx(SMALL, "fp16"), store, free_mb=lambda: 500.0)
        assert not list(store.folder.glob("*.engine"))

    def test_a_builder_that_fails_leaves_the_old_engine(self, make_onnx: MakeOnnx, store: EngineStore) -> None:
        path = make_onnx(SMALL, "fp16")
        made = self.make(path, store)
        with pytest.raises(ConversionError, match="No module named 'no_such_module'"):
            self.make(path, store, module="no_such_module", force=True)
        assert store.find(source(path), PLATFORM).path == made.engine.path
        assert not list(store.folder.glob(".building*"))

    @pytest.mark.parametrize(
        ("ending", "message"),
        [
            ("os.kill(os.getpid(), 9)", "The builder was killed: most likely memory ran out. Close other programs"),
            ("os.kill(os.getpid(), 11)", r"The builder ended without an engine \(SIGSEGV\): it said nothing\."),
            ("sys.exit('no luck')", r"The builder ended without an engine \(exit code 1\): no luck\."),
        ],
    )
    def test_a_builder_that_dies_is_told(
        self,
        make_onnx: MakeOnnx,
        store: EngineStore,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        ending: str,
        message: str,
    ) -> None:
        (tmp_path / "dying.py").write_text(f"import os, sys\n{ending}\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConversionError, match=message):
            self.make(make_onnx(SMALL, "fp16"), store, module="dying")
        assert [p.name for p in store.folder.iterdir()] == [".lock"]

    def test_ctrl_c_ends_the_builder_and_leaves_nothing(
        self, make_onnx: MakeOnnx, store: EngineStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "endless.py").write_text(
            f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)

        def interrupt() -> None:
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            self.make(make_onnx(SMALL, "fp16"), store, module="endless")
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
        assert [p.name for p in store.folder.iterdir()] == [".lock"]

    def test_the_builder_ends_with_the_one_who_asked(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        (tmp_path / "endless.py").write_text("import time\ntime.sleep(60)\n")
        path = make_onnx(SMALL, "fp16")
        request = subprocess_builder._request(path, SMALL, "fp16", PLATFORM, BuildOptions(), "endless")
        request |= {"out": str(tmp_path / "out"), "timing_cache": str(tmp_path / "timings")}
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-m", "convert.export.tensorrt.worker"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, text=True) as worker:
            assert worker.stdin is not None
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.close()
            assert worker.wait(20) == 1


def test_phases_within_phases_become_one_share_that_never_falls() -> None:
    seen: list[float] = []
    phases = Phases(lambda stage, share: seen.append(round(share, 3)))
    phases.start("outer", 2)
    phases.start("inner", 4)
    phases.step("inner", 1)
    phases.finish("inner")
    phases.step("outer", 0)
    phases.step("unknown", 3)
    phases.finish("outer")
    phases.start("another", 10)
    phases.step("another", 9)
    assert seen == [0.0, 0.0, 0.25, 0.5, 0.5, 1.0]


def test_building_needs_neither_torch_nor_onnx() -> None:
    blocked = "import sys\nfor name in ('torch', 'onnx', 'h5py'): sys.modules[name] = None\n"
    script = f"{blocked}import convert.export.tensorrt.worker, convert.cli.app, convert.cli.engine"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
