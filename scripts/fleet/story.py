"""What happens to the simulated fleet, act by act, and what every act must come to."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from edge.fleet.channel import CHANNEL_FILE, Channel
from edge.fleet.channel_folder import read_channel
from edge.fleet.rings import board_number
from scripts.fleet.boards import SLOW, Board, Step
from scripts.fleet.bundles import NAME, make_bundle
from scripts.fleet.servers import Broker, Prometheus, StaticHost

__all__ = ["RINGS", "Story", "Wrong", "channel_name"]

RINGS: Final = ("first=5", "quarter=25", "all=100")
_GATE: Final = ("minutes=1", "min_frames=30", "max_late_share=0.5", "unknown_over_before=1", "confidence_under_before=1")
_PATIENCE_S: Final = 600.0
_AT_ONCE: Final = 4


class Wrong(Exception):
    """Something came out otherwise than it must."""


def channel_name(boards: Iterable[str]) -> str:
    """A name by which the first ring has one board and the second some more."""
    names = list(boards)
    for number in range(10_000):
        shares = sorted(board_number(f"fleet-{number}", board) for board in names)
        if shares[0] < 5 <= shares[1] < 25 <= shares[2 if len(shares) < 6 else 4]:
            return f"fleet-{number}"
    raise Wrong("no name of a channel gives every ring a board")


@dataclass(slots=True, kw_only=True)
class Story:
    """The fleet, and what has happened to it."""

    work: Path
    """The operator's folder: keys and bundles."""
    host: StaticHost
    broker: Broker
    boards: list[Board]
    keys: Path
    """The folder with ``channel.pem`` and ``bundle.pem``."""
    live: bool
    """Whether a ``camera-demo`` runs on every board; else its record is written for it."""
    prometheus: Prometheus | None = None
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    """When, what was done, what came of it."""
    _began: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """What the static host serves."""
        return self.host.folder

    @property
    def channel(self) -> Channel:
        """The channel as it is signed now."""
        return read_channel(self.folder, [self.keys / "channel.pem"])

    # What the operator does

    def channel_command(self, command: str, *arguments: str, code: int = 0) -> str:
        """Run ``edge channel COMMAND`` as the operator."""
        whole = [sys.executable, "-m", "edge", "channel", command, str(self.folder), *arguments]
        environment = os.environ | {"XDG_CONFIG_HOME": str(self.work / "config"), "COLUMNS": "400", "NO_COLOR": "1"}
        done = subprocess.run(whole, capture_output=True, text=True, env=environment)
        if done.returncode != code:
            raise Wrong(f"edge channel {command} ended with {done.returncode}, expected {code}: {done.stderr}")
        return done.stdout

    def publish(self, serial: int, variant: str) -> str:
        """Publish a bundle for the first ring; its version."""
        made = make_bundle(self.work, variant, serial, self.keys / "bundle.pem")
        rings = [part for ring in RINGS for part in ("--ring", ring)]
        gates = [part for gate in _GATE for part in ("--gate", gate)]
        given = ("--key", str(self.keys / "channel.pem"), "--label", f"v{serial}", "--json")
        self.channel_command("publish", str(made), *given, *rings, *gates)
        return self.channel.releases[-1].version

    def signed(self, command: str, *arguments: str) -> None:
        """Change the channel by a command."""
        self.channel_command(command, *arguments, "--key", str(self.keys / "channel.pem"))

    # What the boards do

    def step_all(self, boards: Iterable[Board] | None = None) -> dict[str, Step]:
        """One step on each board, some at once."""
        waiting, running, done = list(self.boards if boards is None else boards), {}, {}
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                board = waiting.pop()
                running[board.id] = (board, board.begin_step())
            name, (board, process) = next(iter(running.items()))
            done[name] = board.end_step(process)
            del running[name]
        return done

    def until(self, what: str, reached: Callable[[], bool], boards: Callable[[], Iterable[Board]]) -> None:
        """Step those boards, again and again, until something is reached."""
        end = time.monotonic() + _PATIENCE_S
        while not reached():
            if time.monotonic() > end:
                raise Wrong(f"not within {_PATIENCE_S:.0f} s: {what}; {self.shares()}")
            if not self.live:
                for board in boards():
                    board.record_minutes(6)
            self.step_all(boards())
            time.sleep(5.0 if self.live else 0.0)

    def settle(self, what: str) -> None:
        """Until no board watches any more."""
        watching = lambda: [b for b in self.boards if b.state is not None and b.state.phase == "watching"]  # noqa: E731
        self.until(what, lambda: not watching(), watching)

    def in_ring(self, *names: str) -> list[Board]:
        """The boards of some rings, by their numbers."""
        limits = {ring.partition("=")[0]: float(ring.partition("=")[2]) for ring in RINGS}
        last = 0.0
        found = []
        for name, percent in limits.items():
            if name in names:
                found += [b for b in self.boards if last <= board_number(self.channel.name, b.id) < percent]
            last = percent
        return found

    def shares(self) -> str:
        """How many boards have which version, by what the boards themselves say."""
        labels = {one.version: one.label or one.version for one in self.channel.releases}
        counts = Counter(labels.get(board.version or "", "none") for board in self.boards)
        return ", ".join(f"{count} × {label}" for label, count in sorted(counts.items()))

    def row(self, what: str, outcome: str) -> None:
        """Note what happened."""
        seconds = time.monotonic() - self._began
        self.rows.append((f"{seconds // 60:.0f}:{seconds % 60:02.0f}", what, outcome))
        print(f"{self.rows[-1][0]:>6}  {what}: {outcome}", file=sys.stderr, flush=True)

    def expect(self, is_right: bool, what: str) -> None:
        """Raise if it is not."""
        if not is_right:
            raise Wrong(f"{what}; {self.shares()}")

    def on(self, version: str | None, boards: Iterable[Board], what: str) -> None:
        """Expect boards to use a version."""
        wrong = [f"{board.id}: {board.version}" for board in boards if board.version != version]
        self.expect(not wrong, f"{what}: not on {version}: {', '.join(wrong)}")

    # The acts

    def good(self, serial: int, variant: str, name: str) -> str:
        """A good bundle, ring by ring."""
        before = self.boards[0].version
        version = self.publish(serial, variant)
        for opened in (("first",), ("first", "quarter"), ("first", "quarter", "all")):
            if len(opened) > 1:
                self.signed("promote")
            self.step_all()
            self.on(version, self.in_ring(*opened), f"ring {opened[-1]} is open")
            closed = [ring.partition("=")[0] for ring in RINGS if ring.partition("=")[0] not in opened]
            self.on(before, self.in_ring(*closed), f"rings {closed} are closed")
            if self.live:
                for board in self.boards:
                    if board.version and not board.camera_runs:
                        board.start_camera()
            self.settle(f"ring {opened[-1]} was watched")
            self.on(version, self.in_ring(*opened), f"ring {opened[-1]} after its window")
            self.row(f"{name}, ring {opened[-1]} open", self.shares())
        return version

    def slow(self, serial: int, good: str) -> None:
        """One that answers right and is too slow: it stops at the first ring."""
        version = self.publish(serial, SLOW)
        self.step_all()
        first = self.in_ring("first")
        self.on(version, first, "the first ring tries it")
        self.row("a slow bundle, ring first open", self.shares())
        self.settle("the slow one was watched")
        self.on(good, self.boards, "the slow one is rolled back")
        states = [board.state for board in first]
        self.expect(all(state and version in state.bad_versions for state in states), "it is remembered as bad")
        reason = next(one.reason for state in states if state for one in state.bad if one.version == version)
        self.row("its health window is over", f"{self.shares()}: {reason}")
        self.stop_at(version)
        self.step_all()
        self.on(good, self.boards, "the ring is stopped")
        self.signed("withdraw", "--reason", "slow", f"v{serial}")
        self.signed("resume")
        self.step_all()
        self.on(good, self.boards, "it is withdrawn")
        self.row("it is withdrawn, the channel resumed", self.shares())

    def stop_at(self, version: str) -> None:
        """Let the operator's cron job find out, and pause the channel."""
        places = [("--mqtt", self.broker.url)]
        if self.prometheus is not None:
            places.insert(0, ("--prometheus", self.prometheus.url))
        url, key = f"{self.host.url}/{CHANNEL_FILE}", str(self.keys / "channel.pem")
        for option, place in places:
            given = ["--channel-key", str(self.keys / "channel.pub"), option, place, "--json"]
            if (option, place) == places[-1]:
                given += ["--stop-at", "0", "--key", key, "--folder", str(self.folder)]
            done = subprocess.run(
                [sys.executable, "-m", "edge", "channel", "status", url, *given], capture_output=True, text=True
            )
            self.expect(version in done.stdout, f"edge channel status {option} knows the bad version: {done.stderr}")
        self.expect(self.channel.paused, "more boards are bad than allowed, so the channel is paused")
        self.row("edge channel status --stop-at 0", f"paused: {self.channel.paused_reason}")

    def corrupt(self, serial: int, good: str) -> None:
        """One whose file was damaged on the host."""
        self.publish(serial, "0.25_160")
        place = next(path for path in self.folder.rglob("*.zip") if self.channel.releases[-1].url.endswith(path.name))
        content = bytearray(place.read_bytes())
        content[len(content) // 2] ^= 0xFF
        place.write_bytes(content)
        steps = self.step_all(self.in_ring("first"))
        self.on(good, self.boards, "a damaged file is not installed")
        self.expect(all(step.code == 1 for step in steps.values()), f"a damaged file is an error: {steps}")
        self.row("a bundle damaged on the host", f"{self.shares()}: {next(iter(steps.values())).message}")
        self.signed("withdraw", "--reason", "damaged", f"v{serial}")

    def replayed(self, old: bytes, good: str) -> None:
        """The channel's file of some time ago."""
        self._instead(old, "an older channel file", good)

    def foreign(self, good: str) -> None:
        """A channel signed by another key, with a bundle for everybody."""
        other = self.work / "other"
        environment = os.environ | {"XDG_CONFIG_HOME": str(other / "config")}
        made = make_bundle(self.work, "0.25_192", 90, self.keys / "bundle.pem")
        for arguments in (
            ("init", str(other), "--name", self.channel.name, "--key", str(other / "key.pem")),
            ("publish", str(other), str(made), "--ring", "all=100", "--key", str(other / "key.pem")),
        ):
            command = [sys.executable, "-m", "edge", "channel", *arguments]
            subprocess.run(command, check=True, capture_output=True, env=environment)
        self._instead((other / CHANNEL_FILE).read_bytes(), "a channel file signed by another key", good)

    def _instead(self, content: bytes, what: str, good: str) -> None:
        place = self.folder / CHANNEL_FILE
        kept = place.read_bytes()
        place.write_bytes(content)
        steps = self.step_all()
        place.write_bytes(kept)
        self.on(good, self.boards, what)
        self.expect(all(step.code == 1 for step in steps.values()), f"{what} is refused: {steps}")
        self.row(what, f"{self.shares()}: {next(iter(steps.values())).message}")

    def host_dies(self, board: Board) -> None:
        """The host dies in the middle of a bundle, and comes back."""
        self.host.dies_after = 60_000
        step = board.step()
        self.expect(step.code == 1, f"a host that dies is an error: {step}")
        self.host.dies_after, before = None, len(self.host.starts)
        board.step()
        starts = [start for name, start in self.host.starts[before:] if name.endswith(".zip")]
        self.expect(bool(starts) and starts[0] > 0, f"the download goes on where it stopped: {starts}")
        self.row("the host dies in a download, and is back", f"{step.message} Then from byte {starts[0]} on")

    def broker_dies(self, board: Board, good: str) -> None:
        """The broker dies; nothing that matters depends on it."""
        self.broker.kill()
        step = board.step()
        self.on(good, [board], "without a broker")
        self.broker.start()
        after = board.step()
        self.expect(after.code == 0, f"a broker that is back is no reason to fail: {after}")
        self.row("the broker dies, and is back", f"steps end with {step.code} and {after.code}; {self.shares()}")

    def killed(self, board: Board, old: str, new: str, times: int) -> None:
        """Kill a board's step at random moments: the old version or the new one is in use, and the next step ends well."""
        kept = self.work / "before"
        shutil.copytree(board.root, kept, symlinks=True)

        def restore() -> None:
            shutil.rmtree(board.root)
            shutil.copytree(kept, board.root, symlinks=True)

        began = time.monotonic()
        board.step()
        whole_s = time.monotonic() - began
        self.on(new, [board], "a step that is not killed")
        found: Counter[str] = Counter()
        for _ in range(times):
            restore()
            process = board.begin_step()
            time.sleep(random.uniform(0.1, 1.1) * whole_s)
            os.killpg(process.pid, signal.SIGKILL)
            board.end_step(process)
            self.expect(board.version in (old, new), f"after kill -9: {board.version}")
            found["new" if board.version == new else "old"] += 1
            after = board.step()
            self.expect(after.code == 0, f"the step after kill -9: {after}")
            self.on(new, [board], "the step after kill -9")
        shutil.rmtree(kept)
        counts = f"{found['old']} on the old version, {found['new']} on the new, none between; then all on the new"
        self.row(f"kill -9 at {times} moments of an update", counts)

    def table(self) -> str:
        """All of it as a table of Markdown."""
        lines = ["| min:s | what | outcome |", "|---|---|---|"]
        return "\n".join([*lines, *(f"| {when} | {what} | {outcome} |" for when, what, outcome in self.rows)])


def metrics_of(prometheus: Prometheus) -> dict[str, int]:
    """How many boards Prometheus sees in each version."""
    rows = prometheus.query("count by (installed) (mobilenet_edge_update_info)")
    return {row["metric"].get("installed", ""): int(row["value"][1]) for row in rows}
