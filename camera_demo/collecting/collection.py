"""A folder of collected pictures: JPEG files, a line of JSON for each, and the classes that people gave them.

A picture is whole on the disk before its line is written, and a line before anybody is told. So a cut in between leaves
at most a picture without a line, which gets one when the folder is opened again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2

from camera_demo.collecting.labels import Labels
from camera_demo.collecting.novelty import Looks
from camera_demo.collecting.picture import Collected
from camera_demo.errors import SinkError
from edge.errors import EdgeError, ImageError, OutputError, os_reason
from edge.files import sync, write_atomically, writing
from edge.locks import locked
from edge.vision.label_table import LABEL_TABLE
from edge.vision.preprocess import Frame

__all__ = ["LINES", "Collection"]

LINES: Final = "collected.jsonl"
_LOCK: Final = ".collecting.lock"
_DELETED: Final = ".deleted"
_QUALITY: Final = 92
_NEWEST: Final = 2000
"""Pictures of earlier runs that new ones are held against: more would take a board minutes to read at each start."""
_LEAST_FREE_BYTES: Final = 200_000_000
_LEAST_FREE_SHARE: Final = 0.05


class Collection:
    """The folder, for any thread of one process."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, or make it.

        Raises:
            SinkError: Another process collects into it.
            OutputError: It cannot be written.
        """
        self.folder = folder
        self._guard = threading.RLock()
        self._opened = contextlib.ExitStack()
        with writing(folder / LINES):
            folder.mkdir(parents=True, exist_ok=True)
        self._opened.enter_context(locked(folder / _LOCK, self._refuse))
        try:
            self._labels = Labels(folder)
            self._empty()
            self._pictures = {one.file: one for one in self._read()}
            self._looks = Looks()
            for name in list(self._pictures)[-_NEWEST:]:
                self._remember(name)
        except BaseException:
            self._opened.close()
            raise

    def pictures(self) -> list[Collected]:
        """All of them, oldest first."""
        with self._guard:
            return list(self._pictures.values())

    @property
    def size_bytes(self) -> int:
        """Of all pictures."""
        with self._guard:
            return sum(one.size_bytes for one in self._pictures.values())

    def distance(self, image: Frame) -> float:
        """How far a picture is from every one that is there, in mean levels of 255."""
        with self._guard:
            return self._looks.distance(Looks.of(image))

    def has_room(self) -> bool:
        """Whether the disk has room for more, with a reserve for the rest of the system."""
        disk = shutil.disk_usage(self.folder)
        return disk.free > max(_LEAST_FREE_BYTES, _LEAST_FREE_SHARE * disk.total)

    def add(self, image: Frame, picture: Collected) -> Collected:
        """Keep a picture. It is on the disk when this returns.

        Raises:
            OutputError: It cannot be written.
        """
        is_encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not is_encoded:
            raise OutputError("OpenCV does not encode JPEG here: 'edge doctor' shows why.")
        with self._guard:
            look = Looks.of(image)
            kept = replace(picture, size_bytes=len(data), novelty=min(self._looks.distance(look), 255.0))
            write_atomically(self.folder / kept.file, data.tobytes())
            self._append(kept)
            self._pictures[kept.file] = kept
            self._looks.add(kept.file, look)
            return kept

    def content(self, file: str) -> bytes | None:
        """A picture's JPEG; None if it is not one of those kept."""
        with self._guard:
            name = f"{file}.jpg" if f"{file}.jpg" in self._pictures else file
            if name not in self._pictures:
                return None
            with contextlib.suppress(OSError):
                return (self.folder / name).read_bytes()
            return None

    def free_name(self, stem: str) -> str:
        """A file's name that begins with ``stem`` and ends in the next number."""
        with self._guard:
            number = 1
            while f"{stem}_{number}.jpg" in self._pictures or (self.folder / f"{stem}_{number}.jpg").exists():
                number += 1
            return f"{stem}_{number}.jpg"

    def drop(self, file: str) -> None:
        """Remove a picture for good, to make room."""
        with self._guard:
            self._forget(file)
            with contextlib.suppress(OSError):
                (self.folder / file).unlink()

    def delete(self, files: Iterable[str]) -> int:
        """Remove pictures so that :meth:`restore` has them back, until the folder is opened again; how many there were.

        Raises:
            OutputError: They cannot be moved.
        """
        count = 0
        with self._guard, writing(self.folder / _DELETED):
            (self.folder / _DELETED).mkdir(exist_ok=True)
            for file in files:
                if file in self._pictures:
                    (self.folder / file).replace(self.folder / _DELETED / file)
                    self._forget(file)
                    count += 1
            sync(self.folder)
        return count

    def restore(self, files: Iterable[str]) -> int:
        """Have deleted pictures back; how many there are.

        Raises:
            OutputError: They cannot be moved.
        """
        count = 0
        with self._guard, writing(self.folder / _DELETED):
            lines = {one.file: one for one in self._lines()}
            for file in files:
                place = self.folder / _DELETED / file
                if Path(file).name == file and place.is_file():
                    place.replace(self.folder / file)
                    found = lines.get(file) or Collected(file=file, time="", why="found")
                    self._pictures[file] = replace(found, size_bytes=(self.folder / file).stat().st_size)
                    self._remember(file)
                    count += 1
            sync(self.folder)
        return count

    def labels(self) -> dict[str, str]:
        """The class of each picture that was given one, by file.

        Raises:
            SinkError: ``labels.csv`` is there and cannot be read.
        """
        with self._guard:
            return self._labels.by_file()

    def label(self, files: Sequence[str], label: str) -> dict[str, str]:
        """Give pictures a class, or none with an empty label. What others gave in the meantime stays.

        Returns:
            What those pictures were called before, to undo it.

        Raises:
            SinkError: ``labels.csv`` cannot be read.
            OutputError: It cannot be written.
        """
        with self._guard:
            return self._labels.give([file for file in files if file in self._pictures], label)

    def close(self) -> None:
        """Let others collect into the folder. A second call does nothing."""
        self._opened.close()

    def _empty(self) -> None:
        """Remove for good what was deleted, and what a killed process left half written."""
        deleted = self.folder / _DELETED
        names = {path.name for path in deleted.glob("*.jpg")}
        gone = {name for name in names if not (self.folder / name).exists()}
        with contextlib.suppress(EdgeError, OSError):  # a damaged table is reported where it is needed
            self._labels.forget(gone)
        shutil.rmtree(deleted, ignore_errors=True)
        for pattern in (".*.jpg.*", f".{LINES}.*", f".{LABEL_TABLE}.*"):
            for leftover in self.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    leftover.unlink()

    def _refuse(self) -> None:
        raise SinkError(f"Another process collects into {self.folder}: choose another folder, or end it.")

    def _remember(self, file: str) -> None:
        """Know a picture by its looks; one that cannot be read looks like none."""
        with contextlib.suppress(ImageError):
            self._looks.add(file, Looks.of_file(self.folder / file))

    def _forget(self, file: str) -> None:
        self._pictures.pop(file, None)
        self._looks.forget(file)

    def _append(self, picture: Collected) -> None:
        """Add a line, whole or not at all."""
        line = json.dumps(picture.to_dict(), ensure_ascii=False) + "\n"
        path = self.folder / LINES
        with writing(path), path.open("ab") as file:
            end = file.tell()
            try:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise

    def _lines(self) -> Iterator[Collected]:
        """What the lines say; a last one that was cut short, or one that is damaged, is passed over."""
        try:
            content = (self.folder / LINES).read_bytes()
        except FileNotFoundError:
            return
        except OSError as reason:
            raise OutputError(f"Cannot read {self.folder / LINES}: {os_reason(reason)}.") from reason
        for line in content.splitlines():
            with contextlib.suppress(ValueError):
                values = json.loads(line)
                if isinstance(values, dict):
                    yield Collected.from_dict(values)

    def _read(self) -> list[Collected]:
        """What is there; the lines are written again where they are not of just that."""
        lines = list(self._lines())
        sizes = {
            path.name: path.stat().st_size
            for path in sorted(self.folder.glob("*.jpg"))
            if not path.name.startswith(".") and path.is_file()
        }
        known = {one.file: replace(one, size_bytes=sizes[one.file]) for one in lines if one.file in sizes}
        for name, size_bytes in sizes.items():
            known.setdefault(name, Collected(file=name, time="", why="found", size_bytes=size_bytes))
        if len(known) != len(lines) or any(one.why == "found" and not one.time for one in known.values()):
            text = "".join(json.dumps(one.to_dict(), ensure_ascii=False) + "\n" for one in known.values())
            write_atomically(self.folder / LINES, text)
        return list(known.values())
