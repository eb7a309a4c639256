"""What is run from a checkout of the repository and never installed."""
