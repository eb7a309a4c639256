"""``exec:COMMAND``: a program, with the event as arguments and as JSON on its standard input. No shell."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from camera_demo.actions.base import Complaints, message
from camera_demo.actions.rules import Rule
from camera_demo.errors import ConfigError
from camera_demo.events import Event
from edge.errors import os_reason

__all__ = ["CommandAction"]

_AT_ONCE: Final = 4
"""Processes of one rule at the same time; events beyond are left out, which is said."""
_MOST_OUTPUT_BYTES: Final = 1 << 20
_TAIL_BYTES: Final = 300
_POLL_S: Final = 0.05
_FAREWELL_S: Final = 5.0
_NAMES: Final = ("event", "label", "region", "number", "probability")
_BRACED: Final = re.compile(r"\{(\w+)\}")
_SECRETS: Final = ("CAMERA_DEMO_TOKEN", "MQTT_PASSWORD")


class CommandAction:
    """Runs a command for each event, in a thread and a session of its own.

    One that takes too long or floods its output is killed with its children.
    """

    def __init__(self, rule: Rule, camera: str) -> None:
        """Check that the command exists.

        Args:
            rule: The rule whose target is the command.
            camera: The camera's name.

        Raises:
            ConfigError: The command is missing, cannot be run, its quotes do not match, or a value is misspelled.
        """
        try:
            self._arguments = shlex.split(rule.target)
        except ValueError as reason:
            raise ConfigError(f"exec: this is not a command: {str(reason).lower()}.") from None
        program = self._arguments[0] if self._arguments else ""
        if shutil.which(program) is None:
            raise ConfigError(f"There is no command '{program}': expected a program on the PATH, or its whole path.")
        for name in _BRACED.findall(rule.target):
            near = difflib.get_close_matches(name.lower(), _NAMES, 1, cutoff=0.7)
            if near and name not in _NAMES:  # other braces are the command's own
                raise ConfigError(f"exec: unknown value {{{name}}}: did you mean {{{near[0]}}}?")
        self._rule, self._camera = rule, camera
        self._complaints = Complaints(f"exec:{program}")
        self._lock, self._stop_s = threading.Lock(), float("inf")
        self._running: set[threading.Thread] = set()

    def act(self, event: Event) -> None:
        """Start the command, unless too many of it still run."""
        thread = threading.Thread(target=self._run, args=(event,), name=f"exec {event.label}", daemon=True)
        with self._lock:
            is_full = len(self._running) >= _AT_ONCE
            if not is_full:
                self._running.add(thread)
        if is_full:
            self._complaints.say(f"was not run: {_AT_ONCE} of it are still running")
            return
        try:
            thread.start()
        except RuntimeError as reason:  # no more threads
            with self._lock:
                self._running.discard(thread)
            self._complaints.say(f"was not run: {reason}")

    def close(self) -> None:
        """Wait a moment for what runs, then kill it."""
        self._stop_s = min(self._stop_s, time.monotonic() + _FAREWELL_S)
        with self._lock:
            running = list(self._running)
        for thread in running:
            thread.join(2 * _FAREWELL_S)

    def _run(self, event: Event) -> None:
        try:
            arguments = [_filled(argument, event) for argument in self._arguments]
            reason = self._outcome(arguments, message(event, self._camera, has_picture=self._rule.picture))
        except OSError as error:
            reason = f"cannot be run: {os_reason(error)}"
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())
        if reason:
            self._complaints.say(reason)

    def _outcome(self, arguments: Sequence[str], data: bytes) -> str:
        """Run it to its end, and say why it failed; empty if it did not."""
        with tempfile.TemporaryFile() as given:  # so that nobody waits for one that does not read
            given.write(data)
            given.seek(0)
            process = subprocess.Popen(
                arguments,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(os.environ),
            )
        try:
            cause, tail = self._watched(process)
        finally:
            if process.stdout is not None:
                process.stdout.close()
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not cause and process.returncode:
            cause = f"failed with exit code {process.returncode}"
        return f"{cause}: {tail}" if cause and tail else cause

    def _watched(self, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Read its output until it ends, or must be killed: why, and the end of the output."""
        assert process.stdout is not None
        output = process.stdout.fileno()
        os.set_blocking(output, False)
        end_s, taken, tail, is_open = time.monotonic() + self._rule.timeout_s, 0, b"", True
        while True:
            is_over = process.poll() is not None  # before reading, so that its last words are read
            while is_open and select.select([output], [], [], 0.0 if is_over else _POLL_S)[0]:
                part = os.read(output, 65_536)
                taken, tail, is_open = taken + len(part), (tail + part)[-_TAIL_BYTES:], bool(part)
                if taken > _MOST_OUTPUT_BYTES or time.monotonic() >= min(end_s, self._stop_s):
                    break
            text = tail.decode(errors="replace").strip()
            if taken > _MOST_OUTPUT_BYTES:
                return f"was killed: it wrote more than {_MOST_OUTPUT_BYTES >> 20} MiB", ""
            if is_over:
                return "", text
            if time.monotonic() >= end_s:
                return f"was killed: it took longer than {self._rule.timeout_s:g} s", text
            if time.monotonic() >= self._stop_s:
                return "was killed at the end of the run", text
            if not is_open:
                time.sleep(_POLL_S)


def _filled(argument: str, event: Event) -> str:
    """An argument with the event's values for the names in braces; labels never become further arguments."""
    values = ("end" if event.is_over else "begin", event.label, event.region, str(event.number))
    known = dict(zip(_NAMES, (*values, f"{event.probability:.4f}"), strict=True))
    return _BRACED.sub(lambda match: known.get(match[1], match[0]), argument).replace("\0", "")


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a command has no need to know."""
    return {name: value for name, value in environment.items() if name not in _SECRETS}
