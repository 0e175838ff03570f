"""The bake-off: all arms from one set of replies, the judge's bill apart, and a page that stands alone."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from workshop_lib import catalog
from workshop_lib.cascade import documented
from workshop_lib.cascade import published as published_policy
from workshop_lib.evaluation.bakeoff import Bakeoff, compare, run_bakeoff
from workshop_lib.evaluation.cache import CacheMiss, ProvenanceError, ReplyCache
from workshop_lib.evaluation.labels import LabelledTicket, load_tickets
from workshop_lib.evaluation.recorded import published, recorded_arms, recorded_ask, recorded_labels
from workshop_lib.evaluation.report import report_html
from workshop_lib.llm import CallError, Reply, Request
from workshop_lib.tasks import Label

Tickets = tuple[LabelledTicket, ...]
Make = Callable[..., Any]


def judge(model: str, request: Request) -> Reply:
    """Judge as Sonnet answered, for want of a recorded judge."""
    return recorded_ask("sonnet", request)


@pytest.fixture(scope="module")
def baked() -> Bakeoff:
    """Return the bake-off of the recorded replies."""
    return run_bakeoff(recorded_ask, judge, recorded_labels(), tiers=("nano", "sonnet"), draws=200)


def test_arms_are_the_promised_ones(baked: Bakeoff) -> None:
    """Without it a baseline could be missing from the comparison."""
    assert baked.summary["arm"].tolist() == [
        "nano_only", "sonnet_only", "cascade_documented", "cascade_published", "random at documented rate", "random at published rate", "oracle nano, sonnet",
    ]  # fmt: skip
    assert baked.summary["n"].unique().tolist() == [150]
    assert baked.tickets == 150


def test_figures_are_the_recorded_ones(baked: Bakeoff) -> None:
    """Without it the bake-off could compute another cascade than the library's."""
    row = baked.summary.set_index("arm").loc["cascade_documented"]
    assert (row["right"], row["joint"], round(row["cost_usd"], 8)) == (126, 109, 0.11831652)
    pairs = baked.comparisons.set_index(["arm", "against"]).loc[("cascade_documented", "sonnet_only")]
    assert (pairs["only_arm"], pairs["only_other"], round(pairs["gap_recovered"], 2), round(pairs["saving"], 3)) == (0, 15, 0.17, 0.905)


def test_judge_is_graded_billed_and_not_mixed_into_the_arms(baked: Bakeoff) -> None:
    """Without it the judge's labels could pass for truth, and its cost disappear."""
    assert baked.agreement.set_index("field")["agree"].to_dict() == {"category": 141, "priority": 142, "needs_human": 137, "all three": 125}
    assert baked.judge["cost_usd"].sum() == pytest.approx(1.241988)
    assert baked.judged.set_index("arm").loc["sonnet_only", "right"] == 150


def test_each_model_is_asked_once_a_ticket(tickets: Tickets, scripted: Make, decision: Make) -> None:
    """Without it arms would differ by sampling and be paid for twice."""
    asked: Counter[tuple[str, str]] = Counter()
    lock = threading.Lock()
    says = scripted({(model, f"X-{n}"): decision(confidence=0.1) for model in ("nano", "super", "sonnet", "opus") for n in range(4)})

    def ask(model: str, request: Request) -> Reply:
        with lock:
            asked[model, request.tags["ticket"]] += 1
        return says(model, request)

    baked = run_bakeoff(ask, ask, tickets, draws=20)
    assert set(asked.values()) == {1}
    assert len(asked) == 16
    assert baked.summary.set_index("arm").loc["cascade_documented", "escalation_rate"] == 1


def test_a_failure_is_the_same_failure_in_every_arm(tickets: Tickets, scripted: Make, decision: Make) -> None:
    """Without it a call that failed alone could succeed in the cascade, which here goes on to the strong model, and the arms differ by luck."""
    script = {(model, f"X-{n}"): decision(confidence=0.1) for model in ("nano", "sonnet", "opus") for n in range(4)}
    once = scripted(script)
    failed: list[str] = []

    def ask(model: str, request: Request) -> Reply:
        if (model, request.tags["ticket"]) == ("nano", "X-0") and not failed:
            failed.append(model)
            raise CallError("read_timeout", model, "late.")
        return once(model, request)

    baked = run_bakeoff(ask, once, tickets, (documented(),), tiers=("nano", "sonnet"), draws=20)
    arms = baked.summary.set_index("arm")
    assert arms.loc[["nano_only", "cascade_documented"], "failed"].tolist() == [1, 0]
    assert not arms.loc["cascade_documented", "cost_complete"]
    assert arms["n"].unique().tolist() == [4]


def test_tickets_without_a_judge_label_leave_every_judged_arm(tickets: Tickets, scripted: Make, decision: Make) -> None:
    """Without it an invalid judge reply would count against the arms, or against some of them."""
    script = {(model, f"X-{n}"): decision() for model in ("nano", "sonnet", "opus") for n in range(4)}
    ask = scripted({**script, ("opus", "X-2"): "I would rather not."})
    baked = run_bakeoff(ask, ask, tickets, (documented(),), tiers=("nano", "sonnet"), draws=20)
    assert baked.judged["n"].unique().tolist() == [3]
    assert baked.summary["n"].unique().tolist() == [4]
    assert baked.agreement["n"].unique().tolist() == [4]
    assert baked.judge["cost_usd"].sum() == 40


def test_replay_needs_no_model_and_says_what_is_missing(tmp_path: Path) -> None:
    """Without it a recorded bake-off could not be shown, or would quietly call."""
    path, labels = tmp_path / "replies.jsonl", recorded_labels()[:20]
    first = run_bakeoff(ReplyCache(path, recorded_ask), ReplyCache(None, judge), labels, tiers=("nano", "sonnet"), draws=20)
    replay = ReplyCache(path)
    again = run_bakeoff(replay, judge, labels, tiers=("nano", "sonnet"), draws=20)
    assert replay.calls == 0
    assert again.summary.equals(first.summary)
    with pytest.raises(CacheMiss, match=r"us\.anthropic\.claude-opus-4-7 to ticket P-0051"):
        run_bakeoff(replay, replay, labels[:1], tiers=("nano", "sonnet"), draws=20)


def test_every_arm_is_made_of_the_same_replies(tickets: Tickets, scripted: Make, decision: Make) -> None:
    """Without it an arm of the full comparison could be missing, ask again, or be fitted on the tickets it is tested on."""
    others = tuple(replace(entry, ticket=entry.ticket.model_copy(update={"id": f"Y-{n}"})) for n, entry in enumerate(tickets))
    asked: Counter[tuple[str, str]] = Counter()
    lock = threading.Lock()
    script = {(model, f"{name}-{n}"): decision(confidence=0.1) for model in ("nano", "super", "sonnet", "opus") for n in range(4) for name in "XY"}
    script |= {("super", f"{name}-{n}"): decision(entry.label.category) for n, entry in enumerate(tickets) for name in "XY"}
    says = scripted(script)

    def ask(model: str, request: Request) -> Reply:
        with lock:
            asked[model, request.tags["ticket"]] += 1
        return says(model, request)

    baked = run_bakeoff(ask, ask, tickets, (documented(),), draws=20, every=True, calibration=others)
    assert baked.summary["arm"].tolist() == [
        "nano_only", "super_only", "sonnet_only", "cascade_documented", "cascade nano>super", "cascade super>sonnet", "cascade nano>super>sonnet",
        "random at documented rate", "random at nano>super rate", "random at super>sonnet rate", "category majority", "kNN",
        "oracle nano, sonnet", "oracle nano, super, sonnet",
    ]  # fmt: skip
    assert baked.summary["n"].unique().tolist() == [4]
    assert set(asked.values()) == {1}
    assert len(asked) == 3 * 8 + 4
    arms = baked.summary.set_index("arm")
    assert arms.loc[["cascade nano>super", "cascade nano>super>sonnet", "category majority", "kNN"], "right"].tolist() == [4, 4, 4, 4]
    assert arms.loc[["cascade nano>super", "category majority", "kNN"], "cost_usd"].tolist() == [44, 44, 40]
    assert baked.comparisons["arm"].unique().tolist() == ["cascade_documented", "cascade nano>super", "cascade super>sonnet", "cascade nano>super>sonnet"]
    with pytest.raises(ValueError, match="must not be fitted"):
        run_bakeoff(ask, ask, tickets, draws=20, every=True, calibration=others + tickets[:1])
    without = run_bakeoff(ask, ask, tickets, (documented(),), draws=20, every=True).summary["arm"].tolist()
    assert "kNN" not in without
    assert "oracle nano, super, sonnet" in without


def test_a_persons_review_replaces_the_judges_label(tickets: Tickets, scripted: Make, decision: Make) -> None:
    """Without it a judge's known mistake would go on counting against the arms that are right."""
    script = {(model, f"X-{n}"): decision() for model in ("nano", "sonnet", "opus") for n in range(4)}
    script |= {("opus", "X-0"): decision("auth"), ("opus", "X-1"): "I would rather not."}
    right = Label(category="billing", priority="P3", needs_human=False)
    ask = scripted(script)
    baked = run_bakeoff(ask, ask, tickets, (documented(),), tiers=("nano", "sonnet"), draws=20, reviews={"X-0": right, "X-1": right, "Z-9": right})
    assert (baked.reviewed, baked.judged["n"].unique().tolist()) == (2, [4])
    assert baked.judged.set_index("arm").loc["nano_only", "right"] == 4
    assert baked.agreement.set_index("field").loc["category", "agree"] == 0  # what the judge itself said is still graded


def test_a_recording_is_bound_to_the_run_and_finished(tmp_path: Path, scripted: Make, decision: Make) -> None:
    """Without it a lab's recording would not say what it is of, and a run with failed calls would pass for complete."""
    path, labels = tmp_path / "replies.jsonl", load_tickets("test")[:3]
    script = {(model, entry.ticket.id): decision() for model in ("nano", "sonnet", "opus") for entry in labels}
    failing = scripted({**script, ("nano", labels[0].ticket.id): CallError("throttled", "nano", "slow down.")})
    for inner, partial in ((failing, True), (scripted(script), False)):
        cache = ReplyCache(path, inner)
        baked = run_bakeoff(cache, cache, labels, (documented(),), tiers=("nano", "sonnet"), draws=20)
        assert ReplyCache(path).partial is partial
    assert baked.provenance is not None
    assert baked.provenance.datasets["test"].items == 160
    assert set(ReplyCache(path).provenance.models) == {"nano", "sonnet", "opus"}  # type: ignore[union-attr]
    entry = catalog.model("nano").model_copy(update={"price": catalog.model("nano").price.model_copy(update={"output": 0.3})})
    with pytest.MonkeyPatch.context() as patch:
        dearer = {**catalog.models(), "nano": entry}
        patch.setattr(catalog, "models", lambda: dearer)
        with pytest.raises(ProvenanceError, match=r"models\.nano\.price\.output was 0\.24, is 0\.3 now"):
            run_bakeoff(ReplyCache(path), ReplyCache(path), labels, (documented(),), tiers=("nano", "sonnet"), draws=20)


def test_two_policies_of_one_name_are_refused(tickets: Tickets) -> None:
    """Without it one arm would overwrite the other."""
    with pytest.raises(ValueError, match="same name"):
        run_bakeoff(recorded_ask, judge, tickets, (documented(), published_policy().model_copy(update={"name": "documented"})))


def test_unlike_arms_are_not_paired(baked: Bakeoff) -> None:
    """Without it a paired test could pair different tickets."""
    arm = baked.arms["nano_only"]
    with pytest.raises(ValueError, match="another order"):
        compare(arm, arm.iloc[::-1])  # type: ignore[arg-type, union-attr]


class _Page(HTMLParser):
    """Collects what a page refers to, its images, and whether every tag closes."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.slow
def test_page_stands_alone_and_sources_every_table_and_figure(baked: Bakeoff) -> None:
    """Without it the page could load something from elsewhere, or show a number of unknown origin."""
    html = report_html(baked, recorded_arms(), published())
    page = _Page()
    page.feed(html)
    assert not page.open
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert all(len(image["alt"] or "") > 40 for image in page.images)
    assert len(page.images) >= 4
    captions = re.findall(r"<(?:fig)?caption>.*?</(?:fig)?caption>", html)
    assert len(captions) == html.count("<table>") + len(page.images)
    assert all('class="source"' in caption for caption in captions)
    assert "prefers-color-scheme: dark" in html
    assert "cascade_documented against sonnet_only: costs 90.5% less" in html
    assert "cascade_documented against nano_only: costs 7.5 times as much; no difference in accuracy is shown" in html
