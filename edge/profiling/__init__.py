"""What each variant costs on a board: measured, published or predicted, and kept."""
