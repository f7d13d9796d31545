"""Reports: what a run found, in words, tables and figures. Reads results and runs nothing.

`html` makes the page, `pictures` chooses the figures that `plots` draws in the `style`, `tables` makes grids for the
terminal and the page, `worlds` sets two runs side by side, `setting` reads the scenario's question and faults.
"""

from workbench.report.html import write
from workbench.report.tables import grid, table, text
from workbench.report.worlds import beside

__all__ = ["beside", "grid", "table", "text", "write"]
