"""Machines as trees of files, and small bundles and profiles."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from edge.board.device import Device
from edge.board.health import Health
from edge.bundles.bundle import MANIFEST, Bundle, open_bundle
from edge.bundles.manifest import Accuracy, Artifact, BundledVariant, Manifest
from edge.bundles.members import FileEntry
from edge.bundles.variant import Variant
from edge.json_files import to_json
from edge.profiling.latency import Latency
from edge.profiling.measure import Machine
from edge.profiling.profile import LatencyProfile, ProfileRow
from edge.vision.preprocess import Preprocessing
from tests.boards import BOARDS, write_tree

MakeTree = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> MakeTree:
    """Writes files below a folder and gives the folder."""

    return lambda files: write_tree(tmp_path / "root", files)


@pytest.fixture
def board(tree: MakeTree) -> Callable[[str], Path]:
    """Gives the root of one of :data:`BOARDS` by its name."""
    return lambda name: tree(BOARDS[name].files)


LABELS: Final = ("red", "green", "blue", "round", "thin")
TOP1: Final[Mapping[str, float | None]] = {"1.00_224": 0.9, "0.50_160": 0.8, "0.25_128": 0.6}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_entry(file: str, content: bytes) -> FileEntry:
    return FileEntry(file=file, size_bytes=len(content), sha256=sha256(content))


def model_file(name: str, content: bytes, *, format: str = "tflite", top1: float | None = 0.8) -> Artifact:
    """The entry of one model file."""
    return Artifact(
        file=f"{name}_int8.{format}",
        size_bytes=len(content),
        sha256=sha256(content),
        format=format,
        precision="int8",
        accuracy=Accuracy(
            agreement=0.95, top1=top1, pictures=40, labelled=0 if top1 is None else 40, measured_on="held"
        ),
    )


def model_bytes(variant: Variant) -> bytes:
    """What stands for a model file: the bigger the α, the longer."""
    return variant.name.encode() * round(100 * variant.alpha)


def bundled(name: str, top1: float | None, classes: int = len(LABELS), *formats: str) -> BundledVariant:
    variant = Variant.parse(name)
    is_known = variant.is_mobilenet_v1
    files = (model_file(variant.name, model_bytes(variant), format=f, top1=top1) for f in formats or ("tflite",))
    return BundledVariant(
        variant=variant,
        mult_adds=variant.mult_adds(classes).total if is_known else 300_000_000,
        parameters=variant.parameters(classes).total if is_known else 3_000_000,
        artifacts=tuple(files),
    )


def labels_bytes(labels: Sequence[str] = LABELS) -> bytes:
    return ("\n".join(labels) + "\n").encode()


def make_manifest(top1: Mapping[str, float | None] = TOP1, **changes: Any) -> Manifest:
    """A manifest of variants by name, each with its accuracy."""
    variants = sorted((bundled(name, value) for name, value in top1.items()), key=lambda v: -v.mult_adds)
    manifest = Manifest(
        name="tiny",
        created="2025-01-01T00:00:00+00:00",
        classes=len(LABELS),
        labels=file_entry("labels.txt", labels_bytes()),
        preprocessing=Preprocessing(),
        variants=tuple(variants),
        source={"tool": "tests"},
    )
    return replace(manifest, **changes)


def make_bundle(top1: Mapping[str, float | None] = TOP1, **changes: Any) -> Bundle:
    """An opened bundle without files, for what only looks at the manifest."""
    return Bundle(root=Path("nowhere"), manifest=make_manifest(top1, **changes), labels=LABELS)


def write_bundle(folder: Path, manifest: Manifest | None = None, files: Mapping[str, bytes] | None = None) -> Path:
    """A bundle's folder; ``files`` replaces what stands in for models and labels."""
    manifest = manifest or make_manifest()
    folder.mkdir(parents=True)
    (folder / manifest.labels.file).write_bytes(labels_bytes())
    for entry in manifest.variants:
        for artifact in entry.artifacts:
            (folder / artifact.file).write_bytes(model_bytes(entry.variant))
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST).write_text(to_json(manifest.to_dict()), encoding="utf-8")
    return folder


def make_latency(p95_ms: float, **changes: Any) -> Latency:
    """A latency whose figures all follow from the one that budgets are held against."""
    shares = {"min": 0.8, "p5": 0.82, "median": 0.9, "p90": 0.95, "p95": 1.0, "p99": 1.1, "max": 1.5}
    shares |= {"avg": 0.92, "std": 0.05, "median_low": 0.89, "median_high": 0.91, "p95_low": 0.98, "p95_high": 1.03}
    figures: dict[str, Any] = {f"{name}_ms": round(share * p95_ms, 6) for name, share in shares.items()}
    return Latency(**figures | {"init_ms": 5.0, "warmup_first_ms": 2 * p95_ms, "num_runs": 200} | changes)


def make_row(name: str, p95_ms: float, **changes: Any) -> ProfileRow:
    """A measured row of the file that :func:`make_bundle` names."""
    variant, latency = Variant.parse(name), make_latency(p95_ms)
    assert latency.median_ms is not None
    row = ProfileRow(
        variant=variant,
        latency=latency,
        provenance="measured",
        num_threads=4,
        precision="int8",
        model_sha256=sha256(model_bytes(variant)),
        preprocess_ms=0.15 * latency.median_ms,
        infer_ms=0.8 * latency.median_ms,
        top_k_ms=0.05 * latency.median_ms,
        cpu_ms=2 * latency.median_ms,
        peak_rss_mb=60.5,
        includes_transfers=False,
        cuda_graph=False,
    )
    return replace(row, **changes)


def make_profile(p95_ms: Mapping[str, float], **changes: Any) -> LatencyProfile:
    """A profile of variants by name, each with its p95, of the files that :func:`make_bundle` names."""
    profile = LatencyProfile(
        bundle="tiny",
        created="2025-01-01T00:00:00+00:00",
        device=Device(board="Raspberry Pi 4 Model B Rev 1.4", cpu_count=4),
        backend="litert",
        backend_version="ai-edge-litert 2.3.0",
        threads=4,
        frame_size=(640, 480),
        before=Health(temperature_c=50.0),
        after=Health(temperature_c=51.5),
        valid=True,
        objections=(),
        rows=tuple(make_row(name, value) for name, value in p95_ms.items()),
    )
    return replace(profile, **changes)


def calm_machine(board: str | None = "Raspberry Pi 4 Model B Rev 1.4", **changes: Any) -> Machine:
    """A machine that does nothing but what it is asked."""
    machine = Machine(
        describe=lambda: Device(board=board, cpu_count=4),
        health=lambda: Health(load_percent=1.0, temperature_c=50.0),
        load_meter=lambda: lambda: 1.0,
        big_cpus=lambda: (),
        look=lambda: Health(temperature_c=50.0),
    )
    return replace(machine, **changes)


JSON_VALUES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -1, 0, float("nan"), float("inf"), 1e308, "", "..", "/etc/passwd", "\ud800", [], {}]),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)
"""What a damaged file may hold in any place."""


@st.composite
def damaged(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """``whole`` with one to three places replaced, removed or added to."""
    root = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        parent: Any = root
        while True:
            keys: list[Any] = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(parent[key], (dict, list)) and parent[key] and draw(st.integers(0, 3)):
                parent = parent[key]
                continue
            action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
            if action == "remove":
                del parent[key]
            elif action == "add" and isinstance(parent, dict):
                parent[draw(st.text(max_size=6))] = draw(JSON_VALUES)
            else:
                parent[key] = draw(JSON_VALUES)
            break
    return root


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """A whole bundle whose model files are no models: only the fake backend runs them."""
    return write_bundle(tmp_path / "tiny")


BundleOf = Callable[[Mapping[str, bytes]], Bundle]
TINY = Variant(0.25, 32)


@pytest.fixture
def bundle_of(tmp_path: Path) -> BundleOf:
    """Writes and opens a bundle of one variant with files by format."""

    def make(files: Mapping[str, bytes]) -> Bundle:
        artifacts = tuple(model_file(TINY.name, content, format=format) for format, content in files.items())
        labels = ("blue", "green", "red")
        manifest = make_manifest({TINY.name: 0.5}, classes=3, labels=file_entry("labels.txt", labels_bytes(labels)))
        entry = replace(manifest.variants[0], artifacts=artifacts)
        contents = {a.file: content for a, content in zip(artifacts, files.values(), strict=True)}
        folder = tmp_path / "bundle"
        return open_bundle(
            write_bundle(folder, replace(manifest, variants=(entry,)), contents | {"labels.txt": labels_bytes(labels)})
        )

    return make
