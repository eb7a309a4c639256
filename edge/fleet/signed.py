"""Text and who signed it, in one file, so that a text and a signature can never come from two moments.

The form is like that of DSSE: ``payload`` is the text, exactly the signed bytes in UTF-8, and ``signatures`` holds an
Ed25519 signature of it (RFC 8032) by each key, in base64, with the key's id: the first 16 hexadecimal digits of the
SHA-256 of its 32 bytes. ``jq -j .payload`` writes what ``openssl pkeyutl -verify -rawin`` checks.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edge.errors import ChannelError, SignatureError, UntrustedKeyError
from edge.json_files import parse_json, to_json
from edge.updates.signature import public_keys, sign

__all__ = ["key_id", "key_ids", "open_envelope", "public_key_of", "read_envelope", "read_keys", "seal"]

_MOST_SIGNATURES: Final = 20
_KEY_BYTES: Final = 32


def read_keys(path: Path) -> tuple[str, ...]:
    """The public keys in a PEM file, each in base64.

    Raises:
        SignatureError: There are none, or the library that reads them is missing.
    """
    return tuple(base64.b64encode(key.public_bytes_raw()).decode() for key in public_keys(path))


def key_id(key: str) -> str:
    """What a public key, given in base64, is called.

    Raises:
        ValueError: It is no Ed25519 key.
    """
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"{key[:60]!r} is not a public Ed25519 key: expected its 32 bytes in base64")
    return hashlib.sha256(raw).hexdigest()[:16]


def key_ids(keys: Sequence[str]) -> tuple[str, ...]:
    """What several public keys are called, in a fixed order."""
    return tuple(sorted(key_id(key) for key in keys))


def public_key_of(private: Path) -> str:
    """The public key, in base64, that belongs to the private one in a PEM file.

    Raises:
        SignatureError: The file holds no such key.
    """
    sign(b"", private)  # explains what is wrong with the file, if anything is
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(private.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def seal(payload: str, keys: Sequence[Path]) -> str:
    """The file that holds ``payload`` signed by each of the private keys.

    Raises:
        SignatureError: One of the files holds no private key.
    """
    signatures = [
        {"keyid": key_id(public_key_of(key)), "signature": base64.b64encode(sign(payload.encode(), key)).decode()}
        for key in keys
    ]
    return to_json({"payload": payload, "signatures": signatures})


def read_envelope(content: bytes, what: str) -> tuple[str, list[Any]]:
    """The text in a signed file and its signatures, unchecked.

    Raises:
        ChannelError: It is cut short, or another file.
        SignatureError: There are no signatures.
    """
    values = parse_json(content, what, ChannelError)
    payload, signatures = values.get("payload"), values.get("signatures")
    if "payload" not in values and ("releases" in values or "serial" in values):
        signatures, payload = [], ""  # the text alone
    if not isinstance(payload, str) or not isinstance(signatures, list):
        raise ChannelError(f"{what} is another file: expected the keys payload and signatures.")
    if not signatures:
        raise SignatureError(f"{what} is not signed: edge channel publish writes signed ones.")
    return payload, signatures


def open_envelope(content: bytes, trusted: Sequence[str], what: str) -> str:
    """The text in a signed file, if one of the trusted keys signed it.

    Args:
        content: The file.
        trusted: Public keys in base64.
        what: What it is, to begin a message with: "Channel file URL".

    Raises:
        ChannelError: It is cut short, or another file.
        SignatureError: There are no signatures.
        UntrustedKeyError: No trusted key signed it.
    """
    payload, signatures = read_envelope(content, what)
    data = payload.encode("utf-8", "surrogatepass")
    if not any(_is_by(key, data, signature) for signature in signatures[:_MOST_SIGNATURES] for key in trusted):
        signers = ", ".join(str(one.get("keyid"))[:16] for one in signatures[:3] if isinstance(one, dict))
        raise UntrustedKeyError(
            f"{what} is not signed by a key that is trusted here: it is by {signers or 'nobody'}, expected "
            f"{' or '.join(key_ids(trusted))}. It is of another origin, was changed, or the key was replaced."
        )
    return payload


def _is_by(key: str, data: bytes, signature: Any) -> bool:
    if not isinstance(signature, dict) or signature.get("keyid") != key_id(key):
        return False
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    with contextlib.suppress(InvalidSignature, ValueError):
        made = base64.b64decode(str(signature.get("signature")), validate=True)
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(made, data)
        return True
    return False
