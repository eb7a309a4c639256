"""Live classification: sources, the loop, overlay and sinks."""
