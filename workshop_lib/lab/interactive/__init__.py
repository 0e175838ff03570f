"""Three parts of the labs that are widgets where somebody can use them, and text with the same numbers everywhere else.

Each shows itself in the cell that makes it. `WORKSHOP_STATIC=1`, and any run that nobody can answer (papermill, nbval, a build), take the
text; so does `interactive=False`, for the keyboard and the screen reader.
"""

from workshop_lib.lab.interactive.bulk_table import BulkTable, bulk_table
from workshop_lib.lab.interactive.explorer import ThresholdExplorer, threshold_explorer
from workshop_lib.lab.interactive.routing import RoutingDemo, routing_demo

__all__ = ["BulkTable", "RoutingDemo", "ThresholdExplorer", "bulk_table", "routing_demo", "threshold_explorer"]
