"""Twenty boards follow a channel through good days and bad ones: scripts/test-fleet [--help].

Every board is a folder and a name; it runs ``edge channel follow`` and, unless ``--recorded`` is given, a
``camera-demo`` of its own. The broker is mosquitto, and Prometheus asks every board's page; the static host is this
program's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from edge.fleet.channel import CHANNEL_FILE
from edge.fleet.keys import take_key
from scripts.fleet import acts
from scripts.fleet.boards import Board
from scripts.fleet.edge_command import EdgeCommand
from scripts.fleet.servers import Broker, Prometheus, StaticHost, find_program, free_port
from scripts.fleet.story import Story, StoryError, channel_name

__all__ = ["main", "tell"]

_RULES = Path(__file__).resolve().parents[2] / "docs" / "prometheus-rules.yml"


def main(arguments: list[str] | None = None) -> int:
    """Tell the story, and print its table; 1 if something came out wrong."""
    parser = argparse.ArgumentParser(description="\n".join((__doc__ or "").splitlines()[:1]))
    parser.add_argument("--boards", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--kills", type=int, default=50, help="moments of an update to kill a board at (default: 50)")
    parser.add_argument("--recorded", action="store_true", help="run no camera-demo: write its record instead")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mobilenet-edge-fleet-") as folder:
        try:
            print(tell(Path(folder), given.boards, given.kills, is_live=not given.recorded))
        except StoryError as wrong:
            print(f"FLEET TEST FAILED: {wrong}", file=sys.stderr)
            return 1
    print("FLEET TEST PASSED", file=sys.stderr)
    return 0


def tell(folder: Path, count: int, kills: int, *, is_live: bool, forks: bool = False) -> str:
    """The whole story; its table.

    Args:
        folder: An empty folder.
        count: Boards, at least 3.
        kills: Moments of an update to kill a board at.
        is_live: Whether a ``camera-demo`` runs on every board, and Prometheus asks its page.
        forks: Whether commands are forks of one interpreter, which is quicker than starting each.

    Raises:
        StoryError: Something came out otherwise than it must.
    """
    (folder / "served").mkdir()
    host, broker = StaticHost(folder / "served"), Broker(folder)
    names = [f"board-{number:02}" for number in range(1, count + 1)]
    keys, edge = folder / "keys", EdgeCommand(forks=forks)
    for key in ("channel.pem", "bundle.pem"):
        take_key(keys / key, host.folder)
    boards = [
        Board(
            id=name,
            root=folder / name,
            url=f"{host.url}/{CHANNEL_FILE}",
            keys=keys,
            broker=broker.url,
            port=free_port(),
            edge=edge,
        )
        for name in names
    ]
    program = find_program("prometheus") if is_live else None
    prometheus = Prometheus(folder, program, [f"127.0.0.1:{b.port}" for b in boards], _RULES) if program else None
    story = Story(
        work=folder,
        host=host,
        broker=broker,
        boards=boards,
        edge=edge,
        keys=keys,
        live=is_live,
        prometheus=prometheus,
    )
    try:
        _tell(story, channel_name(names), kills)
        if prometheus is not None:
            versions = prometheus.versions()
            story.expect(versions == {boards[0].version: count}, f"Prometheus sees {versions}")
            story.row("Prometheus", f"{count} boards in version {boards[0].version}")
    finally:
        for board in boards:
            board.stop_camera()
        if prometheus is not None:
            prometheus.kill()
        broker.kill()
        host.close()
    return story.table()


def _tell(story: Story, name: str, kills: int) -> None:
    story.channel_command("init", "--name", name, "--key", str(story.keys / "channel.pem"))
    first = acts.good(story, 1, "0.25_128", "a good bundle")
    old = (story.folder / CHANNEL_FILE).read_bytes()
    acts.slow(story, 2, first)
    acts.corrupt(story, 3, first)
    acts.replayed(story, old, first)
    acts.foreign(story, first)
    acts.broker_dies(story, story.boards[0], first)
    board = story.in_ring("first")[0]
    second = story.publish(4, "0.25_128")
    acts.host_dies(story, board)
    story.on(second, [board], "after the host is back")
    story.settle("the second good one was watched")
    story.signed("promote", "--to", "all")
    other = story.in_ring("all")[0]
    other.stop_camera()
    acts.killed(story, other, first, second, kills)
    if story.live:
        other.start_camera(board)
    story.step_all()
    story.settle("the second good one was watched everywhere")
    story.on(second, story.boards, "in the end")
    story.row("the second good bundle, all rings open", story.shares())


if __name__ == "__main__":
    sys.exit(main())
