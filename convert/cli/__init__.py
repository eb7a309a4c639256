"""``edge-convert``: what a user does on the workstation."""
