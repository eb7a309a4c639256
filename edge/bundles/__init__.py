"""What a bundle holds: variants, their manifest, and where installed bundles are found."""
