import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_demo.mailbox import Mailbox


@given(st.lists(st.booleans(), max_size=60))
def test_a_reader_always_gets_the_newest_and_every_other_item_is_counted(puts: list[bool]) -> None:
    box: Mailbox[int] = Mailbox()
    written = taken = 0
    newest: int | None = None
    for is_put in puts:
        if is_put:
            written += 1
            newest = written
            box.put(newest)
        else:
            item = box.take(timeout_s=0)
            assert item == newest
            taken += item is not None
            newest = None
    assert written == taken + box.dropped + (newest is not None)


def test_a_slow_reader_never_sees_an_old_item() -> None:
    box: Mailbox[int] = Mailbox()

    def write() -> None:
        for number in range(10_000):
            box.put(number)
        box.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not box.is_finished:
        if (item := box.take(timeout_s=1)) is not None:
            seen.append(item)
    writer.join()
    assert seen == sorted(set(seen))
    assert seen[-1] == 9_999
    assert box.dropped == 10_000 - len(seen)


def test_a_waiting_reader_wakes_when_the_box_closes() -> None:
    box: Mailbox[int] = Mailbox()
    threading.Timer(0.02, box.close).start()
    assert box.take(timeout_s=10) is None
    assert box.is_finished


def test_the_last_item_comes_before_the_error() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.close(OSError("unplugged"))
    assert not box.is_finished
    assert box.take(timeout_s=0) == 1
    with pytest.raises(OSError, match="unplugged"):
        box.take(timeout_s=0)


@pytest.mark.parametrize(
    ("is_alive", "idle_s", "is_abandoned"), [(True, 9.0, False), (False, 9.0, True), (False, 1.0, False)]
)
def test_it_is_abandoned_once_the_program_ended_and_nothing_is_taken(
    monkeypatch: pytest.MonkeyPatch, is_alive: bool, idle_s: float, is_abandoned: bool
) -> None:
    now_s = [100.0]
    monkeypatch.setattr("camera_demo.mailbox.time.monotonic", lambda: now_s[0])
    box = Mailbox[str](is_lossy=False)
    box.put("first")
    monkeypatch.setattr("camera_demo.mailbox.threading.main_thread", lambda: SimpleNamespace(is_alive=lambda: is_alive))
    now_s[0] += idle_s
    assert box.is_abandoned() is is_abandoned
    if is_abandoned:
        box.put("second")  # does not wait for a reader
    assert (box.take(0), box.take(0)) == ("first", None)
    assert not box.is_abandoned(), "somebody takes again"
