"""Published weights: fetched once, written down in a lock file, and checked against it from then on."""

from convert.fetch.imagenet import Fetched, Published, fetch_imagenet, published
from edge.updates.download.lock import Lock

__all__ = ["Fetched", "Lock", "Published", "fetch_imagenet", "published"]
