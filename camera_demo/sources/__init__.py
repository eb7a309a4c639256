"""Where frames come from, one short file each behind :class:`Source`."""

from camera_demo.sources.contract import Source
from camera_demo.sources.opening import open_source
from camera_demo.sources.wishes import Wishes

__all__ = ["Source", "Wishes", "open_source"]
