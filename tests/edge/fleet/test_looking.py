"""A channel as anybody sees it, and when its host's certificate expires."""

from __future__ import annotations

import ssl
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.errors import ChannelError, DownloadError, SignatureError
from edge.fleet.keys import take_key
from edge.fleet.looking import look_at, own_key
from tests.edge.file_server import certificate
from tests.edge.fleet.conftest import Operator
from tests.edge.fleet.site import Site


def test_a_channel_is_seen_on_its_host_and_in_its_folder(operator: Operator, site: Site) -> None:
    operator.publish(label="one")
    for place in (site.url, str(operator.folder)):
        looked = look_at(place, operator.public)
        assert looked.channel == operator.read() and looked.certificate_expires is None
    assert look_at(site.url).channel == operator.read(), "without a key it is taken as it is"


def test_the_certificate_of_the_host_is_looked_at(operator: Operator, site: Site, tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    server, file = certificate(tmp_path / "tls")
    site.socket = server.wrap_socket(site.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=str(file))
    looked = look_at(site.url.replace("http:", "https:"), operator.public, context=trusting)
    decoded = ssl._ssl._test_decode_cert(str(file))  # type: ignore[attr-defined]
    expected = datetime.fromtimestamp(ssl.cert_time_to_seconds(decoded["notAfter"]), timezone.utc)
    assert looked.certificate_expires == expected
    with pytest.raises(DownloadError, match="certificate"):
        look_at(site.url.replace("http:", "https:"), operator.public)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON"),
        ("{}", "is another file: expected the keys payload and signatures"),
        ('{"payload": 3, "signatures": []}', "is another file"),
        ('{"payload": "{}", "signatures": [{}]}', "schema"),
        ('{"payload": "x", "signatures": [{}]}', "is not JSON"),
        ('{"payload": "{}", "signatures": []}', "is not signed"),
        ('{"serial": 3}', "is not signed"),
    ],
)
def test_what_is_no_channel_is_said(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "channel.json").write_text(content)
    with pytest.raises((ChannelError, SignatureError), match=words):
        look_at(str(tmp_path))


def test_with_a_key_only_what_it_signed_is_shown(operator: Operator, tmp_path: Path) -> None:
    other = take_key(tmp_path / "other" / "k.pem", operator.folder)
    with pytest.raises(SignatureError, match="not signed by a key that is trusted here"):
        look_at(str(operator.folder), other.public)


def test_without_a_key_that_of_this_user_counts(
    operator: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("edge.fleet.looking.configured_file", lambda name: None)
    assert own_key("birds") is None and own_key("../up") is None
    assert not look_at(site.url, find_key=own_key).is_checked
    made = tmp_path / "config" / "mobilenet-edge" / "channel-birds.pub"
    made.parent.mkdir(parents=True)
    made.write_bytes(operator.public.read_bytes())
    assert own_key("birds") == made and own_key("cats") is None
    assert look_at(site.url, find_key=own_key).is_checked
    assert look_at(site.url, operator.public).is_checked
    made.write_bytes(take_key(tmp_path / "other" / "k.pem", operator.folder).public.read_bytes())
    with pytest.raises(SignatureError, match="not signed by a key that is trusted here"):
        look_at(site.url, find_key=own_key)
    monkeypatch.setattr("edge.fleet.looking.configured_file", lambda name: tmp_path / name)
    assert own_key("cats") == tmp_path / "channel.pub", "a board's own"
