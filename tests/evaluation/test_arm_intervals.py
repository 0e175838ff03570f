"""Intervals of every figure of an arm, resampling families."""

import math

import numpy as np
import pandas as pd
import pytest

from workshop_lib.evaluation.arm_intervals import family_intervals
from workshop_lib.evaluation.arms import random_baseline
from workshop_lib.evaluation.metrics import bootstrap_difference
from workshop_lib.evaluation.recorded import recorded_arms


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return the figures of the recorded arms, by arm."""
    arms = recorded_arms()
    return family_intervals({**arms, "random": random_baseline(arms["nano"], arms["sonnet"], 0.08, 10)}, draws=1000).set_index("arm")


def test_figures_are_the_recorded_ones(table: pd.DataFrame) -> None:
    """Without it the intervals could belong to other figures than the table of arms shows."""
    assert (150 * table["accuracy"]).round(6).tolist() == [123, 141, 126]
    assert (150 * table["joint"]).round(6).tolist() == [111, 125, 109]
    assert (22 * table["human_recall"]).round(6).tolist() == [12, 9, 12]
    assert table["cost_per_1000"]["nano"] == pytest.approx(1000 * 0.01572552 / 150)
    assert table["families"].tolist() == [11, 11, 11]
    gold = recorded_arms()["nano"]["gold_priority"].isin(["P0", "P1"])
    said = recorded_arms()["nano"]["priority"].isin(["P0", "P1"])
    assert table["urgent_recall"]["nano"] == pytest.approx((gold & said).sum() / gold.sum())


def test_the_interval_is_that_of_the_paired_bootstrap(table: pd.DataFrame) -> None:
    """Without it one page could carry two different cluster bootstraps."""
    nano = recorded_arms()["nano"]
    want = bootstrap_difference(nano["correct"], np.zeros(150), nano["family"], draws=1000)
    assert table.loc["nano", ["accuracy_low", "accuracy_high"]].tolist() == pytest.approx(want)


def test_every_figure_lies_in_its_interval(table: pd.DataFrame) -> None:
    """Without it a numerator could be paired with another figure's denominator."""
    for name in ("accuracy", "joint", "priority", "urgent_recall", "human_recall", "cost_per_1000"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()


def test_what_does_not_occur_has_no_figure() -> None:
    """Without it an arm without urgent tickets would show a recall of 0, and a table of questions would fail."""
    nano = recorded_arms()["nano"].assign(gold_priority="P3", gold_needs_human=False)
    row = family_intervals({"nano": nano}, draws=20).iloc[0]
    assert all(math.isnan(row[name]) for name in ("urgent_recall", "urgent_recall_low", "human_recall", "human_recall_high"))
    questions = nano.drop(columns=["gold_priority", "priority", "gold_needs_human"])
    assert math.isnan(family_intervals({"q": questions}, draws=20).iloc[0]["priority"])
    with pytest.raises(ValueError, match="draws"):
        family_intervals({"nano": nano}, draws=0)
