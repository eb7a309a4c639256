"""Where frames come from, one short file each behind :class:`Source`."""

from camera_demo.sources.base import LiveSource, Prepare, Source
from camera_demo.sources.factory import open_source

__all__ = ["LiveSource", "Prepare", "Source", "open_source"]
