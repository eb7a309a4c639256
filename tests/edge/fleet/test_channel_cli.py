"""``edge channel``: what an operator and a board type, and the lines they get."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.cli import app
from edge.fleet.state import read_state
from tests.edge.file_server import says
from tests.edge.fleet.site import Site, hosting
from tests.edge.small_demo import write_small_demo

pytestmark = pytest.mark.usefixtures("quick_test")


class Console:
    """Runs the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._patch.setattr(sys, "argv", ["edge", "channel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        out, err = self._capture.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    def good(self, *arguments: object) -> str:
        code, out, err = self(*arguments)
        assert (code, err) == (0, "")
        return out

    def values(self, *arguments: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.good(*arguments, "--json"))
        return found

    def bad(self, *arguments: object) -> str:
        code, out, err = self(*arguments)
        assert (code, out) == (1, "")
        assert len(err.splitlines()) == 1, "one line"
        return err


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Console:
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setattr("edge.updates.signature.configured_key", lambda: None)
    return Console(monkeypatch, capsys)


@pytest.fixture
def www(tmp_path: Path, edge: Console) -> Path:
    edge.good("init", tmp_path / "www", "--name", "birds")
    return tmp_path / "www"


@pytest.fixture
def site(www: Path) -> Iterator[Site]:
    with hosting(www) as site:
        site.date = datetime.now(timezone.utc)
        yield site


def bundle(tmp_path: Path, number: int = 0) -> Path:
    return write_small_demo(tmp_path / f"b{number}", created=f"2026-01-01T00:00:{number:02}+00:00")


def test_a_channel_from_nothing(edge: Console, tmp_path: Path) -> None:
    out = edge.good("init", tmp_path / "www", "--name", "birds")
    key = tmp_path / "CONFIG/mobilenet-edge/channel-birds.pem"
    assert key.is_file()
    assert f"Private key (made): {key}" in out
    assert f"Public key, for the boards: {key.with_suffix('.pub')}" in out
    assert "has a channel already" in edge.bad("init", tmp_path / "www", "--name", "birds")
    before = sorted(tmp_path.rglob("*"))
    assert "has a channel already" in edge.bad("init", tmp_path / "www", "--name", "other")
    for name in ("../../up", "", "x" * 300, "a b"):
        assert "Invalid name of a channel" in edge.bad("init", tmp_path / "www", "--name", name)
    assert "There is no key 00" in edge.bad("rotate", tmp_path / "www", "--to", tmp_path / "new.pem", "--retire", "00")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--days", "0"), "cannot last 0 days"),
        (("--name", "a b", "--key", "KEYS/k.pem"), "Cannot begin the channel"),
        (("--key", "FOLDER/k.pem"), "would be served"),
        (("--key", "damaged.pem"), "damaged.pem"),
    ],
)
@pytest.mark.parametrize("is_there", [False, True])
def test_a_channel_that_is_refused_leaves_nothing(
    edge: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
    is_there: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.pem").write_text("not a key")
    if is_there:
        Path("srv/FOLDER").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    options = tuple(one.replace("FOLDER", "srv/FOLDER") for one in options)
    assert message in edge.bad("init", "srv/FOLDER", "--name", "birds", *options)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_made_leaves_no_key(edge: Console, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    assert "Cannot write" in edge.bad("init", tmp_path / "file" / "www", "--name", "birds")
    assert "There is no channel" in edge.bad("renew", tmp_path, "--key", tmp_path / "file")
    assert sorted(tmp_path.rglob("*")) == before


def test_publishing_promoting_and_following(edge: Console, tmp_path: Path, www: Path, site: Site) -> None:
    public = tmp_path / "CONFIG/mobilenet-edge/channel-birds.pub"
    follow = ("follow", site.url, "--key", public, "--board", "attic", "--group", "lab")
    out = edge.good("publish", www, bundle(tmp_path), "--label", "one", "--ring", "lab=@other", "--ring", "all=100")
    assert "lab (other)" in out
    assert "yes" in out
    assert f"The next ring: edge channel promote {www}" in out
    assert "no version of small is installed; nothing to do" in edge.good(*follow)
    assert "The next ring" not in edge.good("promote", www)
    assert "(one) of small is in use; new, and watched" in edge.good(*follow)
    state = edge.values(*follow)
    assert state == json.loads(json.dumps(read_state(tmp_path / "DATA/mobilenet-edge").to_dict()))  # type: ignore[union-attr]
    assert (state["board_id"], state["group"], state["ring"]) == ("attic", "lab", "all")
    edge.good("pause", www, "--reason", "heat")
    edge.good("resume", www)
    assert "is withdrawn: slow" in edge.good("withdraw", www, "one", "--reason", "slow")
    assert "lasts" not in edge.good("renew", www, "--days", "30")


def test_the_configuration_stands_for_the_options(edge: Console, tmp_path: Path, site: Site) -> None:
    folder = tmp_path / "CONFIG/mobilenet-edge"
    assert "There is no channel to follow: give its URL, or set url" in edge.bad("follow")
    (folder / "channel.toml").write_text(f'url = "{site.url}"\nboard = "attic"\n')
    assert "There is no key to check the channel with: give --key" in edge.bad("follow")
    (folder / "channel-birds.pub").rename(folder / "channel.pub")
    assert edge.values("follow")["board_id"] == "attic"
    assert edge.values("follow", "--board", "cellar")["board_id"] == "cellar"


def test_options_of_a_release(edge: Console, tmp_path: Path, www: Path) -> None:
    options = ("--gate", "minutes=5", "--gate", "blames_heat=true", "--min-version", "0.1.0", "--backend", "litert")
    release = edge.values("publish", www, bundle(tmp_path), *options, "--not-before", "2026-12-01T02:00:00+01:00")
    assert (release["gate"]["minutes"], release["gate"]["blames_heat"]) == (5.0, True)
    assert release["runtime"] == {"minimum": "0.1.0", "backends": ["litert"]}
    assert release["not_before"] == "2026-12-01T01:00:00Z"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ring", "all=120"), "share of 120 %"),
        (("--ring", "a=50", "--ring", "b=20"), "is not larger than ring a"),
        (("--gate", "heat=5"), "invalid --gate 'heat=5': expected NAME=VALUE, with one of minutes"),
        (("--gate", "minutes=long"), "invalid --gate 'minutes=long': expected a value as 30.0"),
        (("--gate", "max_late_share=7"), "max_late_share is 7"),
        (("--not-before", "soon"), "Cannot publish"),
        (("--not-before", "2026-12-01T02:00:00"), "has no time zone"),
        (("--min-version", "new"), "expected a version as 0.2.0"),
        (("--url", "a b"), "url is 'a b'"),
    ],
)
def test_what_cannot_be_published(
    edge: Console, tmp_path: Path, www: Path, options: tuple[str, ...], message: str
) -> None:
    before = (www / "channel.json").read_bytes()
    assert message in edge.bad("publish", www, bundle(tmp_path), *options)
    assert (www / "channel.json").read_bytes() == before


def test_no_channel_or_no_key(edge: Console, tmp_path: Path, www: Path) -> None:
    assert "There is no channel in" in edge.bad("promote", tmp_path)
    (tmp_path / "CONFIG/mobilenet-edge/channel-birds.pem").unlink()
    assert "give it with --key" in edge.bad("promote", www)
    assert "Cannot read the key" in edge.bad("promote", www, "--key", tmp_path / "none")


def test_rotating(edge: Console, tmp_path: Path, www: Path) -> None:
    assert "Nothing to change" in edge.bad("rotate", www)
    new = tmp_path / "new.pem"
    keys = edge.values("rotate", www, "--to", new)["keys"]
    assert len(keys) == 2
    from edge.fleet.signed import key_id

    both = ("--key", tmp_path / "CONFIG/mobilenet-edge/channel-birds.pem", "--key", new)
    assert edge.values("rotate", www, *both, "--retire", key_id(keys[0]))["keys"] == keys[1:]


def test_watching_goes_on_after_an_error(
    edge: Console, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("edge.fleet.requests.wait_for_request", wait)
    site.bad["channel.json"] = [says(404)]
    public = tmp_path / "CONFIG/mobilenet-edge/channel-birds.pub"
    code, out, err = edge("follow", site.url, "--key", public, "--board", "a", "--watch", "--every", "10")
    assert code == 130
    assert err.splitlines()[0].startswith("note: Cannot fetch")
    assert out.count("no version is installed") == 2
    assert all(450 <= wait <= 750 for wait in waits)
    assert len(set(waits)) == 3, "a fleet does not come at once"
