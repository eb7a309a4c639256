"""Who signed a bundle: an Ed25519 signature of its manifest, which in turn holds the SHA-256 of every file.

Keys are PEM files, as ``openssl genpkey -algorithm ed25519`` and ``openssl pkey -pubout`` write them. The signature is
that of RFC 8032, 64 bytes in ``manifest.sig`` beside the manifest. The library ``cryptography`` does the work; it is
needed only where a key is configured.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Protocol

from edge.bundles.members import SIGNATURE
from edge.errors import SignatureError, os_reason
from edge.parts import failed_import
from edge.paths import config_folder

__all__ = ["SIGNATURE", "PublicKey", "check_signature", "configured_file", "configured_key", "public_keys", "sign"]

_PUBLIC: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class _PrivateKey(Protocol):
    def sign(self, data: bytes) -> bytes:
        """The signature of ``data``."""


class PublicKey(Protocol):
    """A key that tells whether a signature is its own."""

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raise ``InvalidSignature`` if ``signature`` is not this key's for ``data``."""

    def public_bytes_raw(self) -> bytes:
        """The key itself: 32 bytes."""


def configured_key(system: Path = Path("/etc")) -> Path | None:
    """The file of the public keys whose signature a bundle needs here; None where it needs none.

    ``/etc/mobilenet-edge/bundle.pub``, else ``$XDG_CONFIG_HOME/mobilenet-edge/bundle.pub`` (by default below
    ``~/.config``). A file whose name is there counts even if it is a dangling link or cannot be read: then every bundle
    is refused.
    """
    return configured_file("bundle.pub", system)


def configured_file(name: str, system: Path = Path("/etc")) -> Path | None:
    """A file of the configuration, as :func:`configured_key` looks for one; None if there is none of this name."""
    places = (folder / name for folder in (system / "mobilenet-edge", config_folder()))
    return next((place for place in places if _is_there(place)), None)


def _is_there(path: Path) -> bool:
    """Whether something has this name, or that cannot be found out."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def check_signature(
    manifest: bytes,
    signature: bytes | None,
    keys: Path,
    *,
    what: str = "The bundle",
    way: str = "edge bundle pack --sign KEY",
) -> None:
    """Refuse a manifest that none of the keys has signed.

    Args:
        manifest: The manifest's bytes.
        signature: The content of :data:`SIGNATURE`; None if there is none.
        keys: A file of one or more public keys; with several, an old key can be replaced step by step.
        what: What has to be signed, for messages.
        way: The command that signs it.

    Raises:
        SignatureError: There is no signature, a wrong one, or nothing to check it with.
    """
    trusted = public_keys(keys)
    if signature is None:
        raise SignatureError(f"{what} is not signed, and the key {keys} requires a signature: {way} makes one.")
    from cryptography.exceptions import InvalidSignature

    for key in trusted:
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            continue
        return
    raise SignatureError(f"{what}'s signature is not by a key in {keys}: it is of another origin, or was changed.")


def sign(manifest: bytes, key: Path) -> bytes:
    """The signature of a manifest, by the private key in a PEM file.

    Raises:
        SignatureError: The file holds no such key, or the library is missing.
    """
    return _private_key(key).sign(manifest)


def _private_key(path: Path) -> _PrivateKey:
    content = _read(path)
    _need_library(path)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError) as reason:  # no key, or one with a password
        raise _no_key(path, "private", f"openssl genpkey -algorithm ed25519 -out {path}") from reason
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private", f"openssl genpkey -algorithm ed25519 -out {path}")
    return key


def public_keys(path: Path) -> list[PublicKey]:
    """The public keys in a PEM file, at least one.

    Raises:
        SignatureError: The file holds none or something else, or the library is missing.
    """
    content = _read(path)
    _need_library(path)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        keys = [load_pem_public_key(pem) for pem in _PUBLIC.findall(content)]
    except ValueError as reason:
        raise _no_key(path, "public", f"openssl pkey -in KEY -pubout -out {path}") from reason
    if not keys or not all(isinstance(key, Ed25519PublicKey) for key in keys):
        raise _no_key(path, "public", f"openssl pkey -in KEY -pubout -out {path}")
    return [key for key in keys if isinstance(key, Ed25519PublicKey)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as reason:
        raise SignatureError(f"Cannot read the key {path}: {os_reason(reason)}.") from reason


def _need_library(key: Path) -> None:
    """Refuse to go on without the library: what cannot be checked is not accepted.

    Raises:
        SignatureError: It is not installed.
    """
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError as reason:
        raise SignatureError(failed_import(reason, f"The key {key}")) from reason


def _no_key(path: Path, kind: str, command: str) -> SignatureError:
    return SignatureError(f"{path} does not hold a {kind} Ed25519 key without password: {command} writes one.")
