"""``edge channel follow``: one step on a board, and the timer that repeats it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.options import AsJson, BackendName
from edge.combinations import combined, without
from edge.console import note, progress_bar, say, stdout, write_json
from edge.errors import ChannelError, EdgeError

if TYPE_CHECKING:
    from edge.fleet.state import FollowState

__all__ = ["follow", "install_timer"]

_PHASES = {
    "idle": "nothing to do",
    "watching": "new, and watched",
    "rolled_back": "rolled back",
    "failed": "not installed",
    "held": "waiting",
}


@combined(without("--watch", "--every"))
def follow(
    url: Annotated[
        str | None, typer.Argument(help="https://HOST/PATH/channel.json. Default: from channel.toml.", metavar="[URL]")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Public keys, one of which must have signed it. Default: channel.pub.")
    ] = None,
    board: Annotated[
        str | None, typer.Option("--board", help="What this board is called. Default: an id from its serial number.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="The group of boards that it is in.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Forget which versions did badly here.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat the step until stopped, without a timer.")] = False,
    every: Annotated[
        float, typer.Option("--every", help="Minutes between two steps of --watch.", min=0.1, max=10_080)
    ] = 10.0,
    broker: Annotated[
        str | None, typer.Option("--broker", help="mqtt://USER@HOST to tell the state to. Default: from channel.toml.")
    ] = None,
    backend: BackendName = "auto",
    json: AsJson = False,
) -> None:
    """Take one step towards what a channel has for this board: fetch, test, activate, watch, or go back.

    Example: edge channel follow https://example.com/birds/channel.json --key channel.pub
    """
    from edge.fleet.config import KEY_FILE, configured_channel
    from edge.fleet.following import follow as take_step
    from edge.fleet.requests import wait_for_request
    from edge.updates.signature import configured_file, configured_key

    config = configured_channel()
    config = replace(config, url=url or config.url, board=board or config.board, group=group or config.group)
    if config.url is None:
        raise ChannelError(
            "There is no channel to follow: give its URL, or set url in /etc/mobilenet-edge/channel.toml."
        )
    place = key or (Path(config.key) if config.key else configured_file(KEY_FILE))
    if place is None:
        raise ChannelError(
            "There is no key to check the channel with: give --key, or put it at /etc/mobilenet-edge/channel.pub."
        )
    address, me = config.url, config.this_board()

    def step() -> FollowState:
        with _reports(broker or config.broker) as tell, progress_bar("fetching a bundle") as progress:
            return take_step(
                address,
                place,
                me,
                bundle_key=configured_key(),
                backend=backend,
                retries_bad=retry,
                progress=progress,
                on_change=tell,
            )

    while watch:
        try:
            _print(step(), json)
        except EdgeError as error:
            note(str(error))
        retry = False
        wait_for_request(every * 60 * random.uniform(0.75, 1.25))  # so that a fleet does not come at once
    _print(step(), json)


@contextlib.contextmanager
def _reports(address: str | None) -> Iterator[Callable[[FollowState], None]]:
    """What tells each state to the broker at an address, if there is one; the step does not wait for it."""
    if address is None:
        yield lambda state: None
        return
    from edge.fleet.broker import Publisher, broker_address
    from edge.fleet.reporting import state_topic, to_message

    try:
        publisher = Publisher(broker_address(address), note)
    except ChannelError as error:  # who cannot be told of updates is to have them all the same
        note(str(error))
        yield lambda state: None
        return
    with publisher:
        yield lambda state: publisher.publish(
            state_topic(state.board_id), to_message(state, datetime.now(timezone.utc))
        )


def install_timer(
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Stop and remove it.")] = False,
) -> None:
    """Let systemd repeat the step: installs and starts mobilenet-edge-follow.timer. Run it with sudo.

    Example: sudo edge channel install-timer
    """
    from edge.fleet.timer import install_units, uninstall_units

    if uninstall:
        uninstall_units()
        say("Removed. The bundle in use stays.")
        return
    install_units()
    stdout().print(
        "mobilenet-edge-follow.timer is on, and mobilenet-edge-follow.path for when camera-demo asks. They follow what "
        "/etc/mobilenet-edge/channel.toml names. "
        "Log: journalctl -u mobilenet-edge-follow",
        soft_wrap=True,
    )


def _print(state: FollowState, as_json: bool) -> None:
    """Say what a step came to."""
    if as_json:
        write_json(state.to_dict())
        return
    label = (state.labels or {}).get(state.installed or "")
    of = f" of {state.bundle}" if state.bundle else ""
    in_use = {
        "shipped": f"the shipped version{of} is in use",
        "none": f"no version{of} is installed",
    }.get(state.in_use, f"version {state.installed}{f' ({label})' if label else ''}{of} is in use")
    phase = _PHASES.get(state.phase, state.phase)
    until = f" until {state.watching_until}" if state.watching_until else ""
    why = f": {state.error}" if state.error else ""
    stdout().print(
        f"{state.channel} (serial {state.serial}, ring {state.ring or 'none'}): {in_use}; {phase}{until}{why}",
        soft_wrap=True,
    )
