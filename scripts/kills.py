"""Kill the live demo while people label on its page, and look for what was lost: scripts/test-kills --points 60.

A run collects while two clients name, delete and bring back pictures by the page's requests, and take bursts. At a
random moment it is killed (kill -9). Then the folder is opened again, as the next start does. Whatever was answered
with 200 must be there, what was not answered may be or not, and nothing may be half written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import httpx
import numpy as np

from camera_demo import session
from camera_demo.collecting.collection import LINES, Collection
from camera_demo.collecting.picture import Collected
from camera_demo.settings import Settings
from camera_demo.stop import Stop
from edge.vision.label_table import LABEL_TABLE, read_label_table

__all__ = ["Journal", "kill_once", "main"]

_PICTURES: Final = 24
_CLIENTS: Final = 2
_MOST_CONFIRMED: Final = 40
"""Requests before the kill."""
_LONGEST_S: Final = 60.0


@dataclass
class Journal:
    """What the next start may find of each picture: its class, and whether it is there."""

    labels: dict[str, set[str]] = field(default_factory=dict)
    there: dict[str, set[bool]] = field(default_factory=dict)
    confirmed: int = 0
    """Requests that were answered with 200."""

    @contextlib.contextmanager
    def of(self, action: str, files: Sequence[str], label: str) -> Iterator[None]:
        """Note what may come of a request, and at the block's end that it has come."""
        before = ({f: set(self.labels[f]) for f in files}, {f: set(self.there[f]) for f in files})
        for file in files:
            if action == "label":
                if True in before[1][file]:  # one that is deleted keeps its class
                    self.labels[file] |= {label}
            else:
                self.there[file] |= {action == "restore"}
        yield
        for file in files:
            if action == "label":
                if before[1][file] == {True}:
                    self.labels[file] = {label}
            else:
                self.there[file] = {action == "restore"}
        self.confirmed += 1


def kill_once(folder: Path, seed: int) -> int:
    """Label in a fresh folder, kill, and check; how many requests were confirmed.

    Raises:
        AssertionError: Something that was confirmed is lost, or something is half written.
    """
    chance = random.Random(seed)
    seen = folder / "seen"
    files = _pictures(seen)
    journal = Journal({file: {""} for file in files}, {file: {True} for file in files})
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _serve(seen, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        address = pipe.readline().strip()
    assert address, "the demo did not start"
    end = threading.Event()
    shares = [files[number::_CLIENTS] for number in range(_CLIENTS)]
    threads = [
        threading.Thread(target=_label, args=(address, share, journal, random.Random(seed * 10 + number), end))
        for number, share in enumerate(shares)
    ]
    for thread in threads:
        thread.start()
    begun_s, enough = time.monotonic(), chance.randint(1, _MOST_CONFIRMED)
    try:
        while journal.confirmed < enough:
            assert time.monotonic() < begun_s + _LONGEST_S and all(one.is_alive() for one in threads), "no answer"
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.02))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    end.set()
    for thread in threads:
        thread.join()
    check(seen, journal)
    return journal.confirmed


def check(seen: Path, journal: Journal) -> None:
    """Hold what the next start finds against what may be."""
    collection = Collection(seen)
    try:
        there, labels = {one.file for one in collection.pictures()}, collection.labels()
        for file, allowed in journal.there.items():
            assert (file in there) in allowed, f"{file}: there={file in there}, expected {allowed}"
            if file in there:
                assert labels.get(file, "") in journal.labels[file], f"{file}: {labels.get(file)!r}"
        for file in there:
            assert cv2.imdecode(np.frombuffer((seen / file).read_bytes(), np.uint8), cv2.IMREAD_COLOR) is not None
        assert there == {path.name for path in seen.glob("*.jpg")}
        for line in (seen / LINES).read_text(encoding="utf-8").splitlines():
            json.loads(line)
        if (seen / LABEL_TABLE).exists():
            assert all(row.path.is_file() for row in read_label_table(seen / LABEL_TABLE))
        leftovers = {path.name for path in seen.glob(".*")} - {".collecting.lock", ".taught"}
        assert not leftovers, leftovers
    finally:
        collection.close()


def _pictures(seen: Path) -> list[str]:
    collection = Collection(seen)
    names = []
    for number in range(_PICTURES):
        image = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        large = cv2.resize(image, (64, 48), interpolation=cv2.INTER_NEAREST)
        picture = Collected(file=f"p{number}_1.jpg", time="2027-01-01T00:00:00+00:00", why="every")
        names.append(collection.add(np.asarray(large, np.uint8), picture).file)
    collection.close()
    return names


def _serve(seen: Path, pipe: int) -> None:
    """Run the demo in this process, which ends with it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        outputs = (f"collect:{seen}?unsure=no&unknown=no&every=0.05&minute=999&hour=999", "http://127.0.0.1:0")
        settings = Settings(input="synthetic:64x48@30", outputs=outputs, variant="0.25_128", threads=1)

        def announce(line: str) -> None:
            if "live picture" in line:
                os.write(pipe, f"{line.split()[-1]}\n".encode())

        session.run(settings, Stop(), announce=announce)
    finally:
        os._exit(1)


def _label(address: str, files: Sequence[str], journal: Journal, chance: random.Random, end: threading.Event) -> None:
    """What a person does on the page, as fast as it answers, until it does no more."""
    with httpx.Client(base_url=address, timeout=10, trust_env=False) as client, contextlib.suppress(httpx.HTTPError):
        while not end.is_set():
            action = chance.choice(("label", "label", "delete", "restore", "burst"))
            if action == "burst":
                client.put("/api/collect", json={"count": chance.randint(0, 5), "label": "burst"})
                continue
            some = chance.sample(list(files), chance.randint(1, 4))
            values: dict[str, Any] = {"action": action, "files": some}
            label = chance.choice(("cup", "AC/DC 🎸", "", 'a "quoted, one"'))
            if action == "label":
                values["label"] = label
            with journal.of(action, some, label):
                answer = client.put("/api/collected/change", json=values)
                assert answer.status_code == 200, answer.text


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill as often as asked, and say how much was confirmed by then."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=60, help="how often")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    confirmed = []
    for number in range(options.points):
        with tempfile.TemporaryDirectory() as folder:
            confirmed.append(kill_once(Path(folder), options.seed + number))
    print(
        f"killed {options.points} times while labelling, after {min(confirmed)} to {max(confirmed)} confirmed "
        f"requests, {sum(confirmed)} in all: nothing lost, nothing half written"
    )


if __name__ == "__main__":
    main()
