"""The threshold explorer: one threshold moves the bill, the right answers and what may be promised of the kept ones, all at once."""

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workshop_lib.evaluation.baselines import sources
from workshop_lib.evaluation.calibration import refuse_test
from workshop_lib.evaluation.composing import threshold_sweep
from workshop_lib.evaluation.figures import COLOURS, MARKERS, Picture, figure
from workshop_lib.evaluation.intervals import clopper_pearson_upper
from workshop_lib.evaluation.thresholds import GRID, Guarantee, accepted_and_errors, guaranteed_threshold
from workshop_lib.lab.interactive import markup
from workshop_lib.lab.interactive.piece import WIDTH, Piece

if TYPE_CHECKING:
    from ipywidgets import Widget
    from matplotlib.axes import Axes

QUESTION = (
    "Find a threshold whose bound is within the error you tolerate (raise that if there is none). May you promise it, now that you have looked? "
    "Compare with the line \"Promise\". What did it do differently?"
)
_MARKS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_RATINGS = (1.0, 2.0, 3.0, 4.0, 5.0)


class ThresholdExplorer(Piece):
    """The explorer: `table` has one row a threshold, `at(threshold)` one of them, `promise(epsilon)` the threshold that may be promised."""

    def __init__(self, cheap: pd.DataFrame, strong: pd.DataFrame, *, threshold: float | None, epsilon: float, delta: float, interactive: bool = True) -> None:
        super().__init__(interactive=interactive)
        self._confidence = cheap["confidence"].to_numpy(float)
        self._correct = cheap["correct"].to_numpy(bool)
        self._families = cheap["family"].tolist()
        self._epsilon, self._delta = epsilon, delta
        self._rated = bool(self._confidence.max() > 1)
        self.source = sources(cheap, strong)
        self.thresholds = (*_RATINGS, 6.0) if self._rated else tuple(round(step / 100, 2) for step in range(1, 102))
        self.table = self._swept(cheap, strong)
        self.threshold = self.nearest(threshold if threshold is not None else 4.0 if self._rated else 0.7)
        self._guarantee = self.promise(epsilon)

    def nearest(self, threshold: float) -> float:
        """Return the threshold of the table that is nearest to a number."""
        return min(self.thresholds, key=lambda known: abs(known - threshold))

    def at(self, threshold: float) -> dict[str, Any]:
        """Return the row of the nearest threshold."""
        row = self.table.iloc[self.thresholds.index(self.nearest(threshold))]
        return {str(name): value for name, value in row.items()}

    def promise(self, epsilon: float) -> Guarantee:
        """Return the threshold that holds the error of kept answers at `epsilon`, found in an order fixed beforehand."""
        grid = tuple(sorted(_RATINGS, reverse=True)) if self._rated else GRID
        return guaranteed_threshold(self._confidence, self._correct, epsilon=epsilon, delta=self._delta, grid=grid, families=self._families)

    def reading(self, threshold: float) -> str:
        """Return what a threshold comes to, in one sentence each for the bill, the answers and the kept ones."""
        row = self.at(threshold)
        saving = row["saving"]
        kept = (
            "None is kept."
            if row["kept"] == 0
            else f"Of the {row['kept']:.0f} kept answers {row['kept_wrong']:.0f} are wrong; at most {row['bound']:.1%} with probability {1 - self._delta:g}, had you fixed this threshold before you looked."
        )
        return (
            f"Escalate below {row['threshold']:g}: {row['escalated']:.0f} of {row['n']:.0f} items escalate ({row['escalation_rate']:.1%}). "
            f"{row['usd_per_1000']:.3f} USD per 1,000 items, {abs(saving):.1%} {'less' if saving >= 0 else 'more'} than the strong tier alone. "
            f"{row['right']:.0f} right, {row['accuracy']:.1%} (95 % interval {row['low']:.1%} to {row['high']:.1%}). {kept} ({self.source})"
        )

    def picture(self, threshold: float) -> Picture:
        """Draw all thresholds, with a line at one; the caption is the reading there."""
        at = self.nearest(threshold)
        curves = (("right answers", "accuracy", "-"), ("cost, strong tier alone = 1", "share_of_strong", "--"), ("error of the kept, upper bound", "bound", ":"))

        def draw(axes: "Axes") -> None:
            x = self.table["threshold"].to_numpy(float)
            axes.fill_between(x, self.table["low"].to_numpy(float), self.table["high"].to_numpy(float), color=COLOURS[0], alpha=0.15, linewidth=0)
            for place, (name, column, line) in enumerate(curves):
                y = self.table[column].to_numpy(float)
                axes.plot(x, y, color=COLOURS[place], linestyle=line, marker=MARKERS[place], markevery=max(1, len(x) // 8), markersize=5, label=name)
            axes.axvline(at, color="#000000", linewidth=1)
            axes.annotate(f" {at:g}", (at, 1), xycoords=("data", "axes fraction"), fontsize=9, va="top", ha="right" if at == self.thresholds[-1] else "left")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=3, frameon=False, fontsize=8.5, handlelength=3)
            axes.set(ylim=(-0.03, max(1.1, float(self.table["share_of_strong"].max()) + 0.05)), xlabel="escalate below this confidence", ylabel="share")

        return figure(draw, title="What one threshold moves", caption=self.reading(at), table=self._marks(at), size=(6.8, 4.2))

    def tell(self) -> None:
        """Show the figure with its caption and table, then the promise and the question."""
        self.picture(self.threshold).show()
        print(f"\n{fill(f'Promise: {self._guarantee.sentence}', WIDTH)}")
        print(f"\n{fill(f'Question: {QUESTION}', WIDTH)}")
        print("With other numbers: threshold_explorer(..., threshold=0.8, epsilon=0.2, interactive=False)")

    def panel(self) -> "Widget":
        """Return the slider, the same threshold as a number, the error to tolerate, and what they bring."""
        import ipywidgets as widgets

        wide, style = widgets.Layout(width="95%", max_width="52em"), {"description_width": "11em"}
        labels = [(f"{threshold:g}", threshold) for threshold in self.thresholds]
        slider = widgets.SelectionSlider(description="Escalate below", options=labels, value=self.threshold, continuous_update=False, layout=wide, style=style)
        low, high, step = self.thresholds[0], self.thresholds[-1], self.thresholds[1] - self.thresholds[0]
        short = widgets.Layout(width="19em")
        number = widgets.BoundedFloatText(description="As a number", min=low, max=high, step=step, value=self.threshold, layout=short, style=style)
        epsilon = widgets.BoundedFloatText(description="Error you tolerate", min=0.001, max=0.5, step=0.01, value=self._epsilon, layout=short, style=style)
        head = widgets.HTML(markup.page(markup.paragraph("one threshold moves the bill, the answers and the promise.", "Threshold explorer:"), markup.paragraph(QUESTION, "Question:")))
        result = widgets.HTML(self._shown())

        def move(change: dict[str, float]) -> None:
            at = self.nearest(change["new"])
            if at == self.threshold and slider.value == number.value == at:
                return
            self.threshold = at
            slider.value = number.value = at
            result.value = self._shown()

        def tolerate(change: dict[str, float]) -> None:
            self._guarantee = self.promise(change["new"])
            result.value = self._shown()

        slider.observe(move, "value")
        number.observe(move, "value")
        epsilon.observe(tolerate, "value")
        return widgets.VBox([head, slider, number, epsilon, result])

    def _shown(self) -> str:
        drawn = self.picture(self.threshold)
        return markup.page(markup.status(drawn.caption), markup.paragraph(self._guarantee.sentence, "Promise:"), markup.image(drawn.data_uri, drawn.caption))

    def _swept(self, cheap: pd.DataFrame, strong: pd.DataFrame) -> pd.DataFrame:
        rows = threshold_sweep(cheap, strong, self.thresholds)
        valid = (cheap["outcome"] == "answered").to_numpy(bool)  # an invalid reply escalates at every threshold
        levels = np.asarray(self.thresholds)
        kept, wrong = accepted_and_errors(self._confidence[valid], self._correct[valid], levels)
        alone = float(strong["cost_usd"].mean())
        usd = rows["cost_usd"].to_numpy(float) / len(cheap)
        return rows.assign(
            escalated=(rows["escalation_rate"] * len(cheap)).round(), usd_per_1000=1000 * usd, share_of_strong=usd / alone if alone else np.nan,
            saving=1 - usd / alone if alone else np.nan, kept=kept, kept_wrong=wrong, bound=clopper_pearson_upper(wrong, kept, self._delta),
        )  # fmt: skip

    def _marks(self, at: float) -> pd.DataFrame:
        wanted = sorted({*(self.thresholds if self._rated else (*_MARKS, self.thresholds[0], self.thresholds[-1])), at})
        chosen = self.table[self.table["threshold"].isin(wanted)]
        return chosen[["threshold", "escalation_rate", "usd_per_1000", "right", "low", "high", "kept", "kept_wrong", "bound"]]


def threshold_explorer(
    cheap: pd.DataFrame, strong: pd.DataFrame, *, split: str, threshold: float | None = None, epsilon: float = 0.1, delta: float = 0.05, interactive: bool = True
) -> ThresholdExplorer:
    """Show what every threshold on the cheap tier's confidence comes to, from two single-model arms on the same items (frames of `arms.frame`).

    The slider of ipywidgets tells a screen reader its value but not its name; the field "As a number" does the same and tells both.
    `threshold` is where it begins (0.7, or 4 for ratings from 1 to 5), `epsilon` the error of kept answers that is tolerated, 1 - `delta` how
    sure one must be. `split` is where the items come from; "test" is refused, because a threshold is being chosen. Raises ValueError for arms
    without items, on different ones, or an `epsilon` or `delta` outside 0 to 1.
    """
    refuse_test(split, "A threshold")
    if cheap.empty:
        raise ValueError("the explorer needs at least one item")
    explorer = ThresholdExplorer(cheap, strong, threshold=threshold, epsilon=epsilon, delta=delta, interactive=interactive)
    explorer.show()
    return explorer
