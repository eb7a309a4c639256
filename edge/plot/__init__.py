"""Draw profiles and other measurements: as PNG, SVG, or an HTML page that needs no other file."""

from edge.plot.figure import need_matplotlib
from edge.plot.output import check_plot, write_charts
from edge.plot.profiles import comparison_charts, profile_charts

__all__ = ["check_plot", "comparison_charts", "need_matplotlib", "profile_charts", "write_charts"]
