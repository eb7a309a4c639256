"""Is a classifier good enough? Its answers to labelled pictures, counted by class, and how far to trust them."""
