"""Where frames come from, one short file each behind :class:`Source`."""

from camera_demo.sources.base import Source
from camera_demo.sources.factory import open_source

__all__ = ["Source", "open_source"]
