"""Many boards: what they install and when, how each fares with it, and how all of them are seen as one.

>>> import edge.fleet as fleet
>>> keys = [fleet.take_key("channel.pem", "www").private]
>>> fleet.init("www", "birds", keys)
>>> fleet.publish("www", "birds.zip", keys)

What ``edge channel`` does, a program can do with these names; each is loaded when first used. Signing and checking need
the library ``cryptography``.
"""

TYPE_CHECKING = False  # as typing's, without the time that importing typing takes
if TYPE_CHECKING:
    from edge.fleet.channel import Channel, Release, Runtime
    from edge.fleet.config import configured_channel
    from edge.fleet.following import follow
    from edge.fleet.health import Gate
    from edge.fleet.keys import take_key
    from edge.fleet.offering import Offer
    from edge.fleet.publishing import (
        init,
        pause,
        promote,
        publish,
        read_channel,
        renew,
        resume,
        rotate,
        withdraw,
    )
    from edge.fleet.rings import Board, Ring, this_board
    from edge.fleet.state import FollowState, find_state

__all__ = [
    "Board",
    "Channel",
    "FollowState",
    "Gate",
    "Offer",
    "Release",
    "Ring",
    "Runtime",
    "configured_channel",
    "find_state",
    "follow",
    "init",
    "pause",
    "promote",
    "publish",
    "read_channel",
    "renew",
    "resume",
    "rotate",
    "take_key",
    "this_board",
    "withdraw",
]

_MODULES = {
    "channel": ("Channel", "Release", "Runtime"),
    "config": ("configured_channel",),
    "following": ("follow",),
    "health": ("Gate",),
    "keys": ("take_key",),
    "offering": ("Offer",),
    "publishing": ("init", "pause", "promote", "publish", "read_channel", "renew", "resume", "rotate", "withdraw"),
    "rings": ("Board", "Ring", "this_board"),
    "state": ("FollowState", "find_state"),
}
"""The names in each module."""

if not TYPE_CHECKING:  # type checkers see the imports above, and report other names

    def __getattr__(name: str) -> object:
        from edge.lazy import load

        globals()[name] = value = load("edge.fleet", name, _MODULES)
        return value


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
