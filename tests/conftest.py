"""What several rooms' tests share: small pictures, a small network, and the way to the measuring data."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import settings

from edge.bundles import registry
from edge.vision.preprocess import Frame

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch reads it when it is loaded; see convert.cli.app
SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Real weights and photos for measuring; a user's checkout has none."""


settings.register_profile("patient", deadline=None)  # a busy machine is late and proves nothing
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Tests beside each other: one more than there are processors, for many wait as long as they work."""
    return 1 + len(os.sched_getaffinity(0))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first: at the end, one would run alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escapes what is not UTF-8 in a report: pytest-xdist stops all tests where a worker captured such text."""
    return _encodable((yield))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_encodable, value))
    return value


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """SIGINT works in tests and in what they start, though a shell's background jobs begin with it ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _signals_of_a_new_process(_interruptible: None) -> None:
    """A command that ran in this process, as programs do not, has left handlers that end it at once."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Profiles, bundles and settings of tests lie in folders of theirs: the user's are neither read nor changed.

    Nor, within this process, are the bundles that are installed for all users.

    State is shared by the processes that run tests beside each other: this machine is measured once for all.
    """
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CONFIG", "DATA"):
            patch.setenv(f"XDG_{kind}_HOME", str(tmp_path_factory.mktemp("home") / kind.lower()))
        patch.setenv("XDG_STATE_HOME", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "state"))
        patch.setattr(registry, "SYSTEM", tmp_path_factory.mktemp("system") / "bundles")
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real checkpoint and photos."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder} with a real checkpoint and photos on this machine")
    return folder


def draw(seed: int, size: tuple[int, int] = (96, 128)) -> Frame:
    """A colourful picture with edges, blobs and noise, uint8 (height, width, 3) BGR."""
    random = np.random.default_rng(seed)
    height, width = size
    frame = np.full((height, width, 3), random.integers(0, 256, 3), np.uint8)
    for _ in range(12):
        centre = (int(random.integers(width)), int(random.integers(height)))
        colour = tuple(int(c) for c in random.integers(0, 256, 3))
        cv2.circle(frame, centre, int(random.integers(4, 40)), colour, int(random.choice([-1, 3])))
    noise = random.normal(0, 12, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 pictures and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(24):
        cv2.imwrite(str(folder / f"{chr(97 + seed)}.png"), draw(seed))
    (folder / "notes.txt").write_text("not a picture")
    return folder
