"""Signatures that are right, wrong, missing, or cannot be checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import SignatureError
from edge.updates.signature import check_signature, configured_key, sign

MANIFEST = b'{"name": "birds"}\n'


def make_keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """A private and its public key, as OpenSSL writes them."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made, private, public = Ed25519PrivateKey.generate(), folder / f"{name}.pem", folder / f"{name}.pub"
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(made.private_bytes(pem, *form))
    public.write_bytes(made.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def complaint(manifest: bytes, signature: bytes | None, keys: Path) -> str:
    with pytest.raises(SignatureError) as refused:
        check_signature(manifest, signature, keys)
    return str(refused.value)


def test_what_the_key_signed_is_taken(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path)
    made = sign(MANIFEST, private)
    assert len(made) == 64
    check_signature(MANIFEST, made, public)


def test_the_signature_is_openssls(tmp_path: Path) -> None:
    """Keys and signatures of OpenSSL's program are taken, and ours by it."""
    private, public, manifest, signature = (tmp_path / name for name in ("k.pem", "k.pub", "manifest.json", "m.sig"))
    manifest.write_bytes(MANIFEST)
    signing = ("pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", manifest, "-out", signature)
    try:
        openssl("genpkey", "-algorithm", "ed25519", "-out", private)
        openssl("pkey", "-in", private, "-pubout", "-out", public)
        openssl(*signing)
    except (FileNotFoundError, subprocess.CalledProcessError) as reason:
        pytest.skip(f"there is no openssl that knows Ed25519: {reason}")
    check_signature(MANIFEST, signature.read_bytes(), public)
    assert sign(MANIFEST, private) == signature.read_bytes()


def test_any_of_several_keys_will_do(tmp_path: Path) -> None:
    (old, old_public), (new, new_public) = make_keys(tmp_path, "old"), make_keys(tmp_path, "new")
    both = tmp_path / "bundle.pub"
    both.write_bytes(old_public.read_bytes() + b"\n# since May\n" + new_public.read_bytes())
    for key in (old, new):
        check_signature(MANIFEST, sign(MANIFEST, key), both)


def test_a_changed_manifest_another_key_and_rubbish_are_refused(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path)
    made, others = sign(MANIFEST, private), sign(MANIFEST, make_keys(tmp_path, "other")[0])
    told = f"The bundle's signature is not by a key in {public}: it is of another origin, or was changed."
    for manifest, signature in ((MANIFEST + b" ", made), (MANIFEST, others), (MANIFEST, b""), (MANIFEST, bytes(64))):
        assert complaint(manifest, signature, public) == told


def test_without_a_signature_there_is_no_passing(tmp_path: Path) -> None:
    public = make_keys(tmp_path)[1]
    told = (
        f"The bundle is not signed, and the key {public} requires a signature: edge bundle pack --sign KEY makes one."
    )
    assert complaint(MANIFEST, None, public) == told


@pytest.mark.parametrize("content", [b"", b"rubbish", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_without_a_key_lets_nothing_pass(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bundle.pub"
    path.write_bytes(content)
    assert complaint(MANIFEST, bytes(64), path) == (
        f"{path} does not hold a public Ed25519 key without password: "
        f"openssl pkey -in KEY -pubout -out {path} writes one."
    )


def test_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    made, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    public, private = tmp_path / "k.pub", tmp_path / "k.pem"
    public.write_bytes(made.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    form = serialization.PrivateFormat.PKCS8
    for secret in (serialization.NoEncryption(), serialization.BestAvailableEncryption(b"secret")):
        private.write_bytes(made.private_bytes(pem, form, secret))
        with pytest.raises(SignatureError, match="does not hold a private Ed25519 key without password"):
            sign(MANIFEST, private)
    assert "does not hold a public Ed25519 key" in complaint(MANIFEST, bytes(64), public)


def test_a_key_that_cannot_be_read_lets_nothing_pass(tmp_path: Path) -> None:
    told = complaint(MANIFEST, bytes(64), tmp_path / "bundle.pub")
    assert told == f"Cannot read the key {tmp_path / 'bundle.pub'}: no such file or directory."


def test_without_the_library_nothing_passes_unchecked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = make_keys(tmp_path)
    made = sign(MANIFEST, private)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    told = complaint(MANIFEST, made, public)
    assert told == f"The key {public} needs cryptography, which is not installed: ./install.sh --with signing."
    with pytest.raises(SignatureError, match="needs cryptography, which is not installed"):
        sign(MANIFEST, private)


def test_a_key_that_cannot_be_read_counts_as_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    key = tmp_path / "config/mobilenet-edge/bundle.pub"
    key.parent.mkdir(parents=True)
    key.symlink_to(tmp_path / "usb/bundle.pub")
    assert configured_key(tmp_path / "etc") == key
    assert complaint(MANIFEST, bytes(64), key) == f"Cannot read the key {key}: no such file or directory."

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", denied)
    assert configured_key(tmp_path / "etc") == tmp_path / "etc/mobilenet-edge/bundle.pub"


def test_the_systems_key_comes_before_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert configured_key(tmp_path / "etc") is None
    for folder in (tmp_path / "config", tmp_path / "etc"):
        (folder / "mobilenet-edge").mkdir(parents=True)
        (folder / "mobilenet-edge/bundle.pub").touch()
        assert configured_key(tmp_path / "etc") == folder / "mobilenet-edge/bundle.pub"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config/mobilenet-edge").mkdir(parents=True)
    (tmp_path / ".config/mobilenet-edge/bundle.pub").touch()
    assert configured_key(tmp_path / "nowhere") == tmp_path / ".config/mobilenet-edge/bundle.pub"
