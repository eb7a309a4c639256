"""Draw profiles: as a PNG, or as a page that stands alone."""

from edge.plot.page import check_plot, write_charts
from edge.plot.pictures import comparison_charts, profile_charts

__all__ = ["check_plot", "comparison_charts", "profile_charts", "write_charts"]
