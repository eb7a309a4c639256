"""A bundle's variant answers: backends, the classifier and its self-test."""
