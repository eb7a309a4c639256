"""Pictures to calibrate, to measure and to learn on: found, divided, read once."""
