"""Lock files: one holder at a time, whoever it is and however it ends, and nothing but a lock file is touched."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from edge.errors import OutputError
from edge.locks import locked

FORK = multiprocessing.get_context("fork")


def hold(path: Path, held: Event, release: Event) -> None:
    with locked(path, lambda: None):
        held.set()
        assert release.wait(30)


class TestTurns:
    def test_are_taken_between_processes(self, tmp_path: Path) -> None:
        held, release, waited = FORK.Event(), FORK.Event(), list[int]()
        other = FORK.Process(target=hold, args=(tmp_path / "lock", held, release))
        other.start()
        assert held.wait(30)

        def on_wait() -> None:
            waited.append(1)
            release.set()

        with locked(tmp_path / "lock", on_wait):
            pass
        other.join()
        assert (waited, other.exitcode) == ([1], 0)

    def test_are_not_waited_for_by_one_who_refuses(self, tmp_path: Path) -> None:
        def refuse() -> None:
            raise LookupError("held")

        lock = tmp_path / "lock"
        with locked(lock, refuse), pytest.raises(LookupError, match="held"), locked(lock, refuse):
            pass
        with locked(tmp_path / "lock", refuse):
            pass

    def test_end_with_a_holder_that_is_killed(self, tmp_path: Path) -> None:
        held, waited = FORK.Event(), list[int]()
        other = FORK.Process(target=hold, args=(tmp_path / "lock", held, FORK.Event()))
        other.start()
        assert held.wait(30)
        other.kill()
        other.join()
        with locked(tmp_path / "lock", lambda: waited.append(1)):
            assert waited == []


class TestPlace:
    def test_folder_is_made_and_the_file_stays(self, tmp_path: Path) -> None:
        with locked(tmp_path / "a/b/lock", lambda: None):
            pass
        assert (tmp_path / "a/b/lock").is_file()

    @pytest.mark.parametrize("link", [os.symlink, os.link])
    def test_a_link_to_another_file_is_refused_and_the_file_kept(self, tmp_path: Path, link: type) -> None:
        other = tmp_path / "important"
        other.write_text("root:important")
        link(other, tmp_path / "lock")
        message = "is a link or a special file, expected a lock file"
        with pytest.raises(OutputError, match=message), locked(tmp_path / "lock", lambda: None):
            pass
        assert other.read_text() == "root:important"

    def test_a_named_pipe_is_refused_without_opening_it(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "lock")
        with pytest.raises(OutputError, match="is a link or a special file"), locked(tmp_path / "lock", lambda: None):
            pass

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="is not a folder"), locked(tmp_path / "file/lock", lambda: None):
            pass
