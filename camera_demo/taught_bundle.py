"""The bundle that was taught with a folder's pictures and put to use on the page: the next start goes on with it.

It is an installed bundle like any other: ``edge bundle list`` names it, ``edge bundle rollback`` and ``deactivate``
take it back. Its name is noted beside what was taught, ``DIR/.taught/bundle.json``, so only runs that collect into the
same folder, with the bundle that it was taught from, go on with it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.registry import TAUGHT as PREFIX
from edge.bundles.registry import Installed, find_installed, taught_folder
from edge.errors import BundleError, OutputError, SignatureError, TeachingError
from edge.files import write_atomically, writing
from edge.json_files import read_json, to_json
from edge.updates.install import activate, check_signed, deactivate, roll_back
from edge.updates.signature import configured_key

__all__ = ["TAUGHT", "TaughtBundle"]

TAUGHT: Final = ".taught"
"""The folder of what was taught, in that of the pictures."""
_NOTE: Final = "bundle.json"
_LONGEST_NAME: Final = 60


class TaughtBundle:
    """The installed bundle of one folder of pictures. For one thread at a time."""

    def __init__(self, collected: Path, parent: Bundle, *, backend: str = "auto") -> None:
        """Find its name.

        Args:
            collected: The folder of pictures.
            parent: The bundle that is taught.
            backend: What the self-test runs on.
        """
        self._folder, self._parent, self._backend = collected / TAUGHT, parent, backend
        self.name = self._noted() or self._free_name()
        """Under which it is, or will be, installed."""

    def in_use(self) -> Bundle | None:
        """The version in use; None where none was put to use, or it was taught from another bundle.

        Raises:
            BundleError: It is damaged.
            SignatureError: A key is configured, and has not signed it.
        """
        installed = find_installed(self.name) if self._noted() else None
        if installed is None or installed.active is None:
            return None
        bundle = open_bundle(installed.folder(installed.active))
        if bundle.root == self._parent.root or bundle.manifest.source.get("taught_from") != self._parent.name:
            return None
        check_signed(bundle.root, configured_key())
        return bundle

    def before(self) -> Bundle | None:
        """The version that was in use before the one of now, to go back to; None where that is the parent."""
        installed = find_installed(self.name)
        if installed is None or installed.active is None or installed.previous is None:
            return None
        try:
            before = open_bundle(installed.folder(installed.previous))
            serial = open_bundle(installed.folder(installed.active)).manifest.serial
        except BundleError:
            return None
        return before if before.manifest.serial < serial else None

    def use(self, root: Path) -> Bundle:
        """Install what was taught and put it to use, as ``edge bundle activate`` does.

        Args:
            root: The folder of the bundle that was taught, whose name is :attr:`name`.

        Raises:
            TeachingError: A key is configured, and has not signed it.
            OutputError: It cannot be installed: the folder of bundles cannot be written, for example.
            EdgeError: It does not pass its self-test.
        """
        key = configured_key()
        note = self._folder / _NOTE
        with writing(note):
            self._folder.mkdir(exist_ok=True)
        write_atomically(note, to_json({"schema_version": 1, "bundle": self.name}))
        try:
            check_signed(root, key)  # before anything that may fail for another reason
            return activate(str(root), key=key, backend=self._backend, folder=taught_folder()).bundle
        except SignatureError as reason:
            raise TeachingError(
                f"Only bundles signed by {key} are used here, and this one is not. Where the private key is: "
                f"edge bundle pack {root} taught.zip --sign KEY; here: edge bundle activate taught.zip, then restart."
            ) from reason

    def back(self) -> Bundle:
        """Put the version before to use, as ``edge bundle rollback`` does, or none, and with that the parent.

        Returns:
            What is in use now.

        Raises:
            OutputError: The change cannot be written.
            EdgeError: The version before does not pass its self-test, or is not signed.
        """
        installed = find_installed(self.name)
        if installed is None:
            return self._parent
        if installed.home.parent != taught_folder():
            raise OutputError(
                f"{self.name} was installed in {installed.home.parent}: who did can take it back there "
                f"(edge bundle deactivate {self.name})."
            )
        if self.before() is not None:
            return roll_back(self.name, key=configured_key(), backend=self._backend, folder=taught_folder()).bundle
        deactivate(self.name, folder=taught_folder())
        return self._parent

    def _noted(self) -> str:
        note = self._folder / _NOTE
        if not note.is_file():
            return ""
        try:
            name = read_json(note, "note of the taught bundle", BundleError).get("bundle")
        except BundleError:
            return ""
        return name if isinstance(name, str) else ""

    def _free_name(self) -> str:
        """A name after the folder that no other bundle has."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self._folder.resolve().parent.name).strip("-.")
        name = first = f"{PREFIX}{stem}"[:_LONGEST_NAME].rstrip("-.")
        number = 1
        while _is_taken(name):
            number += 1
            name = f"{first}-{number}"
        return name


def _is_taken(name: str) -> bool:
    try:
        found: Installed | None = find_installed(name)
    except BundleError:
        return True
    return found is not None
