"""What the boards of a fleet told last: from an MQTT broker, which keeps it, or from Prometheus, which asked them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, cast, get_args
from urllib.parse import quote, urlencode

from edge.addresses import may_use_proxy, redacted, split_address
from edge.errors import ChannelError, os_reason
from edge.fleet.broker import broker_address, collect
from edge.fleet.health_minute import HealthMinute, parse_minute
from edge.fleet.reporting import MOST_BYTES, health_topic, read_report, state_topic
from edge.fleet.state import BadVersion, Phase, timestamp
from edge.fleet.status import BoardStatus
from edge.text import one_line, shortened

__all__ = ["Heard", "from_mqtt", "from_prometheus"]

_TIMEOUT_S: Final = 30.0
_MOST_ANSWER_BYTES: Final = 64_000_000
_LATE_SHARE: Final = 0.05
_PAST: Final = "7d"
"""How far back boards are looked for that are silent now."""
_SAME_S: Final = 600.0
"""What was heard so much before the last of a board is not its state any more."""
_NAMES: Final = ("mobilenet_edge_board_info", "mobilenet_edge_update_info", "mobilenet_edge_update_bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was heard."""

    boards: tuple[BoardStatus, ...]
    unreadable: tuple[str, ...] = ()
    """A line for each message that cannot be understood."""


def from_mqtt(address: str, *, quiet_s: float = 1.0) -> Heard:
    """What a broker keeps of the boards' states.

    Args:
        address: ``mqtt://USER:PASSWORD@HOST:PORT``.
        quiet_s: Seconds without a further message after which all were heard.

    Raises:
        ChannelError: The broker cannot be reached or does not let this client read.
    """
    boards, unreadable = [], []
    topics = state_topic("+"), health_topic("+", "+")
    messages = collect(broker_address(address), *topics, most_bytes=MOST_BYTES, quiet_s=quiet_s)
    minutes = _minutes({topic: messages.pop(topic) for topic in list(messages) if not topic.endswith("/state")})
    for topic, content in sorted(messages.items()):
        try:
            report = read_report(topic, content)
        except ChannelError as error:
            unreadable.append(str(error))
            continue
        state, reported_s = report.state, report.reported_at.timestamp()
        last = [one for one in minutes.get(state.board_id, ()) if one.ended_at_s >= reported_s - _SAME_S]
        boards.append(
            BoardStatus(
                board_id=state.board_id,
                host=state.host,
                group=state.group,
                channel=state.channel,
                ring=state.ring,
                installed=state.installed,
                latest=state.latest,
                phase=state.phase,
                error=state.error,
                bad=state.bad,
                heard=report.reported_at,
                is_late=any(minute.late_share > _LATE_SHARE for minute in last),
                is_hot=any(minute.hot for minute in last),
                lost_camera=any(minute.source_up == 0 and not minute.stopped for minute in last if minute.seconds),
            )
        )
    return Heard(boards=tuple(boards), unreadable=tuple(unreadable))


def _minutes(messages: Mapping[str, bytes]) -> dict[str, list[HealthMinute]]:
    """The last minute of each camera of each board; what cannot be understood is left out."""
    found: dict[str, list[HealthMinute]] = {}
    for topic, content in messages.items():
        board_id = topic.split("/")[2]
        if topic.startswith(health_topic(board_id, "")) and (minute := parse_minute(content)) is not None:
            found.setdefault(board_id, []).append(minute)
    return found


def from_prometheus(address: str) -> Heard:
    """What Prometheus saw of the boards' pages in the last seven days.

    Args:
        address: ``http://HOST:9090``, with ``USER:PASSWORD@`` where it asks for that.

    Raises:
        ChannelError: Prometheus cannot be asked.
    """
    found = {name: _newest(_query(address, _last_seen(name))) for name in _NAMES}
    infos, updates, bads = (found[name] for name in _NAMES)
    boards, unreadable = [], []
    for target, ((info, heard_s), *_) in infos.items():
        update, update_s = next(iter(updates.get(target, ())), ({}, 0.0))
        if not update or update_s < heard_s - _SAME_S:
            continue  # it follows no channel, or no longer
        phase, moment = update.get("phase"), datetime.fromtimestamp(heard_s, timezone.utc)
        if phase not in get_args(Phase):
            unreadable.append(f"{target[1]} is in the phase {shortened(str(phase), 40)!r}, which is not known here")
            continue
        installed = update.get("installed")
        bad = [labels["version"] for labels, bad_s in bads.get(target, ()) if bad_s >= heard_s - _SAME_S]
        boards.append(
            BoardStatus(
                board_id=info.get("board") or target[1],
                host=target[1],
                group=info.get("group") or None,
                channel=update.get("channel") or None,
                ring=update.get("ring") or None,
                installed=None if installed in ("shipped", "none") else installed,
                latest=update.get("latest") or None,
                phase=cast("Phase", phase),
                bad=tuple(_bad_version(version, moment) for version in bad),
                heard=moment,
            )
        )
    return Heard(boards=tuple(boards), unreadable=tuple(unreadable))


def _last_seen(name: str) -> str:
    """The query for when each series of a metric was seen last: the past in steps, the present as it is."""
    return f"timestamp({name} == 1) or max_over_time(timestamp({name} == 1)[{_PAST}:5m])"


def _newest(samples: Iterable[Any]) -> dict[tuple[str, str], list[tuple[dict[str, str], float]]]:
    """Each target's series with the time at which it was seen last, the latest first.

    Raises:
        ChannelError: The samples are not Prometheus'.
    """
    found: dict[tuple[str, str], list[tuple[dict[str, str], float]]] = {}
    try:
        for sample in samples:
            labels = {str(key): one_line(str(value)) for key, value in sample["metric"].items()}
            target = labels.get("job", ""), labels.get("instance", "")
            found.setdefault(target, []).append((labels, float(sample["value"][1])))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as reason:
        raise ChannelError("Prometheus gives an answer that cannot be understood.") from reason
    return {target: sorted(series, key=lambda one: -one[1]) for target, series in sorted(found.items())}


def _bad_version(version: str, heard: datetime) -> BadVersion:
    return BadVersion(version=version, reason="the board says why: edge channel status --mqtt", at=timestamp(heard))


def _query(address: str, expression: str) -> list[Any]:
    """The instant vector of a query."""
    name = redacted(address)
    try:
        parts = split_address(address)
        if parts.scheme not in ("http", "https"):
            raise ValueError(parts.scheme)
    except ValueError:
        raise ChannelError(f"'{name}' is not Prometheus' address: expected http://HOST:9090.") from None
    base = f"{parts.scheme}://{parts.host_and_port}{quote(parts.path.rstrip('/'), safe='/%')}"
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if not may_use_proxy(parts.scheme, parts.host):
        handlers.append(urllib.request.ProxyHandler({}))
    if parts.user is not None:
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        passwords.add_password(None, base, parts.user, parts.password or "", is_authenticated=True)
        handlers.append(urllib.request.HTTPBasicAuthHandler(passwords))
    url = f"{base}/api/v1/query?{urlencode({'query': expression})}"
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=_TIMEOUT_S) as answer:
            content = answer.read(_MOST_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        raise ChannelError(f"Prometheus at {name} answers {refusal.code}: expected the answer to a query.") from refusal
    except OSError as reason:
        cause = reason.reason if isinstance(reason, urllib.error.URLError) else reason
        why = os_reason(cause) if isinstance(cause, OSError) else str(cause)
        raise ChannelError(f"Prometheus at {name} cannot be asked: {why}.") from reason
    try:
        values = json.loads(content)
        if len(content) > _MOST_ANSWER_BYTES or values["status"] != "success":
            raise ValueError
        return list(values["data"]["result"])
    except (ValueError, KeyError, TypeError, RecursionError) as reason:
        raise ChannelError(f"{name} does not answer as Prometheus does: expected its address.") from reason


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: it would take the password elsewhere."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        """None: the answer is then raised as it is."""
