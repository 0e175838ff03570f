"""Figures about stated confidence: is it as good as it says, what calibration changes, and what keeping only the surest answers gives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workshop_lib.evaluation.figures.base import COLOURS, GREY, HATCHES, MARKERS, Picture, figure, legend_below
from workshop_lib.evaluation.metrics import ReliabilityRow, wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def reliability_figure(rows: Sequence[ReliabilityRow], title: str, source: str) -> Picture:
    """Draw accuracy against stated confidence, one bar a bin with its 95 % interval; on the diagonal a model is as good as it says."""
    n = sum(row.n for row in rows)
    claimed = sum(row.n * row.mean_confidence for row in rows) / n
    right = sum(row.n * row.accuracy for row in rows) / n

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}  # a bar may stand behind it
        axes.text(0.02, 0.07, "as good as it says", color=GREY, fontsize=8, rotation=32, rotation_mode="anchor", bbox=box)
        for row in rows:
            middle = (row.low + row.high) / 2
            axes.bar(middle, row.accuracy, width=0.9 * (row.high - row.low), color=COLOURS[5], edgecolor=COLOURS[0], hatch=HATCHES[1])
            axes.plot([middle, middle], list(row.interval), color="black", linewidth=1.3)
            axes.text(middle, min(row.interval.high + 0.02, 1.04), f"n={row.n}", ha="center", fontsize=8)
        axes.set(xlim=(0, 1), ylim=(0, 1.1), xlabel="stated confidence", ylabel="share right, with 95 % interval")

    gap = "over-confident" if claimed > right + 0.005 else "under-confident" if claimed < right - 0.005 else "neither over- nor under-confident"
    caption = f"{n} answers ({source}): mean confidence {claimed:.3f}, share right {right:.3f}, so {gap} by {abs(claimed - right):.3f}."
    if gap.startswith("neither"):
        caption = f"{n} answers ({source}): mean confidence {claimed:.3f}, share right {right:.3f}, {gap} on average."
    columns = [
        {"bin": f"{row.low:.2f} to {row.high:.2f}", "n": row.n, "confidence": row.mean_confidence, "share_right": row.accuracy, "low": row.interval.low, "high": row.interval.high}
        for row in rows
    ]
    return figure(draw, title=title, caption=caption, table=pd.DataFrame(columns))


def calibration_figure(before: Sequence[ReliabilityRow], after: Sequence[ReliabilityRow], source: str, title: str = "Confidence before and after calibration") -> Picture:
    """Draw share right against mean confidence of each bin, before and after calibration, with 95 % intervals, on one pair of axes.

    Both are rows of `metrics.reliability` over the same items; raises ValueError if one is empty or the items differ in number.
    """
    n, others = sum(row.n for row in before), sum(row.n for row in after)
    if not n or n != others:
        raise ValueError(f"before and after must be of the same items, at least one; got {n} and {others}")
    series = (("before", before, 1), ("after", after, 0))

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as good as it says")
        for name, rows, index in series:
            for at, row in enumerate(rows):
                axes.plot([row.mean_confidence] * 2, list(row.interval), color=COLOURS[index], linewidth=1.2, linestyle=("-", "--")[index])
                style = {"marker": MARKERS[index], "markersize": 5 + 9 * (row.n / n) ** 0.5, "linestyle": "none", "markeredgecolor": "white"}
                axes.plot(row.mean_confidence, row.accuracy, color=COLOURS[index], label=None if at else name, **style)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), xlabel="mean confidence of the bin", ylabel="share right, with 95 % interval")
        legend_below(axes)

    gaps = [sum(row.n * abs(row.accuracy - row.mean_confidence) for row in rows) / n for _, rows, _ in series]
    caption = (
        f"{n} answers ({source}): the mean gap between confidence and share right is {gaps[0]:.3f} before calibration and {gaps[1]:.3f} after; "
        "larger marks hold more answers."
    )
    columns = [
        {"when": name, "n": row.n, "confidence": row.mean_confidence, "share_right": row.accuracy, "low": row.interval.low, "high": row.interval.high}
        for name, rows, _ in series
        for row in rows
    ]
    return figure(draw, title=title, caption=caption, table=pd.DataFrame(columns))


def risk_coverage_figure(coverage: ArrayLike, risk: ArrayLike, n: int, source: str, title: str = "Error among the answers kept", target: float | None = None) -> Picture:
    """Draw the error rate of the kept answers against the share kept, most confident first, with pointwise 95 % intervals.

    `coverage` rises to 1, `risk` is the share wrong among the kept, `n` the number of items at coverage 1; `target` draws a tolerated error rate.
    """
    kept, wrong = np.asarray(coverage, dtype=float), np.asarray(risk, dtype=float)
    if kept.shape != wrong.shape or kept.ndim != 1 or not kept.size:
        raise ValueError(f"coverage and risk need one value a point each, got shapes {kept.shape} and {wrong.shape}")
    counts = np.maximum(1, np.rint(kept * n)).astype(int)
    bounds = np.array([wilson(min(round(share * count), count), count) for share, count in zip(wrong.tolist(), counts.tolist(), strict=True)])

    def draw(axes: "Axes") -> None:
        axes.fill_between(kept, bounds[:, 0], bounds[:, 1], color=COLOURS[5], alpha=0.35, linewidth=0, label="95 % interval at each point")
        axes.plot(kept, wrong, color=COLOURS[0], marker=MARKERS[0], markersize=4, label="error of the kept answers")
        if target is not None:
            axes.axhline(target, color=COLOURS[1], linestyle="--", linewidth=1.2, label=f"tolerated: {target:g}")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.01, min(1.02, max(0.1, 1.15 * float(bounds[:, 1].max())))), xlabel="share of answers kept, most confident first", ylabel="share wrong among the kept")
        legend_below(axes)

    half = int(np.argmin(np.abs(kept - 0.5)))
    caption = f"{n} answers ({source}): keeping all, {wrong[-1]:.3f} are wrong; keeping the most confident {kept[half]:.0%}, {wrong[half]:.3f} are."
    table = pd.DataFrame({"kept": kept, "n": counts, "share_wrong": wrong, "low": bounds[:, 0], "high": bounds[:, 1]})
    return figure(draw, title=title, caption=caption, table=table)
