"""The live page: its routes, who may ask, its limits, and where the loop hands answers to browsers."""
