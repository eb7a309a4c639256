"""The operator's private key: made once, kept where no host serves it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.bundles.registry import is_name
from edge.errors import ChannelError, SignatureError
from edge.files import write_atomically, writing
from edge.fleet.channel import CHANNEL_FILE
from edge.parts import failed_import
from edge.paths import AnyPath, config_folder
from edge.unfinished import folder_made

__all__ = ["KeyPair", "default_key", "key_taken", "take_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Where the two halves of a key are."""

    private: Path
    public: Path
    """For the boards."""
    is_new: bool


def default_key(channel: str) -> Path:
    """Where the private key of a channel is, unless somebody says otherwise.

    Raises:
        ChannelError: No channel can have that name.
    """
    if not is_name(channel):
        raise ChannelError(
            f"Invalid name of a channel {channel[:40]!r}: expected up to 80 letters, digits, '.', '_', '-'."
        )
    return config_folder() / f"channel-{channel}.pem"


@contextlib.contextmanager
def key_taken(private: Path, folder: Path) -> Iterator[KeyPair]:
    """The key of :func:`take_key`, for a change of the channel in ``folder``.

    If that fails, a key that was made for it is removed again, unless the channel names it nevertheless.
    """
    with contextlib.ExitStack() as stack:
        with writing(private):
            stack.enter_context(folder_made(private.parent))
        pair = take_key(private, folder)
        try:
            yield pair
        except BaseException:
            if pair.is_new and not _names(folder / CHANNEL_FILE, pair.private):
                pair.private.unlink(missing_ok=True)
                pair.public.unlink(missing_ok=True)
            raise


def _names(channel: Path, private: Path) -> bool:
    """Whether a channel's file names a key."""
    from edge.fleet.signed import public_key_of

    try:
        return public_key_of(private) in channel.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it is there, and cannot be read
        return True


def take_key(private: AnyPath, folder: AnyPath) -> KeyPair:
    """The key in a PEM file; made, if there is no such file. Its public half is written beside it, as ``.pub``.

    Args:
        private: The file, readable by its owner alone.
        folder: The channel's folder, in which it may not be: the host would serve it.

    Raises:
        ChannelError: It would be served.
        SignatureError: The file holds no such key, or the library that makes one is missing.
        OutputError: It cannot be written.
    """
    private, folder = Path(private), Path(folder)
    if private.resolve().is_relative_to(folder.resolve()):
        raise ChannelError(f"The private key {private} would be served with {folder}: keep it somewhere else.")
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            PublicFormat,
            load_pem_private_key,
        )
    except ImportError as reason:
        raise SignatureError(failed_import(reason, f"The key {private}")) from reason
    from edge.fleet.signed import public_key_of

    is_new = not private.exists()
    if is_new:
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with writing(private):
            private.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
    public_key_of(private)  # says what is wrong with it
    public = private.with_suffix(".pub")
    key = load_pem_private_key(private.read_bytes(), None)
    content = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not public.exists() or public.read_bytes() != content:
        write_atomically(public, content)
    return KeyPair(private=private, public=public, is_new=is_new)
