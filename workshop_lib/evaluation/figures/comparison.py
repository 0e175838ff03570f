"""Figures that compare two arms on the same items: whom a gate defers, what the second model rescues, and where the difference lies."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workshop_lib.evaluation.figures.base import COLOURS, GREY, HATCHES, MARKERS, Picture, figure, legend_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUADRANTS = ("safe", "rescue", "loss", "hard")
"""Both right; only the arm right; only the cheap model right; both wrong."""


def deferral_figure(
    share: ArrayLike, accuracy: ArrayLike, cheap_right: ArrayLike, strong_right: ArrayLike, source: str, *, score: str = "stated confidence", title: str = "Accuracy by share deferred"
) -> Picture:
    """Draw accuracy against the share of items deferred to the strong model, beside deferring at random and with foresight.

    `share` and `accuracy` are the points of the curve, from none deferred to all; `cheap_right` and `strong_right` (one entry an item) give the two
    references: at random the expected accuracy is the straight line, with foresight rescues go first and losses last.
    """
    x, y = np.asarray(share, dtype=float), np.asarray(accuracy, dtype=float)
    cheap, strong = _paired(cheap_right, strong_right)
    if x.shape != y.shape or x.ndim != 1 or x.size < 2:
        raise ValueError(f"the curve needs at least two points, an accuracy for each share; got shapes {x.shape} and {y.shape}")
    n, alone, always = len(cheap), float(cheap.mean()), float(strong.mean())
    rescued, lost = float((~cheap & strong).mean()), float((cheap & ~strong).mean())
    oracle_x, oracle_y = [0.0, rescued, 1 - lost, 1.0], [alone, alone + rescued, alone + rescued, always]

    def draw(axes: "Axes") -> None:
        axes.plot(oracle_x, oracle_y, color=COLOURS[2], linestyle="-.", linewidth=1.4, label="with foresight (oracle)")
        axes.plot(x, y, color=COLOURS[0], marker=MARKERS[0], markersize=4, label=f"by {score}")
        axes.plot([0, 1], [alone, always], color=COLOURS[1], linestyle="--", linewidth=1.4, label="at random (expected)")
        axes.set(xlim=(-0.02, 1.02), xlabel="share of items deferred to the strong model", ylabel="accuracy")
        axes.margins(y=0.12)
        legend_below(axes)

    means = [float(np.trapezoid(values, at)) for values, at in ((y, x), ([alone, always], [0, 1]), (oracle_y, oracle_x))]
    caption = (
        f"{n} items ({source}): accuracy {alone:.3f} with none deferred and {always:.3f} with all. Averaged over every share deferred it is {means[0]:.3f} by {score}, "
        f"{means[1]:.3f} at random and {means[2]:.3f} with foresight."
    )
    return figure(draw, title=title, caption=caption, table=pd.DataFrame({"deferred": x, "accuracy": y, "at_random": alone + x * (always - alone), "with_foresight": np.interp(x, oracle_x, oracle_y)}))


def quadrant_figure(cheap_right: ArrayLike, arms_right: Mapping[str, ArrayLike], source: str, *, cheap: str = "the cheap model", title: str = "What each arm changes, item by item") -> Picture:
    """Draw for each arm how many items are safe, rescued, lost and hard against the cheap model alone (see QUADRANTS), one bar an arm."""
    if not arms_right:
        raise ValueError("quadrants need at least one arm beside the cheap model")
    counts = {name: _quadrants(*_paired(cheap_right, right)) for name, right in arms_right.items()}
    n = sum(next(iter(counts.values())))

    def draw(axes: "Axes") -> None:
        left = np.zeros(len(counts))
        for index, (name, colour, hatch) in enumerate(zip(QUADRANTS, (COLOURS[5], COLOURS[2], COLOURS[1], "#BFBFBF"), HATCHES, strict=False)):
            width = np.array([row[index] for row in counts.values()], dtype=float)
            axes.barh(list(counts), width, left=left, color=colour, hatch=hatch, edgecolor="white", label=name)
            for at, (start, value) in enumerate(zip(left.tolist(), width.tolist(), strict=True)):
                if value >= 0.03 * n:
                    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.9}
                    axes.text(start + value / 2, at, f"{int(value)}", ha="center", va="center", fontsize=8.5, bbox=box)
            left = left + width
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, n), ylim=(len(counts) - 0.4, -0.6), xlabel="items")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32 / (0.5 + 0.35 * len(counts))), ncol=4, frameon=False, fontsize=9)

    said = "; ".join(f"{name} rescues {rescue} and loses {loss}" for name, (_, rescue, loss, _) in counts.items())
    caption = f"{n} items ({source}), each arm against {cheap} alone: {said}. Safe: both right; rescue: only the arm right; loss: only {cheap} right; hard: both wrong."
    table = pd.DataFrame([{"arm": name, **dict(zip(QUADRANTS, row, strict=True))} for name, row in counts.items()])
    return figure(draw, title=title, caption=caption, table=table, size=(7.0, 1.7 + 0.45 * len(counts)))


def forest_figure(
    rows: pd.DataFrame, source: str, *, title: str = "Difference by scenario family", arm: str = "the arm", other: str = "the other", margin: float | None = None, at_most: int = 40
) -> Picture:
    """Draw the difference in accuracy of two arms with its interval for each group, ordered, one line a group.

    `rows` has group, n, difference, low and high (shares). With more than `at_most` groups those that differ most are drawn, the table holds all.
    `margin` draws the loss that is tolerated.
    """
    if rows.empty:
        raise ValueError("a forest plot needs at least one group")
    everything = rows.sort_values(["difference", "group"], kind="stable").reset_index(drop=True)
    chosen = everything["difference"].abs().sort_values(ascending=False, kind="stable").index[:at_most]
    shown = everything.loc[sorted(chosen)].reset_index(drop=True)

    def draw(axes: "Axes") -> None:
        axes.axvline(0, color="black", linewidth=1)
        if margin is not None:
            axes.axvline(-margin, color=COLOURS[1], linewidth=1.2, linestyle="--", label=f"tolerated loss: {margin:g}")
        for at, row in enumerate(shown.to_dict("records")):
            colour = COLOURS[0] if row["low"] > 0 else COLOURS[1] if row["high"] < 0 else GREY
            marker = MARKERS[2] if row["low"] > 0 else MARKERS[4] if row["high"] < 0 else MARKERS[0]
            axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=1.4)
            axes.plot(row["difference"], at, marker=marker, color=colour, markersize=6)
        axes.set_yticks(range(len(shown)), [f"{row['group']} (n={row['n']})" for row in shown.to_dict("records")], fontsize=8)
        axes.set(ylim=(-0.7, len(shown) - 0.3), xlabel=f"accuracy of {arm} minus {other}, with 95 % interval")
        axes.grid(visible=False, axis="y")
        if margin is not None:
            axes.legend(loc="lower right", fontsize=8, framealpha=0.9)

    up, down = everything[everything["low"] > 0], everything[everything["high"] < 0]
    left_out = f" Drawn are the {len(shown)} that differ most." if len(shown) < len(everything) else ""
    caption = (
        f"{int(everything['n'].sum())} items in {len(everything)} {'group' if len(everything) == 1 else 'groups'} ({source}): {arm} is ahead of {other} beyond its interval in {len(up)}, behind in "
        f"{len(down)}, and in {len(everything) - len(up) - len(down)} no difference is shown.{left_out} Many intervals are looked at: with 95 % each, about one in twenty misses."
    )
    return figure(draw, title=title, caption=caption, table=everything[["group", "n", "difference", "low", "high"]], size=(7.2, 1.3 + 0.23 * len(shown)))


def _paired(cheap_right: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    cheap, other = np.asarray(cheap_right, dtype=bool), np.asarray(right, dtype=bool)
    if cheap.shape != other.shape or not cheap.size:
        raise ValueError(f"two arms are compared on the same items, at least one; got shapes {cheap.shape} and {other.shape}")
    return cheap, other


def _quadrants(cheap: NDArray[np.bool_], arm: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    safe, rescue, loss, hard = cheap & arm, ~cheap & arm, cheap & ~arm, ~cheap & ~arm
    return int(safe.sum()), int(rescue.sum()), int(loss.sum()), int(hard.sum())
