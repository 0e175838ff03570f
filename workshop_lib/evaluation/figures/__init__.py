"""Figures, all drawn through `figure`: each returns a `Picture` with a caption computed from the numbers, which is also its alt text."""

from workshop_lib.evaluation.figures.base import COLOURS, HATCHES, MARKERS, Picture, figure
from workshop_lib.evaluation.figures.comparison import deferral_figure, forest_figure, quadrant_figure
from workshop_lib.evaluation.figures.confidence import calibration_figure, reliability_figure, risk_coverage_figure
from workshop_lib.evaluation.figures.costs import cost_quality_figure, pareto_figure, threshold_figure

__all__ = [
    "COLOURS",
    "HATCHES",
    "MARKERS",
    "Picture",
    "calibration_figure",
    "cost_quality_figure",
    "deferral_figure",
    "figure",
    "forest_figure",
    "pareto_figure",
    "quadrant_figure",
    "reliability_figure",
    "risk_coverage_figure",
    "threshold_figure",
]
