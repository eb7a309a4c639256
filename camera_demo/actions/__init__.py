"""What is done when an event begins or ends: a command, a webhook, a pin."""
