"""The acts of the fleet's story, and what every one of them must come to."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter

from edge.fleet.channel import CHANNEL_FILE
from scripts.fleet.boards import SLOW, Board
from scripts.fleet.bundles import make_bundle
from scripts.fleet.story import RINGS, Story

__all__ = ["broker_dies", "corrupt", "foreign", "good", "host_dies", "killed", "replayed", "slow"]


def good(story: Story, serial: int, variant: str, name: str) -> str:
    """A good bundle, ring by ring."""
    before = story.boards[0].version
    version = story.publish(serial, variant)
    for opened in (("first",), ("first", "quarter"), ("first", "quarter", "all")):
        if len(opened) > 1:
            story.signed("promote")
        story.step_all()
        story.on(version, story.in_ring(*opened), f"ring {opened[-1]} is open")
        closed = [ring.partition("=")[0] for ring in RINGS if ring.partition("=")[0] not in opened]
        story.on(before, story.in_ring(*closed), f"rings {closed} are closed")
        if story.live:
            first = next((board for board in story.boards if board.camera_runs), None)
            for board in story.boards:
                if board.version and not board.camera_runs:
                    board.start_camera(first)
        story.settle(f"ring {opened[-1]} was watched")
        if story.live:
            ended = [board.id for board in story.in_ring(*opened) if not board.camera_runs]
            story.expect(not ended, f"camera-demo ended on {ended}")
        story.on(version, story.in_ring(*opened), f"ring {opened[-1]} after its window")
        story.row(f"{name}, ring {opened[-1]} open", story.shares())
    return version


def slow(story: Story, serial: int, good: str) -> None:
    """One that answers right and is too slow: it stops at the first ring."""
    version = story.publish(serial, SLOW)
    story.step_all()
    first = story.in_ring("first")
    story.on(version, first, "the first ring tries it")
    story.row("a slow bundle, ring first open", story.shares())
    story.settle("the slow one was watched")
    story.on(good, story.boards, "the slow one is rolled back")
    states = [board.state for board in first]
    story.expect(all(state and version in state.bad_versions for state in states), "it is remembered as bad")
    reason = next(one.reason for state in states if state for one in state.bad if one.version == version)
    story.row("its health window is over", f"{story.shares()}: {reason}")
    _stop_at(story, version)
    story.step_all()
    story.on(good, story.boards, "the ring is stopped")
    story.signed("withdraw", "--reason", "slow", f"v{serial}")
    story.signed("resume")
    story.step_all()
    story.on(good, story.boards, "it is withdrawn")
    story.row("it is withdrawn, the channel resumed", story.shares())


def _stop_at(story: Story, version: str) -> None:
    """Let the operator's cron job find out, and pause the channel."""
    places = [("--mqtt", story.broker.url)]
    if story.prometheus is not None:
        places.insert(0, ("--prometheus", story.prometheus.url))
    url, key = f"{story.host.url}/{CHANNEL_FILE}", str(story.keys / "channel.pem")
    for option, place in places:
        given = ["--channel-key", str(story.keys / "channel.pub"), option, place, "--json"]
        if (option, place) == places[-1]:
            given += ["--stop-at", "0", "--key", key, "--folder", str(story.folder)]
        done = story.edge.run("channel", "status", url, *given)
        story.expect(version in done.stdout, f"edge channel status {option} knows the bad version: {done.stderr}")
    story.expect(story.channel.paused, "more boards are bad than allowed, so the channel is paused")
    story.row("edge channel status --stop-at 0", f"paused: {story.channel.paused_reason}")


def corrupt(story: Story, serial: int, good: str) -> None:
    """One whose file was damaged on the host."""
    story.publish(serial, "0.25_160")
    place = next(path for path in story.folder.rglob("*.zip") if story.channel.releases[-1].url.endswith(path.name))
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 0xFF
    place.write_bytes(content)
    steps = story.step_all(story.in_ring("first"))
    story.on(good, story.boards, "a damaged file is not installed")
    story.expect(all(step.code == 1 for step in steps.values()), f"a damaged file is an error: {steps}")
    story.row("a bundle damaged on the host", f"{story.shares()}: {next(iter(steps.values())).message}")
    story.signed("withdraw", "--reason", "damaged", f"v{serial}")


def replayed(story: Story, old: bytes, good: str) -> None:
    """The channel's file of some time ago."""
    _instead(story, old, "an older channel file", good)


def foreign(story: Story, good: str) -> None:
    """A channel signed by another key, with a bundle for everybody."""
    other = story.work / "other"
    environment = os.environ | {"XDG_CONFIG_HOME": str(other / "config")}
    made = make_bundle(story.work, "0.25_192", 90, story.keys / "bundle.pem")
    for arguments in (
        ("init", str(other), "--name", story.channel.name, "--key", str(story.work / "other.pem")),
        ("publish", str(other), str(made), "--ring", "all=100", "--key", str(story.work / "other.pem")),
    ):
        story.edge.run("channel", *arguments, environment=environment).check_returncode()
    _instead(story, (other / CHANNEL_FILE).read_bytes(), "a channel file signed by another key", good)


def _instead(story: Story, content: bytes, what: str, good: str) -> None:
    place = story.folder / CHANNEL_FILE
    kept = place.read_bytes()
    place.write_bytes(content)
    steps = story.step_all()
    place.write_bytes(kept)
    story.on(good, story.boards, what)
    story.expect(all(step.code == 1 for step in steps.values()), f"{what} is refused: {steps}")
    story.row(what, f"{story.shares()}: {next(iter(steps.values())).message}")


def host_dies(story: Story, board: Board) -> None:
    """The host dies in the middle of a bundle, and comes back."""
    story.host.dies_after = 20_000
    step = board.step()
    story.expect(step.code == 1, f"a host that dies is an error: {step}")
    story.host.dies_after, before = None, len(story.host.starts)
    board.step()
    starts = [start for name, start in story.host.starts[before:] if name.endswith(".zip")]
    story.expect(bool(starts) and starts[0] > 0, f"the download goes on where it stopped: {starts}")
    story.row("the host dies in a download, and is back", f"{step.message} Then from byte {starts[0]} on")


def broker_dies(story: Story, board: Board, good: str) -> None:
    """The broker dies; nothing that matters depends on it."""
    story.broker.kill()
    step = board.step()
    story.on(good, [board], "without a broker")
    story.broker.start()
    after = board.step()
    story.expect(after.code == 0, f"a broker that is back is no reason to fail: {after}")
    story.row("the broker dies, and is back", f"steps end with {step.code} and {after.code}; {story.shares()}")


def killed(story: Story, board: Board, old: str, new: str, times: int) -> None:
    """Kill a board's step at random moments: the old version or the new one is in use, and the next step ends well."""
    kept = story.work / "before"
    shutil.copytree(board.root, kept, symlinks=True)

    def restore() -> None:
        shutil.rmtree(board.root)
        shutil.copytree(kept, board.root, symlinks=True)

    began = time.monotonic()
    board.step()
    whole_s = time.monotonic() - began
    story.on(new, [board], "a step that is not killed")
    found: Counter[str] = Counter()
    for _ in range(times):
        restore()
        running = board.begin_step()
        time.sleep(random.uniform(0.1, 1.1) * whole_s)
        running.kill()
        board.end_step(running)
        story.expect(board.version in (old, new), f"after kill -9: {board.version}")
        found["new" if board.version == new else "old"] += 1
        after = board.step()
        story.expect(after.code == 0, f"the step after kill -9: {after}")
        story.on(new, [board], "the step after kill -9")
    shutil.rmtree(kept)
    counts = f"{found['old']} on the old version, {found['new']} on the new, none between; then all on the new"
    story.row(f"kill -9 at {times} moments of an update", counts)
