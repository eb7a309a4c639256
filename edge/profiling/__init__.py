"""The latency of each variant on a board: measured, published or predicted, and stored."""
