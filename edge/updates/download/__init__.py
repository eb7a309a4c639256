"""Files from the network: whole and the ones expected, or not there at all; a cut costs only what had not come yet."""

from edge.updates.download.connection import Limits, check_url, default_context, shown
from edge.updates.download.fetching import download
from edge.updates.download.small import SmallFile, read_small

__all__ = ["Limits", "SmallFile", "check_url", "default_context", "download", "read_small", "shown"]
