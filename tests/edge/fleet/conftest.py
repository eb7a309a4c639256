"""A channel with its host, a board, and bundles of one small variant."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.bundle import open_bundle
from edge.fleet import publishing
from edge.fleet.channel import Channel, Release
from edge.fleet.keys import take_key
from edge.updates.archive import pack
from tests.edge.fleet.site import NOW, Site, TestBoard, hosting
from tests.edge.small_demo import write_small_demo


@dataclass
class Operator:
    """Who signs."""

    folder: Path
    keys: list[Path]
    public: Path
    scratch: Path
    now: datetime = NOW
    made: list[str] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def bundle(self, **changes: Any) -> Path:
        """Another version, as a ``.zip`` file."""
        number = len(self.made)
        folder = write_small_demo(self.scratch / f"v{number}", created=f"2026-01-01T00:00:{number:02}+00:00", **changes)
        place = folder.with_suffix(".zip")
        pack(open_bundle(folder), place)
        self.made.append(str(place))
        return place

    def publish(self, bundle: Path | None = None, *, to: str | None = "all", **offer: Any) -> Release:
        """Publish a new version, open to all unless told otherwise."""
        release = publishing.publish(
            self.folder, bundle or self.bundle(), self.keys, publishing.Offer(**offer), clock=self.clock
        )
        if to is None:
            return release
        return publishing.promote(self.folder, self.keys, to=to, clock=self.clock)

    def read(self) -> Channel:
        """What is in place."""
        return publishing.read_channel(self.folder, self.keys)

    def later(self, **time: float) -> None:
        """Let time go by."""
        self.now += timedelta(**time)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    www = tmp_path / "www"
    pair = take_key(tmp_path / "keys" / "channel.pem", www)
    publishing.init(www, "birds", [pair.private], clock=lambda: NOW)
    return Operator(folder=www, keys=[pair.private], public=pair.public, scratch=tmp_path / "bundles")


@pytest.fixture
def site(operator: Operator) -> Iterator[Site]:
    with hosting(operator.folder) as site:
        yield site


@pytest.fixture
def board(tmp_path: Path, site: Site, operator: Operator) -> TestBoard:
    return TestBoard(folder=tmp_path / "board", url=site.url, key=operator.public)


@pytest.fixture
def quick_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A self-test that passes at once: what it finds is tested elsewhere."""
    from edge.updates import install, versions

    for module in (install, versions):
        monkeypatch.setattr(module, "verify_answers", lambda bundle, backend: 1)


@contextlib.contextmanager
def no_room(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> Iterator[None]:
    """A disk with so much room."""
    usage = shutil.disk_usage("/")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free_bytes))
        yield
