"""Training: one network or a whole family, on folders of pictures or on any other source."""
