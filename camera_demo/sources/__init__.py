"""Where frames come from, one short file each behind :class:`Source`."""

from camera_demo.sources.contract import Source
from camera_demo.sources.opening import open_source

__all__ = ["Source", "open_source"]
