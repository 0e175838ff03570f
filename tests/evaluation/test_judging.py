"""Judge honesty: tables by hand, kappa and correction against simulation, and review files that are broken."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa

from workshop_lib.errors import DataError, UnknownModelError
from workshop_lib.evaluation.judging import (
    JudgeRates,
    agreement_with_gold,
    confusion,
    corrected_accuracy,
    judge_error_simulation,
    judge_rates,
    read_reviews,
    reviewed_labels,
    same_vendor_warning,
    vendor,
)
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.tasks import Label

LABELS = ("billing", "auth", "other")


def test_the_confusion_matrix_by_hand() -> None:
    """Without it rows and columns could be turned, or an item without a label be lost."""
    table = confusion(["auth", "auth", "billing", "other"], ["auth", "billing", None, math.nan], LABELS)
    assert table.to_numpy().tolist() == [[0, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 1]]
    assert list(table.index) == list(LABELS)
    assert list(table.columns) == [*LABELS, "(none)"]


def test_a_label_outside_the_list_is_named() -> None:
    """Without it a judge's invented category would vanish from the table."""
    with pytest.raises(ValueError, match="'sales' is none of the labels billing, auth, other"):
        confusion(["auth"], ["sales"], LABELS)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # statsmodels also computes a standard error, which may not exist
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=2, max_size=40))
@settings(deadline=None)
def test_kappa_is_that_of_statsmodels(pairs: list[tuple[str, str]]) -> None:
    """Without it agreement by chance could pass for skill."""
    gold, judged = zip(*pairs, strict=True)
    found = agreement_with_gold(gold, judged)
    assert found.agree == sum(a == b for a, b in pairs)
    if len({*gold, *judged}) == 1:
        assert math.isnan(found.kappa)
    elif len(set(gold)) > 1 or len(set(judged)) > 1:
        expected = cohens_kappa(confusion(gold, judged, LABELS).to_numpy()[:, :3]).kappa
        assert found.kappa == pytest.approx(expected)


def test_an_item_without_a_label_is_disagreement() -> None:
    """Without it a judge that answers only the easy items would look better."""
    found = agreement_with_gold(["auth", "billing"], ["auth", None])
    assert (found.n, found.agree, found.share) == (2, 1, 0.5)
    with pytest.raises(ValueError, match="at least one"):
        agreement_with_gold([], [])


def test_rates_by_hand() -> None:
    """Without it sensitivity and specificity could be swapped, and every correction with them."""
    rates = judge_rates([1, 1, 1, 0, 0], [1, 1, 0, 0, 1])
    assert (rates.right, rates.passed, rates.wrong, rates.failed) == (3, 2, 2, 1)
    assert (rates.sensitivity, rates.specificity) == pytest.approx((2 / 3, 0.5))
    with pytest.raises(ValueError, match="right and answers that are wrong"):
        judge_rates([1, 1], [1, 0])


def test_the_correction_by_hand() -> None:
    """Without it the judge's leniency would be added instead of taken out."""
    found = corrected_accuracy(86, 100, JudgeRates(right=100, passed=90, wrong=100, failed=70))
    assert found.measured == 0.86
    assert found.corrected == pytest.approx((0.86 + 0.7 - 1) / 0.6)
    assert found.low < found.corrected < found.high
    assert "86.0%" in found.sentence
    perfect = corrected_accuracy(86, 100, JudgeRates(10_000, 10_000, 10_000, 10_000))
    assert perfect.corrected == pytest.approx(0.86)


@pytest.mark.parametrize("truth", [0.5, 0.85, 0.97])
def test_the_corrected_interval_covers_the_truth(truth: float) -> None:
    """Without it the noise of the judge's own rates could be left out and the interval be too narrow."""
    generator = np.random.default_rng(13)
    se, sp, runs = 0.92, 0.75, 1200
    passes = truth * se + (1 - truth) * (1 - sp)
    rows = zip(generator.binomial(150, passes, runs), generator.binomial(60, se, runs), generator.binomial(40, sp, runs), strict=True)
    found = [corrected_accuracy(int(k), 150, JudgeRates(60, int(a), 40, int(b))) for k, a, b in rows]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93
    naive = np.mean([abs(one.measured - truth) < 1.96 * math.sqrt(one.measured * (1 - one.measured) / 150) for one in found])
    assert np.mean([one.high - one.low for one in found]) < 1
    assert truth == 0.85 or naive < 0.9  # at 0.85 leniency and strictness happen to cancel


@pytest.mark.parametrize(
    ("right", "n", "rates", "message"),
    [(11, 10, JudgeRates(5, 4, 5, 4), "between 0 and n"), (0, 0, JudgeRates(5, 4, 5, 4), "between 0 and n"), (5, 10, JudgeRates(10, 5, 10, 5), "cannot tell them apart")],
)
def test_what_cannot_be_corrected_is_refused(right: int, n: int, rates: JudgeRates, message: str) -> None:
    """Without it a judge that guesses would be corrected to a huge or negative accuracy."""
    with pytest.raises(ValueError, match=message):
        corrected_accuracy(right, n, rates)


@pytest.mark.parametrize("per", ["answer", "item"])
def test_a_judge_that_errs_shrinks_a_difference(per: str) -> None:
    """Without it random errors of a judge could be thought harmless because they are random."""
    first, second = np.arange(30) < 28, np.arange(30) < 25
    table = judge_error_simulation(first, second, per=per, draws=4000)  # type: ignore[arg-type]
    assert table["epsilon"].tolist() == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    assert table["measured"].to_numpy() == pytest.approx((1 - 2 * table["epsilon"].to_numpy()) * 3 / 30)
    assert table.loc[0, ["low", "high", "flipped", "tied"]].tolist() == pytest.approx([0.1, 0.1, 0, 0])
    assert (np.diff(table["flipped"]) >= -0.01).all()
    assert table["flipped"].iloc[-1] > 0.15
    exact = [sum(math.comb(3, k) * 0.3**k * 0.7 ** (3 - k) for k in (2, 3))]
    if per == "item":
        assert table["flipped"].iloc[-1] == pytest.approx(exact[0], abs=0.03)


def test_the_simulation_flips_verdicts_as_written() -> None:
    """Without it the counts drawn at once could differ from verdicts turned over one by one."""
    generator = np.random.default_rng(2)
    first, second = generator.random(40) < 0.8, generator.random(40) < 0.6
    table = judge_error_simulation(first, second, [0.2], draws=6000)
    flips = generator.random((6000, 2, 40)) < 0.2
    naive = ((first ^ flips[:, 0]).sum(axis=1) - (second ^ flips[:, 1]).sum(axis=1)) / 40
    assert table.loc[0, "low"] == pytest.approx(np.percentile(naive, 2.5), abs=0.026)
    assert table.loc[0, "high"] == pytest.approx(np.percentile(naive, 97.5), abs=0.026)
    assert table.loc[0, "flipped"] == pytest.approx((naive < 0).mean(), abs=0.02)


def test_equal_arms_cannot_flip() -> None:
    """Without it a difference of 0 would be said to have turned."""
    table = judge_error_simulation([1, 0], [0, 1])
    assert table["flipped"].isna().all()
    with pytest.raises(ValueError, match="epsilon"):
        judge_error_simulation([1, 0], [0, 1], [0.7])


@pytest.mark.parametrize(("model", "maker"), [("nano", "nvidia"), ("opus", "anthropic"), ("nim-70b", "meta"), ("nim-253b", "nvidia")])
def test_the_vendor_is_read_off_the_id(model: str, maker: str) -> None:
    """Without it the region prefix of an inference profile would be taken for a vendor."""
    assert vendor(model) == maker


def test_a_judge_of_the_candidates_own_vendor_is_pointed_out() -> None:
    """Without it Opus could grade Sonnet and nobody be told."""
    warning = same_vendor_warning("opus", ["nano", "sonnet", "sonnet"])
    assert warning is not None
    assert "opus and sonnet come from the same vendor (anthropic)" in warning
    assert "\n" not in warning
    assert same_vendor_warning("opus", ["nano", "nim-70b"]) is None
    with pytest.raises(UnknownModelError):
        same_vendor_warning("oracle", ["nano"])


def line(**change: object) -> str:
    """Return one review as JSON."""
    return json.dumps({"item_id": "X-0", "category": "auth", "priority": "P1", "needs_human": True, **change})


def test_reviews_overrule_the_judge(tmp_path: Path, tickets: Sequence[LabelledTicket]) -> None:
    """Without it a person's correction would be read and not used."""
    path = tmp_path / "reviews.jsonl"
    path.write_text("\ufeff" + line(reviewer="ana") + "\n\n" + line(item_id="X-3", category="abuse") + "\n", encoding="utf-8")
    reviews = read_reviews(path)
    assert reviews["X-0"].reviewer == "ana"
    judge = {"X-0": Label(category="billing", priority="P3", needs_human=False), "X-1": Label(category="other", priority="P2", needs_human=False)}
    labels = reviewed_labels(tickets, judge, reviews)
    assert [(entry.ticket.id, entry.label.category) for entry in labels] == [("X-0", "auth"), ("X-1", "other"), ("X-3", "abuse")]
    assert labels[0].family == tickets[0].family


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("{", "line 2: Invalid JSON"), (line(priority="P4"), "line 2: field priority"), (line(reviewr="x"), "line 2: field reviewr"), (line(item_id=""), "line 2: field item_id"),
        (json.dumps({"item_id": "X-1"}), "line 2: field category"), ("[1]", "line 2"), (line(item_id="X-9"), "line 2: item 'X-9' was reviewed before, at line 1"),
    ],
)  # fmt: skip
def test_a_broken_review_is_found_by_its_line(tmp_path: Path, broken: str, message: str) -> None:
    """Without it one typing error would cost the search through the whole file, or be skipped."""
    path = tmp_path / "reviews.jsonl"
    path.write_text(line(item_id="X-9") + "\n" + broken + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_reviews(path)


def test_a_review_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """Without it a wrong path or encoding would end in a traceback."""
    with pytest.raises(DataError, match="Check the name"):
        read_reviews(tmp_path / "nowhere.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        read_reviews(tmp_path / "latin.jsonl")


def test_a_review_of_an_unknown_ticket_is_refused(tmp_path: Path, tickets: Sequence[LabelledTicket]) -> None:
    """Without it a mistyped id would leave the judge's label in place without a word."""
    path = tmp_path / "reviews.jsonl"
    path.write_text(line(item_id="X-77"), encoding="utf-8")
    with pytest.raises(DataError, match="'X-77'"):
        reviewed_labels(tickets, {}, read_reviews(path))
