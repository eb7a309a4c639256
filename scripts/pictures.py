"""Makes the README's pictures: the demo clip annotated, the page on a screen and on a phone, and a terminal.

The page and the terminal are taken with Chromium: apt-get install chromium chromium-driver.
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from rich.console import Console
from rich.text import Text

from edge.vision.preprocess import Frame

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
MOMENTS: Final = (23, 41, 77, 131)
"""Frames of the clip with a card in them."""
COMMANDS: Final = (
    ("edge", "select", "--bundle", "demo", "--fps", "30"),
    ("camera-demo", "demo", "--fps", "30", "--max-frames", "150"),
)
"""What is typed on the terminal."""
_WATCH_S: Final = 45.0
"""How long the page is watched first, so that its chart has something to show."""
_SURE: Final = 0.95


def main() -> None:
    """Make every picture."""
    DOCS.mkdir(exist_ok=True)
    _clip(DOCS / "demo.jpg")
    with _browser() as browser:
        _terminal(browser, DOCS / "terminal.png")
        with _running("demo", "http://127.0.0.1:0", "--loop", "--pace", "--steady", "3") as address:
            browser.get(address)
            time.sleep(_WATCH_S)
            _steer(address, {"fps": 60})
            _take(browser, DOCS / "page.png", 1280, 1240, when=lambda: _sees(address, "seven"))
            _take(browser, DOCS / "phone.png", 390, 900, scale=1.5, when=lambda: _sees(address, "five"))


def _clip(path: Path) -> None:
    """Four moments of the demo clip, annotated as the live demo does it, side by side."""
    with tempfile.TemporaryDirectory() as folder:
        annotated = Path(folder) / "annotated.mp4"
        command = [sys.executable, "-m", "camera_demo", "demo", str(annotated), "--bundle", "demo"]
        subprocess.run(command, cwd=ROOT, check=True)
        frames = _frames(annotated)
    row = cv2.hconcat([cv2.resize(frames[moment], (320, 240), interpolation=cv2.INTER_AREA) for moment in MOMENTS])
    cv2.imwrite(str(path), row, [cv2.IMWRITE_JPEG_QUALITY, 88])


def _frames(path: Path) -> list[Frame]:
    clip = cv2.VideoCapture(str(path))
    read = itertools.takewhile(lambda pair: pair[0], (clip.read() for _ in itertools.count()))
    frames = [np.asarray(frame, np.uint8) for _, frame in read]
    clip.release()
    return frames


def _terminal(browser: Any, path: Path) -> None:
    """What the commands print, as a terminal shows it."""
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    for command in COMMANDS:
        program = [sys.executable, "-m", {"edge": "edge", "camera-demo": "camera_demo"}[command[0]], *command[1:]]
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
        answers = done.stdout.splitlines()
        lines = [line for line in done.stderr.splitlines() if not line.startswith("INFO:")]
        console.print(Text(f"$ {' '.join(command)}", style="bold green"))
        shown = answers if command[0] == "edge" else [*lines[:1], *answers[-1:], *lines[1:]]
        console.print(Text("\n".join(shown)), soft_wrap=False)
        console.print()
    style = (
        "body{margin:0;background:#14161a;padding:18px 22px}pre{margin:0;font:14px/1.35 'DejaVu Sans Mono',monospace}"
    )
    page = console.export_html(inline_styles=True).replace("</head>", f"<style>{style}</style></head>")
    page = page.replace("color: #000000; background-color: #ffffff", "color: #e8e6e1; background-color: #14161a")
    page = page.replace("<body>", '<body style="color:#e8e6e1">')
    browser.get("data:text/html;base64," + base64.b64encode(page.encode()).decode())
    height = browser.execute_script("return document.querySelector('pre').offsetHeight + 36")
    _take(browser, path, 910, height)


@contextlib.contextmanager
def _running(*arguments: str) -> Iterator[str]:
    """The address of the page of a ``camera-demo`` that runs while the block does."""
    command = [sys.executable, "-m", "camera_demo", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.readline().split()[-1]
        finally:
            process.terminate()


def _steer(address: str, wish: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{address}/api/control", json.dumps(wish).encode(), method="PUT")
    urllib.request.urlopen(request).close()


def _sees(address: str, label: str) -> bool:
    """Whether the answer of now is ``label``, and sure."""
    with urllib.request.urlopen(f"{address}/api/state") as answer:
        answers = json.load(answer)["answer"]["labels"]
    return bool(answers and answers[0]["label"] == label and answers[0]["probability"] > _SURE)


@contextlib.contextmanager
def _browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-proxy-server"):
        options.add_argument(argument)
    browser = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path="/usr/bin/chromedriver")
    )
    try:
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        )
        yield browser
    finally:
        browser.quit()


def _take(
    browser: Any,
    path: Path,
    width: int,
    height: int,
    *,
    scale: float = 1.0,
    when: Callable[[], bool] = lambda: True,
) -> None:
    """Take a picture of a window of ``width`` by ``height`` points, when the moment has come."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    time.sleep(1)
    end_s = time.monotonic() + _WATCH_S
    while not when() and time.monotonic() < end_s:
        time.sleep(0.05)
    time.sleep(0.2)
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(taken["data"]), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(path), np.asarray(picture, np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
