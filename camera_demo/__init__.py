"""RunState classification: sources, the loop, overlay and sinks."""
