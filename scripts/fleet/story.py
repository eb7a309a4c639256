"""What happens to the simulated fleet, act by act, and what every act must come to."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.fleet.channel import Channel
from edge.fleet.channel_folder import read_channel
from edge.fleet.rings import board_number
from scripts.fleet.boards import Board, Step
from scripts.fleet.bundles import make_bundle
from scripts.fleet.edge_command import EdgeCommand, RunningCommand
from scripts.fleet.servers import Broker, Prometheus, StaticHost

__all__ = ["RINGS", "Story", "StoryError", "channel_name"]

RINGS: Final = ("first=5", "quarter=25", "all=100")
_GATE: Final = (
    "minutes=1",
    "min_frames=30",
    "max_late_share=0.02",
    "blames_heat=true",
    "p95_over_profile=4",
    "unknown_over_before=1",
    "confidence_under_before=1",
)
_PATIENCE_S: Final = 600.0
_AT_ONCE: Final = 2


class StoryError(Exception):
    """Something came out otherwise than it must."""


def channel_name(boards: Iterable[str]) -> str:
    """A name by which the first ring has one board and the second some more."""
    names = list(boards)
    for number in range(10_000):
        shares = sorted(board_number(f"fleet-{number}", board) for board in names)
        if shares[0] < 5 <= shares[1] < 25 <= shares[2 if len(shares) < 6 else 4]:
            return f"fleet-{number}"
    raise StoryError("no name of a channel gives every ring a board")


@dataclass(slots=True, kw_only=True)
class Story:
    """The fleet, and what has happened to it."""

    work: Path
    """The operator's folder: keys and bundles."""
    host: StaticHost
    broker: Broker
    boards: list[Board]
    edge: EdgeCommand
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

    def channel_command(self, command: str, *arguments: str) -> str:
        """Run ``edge channel COMMAND`` as the operator."""
        environment = os.environ | {"XDG_CONFIG_HOME": str(self.work / "config"), "COLUMNS": "400", "NO_COLOR": "1"}
        done = self.edge.run("channel", command, str(self.folder), *arguments, environment=environment)
        if done.returncode:
            raise StoryError(f"edge channel {command} ended with {done.returncode}: {done.stderr}")
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
        waiting, done = list(self.boards if boards is None else boards), dict[str, Step]()
        running: dict[str, tuple[Board, RunningCommand]] = {}
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
                raise StoryError(f"not within {_PATIENCE_S:.0f} s: {what}; {self.shares()}")
            if not self.live:
                for board in boards():
                    board.record_minutes(6)
            self.step_all(boards())
            time.sleep(5.0 if self.live else 0.0)

    def settle(self, what: str) -> None:
        """Until no board watches any more."""

        def watching() -> list[Board]:
            states = ((board, board.state) for board in self.boards)
            return [board for board, state in states if state is not None and state.phase == "watching"]

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
            raise StoryError(f"{what}; {self.shares()}")

    def on(self, version: str | None, boards: Iterable[Board], what: str) -> None:
        """Expect boards to use a version."""
        wrong = [f"{board.id}: {board.version}" for board in boards if board.version != version]
        self.expect(not wrong, f"{what}: not on {version}: {', '.join(wrong)}")

    def table(self) -> str:
        """All of it as a table of Markdown."""
        lines = ["| min:s | what | outcome |", "|---|---|---|"]
        return "\n".join([*lines, *(f"| {when} | {what} | {outcome} |" for when, what, outcome in self.rows)])
