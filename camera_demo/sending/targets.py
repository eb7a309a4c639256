"""Where pictures are sent: by rsync, by rclone (S3 and whatever else it knows), or to a web server.

rsync and rclone are the system's programs, called with a list of arguments, never through a shell. Their logins are
theirs: SSH keys, ``rclone config``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from camera_demo.errors import ConfigError, SinkError
from edge.addresses import is_this_machine, redacted, split_address
from edge.errors import os_reason

__all__ = ["Deliver", "Target", "open_target"]

Deliver = Callable[[Path, int], None]
"""Sends all files of a folder with so many kilobytes a second at most, and returns once the other side has them."""
_TIMEOUT_S: Final = 60
_LONGEST_S: Final = 3600
_TOKEN: Final = "SEND_TOKEN"
_BATCH: Final = 20


class Target:
    """A place, and how things get there."""

    def __init__(self, place: str, deliver: Deliver, batch: int) -> None:
        """Put together.

        Args:
            place: The address, which may hold secrets.
            deliver: Sends the files of a folder.
            batch: The most pictures at a time.
        """
        self.key = f"{_shown(place)} {hashlib.sha256(place.encode()).hexdigest()[:12]}"
        """Its name in a ledger: without secrets, and of no other place."""
        self.deliver, self.batch = deliver, batch


def open_target(place: str, environment: Mapping[str, str] = os.environ) -> Target:
    """``USER@HOST:FOLDER``, ``rsync://HOST/MODULE``, a folder's path, ``rclone:REMOTE:BUCKET/FOLDER`` or ``https://…``.

    Raises:
        ConfigError: It is none of these, or what it needs is not installed.
    """
    if place.startswith(("https://", "http://")):
        return _web(place, environment.get(_TOKEN, ""))
    kind, rest = ("rclone", place.removeprefix("rclone:")) if place.startswith("rclone:") else ("rsync", place)
    host = rest.removeprefix("rsync://").rpartition("@")[2]
    if not rest or rest.startswith("-") or host.startswith("-") or not rest.isprintable():
        raise ConfigError(f"invalid target {place!r}: expected HOST:FOLDER, rclone:REMOTE:FOLDER or https://….")
    if kind == "rsync" and ":" not in rest and not Path(rest).is_dir():
        raise ConfigError(
            f"There is no folder {rest}: expected HOST:FOLDER, rclone:REMOTE:FOLDER, https://…, or one that exists."
        )
    if kind == "rclone" and ":" not in rest:
        raise ConfigError(f"invalid target {place!r}: expected rclone:REMOTE:FOLDER, as 'rclone listremotes' names it.")
    program = shutil.which(kind, path=environment.get("PATH"))
    if program is None:
        raise ConfigError(f"{kind} is not installed: sudo apt-get install {kind}.")
    line = _rclone if kind == "rclone" else _rsync
    shown = _shown(place)

    def deliver(folder: Path, kilobytes_s: int) -> None:
        _run([program, *line(folder, rest, kilobytes_s)], kind, shown)

    return Target(place, deliver, _BATCH)


def _shown(place: str) -> str:
    return redacted(place) if "://" in place else place


def _rsync(folder: Path, to: str, kilobytes_s: int) -> list[str]:
    # --ignore-times is left out: what has the same size and time is there already, after a cut.
    options = [
        "--recursive",
        "--times",
        "--partial",
        "--no-motd",
        f"--timeout={_TIMEOUT_S}",
        f"--bwlimit={kilobytes_s}",
    ]
    return [*options, "--", f"{folder}/", to if to.endswith("/") else f"{to}/"]


def _rclone(folder: Path, to: str, kilobytes_s: int) -> list[str]:
    options = ["--bwlimit", f"{kilobytes_s}k", "--retries", "1", "--low-level-retries", "2", "--contimeout", "20s"]
    return ["copy", *options, "--timeout", f"{_TIMEOUT_S}s", "--", str(folder), to]


def _run(line: Sequence[str], program: str, shown: str) -> None:
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_LONGEST_S
        )
    except subprocess.TimeoutExpired:
        raise SinkError(f"{program} took longer than an hour for a batch to {shown}.") from None
    if done.returncode:
        says = [one.strip() for one in done.stderr.decode("utf-8", "replace").splitlines() if one.strip()]
        why = "; ".join(dict.fromkeys((*says[:1], *says[-1:])))[:300].rstrip(".") or "it said nothing"
        raise SinkError(f"{program} to {shown} ended with code {done.returncode}: {why}.")


def _why(error: BaseException) -> str:
    """Why a server was not reached, in the operating system's words where it has some."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError):
            return os_reason(link).rstrip(".")
        link = link.__cause__ or link.__context__
    return f"it does not answer ({type(error).__name__})"


def _web(place: str, token: str) -> Target:
    parts, shown = split_address(place, may_log_in=False), redacted(place)
    if parts.scheme != "https" and not is_this_machine(parts.host):
        raise ConfigError(f"invalid target {shown}: pictures are sent to other machines by https:// only.")
    try:
        import httpx
    except ImportError as reason:
        raise ConfigError("Sending to a web server needs httpx: ./install.sh --with live.") from reason
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the whole address
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"invalid token in {_TOKEN}: expected letters, digits and other printable ASCII characters.")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    is_near = is_this_machine(parts.host)  # never through a proxy
    client = httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, headers=headers, trust_env=not is_near)

    def deliver(folder: Path, kilobytes_s: int) -> None:
        for picture in sorted(folder.glob("*.jpg")):
            began_s, data = time.monotonic(), picture.read_bytes()
            post(picture.name, data, picture.with_suffix(".json").read_text(encoding="utf-8"))
            time.sleep(max(0.0, len(data) / (1e3 * kilobytes_s) - (time.monotonic() - began_s)))

    def post(name: str, data: bytes, about: str) -> None:
        try:
            answer = client.post(place, files={"picture": (name, data, "image/jpeg")}, data={"about": about})
        except httpx.HTTPError as reason:
            raise SinkError(f"Cannot send to {shown}: {_why(reason)}.") from None
        if not answer.is_success:
            raise SinkError(f"{shown} answered {answer.status_code} to {json.dumps(name)}: expected 200.")

    return Target(place, deliver, 1)
