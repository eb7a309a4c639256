"""``channel.toml``: which channel, and who this board is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ChannelError
from edge.fleet.config import ChannelConfig, configured_channel


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for folder in ("etc", "home"):
        (tmp_path / folder / "mobilenet-edge").mkdir(parents=True)
    return tmp_path / "etc"


def test_every_setting_is_read(etc: Path) -> None:
    values = (
        ("url", "https://x/channel.json"),
        ("key", "/k.pub"),
        ("board", "a"),
        ("group", "lab"),
        ("broker", "mqtt://b"),
    )
    (etc / "mobilenet-edge/channel.toml").write_text("".join(f'{name} = "{value}"\n' for name, value in values))
    config = configured_channel(system=etc)
    assert config == ChannelConfig(**dict(values))
    assert (config.this_board().id, config.this_board().group) == ("a", "lab")


def test_the_systems_file_counts_before_the_users(etc: Path) -> None:
    assert configured_channel(system=etc) == ChannelConfig()
    (etc.parent / "home/mobilenet-edge/channel.toml").write_text('url = "https://mine/c.json"\n')
    assert configured_channel(system=etc).url == "https://mine/c.json"
    (etc / "mobilenet-edge/channel.toml").write_text('url = "https://ours/c.json"\n')
    assert configured_channel(system=etc).url == "https://ours/c.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ulr = "x"', r"unknown key 'ulr': did you mean 'url'\?"),
        ("mood = 1", "unknown key 'mood': expected one of url, key, board, group, broker"),
        ("url = 7", "invalid url: expected text in quotes"),
        ("url = [", "is not TOML"),
        ("[channel]\nurl = 'x'", "unknown key 'channel'"),
    ],
)
def test_what_makes_no_sense_is_one_line(etc: Path, text: str, message: str) -> None:
    path = etc / "mobilenet-edge/channel.toml"
    path.write_text(text)
    with pytest.raises(ChannelError, match=message) as error:
        configured_channel(system=etc)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_no_name(etc: Path) -> None:
    with pytest.raises(ChannelError, match="Cannot read configuration"):
        configured_channel(etc / "none.toml")
    with pytest.raises(ChannelError, match=r"Invalid name of this board: board is 'a/b'"):
        ChannelConfig(board="a/b").this_board()
