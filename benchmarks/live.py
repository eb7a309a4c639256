"""Frames a second and capture-to-answer latency of the live loop, beside the loops that people use today.

    python benchmarks/live.py DIR --checkpoint CHECKPOINT --calibration PHOTOS [--mediapipe-python PYTHON]

One clip (640x480, the demo's) and one model file: full-integer int8 with uint8 input and output, as MediaPipe wants it;
the same network in float as ONNX for OpenCV. Contenders run one after the other in processes of their own, in rounds:

* ours: ``camera-demo CLIP json:FILE``, with everything it does
* naive: ``VideoCapture`` and an interpreter, as tutorials write it
* mediapipe: MediaPipe Tasks' ``ImageClassifier`` in a plain OpenCV loop (needs ``pip install mediapipe``, best in an
  environment of its own: ``--mediapipe-python``)
* opencv: OpenCV's DNN module on the float ONNX file
* invoke: the bare model over and over, without any picture: what no loop can beat

Latency is from the frame in memory to its answer, five best classes by name.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
CLIP: Final = ROOT / "camera_demo/clips/digits.mp4"
CONTENDERS: Final = ("ours", "naive", "mediapipe", "opencv", "invoke")
_TOP_K: Final = 5
_WARM_UP: Final = 20
"""Frames at the beginning that do not count."""


def main() -> None:
    """Prepare the files where they are missing, run the rounds, print the table."""
    options = _parser().parse_args()
    if options.child:
        print(json.dumps(_CHILDREN[options.child](options.folder, options.threads)))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    if not (options.folder / "bundle").is_dir():
        _prepare(options)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for number in range(options.rounds):
        for name in CONTENDERS[number % 2 :: 1] + CONTENDERS[: number % 2]:
            if name != "mediapipe" or options.mediapipe_python:
                runs[name].append(_run(name, options))
    _report(runs, options)


def _run(name: str, options: argparse.Namespace) -> dict[str, float]:
    python = options.mediapipe_python if name == "mediapipe" else sys.executable
    command = [python, __file__, str(options.folder), "--child", name, "--threads", str(options.threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _report(runs: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> None:
    def median(name: str, figure: str) -> float:
        return statistics.median(run[figure] for run in runs[name])

    ceiling = median("invoke", "fps")
    print(f"{options.rounds} rounds, {options.threads} threads, clip {CLIP.name}; medians over the rounds")
    print(f"{'':12} {'fps':>7} {'of 1/invoke':>12} {'median ms':>10} {'p95 ms':>8}   ours is faster by")
    for name in (name for name in CONTENDERS if runs[name]):
        ratio = statistics.median(a["fps"] / b["fps"] for a, b in zip(runs["ours"], runs[name], strict=True))
        fps, share = median(name, "fps"), median(name, "fps") / ceiling
        line = f"{name:12} {fps:7.1f} {share:12.1%} {median(name, 'median_ms'):10.2f} {median(name, 'p95_ms'):8.2f}"
        print(f"{line}   {ratio:.2f} times")


def _figures(frames_ms: list[float], seconds: float, frames: int) -> dict[str, float]:
    ordered = sorted(frames_ms)
    p95_ms = ordered[int(0.95 * (len(ordered) - 1))]
    return {"fps": frames / seconds, "median_ms": statistics.median(ordered), "p95_ms": p95_ms}


def _loop(classify: Callable[[Any], object]) -> dict[str, float]:
    """The plain loop: read a frame, classify it, read the next."""
    import cv2

    capture, taken_ms, start_s, frames = cv2.VideoCapture(str(CLIP)), list[float](), 0.0, 0
    while True:
        is_read, frame = capture.read()
        if not is_read:
            break
        captured_s = time.perf_counter()
        classify(frame)
        now_s = time.perf_counter()
        frames += 1
        if frames == _WARM_UP:
            start_s = now_s
        elif frames > _WARM_UP:
            taken_ms.append(1e3 * (now_s - captured_s))
    return _figures(taken_ms, now_s - start_s, frames - _WARM_UP)


def _ours(folder: Path, threads: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        answers = Path(place) / "answers.jsonl"
        command = [sys.executable, "-m", "camera_demo", str(CLIP), f"json:{answers}", "--variant", _variant(folder)]
        command += ["--bundle", str(folder / "bundle"), "--threads", str(threads)]
        subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
        lines = [json.loads(line) for line in answers.read_text().splitlines()]
    times_s = [_seconds(line["time"]) for line in lines[_WARM_UP - 1 :]]
    taken_ms = [line["capture_to_answer_ms"] for line in lines[_WARM_UP:]]
    return _figures(taken_ms, times_s[-1] - times_s[0], len(taken_ms))


def _naive(folder: Path, threads: int) -> dict[str, float]:
    import cv2
    import numpy as np

    interpreter = _interpreter(folder, threads)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    labels = (folder / "bundle/labels.txt").read_text().splitlines()
    side = source["shape"][1]
    scale, zero_point = target["quantization"]

    def classify(frame: Any) -> list[tuple[str, float]]:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        data = np.expand_dims(cv2.resize(rgb, (side, side)), axis=0)
        interpreter.set_tensor(source["index"], data.astype(source["dtype"]))
        interpreter.invoke()
        output = np.squeeze(interpreter.get_tensor(target["index"]))
        scores = scale * (output.astype(np.float32) - zero_point)
        return [(labels[n], float(scores[n])) for n in scores.argsort()[-_TOP_K:][::-1]]

    return _loop(classify)


def _mediapipe(folder: Path, threads: int) -> dict[str, float]:
    import cv2
    import mediapipe as mp
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    base = tasks.BaseOptions(model_asset_path=str(next((folder / "bundle").glob("*.tflite"))))
    mode = vision.RunningMode.VIDEO
    wanted = vision.ImageClassifierOptions(base_options=base, max_results=_TOP_K, running_mode=mode)
    with vision.ImageClassifier.create_from_options(wanted) as classifier:
        stamps_ms = iter(range(0, 1 << 30, 33))

        def classify(frame: Any) -> object:
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb)
            return classifier.classify_for_video(image, next(stamps_ms))

        return _loop(classify)


def _opencv(folder: Path, threads: int) -> dict[str, float]:
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(str(next(folder.glob("onnx/*_fp32.onnx"))))
    labels = (folder / "bundle/labels.txt").read_text().splitlines()
    side = int(_variant(folder).split("_")[1])

    def classify(frame: Any) -> list[tuple[str, float]]:
        net.setInput(cv2.dnn.blobFromImage(frame, 1 / 127.5, (side, side), (127.5, 127.5, 127.5), swapRB=True))
        scores = net.forward().ravel()
        return [(labels[n], float(scores[n])) for n in scores.argsort()[-_TOP_K:][::-1]]

    return _loop(classify)


def _invoke(folder: Path, threads: int) -> dict[str, float]:
    interpreter, taken_ms = _interpreter(folder, threads), list[float]()
    for number in range(150 + _WARM_UP):
        start_s = time.perf_counter()
        interpreter.invoke()
        if number >= _WARM_UP:
            taken_ms.append(1e3 * (time.perf_counter() - start_s))
    return _figures(taken_ms, sum(taken_ms) / 1e3, len(taken_ms))


def _interpreter(folder: Path, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    model = next((folder / "bundle").glob("*.tflite"))
    interpreter = Interpreter(model_path=str(model), num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _variant(folder: Path) -> str:
    return next((folder / "bundle").glob("*.tflite")).name.removeprefix("mobilenet_v1_").rpartition("_")[0]


def _seconds(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()


def _prepare(options: argparse.Namespace) -> None:
    """Convert the checkpoint twice: to the TFLite file that all share, with a bundle around it, and to float ONNX."""
    sys.path.insert(0, str(ROOT))
    from edge.bundles.bundle import Bundle, open_bundle
    from edge.files import sha256_of
    from edge.json_files import to_json

    folder, side = options.folder, str(options.resolution)
    convert = [sys.executable, "-m", "convert"]
    material = [str(options.checkpoint), "--calibration", str(options.calibration), "--labels", str(options.labels)]
    whole = [
        *convert,
        "bundle",
        *material,
        "--resolutions",
        side,
        "--targets",
        "tflite,onnx",
        "--out",
        str(folder / "onnx"),
    ]
    subprocess.run([*whole, "--min-agreement", "0"], check=True, cwd=ROOT)
    bundle: Bundle = open_bundle(folder / "onnx")
    name = bundle.variants[0].artifact("tflite")
    assert name is not None
    made = folder / "made"
    made.mkdir()
    single = [*convert, "tflite", *material, "--resolution", side, "--io", "uint8", "--out", str(made / name.file)]
    subprocess.run([*single, "--min-agreement", "0"], check=True, cwd=ROOT)
    manifest = bundle.manifest.to_dict()
    manifest.pop("golden", None)  # of the file with int8 input and output
    for entry in manifest["variants"]:
        entry["artifacts"] = [artifact for artifact in entry["artifacts"] if artifact["format"] == "tflite"][:1]
        path = made / name.file
        entry["artifacts"][0] |= {"size_bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (made / "labels.txt").write_bytes((folder / "onnx/labels.txt").read_bytes())
    (made / "manifest.json").write_text(to_json(manifest))
    os.replace(made, folder / "bundle")  # noqa: PTH105 - a folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the converted files are kept")
    parser.add_argument("--checkpoint", type=Path, help="of MobileNet v1: needed the first time")
    parser.add_argument("--calibration", type=Path, help="a folder of photos: needed the first time")
    parser.add_argument("--labels", type=Path, help="one label a line: needed the first time")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument(
        "--mediapipe-python", help="the Python of an environment with mediapipe; without it, it is left out"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="for the inference; MediaPipe chooses its own. Default: 1"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    return parser


def _contenders() -> Iterator[tuple[str, Callable[[Path, int], dict[str, float]]]]:
    yield from zip(CONTENDERS, (_ours, _naive, _mediapipe, _opencv, _invoke), strict=True)


_CHILDREN: Final = dict(_contenders())


if __name__ == "__main__":
    main()
