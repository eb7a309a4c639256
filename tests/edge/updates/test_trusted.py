"""Root installs bundles only where nobody else can make links."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import OutputError
from edge.updates.install import activate, roll_back
from edge.updates.trusted import check_trusted

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
OTHER = 65534


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder of bundles with one installed, as root makes it."""
    store = tmp_path / "mobilenet-edge" / "bundles"
    (store / "demo" / "versions").mkdir(parents=True)
    (store / "demo" / "active.json").write_text("{}")
    return store


def test_a_folder_of_root_is_trusted_also_before_it_exists_and_behind_a_link_of_root(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(store)
    for folder in (store, store / "more", tmp_path / "link"):
        check_trusted(folder)


@pytest.mark.parametrize("which", ["", "..", "demo", "demo/active.json"])
def test_what_belongs_to_another_user_is_refused(store: Path, which: str) -> None:
    path = Path(os.path.normpath(store / which))
    os.chown(path, OTHER, OTHER)
    with pytest.raises(OutputError) as raised:
        check_trusted(store)
    assert str(raised.value) == (
        f"Cannot install bundles in {store} as root: {path} belongs to user 65534, expected root alone. "
        f"Remove it, or: chown root {path}; chmod go-w {path}."
    )


def test_what_others_may_write_is_refused(store: Path) -> None:
    store.chmod(0o777)
    with pytest.raises(OutputError, match="bundles can be written by others, expected root alone"):
        check_trusted(store)
    store.chmod(0o1777)
    check_trusted(store)


def test_a_link_or_a_pipe_in_it_is_refused(store: Path) -> None:
    (store / ".lock").symlink_to("/etc/shadow")
    with pytest.raises(OutputError, match=r"\.lock is a link or a special file: remove it"):
        check_trusted(store)
    (store / ".lock").unlink()
    os.mkfifo(store / "demo" / "pipe")
    with pytest.raises(OutputError, match="pipe is a link or a special file"):
        check_trusted(store)


def test_a_folder_behind_a_link_counts_too(store: Path, tmp_path: Path) -> None:
    os.chown(store.parent, OTHER, OTHER)
    link = tmp_path / "link"
    link.symlink_to(store)
    with pytest.raises(OutputError, match="mobilenet-edge belongs to user 65534"):
        check_trusted(link)


def test_any_other_user_is_not_asked(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(store, OTHER, OTHER)
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    check_trusted(store)


@pytest.mark.parametrize("command", [activate, roll_back])
def test_nothing_is_written_before_the_check(store: Path, tmp_path: Path, command: Callable[..., object]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    (store / ".lock").symlink_to(secret)
    os.chown(store.parent, OTHER, OTHER)
    with pytest.raises(OutputError, match="belongs to user 65534"):
        command("demo", folder=store)
    assert secret.read_text() == "root's"
