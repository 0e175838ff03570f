"""Exercises of lab 03: keep or escalate, walk and charge, break-even, rules for tickets, a judge's bill, trouble, flags, a leak."""

from collections.abc import Callable, Iterable, Sequence
from statistics import mean
from typing import Any

from workshop_lib.cascade import Step
from workshop_lib.catalog import Price
from workshop_lib.lab.checking import NotAttempted, NotYet, calling, close, diagnosed, number, shown
from workshop_lib.lab.exercise import Exercise, Wrong
from workshop_lib.llm import Usage
from workshop_lib.tasks import Answer, RoutingDecision

AskTier = Callable[[str, str], tuple[Answer | None, float]]
Walked = tuple[Answer | None, float]


def _truth(got: Any, case: str) -> bool:
    if not isinstance(got, bool):
        raise NotYet(f"it returned {shown(got, 40)} for {case}; return True or False")
    return got


# Exercise 1


def keep(answer: Answer | None, threshold: int) -> bool:
    """Say whether an answer is good enough to stop at; None stands for an invalid reply."""
    return answer is not None and answer.confidence >= threshold


def _rated(confidence: int, text: str = "Paris") -> Answer:
    return Answer(answer=text, confidence=confidence)


def _check_keep(answer: Any) -> str | None:
    high = _truth(calling(answer, _rated(5), 4), "confidence 5 at threshold 4")
    low = _truth(calling(answer, _rated(2), 4, none_ok=True), "confidence 2 at threshold 4")
    if not high and low:
        return "it is upside down: it says True where the cascade must escalate; True means keep"
    if not high:
        return "it escalates confidence 5 at threshold 4, which must be kept"
    if low:
        return "it keeps confidence 2 at threshold 4, which must escalate"
    if not _truth(calling(answer, _rated(4), 4, none_ok=True), "confidence 4 at threshold 4"):
        return 'it escalates an answer exactly at the threshold; "4 or more is kept" needs >= and not >'
    if not _truth(calling(answer, _rated(3), 2, none_ok=True), "confidence 3 at threshold 2") or _truth(
        calling(answer, _rated(4), 5, none_ok=True), "confidence 4 at threshold 5"
    ):
        return "it does not follow the threshold it is given: look for a fixed 4 where `threshold` should stand"
    try:
        invalid = calling(answer, None, 4, none_ok=True)
    except NotYet as error:
        return f"an invalid reply comes as None, which has no confidence ({error}); ask for None first"
    if _truth(invalid, "None, an invalid reply"):
        return "it keeps None; an invalid reply answers nothing, so it must escalate"
    return None


def _above_only(answer: Answer | None, threshold: int) -> bool:
    return answer is not None and answer.confidence > threshold


def _fixed_four(answer: Answer | None, threshold: int) -> bool:
    return answer is not None and answer.confidence >= 4


def _forgets_invalid(answer: Any, threshold: int) -> bool:
    return bool(answer.confidence >= threshold)


def _keeps_invalid(answer: Answer | None, threshold: int) -> bool:
    return answer is None or answer.confidence >= threshold


def _upside_down(answer: Answer | None, threshold: int) -> bool:
    return answer is None or answer.confidence < threshold


# Exercise 2


def cascade(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    """Return the last valid answer and the USD of every tier that was asked."""
    answer, usd = None, 0.0
    for tier in tiers:
        said, cost = ask(tier, question)
        usd += cost
        if said is not None:
            answer = said
        if keep(said, threshold):
            break
    return answer, usd


_TIERS = ("small", "mid", "large")
_USD = {"small": 0.001, "mid": 0.02, "large": 0.3}
_QUESTION = "What is the capital of France?"
_WALKS: tuple[tuple[tuple[int | None, int | None, int | None], int], ...] = (
    ((5, 5, 5), 4),
    ((2, 4, 5), 4),
    ((3, 2, 2), 4),
    ((None, 5, 5), 4),
    ((1, 2, None), 4),
    ((None, None, None), 4),
    ((3, 5, 5), 3),
)


def _tier_answer(tier: str, rating: int | None) -> Answer | None:
    return None if rating is None else _rated(rating, f"answer of {tier}")


def _check_cascade(answer: Any) -> str | None:
    for position, (ratings, threshold) in enumerate(_WALKS):
        told = ", ".join(
            f"{tier} {'invalid' if rating is None else rating}" for tier, rating in zip(_TIERS, ratings, strict=True)
        )
        try:
            wrong = _walk_problem(answer, dict(zip(_TIERS, ratings, strict=True)), threshold, first=position == 0)
        except NotYet as error:
            if "must be a function" in str(error) or None not in ratings:
                raise
            return f"with confidences {told}, {error}; an invalid reply comes as None"
        if wrong:
            return f"with confidences {told} and threshold {threshold}, {wrong}"
    return None


def _walk_problem(answer: Any, ratings: dict[str, int | None], threshold: int, first: bool) -> str | None:
    asked: list[str] = []

    def ask(tier: Any, question: Any) -> tuple[Answer | None, float]:
        if tier == _QUESTION:
            raise NotYet("it called ask_tier with the question first: the tier comes first, then the question")
        if tier not in _TIERS:
            raise NotYet(
                f"it called ask_tier({shown(tier, 40)}, ...), which is not among the tiers it was given: {', '.join(_TIERS)}; walk over `tiers`"
            )
        asked.append(tier)
        return _tier_answer(tier, ratings[tier]), _USD[tier]

    got = calling(answer, _QUESTION, _TIERS, ask, threshold, none_ok=not first)
    if first and not asked and got == (None, 0.0):
        raise NotAttempted
    if not isinstance(got, tuple | list) or len(got) != 2:
        return f"it returned {shown(got, 40)}; return two things, the answer and the USD"
    stops = next((tier for tier in _TIERS if keep(_tier_answer(tier, ratings[tier]), threshold)), _TIERS[-1])
    must_ask = list(_TIERS[: _TIERS.index(stops) + 1])
    want, want_usd = cascade(_QUESTION, _TIERS, lambda tier, _: (_tier_answer(tier, ratings[tier]), _USD[tier]), threshold)
    if threshold != 4 and asked != must_ask:
        return "it does not stop where it should: compare with the threshold it is given, not with a fixed 4"
    return (
        _asked_problem(asked, must_ask)
        or _usd_problem(got[1], want_usd, must_ask, ratings)
        or _answer_problem(got[0], want, ratings)
    )


def _asked_problem(asked: list[str], must_ask: list[str]) -> str | None:
    if asked == must_ask:
        return None
    twice = next((tier for tier in asked if asked.count(tier) > 1), None)
    if twice:
        return f"it asks {twice} {asked.count(twice)} times and so pays {asked.count(twice)} times; call ask_tier once for each tier and keep both results"
    if asked[0] != must_ask[0]:
        return f"it begins with {asked[0]}; ask the tiers in the order they are given, the cheapest first"
    if len(asked) > len(must_ask):
        return (
            f"it goes on to {asked[len(must_ask)]} after {must_ask[-1]} gave an answer to keep; stop there, or the saving is gone"
        )
    if len(asked) < len(must_ask):
        return f"it does not ask {must_ask[len(asked)]}, although no answer before it may be kept"
    return f"it begins with {asked[0]}; ask the tiers in the order they are given, the cheapest first"


def _usd_problem(got: Any, want: float, must_ask: list[str], ratings: dict[str, int | None]) -> str | None:
    usd = number(got, "the second thing it returned, the USD,")
    if close(usd, want):
        return None
    valid = [tier for tier in must_ask if ratings[tier] is not None]
    if close(usd, sum(_USD[tier] for tier in valid)):
        return "the invalid reply is not charged; the provider bills its tokens whether you can use them or not"
    if close(usd, sum(_USD[tier] for tier in must_ask[:-1])):
        return "the last tier that was asked is not charged; pay before you decide whether to stop"
    if len(must_ask) > 1 and close(usd, _USD[(valid or must_ask)[-1]]):
        return "only the winner is charged; every tier that was asked has to be paid, the losing ones too"
    return f"the bill is {want:.8g} USD and not {usd:.8g}"


def _answer_problem(got: Any, want: Answer | None, ratings: dict[str, int | None]) -> str | None:
    if got == want:
        return None
    if isinstance(got, str):
        return "the first thing it returned is a text; return the whole answer, which holds the confidence too"
    if want is None:
        return f"it returned {shown(got, 40)} as the answer, but no tier gave one; return None"
    if got is None and ratings["large"] is None:
        return "the invalid reply of the last tier wipes out the answer of the tier before it; the last valid answer counts"
    if got is None:
        return "it has no answer when no tier is sure; the last tier's answer is final, sure or not"
    rated = [rating for rating in ratings.values() if rating is not None]
    if isinstance(got, Answer) and got.confidence == max(rated) > want.confidence:
        return "it returns the most confident answer; different models' confidences cannot be compared, so the last tier's answer counts"
    return f"the answer is the {want.answer} and not {shown(got, 60)}"


def _winner_only(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    answer, usd = None, 0.0
    for tier in tiers:
        said, usd = ask(tier, question)
        answer = said or answer
        if keep(said, threshold):
            break
    return answer, usd


def _asks_everyone(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    said = [ask(tier, question) for tier in tiers]
    kept = [answer for answer, _ in said if keep(answer, threshold)]
    return (kept[0] if kept else said[-1][0]), sum(cost for _, cost in said)


def _invalid_is_free(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    answer, usd = None, 0.0
    for tier in tiers:
        said, cost = ask(tier, question)
        if said is None:
            continue
        answer, usd = said, usd + cost
        if keep(said, threshold):
            break
    return answer, usd


def _nothing_if_unsure(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    usd = 0.0
    for tier in tiers:
        said, cost = ask(tier, question)
        usd += cost
        if keep(said, threshold):
            return said, usd
    return None, usd


def _last_reply_counts(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    answer, usd = None, 0.0
    for tier in tiers:
        answer, cost = ask(tier, question)
        usd += cost
        if keep(answer, threshold):
            break
    return answer, usd


def _most_confident(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    best, usd = None, 0.0
    for tier in tiers:
        said, cost = ask(tier, question)
        usd += cost
        if said is not None and (best is None or said.confidence > best.confidence):
            best = said
        if keep(said, threshold):
            break
    return best, usd


def _fixed_threshold(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    return cascade(question, tiers, ask, 4)


def _strongest_first(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    return cascade(question, tiers[::-1], ask, threshold)


def _asks_twice(question: Any, tiers: Sequence[str], ask: AskTier, threshold: int) -> Walked:
    answer, usd = None, 0.0
    for tier in tiers:
        usd += ask(tier, question)[1]
        answer = ask(tier, question)[0] or answer
        if keep(answer, threshold):
            break
    return answer, usd


def _falls_over_invalid(question: Any, tiers: Sequence[str], ask: Callable[[str, Any], Any], threshold: int) -> Walked:
    answer, usd = None, 0.0
    for tier in tiers:
        answer, cost = ask(tier, question)
        usd += cost
        if answer.confidence >= threshold:
            break
    return answer, usd


# Exercise 3


def break_even(cheap: float, strong: float, gate: float) -> float:
    """Return the share of items that may escalate before a two-tier cascade costs as much as always asking the strong model."""
    return 1 - (cheap + gate) / strong


def _check_break_even(answer: Any) -> str | None:
    for cheap, strong, gate in ((0.002, 0.01, 0.001), (0.0001, 0.008, 0.0)):
        got = number(calling(answer, cheap, strong, gate), "its result")
        want = break_even(cheap, strong, gate)
        if close(got, want):
            continue
        mistakes = (
            (
                1 - want,
                "that is what the first tier and the gate cost, as a share of the strong model; the rest, up to 1, may escalate",
            ),
            (1 - cheap / strong, "the gate is left out; a judge or a router between the tiers is paid for every item"),
            (
                1 - (cheap - gate) / strong,
                "the gate makes it cheaper, so a sign is wrong: the gate is a cost like the first tier's",
            ),
            (
                1.0,
                "it ignores that an escalated item pays the first tier too: the cascade costs cheap + gate + e * strong, with no (1 - e)",
            ),
            (
                1 - gate / (strong - cheap),
                "it charges an escalated item only the strong model, but it has paid the first tier too: cheap + gate + e * strong, with no (1 - e)",
            ),
            (1 - cheap + gate / strong, "only the gate is divided by the strong model's cost; put cheap + gate in brackets"),
            (1 - strong / (cheap + gate), "the fraction is upside down; divide by what you compare with, the strong model"),
            (100 * want, "it is a percentage; give a share between 0 and 1"),
            (
                (strong - cheap - gate) / cheap,
                "it divides by the first tier's cost; the share is of what you compare with, the strong model's",
            ),
            (
                strong / (cheap + gate),
                "it says how many times as much the strong model costs; the share that may escalate is what the rest of its cost buys",
            ),
            ((strong - cheap) / (strong + gate), "it charges the gate only on escalated items; the gate looks at every item"),
            (
                1 - cheap / strong + gate,
                "the gate is not divided by the strong model's cost, and is added; put cheap + gate in brackets",
            ),
            ((cheap + gate) / (strong - cheap), "it divides by the gap in price; solve cheap + gate + e * strong = strong for e"),
            *((round(want, digits), "it is rounded: round when you print, not when you compute") for digits in (1, 2, 3)),
            (strong - cheap - gate, "it is an amount in USD; divide by the strong model's cost to make it a share"),
            (
                1 - (cheap + gate) / (cheap + gate + strong),
                "it divides by all costs together; the comparison is with the strong model alone",
            ),
        )
        found = next((says for value, says in mistakes if close(got, value)), None)
        return found or f"with {cheap} USD, {strong} USD and a gate of {gate} USD the share is {want:.6g} and not {got:.6g}"
    if number(calling(answer, 0.002, 0.01, 0.01), "its result") > 0:
        return "with a gate as expensive as the strong model the result is above 0, but this cascade never pays: it must be zero or less"
    return None


def _not_subtracted(cheap: float, strong: float, gate: float) -> float:
    return (cheap + gate) / strong


def _without_gate(cheap: float, strong: float, gate: float) -> float:
    return 1 - cheap / strong


def _either_or(cheap: float, strong: float, gate: float) -> float:
    return (strong - cheap) / (strong - cheap)


def _fraction_upside_down(cheap: float, strong: float, gate: float) -> float:
    return 1 - strong / (cheap + gate)


def _without_sign(cheap: float, strong: float, gate: float) -> float:
    return abs(break_even(cheap, strong, gate))


def _over_cheap(cheap: float, strong: float, gate: float) -> float:
    return (strong - cheap - gate) / cheap


def _gate_on_escalated(cheap: float, strong: float, gate: float) -> float:
    return (strong - cheap) / (strong + gate)


def _rounded_share(cheap: float, strong: float, gate: float) -> float:
    return round(break_even(cheap, strong, gate), 2)


def _as_percentage(cheap: float, strong: float, gate: float) -> float:
    return 100 * break_even(cheap, strong, gate)


# Exercise 4


def escalates(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    """Say whether a decision goes on to the next tier: unsure, high stakes, or in a category that always does."""
    unsure = decision.confidence < 0.7
    stakes = decision.priority in ("P0", "P1") or decision.needs_human
    return unsure or stakes or decision.category in categories


def _decision(
    confidence: float = 0.9, priority: str = "P3", category: str = "billing", needs_human: bool = False
) -> RoutingDecision:
    return RoutingDecision.model_validate(
        {
            "ticket_id": "S-01",
            "category": category,
            "priority": priority,
            "confidence": confidence,
            "reasoning": "",
            "needs_human": needs_human,
        }
    )


_RULES: tuple[tuple[RoutingDecision, tuple[str, ...], str], ...] = (
    (
        _decision(confidence=0.4),
        (),
        "it keeps a decision with confidence 0.4; below 0.7 alone is reason enough: the rules are joined by or, not by and",
    ),
    (_decision(priority="P0"), (), "it keeps a P0 stated with confidence 0.9: high stakes escalate however sure the model is"),
    (_decision(priority="P1"), (), "it keeps a P1; the rule names P0 and P1"),
    (_decision(needs_human=True), (), "it keeps a decision that says needs_human; that alone escalates"),
    (_decision(confidence=0.7), (), "it escalates confidence 0.7; exactly at the threshold is kept, so the test is < and not <="),
    (_decision(category="abuse"), ("abuse",), "it keeps a decision in one of the categories it was given"),
    (
        _decision(category="abuse"),
        (),
        "it escalates a category although no categories were given: look at `categories`, not at a list of your own",
    ),
    (
        _decision(category="bug_report"),
        ("abuse", "integration"),
        "it escalates every category as soon as there is a list: is this decision's category on it?",
    ),
)


def _check_escalates(answer: Any) -> str | None:
    plain = "P3, confidence 0.9, nobody needed"
    if _truth(calling(answer, _decision(), ()), plain):
        if not _truth(calling(answer, _decision(priority="P0"), (), none_ok=True), "a P0"):
            return "it is upside down: it says True for a decision that may be kept; True means escalate"
        if not _truth(calling(answer, _decision(confidence=0.4), (), none_ok=True), "confidence 0.4"):
            return "it escalates confidence 0.9 and keeps 0.4: the comparison with 0.7 is the wrong way round"
        if not _truth(calling(answer, _decision(), ("billing",), none_ok=True), "a category that was given"):
            return "it escalates a category that is not among `categories` and keeps one that is: use `in` and not `not in`"
        return (
            f'it escalates everything, even {plain}; if you wrote `priority == "P0" or "P1"`, that is always true, as a text that is not '
            'empty counts as true: write `priority in ("P0", "P1")`; and the confidence of a ticket runs from 0 to 1, not to 5'
        )
    if _truth(calling(answer, _decision(priority="P2"), (), none_ok=True), "a P2"):
        return "it escalates a P2; the rule names P0 and P1 only"
    for decision, categories, says in _RULES:
        if _truth(calling(answer, decision, categories, none_ok=True), "one of the cases") != escalates(decision, categories):
            return says
    return None


def _joined_by_and(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return (
        decision.confidence < 0.7 and (decision.priority in ("P0", "P1") or decision.needs_human)
    ) or decision.category in categories


def _confidence_alone(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return decision.confidence < 0.7 or decision.category in categories


def _always_true(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return bool(decision.confidence < 0.7 or decision.priority == "P0" or "P1" or decision.needs_human)  # noqa: SIM222  # the mistake itself


def _confident_escalates(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return (
        decision.confidence > 0.7 or decision.priority in ("P0", "P1") or decision.needs_human or decision.category in categories
    )


def _says_when_to_keep(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return not escalates(decision, categories)


def _at_threshold(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return escalates(decision, categories) or decision.confidence <= 0.7


def _p0_only(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return decision.confidence < 0.7 or decision.priority == "P0" or decision.needs_human or decision.category in categories


def _no_categories(decision: RoutingDecision, categories: Sequence[str]) -> bool:
    return escalates(decision, ())


# Exercise 5

Bill = tuple[float, float]


def judge_bill(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    """Return what a judge costs in USD per ticket, and the share of tickets that may escalate before the cascade stops paying."""
    call = (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1_000_000
    return rate * call, break_even(cheap, strong, rate * call)


_JUDGE = Usage(800, 40)
_JUDGE_PRICE = Price.model_validate(
    {"input": 3.0, "output": 15.0, "basis": "list", "source": "made up", "checked_on": "2026-01-01"}
)
_CHEAP, _STRONG = 0.0001, 0.008


def _check_judge_bill(answer: Any) -> str | None:
    for rate in (0.25, 1.0):
        got = calling(answer, _JUDGE, _JUDGE_PRICE, rate, _CHEAP, _STRONG)
        if not isinstance(got, tuple | list) or len(got) != 2:
            return f"it returned {shown(got, 40)}; return two things, the USD per ticket and the break-even"
        usd, share = (
            number(got[0], "the first thing it returned, the USD per ticket,"),
            number(got[1], "the second thing it returned, the break-even,"),
        )
        want, want_share = judge_bill(_JUDGE, _JUDGE_PRICE, rate, _CHEAP, _STRONG)
        if close(usd, want_share) and close(share, want):
            return "the two results are in the wrong order: first the USD per ticket, then the break-even"
        wrong = _usd_per_ticket_problem(usd, want, rate) or _share_problem(share, want_share, want, rate)
        if wrong:
            return wrong
    if number(calling(answer, _JUDGE, _JUDGE_PRICE, 1.0, _CHEAP, _CHEAP)[1], "the break-even") >= 0:
        return "with a strong tier no dearer than the first one the break-even is not below 0; leave the sign, it says that the cascade never pays"
    return None


def _usd_per_ticket_problem(got: float, want: float, rate: float) -> str | None:
    call = want / rate
    used_in, used_out = _JUDGE.input_tokens, _JUDGE.output_tokens
    swapped = rate * (used_in * _JUDGE_PRICE.output + used_out * _JUDGE_PRICE.input) / 1_000_000
    all_tokens = rate * (used_in + used_out) / 1_000_000
    mistakes = (
        (want * 1_000_000, "the bill is a million times too high: prices are per million tokens"),
        (want * 1_000, "the bill is a thousand times too high: prices are per million tokens, not per thousand"),
        (call * 1_000_000, "the bill is a million times too high, and leaves out the rate: prices are per million tokens, and only a share of the tickets is judged"),
        (call, "it is the price of one judge call; only the share `rate` of the tickets is judged, so a ticket costs that share of a call on average"),
        (call / rate, "it divides by the rate; fewer judged tickets must make the bill smaller, so multiply"),
        (swapped, "the two prices are swapped: input tokens cost price.input, output tokens price.output"),
        (all_tokens * _JUDGE_PRICE.input, "output tokens have a price of their own, price.output"),
        (call * (1 - rate), "it charges the tickets that are not judged; `rate` is the share that is"),
        (want / 100, "the rate is divided by 100; it is a share already, 0.25 and not 25"),
        (want + _CHEAP, "the first tier's cost is in it; the bill is the judge's alone"),
    )  # fmt: skip
    return diagnosed(
        got,
        want,
        mistakes,
        f"{used_in} tokens in and {used_out} out at {_JUDGE_PRICE.input:g} and {_JUDGE_PRICE.output:g} USD per million, rate {rate:g},",
    )


def _share_problem(got: float, want: float, bill: float, rate: float) -> str | None:
    mistakes = (
        (
            break_even(_CHEAP, _STRONG, 0),
            "the break-even leaves the judge out; hand its USD per ticket to break_even as the gate",
        ),
        (
            (_STRONG - _CHEAP) / (_STRONG + bill),
            "the break-even charges the judge only on escalated tickets; it grades the kept ones too, or nobody would know which to keep",
        ),
        (
            (_STRONG - _CHEAP - bill) / (_STRONG - bill),
            "the break-even charges the judge only on kept tickets; it has graded the escalated ones too, that is why they escalate",
        ),
        (
            break_even(_CHEAP, _STRONG, bill / rate),
            "the break-even charges a judge call on every ticket, but only the share `rate` is judged",
        ),
        (break_even(_CHEAP, _STRONG, 2 * bill), "the judge is in the break-even twice; hand it over once, as the gate"),
        (break_even(_STRONG, _CHEAP, bill), "cheap and strong are swapped in the call of break_even"),
        (1 - want, "the second result is the share that the first tier and the judge cost; the rest, up to 1, may escalate"),
        (100 * want, "the break-even is a percentage; give a share"),
    )
    return diagnosed(got, want, mistakes, f"the break-even at rate {rate:g}")


def _call_usd(usage: Usage, price: Price) -> float:
    return (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1_000_000


def _on_escalations_only(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = rate * _call_usd(usage, price)
    return bill, (strong - cheap) / (strong + bill)


def _on_kept_only(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = rate * _call_usd(usage, price)
    return bill, (strong - cheap - bill) / (strong - bill)


def _not_per_million(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = rate * (usage.input_tokens * price.input + usage.output_tokens * price.output)
    return bill, break_even(cheap, strong, bill)


def _every_ticket_judged(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = _call_usd(usage, price)
    return bill, break_even(cheap, strong, bill)


def _rate_only_in_bill(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = _call_usd(usage, price)
    return rate * bill, break_even(cheap, strong, bill)


def _break_even_without_judge(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    return rate * _call_usd(usage, price), break_even(cheap, strong, 0)


def _the_other_share(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = (1 - rate) * _call_usd(usage, price)
    return bill, break_even(cheap, strong, bill)


def _sign_lost(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    usd, share = judge_bill(usage, price, rate, cheap, strong)
    return usd, max(share, 0.0)


def _divides_by_rate(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = _call_usd(usage, price) / rate
    return bill, break_even(cheap, strong, bill)


def _input_price_for_all(usage: Usage, price: Price, rate: float, cheap: float, strong: float) -> Bill:
    bill = rate * (usage.input_tokens + usage.output_tokens) * price.input / 1_000_000
    return bill, break_even(cheap, strong, bill)


# Exercise 6


def on_failure(kind: str, answered: bool) -> str:
    """Return what happens to a ticket whose call failed for good: "escalate", "stop" (back to the queue) or "keep" (the answer at hand stands)."""
    if answered:
        return "keep"
    return "escalate" if kind in ("server", "read_timeout") else "stop"


_DIRECTIONS = ("escalate", "stop", "keep")
_FAILURES: tuple[tuple[str, bool, str], ...] = (
    (
        "throttled", False,
        "it escalates a throttled ticket: a quota of the cheap tier that refills by itself becomes a bill of the strong one, for as long as it lasts; "
        "the ticket can wait in the queue",
    ),
    ("server", False, "it stops when the first tier is down: that may last for hours, and the next tier can answer now"),
    ("read_timeout", False, "it stops when the first tier does not answer in time; that tier is down for this ticket, and the next one can answer now"),
    ("validation", False, "it escalates a request that is wrong: the strong tier may answer it, and nobody sees the mistake, only its bill"),
    ("access", False, "it escalates when access is missing: every ticket then goes to the strong tier, and nobody sees why"),
    ("server", True, "it gives up or goes on although an earlier tier answered; a valid answer at hand is better than none, so keep it"),
    ("throttled", True, "it does not keep a valid answer when a later tier is throttled; the answer at hand stands"),
    ("validation", True, "it does not keep a valid answer when a later tier refuses; the answer at hand stands"),
)  # fmt: skip


def _direction(answer: Any, kind: str, answered: bool, none_ok: bool) -> str:
    case = f'("{kind}", {answered})'
    got = calling(answer, kind, answered, none_ok=none_ok)
    if got == "retry":
        raise NotYet(f'it returned "retry" for {case}, but the retries are over; say where the ticket goes now')
    if not isinstance(got, str) or got not in _DIRECTIONS:
        raise NotYet(f'it returned {shown(got, 40)} for {case}; return "escalate", "stop" or "keep"')
    return got


def _check_on_failure(answer: Any) -> str | None:
    for position, (kind, answered, says) in enumerate(_FAILURES):
        got, want = _direction(answer, kind, answered, none_ok=position > 0), on_failure(kind, answered)
        if got == want:
            continue
        if got == "keep":
            return f'it keeps an answer for ("{kind}", {answered}), but no tier has answered yet: there is nothing to keep'
        return says
    return None


def _escalates_every_failure(kind: str, answered: bool) -> str:
    return "keep" if answered else "escalate"


def _escalates_what_may_be_retried(kind: str, answered: bool) -> str:
    if answered:
        return "keep"
    return "escalate" if kind in ("throttled", "server", "read_timeout") else "stop"


def _stops_at_every_failure(kind: str, answered: bool) -> str:
    return "keep" if answered else "stop"


def _ignores_the_answer(kind: str, answered: bool) -> str:
    return "escalate" if kind in ("server", "read_timeout") else "stop"


def _retries(kind: str, answered: bool) -> str:
    return "keep" if answered else "retry"


def _hides_mistakes(kind: str, answered: bool) -> str:
    if answered:
        return "keep"
    return "stop" if kind == "throttled" else "escalate"


def _keeps_nothing(kind: str, answered: bool) -> str:
    return "escalate" if kind in ("server", "read_timeout") and not answered else "keep"


def _later_throttle_stops(kind: str, answered: bool) -> str:
    if kind in ("server", "read_timeout"):
        return "keep" if answered else "escalate"
    return "stop"


# Exercise 7

Steps = Sequence[Step[RoutingDecision]]


def review_required(steps: Steps) -> bool:
    """Say whether any tier said that a person is needed; a step's answer is None if its reply was invalid."""
    return any(step.answer is not None and step.answer.needs_human for step in steps)


def _steps(*flags: bool | None) -> tuple[Step[RoutingDecision], ...]:
    tiers = ("nano", "sonnet")[: len(flags)]
    return tuple(
        Step(tier, None, None if flag is None else _decision(needs_human=flag)) for tier, flag in zip(tiers, flags, strict=True)
    )


def _check_review_required(answer: Any) -> str | None:
    if not _truth(calling(answer, _steps(True)), "one tier that raised the flag"):
        return "it misses a flag raised by the only tier, on a P3: the flag is needs_human, and not the priority"
    if _truth(calling(answer, _steps(False, False), none_ok=True), "two tiers without a flag"):
        return "it is True although no tier raised the flag"
    second = _truth(calling(answer, _steps(False, True), none_ok=True), "a flag from the second tier")
    first = _truth(calling(answer, _steps(True, False), none_ok=True), "a flag from the first tier")
    if not first and not second:
        return "it wants every tier to raise the flag; one tier that did is enough"
    if not second:
        return "it misses a flag that only the second tier raised; look at every step"
    if not first:
        return "the second tier takes back the first tier's flag; a safety flag, once raised, stays: any tier is enough"
    for flags, want in (((None, True), True), ((True, None), True), ((None, False), False), ((None, None), False)):
        try:
            got = calling(answer, _steps(*flags), none_ok=True)
        except NotYet as error:
            return f"a step whose reply was invalid has the answer None ({error}); skip it"
        if _truth(got, "a step without a valid answer") != want:
            return f"with an invalid reply among the steps it is {got} where it should be {want}: an invalid reply raises no flag and takes none back"
    return None


def _final_only(steps: Steps) -> bool:
    last = steps[-1].answer
    return last is not None and last.needs_human


def _every_tier(steps: Steps) -> bool:
    return all(step.answer is None or step.answer.needs_human for step in steps)


def _first_only(steps: Steps) -> bool:
    first = steps[0].answer
    return first is not None and first.needs_human


def _falls_over_none(steps: Any) -> bool:
    return any(step.answer.needs_human for step in steps)


def _by_priority(steps: Steps) -> bool:
    return any(step.answer is not None and step.answer.priority in ("P0", "P1") for step in steps)


# Exercise 8

Pairs = Sequence[tuple[str, str]]


def fit_list(pairs: Pairs) -> set[str]:
    """Return the categories given by the cheap model in which the strong one said something else at least once."""
    return {cheap for cheap, strong in pairs if cheap != strong}


_PAIRS: tuple[tuple[str, str], ...] = (
    ("billing", "billing"),
    ("other", "integration"),
    ("other", "other"),
    ("performance", "bug_report"),
    ("performance", "performance"),
    ("performance", "performance"),
    ("integration", "bug_report"),
    ("auth", "auth"),
    ("other", "feature_request"),
)


def _check_fit_list(answer: Any) -> str | None:
    got = calling(answer, list(_PAIRS))
    if isinstance(got, str | bytes) or not isinstance(got, Iterable):
        return f"it returned {shown(got, 40)}, but must return the categories, as a set or a list"
    items = list(got)
    if any(isinstance(item, tuple | list) for item in items):
        return "it returns whole pairs; a gate needs categories"
    if not all(isinstance(item, str) for item in items):
        return f"it returned {shown(items, 60)}, but categories are texts"
    found, want = set(items), fit_list(_PAIRS)
    if found == want:
        again = calling(answer, [("abuse", "abuse"), ("auth", "abuse")])
        return (
            None
            if set(again) == {"auth"}
            else f"for other pairs it returns {shown(sorted(map(str, again)), 60)} and not ['auth']; compute it from `pairs`"
        )
    strong = {strong for cheap, strong in _PAIRS if cheap != strong}
    if found == strong:
        return "these are the strong model's categories; the gate runs before the strong model is asked and sees the cheap one's answer only"
    if found == want | strong:
        return "it takes both models' categories; the gate sees the cheap one's only"
    if found == {cheap for cheap, _ in _PAIRS}:
        return "it takes every category, also those where the two never disagreed"
    if found == {cheap for cheap, strong in _PAIRS if cheap == strong}:
        return "these are the categories where the two agree; escalate where they do not"
    if found and found < want:
        return f"it leaves out {', '.join(sorted(want - found))}; disagreeing once is enough to be on the list, however often the two agreed there"
    return f"it returned {', '.join(sorted(found)) or 'nothing'} and not {', '.join(sorted(want))}"


def _strong_categories(pairs: Pairs) -> set[str]:
    return {strong for cheap, strong in pairs if cheap != strong}


def _both_categories(pairs: Pairs) -> set[str]:
    return {category for pair in pairs if pair[0] != pair[1] for category in pair}


def _all_categories(pairs: Pairs) -> set[str]:
    return {cheap for cheap, _ in pairs}


def _mostly_disagree(pairs: Pairs) -> set[str]:
    return {name for name, _ in pairs if mean(cheap != strong for cheap, strong in pairs if cheap == name) >= 0.5}


def _whole_pairs(pairs: Pairs) -> list[tuple[str, str]]:
    return [pair for pair in pairs if pair[0] != pair[1]]


def _where_they_agree(pairs: Pairs) -> set[str]:
    return {cheap for cheap, strong in pairs if cheap == strong}


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        id="ex1",
        title="Keep or escalate",
        minutes=3,
        level="core",
        objective="Decide whether an answer is kept or the next tier is asked, invalid replies included.",
        hints=(
            "Two things make a cascade go on: the reply is no answer at all, or its confidence is too low.",
            "Ask about None first; only what is not None has a confidence.",
            "The rule says: this much or more is kept. Which comparison also holds when both sides are equal?",
        ),
        reference=keep,
        check=_check_keep,
        wrong=(
            Wrong("> instead of >=", _above_only, "exactly at the threshold"),
            Wrong("a fixed 4", _fixed_four, "does not follow the threshold"),
            Wrong("falls over an invalid reply", _forgets_invalid, "has no confidence"),
            Wrong("keeps an invalid reply", _keeps_invalid, "keeps None"),
            Wrong("says when to escalate", _upside_down, "upside down"),
        ),
    ),
    Exercise(
        id="ex2",
        title="Walk the tiers and charge them all",
        minutes=6,
        level="core",
        objective="Build a cascade over any number of tiers that returns the last valid answer and the cost of every tier it asked.",
        hints=(
            "One loop over the tiers. In each round: ask, pay, remember the answer, and stop if it may be kept.",
            "Paying comes before deciding. The provider does not care whether you liked the reply.",
            "Remember an answer only if it is one. An invalid reply must not erase what an earlier tier said.",
            "After the loop, return what you remembered: when nobody was sure, that is the last tier's answer.",
        ),
        reference=cascade,
        check=_check_cascade,
        wrong=(
            Wrong("charges the winner only", _winner_only, "only the winner is charged"),
            Wrong("asks every tier first", _asks_everyone, "stop there, or the saving is gone"),
            Wrong("an invalid reply is free", _invalid_is_free, "the invalid reply is not charged"),
            Wrong("no answer when nobody is sure", _nothing_if_unsure, "no answer when no tier is sure"),
            Wrong("the last reply wins, valid or not", _last_reply_counts, "wipes out the answer"),
            Wrong("the most confident answer wins", _most_confident, "cannot be compared"),
            Wrong("a fixed 4 for the threshold", _fixed_threshold, "a fixed 4"),
            Wrong("begins with the strongest", _strongest_first, "in the order they are given"),
            Wrong("asks each tier twice", _asks_twice, "pays 2 times"),
            Wrong("falls over an invalid reply", _falls_over_invalid, "an invalid reply comes as None"),
        ),
    ),
    Exercise(
        id="ex3",
        title="When it stops paying",
        minutes=4,
        level="core",
        objective="Compute the escalation rate at which a cascade costs as much as always asking the strong model.",
        hints=(
            "Write down what one item costs on average: which parts does every item pay, and which part only the escalated share e?",
            "Every item pays the first tier and the gate. The share e pays the strong model on top.",
            "Set cheap + gate + e * strong equal to strong, and solve for e.",
        ),
        reference=break_even,
        check=_check_break_even,
        wrong=(
            Wrong("does not subtract from 1", _not_subtracted, "may escalate"),
            Wrong("forgets the gate", _without_gate, "the gate is left out"),
            Wrong("charges an escalated item the strong tier only", _either_or, "pays the first tier too"),
            Wrong("fraction upside down", _fraction_upside_down, "fraction is upside down"),
            Wrong("hides a negative result", _without_sign, "zero or less"),
            Wrong("a percentage", _as_percentage, "percentage"),
            Wrong("divides by the cheap tier", _over_cheap, "divides by the first tier's cost"),
            Wrong("the gate on escalated items only", _gate_on_escalated, "the gate looks at every item"),
            Wrong("rounds", _rounded_share, "it is rounded"),
        ),
    ),
    Exercise(
        id="ex4",
        title="The rules for tickets",
        minutes=4,
        level="core",
        objective="Write the documented escalation rules for tickets: unsure, high stakes, or a category that always goes on.",
        hints=(
            "There are three kinds of reasons, and any single one is enough.",
            "Stakes have two sides: the priority the model gave, and its flag that a person is needed.",
            'To ask whether a value is one of several, use `in`; `x == "a" or "b"` means something else.',
        ),
        reference=escalates,
        check=_check_escalates,
        wrong=(
            Wrong("joins the rules by and", _joined_by_and, "joined by or"),
            Wrong("confidence is the only rule", _confidence_alone, "however sure the model is"),
            Wrong('priority == "P0" or "P1"', _always_true, "escalates everything"),
            Wrong("> instead of <", _confident_escalates, "wrong way round"),
            Wrong("says when to keep", _says_when_to_keep, "upside down"),
            Wrong("<= at the threshold", _at_threshold, "exactly at the threshold"),
            Wrong("P0 only", _p0_only, "keeps a P1"),
            Wrong("ignores the categories", _no_categories, "categories it was given"),
        ),
    ),
    Exercise(
        id="ex5",
        title="The judge's bill",
        minutes=4,
        level="core",
        objective="Compute what a judge costs per ticket at a sampling rate, and the break-even that includes it.",
        hints=(
            "First one judge call in USD, from its tokens and the two prices. You did this in lab 01.",
            "Of 100 tickets, rate times 100 are judged. What does one ticket cost on average then?",
            "The judge speaks before anybody knows whether the ticket is kept or escalates. Which of the two kinds pay for it?",
            "For break_even the judge is the gate, in USD per ticket.",
        ),
        reference=judge_bill,
        check=_check_judge_bill,
        wrong=(
            Wrong("charges the judge only on escalations", _on_escalations_only, "it grades the kept ones too"),
            Wrong("charges the judge only on kept tickets", _on_kept_only, "only on kept tickets"),
            Wrong("forgets that prices are per million", _not_per_million, "prices are per million tokens"),
            Wrong("every ticket judged, whatever the rate", _every_ticket_judged, "only the share `rate`"),
            Wrong("the rate in the bill only", _rate_only_in_bill, "a judge call on every ticket"),
            Wrong("the break-even without the judge", _break_even_without_judge, "leaves the judge out"),
            Wrong("charges the tickets not judged", _the_other_share, "not judged"),
            Wrong("hides a negative break-even", _sign_lost, "leave the sign"),
            Wrong("divides by the rate", _divides_by_rate, "divides by the rate"),
            Wrong("the input price for all tokens", _input_price_for_all, "a price of their own"),
        ),
    ),
    Exercise(
        id="ex6",
        title="When the first tier fails",
        minutes=3,
        level="core",
        objective="Choose what happens to a ticket when a tier fails, so that no quota turns into a bill and no mistake is hidden.",
        hints=(
            "Two questions decide: is there already a valid answer? And will waiting help?",
            "Think of an hour in which every ticket meets this failure. Who pays, and who notices?",
            "A quota refills by itself. A tier that is down may stay down. A wrong request stays wrong on every tier.",
        ),
        reference=on_failure,
        check=_check_on_failure,
        wrong=(
            Wrong("escalates whatever fails", _escalates_every_failure, "becomes a bill of the strong one"),
            Wrong("treats throttled like down", _escalates_what_may_be_retried, "the ticket can wait in the queue"),
            Wrong("stops at every failure", _stops_at_every_failure, "the next tier can answer now"),
            Wrong("ignores the answer at hand", _ignores_the_answer, "a valid answer at hand is better than none"),
            Wrong("escalates a wrong request", _hides_mistakes, "nobody sees the mistake"),
            Wrong("keeps although nobody answered", _keeps_nothing, "there is nothing to keep"),
            Wrong("retries once more", _retries, "the retries are over"),
            Wrong("a later throttle throws the answer away", _later_throttle_stops, "does not keep a valid answer"),
        ),
    ),
    Exercise(
        id="ex7",
        title="A safety flag stays raised",
        minutes=3,
        level="stretch",
        objective="Accumulate the safety flag over all tiers, so that a later tier cannot take it back.",
        hints=(
            "Two tiers disagree on whether a person must look. Which mistake is worse: one look too many, or one too few?",
            "The question is not what the final answer says, but whether anyone on the way said it.",
            "A step's answer is None if its reply was invalid. Such a step says nothing either way.",
        ),
        reference=review_required,
        check=_check_review_required,
        wrong=(
            Wrong("the final answer's flag only", _final_only, "takes back the first tier's flag"),
            Wrong("all tiers must agree", _every_tier, "wants every tier"),
            Wrong("the first tier's flag only", _first_only, "only the second tier raised"),
            Wrong("falls over an invalid reply", _falls_over_none, "skip it"),
            Wrong("goes by the priority", _by_priority, "not the priority"),
        ),
    ),
    Exercise(
        id="ex8",
        title="Fit the list yourself",
        minutes=5,
        level="stretch",
        objective="Fit a category list to past disagreements and measure it on tickets it was not fitted on.",
        hints=(
            "At the moment the gate decides, only one of the two models has answered. Whose category can a list be about?",
            "A pair counts if its two categories differ. From such a pair, keep the category the gate will see.",
            "A category belongs on the list once, however often the two disagreed there: a set does that.",
        ),
        reference=fit_list,
        check=_check_fit_list,
        wrong=(
            Wrong("takes the strong model's category", _strong_categories, "before the strong model is asked"),
            Wrong("takes both categories", _both_categories, "both models"),
            Wrong("takes every category", _all_categories, "never disagreed"),
            Wrong("takes where they mostly disagree", _mostly_disagree, "disagreeing once is enough"),
            Wrong("returns pairs", _whole_pairs, "whole pairs"),
            Wrong("takes where they agree", _where_they_agree, "where the two agree"),
        ),
    ),
)
