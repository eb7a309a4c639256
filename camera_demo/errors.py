"""Errors of sources, sinks and settings.

::

    EdgeError
    ├── SourceError         (OSError)       a camera, clip or folder that gives no frames
    ├── SinkError           (OSError)       a display, page or file that takes no frames
    └── ConfigError         (ValueError)    a configuration file or setting that is invalid
"""

from __future__ import annotations

from edge.errors import EdgeError

__all__ = [
    "ConfigError",
    "SinkError",
    "SourceError",
]


class SourceError(EdgeError, OSError):
    """A camera, clip or folder that gives no frames."""


class SinkError(EdgeError, OSError):
    """A display, page or file that takes no frames."""


class ConfigError(EdgeError, ValueError):
    """A configuration file, or a setting, that is invalid."""
