"""What is done when an event begins or ends: a command, a webhook, a pin."""

from camera_demo.actions.dispatcher import Actions
from camera_demo.actions.rules import Rule, check_rules, parse_rule

__all__ = ["Actions", "Rule", "check_rules", "parse_rule"]
