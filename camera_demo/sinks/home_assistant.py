"""What Home Assistant needs to show a camera's answers as a device: MQTT discovery.

The form is that of https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message for each
entity, below ``PREFIX/COMPONENT/OBJECT_ID/config``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["discovery"]

_NAME: Final = "mobilenet-edge"
_SENSORS: Final[Mapping[str, Mapping[str, Any]]] = {
    "label": {
        "name": "Label",
        "icon": "mdi:label",
        "value_template": "{{ value_json.label if value_json.label is not none else 'not sure' }}",
        "with_attributes": True,
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


def discovery(topic: str, prefix: str) -> dict[str, str]:
    """Topics and messages that introduce the camera whose topics begin with ``topic``; none without a prefix."""
    if not prefix:
        return {}
    node = re.sub(r"[^a-zA-Z0-9_-]+", "_", topic)
    shared = {
        "availability_topic": f"{topic}/availability",
        "device": {"identifiers": [node], "name": topic, "manufacturer": _NAME, "model": "MobileNet v1"},
        "origin": {"name": _NAME},
    }
    messages = {
        f"{prefix}/sensor/{node}_{key}/config": _sensor(node, topic, key, sensor) | shared
        for key, sensor in _SENSORS.items()
    }
    messages[f"{prefix}/binary_sensor/{node}_camera/config"] = {
        "name": "Camera",
        "unique_id": f"{node}_camera",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": f"{topic}/camera",
        **shared,
    }
    return {name: json.dumps(message) for name, message in messages.items()}


def _sensor(node: str, topic: str, key: str, sensor: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in sensor.items() if name != "with_attributes"}
    attributes = {"json_attributes_topic": f"{topic}/state"} if sensor.get("with_attributes") else {}
    return {**rest, **attributes, "unique_id": f"{node}_{key}", "state_topic": f"{topic}/state"}
