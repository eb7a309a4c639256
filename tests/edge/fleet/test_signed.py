"""Signed files: what a trusted key signed, and nothing else."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from edge.errors import ChannelError, EdgeError, SignatureError
from edge.fleet.signed import key_id, open_envelope, public_key_of, read_keys, seal
from tests.edge.updates.test_signature import make_keys, openssl

TEXT = '{"name": "Vögel"}\n'


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path)


def opened(content: bytes | str, *trusted: str) -> str:
    return open_envelope(content if isinstance(content, bytes) else content.encode(), trusted, "Channel file x")


def refused(content: bytes | str, *trusted: str, kind: type[EdgeError] = SignatureError) -> str:
    with pytest.raises(kind) as error:
        opened(content, *trusted)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_a_trusted_key_signed_is_taken(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    [key] = read_keys(public)
    assert key == public_key_of(private)
    other = make_keys(tmp_path, "other")
    assert opened(seal(TEXT, [private]), key) == TEXT
    assert opened(seal(TEXT, [other[0], private]), key) == TEXT
    assert opened(seal(TEXT, [private]), *read_keys(other[1]), key) == TEXT


def test_the_signature_is_openssls(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    sealed = json.loads(seal(TEXT, [keys[0]]))
    assert len(sealed["signatures"][0]["keyid"]) == 16
    (tmp_path / "text").write_text(sealed["payload"], encoding="utf-8")
    (tmp_path / "sig").write_bytes(base64.b64decode(sealed["signatures"][0]["signature"]))
    checking = ("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", keys[1], "-in", tmp_path / "text")
    try:
        openssl("version")
    except (FileNotFoundError, subprocess.CalledProcessError) as reason:
        pytest.skip(f"there is no openssl: {reason}")
    openssl(*checking, "-sigfile", tmp_path / "sig")


def test_a_file_that_is_cut_short(keys: tuple[Path, Path]) -> None:
    content = seal(TEXT, [keys[0]])
    [key] = read_keys(keys[1])
    for length in (0, 1, len(content) // 2, len(content) - 3):
        assert "damaged or cut short" in refused(content[:length], key, kind=ChannelError)
    assert "expected the keys payload and signatures" in refused("{}", key, kind=ChannelError)
    assert "holds a JSON list" in refused("[]", key, kind=ChannelError)


def test_a_file_that_nobody_signed(keys: tuple[Path, Path]) -> None:
    [key] = read_keys(keys[1])
    assert "is not signed" in refused(json.dumps({"payload": TEXT, "signatures": []}), key)
    assert "is not signed" in refused(json.dumps({"name": "birds", "serial": 1, "releases": []}), key)


def test_a_file_that_another_key_signed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    [key] = read_keys(keys[1])
    other, public = make_keys(tmp_path, "other")
    message = refused(seal(TEXT, [other]), key)
    assert f"by {key_id(read_keys(public)[0])}, expected {key_id(key)}" in message
    pretended = json.loads(seal(TEXT, [other]))
    pretended["signatures"][0]["keyid"] = key_id(key)
    refused(json.dumps(pretended), key)


@pytest.mark.parametrize("signature", [None, 7, [], "", "é", "AAAA", "A" * 88, {"keyid": 7}, {"signature": 7}])
def test_a_signature_that_is_none(keys: tuple[Path, Path], signature: object) -> None:
    [key] = read_keys(keys[1])
    sealed = json.loads(seal(TEXT, [keys[0]]))
    if isinstance(signature, dict):
        sealed["signatures"][0] |= signature
    else:
        sealed["signatures"][0]["signature"] = signature
    refused(json.dumps(sealed), key)
    refused(json.dumps(sealed | {"signatures": [signature]}), key)


def test_a_text_that_was_changed(keys: tuple[Path, Path]) -> None:
    sealed = json.loads(seal(TEXT, [keys[0]]))
    for changed in (TEXT + " ", TEXT.replace("V", "W"), "", "\ud800"):
        refused(json.dumps(sealed | {"payload": changed}), *read_keys(keys[1]))


def test_a_key_that_is_none() -> None:
    for text in ("", "AAAA", "é" * 40, base64.b64encode(b"x" * 33).decode()):
        with pytest.raises(ValueError, match="not a public Ed25519 key"):
            key_id(text)
