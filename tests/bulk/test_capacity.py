"""The capacity plan: every figure follows from its formula, and the documentation shows what the calculator says."""

import subprocess
import sys
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.bulk.capacity import DAY_S, Known, Load, plan, tokens_per_minute
from workshop_lib.errors import UnknownModelError
from workshop_lib.paths import ROOT


@given(per_day=st.floats(1, 1e9), escalation=st.floats(0, 1))
def test_two_tiers_make_the_tickets_and_the_escalated_ones_calls(per_day: float, escalation: float) -> None:
    """Without it a plan would forget that an escalated ticket is called twice."""
    found = plan(per_day, [escalation])
    assert found.calls_per_second == pytest.approx(per_day / DAY_S * (1 + escalation))
    assert found.processes == ceil(found.calls_per_second / 400)


def test_figures_that_can_be_checked_by_hand() -> None:
    """Without it a unit could be off by a thousand or by sixty, and a quota be asked for that is not needed."""
    known = Known({"nano": 1000, "sonnet": 2000}, {"nano": 100, "sonnet": 200}, {"nano": 500, "sonnet": 4000})
    found = plan(8_640_000, [0.25], peak=2, max_tokens=300, calls_per_process=100, known=known)
    nano, sonnet = found.tiers
    assert (nano.calls_per_second, nano.at_once, nano.rpm) == (200, 100, 12_000)
    assert (sonnet.calls_per_second, sonnet.at_once, sonnet.rpm) == (50, 200, 3_000)
    assert nano.tpm == 12_000 * 1100 + 100 * (1000 + 300 - 1100), "output counts once, and what calls under way hold beyond it comes on top"
    assert sonnet.tpm == 3_000 * (2000 + 5 * 200), "output counts five times; calls under way hold less than that"
    prices = catalog.model("nano").price, catalog.model("sonnet").price
    assert nano.usd_per_day == pytest.approx(8_640_000 * (1000 * prices[0].input + 100 * prices[0].output) / 1e6), "the peak costs no more"
    assert sonnet.usd_per_day == pytest.approx(2_160_000 * (2000 * prices[1].input + 200 * prices[1].output) / 1e6)
    assert found.processes == 3


def test_an_unset_answer_length_reserves_quota_that_nobody_uses() -> None:
    """Without it a plan would not show why maxTokens must be set."""
    load = Load(1000, 100, 1000, "by hand")
    assert tokens_per_minute(10, 10, load, 64_000, 1) - tokens_per_minute(10, 10, load, 100, 1) == 10 * (64_000 - 100)


def test_every_figure_says_where_it_is_from() -> None:
    """Without it an assumption about a model that nobody measured would look like a measurement."""
    text = plan(1e6, [0.1, 0.2], tiers=("nano", "super", "opus"), known=Known(p95_ms={"opus": 9000})).table()
    assert "nano: 1,259 tokens in, 122 out; recorded, 150 tickets, 2026-08-31." in text
    assert "super: 1,260 tokens in, 120 out; assumed from the table of models" in text
    assert "opus: 1,651 tokens in, 120 out; assumed from the table of models, as no run of it is recorded; p95_ms as given." in text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"per_day": 0.0}, "per_day must be positive, got 0"),
        ({"escalation": [1.5]}, "from 0 to 1, got 1.5"),
        ({"escalation": []}, "2 tiers need 1 escalation shares, got 0"),
        ({"peak": 0.5}, "peak must be at least 1, got 0.5"),
        ({"per_day": 1e308, "peak": 1e10}, "per_day times peak must be at most 1e.15, got 1e.308"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        ({"known": Known(p95_ms={"nano": -1.0})}, "p95_ms of nano must be positive, got -1"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], words: str) -> None:
    """Without it a slip would give a plan that looks sound."""
    with pytest.raises(ValueError, match=words):
        plan(**{"per_day": 1e6, "escalation": [0.1], **wrong})  # type: ignore[arg-type]


def test_a_model_that_is_not_there_is_refused() -> None:
    """Without it a wrong name would be planned with another model's price."""
    with pytest.raises(UnknownModelError, match="nanno"):
        plan(1e6, [0.1], tiers=("nanno", "sonnet"))


def test_the_page_shows_what_the_command_prints() -> None:
    """Without it the worked plan would go stale with the next price."""
    page = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8")
    begin, end = "<!-- printed by: workshop capacity --per-day 100000000 --escalation 0.12 -->\n", "\n<!-- end of what was printed -->"
    shown = page[page.index(begin) + len(begin) : page.index(end)]
    command = [sys.executable, "-m", "workshop_lib.cli", *begin.split("workshop ")[1].split(" -->")[0].split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == shown.strip()
