"""The demo bundle with one of its variants, in as many versions as a test wants: real, and quick to test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from edge.bundles.bundle import MANIFEST, shipped_folder
from edge.json_files import to_json

__all__ = ["FILE", "write_small_demo"]

FILE: Final = "mobilenet_v1_0.25_128_int8.tflite"


def write_small_demo(folder: Path, **changes: Any) -> Path:
    """Write the bundle; ``changes`` replaces values of its manifest, so that it is another version."""
    demo = shipped_folder("demo")
    assert demo is not None
    values = json.loads((demo / MANIFEST).read_text())
    values["variants"] = [v for v in values["variants"] if v["variant"] == "mobilenet_v1_0.25_128"]
    golden = values["golden"]
    golden["inputs"] = {"128": golden["inputs"]["128"]}
    golden["answers"] = {FILE: golden["answers"][FILE]}
    folder.mkdir(parents=True)
    for name in (values["labels"]["file"], FILE, *(picture["file"] for picture in golden["pictures"])):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(demo / name, folder / name)
    (folder / MANIFEST).write_text(to_json(values | {"name": "small"} | changes))
    return folder
