"""The paper (arXiv 1704.04861) recomputed: its tables from our networks, its experiments at a small scale."""

from convert.paper.tables import Cell, Row, Table, recomputed

__all__ = ["Cell", "Row", "Table", "recomputed"]
