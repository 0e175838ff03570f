"""The report: its sentences hold whatever the numbers are, everything is escaped, and the page stands alone."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.cascade import documented, single
from workshop_lib.evaluation.arms import summary
from workshop_lib.evaluation.bakeoff import Bakeoff, run_bakeoff
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.evaluation.provenance import dataset_note
from workshop_lib.evaluation.recorded import published, recorded_arms, recorded_ask, recorded_labels
from workshop_lib.evaluation.report import report_html
from workshop_lib.evaluation.report.choosing import measures
from workshop_lib.evaluation.report.evidence import against, by_group, missed, paired_interval, reading
from workshop_lib.evaluation.report.findings import cases, parity, undominated
from workshop_lib.evaluation.report.judging import corrections
from workshop_lib.evaluation.uncertainty import NonInferiority
from workshop_lib.llm import CallError, Cost
from workshop_lib.tasks import Label, Ticket

pytestmark = pytest.mark.slow  # whole reports are drawn, with their figures

Make = Callable[..., Any]
NOTHING = pd.DataFrame()


class Page(HTMLParser):
    """Collects a page's tags with their attributes, and fails on a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102  # the parser's own
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:  # noqa: D102  # the parser's own
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def text(html: str) -> str:
    """Return what a reader reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))).split())


@pytest.fixture(scope="module")
def baked() -> Bakeoff:
    """Return the bake-off of the recorded replies, judged as Sonnet answered."""
    return run_bakeoff(recorded_ask, lambda model, request: recorded_ask("sonnet", request), recorded_labels(), tiers=("nano", "sonnet"), draws=100)


@pytest.fixture(scope="module")
def html(baked: Bakeoff) -> str:
    """Return its page."""
    return report_html(baked, recorded_arms(), published(), made_on=date(2026, 9, 1))


def test_answer_comes_first_with_intervals_parity_and_money(html: str) -> None:
    """Without it a finance reader would have to work the answer out of a table."""
    said = text(html)
    assert "documented: cheaper than sonnet alone (0.79 instead of 8.28 USD per 1,000 tickets), and not shown to be as accurate within 0.05." in said
    assert "The cascade documented (nano, then sonnet) got 126 of 150 (0.840, 95 % from 0.773 to 0.890) right" in said
    assert "sonnet alone got 141 of 150" in said
    assert "It cost 0.1183 USD, sonnet alone 1.2420 USD: 90.5% less." in said
    assert "It passed 12 of 150 tickets on to a dearer model." in said
    assert said.index("The cascade documented") < said.rindex("What it cost") < said.rindex("What this does not say")


def test_page_is_accessible_and_loads_nothing(html: str) -> None:
    """Without it a screen reader, a printer or a closed network would lose part of the page."""
    page = Page(html)
    assert not re.search(r"""(?:src|href|url\()=?["']?https?:""", html)
    ids = {attributes["id"] for attributes in page.all("h2")}
    assert {str(link["href"]) for link in page.all("a")} == {f"#{name}" for name in ids}
    assert len(page.all("h1")) == 1
    assert page.all("html")[0]["lang"] == "en"
    assert all(str(image["src"]).startswith("data:image/png;base64,") and len(str(image["alt"])) > 40 for image in page.all("img"))
    assert all(cell.get("scope") in {"col", "row"} for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) > 8
    assert "@media print" in html
    assert "prefers-color-scheme: dark" in html


def test_contrast_of_text_and_badge_is_enough_in_every_theme(html: str) -> None:
    """Without it a colour could be changed into one that many people cannot read (WCAG AA asks for 4.5)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    themes = re.findall(r":root \{[^}]*--text: (#\w+); --page: (#\w+); --line: #\w+; --soft: (#\w+); --badge: (#\w+);", html)
    assert len(themes) == 3
    for ink, page, soft, badge in themes:
        for front in (ink, badge):
            for back in (page, soft):
                bright, dark = sorted((luminance(front), luminance(back)), reverse=True)
                assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_everything_charged_is_in_the_cost_table(html: str, baked: Bakeoff) -> None:
    """Without it the judge's bill, or what the bake-off itself came to, would be nowhere."""
    table = text(html[html.index("Everything charged") : html.index('<h2 id="all-arms">')])
    assert "judge (labels only, in no arm) 150 1.241988" in table
    assert "this bake-off: every model and the judge once 450 2.499702" in table  # 0.01572552 + 1.241988 twice
    assert "cascade_documented 162 0.118317" in table


@pytest.mark.slow
def test_provenance_names_prices_policies_and_what_is_not_known(html: str, baked: Bakeoff) -> None:
    """Without it nobody could make the numbers again, or a gap would be filled by a guess."""
    said = text(html)
    assert documented().digest in said
    assert "nvidia.nemotron-nano-3-30b bedrock 0.060 0.240 list" in said
    assert re.search(r"data not recorded task \w+ prompt triage-1, sha256 [0-9a-f]{12} settings max_tokens \d+", said)
    assert re.search(r"seed of what is drawn 0 code revision of this page \S.* page made on 2026-09-01", said)
    known = baked.provenance
    assert known is not None
    noted = replace(baked, provenance=known.model_copy(update={"backend": "sandbox", "seed": 7, "datasets": {"test": dataset_note(recorded_labels())}}))
    full = text(report_html(noted, {}, NOTHING))
    assert re.search(r"data: test, whole 150 tickets, sha256 [0-9a-f]{12} .* backend sandbox seed of the sandbox 7", full)
    bare = text(report_html(replace(baked, provenance=None), {}, NOTHING))
    assert "prompt not recorded" in bare
    assert "page made on not recorded" in bare
    assert "recorded on Amazon" not in bare


def bake(tickets: tuple[LabelledTicket, ...], scripted: Make, decision: Make, changes: Mapping[tuple[str, str], Any], **more: Any) -> str:
    """Return the page of a bake-off in which every model is right with confidence 0.9 but for `changes`."""
    right = {entry.ticket.id: decision(entry.label.category, entry.label.priority, entry.label.needs_human) for entry in tickets}
    script = {(model, name): says for model in ("nano", "sonnet", "opus") for name, says in right.items()} | dict(changes)
    ask = scripted(script)
    policies = more.pop("policies", (documented(),))
    return report_html(run_bakeoff(ask, ask, tickets, policies, tiers=("nano", "sonnet"), draws=20), more.pop("recorded", {}), NOTHING, **more)


@pytest.mark.slow
def test_four_right_answers_do_not_show_parity(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it no difference on a handful of tickets would be called parity, because a bootstrap of equal answers has no width."""
    said = text(bake(tickets, scripted, decision, {}))
    assert re.search(r"cheaper than sonnet alone \([^)]*\), and not shown to be as accurate within 0\.05", said)
    assert "The difference in accuracy is +0.000 (95 % from -0.490 to +0.490, whole scenario families resampled or tickets taken singly, whichever is wider)" in said
    assert "With 2 families even this interval may be too narrow." in said
    assert "what every such draw gives: here it does not matter which are passed on" in said


def test_every_call_failed(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it an arm that never answered would be compared as if it had."""
    late = {(model, f"X-{n}"): CallError("read_timeout", model, "late.") for model in ("nano", "sonnet", "opus") for n in range(4)}
    html = bake(tickets, scripted, decision, late)
    said = text(html)
    Page(html)
    assert "documented: not measured. Nothing was measured about the cascade documented: every call failed" in said
    assert "The judge gave none of 4 tickets a valid label" in said
    assert "Which model judged is not known" in said
    assert "Every call of nano failed, so there is no confidence to look at." in said
    assert "ended without an answer: error" in said
    assert "(no reply)" in said
    assert not re.search(r"\bnan\b", said)


@pytest.mark.slow
def test_incomplete_cost_is_a_bound_and_says_so(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it a saving would be stated that a call of unknown price may eat up."""
    said = text(bake(tickets, scripted, decision, {("nano", "X-0"): CallError("read_timeout", "nano", "late.")}))
    assert "It cost at least 23.00 USD, sonnet alone 40.00 USD: by what is known 42.5% less, but a call of unknown price is missing, so the true saving is smaller or the true cost higher." in said
    assert "Calls that failed count as wrong: 1 in nano alone." in said
    assert "A cost marked incomplete is a lower bound" in said
    assert "tickets of unknown cost" in said
    assert "by what is known of the cost cheaper than sonnet alone" in said


@pytest.mark.slow
def test_missing_judge_and_wrong_everywhere(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it an arm that is never right, or a judge that only talks, would break the page."""
    wrong = {(model, f"X-{n}"): decision("feature_request", "P3", False) for model in ("nano", "sonnet") for n in range(4)}
    html = bake(tickets, scripted, decision, {**wrong, **{("opus", f"X-{n}"): "I would rather not." for n in range(4)}})
    said = text(html)
    Page(html)
    assert "got 0 of 4 (0.000, 95 % from 0.000 to 0.490) right" in said
    assert "The judge gave none of 4 tickets a valid label; its calls cost 40.00 USD, which no arm contains." in said
    assert "cannot be told, as all its answers are right or all are wrong" in said


@pytest.mark.slow
def test_one_ticket(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it the smallest run would end in a division or in bad grammar."""
    said = text(bake(tickets[:1], scripted, decision, {}))
    assert "Bake-off on 1 ticket (test)" in said
    assert "1 labelled ticket was given" in said
    assert "It speaks of 1 ticket in 1 scenario family" in said
    assert "No ticket here is urgent or needs a person" in said


def test_no_cascade(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it a bake-off of single models would have no page, or claim an answer."""
    for policies in ((), (single("nano"),)):
        said = text(bake(tickets, scripted, decision, {}, policies=policies))
        assert "No cascade was compared with the models it is made of" in said


@pytest.mark.slow
def test_odd_characters_are_escaped(scripted: Make, decision: Make) -> None:
    """Without it a family or a model's text could run as a script in the reader's browser."""
    evil = "<script>alert('x')</script>&\"'"
    odd = tuple(LabelledTicket(Ticket(id=f"X-{n}", subject=evil, body=evil), Label(category="other", priority="P1", needs_human=True), evil, evil + str(n)) for n in range(2))
    calm = {("nano", f"X-{n}"): decision("other", "P3", False) for n in range(2)}
    html = bake(odd, scripted, decision, calm)
    Page(html)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "cascade_documented: 2 missed of 2 tickets" in text(html)


@pytest.mark.slow
def test_calibrated_confidence_is_drawn_beside_the_stated(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it a calibration would be fitted and nobody see what it changed."""
    assert "before and after" not in bake(tickets, scripted, decision, {})
    assert "is 0.100 before calibration and 0.000 after" in bake(tickets, scripted, decision, {}, calibrated=[1.0] * 4)


def rows(**columns: list[Any]) -> pd.DataFrame:
    """Return a frame of an arm with the given columns."""
    n = len(next(iter(columns.values())))
    base: dict[str, Any] = {"item_id": [f"X-{i}" for i in range(n)], "family": [f"f{i}" for i in range(n)], "escalated": [False] * n, "escalated_because": [""] * n}
    return pd.DataFrame({**base, **columns})


def test_miss_needs_that_nobody_was_asked() -> None:
    """Without it a ticket that a person will see anyway would be listed, or one that nobody sees be left out."""
    arm = rows(
        gold_priority=["P0", "P0", "P0", "P3", "P3", "P3"], gold_needs_human=[False, False, True, True, True, False], priority=["P2", "P1", "P1", "P3", "P3", "P3"],
        needs_human=[False, False, False, False, True, False], review_required=[False, False, False, False, True, False], category=["other"] * 6,
        model_used=["nano"] * 6, confidence=[0.9] * 6, outcome=["answered"] * 6,
    )  # fmt: skip
    found = missed(arm)
    assert found["item_id"].tolist() == ["X-0", "X-2", "X-3"]
    assert found["gold"].tolist() == ["priority P0", "priority P0 and needs a person", "needs a person"]
    assert found["kept_because"].iloc[0] == "nano was confident enough (0.90) and no gate fired"


@pytest.mark.parametrize(
    ("both", "one", "other", "none", "expected"),
    [(36, 12, 2, 0, (0.0569, 0.3404)), (20, 12, 2, 16, (0.0562, 0.3292)), (36, 14, 0, 0, (0.1528, 0.4167)), (54, 0, 0, 0, (-0.0664, 0.0664)), (30, 0, 0, 24, (-0.0358, 0.0358))],
)
def test_paired_interval_is_the_published_one(both: int, one: int, other: int, none: int, expected: tuple[float, float]) -> None:
    """Without it the formula could be another than the one its source compared and found good (Newcombe 1998, table III, method 10)."""
    first = [True] * (both + one) + [False] * (other + none)
    second = [True] * both + [False] * one + [True] * other + [False] * none
    assert paired_interval(first, second) == pytest.approx(expected, abs=5e-5)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_paired_interval_holds_the_difference_turns_round_and_has_width(pairs: list[tuple[bool, bool]]) -> None:
    """Without it parity could rest on an interval that misses its own estimate or collapses."""
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    low, high = paired_interval(first, second)
    assert -1 <= low <= np.mean(first) - np.mean(second) <= high <= 1
    back = paired_interval(second, first)
    assert (back.low, back.high) == pytest.approx((-high, -low))
    assert high - low > 0.05


def test_paired_interval_covers() -> None:
    """Without it 95 % would be a label."""
    generator, n, hits = np.random.default_rng(0), 60, 0
    for _ in range(400):
        hard, one, two = generator.random((3, n))
        first, second = (hard < 0.6) | (one < 0.5), (hard < 0.6) | (two < 0.25)
        low, high = paired_interval(first, second)
        hits += low <= 0.4 * 0.25 <= high
    assert 0.92 <= hits / 400 <= 0.99


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((-0.04, 0.02), "shown"), ((-0.06, 0.02), "not shown"), ((-0.2, -0.06), "excluded"), ((-0.2, -0.01), "not shown"), ((0.01, 0.2), "shown"), ((-0.05, 0.1), "not shown")],
)
def test_parity_is_decided_by_the_margin(interval: tuple[float, float], verdict: str) -> None:
    """Without it no difference found could be sold as no difference."""
    pair = NonInferiority(0.0, *interval, 0.05, 0.95, 100, 20, "not shown")
    assert reading(pair) == verdict
    assert {"shown": "is shown", "not shown": "is not shown", "excluded": "is ruled out"}[verdict] in parity(pair, "sonnet")


def test_comparison_refuses_other_items_and_margins() -> None:
    """Without it arms of different items could be paired, or a margin of 5 mean anything goes."""
    arm = rows(correct=[True, False])
    with pytest.raises(ValueError, match="different items"):
        against(arm, arm.iloc[::-1])
    with pytest.raises(ValueError, match="between 0 and 1, got 5"):
        against(arm, arm, margin=5)


def test_groups_are_ordered_and_complete() -> None:
    """Without it the forest plot could drop a family or mislead by its order."""
    arm, other = rows(correct=[True, True, False, True]), rows(correct=[True, False, True, True])
    for table in (arm, other):
        table["family"] = ["a", "b", "c", "a"]
    found = by_group(arm, other)
    assert found["group"].tolist() == ["c", "a", "b"]
    assert found["difference"].tolist() == [-1, 0, 1]
    assert found["n"].sum() == 4


def test_judge_is_corrected_by_other_families_and_named_where_it_grades_its_own(baked: Bakeoff, html: str) -> None:
    """Without it the judge's errors would be known and nowhere taken out, or its kinship with an arm go unsaid."""
    found = corrections(baked).set_index("arm")
    families = sorted({entry.family for entry in recorded_labels()})
    second = [entry.family in families[1::2] for entry in recorded_labels()]
    nano = baked.arms["nano_only"]
    assert isinstance(nano, pd.DataFrame)
    assert found.loc["nano_only", "n"] == sum(second)
    assert found.loc["nano_only", "people_say"] == pytest.approx(nano["correct"][second].mean())
    assert found.loc["nano_only", "low"] < found.loc["nano_only", "corrected"] <= found.loc["nano_only", "high"]
    said = text(html)
    assert "The judge opus and sonnet come from the same vendor (anthropic)" in said
    assert "Category: people in the rows, the judge in the columns" in said
    assert "judge's error rate" in said


def test_labels_replaced_by_people_are_named(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it a reader would take a person's label for the judge's."""
    ask = scripted({(model, f"X-{n}"): decision() for model in ("nano", "sonnet", "opus") for n in range(4)})
    review = {"X-1": Label(category="auth", priority="P2", needs_human=False)}
    baked = run_bakeoff(ask, ask, tickets, (documented(),), tiers=("nano", "sonnet"), draws=20, reviews=review)
    assert "People reviewed 1 of the judge's labels; in the table below their word stands instead of the judge's on that ticket." in text(report_html(baked, {}, NOTHING))


@pytest.mark.slow
def test_a_further_cascade_is_answered_for_only_where_no_arm_beats_it(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it the best of all arms could stand in a table nobody reads, or a beaten one be argued for."""
    right = {f"X-{n}": decision(entry.label.category, entry.label.priority, entry.label.needs_human, 0.1) for n, entry in enumerate(tickets)}
    wrong = decision("feature_request", confidence=0.1)
    script = {("nano", name): wrong for name in right} | {("super", name): says for name, says in right.items()}
    script |= {(model, name): says for model in ("sonnet", "opus") for name, says in right.items()}

    def ask(model: str, request: Any) -> Any:
        reply = scripted(script)(model, request)
        return replace(reply, cost=Cost({"nano": 1.0, "super": 2.0}.get(model, 10.0)))

    baked = run_bakeoff(ask, ask, tickets, (documented(),), draws=20, every=True)
    assert undominated(baked) == {"nano_only", "super_only"}
    assert [case.name for case in cases(baked, 0.05)] == ["cascade_documented"]
    assert "3 further cascades, the gates of documented on other tiers, were composed of the same replies. Each is beaten" in text(report_html(baked, {}, NOTHING))
    super_ = baked.arms["super_only"]
    assert isinstance(super_, pd.DataFrame)
    worse = {**baked.arms, "super_only": super_.assign(correct=False)}
    dearer = replace(baked, arms=worse, summary=summary(worse))
    assert [case.name for case in cases(dearer, 0.05)] == ["cascade_documented", "cascade nano>super"]
    assert "both as accurate and as cheap as nano>super, which is therefore answered for above" in text(report_html(dearer, {}, NOTHING))


def test_measures_are_those_of_the_recorded_run(baked: Bakeoff, html: str) -> None:
    """Without it the measures of routing could be those of another pair of models."""
    found = measures(baked).set_index("arm")
    assert found.loc["cascade_documented", "gap_recovered"].round(2) == 0.17
    row = found.loc["cascade_documented"]
    arm = baked.arms["cascade_documented"]
    assert isinstance(arm, pd.DataFrame)
    assert row["rescued"] + row["wasted"] == arm["escalated"].sum() == 12
    said = text(html)
    assert "cascade_documented beats chance" in said or "cascade_documented does not beat chance" in said
    assert "Conditions that speak against cascade_documented" in said
