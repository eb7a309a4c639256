"""Where the package keeps what belongs to a user."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.paths import cache_folder, config_folder, data_folder, state_folder

Folder = Callable[[], Path]
FOLDERS = (
    (cache_folder, "XDG_CACHE_HOME", ".cache"),
    (config_folder, "XDG_CONFIG_HOME", ".config"),
    (data_folder, "XDG_DATA_HOME", ".local/share"),
    (state_folder, "XDG_STATE_HOME", ".local/state"),
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, variable, _ in FOLDERS:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("folder", "variable", "below_home"), FOLDERS)
class TestFolders:
    def test_follow_their_variable(
        self, folder: Folder, variable: str, below_home: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, "/data")
        assert folder() == Path("/data/mobilenet-edge")

    @pytest.mark.parametrize("value", [None, ""])
    def test_are_below_home_by_default(
        self, folder: Folder, variable: str, below_home: str, value: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", "/home/pi")
        if value is not None:
            monkeypatch.setenv(variable, value)
        assert folder() == Path("/home/pi", below_home, "mobilenet-edge")

    def test_are_the_users_own_without_home(
        self, folder: Folder, variable: str, below_home: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HOME", raising=False)
        entry = pwd.struct_passwd(("ada", "x", 1000, 1000, "", "/home/ada", "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
        assert folder() == Path("/home/ada", below_home, "mobilenet-edge")

    def test_are_nowhere_for_a_user_without_a_home(
        self, folder: Folder, variable: str, below_home: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(uid: int) -> pwd.struct_passwd:
            raise KeyError(uid)

        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert folder() == Path("/nonexistent", below_home, "mobilenet-edge")
