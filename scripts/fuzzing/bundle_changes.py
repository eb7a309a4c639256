"""What is changed in a good bundle: values, names and contents, the archive's records, and what is no file."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from edge.bundles.bundle import MANIFEST
from edge.bundles.members import SIGNATURE
from scripts.fuzzing.archives import write_archive
from scripts.fuzzing.good_bundle import (
    LABELS,
    MODEL,
    PICTURE,
    entry_of,
    good_files,
    good_manifest,
    png,
    text_of,
    write_folder,
)
from scripts.fuzzing.small_models import CLASSES

__all__ = ["flipped", "write_bundle"]

_JSON: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**30,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x",
    "a" * 300,
    "\x1b]0;pwned\x07",
    "\u202edemo",
    "\ud800",
    "\0",
    [],
    [[]],
    [1, 2],
    {},
    {"a": 1},
    {"": None},
    [None] * 2000,
    "1e9",
)
_NAMES: Final = (
    "../outside/canary",
    "/tmp/fuzz-absolute",
    "a/../../outside/canary",
    "..",
    ".",
    "",
    "manifest.json",
    "MANIFEST.JSON",
    "manifest.sig",
    "labels.txt/x",
    "golden",
    "a\\b",
    "a\nb",
    "\x1b[2J",
    "\u202egnp",
    "a" * 255,
    "a" * 256,
    "a/" * 200 + "b",
    "\ud800",
    "con",
    "a:b",
    "~root/x",
    "./labels.txt",
    "golden//0.png",
    ".hidden",
    "\0",
    "é",
    "e\u0301",
)


def write_bundle(place: Path, dice: random.Random, canary: Path) -> tuple[Path, bytes | None]:
    """Write a bundle that lies somewhere; its place, and its manifest if that is known."""
    values, files = deepcopy(good_manifest()), dict(good_files())
    for _ in range(dice.choice([0, 1, 1, 1, 2, 3])):
        dice.choice([_a_value, _a_value, _a_name, _a_content, _a_key, _an_entry])(values, files, dice)
    text = _text(values, dice)
    if dice.random() < 0.5:
        write_folder(place, {MANIFEST: text, **files})
        for _ in range(dice.choice([0, 0, 1, 2])):
            _special(place, dice, canary)
        known = place / MANIFEST
        is_known = not known.is_symlink() and known.is_file() and known.stat().st_size == len(text)
        return place, text if is_known and known.read_bytes() == text else None
    archive = place.with_suffix(".zip")
    write_archive(archive, {MANIFEST: text, **files}, _NAMES, dice)
    return archive, None


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


def _parent(values: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        values = values[key]
    return values


def _a_value(values: dict[str, Any], files: dict[str, bytes], dice: random.Random) -> None:
    path = dice.choice(_places(values))
    _parent(values, path)[path[-1]] = deepcopy(dice.choice(_JSON))


def _a_key(values: dict[str, Any], files: dict[str, bytes], dice: random.Random) -> None:
    path = dice.choice(_places(values))
    parent = _parent(values, path)
    if dice.random() < 0.5:
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent[dice.choice(["x", "", "\ud800", "../x", "\x1b[2J"])] = deepcopy(dice.choice(_JSON))
    else:
        parent.extend(deepcopy(parent) * dice.choice([1, 50]))


def _entries(values: Any) -> list[dict[str, Any]]:
    found = [values] if isinstance(values, dict) and "file" in values else []
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return found + [entry for value in inner for entry in _entries(value)]


def _an_entry(values: dict[str, Any], files: dict[str, bytes], dice: random.Random) -> None:
    """A size or checksum that is another's."""
    if entries := _entries(values):
        entry, other = dice.choice(entries), dice.choice(entries)
        key = dice.choice(["file", "size_bytes", "sha256"])
        entry[key] = other.get(key, 0) if dice.random() < 0.5 else deepcopy(dice.choice(_JSON))


def _a_name(values: dict[str, Any], files: dict[str, bytes], dice: random.Random) -> None:
    """A file under a name that leads elsewhere, in the manifest and where the files are."""
    if entries := _entries(values):
        entry = dice.choice(entries)
        old, new = entry["file"], dice.choice(_NAMES)
        entry["file"] = new
        if isinstance(old, str) and old in files and dice.random() < 0.8:
            files[new] = files.pop(old)


def _a_content(values: dict[str, Any], files: dict[str, bytes], dice: random.Random) -> None:
    """Another content, mostly with its right size and checksum."""
    if not files:
        return
    name = dice.choice(sorted(files))
    content = files[name]
    others: tuple[Callable[[], bytes], ...] = (
        lambda: dice.choice([b"", b"\0" * 100, b"\xff\xfe\xfd", b"x\n" * 100_001, b"a" * 5_000_000]),
        lambda: content[: len(content) // 2],
        lambda: content * 3,
        lambda: flipped(content, dice),
        lambda: b"\n".join([b"\x1b]0;pwned\x07"] * CLASSES),
        lambda: png(dice.choice([0, 1, 90, 5000, 65535, 2**31 - 1]), dice.choice([0, 1, 90, 3000, 65535])),
    )
    content = dice.choice(others)()
    files[name] = content
    if dice.random() < 0.85:
        for entry in _entries(values):
            if entry["file"] == name:
                entry |= entry_of(name, content)


def flipped(content: bytes, dice: random.Random) -> bytes:
    """The content with some bytes changed."""
    flipped = bytearray(content)
    for _ in range(dice.choice([1, 4, 30])):
        if flipped:
            flipped[dice.randrange(len(flipped))] = dice.randrange(256)
    return bytes(flipped)


def _text(values: dict[str, Any], dice: random.Random) -> bytes:
    """The manifest as bytes, in one case of five torn."""
    text = text_of(values, is_ascii=dice.random() < 0.5)
    torn: tuple[Callable[[], bytes], ...] = (
        lambda: b"\xef\xbb\xbf" + text,
        lambda: text[: dice.randrange(len(text))],
        lambda: b"[" * 100_000,
        lambda: text[:-1] + b', "source": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
        lambda: text[:-1] + b', "classes": ' + b"9" * 5000 + b"}",
        lambda: text[:-1] + b', "name": "other"}',
        lambda: flipped(text, dice),
        lambda: text + b" " * dice.choice([10, 20_000_000]),
        lambda: dice.choice([b"null", b"[]", b"", b'"x"']),
        lambda: text.replace(b'"small"', b'"' + dice.choice([b"..", b"a/b", b".x", b"demo", b"-x", b"x" * 300]) + b'"'),
    )
    return dice.choice(torn)() if dice.random() < 0.2 else text


def _special(place: Path, dice: random.Random, canary: Path) -> None:
    """Something that is no plain file, in place of one of the bundle's."""
    path = place / dice.choice([MANIFEST, SIGNATURE, LABELS, MODEL, PICTURE, "golden", "other"])
    kind = dice.randrange(8)
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if kind == 0:
            path.symlink_to(canary)
        elif kind == 1:
            path.symlink_to(dice.choice(["/dev/zero", "/dev/stdin", "/nonexistent", path.name, "/proc/self/mem"]))
        elif kind == 2:
            os.mkfifo(path)
        elif kind == 3:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        elif kind == 4:
            path.mkdir()
        elif kind == 5:
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero, where that is allowed
        elif kind == 6:
            with path.open("wb") as file:
                file.truncate(2**40)
    # kind 7: it is missing
