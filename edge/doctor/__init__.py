"""Is this machine ready: what the runtime needs, each with what was found and how to mend it."""

from edge.doctor.examination import examine
from edge.doctor.finding import Finding, Status, Surroundings

__all__ = ["Finding", "Status", "Surroundings", "examine"]
