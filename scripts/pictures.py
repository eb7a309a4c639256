"""Makes ``docs/demo.jpg``: four moments of the demo clip, classified and annotated as the live demo does it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.preprocess import Frame

ROOT: Final = Path(__file__).resolve().parents[1]
MOMENTS: Final = (23, 41, 77, 131)
"""Frames of the clip with a card in them."""


def main() -> None:
    """Run the demo on its clip, and put the chosen frames side by side."""
    with tempfile.TemporaryDirectory() as folder:
        annotated = Path(folder) / "annotated.mp4"
        command = [sys.executable, "-m", "camera_demo", "demo", str(annotated), "--bundle", "demo"]
        subprocess.run(command, cwd=ROOT, check=True)
        frames = _frames(annotated)
    row = cv2.hconcat([cv2.resize(frames[moment], (320, 240), interpolation=cv2.INTER_AREA) for moment in MOMENTS])
    (ROOT / "docs").mkdir(exist_ok=True)
    cv2.imwrite(str(ROOT / "docs/demo.jpg"), row, [cv2.IMWRITE_JPEG_QUALITY, 88])


def _frames(path: Path) -> list[Frame]:
    clip = cv2.VideoCapture(str(path))
    read = itertools.takewhile(lambda pair: pair[0], (clip.read() for _ in itertools.count()))
    frames = [np.asarray(frame, np.uint8) for _, frame in read]
    clip.release()
    return frames


if __name__ == "__main__":
    main()
