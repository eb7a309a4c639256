"""Pictures that the camera saw, kept to learn from: chosen, few, never the same twice, and never more than fits."""
