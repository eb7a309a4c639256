"""Keep the latency budget while running: the controller and the adaptive classifier."""
