"""``exec:``: commands that work, fail, hang, flood, and do not exist."""

from __future__ import annotations

import base64
import json
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_demo.actions import command
from camera_demo.actions.command import CommandAction
from camera_demo.actions.rules import parse_rule
from camera_demo.errors import ConfigError
from camera_demo.events import Event
from tests.waiting import eventually

Make = Callable[..., CommandAction]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[CommandAction] = []

    def make(text: str, **keys: Any) -> CommandAction:
        made.append(CommandAction(parse_rule({"run": f"exec:{text}", **keys}), "attic"))
        return made[-1]

    yield make
    for action in made:
        action.close()


def python(code: str, *arguments: str) -> str:
    return shlex.join([sys.executable, "-c", code, *arguments])


def is_gone(pid: int) -> bool:
    """Whether a process has ended; in a container, nobody may take note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_event_comes_as_arguments_and_as_json(tmp_path: Path, make: Make, make_event: Callable[..., Event]) -> None:
    seen = tmp_path / "seen"
    code = (
        "import json, os, sys; value = json.load(sys.stdin); value['arguments'] = sys.argv[2:]; "
        "value['environment'] = sorted(os.environ); "
        "open(sys.argv[1] + '.part', 'w').write(json.dumps(value)); os.rename(sys.argv[1] + '.part', sys.argv[1])"
    )
    label = 'it\'s "one" $(touch x); {region} &'
    action = make(
        python(code, str(seen), "{event}", "{label}", "--in={region}", "{unknown}", "{probability}"), picture=True
    )
    action.act(make_event(label, region="door"))
    eventually(seen.exists)
    value = json.loads(seen.read_text())
    assert value["arguments"][0] == "begin" and value["arguments"][2:] == ["--in=door", "{unknown}", "0.9700"]
    assert (value["label"], value["camera"], value["region_name"], value["best_frame"]) == (label, "attic", "door", 12)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(value["picture_jpeg"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (240, 320, 3)


def test_no_secret_of_ours_reaches_it(
    tmp_path: Path, make: Make, make_event: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_DEMO_TOKEN", "a secret")
    monkeypatch.setenv("MQTT_PASSWORD", "a secret")
    monkeypatch.setenv("BELL", "ding")
    seen = tmp_path / "seen"
    code = "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)) + '.')"
    make(python(code, str(seen))).act(make_event())
    eventually(lambda: seen.exists() and seen.read_text().endswith("."))
    assert "a secret" not in seen.read_text() and "ding" in seen.read_text()


def test_one_that_fails_is_logged_with_its_last_words_once(
    make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    action = make(python("import sys; print('one\\x1b[31m'); sys.exit('no bell')"))
    for _ in range(3):
        action.act(make_event())
        eventually(lambda: not action._running)
    assert [message for message in caplog.messages if "failed with exit code 1" in message] == [
        f"exec:{sys.executable} failed with exit code 1: one[31m no bell"
    ]


def test_one_that_talks_on_and_on_is_killed_as_well(
    make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    action = make(python("import time\nwhile True: print(end='.', flush=True); time.sleep(0.01)"), timeout_s=1)
    action.act(make_event())
    eventually(lambda: "was killed: it took longer than 1 s" in caplog.text)


def test_one_for_which_there_is_no_thread_is_told(
    make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    action = make("true")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        action.act(make_event())
    assert "was not run: can't start new thread" in caplog.text
    action.close()


def test_one_that_hangs_is_killed_with_its_children(
    tmp_path: Path, make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid} '); time.sleep(600)"
    )
    action = make(python(code, str(pids)), timeout_s=2)
    action.act(make_event())
    assert "was killed" not in caplog.text, "nobody waits for it"
    eventually(lambda: pids.exists() and pids.read_text().endswith(" "))
    eventually(lambda: "was killed: it took longer than 2 s" in caplog.text)
    eventually(lambda: all(is_gone(int(pid)) for pid in pids.read_text().split()))


def test_a_flood_of_output_is_cut_off(
    make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    make(python("import sys\nwhile True: sys.stdout.write('x' * 65536)")).act(make_event())
    eventually(lambda: "was killed: it wrote more than 1 MiB" in caplog.text)
    assert "xxx" not in caplog.text


def test_one_that_closes_its_output_and_works_on_is_waited_for(
    tmp_path: Path, make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    seen = tmp_path / "seen"
    code = "import os, sys, time; os.close(1); os.close(2); time.sleep(0.3); open(sys.argv[1], 'w'); os._exit(3)"
    make(python(code, str(seen))).act(make_event())
    eventually(lambda: "failed with exit code 3" in caplog.text)
    assert seen.exists()


def test_no_more_than_four_at_once(
    make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_FAREWELL_S", 0.1)
    action = make("sleep 600")
    for _ in range(20):
        action.act(make_event())
    assert len(action._running) == 4
    assert caplog.messages == ["exec:sleep was not run: 4 of it are still running"]
    action.close()
    assert not action._running, "killed at the end"


def test_what_cannot_be_a_command_is_refused_before_anything_is_seen(tmp_path: Path, make: Make) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    for text, message in (
        ("no-such-bell --loud", "There is no command 'no-such-bell': expected a program on the PATH"),
        (str(plain), f"There is no command '{plain}'"),
        (str(tmp_path), f"There is no command '{tmp_path}'"),
        ("bell 'unfinished", "this is not a command: no closing quotation"),
    ):
        with pytest.raises(ConfigError) as raised:
            make(text)
        assert message in str(raised.value)


def test_a_misspelled_value_is_refused_and_braces_of_its_own_are_left(
    tmp_path: Path, make: Make, make_event: Callable[..., Event]
) -> None:
    with pytest.raises(ConfigError, match=r"exec: unknown value \{lable\}: did you mean \{label\}\?"):
        make("/bin/echo {lable}")
    out = tmp_path / "out"
    code = "import sys; open(sys.argv[1], 'w').write(' '.join(sys.argv[2:]))"
    make(python(code, str(out), "{print}", "{label}")).act(make_event("{region}"))
    eventually(lambda: out.is_file() and out.read_text() == "{print} {region}")


def test_one_that_vanished_meanwhile_is_logged(
    tmp_path: Path, make: Make, make_event: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "bell"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    action = make(str(script))
    script.unlink()
    action.act(make_event())
    eventually(lambda: "cannot be run: no such file or directory" in caplog.text)
