"""``edge``: what a user does on the device."""
