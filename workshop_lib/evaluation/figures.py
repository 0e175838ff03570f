"""Figures, all through one helper: readable on any background, in print and by ear, and the same bytes on every build."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from workshop_lib.evaluation.arms import text_table
from workshop_lib.evaluation.metrics import ReliabilityRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; the yellow is left out, being too pale on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "--")
_DPI = 110
_GREY = "#595959"


@dataclass(frozen=True)
class Picture:
    """A drawn figure: PNG bytes, a caption that doubles as alt text, and the drawn numbers as a table.

    In a notebook it shows itself as a cell's last expression or by `show()`: image, then title, caption and table as text.
    """

    png: bytes
    title: str
    caption: str
    table: str | None = None

    def __bytes__(self) -> bytes:
        """Return the PNG."""
        return self.png

    @property
    def data_uri(self) -> str:
        """Return the PNG as a data URI, for a page that stands alone."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def text(self) -> str:
        """Return what stands under the figure: title, caption and table."""
        return "\n".join([f"{self.title}. {self.caption}", *([] if self.table is None else ["", self.table])])

    def show(self) -> None:
        """Display the image with its alt text, then print the caption and the table (outside a notebook only print)."""
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        if get_ipython() is not None:  # type: ignore[no-untyped-call, unused-ignore]
            image = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.caption}
            display(image, raw=True, metadata={"image/png": {"alt": self.caption}})  # type: ignore[no-untyped-call, unused-ignore]
        print(self.text)

    def _ipython_display_(self) -> None:
        self.show()


def figure(draw: Callable[["Axes"], None], *, title: str, caption: str, table: pd.DataFrame | None = None, size: tuple[float, float] = (6.4, 4.2)) -> Picture:
    """Draw on fresh axes and return the picture; `caption` is a sentence computed from the data, `table` the drawn numbers, `size` inches.

    The face is opaque, so that a dark page does not swallow the labels. Nothing of the caller's matplotlib settings is used or changed.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    look = {"font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#E5E5E5"}
    with style.context(["default", {**look, "axes.axisbelow": True, "hatch.linewidth": 0.6}], after_reset=True):
        drawing = Figure(figsize=size, dpi=_DPI, facecolor="white", layout="constrained")
        FigureCanvasAgg(drawing)
        axes = drawing.add_subplot()
        draw(axes)
        axes.set_title(title, loc="left", fontsize=10.5)
        png = io.BytesIO()
        drawing.savefig(png, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return Picture(png.getvalue(), title, caption, None if table is None else text_table(table))


def reliability_figure(rows: Sequence[ReliabilityRow], title: str, source: str) -> Picture:
    """Draw accuracy against stated confidence, one bar a bin with its 95 % interval; on the diagonal a model is as good as it says."""
    n = sum(row.n for row in rows)
    claimed = sum(row.n * row.mean_confidence for row in rows) / n
    right = sum(row.n * row.accuracy for row in rows) / n

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}  # a bar may stand behind it
        axes.text(0.02, 0.07, "as good as it says", color=_GREY, fontsize=8, rotation=32, rotation_mode="anchor", bbox=box)
        for row in rows:
            middle = (row.low + row.high) / 2
            axes.bar(middle, row.accuracy, width=0.9 * (row.high - row.low), color=COLOURS[5], edgecolor=COLOURS[0], hatch=HATCHES[1])
            axes.plot([middle, middle], list(row.interval), color="black", linewidth=1.3)
            axes.text(middle, min(row.interval.high + 0.02, 1.04), f"n={row.n}", ha="center", fontsize=8)
        axes.set(xlim=(0, 1), ylim=(0, 1.1), xlabel="stated confidence", ylabel="share right, with 95 % interval")

    gap = "over-confident" if claimed > right + 0.005 else "under-confident" if claimed < right - 0.005 else "neither over- nor under-confident"
    caption = f"{n} answers ({source}): mean confidence {claimed:.2f}, share right {right:.2f}, so {gap} by {abs(claimed - right):.2f}."
    if gap.startswith("neither"):
        caption = f"{n} answers ({source}): mean confidence {claimed:.2f}, share right {right:.2f}, {gap} on average."
    columns = [
        {"bin": f"{row.low:.2f} to {row.high:.2f}", "n": row.n, "confidence": row.mean_confidence, "share_right": row.accuracy, "low": row.interval.low, "high": row.interval.high}
        for row in rows
    ]
    return figure(draw, title=title, caption=caption, table=pd.DataFrame(columns))


def cost_quality_figure(summary: pd.DataFrame, source: str, title: str = "What accuracy costs") -> Picture:
    """Draw each arm of a summary at its cost per 1,000 items (log scale) and its accuracy with 95 % interval."""
    arms = summary.sort_values(["cost_per_1000", "arm"]).reset_index(drop=True)

    def draw(axes: "Axes") -> None:
        for index, row in enumerate(arms.to_dict("records")):
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
            cost, accuracy = row["cost_per_1000"], row["accuracy"]
            axes.plot([cost, cost], [row["low"], row["high"]], color=colour, linewidth=1.2)
            axes.plot(cost, accuracy, marker=marker, color=colour, markersize=8, linestyle="none")
        axes.set(xscale="log", xlabel="USD per 1,000 items (log scale)", ylabel="accuracy, with 95 % interval")
        axes.xaxis.set_major_formatter("{x:g}")
        _room(axes, arms)
        _labels(axes, arms)

    best = arms.iloc[int(arms["accuracy"].to_numpy(float).argmax())]
    cheapest = arms.iloc[0]
    caption = (
        f"{len(arms)} arms on {int(arms['n'].iloc[0])} items ({source}): {cheapest['arm']} is cheapest at {cheapest['cost_per_1000']:.3g} USD per 1,000 "
        f"with accuracy {cheapest['accuracy']:.3f}; {best['arm']} is most accurate at {best['accuracy']:.3f} for {best['cost_per_1000']:.3g} USD."
    )
    return figure(draw, title=title, caption=caption, table=arms[["arm", "cost_per_1000", "accuracy", "low", "high"]], size=(7.4, 4.6))


def threshold_figure(sweep: pd.DataFrame, source: str, title: str = "What a confidence threshold buys") -> Picture:
    """Draw accuracy (with 95 % interval) and escalation rate against the threshold, from `arms.threshold_sweep`."""

    def draw(axes: "Axes") -> None:
        at = sweep["threshold"].to_numpy(float)
        axes.fill_between(at, sweep["low"].to_numpy(float), sweep["high"].to_numpy(float), color=COLOURS[5], alpha=0.3, linewidth=0)
        for name, label, index in (("accuracy", "accuracy", 0), ("escalation_rate", "escalation rate", 1)):
            values = sweep[name].to_numpy(float)
            axes.plot(at, values, marker=MARKERS[index], color=COLOURS[index], linestyle=("-", "--")[index])
            above = values[0] < 0.9
            axes.annotate(label, (at[0], values[0]), xytext=(0, 10 if above else -14), textcoords="offset points", color=COLOURS[index], fontsize=9)
        axes.set(ylim=(-0.03, 1.05), xlabel="escalate below this confidence", ylabel="share of items")

    first, last = sweep.iloc[0], sweep.iloc[-1]
    caption = (
        f"{int(first['n'])} items ({source}): raising the threshold from {first['threshold']:g} to {last['threshold']:g} takes the escalation rate from "
        f"{first['escalation_rate']:.3f} to {last['escalation_rate']:.3f} and accuracy from {first['accuracy']:.3f} to {last['accuracy']:.3f}."
    )
    return figure(draw, title=title, caption=caption, table=sweep[["threshold", "escalation_rate", "accuracy", "low", "high", "cost_usd"]])


def _room(axes: "Axes", arms: pd.DataFrame) -> None:
    cheapest, dearest = float(arms["cost_per_1000"].min()), float(arms["cost_per_1000"].max())
    low, high = float(arms["low"].min()), float(arms["high"].max())
    axes.set_xlim(cheapest / 1.6, dearest * 3.2)  # room for the labels, which stand right of their points
    axes.set_ylim(max(0.0, low - 0.03), min(1.02, high + 0.03))


def _labels(axes: "Axes", arms: pd.DataFrame) -> None:
    """Write each arm's name beside its point, moved down as far as needed not to touch another name."""
    figure_of = axes.figure
    figure_of.draw_without_rendering()  # type: ignore[union-attr, unused-ignore]  # positions are known only after the layout
    taken: list[tuple[float, float, float]] = []
    for row in sorted(arms.to_dict("records"), key=lambda row: -float(row["accuracy"])):
        x, y = axes.transData.transform((row["cost_per_1000"], row["accuracy"]))
        width, height = 7.0 * len(row["arm"]) * _DPI / 100, 14.0 * _DPI / 100
        place = float(y)
        while any(abs(place - other) < height and left < x + width and x < right for left, right, other in taken):
            place -= 2.0
        taken.append((float(x), float(x) + width, place))
        offset = (9, (place - float(y)) * 72 / _DPI - 3)
        behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}  # an interval's line must not cross a name
        axes.annotate(row["arm"], (row["cost_per_1000"], row["accuracy"]), xytext=offset, textcoords="offset points", fontsize=8.5, color="#222222", bbox=behind)
