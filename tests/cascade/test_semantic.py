"""A cache in front of the cascade: what a hit costs and says, what is kept, and for whom."""

import pytest
from replies import BLOCKED, Script, invalid, says

from workshop_lib.cascade import (
    CACHE,
    ConfidenceGate,
    Hit,
    Policy,
    TextCache,
    TextVectors,
    Trace,
    cache_scope,
    cached_walk,
    documented,
    single,
    worth_keeping,
)
from workshop_lib.cascade.story import told
from workshop_lib.llm import CallError, Cost
from workshop_lib.tasks import QUESTIONS, TRIAGE, Question, RoutingDecision, Ticket
from workshop_lib.tasks.variants import with_distribution

FIRST = Ticket(id="T-1", subject="Charged twice", body="You charged us twice for May, please send one payment back.")
AGAIN = Ticket(id="T-2", subject="Re: Charged twice", body="You charged us twice for May, please send one payment back.")
OTHER = Ticket(id="T-3", subject="A wish", body="Could the boards have a dark theme?")


class Remembering:
    """A cache that finds everything it kept in the same scope, and remembers what it was asked."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str, RoutingDecision, str]] = []

    def look(self, text: str, scope: str = "") -> Hit[RoutingDecision] | None:
        """Return what was kept last in this scope."""
        found = [(answer, item_id) for _, where, answer, item_id in self.kept if where == scope]
        return Hit(found[-1][0], 0.9, found[-1][1]) if found else None

    def keep(self, text: str, answer: RoutingDecision, scope: str = "", item_id: str = "") -> None:
        """Keep an answer."""
        self.kept.append((text, scope, answer, item_id))


def after(*first: object, policy: Policy | None = None, **options: bool) -> tuple[Trace[RoutingDecision], Remembering]:
    """Return the trace of the first ticket whose tiers answer as told, and the cache afterwards."""
    policy = policy or documented()
    cache = Remembering()
    ask = Script(**dict(zip(policy.tiers, first, strict=False)))
    return cached_walk(TRIAGE, FIRST, policy, ask, cache, **options), cache  # type: ignore[arg-type]


def test_a_hit_costs_nothing_and_says_so() -> None:
    """Without it the saving of a cache could not be told from a cheap model's, or its answers be credited to one."""
    cache, ask = Remembering(), Script(nano=says(usd=0.001))
    cached_walk(TRIAGE, FIRST, documented(), ask, cache)
    trace = cached_walk(TRIAGE, AGAIN, documented(), ask, cache)
    assert ask.models == ["nano"]
    assert (trace.model_used, trace.cost, trace.latency_ms, trace.escalated, trace.outcome) == (CACHE, Cost(0.0), 0, False, "answered")
    assert (trace.steps[0].checks[0].value, trace.steps[0].checks[0].remark) == (0.9, "near the text of T-1")
    assert told(trace) == ["cache: billing P2, confidence 0.9; 0.000000 USD"]


def test_a_hit_says_nothing_of_the_other_customer() -> None:
    """Without it one customer's words, quoted in a reasoning, would be shown to whoever handles another's ticket."""
    trace, cache = after(says())
    assert trace.answer is not None
    assert trace.answer.reasoning == "r"
    answer = cached_walk(TRIAGE, AGAIN, documented(), Script(nano=says()), cache).answer
    assert answer is not None
    assert (answer.ticket_id, answer.reasoning, answer.label) == ("T-2", "", trace.answer.label)
    assert with_distribution().carried is TRIAGE.carried


def test_a_question_keeps_its_answer() -> None:
    """Without it a task whose answers hold nothing of the item could not be cached."""
    cache: TextCache[object] = TextCache(TextVectors.fit(["a"]), threshold=0.9)
    ask = Script(**{"nim-8b": says(tool_input={"answer": "Lima", "confidence": 5})})
    for number in (1, 2):
        trace = cached_walk(QUESTIONS, Question(id=f"Q{number}", question="Capital of Peru?"), single("nim-8b"), ask, cache)  # type: ignore[arg-type]
    assert (trace.model_used, trace.item_id, getattr(trace.answer, "answer", None)) == (CACHE, "Q2", "Lima")


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        ((BLOCKED,), "a guardrail intervened"),
        ((invalid(), invalid()), "nobody answered validly"),
        ((says(needs_human=True), says(needs_human=True)), "a person must look"),
        ((says(needs_human=True), says()), "a tier flagged it"),
        ((says(0.1), CallError("throttled", "sonnet", "x.")), "the strong tier failed, and the weak answer stood in"),
        ((CallError("throttled", "nano", "x."),), "the call failed"),
    ],
)  # fmt: skip
def test_what_is_not_kept(outcomes: tuple[object, ...], why: str) -> None:
    """Without it one bad minute, or one flag, would be handed on to every near text that follows."""
    trace, cache = after(*outcomes)
    assert not worth_keeping(trace), why
    assert cache.kept == []


def test_what_is_kept() -> None:
    """Without it a cache that never keeps would pass as a safe one; an escalated answer is as good as a kept one."""
    for outcomes in ((says(),), (says(0.1), says()), (invalid(), says())):
        trace, cache = after(*outcomes)
        assert [(item_id, answer) for _, _, answer, item_id in cache.kept] == [("T-1", trace.answer)]


def test_flagged_answers_are_kept_only_when_asked_for_and_keep_their_flag() -> None:
    """Without it a cache could take a safety flag back."""
    trace, cache = after(says(), says(needs_human=True), policy=Policy(name="p", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=0.95),)), keep_flagged=True)
    assert trace.review_required
    assert len(cache.kept) == 1
    _, lost = after(says(needs_human=True), says(), keep_flagged=True)
    assert lost.kept == []


def test_a_hit_is_not_kept_again() -> None:
    """Without it an error would wander from text to text, each near the last one and none near the first."""
    _, cache = after(says())
    hit = cached_walk(TRIAGE, AGAIN, documented(), Script(nano=says()), cache)
    assert not worth_keeping(hit)
    assert len(cache.kept) == 1


def test_the_scope_changes_with_what_answers() -> None:
    """Without it a new threshold, prompt or model would go on giving the old one's answers."""
    base = cache_scope(TRIAGE, FIRST, documented())
    assert base == cache_scope(TRIAGE, OTHER, documented().model_copy(update={"name": "renamed"}))
    others = [
        cache_scope(TRIAGE, FIRST, Policy(name="documented", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=0.8),))),
        cache_scope(TRIAGE, FIRST, documented(("nano", "super"))),
        cache_scope(TRIAGE, FIRST, documented(), tenant="acme"),
        cache_scope(with_distribution(), FIRST, documented()),
        cache_scope(QUESTIONS, Question(id="Q", question="?"), documented()),
    ]
    assert len({base, *others}) == 6


def test_no_tenant_is_answered_from_anothers_texts() -> None:
    """Without it one customer could find out, by the speed of an answer, what another one wrote."""
    cache, ask = Remembering(), Script(nano=says())
    used = [cached_walk(TRIAGE, ticket, documented(), ask, cache, tenant=tenant).model_used for ticket, tenant in ((FIRST, "a"), (AGAIN, "b"), (AGAIN, "a"))]
    assert used == ["nano", "nano", CACHE]


def test_who_watches_the_walk_sees_a_hit() -> None:
    """Without it a page that shows each step would wait for a first one that never comes."""
    seen: list[tuple[str, bool]] = []
    _, cache = after(says())
    cached_walk(TRIAGE, AGAIN, documented(), Script(nano=says()), cache, observe=lambda step, goes_on: seen.append((step.tier, goes_on)))
    assert seen == [(CACHE, False)]


def test_a_miss_walks_under_the_same_limits() -> None:
    """Without it a budget would be lost on the way through the cache."""
    cache = Remembering()
    trace = cached_walk(TRIAGE, FIRST, documented(), Script(nano=says(0.1, usd=1.0), sonnet=says()), cache, budget_usd=0.5)
    assert (trace.cut_short, trace.model_used, cache.kept) == (True, "nano", [])
