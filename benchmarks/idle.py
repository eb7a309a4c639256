"""What ``--idle`` saves on a still camera, and what it misses on a clip.

    python benchmarks/idle.py still [--bundle B] [--variant V] [--seconds 20]
    python benchmarks/idle.py clip
    python benchmarks/idle.py arm --icount ICOUNT_SH --root ARM64_ROOT

``still`` plays a scene that does not change, but for a camera's noise, as a camera of 640x480 at 30 frames a second:
JPEGs, decoded as a webcam's are. The loop runs with ``--idle`` and without, in processes of their own and in turn, and
the CPU time of each, all threads, is that of its frames alone. ``decode alone`` is the loop that only reads the frames.

``clip`` classifies the demo's clip, each of its frames shown several times with noise, so that it stands still in
between: how often the model rests, how many answers are other ones than without ``--idle``, and how many frames later a
new answer comes.

``arm`` counts the instructions of a frame that is looked at and not classified, beside preparing and classifying one,
on an emulated Arm core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from camera_demo.frames import CapturedFrame, Result
from camera_demo.live import Answers
from camera_demo.options import ClassifyOptions
from camera_demo.sources.clip import ClipSource
from camera_demo.sources.demo import DEMO_CLIP
from camera_demo.sources.prefetch import latest_frames, read_ahead
from camera_demo.stop import Stop
from edge.inference.classifier import Classifier
from edge.vision.preprocess import Frame

_RATE_HZ: Final = 30.0
_NOISE: Final = 3.0
"""Standard deviation in grey levels: a webcam's, indoors."""
_TIMES: Final = 6
"""How often each frame of the clip is shown: 15 a second become 2.5 new ones."""
_WARM_UP: Final = 30


class StillCamera:
    """A scene that does not change, as a camera gives it: other noise in each frame, JPEG, at its own pace."""

    name, is_live, rate_hz, dropped = "still", True, _RATE_HZ, 0

    def __init__(self, seconds: float) -> None:
        self._count = round(seconds * _RATE_HZ)
        generator = np.random.default_rng(0)
        few = generator.integers(40, 216, (12, 16, 3), np.uint8)
        scene = np.asarray(cv2.resize(few, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 80]
        self._jpegs = [cv2.imencode(".jpg", _noisy(scene, generator), quality)[1] for _ in range(16)]

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """The frames."""
        start_s = time.monotonic()
        for index in range(self._count):
            stop.sleep(max(0.0, start_s + index / _RATE_HZ - time.monotonic()))
            image = np.asarray(cv2.imdecode(self._jpegs[index % len(self._jpegs)], cv2.IMREAD_COLOR), np.uint8)
            now_s = time.monotonic()
            yield CapturedFrame(image=image, index=index, captured_at_s=now_s, position_s=now_s - start_s)

    def close(self) -> None:
        """Nothing is held."""


class SlowClip:
    """The demo's clip, each frame several times with noise."""

    name, is_live, rate_hz, dropped = "slow", False, 15.0 * _TIMES, 0

    def __init__(self) -> None:
        self._clip = ClipSource(ROOT / "camera_demo" / DEMO_CLIP)
        self._generator = np.random.default_rng(0)

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """The frames."""
        index = 0
        for frame in filter(None, self._clip.frames(stop)):
            for _ in range(_TIMES):
                yield CapturedFrame(
                    image=_noisy(frame.image, self._generator),
                    index=index,
                    captured_at_s=index / _RATE_HZ,
                    position_s=index / _RATE_HZ,
                )
                index += 1

    def close(self) -> None:
        """Close the clip."""
        self._clip.close()


def still(bundle: str, variant: str, seconds: float, rounds: int) -> None:
    """Print the CPU share with and without ``--idle``."""
    shares: dict[str, list[float]] = {"always": [], "idle": [], "decode": []}
    rested = 0.0
    for number in range(rounds):
        for name in list(shares)[:: 1 if number % 2 else -1]:
            command = [sys.executable, __file__, "child", name, "--bundle", bundle, "--variant", variant]
            done = subprocess.run([*command, "--seconds", str(seconds)], check=True, stdout=subprocess.PIPE, text=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            shares[name].append(figures["cpu"])
            rested = figures["rested"] if name == "idle" else rested
    median = {name: statistics.median(values) for name, values in shares.items()}
    share = median["idle"] / median["always"]
    print(f"{variant}, 640x480 at {_RATE_HZ:g} fps, {seconds:g} s, 1 thread; CPU, medians of {rounds} rounds")
    print(f"always classifying  {median['always']:7.2%}")
    print(f"--idle              {median['idle']:7.2%}, which is {share:.1%} of it; the model rests in {rested:.1%}")
    print(f"reading alone       {median['decode']:7.2%}")


def child(kind: str, bundle: str, variant: str, seconds: float) -> None:
    """One run: the CPU time of its frames, all threads, as a share of one CPU."""
    cv2.setNumThreads(1)
    source = latest_frames(StillCamera(seconds))
    begun, frames, rested = (0.0, 0.0), 0, 0

    def count() -> None:
        nonlocal begun, frames
        frames += 1
        if frames == _WARM_UP:
            begun = time.process_time(), time.monotonic()

    if kind == "decode":
        for frame in source.frames(Stop()):
            if frame is not None:
                count()
    else:
        with Classifier(bundle, variant, threads=1) as classifier:
            for result in Answers(source, classifier, options=ClassifyOptions(idle=kind == "idle")):
                count()
                rested += result.is_kept
    share = (time.process_time() - begun[0]) / (time.monotonic() - begun[1])
    source.close()
    print(json.dumps({"cpu": share, "rested": rested / frames}))


def clip(bundle: str, variant: str) -> None:
    """Print how often the model rests on the clip, and what that changes."""
    always, idle = (_answered(bundle, variant, is_idle=is_idle) for is_idle in (False, True))
    labels, kept = [result.label for result in always], [result.label for result in idle]
    others, rested = sum(map(str.__ne__, labels, kept)), sum(result.is_kept for result in idle)
    starts = [n for n in range(1, len(labels)) if labels[n] != labels[n - 1]]
    runs = list(zip(starts, [*starts[1:], len(labels)], strict=True))
    late = [next((n - start for n in range(start, end) if kept[n] == labels[n]), None) for start, end in runs]
    missed = [end - start for (start, end), frames in zip(runs, late, strict=True) if frames is None]
    print(f"{variant}, the demo's clip, each frame {_TIMES} times, noise of {_NOISE:g} levels: {len(labels)} frames")
    print(f"the model rests in {rested} ({rested / len(labels):.1%}); answers other than without --idle: {others}")
    print(f"of {len(runs)} changes of the answer, {late.count(0)} are answered in the same frame, ", end="")
    print(f"{len(runs) - late.count(0) - len(missed)} later, {len(missed)} never, which lasted {missed} frames")


def count(bundle: str, variant: str) -> None:
    """Make each call between two marks, and print their labels on standard error: see benchmarks/instructions.py."""
    from benchmarks.instructions import count_calls
    from camera_demo.motion import Motion, cells_of

    cv2.setNumThreads(1)
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    motion = Motion()
    motion.must_classify(cells_of(frame), 0.0)
    with Classifier(bundle, variant, threads=1) as classifier:
        prepare = classifier.preparer()
        work = {
            "look": lambda: motion.must_classify(cells_of(frame), 1.0),
            "prepare": lambda: prepare(frame),
            "classify": lambda: classifier.classify(frame),
        }
        print(json.dumps(count_calls(work)), file=sys.stderr)


def arm(bundle: str, variant: str, icount: Path, root: Path) -> None:
    """Print millions of instructions."""
    from benchmarks.instructions import millions

    packages = next((root / "opt/v/lib").glob("python3.*/site-packages"))
    arguments = ("count", "--bundle", bundle, "--variant", variant)
    counts = millions(icount, root, packages, "pi4", Path(__file__), *arguments)
    print(f"{variant}, 640x480, millions of instructions on a Raspberry Pi 4 core (emulated)")
    for name, text in (("look", "look for a change"), ("prepare", "prepare"), ("classify", "prepare and classify")):
        print(f"{text:22} {counts[name]:7.2f}")


def _answered(bundle: str, variant: str, *, is_idle: bool) -> list[Result]:
    source = read_ahead(SlowClip())
    with Classifier(bundle, variant, threads=1) as classifier:
        results = list(Answers(source, classifier, options=ClassifyOptions(idle=is_idle)))
    source.close()
    return results


def _noisy(image: Frame, generator: np.random.Generator) -> Frame:
    noise: Any = generator.standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(image + _NOISE * noise, 0, 255), np.uint8)


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("still", "clip", "arm", "child", "count"))
    parser.add_argument("kind", nargs="?", default="", help=argparse.SUPPRESS)
    parser.add_argument("--bundle", default="demo", help="a bundle's folder or name; benchmarks/family.py writes one")
    parser.add_argument("--variant", default="0.50_224")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--icount", type=Path, help="the instruction counter's script")
    parser.add_argument("--root", type=Path, help="an arm64 root with the runtime in /opt/v")
    options = parser.parse_args()
    if options.what == "arm":
        if options.icount is None or options.root is None:
            parser.error("arm needs --icount and --root")
        arm(options.bundle, options.variant, options.icount, options.root)
    elif options.what == "count":
        count(options.bundle, options.variant)
    elif options.what == "child":
        child(options.kind, options.bundle, options.variant, options.seconds)
    elif options.what == "still":
        still(options.bundle, options.variant, options.seconds, options.rounds)
    else:
        clip(options.bundle, options.variant)


if __name__ == "__main__":
    main()
