"""The recorded facts, reproduced to the last published digit."""

import importlib
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from workshop_lib import evaluation
from workshop_lib.cascade import documented, single
from workshop_lib.cascade import published as published_policy
from workshop_lib.errors import DataError
from workshop_lib.evaluation.arms import frame, oracle_baseline, random_baseline, run_arm, summary
from workshop_lib.evaluation.cache import CacheMiss
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.evaluation.metrics import ece, performance_gap_recovered
from workshop_lib.evaluation.recorded import published, recorded, recorded_arms, recorded_ask, recorded_labels
from workshop_lib.llm import Request
from workshop_lib.tasks import TRIAGE

Make = Callable[..., Any]
CASCADE = "cascade (documented)"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return the summary of the recorded arms, by arm."""
    return summary(recorded_arms()).set_index("arm")


def test_right_answers_are_the_published_ones(table: pd.DataFrame) -> None:
    """Without it the library's grading could differ from the study's."""
    assert table["right"].to_dict() == {"nano": 123, "sonnet": 141, CASCADE: 126}
    assert table["joint"].to_dict() == {"nano": 111, "sonnet": 125, CASCADE: 109}


def test_costs_are_the_published_ones(table: pd.DataFrame) -> None:
    """Without it a losing tier could be free, or another price basis slip in."""
    assert {name: round(cost, 8) for name, cost in table["cost_usd"].items()} == {"nano": 0.01572552, "sonnet": 1.241988, CASCADE: 0.11831652}
    saving = 1 - table.loc[CASCADE, "cost_usd"] / table.loc["sonnet", "cost_usd"]
    assert round(100 * saving, 1) == 90.5


def test_latencies_are_the_published_ones(table: pd.DataFrame) -> None:
    """Without it percentiles could be interpolated or escalation's added latency lost."""
    assert table["p50_ms"].to_dict() == {"nano": 674, "sonnet": 3362, CASCADE: 684}
    assert table["p95_ms"].to_dict() == {"nano": 875, "sonnet": 5036, CASCADE: 4427}


def test_escalations_and_safety_flags_are_the_published_ones() -> None:
    """Without it the lesson that the final answer drops safety flags could be lost."""
    arms = recorded_arms()
    cascade, gold = arms[CASCADE], arms["nano"]["gold_needs_human"]
    assert int(cascade["escalated"].sum()) == 12
    assert not cascade["escalated_because"].str.contains("confidence").any()
    assert int(gold.sum()) == 22
    flags = [arms["nano"]["needs_human"], cascade["needs_human"], cascade["review_required"]]
    assert [int((flag & gold).sum()) for flag in flags] == [12, 7, 12]


def test_gap_recovered_is_the_published_one(table: pd.DataFrame) -> None:
    """Without it the course could claim that this cascade keeps Sonnet's quality."""
    for field, expected in (("right", 0.17), ("joint", -0.14)):
        cheap, strong, cascade = (float(table.loc[name, field]) for name in ("nano", "sonnet", CASCADE))
        assert round(performance_gap_recovered(cheap, strong, cascade), 2) == expected


def test_the_recording_is_called_by_name_and_has_the_frame_of_a_run(scripted: Make, decision: Make, tickets: tuple[LabelledTicket, ...]) -> None:
    """Without it recorded and sandbox arms could not go through the same functions, or importing the module would hide the call."""
    arms = evaluation.recorded("nemotron_sonnet_150")
    assert evaluation.recorded is importlib.import_module("workshop_lib.evaluation.recorded")
    assert list(arms) == ["nano", "sonnet", CASCADE]
    ask = scripted({("nano", f"X-{n}"): decision() for n in range(4)})
    here = frame(run_arm(TRIAGE, [entry.ticket for entry in tickets], single("nano"), ask), tickets)
    for arm in arms.values():
        assert arm.columns.tolist() == here.columns.tolist()
        assert arm.dtypes.tolist() == here.dtypes.tolist()
    pd.testing.assert_frame_equal(arms[CASCADE], recorded_arms()[CASCADE])
    assert list(evaluation.recorded("nemotron_sonnet_150", published_policy())) == ["nano", "sonnet", "cascade (published)"]
    with pytest.raises(DataError, match="nemotron_sonnet_150"):
        evaluation.recorded("other")


def test_nano_is_over_confident() -> None:
    """Without it the reliability lesson of lab 02 would rest on an unchecked claim."""
    nano = recorded_arms()["nano"]
    assert nano["confidence"].nunique() == 6
    assert ece(nano["confidence"], nano["correct"]) > 0.05
    assert nano["confidence"].mean() > nano["correct"].mean()


def test_other_policies_cost_no_call() -> None:
    """Without it comparing a policy would need an account."""
    arms = recorded_arms(documented(), published_policy())
    assert list(arms) == ["nano", "sonnet", CASCADE, "cascade (published)"]
    assert arms["cascade (published)"]["escalated"].mean() > arms[CASCADE]["escalated"].mean()
    assert all((arm["source"] == "recorded").all() for arm in arms.values())


def test_baselines_bracket_the_recorded_cascade() -> None:
    """Without it nobody would see that the documented gates hardly beat chance here."""
    arms = recorded_arms()
    chance = random_baseline(arms["nano"], arms["sonnet"], 12 / 150)
    assert chance.accuracy == pytest.approx((123 + 12 / 150 * 18) / 150)
    assert chance.accuracy_interval.low <= arms[CASCADE]["correct"].mean() <= chance.accuracy_interval.high
    oracle = oracle_baseline(arms["nano"], arms["sonnet"])
    assert int(oracle["correct"].sum()) == int((arms["nano"]["correct"] | arms["sonnet"]["correct"]).sum())


def test_recording_is_not_shared_state() -> None:
    """Without it a learner who changes the frame would change everybody's facts."""
    mine = recorded()
    mine["nano_category"] = "other"
    assert recorded()["nano_category"].nunique() > 1
    assert len(recorded()) == 150


def test_only_what_was_recorded_is_replayed() -> None:
    """Without it a model that was never measured could seem recorded."""
    with pytest.raises(CacheMiss, match="super"):
        recorded_ask("super", Request("x", tags={"ticket": "P-0051"}))
    with pytest.raises(CacheMiss, match="P-9999"):
        recorded_ask("nano", Request("x", tags={"ticket": "P-9999"}))
    with pytest.raises(DataError, match="nemotron_sonnet_150"):
        recorded("other")  # type: ignore[arg-type]


def test_walking_the_recording_needs_no_special_case() -> None:
    """Without it recorded and live arms could be computed by different code."""
    labels = recorded_labels()
    again = frame(run_arm(TRIAGE, [entry.ticket for entry in labels], documented(), recorded_ask), labels)
    pd.testing.assert_frame_equal(again, recorded_arms()[CASCADE])


def test_published_tables_stand_as_printed() -> None:
    """Without it a published figure could be altered unnoticed."""
    table = published()
    assert len(table) == 9
    assert table["tickets"].tolist() == [30] * 6 + [150] * 3
    first, second = (float(table.loc[row, "cost_usd"]) for row in (0, 3))
    assert second / first == pytest.approx(5.3, abs=0.05)
    assert math.isclose(float(table.loc[8, "cost_usd"]), 0.11831652)
