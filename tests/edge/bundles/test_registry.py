"""Which version of a bundle is in use, and what is noted of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.bundles import registry
from edge.bundles.bundle import open_bundle
from edge.bundles.registry import (
    SYSTEM,
    Installed,
    bundles_folder,
    bundles_folders,
    find_installed,
    folder_of,
    installed_bundles,
    is_name,
    taught_folder,
)
from edge.errors import BundleError, OutputError
from tests.edge.conftest import make_manifest, write_bundle

ONE, TWO = "1" * 16, "2" * 16


@pytest.fixture
def tiny(tmp_path: Path) -> Installed:
    """A bundle without a version yet."""
    (tmp_path / "bundles/tiny").mkdir(parents=True)
    return Installed(home=tmp_path / "bundles/tiny")


def test_a_switch_keeps_the_version_before(tiny: Installed) -> None:
    switched = tiny.switch(ONE).switch(TWO)
    assert (switched.active, switched.previous) == (TWO, ONE)
    assert find_installed("tiny", (tiny.home.parent,)) == switched
    assert list(installed_bundles((tiny.home.parent,))) == [switched]


def test_switching_to_what_is_in_use_changes_nothing(tiny: Installed) -> None:
    switched = tiny.switch(ONE).switch(TWO)
    assert switched.switch(TWO) == switched


def test_the_shipped_one_has_no_version(tiny: Installed) -> None:
    assert (tiny.switch(ONE).switch(None).active, tiny.switch(ONE).switch(None).previous) == (None, ONE)


def test_a_switch_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        Installed(home=tmp_path / "none").switch(ONE)


@pytest.mark.parametrize(
    "state",
    ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "active": "../../etc", "previous": null}'],
)
def test_a_note_that_makes_no_sense_is_told(tiny: Installed, state: str) -> None:
    (tiny.home / "active.json").write_text(state)
    with pytest.raises(BundleError):
        find_installed("tiny", (tiny.home.parent,))


@pytest.mark.parametrize("name", ["", ".", "..", "../tiny", "a/b", ".hidden", "ä", "a b", "a" * 81, "tiny\n"])
def test_no_name_leads_elsewhere(tiny: Installed, name: str) -> None:
    tiny.switch(ONE)
    assert not is_name(name)
    assert find_installed(name, (tiny.home.parent, tiny.home)) is None


@pytest.mark.parametrize(
    ("variables", "user", "folder"),
    [
        ({"XDG_DATA_HOME": "/data"}, 0, Path("/data/mobilenet-edge/bundles")),
        ({"HOME": "/home/me"}, 1000, Path("/home/me/.local/share/mobilenet-edge/bundles")),
        ({"HOME": "/root"}, 0, SYSTEM),
    ],
)
def test_the_users_folder_comes_before_the_systems(
    variables: dict[str, str], user: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SYSTEM", SYSTEM)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bundles_folder() == folder
    assert bundles_folders() == tuple(dict.fromkeys((folder, SYSTEM, taught_folder())))


def test_what_is_taught_on_the_page_stands_for_no_bundle_of_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("demo", "birds", "taught-seen"):
        write_bundle((one := Installed(home=taught_folder() / name)).folder(ONE), make_manifest(name=name))
        one.switch(ONE)
    assert [one.name for one in installed_bundles()] == ["taught-seen"]
    assert find_installed("birds") is None and not open_bundle("demo").root.is_relative_to(tmp_path)
    assert open_bundle("taught-seen").root.is_relative_to(tmp_path) and folder_of("taught-seen") == taught_folder()
    assert folder_of("birds") == bundles_folder()


class TestOpening:
    @pytest.fixture
    def birds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        installed = Installed(home=bundles_folder() / "birds")
        write_bundle(installed.folder(ONE), make_manifest(name="birds"))
        return installed.switch(ONE)

    def test_an_installed_bundle_opens_by_its_name(self, birds: Installed) -> None:
        assert open_bundle("birds").root == birds.folder(ONE)

    def test_it_comes_before_a_shipped_one_while_it_is_in_use(self, birds: Installed) -> None:
        demo = Installed(home=birds.home.parent / "demo")
        write_bundle(demo.folder(TWO), make_manifest(name="demo"))
        switched = demo.switch(TWO)
        assert open_bundle("demo").root == demo.folder(TWO)
        switched.switch(None)
        assert open_bundle("demo").root != demo.folder(TWO)

    def test_an_unknown_name_is_answered_with_the_installed_ones(self, birds: Installed) -> None:
        with pytest.raises(BundleError, match=r"an installed or shipped one \(birds, demo\)"):
            open_bundle("brids")

    def test_folders_that_this_user_may_not_enter_hide_no_bundle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.stat

        def stat(path: str | Path, *rest: object, **options: object) -> os.stat_result:
            if str(path) == "demo" or str(path).endswith("active.json"):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *rest, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "stat", stat)
        assert open_bundle("demo").name == "demo"
