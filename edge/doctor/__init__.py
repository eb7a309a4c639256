"""Is this machine ready: what the runtime needs, each with what was found and how to fix it."""

from edge.doctor.environment import Surroundings
from edge.doctor.examination import CHECKS, examine
from edge.doctor.finding import Finding, Status

__all__ = ["CHECKS", "Finding", "Status", "Surroundings", "examine"]
