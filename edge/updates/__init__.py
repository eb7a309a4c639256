"""New bundles onto a board: download, signature, archive, installation and the way back."""
