"""Two ``.tflite`` files of one network in the same interpreter: how much longer the first takes than the second.

    python benchmarks/written_file.py time FIRST SECOND    time them in turn on this machine, one thread
    python benchmarks/written_file.py arm FIRST SECOND --icount ICOUNT_SH --root ARM64_ROOT
                                                           count instructions of an emulated Pi 4 and Pi 5 core
    python benchmarks/written_file.py thin CHECKPOINT OUT        cut a Keras checkpoint of α = 1 down to α = 0.25

``benchmarks/quantization.py convert --tools ours tensorflow`` writes this package's file and that of TensorFlow's
``TFLiteConverter`` of the same checkpoint: ``DIR/cases/224-0/{ours,tensorflow}.tflite``. A thinned checkpoint answers
nonsense; the time it takes does not depend on that.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def interpreters(files: Sequence[Path]) -> list[Any]:
    """One for each file, on one thread."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    made = [Interpreter(model_path=str(file), num_threads=1) for file in files]
    for interpreter in made:
        interpreter.allocate_tensors()
    return made


def time_both(first: Path, second: Path, rounds: int) -> float:
    """How many times as long the first file takes."""
    from benchmarks.models import interleaved_ratio

    one, other = interpreters((first, second))
    return interleaved_ratio(one.invoke, other.invoke, rounds)


def count(files: Sequence[Path]) -> None:
    """Run each file once between marks of the instruction counter, warm; the labels go to stderr."""
    from benchmarks.instructions import count_calls

    named = zip(("first", "second"), interpreters(files), strict=True)
    print(json.dumps(count_calls({name: interpreter.invoke for name, interpreter in named})), file=sys.stderr)


def arm(files: Sequence[Path], icount: Path, root: Path) -> None:
    """Print both files' millions of instructions and their ratio, for both cores."""
    from benchmarks.instructions import millions

    packages = next((root / "opt/v/lib").glob("python3.*/site-packages"))
    paths = [str(file.resolve()) for file in files]
    for board in ("pi4", "pi5"):
        counts = millions(icount, root, packages, board, Path(__file__), "count", *paths)
        first, second = counts["first"], counts["second"]
        print(f"{board}  {first:.3f} M and {second:.3f} M, ratio {first / second:.5f}")


def thin(source: Path, out: Path) -> None:
    """Keep the first quarter of each layer's channels, but every class."""
    import h5py

    with h5py.File(source) as whole, h5py.File(out, "w") as thinned:
        thinned.attrs.update(whole.attrs)

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                thinned.require_group(name).attrs.update(item.attrs)
                return
            keeps = [side <= 3 or (name.startswith("conv_preds") and side == 1000) for side in item.shape]
            thinned[name] = item[tuple(slice(s if k else s // 4) for s, k in zip(item.shape, keeps, strict=True))]

        whole.visititems(copy)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("time", "count", "arm", "thin"))
    parser.add_argument("files", nargs=2, type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--icount", type=Path, help="the instruction counter's script")
    parser.add_argument("--root", type=Path, help="an arm64 root with a venv at /opt/v")
    options = parser.parse_args()
    if options.command == "time":
        ratio = time_both(options.files[0], options.files[1], options.rounds)
        print(f"ratio {ratio:.3f} ({options.rounds} rounds of four)")
    elif options.command == "count":
        count(options.files)
    elif options.command == "thin":
        thin(*options.files)
    elif options.icount is None or options.root is None:
        parser.error("arm needs --icount and --root")
    else:
        arm(options.files, options.icount, options.root)


if __name__ == "__main__":
    main()
