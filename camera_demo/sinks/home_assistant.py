"""What Home Assistant needs to show a camera's answers as a device: MQTT discovery.

The form is that of https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message for each
entity, below ``PREFIX/COMPONENT/OBJECT_ID/config``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from camera_demo.sinks.topics import Topics
from edge.fleet.reporting import INSTALL, install_topic, state_topic
from edge.fleet.state import Phase

__all__ = ["board_discovery", "discovery"]

_NAME: Final = "mobilenet-edge"
_DIGEST_LETTERS: Final = 10
_READABLE_LETTERS: Final = 60
_SENSORS: Final[Mapping[str, Mapping[str, Any]]] = {
    "label": {
        "name": "Label",
        "icon": "mdi:label",
        "value_template": "{{ value_json.label if value_json.label is not none else 'not sure' }}",
        "with_attributes": True,
    },
    "steady": {
        "name": "Seen",
        "icon": "mdi:eye-check",
        "value_template": "{{ value_json.steady or 'nothing' }}",
    },
    "probability": {
        "name": "Probability",
        "icon": "mdi:percent",
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "value_template": "{{ (100 * (value_json.probability or 0)) | round(1) }}",
    },
    "fps": {
        "name": "Frames a second",
        "icon": "mdi:speedometer",
        "unit_of_measurement": "fps",
        "state_class": "measurement",
        "entity_category": "diagnostic",
        "value_template": "{{ value_json.fps | round(1) }}",
    },
    "latency": {
        "name": "Capture to answer",
        "icon": "mdi:timer-outline",
        "unit_of_measurement": "ms",
        "state_class": "measurement",
        "entity_category": "diagnostic",
        "value_template": "{{ value_json.capture_to_answer_ms | round(1) }}",
    },
    "variant": {
        "name": "Variant",
        "icon": "mdi:brain",
        "entity_category": "diagnostic",
        "value_template": "{{ value_json.variant }}",
    },
}


_EVENT: Final = (
    "{{ {'event_type': value_json.event, 'label': value_json.label, 'probability': value_json.probability, "
    "'start': value_json.start, 'end': value_json.end} | to_json }}"
)
"""Home Assistant wants the type of an event under a name of its own."""
_OF_BOARD: Final[Mapping[str, Mapping[str, Any]]] = {
    "problem": {
        "name": "Update problem",
        "device_class": "problem",
        "value_template": "{{ 'ON' if value_json.phase in ['failed', 'rolled_back'] else 'OFF' }}",
        "json_attributes_template": "{{ {'error': value_json.error, 'bad': value_json.bad} | to_json }}",
    },
    "phase": {
        "name": "Update phase",
        "device_class": "enum",
        "options": list(get_args(Phase)),
        "value_template": "{{ value_json.phase }}",
    },
    "ring": {"name": "Ring", "icon": "mdi:bullseye", "value_template": "{{ value_json.ring or 'none' }}"},
    "checked": {
        "name": "Looked for updates",
        "device_class": "timestamp",
        "value_template": "{{ value_json.checked or 'None' }}",
    },
}
_OF_CAMERA: Final = frozenset({"fps", "latency", "variant"})
"""What is one figure for all regions."""


def discovery(topics: Topics | str, prefix: str) -> dict[str, str]:
    """Topics and messages that introduce a camera; none without a prefix.

    Args:
        topics: The camera's topics, or what all of them begin with where it has no regions.
        prefix: The topic below which Home Assistant looks for devices.
    """
    topics = Topics(base=topics) if isinstance(topics, str) else topics
    if not prefix:
        return {}
    node = _identifier(topics.base)
    messages: dict[str, dict[str, Any]] = {}
    for number, region in enumerate(topics.names):
        stem, state = _identifier(f"{topics.base}\0{region}") if region else node, topics.state(region)
        for key, sensor in _SENSORS.items():
            if key not in _OF_CAMERA:
                messages[f"sensor/{stem}_{key}"] = _sensor(sensor, state) | {"name": _titled(region, sensor["name"])}
            elif number == 0:
                messages[f"sensor/{node}_{key}"] = _sensor(sensor, state)
        messages[f"event/{stem}_event"] = {
            "name": _titled(region, "Event"),
            "icon": "mdi:eye",
            "event_types": ["begin", "end"],
            "state_topic": topics.event(region),
            "value_template": _EVENT,
        }
        for label in topics.watched:
            messages[f"binary_sensor/{stem}_seen_{_identifier(label)}"] = {
                "name": _titled(region, label),
                "icon": "mdi:eye",
                "state_topic": topics.seen_of(region, label),
            }
    messages[f"binary_sensor/{node}_camera"] = {
        "name": "Camera",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": f"{topics.base}/camera",
    }
    shared = {
        "availability_topic": f"{topics.base}/availability",
        "device": {"identifiers": [node], "name": topics.base, "manufacturer": _NAME, "model": "MobileNet v1"},
        "origin": {"name": _NAME},
    }
    return {
        f"{prefix}/{name}/config": json.dumps(message | {"unique_id": name.partition("/")[2]} | shared)
        for name, message in messages.items()
    }


def board_discovery(board_id: str, host: str, *, prefix: str, availability_topic: str) -> dict[str, str]:
    """Topics and messages that introduce a board that follows a channel; none without a prefix.

    The update entity is that of https://www.home-assistant.io/integrations/update.mqtt.

    Args:
        board_id: What the board is called in its fleet.
        host: Its host name, for people.
        prefix: The topic below which Home Assistant looks for devices.
        availability_topic: Where the program that takes the command says whether it is there.
    """
    if not prefix:
        return {}
    node, state = _identifier(f"{_NAME}/board/{board_id}"), state_topic(board_id)
    messages: dict[str, dict[str, Any]] = {
        f"update/{node}_bundle": {
            "name": "Bundle",
            "value_template": "{{ value_json['update'] | to_json }}",
            "command_topic": install_topic(board_id),
            "payload_install": INSTALL,
        }
    }
    for key, entity in _OF_BOARD.items():
        messages[f"{'binary_sensor' if key == 'problem' else 'sensor'}/{node}_{key}"] = {
            **entity,
            "entity_category": "diagnostic",
        }
    shared = {
        "state_topic": state,
        "availability_topic": availability_topic,
        "device": {"identifiers": [node], "name": host or board_id, "manufacturer": _NAME, "model": "Board"},
        "origin": {"name": _NAME},
    }
    for name, message in messages.items():
        if "json_attributes_template" in message:
            message["json_attributes_topic"] = state
        message["unique_id"] = name.partition("/")[2]
    return {f"{prefix}/{name}/config": json.dumps(message | shared) for name, message in messages.items()}


def _identifier(topic: str) -> str:
    """What stands for a topic in identifiers, which may have letters of ASCII, digits, ``_`` and ``-`` alone.

    A digest of the topic keeps apart what reads the same without the other characters.
    """
    digest = hashlib.sha256(topic.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LETTERS]
    readable = re.sub(r"[^a-zA-Z0-9_-]+", "_", topic)[:_READABLE_LETTERS].strip("_")
    return f"{readable}_{digest}".strip("_")


def _sensor(sensor: Mapping[str, Any], state: str) -> dict[str, Any]:
    rest = {name: value for name, value in sensor.items() if name != "with_attributes"}
    attributes = {"json_attributes_topic": state} if sensor.get("with_attributes") else {}
    return {**rest, **attributes, "state_topic": state}


def _titled(region: str, name: str) -> str:
    return f"{region}: {name}" if region else name
