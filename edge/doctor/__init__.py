"""Is this machine ready: what the runtime needs, each with what was found and how to mend it."""

from edge.doctor.examination import CHECKS, examine
from edge.doctor.finding import Finding, Status
from edge.doctor.surroundings import Surroundings

__all__ = ["CHECKS", "Finding", "Status", "Surroundings", "examine"]
