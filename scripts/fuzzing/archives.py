"""Archives of a bundle, whose members and records may lie."""

from __future__ import annotations

import contextlib
import random
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_archive"]


def write_archive(path: Path, files: dict[str, bytes], names: Sequence[str], dice: random.Random) -> None:
    """Write files to an archive; ``names`` are those that another member may have."""
    prefix = dice.choice(["", "", "", "bundle/", "../outside/", "/", "a/b/c/"])
    items = list(files.items())
    if dice.random() < 0.2:
        items.append((dice.choice([*names, *files, *(name.upper() for name in files)]), b"twice"))
    method = dice.choice([0, 8, 8, 8, 12, 14])
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there already
        for name, content in items:
            info = zipfile.ZipInfo("x")
            info.filename = prefix + name.encode("utf-8", "replace").decode()
            info.compress_type = method if dice.random() < 0.9 else dice.choice([0, 8, 12, 14])
            info.external_attr = dice.choice([0o100644, 0o100644, 0o120777, 0o010644]) << 16
            with contextlib.suppress(ValueError, OSError):
                archive.writestr(info, content)
        archive.comment = b"x" * dice.choice([0, 0, 0, 100, 65535])
    torn = bytearray(path.read_bytes())
    for _ in range(dice.choice([0, 0, 1, 2, 4])):
        _lie(torn, dice)
    if dice.random() < 0.05:
        torn = torn[: dice.randrange(len(torn))]
    if dice.random() < 0.05:
        torn = bytearray(b"#!/bin/sh\n") + torn
    path.write_bytes(torn)


def _lie(content: bytearray, dice: random.Random) -> None:
    """Change a field of a local header, of the list of files or of its end."""
    signature, fields = dice.choice([
        (b"PK\x03\x04", {4: 2, 6: 2, 8: 2, 14: 4, 18: 4, 22: 4, 26: 2, 28: 2}),
        (b"PK\x01\x02", {6: 2, 8: 2, 10: 2, 16: 4, 20: 4, 24: 4, 28: 2, 30: 2, 32: 2, 38: 4, 42: 4}),
        (b"PK\x05\x06", {4: 2, 6: 2, 8: 2, 10: 2, 12: 4, 16: 4, 20: 2}),
    ])  # fmt: skip
    found, start = [], content.find(signature)
    while start >= 0:
        found.append(start)
        start = content.find(signature, start + 4)
    if not found:
        return
    offset, width = dice.choice(sorted(fields.items()))
    place = dice.choice(found) + offset
    old = int.from_bytes(content[place : place + width], "little")
    new = dice.choice([0, 1, 8, 12, 14, 99, old + 1, old - 1, old ^ 1, 2**31, 2**32 - 1, 0xFFFF, dice.randrange(2**32)])
    content[place : place + width] = (new & (2 ** (8 * width) - 1)).to_bytes(width, "little")
