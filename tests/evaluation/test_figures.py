"""Figures: same bytes, opaque, captioned from the data, and shown with alt text."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workshop_lib.evaluation.arms import summary, threshold_sweep
from workshop_lib.evaluation.figures import (
    Picture,
    calibration_figure,
    cost_quality_figure,
    deferral_figure,
    figure,
    forest_figure,
    pareto_figure,
    quadrant_figure,
    reliability_figure,
    risk_coverage_figure,
    threshold_figure,
)
from workshop_lib.evaluation.metrics import reliability
from workshop_lib.evaluation.recorded import recorded_arms


def draw_all() -> list[Picture]:
    """Return every figure of the recorded arms."""
    arms = recorded_arms()
    nano, sonnet = arms["nano"], arms["sonnet"]
    before = reliability(nano["confidence"], nano["correct"])
    return [
        reliability_figure(reliability(nano["confidence"], nano["correct"]), "Nano", "recorded"),
        cost_quality_figure(summary(arms), "recorded"),
        threshold_figure(threshold_sweep(nano, sonnet), "recorded"),
        pareto_figure(summary(arms), "recorded"),
        calibration_figure(before, reliability(np.full(150, 0.82), nano["correct"]), "recorded"),
        risk_coverage_figure([0.5, 1.0], [0.2, 0.18], 150, "recorded", target=0.1),
        deferral_figure([0.0, 1.0], [0.82, 0.94], nano["correct"], sonnet["correct"], "recorded"),
        quadrant_figure(nano["correct"], {name: arm["correct"] for name, arm in arms.items() if name != "nano"}, "recorded", cheap="nano"),
        forest_figure(families(), "recorded", margin=0.05),
    ]


def families(**more: Any) -> pd.DataFrame:
    """Return differences in three groups: one ahead, one behind, one open."""
    rows = {"group": ["open", "ahead", "behind"], "n": [5, 6, 7], "difference": [0.0, 0.5, -0.5], "low": [-0.3, 0.1, -0.8], "high": [0.3, 0.8, -0.1]}
    return pd.DataFrame({**rows, **more})


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """Return the figures, drawn once."""
    return draw_all()


@pytest.mark.slow
def test_same_data_same_bytes_whatever_the_settings(pictures: list[Picture]) -> None:
    """Without it a rebuilt notebook would differ, or a learner's matplotlib settings change it."""
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.transparent": True, "figure.dpi": 37}):
        again = draw_all()
        assert mpl.rcParams["font.size"] == 30
    assert [picture.png for picture in pictures] == [picture.png for picture in again]


def test_png_is_opaque_and_carries_no_stamp(pictures: list[Picture]) -> None:
    """Without it labels would vanish on a dark page, or the bytes name the software's version."""
    for picture in pictures:
        image = Image.open(io.BytesIO(picture.png))
        assert "Software" not in image.info
        assert image.convert("RGBA").getchannel("A").getextrema() == (255, 255)
        assert image.getpixel((1, 1))[:3] == (255, 255, 255)  # type: ignore[index]


def test_captions_are_computed_from_the_data(pictures: list[Picture]) -> None:
    """Without it a caption could go on saying what the figure no longer shows."""
    said = [picture.caption for picture in pictures]
    assert said[0] == "150 answers (recorded): mean confidence 0.937, share right 0.820, so over-confident by 0.117."
    assert "nano is cheapest at 0.105 USD per 1,000 with accuracy 0.820; sonnet is most accurate at 0.940 for 8.28 USD." in said[1]
    assert "takes the escalation rate from 0.000 to 1.000 and accuracy from 0.820 to 0.940." in said[2]


@pytest.mark.parametrize(("right", "word"), [([True] * 4, "under-confident by 0.500"), ([True, False] * 2, "neither over- nor under-confident on average")])
def test_caption_names_the_direction(right: list[bool], word: str) -> None:
    """Without it an under-confident model would be called over-confident."""
    assert word in reliability_figure(reliability([0.5] * 4, right), "t", "sandbox").caption


def test_table_under_the_figure_holds_the_drawn_numbers(pictures: list[Picture]) -> None:
    """Without it a reader who cannot see the figure would get no numbers."""
    for picture in pictures:
        assert picture.table is not None
        assert picture.text.endswith(picture.table)
    assert "0.90 to 1.00  141" in str(pictures[0].table)


def test_outside_a_notebook_it_is_bytes_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a script could not use the figures."""
    picture = figure(lambda axes: axes.plot([1, 2]), title="T", caption="C.", table=pd.DataFrame({"x": [1]}))
    assert bytes(picture).startswith(b"\x89PNG")
    picture.show()
    assert capsys.readouterr().out == "T. C.\n\nx\n-\n1\n"


def test_in_a_notebook_the_caption_is_the_alt_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a stored figure would have no alt text, or nbval nothing to compare."""
    shown: list[Any] = []
    monkeypatch.setattr("IPython.core.getipython.get_ipython", object)
    monkeypatch.setattr("IPython.display.display", lambda data, **how: shown.append((data, how)))
    figure(lambda axes: axes.plot([1, 2]), title="T", caption="C.")._ipython_display_()
    data, how = shown[0]
    assert data["text/plain"] == "C."
    assert how["metadata"] == {"image/png": {"alt": "C."}}
    assert capsys.readouterr().out == "T. C.\n"


def test_every_figure_says_n_and_source_in_its_alt_text(pictures: list[Picture]) -> None:
    """Without it a reader could not tell how many items stand behind a figure, or whose they are."""
    for picture in pictures:
        assert "(recorded)" in picture.caption
        assert "150" in picture.caption or picture.caption.startswith("18 items")


def arm(name: str, cost: float, accuracy: float) -> dict[str, Any]:
    """Return one row of a summary."""
    return {"arm": name, "n": 10, "cost_per_1000": cost, "accuracy": accuracy, "low": max(0.0, accuracy - 0.1), "high": min(1.0, accuracy + 0.1)}


def test_envelope_holds_what_nothing_cheaper_equals() -> None:
    """Without it a beaten arm could look like a choice, or an oracle like something to buy."""
    arms = pd.DataFrame([arm("dear", 9, 0.9), arm("cheap", 1, 0.5), arm("same for more", 2, 0.5), arm("same cost, worse", 9, 0.8), arm("oracle", 2, 0.95)])
    picture = pareto_figure(arms, "sandbox", needs_foresight=["oracle"])
    assert "filled marks: cheap and dear. Hollow" in picture.caption
    assert "at least as accurate: same for more and same cost, worse." in picture.caption
    assert "Possible only with foresight: oracle." in picture.caption
    assert "filled marks: cheap and oracle." in pareto_figure(arms, "sandbox").caption


def test_arms_that_cost_nothing_are_drawn() -> None:
    """Without it a run in which everything failed, at no cost, would break on the logarithm of 0."""
    free = pd.DataFrame([arm("a", 0.0, 0.0), arm("b", 0.0, 0.0)])
    assert "filled marks: a." in pareto_figure(free, "sandbox").caption
    with_costs = pd.DataFrame([arm("a", 1.0, 0.5) | {"cost_low": 0.8, "cost_high": 1.3}])
    assert "No arm is beaten at its cost." in pareto_figure(with_costs, "sandbox").caption


def test_deferral_references_are_exact() -> None:
    """Without it a gate could be held against the wrong line and look better than chance."""
    cheap, strong = [True, True, False, False], [True, False, True, False]
    said = deferral_figure([0, 0.25, 1], [0.5, 0.75, 0.5], cheap, strong, "sandbox")
    assert said.caption.endswith("is 0.625 by stated confidence, 0.500 at random and 0.688 with foresight.")
    assert str(said.table).splitlines()[3].split() == ["0.250", "0.750", "0.500", "0.750"]


def test_quadrants_count_each_item_once() -> None:
    """Without it a loss could be counted as a rescue."""
    picture = quadrant_figure([True, True, False, False, False], {"x": [True, False, True, True, False]}, "sandbox", cheap="nano")
    assert "5 items (sandbox), each arm against nano alone: x rescues 2 and loses 1." in picture.caption
    assert str(picture.table).splitlines()[2].split() == ["x", "1", "2", "1", "1"]


def test_forest_is_ordered_and_keeps_all_groups_in_its_table() -> None:
    """Without it the groups left out of a crowded plot would be lost, or the caption count what is not there."""
    picture = forest_figure(families(), "sandbox", arm="x", other="y", at_most=2)
    assert "18 items in 3 groups (sandbox): x is ahead of y beyond its interval in 1, behind in 1, and in 1 no difference is shown. Drawn are the 2 that differ most." in picture.caption
    assert [line.split()[0] for line in str(picture.table).splitlines()[2:]] == ["behind", "open", "ahead"]


def test_calibration_compares_the_same_items() -> None:
    """Without it two samples could pass for before and after."""
    rows = reliability([0.9, 0.9], [True, False])
    assert "0.400 before calibration and 0.000 after" in calibration_figure(rows, reliability([0.5, 0.5], [True, False]), "sandbox").caption
    with pytest.raises(ValueError, match="same items, at least one; got 2 and 1"):
        calibration_figure(rows, reliability([0.9], [True]), "sandbox")


def test_nothing_to_draw_is_refused() -> None:
    """Without it an empty comparison would end in a picture of nothing or a traceback from the drawing library."""
    refused = [
        (lambda: pareto_figure(pd.DataFrame(), "s"), "at least one arm"),
        (lambda: quadrant_figure([True], {}, "s"), "at least one arm"),
        (lambda: quadrant_figure([], {"x": []}, "s"), "at least one"),
        (lambda: forest_figure(families().iloc[:0], "s"), "at least one group"),
        (lambda: deferral_figure([0.0], [0.5], [True], [True], "s"), "two points"),
        (lambda: deferral_figure([0, 1], [0.5, 1], [True], [True, False], "s"), "same items"),
        (lambda: risk_coverage_figure([], [], 0, "s"), "one value a point"),
    ]
    for draw, message in refused:
        with pytest.raises(ValueError, match=message):
            draw()


def named(arms: pd.DataFrame) -> Any:
    """Return the axes of a plane of cost and accuracy on which these arms have their names, laid out."""
    from matplotlib.figure import Figure

    from workshop_lib.evaluation.figures.base import DPI
    from workshop_lib.evaluation.figures.costs import _labels, _room

    drawing = Figure(figsize=(7.4, 4.8), dpi=DPI)
    axes = drawing.subplots()
    axes.set_xscale("log")
    _room(axes, arms)
    _labels(axes, arms)
    drawing.draw_without_rendering()
    return axes


def test_names_of_close_arms_touch_neither_each_other_nor_a_point() -> None:
    """Without it a reader of a crowded plane could not tell which name belongs to which arm."""
    arms = pd.DataFrame([arm("cascade nano>super>sonnet", 1.1, 0.575), arm("cascade_documented", 1.5, 0.581), arm("kNN", 1.9, 0.575), arm("cheap", 0.05, 0.4)])
    axes = named(arms)
    boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert set(boxes) == set(arms["arm"])
    for name, box in boxes.items():
        assert not any(box.overlaps(other) for known, other in boxes.items() if known != name)
        assert not any(box.contains(*axes.transData.transform(point)) for point in arms[["cost_per_1000", "accuracy"]].to_numpy())


def test_a_name_crosses_no_interval_where_there_is_room() -> None:
    """Without it the white behind a name would cut an interval in two, and the arm look surer than it is."""
    from workshop_lib.evaluation.figures.costs import _intervals

    wide = {**arm("wide", 1.0, 0.6), "cost_low": 0.7, "cost_high": 1.6}
    arms = pd.DataFrame([wide, {**arm("cheap", 0.05, 0.4), "cost_low": 0.04, "cost_high": 0.06}, {**arm("near wide", 1.3, 0.5), "cost_low": 1.2, "cost_high": 1.4}])
    axes = named(arms)
    lines = _intervals(axes, arms)
    assert len(lines) == 6
    for text in axes.texts:
        box = text.get_window_extent() if text.arrow_patch is None else text.get_bbox_patch().get_window_extent()
        assert not any(box.x0 < right and left < box.x1 and box.y0 < top and bottom < box.y1 for left, right, bottom, top in lines), text.get_text()
