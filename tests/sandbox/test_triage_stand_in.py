"""The triage stand-ins: real classifiers of rising capacity that answer anything, the same way every time."""

import json
from dataclasses import replace

import pytest

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA
from workshop_lib.sandbox.stand_ins import concepts, triage
from workshop_lib.sandbox.stand_ins.triage import training

CAPACITIES = tuple(triage.RECIPES)


def top(shares: dict[str, float]) -> str:
    """Return the label with the largest share."""
    return max(shares, key=lambda label: shares[label])


@pytest.fixture(scope="module")
def calibration() -> list[tuple[str, dict[str, object]]]:
    """Return text and label of the calibration tickets, whose scenario families no stand-in has learned from."""
    lines = [json.loads(line) for line in (DATA / "tickets" / "calibration.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(f"{line['subject']}\n{line['body']}", line["label"]) for line in lines]


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Refund\nWe were charged twice for the Pro plan on our invoice, please refund the second payment.", "billing"),
        ("Locked out\nI forgot my password and the login page says my account is locked.", "auth"),
        ("So slow\nThe dashboard takes 40 seconds to load, everything is slow since Monday.", "performance"),
        ("Phishing\nSomebody uses a board for phishing and spam, please remove this user.", "abuse"),
    ],
)
def test_plain_cases_are_plain(capacity: triage.Capacity, text: str, category: str) -> None:
    """Without it even a ticket that says what it is could be routed anywhere."""
    assert top(triage.opinion(text, capacity).category) == category


@pytest.mark.slow
def test_the_ladder_rises_on_unseen_families(calibration) -> None:
    """Without it a stronger model might be no better than the cheap one, and a cascade would teach nonsense."""
    right = {
        capacity: sum(top(triage.opinion(text, capacity).category) == label["category"] for text, label in calibration)
        for capacity in CAPACITIES
    }
    assert right["small"] < right["medium"] < right["large"] <= right["judge"]
    assert right["small"] >= 0.4 * len(calibration)


def test_the_small_one_is_too_sure_of_itself(calibration) -> None:
    """Without it there would be no over-confidence for the labs to find and to calibrate."""
    opinions = [(triage.opinion(text, "small").category, label["category"]) for text, label in calibration]
    said = sum(max(shares.values()) for shares, _ in opinions) / len(opinions)
    right = sum(top(shares) == category for shares, category in opinions) / len(opinions)
    assert said - right > 0.1


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize(
    "text", ["", " \n ", "\ud800\x00", "?" * 20_000, "a. " * 6_000, "1,2," * 5_000, "\n" * 20_000 + "x", "請求" * 4_000]
)
def test_any_text_gets_a_whole_opinion(capacity: triage.Capacity, text: str) -> None:
    """Without it an odd ticket could stop the server, or be answered outside the labels."""
    opinion = triage.opinion(text, capacity)
    assert tuple(opinion.category) == triage.FIELDS["category"]
    assert tuple(opinion.priority) == triage.FIELDS["priority"]
    for shares in (opinion.category, opinion.priority):
        assert sum(shares.values()) == pytest.approx(1, abs=0.06)
        assert all(share == round(share, 2) for share in shares.values())
    assert 0 <= opinion.needs_human <= 1


def test_an_urgent_priority_always_needs_a_person(calibration) -> None:
    """Without it a model could call a ticket P0 and keep it from people, which the labels rule out."""
    for text, _ in calibration:
        for capacity in CAPACITIES:
            opinion = triage.opinion(text, capacity)
            assert opinion.needs_human > 0.5 or top(opinion.priority) in ("P2", "P3")


@pytest.mark.slow
def test_training_again_gives_the_same_opinions(calibration) -> None:
    """Without it the same seed could give other bytes after a restart."""
    material = triage.Material.of(*triage.samples())
    for capacity in CAPACITIES:
        again = triage.train(triage.RECIPES[capacity], material)
        for text, _ in calibration[:10]:
            one, other = again.opinion(text), triage.opinion(text, capacity)
            assert replace(one, exact={}) == replace(other, exact={})
            for task, shares in one.exact.items():  # what was kept may have been trained with another number of threads, which add up in another order
                assert shares == pytest.approx(other.exact[task], abs=1e-4)


def test_the_evidence_is_words_of_the_text(calibration) -> None:
    """Without it a model's reasons could be invented, or repeat a number or a secret from the ticket."""
    for text, _ in calibration:
        for capacity in CAPACITIES:
            evidence = triage.opinion(text, capacity).evidence
            assert len(evidence) <= 3
            plain = " ".join(concepts.plain(text).replace("'", " ").split())
            assert all(not any(c.isdigit() for c in words) and all(word in plain for word in words.split()) for words in evidence)


def test_broken_training_data_is_refused_in_one_line(tmp_path, monkeypatch) -> None:
    """Without it a damaged file would end in a traceback."""
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / "training.jsonl").write_text('{"subject": "x"}\n', encoding="utf-8")
    monkeypatch.setattr(training, "DATA", tmp_path)
    with pytest.raises(DataError, match=r"training\.jsonl: every line must be an object with subject, body, label"):
        triage.samples()
