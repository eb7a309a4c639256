"""What to look at when nobody said: the first camera that works, else the demo clip."""

from __future__ import annotations

from collections.abc import Callable

from camera_demo.sources.picamera import has_ribbon_camera
from camera_demo.sources.v4l2 import camera_nodes, explain_camera, probe_node
from camera_demo.uri import Uri, parse_source

__all__ = ["default_source"]


def default_source(
    announce: Callable[[str], None],
    *,
    nodes: Callable[[], list[str]] = camera_nodes,
    opener: Callable[[str], object] = probe_node,
    has_ribbon: Callable[[], bool] = has_ribbon_camera,
) -> Uri:
    """The first camera that can be opened, else a Pi's ribbon camera, else the demo clip; ``announce`` names it.

    Args:
        announce: Takes one line for people.
        nodes: Lists the video nodes there are.
        opener: Opens a node and raises :class:`OSError` when that fails.
        has_ribbon: Whether picamera2 knows of a camera.
    """
    refused = []
    for node in nodes():
        try:
            opener(node)
        except OSError:
            refused.append(explain_camera(node, opener, nodes=nodes))
            continue
        announce(f"No input named: using camera {node}.")
        return parse_source(node)
    if has_ribbon():
        announce("No input named: using camera csi://0.")
        return parse_source("csi://0")
    announce(f"No input named and no usable camera: using the demo clip. {refused[0] if refused else ''}".rstrip())
    return parse_source("demo")
