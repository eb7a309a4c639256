"""Network addresses, ``SCHEME://USER:PASSWORD@HOST:PORT/PATH?QUERY``: their parts, and how they are shown.

Passwords hide everywhere in them: cameras take them in the path (``/user=admin&password=...``) or the query
(``?pwd=...``), brokers take a token for a user, and who writes ``/`` or ``#`` in a password moves the rest of it into
the path. So only scheme, host and port are ever shown, and not even those where they may be something else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

__all__ = [
    "ENCODING_HINT",
    "Address",
    "is_like_address",
    "is_this_machine",
    "may_use_proxy",
    "redacted",
    "split_address",
    "without_secrets",
]

ENCODING_HINT: Final = (
    "In USER and PASSWORD write % as %25, / as %2F, # as %23, ? as %3F, @ as %40, : as %3A, [ as %5B and ] as %5D"
)
"""What to do when an address is not understood."""
_HIDDEN: Final = "***"
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]+)(?::([0-9]{1,5}))?")
_UNSAFE: Final = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]")
_GIVEN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):/{0,2}((?<=://).*|.*@.*)", re.DOTALL)
"""What is an address in an argument, maybe behind an option and ``=``."""
_FORMAT: Final = re.compile(r"synthetic:[/\dx.]*@[\d.]*")
_MARKS: Final = 0xF0000
"""The first of the characters that no text has, which stand for what is hidden while it is being hidden."""
_NESTED: Final = 3
"""Addresses in addresses that are looked for, as in ``json:rtsp://...``."""
_LIKE_ADDRESS: Final = re.compile(
    r"@|://|[?&;]\w*=|(?:pass|pwd|pw|token|key|secret|auth|user|login)\w{0,30}[=:]|^\W*\d+\.\d+\.\d+\.\d+(?:[:/]|$)"
    r"|^[\w.-]+:\d{2,5}(?:/|$)|^(?:rtsps?|https?|mqtts?|rtmp|ftp)\W",
    re.IGNORECASE,
)
_IP: Final = re.compile(r"\[|\d+\.\d+\.\d+\.\d+(?::|$)")
"""A host that cannot be the beginning of ``USER:PASSWORD`` whose rest holds an ``@``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The parts of a network address. What may be secret is left out of its ``repr``."""

    scheme: str
    """In lower case."""
    host: str
    """In lower case, without the brackets of an IPv6 address."""
    port: int | None = None
    user: str | None = field(default=None, repr=False)
    """Decoded; None without one."""
    password: str | None = field(default=None, repr=False)
    """Decoded; None without one."""
    path: str = field(default="", repr=False)
    """With its first slash, as it is sent; empty without one."""
    query: str = field(default="", repr=False)
    """Without the question mark, as it is sent."""
    fragment: str = field(default="", repr=False)
    """Without the ``#``."""

    @property
    def host_and_port(self) -> str:
        """As in an address: ``cam:554``, ``[::1]``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def is_this_machine(host: str) -> bool:
    """Whether a host's name or number can be no other machine's."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def may_use_proxy(scheme: str, host: str) -> bool:
    """Whether the environment's proxy is asked: for what is encrypted and on other machines, and nothing else.

    Through a proxy, what is not encrypted could be read and changed; and this machine is another one there.
    """
    return scheme == "https" and not is_this_machine(host)


def split_address(text: str, *, may_log_in: bool = True) -> Address:
    """The parts of an address.

    >>> split_address("rtsp://me:p%40ss@cam/live").password
    'p@ss'

    Args:
        text: The address.
        may_log_in: Whether ``USER:PASSWORD@`` may be meant, so that an ``@`` in the path makes it ambiguous.

    Raises:
        ValueError: It is no address, or cannot be told apart from a password in it. The message is one line that holds
            nothing of it but what :func:`redacted` shows.
    """
    name = redacted(text)
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"'{name}' is not an address: expected SCHEME://USER:PASSWORD@HOST:PORT/PATH.")
    if _UNSAFE.search(text):
        raise ValueError(f"'{name}' holds a space or a control character: write a space as %20.")
    scheme, authority, rest = match.groups()
    login, at, place = authority.rpartition("@")
    if not authority and rest.strip("/") == "":
        raise ValueError(f"'{scheme}://' names no host: expected {scheme.lower()}://USER:PASSWORD@HOST:PORT/PATH.")
    parts = _place(place)
    if parts is None or (may_log_in and "@" in rest and not _IP.match(place)):
        raise ValueError(
            f"Cannot tell user, password, host and port apart in '{name}': expected {scheme.lower()}://"
            f"USER:PASSWORD@HOST:PORT/PATH, with a port up to 65535. {ENCODING_HINT}, and an @ behind the host as %40."
        )
    user, colon, password = login.partition(":")
    before, _, fragment = rest.partition("#")
    path, _, query = before.partition("?")
    return Address(
        scheme=scheme.lower(),
        host=parts[0],
        port=parts[1],
        user=unquote(user) if at else None,
        password=unquote(password) if colon else None,
        path=path,
        query=query,
        fragment=fragment,
    )


def redacted(text: str, *, with_path: bool = False) -> str:
    """An address for messages, logs and pages: scheme, host and port, and ``***`` for all that may be secret.

    >>> redacted("rtsp://me:secret@cam:554/live"), redacted("mqtt://broker"), redacted("rtsp://me:s/cret@cam")
    ('rtsp://***@cam:554/***', 'mqtt://broker', 'rtsp://***')

    Args:
        text: The address. Other text is shown as it is, but where it looks like an address written wrong.
        with_path: Whether to show the path too, where it is known to hold no secret.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return _HIDDEN if is_like_address(text) else text
    scheme, authority, rest = match.groups()
    _, at, place = authority.rpartition("@")
    if "@" in rest or _place(place) is None:
        return f"{scheme}://{_HIDDEN}"
    path = re.split(r"[?#]", rest, maxsplit=1)[0] if with_path or rest.strip("/") == "" else ""
    hidden = "" if path == rest else f"?{_HIDDEN}" if with_path else f"/{_HIDDEN}"
    return f"{scheme}://{_HIDDEN + at if at else ''}{place}{path}{hidden}"


def without_secrets(text: str, given: Iterable[str], *, with_paths: bool = False) -> str:
    """``text`` with the addresses in it that were ``given`` as :func:`redacted` shows them.

    >>> without_secrets("'rtsp://me:secret@cam' is not a number.", ["--fps", "rtsp://me:secret@cam"])
    "'rtsp://***@cam' is not a number."

    Args:
        text: A message, which may hold any of what was given, as it is or as a file's name would be.
        given: A program's arguments.
        with_paths: Whether paths of addresses are shown.
    """
    shown: dict[str, str] = {}
    for argument in given:
        shown |= _shown_forms(argument, with_paths=with_paths)
    marks = {chr(_MARKS + number): secret for number, secret in enumerate(sorted(shown, key=len, reverse=True))}
    for mark, secret in marks.items():  # so that no part of what is shown for one is taken for another
        text = text.replace(secret, mark)
    return text.translate({ord(mark): shown[secret] for mark, secret in marks.items()})


def _shown_forms(argument: str, *, with_paths: bool) -> dict[str, str]:
    """The forms in which an argument may stand in a message, and what is shown for each."""
    shown: dict[str, str] = {}
    for _ in range(_NESTED):
        match = _GIVEN.search(argument)
        if match is None or _FORMAT.fullmatch(match[0]):
            break
        address, scheme, rest = match[0], match[1], match[2]
        if not rest.strip("/"):  # a scheme alone holds nothing to hide
            break
        argument = rest
        name = redacted(address, with_path=with_paths)
        shown |= {address: name, re.sub("/+", "/", address): name, f"{scheme}:{rest}": name}
        login = rest.rpartition("@")[0]
        if login:
            shown |= {rest: _HIDDEN, re.sub("/+", "/", rest): _HIDDEN, login: _HIDDEN}
    return shown


def is_like_address(text: str) -> bool:
    """Whether text that is no address may be meant for one, with a secret in it: ``me:secret@cam``, ``rtsp:/cam``."""
    return _LIKE_ADDRESS.search(text) is not None


def _place(text: str) -> tuple[str, int | None] | None:
    """Host and port; None if it is not ``HOST`` or ``HOST:PORT``."""
    match = _PLACE.fullmatch(text)
    if match is None or (match[2] and int(match[2]) > 65535):
        return None
    host = match[1].strip("[]").lower()
    is_name = ":" in host or _is_name(host.strip("."))
    return (host, int(match[2]) if match[2] else None) if is_name else None


def _is_name(host: str) -> bool:
    """Whether no part of a host's name is empty or too long."""
    if host.isascii():  # needs no codec: error messages pass through here, even where no memory is left to load one
        return all(0 < len(part) < 64 for part in host.split("."))
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False
