"""Figures about money: what accuracy costs arm by arm, which arms nothing beats, and what a threshold buys."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import pandas as pd

from workshop_lib.evaluation.figures.base import COLOURS, DPI, GREY, MARKERS, Picture, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]  # left, right, bottom, top
_STEPS = tuple(float(sign * step) for step in range(0, 61, 3) for sign in ((1, -1) if step else (1,)))  # points up or down, nearest first
_CROSSING = 24.0  # points further away are worth it if an interval is not crossed
_FAR = 8.0  # points from which on a line leads from a name to its point


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


def pareto_figure(summary: pd.DataFrame, source: str, title: str = "Cost and accuracy of every arm", needs_foresight: Collection[str] = ()) -> Picture:
    """Draw each arm at its cost and accuracy, with intervals and the staircase of arms that no cheaper arm equals or beats.

    Takes the rows of `arms.summary`; `cost_low` and `cost_high` (USD per 1,000 items), if there, are drawn as intervals of the cost. Arms in `needs_foresight`
    (oracles) are shown and never part of the staircase. The staircase goes by point estimates: where intervals overlap, its order may be chance.
    """
    if summary.empty:
        raise ValueError("a cost-quality plane needs at least one arm")
    arms = summary.sort_values(["cost_per_1000", "accuracy", "arm"], ascending=[True, False, True]).reset_index(drop=True)
    names, cost, accuracy = (list(arms[column]) for column in ("arm", "cost_per_1000", "accuracy"))
    best, envelope = -1.0, []
    for name, right in zip(names, accuracy, strict=True):
        if name not in needs_foresight and right > best:
            best = right
            envelope.append(name)
    on = arms[arms["arm"].isin(envelope)]

    def draw(axes: "Axes") -> None:
        axes.step(on["cost_per_1000"].to_numpy(float), on["accuracy"].to_numpy(float), where="post", color=GREY, linewidth=1.2, linestyle="--")
        for index, row in enumerate(arms.to_dict("records")):
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
            axes.plot([row["cost_per_1000"]] * 2, [row["low"], row["high"]], color=colour, linewidth=1.2)
            if "cost_low" in row:
                axes.plot([row["cost_low"], row["cost_high"]], [row["accuracy"]] * 2, color=colour, linewidth=1.2)
            face = colour if row["arm"] in envelope else "white"
            axes.plot(row["cost_per_1000"], row["accuracy"], marker=marker, color=colour, markerfacecolor=face, markersize=8, linestyle="none")
        if cost[0] > 0:
            axes.set(xscale="log", xlabel="USD per 1,000 items (log scale)")
            axes.xaxis.set_major_formatter("{x:g}")
            _room(axes, arms)
        else:  # something cost nothing, which a log scale cannot show
            dearest = max(cost[-1], 1e-6)
            axes.set(xlabel="USD per 1,000 items", xlim=(-0.05 * dearest, 1.6 * dearest), ylim=(max(0.0, float(arms["low"].min()) - 0.03), min(1.02, float(arms["high"].max()) + 0.03)))
        axes.set(ylabel="accuracy, with 95 % interval")
        _labels(axes, arms)

    beaten = [name for name in names if name not in envelope and name not in needs_foresight]
    caption = (
        f"{len(arms)} arms on {int(arms['n'].iloc[0])} items ({source}). On the dashed staircase, filled marks: {_listed(envelope)}. "
        f"{'Hollow, because an arm that costs no more is at least as accurate' if beaten else 'No arm is beaten at its cost'}{': ' if beaten else ''}{_listed(beaten) if beaten else ''}. "
        + (f"Possible only with foresight: {_listed([name for name in names if name in needs_foresight])}. " if needs_foresight else "")
        + "Point estimates: where intervals overlap the order may be chance."
    )
    table = arms[["arm", "cost_per_1000", "accuracy", "low", "high"]].assign(envelope=[name in envelope for name in names])
    return figure(draw, title=title, caption=caption, table=table, size=(7.4, 4.8))


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
    """Write each arm's name beside its point, right or left of it: never on another name or a point, and as near as it goes without crossing an interval."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr, unused-ignore]  # positions are known only after the layout
    scale = DPI / 72
    pixels = axes.transData.transform(arms[["cost_per_1000", "accuracy"]].to_numpy(float)).tolist()
    at = {str(name): (float(x), float(y)) for name, (x, y) in zip(arms["arm"], pixels, strict=True)}
    taken: list[Box] = [(x - 6 * scale, x + 6 * scale, y - 6 * scale, y + 6 * scale) for x, y in at.values()]
    lines, colours = _intervals(axes, arms), {str(name): COLOURS[index % len(COLOURS)] for index, name in enumerate(arms["arm"])}
    for row in sorted(arms.to_dict("records"), key=lambda row: -float(row["accuracy"])):
        places = [(left, step, _box(at[row["arm"]], len(row["arm"]), left, step)) for step in _STEPS for left in (False, True)]
        free = [place for place in places if place[2][0] >= axes.bbox.x0 and not any(_meet(place[2], other) for other in taken)] or places[:1]
        left, step, box = min(free, key=lambda place: abs(place[1]) + _CROSSING * sum(_meet(place[2], line) for line in lines))
        taken.append(box)
        behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}  # where an interval must be crossed, the name stays readable
        led = {"arrowstyle": "-", "color": colours[row["arm"]], "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4, "relpos": (float(left), 0.5)} if abs(step) > _FAR else None
        axes.annotate(
            row["arm"], (row["cost_per_1000"], row["accuracy"]), xytext=(-9 if left else 9, step - 3), textcoords="offset points",
            ha="right" if left else "left", fontsize=8.5, color="#222222", bbox=behind, arrowprops=led,
        )  # fmt: skip


def _intervals(axes: "Axes", arms: pd.DataFrame) -> list[Box]:
    """Return the lines of all intervals as thin boxes, in pixels."""
    boxes = []
    for row in arms.to_dict("records"):
        ends = [((row["cost_per_1000"], row["low"]), (row["cost_per_1000"], row["high"]))]
        if "cost_low" in row:
            ends.append(((row["cost_low"], row["accuracy"]), (row["cost_high"], row["accuracy"])))
        for one, other in ends:
            (left, bottom), (right, top) = axes.transData.transform([one, other]).tolist()
            boxes.append((left - 2, right + 2, bottom - 2, top + 2))
    return boxes


def _box(point: tuple[float, float], letters: int, left: bool, step: float) -> Box:
    """Return about where a name stands, in pixels, if it is written left or right of a point and `step` points up."""
    scale, (x, y) = DPI / 72, point
    start = x - (9 + 5.2 * letters) * scale if left else x + 9 * scale
    return start, start + 5.2 * letters * scale, y + (step - 5.5) * scale, y + (step + 5.5) * scale


def _meet(one: Box, other: Box) -> bool:
    """Say whether two boxes (left, right, bottom, top) overlap."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _listed(names: list[str]) -> str:
    return "none" if not names else names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
