from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import quantization
from benchmarks.calibration import divide
from benchmarks.environments import TOOLS
from benchmarks.quantization import Row, case_folder, file_in, keep, read_rows, time_files
from benchmarks.quantization_table import put_table, write_tables

MEASURED = Row(
    tool="ours",
    resolution=224,
    split=0,
    agreement=0.95,
    confident_agreement=1.0,
    divergence=0.005,
    top1=0.65,
    float_top1=0.64,
    size_bytes=4_560_000,
    cpu_seconds=20.4,
    peak_mb=1000,
    installed_mb=1300,
    latency_ratio=1.0,
)
DOCUMENT = """# Title
<!-- tools: this table is written by a program -->
old
<!-- end -->
between
<!-- resolutions: this table is written by a program -->
<!-- end -->
after
"""


def test_rows_are_kept_until_the_same_tool_is_measured_again(tmp_path: Path) -> None:
    other = replace(MEASURED, tool="tensorflow")
    keep(tmp_path / "rows.json", [other, MEASURED])
    keep(tmp_path / "rows.json", [replace(MEASURED, agreement=0.96)])
    assert read_rows(tmp_path / "rows.json") == [replace(MEASURED, agreement=0.96), other]


def test_files_are_timed_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "load", lambda path: SimpleNamespace(infer=path))
    monkeypatch.setattr(quantization, "interleaved_ratio", lambda first, second, rounds: len(f"{first} {second}") / 10)
    other, missing = replace(MEASURED, tool="onnxruntime"), replace(MEASURED, tool="litert")
    folder = case_folder(tmp_path, 224, 0)
    folder.mkdir(parents=True)
    paths = [file_in(folder, TOOLS[name]) for name in ("onnxruntime", "ours")]
    for path in paths:
        path.touch()
    (timed,) = time_files([other, missing, replace(other, split=1)], tmp_path, 1)
    assert timed == replace(other, latency_ratio=round(len(f"{paths[0]} {paths[1]}") / 10, 3))


def test_tables_hold_means_and_spans_and_say_why_a_tool_wrote_no_file(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(DOCUMENT)
    rows = [
        MEASURED,
        replace(MEASURED, split=1, agreement=0.97, divergence=0.007),
        replace(MEASURED, resolution=128, agreement=0.9, divergence=None),
        Row(tool="onnx2tf", resolution=224, split=0, error="cannot be installed"),
    ]
    write_tables([asdict(row) for row in rows], document)
    told = document.read_text()
    ours = TOOLS["ours"].title
    assert f"| {ours} | 96.0 % (95.0 to 97.0) | 100.0 % (100.0 to 100.0) | +1.0 | 0.0060 | 4.56 MB | 20 s |" in told
    assert f"| {TOOLS['onnx2tf'].title} | no file: cannot be installed |" in told
    assert f"| {ours} | 96.0 % (95.0 to 97.0); 100.0 %; +1.0; 0.0060 | 90.0 %; 100.0 %; +1.0 |" in told
    assert "old" not in told and "between" in told and told.endswith("after\n")


def test_a_document_without_marks_is_not_touched(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("# Title\n")
    with pytest.raises(ValueError, match="has no mark"):
        put_table(document, "tools", "table")
    assert document.read_text() == "# Title\n"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_object_is_on_both_sides(seed: int) -> None:
    photos = [Path(f"photos/object{n}_{side}.jpg") for n in range(77) for side in range(3)]
    pool, others = divide(photos, seed, 128)
    assert len(pool) >= 128 and sorted(pool + others) == sorted(photos)
    assert not {p.stem.partition("_")[0] for p in pool} & {p.stem.partition("_")[0] for p in others}
