"""Where answers go, one short file each behind :class:`Sink`."""

from camera_demo.sinks.base import Sink, SinkContext, WatcherLeft
from camera_demo.sinks.factory import open_sink
from camera_demo.sinks.outputs import Outputs

__all__ = ["Outputs", "Sink", "SinkContext", "WatcherLeft", "open_sink"]
