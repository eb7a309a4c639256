"""Hostile model files and bundles, each judged in a process of its own: what ``scripts/fuzz`` runs."""
