"""How often an address may give a token."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Attempts"]

_BURST: Final = 10
_INTERVAL_S: Final = 6.0
_ADDRESSES: Final = 1024


class Attempts:
    """Ten wrong tokens from an address, then one each six seconds, whether it is right or not.

    A generic cell rate: each address has a time until which its attempts are used up. Addresses of IPv6 count by their
    /64, which is what one subscriber has. For one thread.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used_until_s: dict[str, float] = {}

    def wait_s(self, host: str) -> float:
        """Seconds until a token of ``host`` is looked at; 0 for now."""
        used_until_s = self._used_until_s.get(_group(host), 0.0)
        return max(0.0, used_until_s - self._clock() - (_BURST - 1) * _INTERVAL_S)

    def count(self, host: str) -> None:
        """Count a wrong token."""
        group, now_s = _group(host), self._clock()
        used_until_s = max(self._used_until_s.pop(group, 0.0), now_s) + _INTERVAL_S
        while len(self._used_until_s) >= _ADDRESSES:
            del self._used_until_s[next(iter(self._used_until_s))]
        self._used_until_s[group] = used_until_s


def _group(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or ipaddress.ip_network((address, 64), strict=False))
