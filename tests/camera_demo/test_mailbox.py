import threading

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
