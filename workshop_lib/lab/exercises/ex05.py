"""Exercises of lab 05: a harness with faults, overlapping intervals, the random baseline, the gap, parity, a paired test, and numbers without a source."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from workshop_lib.evaluation.intervals import newcombe
from workshop_lib.evaluation.metrics import mcnemar_exact, performance_gap_recovered, wilson
from workshop_lib.lab.checking import NotAttempted, NotYet, calling, close, diagnosed, number, shown
from workshop_lib.lab.exercise import Exercise, Wrong

Said = tuple[float, str]
Result = tuple[int, int]


def _percentage(share: float) -> Said:
    return 100 * share, "it is a percentage; give the share, such as 0.8"


# Exercise 1

Decision = Mapping[str, Any]
Report = dict[str, dict[str, float]]
AskModel = Callable[[str, str], Mapping[str, Any]]
_ARMS = ("nano", "sonnet", "cascade")


def as_found(ids: Sequence[str], gold: Mapping[str, Decision], ask: AskModel) -> Report:
    """Return for each arm its share of right decisions and its USD a ticket."""
    nano = {ticket: ask("nano", ticket) for ticket in ids}
    sonnet = {ticket: ask("sonnet", ticket) for ticket in ids}
    cascade = {}
    for ticket in ids:
        reply = ask("nano", ticket)
        if reply["decision"] is None or reply["confidence"] < 0.7:
            reply = sonnet[ticket]
        cascade[ticket] = reply
    report = {}
    for arm, replies in {"nano": nano, "sonnet": sonnet, "cascade": cascade}.items():
        done = {ticket: reply for ticket, reply in replies.items() if reply["decision"] is not None}
        right = [reply["decision"]["category"] == gold[ticket]["category"] for ticket, reply in done.items()]
        usd = [reply["usd"] for reply in done.values()]
        report[arm] = {"decisions": sum(right) / len(done), "usd": sum(usd) / len(done)}
    return report


def repaired(ids: Sequence[str], gold: Mapping[str, Decision], ask: AskModel) -> Report:
    """Return the same over all tickets, from one reply a model and ticket, with every call charged and whole decisions compared."""
    nano = {ticket: ask("nano", ticket) for ticket in ids}
    sonnet = {ticket: ask("sonnet", ticket) for ticket in ids}
    cascade = {}
    for ticket in ids:
        reply = nano[ticket]
        if reply["decision"] is None or reply["confidence"] < 0.7:
            reply = {**sonnet[ticket], "usd": nano[ticket]["usd"] + sonnet[ticket]["usd"]}
        cascade[ticket] = reply
    report = {}
    for arm, replies in {"nano": nano, "sonnet": sonnet, "cascade": cascade}.items():
        right = [reply["decision"] == gold[ticket] for ticket, reply in replies.items()]
        usd = [reply["usd"] for reply in replies.values()]
        report[arm] = {"decisions": sum(right) / len(ids), "usd": sum(usd) / len(ids)}
    return report


_LABEL = {"category": "auth", "priority": "P2", "needs_human": False}
_OTHER = {"category": "billing", "priority": "P1", "needs_human": True}
_MISPRICED = {**_LABEL, "priority": "P3"}
_UNFLAGGED = {**_LABEL, "needs_human": True}
_MISFILED = {**_OTHER, "needs_human": False}
Told = tuple[Decision | None, float, float]
_NANO_USD, _SONNET_USD = 0.001, 0.020


def _told(decision: Decision | None, confidence: float = 0.9, usd: float = _NANO_USD) -> Told:
    return decision, confidence, usd


@dataclass(frozen=True)
class _Case:
    """Fixed replies of both models to tickets T1, T2, ...; a further call of Nano brings `again` where it is given."""

    nano: tuple[Told, ...]
    sonnet: tuple[Decision | None, ...]
    again: tuple[Told, ...] = ()

    @property
    def ids(self) -> list[str]:
        return [f"T{number}" for number in range(1, len(self.nano) + 1)]

    def run(self, harness: Any, calls: Counter[tuple[str, str]]) -> Any:
        """Call a harness on these replies and count its calls by model and ticket."""

        def ask(model: str, ticket: str) -> dict[str, Any]:
            if model not in ("nano", "sonnet") or ticket not in self.ids:
                raise KeyError(f"no model {model!r} or no ticket {ticket!r}; ask 'nano' or 'sonnet' for an id from `ids`")
            calls[model, ticket] += 1
            at = self.ids.index(ticket)
            if model == "sonnet":
                decision, confidence, usd = self.sonnet[at], 0.9, _SONNET_USD
            else:
                decision, confidence, usd = (self.again if self.again and calls[model, ticket] > 1 else self.nano)[at]
            return {"decision": None if decision is None else dict(decision), "confidence": confidence, "usd": usd}

        return calling(harness, self.ids, {ticket: dict(_LABEL) for ticket in self.ids}, ask)


_FIVE_SONNET = (_LABEL, _LABEL, _OTHER, _LABEL, _LABEL)
# Nothing but failures can go wrong for Nano alone: the category is right exactly where the whole decision is.
_FAILURES = _Case((_told(_LABEL), _told(_LABEL), _told(None, 0.0, 0.006), _told(_OTHER, usd=0.004), _told(None, 0.0, 0.006)), _FIVE_SONNET)
# No failure; 3 of 8 decisions are right, 6 categories, 16 of 24 fields. Tickets 2 and 7 escalate, and a second call brings the same.
_FIELDS = _Case(
    tuple(
        _told(decision, 0.5 if number in (2, 7) else 0.9)
        for number, decision in enumerate((_LABEL, _MISPRICED, _LABEL, _UNFLAGGED, _MISFILED, _MISPRICED, _OTHER, _LABEL), start=1)
    ),
    (_LABEL,) * 6 + (_OTHER, _LABEL),
)
_MIXED = _Case(
    # ticket 2 failed with a high confidence: it escalates because there is no decision
    (_told(_LABEL), _told(None, 0.9, 0.004), _told(_MISPRICED, 0.4), _told(_OTHER), _told(None, 0.0, 0.002), _told(_LABEL, 0.6)),
    (_LABEL, _LABEL, _UNFLAGGED, None, None, _LABEL),
    again=(_told(_OTHER, 0.3), _told(_LABEL), _told(_LABEL), _told(_LABEL), _told(_LABEL), _told(_LABEL)),
)


def _check_harness(answer: Any) -> str | None:
    calls: Counter[tuple[str, str]] = Counter()
    fields = _reported(_FIELDS, answer, calls)
    failures = _reported(_FAILURES, answer, Counter())
    still = {
        "denominators": _skipping(failures),
        "one reply": _asking_again(calls),
        "the bill": _losing_tier({arm: row["usd"] for arm, row in fields.items()}),
        "whole decisions": _fields_left(fields["nano"]["decisions"]),
    }
    left = {name: says for name, says in still.items() if says is not None}
    if len(left) == len(still) and _same_code(answer):
        raise NotAttempted
    if _same_replies(fields):
        return "the cascade changes Nano's own replies: `reply` is the same dict as nano[ticket], so put what escalates in a new one, such as {**sonnet[ticket], ...}"
    if left:
        fixed = [name for name in still if name not in left]
        return f"fixed: {', '.join(fixed) or 'nothing yet'}; still there: {'; '.join(left.values())}"
    return _otherwise(answer)


def _reported(case: _Case, answer: Any, calls: Counter[tuple[str, str]]) -> Report:
    try:
        got = case.run(answer, calls)
    except NotYet as error:
        if "'NoneType' object is not subscriptable" in str(error):
            raise NotYet(f"{error}; a failed call has None for a decision: compare the whole decision, or ask for None first") from error
        raise
    if not isinstance(got, Mapping) or not all(isinstance(got.get(arm), Mapping) and {"decisions", "usd"} <= set(got[arm]) for arm in _ARMS):
        raise NotYet(f"it returned {shown(got, 60)}, but must return the arms nano, sonnet and cascade, each with decisions and usd")
    return {arm: {key: number(got[arm][key], f"{key} of {arm}") for key in ("decisions", "usd")} for arm in _ARMS}


def _skipping(report: Report) -> str | None:
    nano, sonnet = report["nano"], report["sonnet"]
    if close(sonnet["decisions"], 1.0) and close(nano["decisions"], 2 / 3):
        return "tickets that one arm failed on are dropped for every arm: the denominators are equal, but the tickets that failed are gone; count them as wrong"
    if close(nano["decisions"], 2 / 3):
        return "failed tickets are skipped, so the arm that fails most is graded on the fewest tickets"
    if close(nano["decisions"], 4 / 5):
        return "a failed ticket is counted as right"
    if close(nano["decisions"], 2):
        return "it is a count; divide by the number of tickets, the failed ones included"
    if not close(nano["decisions"], 2 / 5):
        return f"failed tickets: 2 right, 1 wrong and 2 failed give 0.4 and not {nano['decisions']:.4g}"
    if any(close(nano["usd"], usd) for usd in (0.002, 0.0012, 0.006)):
        return "failed tickets count as wrong, but not in the bill: what a failed call cost was paid, and the bill is divided by all tickets"
    return None


def _asking_again(calls: Counter[tuple[str, str]]) -> str | None:
    again = sum(count > 1 for count in calls.values())
    if again:
        return f"the cascade asks again ({again} of 8 tickets), so it has other replies than the single models and differs from them by luck too"
    return None


def _same_replies(fields: Report) -> bool:
    """Say whether escalating added Sonnet's bill to Nano's own replies, or put Sonnet's in their place."""
    nano = fields["nano"]
    return any(close(nano["usd"], usd) for usd in ((8 * _NANO_USD + 2 * _SONNET_USD) / 8, (6 * _NANO_USD + 2 * _SONNET_USD) / 8))


def _losing_tier(bills: Mapping[str, float]) -> str | None:
    usd, single = bills["cascade"], {"nano": _NANO_USD, "sonnet": _SONNET_USD}
    for unit, factor in (("a total; divide it by the number of tickets", 8), ("USD per 1,000 tickets; return USD a ticket", 1000)):
        if all(close(bills[arm], factor * price) for arm, price in single.items()):
            return f"the bill is {unit}"
    if close(bills["sonnet"], (8 * _SONNET_USD + 2 * _NANO_USD) / 8):
        return "the bill of sonnet changes too: it is the same dict as in the cascade, so add Nano's bill to a copy, such as {**sonnet[ticket], ...}"
    for arm, price in single.items():
        if not close(bills[arm], price):
            return f"the bill of {arm} alone: 8 calls at {price} USD give {price} USD a ticket and not {bills[arm]:.4g}; every model answers every ticket in its own row"
    if close(usd, (8 * _NANO_USD + 2 * _SONNET_USD) / 8):
        return None
    if close(usd, (6 * _NANO_USD + 2 * _SONNET_USD) / 8):
        return "the losing tier is free: an escalated ticket pays for Sonnet only, though Nano ran first"
    if close(usd, _NANO_USD + _SONNET_USD):
        return "every ticket of the cascade pays for both tiers; Sonnet runs for those that escalate"
    if close(usd, (10 * _NANO_USD + 2 * _SONNET_USD) / 8) or close(usd, (16 * _NANO_USD + 2 * _SONNET_USD) / 8):
        return "the cascade pays twice for one call of Nano"
    return f"the bill: 8 calls of Nano at {_NANO_USD} USD and 2 of Sonnet at {_SONNET_USD} give 0.006 USD a ticket and not {usd:.4g}"


def _fields_left(share: float) -> str | None:
    if close(share, 3 / 8):
        return None
    others = {
        0.0: "no decision counts as right: compare reply[\"decision\"] with gold[ticket], not the whole reply",
        16 / 24: "it is the share of right fields; a decision is right only if all three are",
        7 / 8: "one right field is enough for it; a decision is right only if all three are",
        3.0: "it is a count; return a share",
    }
    for wrong, says in others.items():
        if close(share, wrong):
            return says
    for value, what in ((6 / 8, "only the category is compared"), (4 / 8, "needs_human is not compared"), (5 / 8, "the priority is not compared")):
        if close(share, value):
            return f"{what}, though the column says decisions"
    return f"the column says decisions: 3 of 8 are right in every field, which gives 0.375 and not {share:.4g}"


def _same_code(answer: Any) -> bool:
    """Say whether an answer is the harness as it was handed out, unchanged but for layout."""
    code = getattr(answer, "__code__", None)
    return isinstance(code, CodeType) and _skeleton(code) == _skeleton(as_found.__code__)


def _skeleton(code: CodeType) -> tuple[Any, ...]:
    return code.co_code, code.co_names, tuple(_skeleton(part) if isinstance(part, CodeType) else part for part in code.co_consts)


def _otherwise(answer: Any) -> str | None:
    got, want = _reported(_MIXED, answer, Counter()), _MIXED.run(repaired, Counter())
    if close(got["cascade"]["decisions"], 2 / 6) and close(got["cascade"]["usd"], want["cascade"]["usd"] - _SONNET_USD / 6):
        return "all four faults are fixed, but a failed call no longer escalates: its confidence says nothing, so ask for a decision of None as well"
    for arm in _ARMS:
        for key in ("decisions", "usd"):
            if not close(got[arm][key], want[arm][key]):
                return f"all four faults are fixed, but something else broke: on six other tickets {key} of {arm} is {want[arm][key]:.4g} and not {got[arm][key]:.4g}"
    return None


def _leaving(*faults: str) -> Callable[[Sequence[str], Mapping[str, Decision], AskModel], Report]:
    """Return a harness that still has the faults named, such as "skips", "again", "winner" and "category"."""

    def harness(ids: Sequence[str], gold: Mapping[str, Decision], ask: AskModel) -> Report:
        singles = {model: {ticket: dict(ask(model, ticket)) for ticket in ids} for model in ("nano", "sonnet")}
        cascade = {}
        for ticket in ids:
            first = dict(ask("nano", ticket)) if "again" in faults else singles["nano"][ticket]
            unsure = ("keeps failures" not in faults and first["decision"] is None) or first["confidence"] < 0.7
            last = singles["sonnet"][ticket] if unsure else first
            both = "both" in faults or (unsure and not {"winner", "same dict"} & set(faults))
            if unsure and "same dict" in faults:
                last["usd"] += first["usd"]
            if unsure and "nano's dict" in faults:
                first["usd"] += last["usd"]
            cascade[ticket] = {**last, "usd": first["usd"] + singles["sonnet"][ticket]["usd"] if both else last["usd"]}
        arms = {**singles, "cascade": cascade}
        everywhere = {ticket for ticket in ids if all(arm[ticket]["decision"] is not None for arm in arms.values())}
        return {name: _row(arm, gold, faults, everywhere) for name, arm in arms.items()}

    return harness


def _row(arm: Mapping[str, Mapping[str, Any]], gold: Mapping[str, Decision], faults: Sequence[str], everywhere: set[str]) -> dict[str, float]:
    answered = {ticket: reply for ticket, reply in arm.items() if reply["decision"] is not None}
    dropped = {ticket: reply for ticket, reply in arm.items() if ticket in everywhere}
    graded = answered if "skips" in faults else dropped if "drops" in faults else arm
    fields = ("category",) if "category" in faults else ("category", "priority") if "no human" in faults else tuple(_LABEL)
    right: float = sum(reply["decision"] is not None and all(reply["decision"][name] == gold[ticket][name] for name in fields) for ticket, reply in graded.items())
    if "fields" in faults:
        right = sum(sum((reply["decision"] or {}).get(name) == gold[ticket][name] for name in _LABEL) for ticket, reply in graded.items()) / len(_LABEL)
    paid = answered if "free failures" in faults else graded
    return {"decisions": right / len(graded), "usd": sum(reply["usd"] for reply in paid.values()) / (1 if "totals" in faults else len(graded))}


def _still_subscripts(ids: Sequence[str], gold: Mapping[str, Decision], ask: AskModel) -> Report:
    replies = {ticket: ask("nano", ticket) for ticket in ids}
    share = sum(reply["decision"]["category"] == gold[ticket]["category"] for ticket, reply in replies.items()) / len(ids)
    return {arm: {"decisions": share, "usd": 0.0} for arm in _ARMS}


# Exercise 2


def apart(first: Result, second: Result) -> bool:
    """Say whether the 95 % Wilson intervals of two results (right, tickets) share no point."""
    a, b = wilson(*first), wilson(*second)
    return a.high < b.low or b.high < a.low


_PAIRS: tuple[tuple[Result, Result], ...] = (
    ((28, 30), (25, 30)),
    ((90, 100), (50, 100)),
    ((50, 100), (90, 100)),
    ((62, 100), (49, 100)),
    ((70, 100), (57, 100)),
    ((55, 100), (50, 100)),
    ((70, 100), (55, 100)),
    ((30, 30), (25, 30)),
)


def _check_apart(answer: Any) -> str | None:
    got = {pair: calling(answer, *pair) for pair in _PAIRS}
    for pair, said in got.items():
        if not isinstance(said, bool) and type(said).__name__ != "bool_":
            return f"it returned {shown(said, 40)}, but must return True or False"
        got[pair] = bool(said)
    want = {pair: apart(*pair) for pair in _PAIRS}
    if got == want:
        return None
    guesses = (
        (lambda pair: not want[pair], "it is the other way round: True means that the intervals share no point"),
        (lambda pair: pair[0][0] / pair[0][1] != pair[1][0] / pair[1][1], "it calls any two different shares apart; ask whether their intervals meet"),
        (lambda pair: False, "it never says True, as 90 of 100 against 50 of 100 must; there are two ways to be apart, and one of them is enough"),
        (lambda pair: _outside(*pair), "it decides by the shares, or by one share and the other's interval; both are uncertain, so compare interval with interval"),
        (lambda pair: not _inside(*pair), "it decides by the shares, or by one share and the other's interval; both are uncertain, so compare interval with interval"),
        (lambda pair: not _inside(*reversed(pair)), "it decides by the shares, or by one share and the other's interval; both are uncertain, so compare interval with interval"),
        (_differ, "it asks whether the difference is clear of 0, a sharper question and the next one; here ask whether the two Wilson intervals share a point"),
        (lambda pair: wilson(*pair[0]).low > wilson(*pair[1]).high, "it looks in one direction only: either result may be the higher one"),
        (lambda pair: wilson(*pair[1]).low > wilson(*pair[0]).high, "it looks in one direction only: either result may be the higher one"),
    )
    for guess, says in guesses:
        if all(got[pair] == guess(pair) for pair in _PAIRS):
            return says
    (k, n), (other_k, other_n) = next(pair for pair in _PAIRS if got[pair] != want[pair])
    a, b = wilson(k, n), wilson(other_k, other_n)
    return f"{k} of {n} has the interval {a.low:.3f} to {a.high:.3f} and {other_k} of {other_n} {b.low:.3f} to {b.high:.3f}, so apart is {apart((k, n), (other_k, other_n))}"


def _inside(first: Result, second: Result) -> bool:
    interval = wilson(*second)
    return interval.low <= first[0] / first[1] <= interval.high


def _outside(first: Result, second: Result) -> bool:
    return not (_inside(first, second) and _inside(second, first))


def _differ(pair: tuple[Result, Result]) -> bool:
    return _clear_of_zero(*pair)


def _clear_of_zero(first: Result, second: Result) -> bool:
    interval = newcombe(*first, *second)
    return interval.low > 0 or interval.high < 0


def _overlap(first: Result, second: Result) -> bool:
    return not apart(first, second)


def _other_share(first: Result, second: Result) -> bool:
    return first[0] / first[1] != second[0] / second[1]


def _one_direction(first: Result, second: Result) -> bool:
    return wilson(*first).low > wilson(*second).high


# Exercise 3

Arm = Mapping[str, float]


def random_at(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    """Return expected accuracy and USD per ticket if a random share of the tickets goes on from the cheap to the strong model."""
    accuracy = (1 - rate) * cheap["accuracy"] + rate * strong["accuracy"]
    return accuracy, cheap["usd"] + rate * strong["usd"]


_CHEAP = {"accuracy": 0.80, "usd": 0.001}
_STRONG = {"accuracy": 0.90, "usd": 0.020}


def _check_random_at(answer: Any) -> str | None:
    for rate in (0.25, 0.6, 0.0, 1.0):
        got = calling(answer, rate, _CHEAP, _STRONG)
        if not isinstance(got, tuple | list) or len(got) != 2:
            return f"it returned {shown(got, 40)}, but must return two things: the accuracy and the USD per ticket"
        accuracy, usd = number(got[0], "the accuracy"), number(got[1], "the USD")
        want_accuracy, want_usd = random_at(rate, _CHEAP, _STRONG)
        if close(accuracy, want_usd) and close(usd, want_accuracy):
            return "the two numbers are swapped: the accuracy comes first, then the USD"
        case = f"a rate of {rate:g} with accuracies of {_CHEAP['accuracy']} and {_STRONG['accuracy']}"
        wrong = diagnosed(accuracy, want_accuracy, [*_accuracy_mistakes(rate), _percentage(want_accuracy)], case)
        if wrong:
            return wrong
        case = f"a rate of {rate:g} with models at {_CHEAP['usd']} and {_STRONG['usd']} USD a ticket"
        wrong = diagnosed(usd, want_usd, _cost_mistakes(rate), case)
        if wrong:
            return wrong
    return None


def _accuracy_mistakes(rate: float) -> tuple[Said, ...]:
    cheap, strong = _CHEAP["accuracy"], _STRONG["accuracy"]
    return (
        (rate * cheap + (1 - rate) * strong, "the rate is on the wrong model: it is the share that the strong model answers"),
        ((cheap + strong) / 2, "it is the plain mean of the two accuracies; the rate says how much each of them weighs"),
        (cheap + rate * strong, "accuracies do not add up: an escalated ticket has one final answer, the strong model's"),
        (rate * strong, "the tickets that stay with the cheap model are left out of the accuracy"),
        ((1 - rate) * cheap, "the tickets that go on are left out of the accuracy"),
        (rate * (strong - cheap), "it is what the escalations gain; add it to what the cheap model gets alone"),
        (cheap + rate * (1 - cheap) * strong, "it sends on only what the cheap model got wrong; a random choice sends on as many of its right answers in proportion"),
        (strong, "only the escalated tickets get the strong model's accuracy"),
        ((1 - rate / 100) * cheap + rate / 100 * strong, "the rate is a share from 0 to 1 and no percentage, so do not divide it by 100"),
    )


def _cost_mistakes(rate: float) -> tuple[Said, ...]:
    cheap, strong = _CHEAP["usd"], _STRONG["usd"]
    return (
        ((1 - rate) * cheap + rate * strong, "the cheap call is not charged for the escalated tickets: it ran for every ticket, the rate only decides who runs as well"),
        (rate * strong, "the cheap calls are left out of the cost"),
        (cheap + strong, "the strong model is charged for every ticket; it runs for a share of them"),
        (cheap, "the strong model's calls are left out of the cost"),
        (cheap + rate * (cheap + strong), "the cheap call of an escalated ticket is charged twice; it ran once"),
        ((cheap + strong) / 2, "the cost is the mean of the two prices; the cheap model runs always, the strong one for a share"),
        (rate * cheap + strong, "the rate is on the wrong model: the cheap one runs for every ticket"),
        (cheap + (1 - rate) * strong, "the strong model is charged for the tickets that stay; it runs for those that go on, a share of `rate`"),
        (1000 * (cheap + rate * strong), "it is USD per 1,000 tickets; return USD per ticket"),
    )


def _winner_only(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return random_at(rate, cheap, strong)[0], (1 - rate) * cheap["usd"] + rate * strong["usd"]


def _plain_mean(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return (cheap["accuracy"] + strong["accuracy"]) / 2, random_at(rate, cheap, strong)[1]


def _wrong_model(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return rate * cheap["accuracy"] + (1 - rate) * strong["accuracy"], random_at(rate, cheap, strong)[1]


def _accuracies_add(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return cheap["accuracy"] + rate * strong["accuracy"], random_at(rate, cheap, strong)[1]


def _errors_only(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return cheap["accuracy"] + rate * (1 - cheap["accuracy"]) * strong["accuracy"], random_at(rate, cheap, strong)[1]


def _cheap_twice(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return random_at(rate, cheap, strong)[0], cheap["usd"] + rate * (cheap["usd"] + strong["usd"])


def _accuracy_only(rate: float, cheap: Arm, strong: Arm) -> float:
    return random_at(rate, cheap, strong)[0]


# Exercise 4


def gap_recovered(cheap: float, strong: float, cascade: float) -> float:
    """Return the share of the gap between cheap and strong that a cascade closes; NaN unless strong is better than cheap."""
    return performance_gap_recovered(cheap, strong, cascade)


def _check_gap_recovered(answer: Any) -> str | None:
    for cheap, strong, cascade in ((0.70, 0.90, 0.85), (60, 90, 55), (0.70, 0.90, 0.92)):
        got = number(calling(answer, cheap, strong, cascade), "its result")
        want = gap_recovered(cheap, strong, cascade)
        mistakes = (
            (1 - want, "that is the part of the gap that is still open; count from the cheap model up"),
            (cascade / strong, "it is the share of the strong model's accuracy, which the cheap model alone already has most of; measure from the cheap model"),
            (cascade - cheap, "that is the gain; set it against the gap between the two models"),
            ((cascade - cheap) / cheap, "the gain is set against the cheap model's accuracy; set it against the gap between the two models"),
            ((cascade - cheap) / strong, "the gain is set against the strong model's accuracy; set it against the gap between the two models"),
            (max(0.0, want), "a cascade worse than the cheap model comes out as 0; leave the result negative, somebody has to see it"),
            (min(1.0, want), "a cascade better than the strong model comes out as 1; leave the result above 1"),
            ((cascade - cheap) / (strong - cascade), "the gain is set against what is still open; set it against the whole gap between the two models"),
            (-want, "the sign is wrong: count from the cheap model up, cascade minus cheap over strong minus cheap"),
            (abs(want), "a cascade worse than the cheap model comes out as a gain; leave the result negative"),
            ((strong - cheap) / (cascade - cheap), "the fraction is upside down: divide what the cascade gains by what it could gain"),
            _percentage(want),
        )
        wrong = diagnosed(got, want, mistakes, f"cheap {cheap:g}, strong {strong:g}, cascade {cascade:g}")
        if wrong:
            return wrong
    return _no_gap(answer)


def _no_gap(answer: Any) -> str | None:
    for cheap, strong, case in ((0.80, 0.80, "no better than"), (0.80, 0.75, "worse than")):
        try:
            got = number(calling(answer, cheap, strong, 0.82, none_ok=True), "its result")
        except NotYet as error:
            return f"where the strong model is {case} the cheap one there is no gap to recover, so return math.nan ({error})"
        if not math.isnan(got):
            return f"where the strong model is {case} the cheap one there is no gap to recover, so return math.nan and not {got:.3g}"
    return None


def _share_of_strong(cheap: float, strong: float, cascade: float) -> float:
    return cascade / strong


def _still_open(cheap: float, strong: float, cascade: float) -> float:
    return (strong - cascade) / (strong - cheap)


def _floored(cheap: float, strong: float, cascade: float) -> float:
    return max(0.0, (cascade - cheap) / (strong - cheap))


def _divides_by_zero(cheap: float, strong: float, cascade: float) -> float:
    return (cascade - cheap) / (strong - cheap)


def _gain_only(cheap: float, strong: float, cascade: float) -> float:
    return cascade - cheap


# Exercise 5

Bounds = tuple[float, float, float]
_VERDICTS = ("parity", "worse", "not shown")


def claim(low: float, high: float, margin: float) -> str:
    """Return what the interval of a difference (arm minus strong model) allows to be said about parity within a margin."""
    if low > -margin:
        return "parity"
    return "worse" if high < 0 else "not shown"


_BOUNDS: tuple[Bounds, ...] = (
    (-0.07, 0.03, 0.02),
    (-0.01, 0.03, 0.02),
    (-0.12, -0.05, 0.02),
    (0.01, 0.05, 0.02),
    (-0.015, -0.002, 0.02),
    (-0.06, -0.01, 0.02),
    (-0.04, 0.01, 0.05),
    (-0.02, 0.10, 0.01),
    (-0.03, 0.005, 0.02),
    (-0.08, 0.07, 0.02),
    (0.03, 0.08, 0.02),
    (-0.005, 0.03, 0.02),
    (-0.23, 0.0, 0.02),
)


def _no_difference(low: float, high: float, margin: float) -> str:
    return "parity" if low <= 0 <= high else "worse" if high < 0 else "parity"


def _wrong_sign(low: float, high: float, margin: float) -> str:
    return "parity" if low > margin else "worse" if high < 0 else "not shown"


def _high_end(low: float, high: float, margin: float) -> str:
    return "parity" if high > -margin else "worse"


def _middle(low: float, high: float, margin: float) -> str:
    return "parity" if (low + high) / 2 > -margin else "worse" if high < 0 else "not shown"


def _two_answers(low: float, high: float, margin: float) -> str:
    return "parity" if low > -margin else "worse"


def _fixed(margin: float) -> Callable[[float, float, float], str]:
    return lambda low, high, _: claim(low, high, margin)


def _zero_inside(low: float, high: float, margin: float) -> str:
    return "not shown" if low <= 0 <= high else "worse" if high < 0 else "parity"


def _near_zero(low: float, high: float, margin: float) -> str:
    return "parity" if abs(low) < margin else "worse" if high < 0 else "not shown"


def _zero_is_below(low: float, high: float, margin: float) -> str:
    return "parity" if low > -margin else "worse" if high <= 0 else "not shown"


def _other_sign(low: float, high: float, margin: float) -> str:
    return "parity" if high < margin else "worse" if low > 0 else "not shown"


def _past_margin(low: float, high: float, margin: float) -> str:
    return "parity" if low > -margin else "worse" if high < -margin else "not shown"


def _worse_first(low: float, high: float, margin: float) -> str:
    return "worse" if high < 0 else "parity" if low > -margin else "not shown"


def _narrow(low: float, high: float, margin: float) -> str:
    return "parity" if low > -margin and high < margin else "worse" if high < 0 else "not shown"


_HABITS: tuple[tuple[Callable[[float, float, float], str], str], ...] = (
    (_no_difference, "it calls everything parity whose interval contains 0 or lies above it; few tickets give a wide interval around 0, and that shows nothing"),
    (_wrong_sign, "the margin is a loss, so the bound is -margin and not +margin"),
    (_high_end, "it looks at the high end, the best case; parity must hold in the worst case that the interval leaves, its low end"),
    (_middle, "it decides by the middle of the interval; parity must hold in the worst case that the interval leaves, its low end"),
    (_two_answers, "it knows two answers, but there are three: an interval that reaches past the margin and above 0 leaves both open, which is \"not shown\""),
    *((_fixed(other), "it does not follow the margin it is given: look for a fixed number, or MAX_LOSS, where `margin` should stand") for other in (0.01, 0.02, 0.03, 0.05, 0.1)),
    (_zero_inside, "it asks whether the interval contains 0; parity does not depend on that, but on whether the low end is above -margin"),
    (_near_zero, "it drops the sign of the low end; an arm ahead by more than the margin is no worse for it, so leave the sign in"),
    (_zero_is_below, "it says worse of an interval that ends at 0; only one that lies wholly below 0 is"),
    (_other_sign, "it reads the difference the wrong way round: it is arm minus strong model, so a loss is negative"),
    (_past_margin, "it says worse only beyond the margin; an arm whose whole interval lies below 0 and reaches past the margin is shown to be worse"),
    (_worse_first, "it asks about worse first; a small loss that surely stays within the margin is what the margin allows, so ask about parity first"),
    (_narrow, "it wants the high end below +margin too; an arm that may be better than the strong model is no reason to refuse it"),
)


def _check_claim(answer: Any) -> str | None:
    got = {case: calling(answer, *case) for case in _BOUNDS}
    for said in got.values():
        if not isinstance(said, str) or said not in _VERDICTS:
            return f'it returned {shown(said, 40)}, but must return "parity", "worse" or "not shown"'
    if all(got[case] == claim(*case) for case in _BOUNDS):
        return None
    for habit, says in _HABITS:
        if all(got[case] == habit(*case) for case in _BOUNDS):
            return says
    low, high, margin = next(case for case in _BOUNDS if got[case] != claim(*case))
    return f"an interval from {low:+g} to {high:+g} with a margin of {margin:g} is {claim(low, high, margin)!r} and not {got[low, high, margin]!r}"


# Exercise 6


def p_value(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the exact two-sided p value of McNemar's test: two lists say for each ticket whether an arm was right."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    return mcnemar_exact(only_first, only_second)


def _pair(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], list[bool]]:
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second


_TABLES: tuple[tuple[int, int, int, int], ...] = ((20, 1, 6, 3), (20, 5, 1, 4), (12, 3, 3, 2), (15, 0, 0, 5))


def _check_p_value(answer: Any) -> str | None:
    for both, b, c, neither in _TABLES:
        case = f"a split of {b} (only the first arm right) to {c} (only the second)"
        try:
            got = number(calling(answer, *_pair(both, b, c, neither)), "its result")
        except NotYet as error:
            if (b, c) == (0, 0) and "it raised" in str(error):
                return f"two arms that never differ: {error}; there is nothing to tell them apart, so p is 1"
            raise
        want = mcnemar_exact(b, c)
        if b + c == 0 and not close(got, want):
            return f"two arms that never differ: there is nothing to tell them apart, so p is 1 and not {got:.3g}"
        wrong = diagnosed(got, want, _p_mistakes(both, b, c, neither), case)
        if wrong:
            return wrong
    return None


def _p_mistakes(both: int, b: int, c: int, neither: int) -> tuple[Said, ...]:
    n, everything = b + c, both + b + c + neither
    uncapped = 2 * _tail(n, min(b, c))
    return (
        (_tail(n, min(b, c)), "it looks at one side only: the other arm might have won as clearly, so double it"),
        (uncapped, "a chance cannot be above 1: the two sides meet in the middle, so cap it there"),
        (min(1.0, 2 * _tail(everything, min(b, c))), "tickets on which both arms agree are tossed too; they say nothing about which arm is better"),
        (_tail(everything, min(b, c)), "tickets on which both arms agree are tossed too; they say nothing about which arm is better"),
        (math.comb(n, min(b, c)) / (1 << n), "it is the chance of exactly this split; add the splits that are more extreme"),
        (min(1.0, 2 * math.comb(n, min(b, c)) / (1 << n)), "it is the chance of exactly this split; add the splits that are more extreme"),
        (min(1.0, 2 * _tail(n, min(b, c) - 1)), "the split that was seen is left out; add from i = 0 up to the smaller count, that count included"),
        (min(1.0, 2 * _tail(n, max(b, c))), "it comes to 1 although the split is uneven; add up from i = 0 to the smaller count, whichever arm that is, and divide by 2**n"),
        (math.erfc(abs(b - c) / math.sqrt(2 * n)) if n else 1.0, "it is the approximation for large counts; with so few tickets add up the exact chances"),
        (_unpaired(both + b, both + c, everything), "it compares the two totals and forgets which ticket is which; use the tickets only one arm got right"),
        (1 - min(1.0, uncapped), "it is 1 minus p; a small p means that chance hardly explains the difference"),
    )


def _tail(n: int, k: int) -> float:
    return sum(math.comb(n, i) for i in range(k + 1)) / (1 << n)


def _unpaired(right: int, other: int, n: int) -> float:
    pooled = (right + other) / (2 * n)
    spread = math.sqrt(2 * pooled * (1 - pooled) / n)
    return math.erfc(abs(right - other) / n / spread / math.sqrt(2)) if spread else 1.0


def _discordant(first: Iterable[bool], second: Iterable[bool]) -> tuple[int, int, int]:
    pairs = list(zip(first, second, strict=True))
    return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs), len(pairs)


def _one_sided(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, _ = _discordant(first, second)
    return _tail(b + c, min(b, c))


def _tosses_all(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, n = _discordant(first, second)
    return min(1.0, 2 * _tail(n, min(b, c)))


def _not_capped(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, _ = _discordant(first, second)
    return 2 * _tail(b + c, min(b, c))


def _two_totals(first: Sequence[bool], second: Sequence[bool]) -> float:
    return _unpaired(sum(first), sum(second), len(first))


def _this_split_only(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, _ = _discordant(first, second)
    return min(1.0, 2 * math.comb(b + c, min(b, c)) / (1 << b + c))


# Exercise 7

_STRUCK = frozenset("CDF")
_WHY_KEPT = {
    "A": "line A stays: a judge is a weak reference, but the line says so, and the table it comes from can be looked up",
    "B": "line B stays: it names models and policy, says how many tickets and who graded, and where the replies were recorded",
    "E": "line E stays: a blended price over guessed tokens is a poor basis, but the line says so; weak and traceable is not the same as unsourced",
}
_WHY_STRUCK = {
    "C": "line C cannot stay: no number of tickets, no reference, no source",
    "D": "line D cannot stay: its replies came from a stand-in in the sandbox, so the number must not carry the vendor's name",
    "F": "line F cannot stay: 'typical' names no tickets, so nobody can compute the number again",
}


def _check_strike(answer: Any) -> str | None:
    letters = _letters(answer)
    unknown = sorted(letters - set("ABCDEF"))
    if unknown:
        return f"{shown(unknown[0], 20)} is no line of the slide; its lines are A to F"
    if letters == set(_WHY_KEPT):
        return "these are the lines that may stay; list those that must go"
    for letter, why in (*_WHY_KEPT.items(), *_WHY_STRUCK.items()):
        if (letter in letters) == (letter in _WHY_KEPT):
            return why
    return None


def _letters(answer: Any) -> set[str]:
    if isinstance(answer, str):
        answer = answer.replace(",", " ").split() if not answer.isalpha() or len(answer) > len("ABCDEF") else list(answer)
    if not isinstance(answer, list | tuple | set | frozenset):
        raise NotYet(f'it is {shown(answer, 40)}, but must be a list of letters, such as ["A", "B"]')
    return {str(letter).strip().upper() for letter in answer}


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        id="ex1",
        title="Find the bug",
        minutes=8,
        level="core",
        objective="Find and fix four faults in a bake-off harness that runs without an error and flatters the cascade.",
        hints=(
            "Follow one ticket that Nano failed on through the three arms. How many tickets is each arm divided by in the end?",
            "Count the calls. How often is Nano asked about one ticket? A second call is another draw, so which reply should the cascade start from?",
            "Follow one ticket that escalates. Two models ran. Which bills does the cascade's row add up?",
            "The column says decisions. A decision has category, priority and needs_human. What is compared?",
            "A dict equals another if all their entries do, and None equals no dict. So a comparison of the whole decision also copes with a failed ticket.",
        ),
        reference=repaired,
        check=_check_harness,
        wrong=(
            Wrong("fixes all but the bill", _leaving("winner"), "fixed: denominators, one reply, whole decisions; still there: the losing tier is free"),
            Wrong("fixes all but the second call", _leaving("again"), "fixed: denominators, the bill, whole decisions; still there: the cascade asks again"),
            Wrong("fixes all but the comparison", _leaving("category"), "fixed: denominators, one reply, the bill; still there: only the category is compared"),
            Wrong("fixes all but the denominators", _leaving("skips"), "fixed: one reply, the bill, whole decisions; still there: failed tickets are skipped"),
            Wrong("fixes what is in the second loop", _leaving("again", "winner"), "still there: the cascade asks again"),
            Wrong("fixes what is in the first loop", _leaving("skips", "category"), "fixed: one reply, the bill; still there: failed tickets are skipped"),
            Wrong("rearranges and fixes nothing", _leaving("skips", "again", "winner", "category"), "fixed: nothing yet"),
            Wrong("drops a failed ticket from every arm", _leaving("drops"), "count them as wrong"),
            Wrong("failed calls are free", _leaving("free failures"), "but not in the bill"),
            Wrong("charges both tiers for every ticket", _leaving("both"), "pays for both tiers"),
            Wrong("adds to Sonnet's own bill", _leaving("same dict"), "the same dict"),
            Wrong("forgets needs_human", _leaving("no human"), "needs_human is not compared"),
            Wrong("stops skipping, still subscripts", _still_subscripts, "ask for None first"),
            Wrong("forgets that a failed call escalates", _leaving("keeps failures"), "no longer escalates"),
            Wrong("adds to Nano's own reply", _leaving("nano's dict"), "changes Nano's own replies"),
            Wrong("returns total bills", _leaving("totals"), "a total"),
            Wrong("counts right fields", _leaving("fields"), "share of right fields"),
        ),
    ),
    Exercise(
        id="ex2",
        title="Do the intervals meet?",
        minutes=4,
        level="core",
        objective="Read two Wilson intervals and say whether they leave a difference to talk about.",
        hints=(
            "wilson(right, tickets) returns an interval with .low and .high. You need two of them.",
            "Draw two bars on a line. When is there empty space between them?",
            "Empty space means: one bar ends before the other begins. Which of the two is lower, you do not know beforehand.",
        ),
        reference=apart,
        check=_check_apart,
        wrong=(
            Wrong("says whether they overlap", _overlap, "the other way round"),
            Wrong("compares the two shares", _other_share, "any two different shares"),
            Wrong("is one share outside the other's interval?", _outside, "compare interval with interval"),
            Wrong("looks in one direction only", _one_direction, "in one direction only"),
            Wrong("is the difference clear of 0?", _clear_of_zero, "share a point"),
        ),
    ),
    Exercise(
        id="ex3",
        title="What chance would get",
        minutes=5,
        level="core",
        objective="Compute what random escalation at the same rate gets right and costs, the baseline that a gate must beat.",
        hints=(
            "Split the tickets in two groups by the rate: those that stay and those that go on. Who gives the final answer in each group?",
            "Accuracy: each group has the accuracy of the model that answers last, weighted by the group's size.",
            "Cost: which model runs for every ticket, and which one runs as well for a share of them? Nothing that ran is free.",
        ),
        reference=random_at,
        check=_check_random_at,
        wrong=(
            Wrong("charges the winner only", _winner_only, "it ran for every ticket"),
            Wrong("plain mean of the accuracies", _plain_mean, "plain mean"),
            Wrong("the rate on the wrong model", _wrong_model, "on the wrong model"),
            Wrong("adds the accuracies", _accuracies_add, "do not add up"),
            Wrong("returns the accuracy only", _accuracy_only, "two things"),
            Wrong("escalates errors only", _errors_only, "a random choice sends on"),
            Wrong("charges the cheap call twice", _cheap_twice, "charged twice"),
        ),
    ),
    Exercise(
        id="ex4",
        title="How much of the gap comes back",
        minutes=3,
        level="core",
        objective="Compute the share of the gap between the cheap and the strong model that a cascade recovers.",
        hints=(
            "Two distances, both measured from the cheap model: how far the cascade gets, and how far it could get.",
            "Divide the first distance by the second. Do not hide a result below 0 or above 1.",
            "If the strong model is not better there is no distance to cover, and no number says how much of it was covered: math.nan.",
        ),
        reference=gap_recovered,
        check=_check_gap_recovered,
        wrong=(
            Wrong("share of the strong model's accuracy", _share_of_strong, "measure from the cheap model"),
            Wrong("the part still open", _still_open, "still open"),
            Wrong("no result below zero", _floored, "leave the result negative"),
            Wrong("divides by no gap", _divides_by_zero, "no gap to recover"),
            Wrong("the gain only", _gain_only, "that is the gain"),
        ),
    ),
    Exercise(
        id="ex5",
        title="May you call it parity?",
        minutes=4,
        level="core",
        objective="Decide from an interval and a margin whether an arm is as good as the strong model, worse, or neither is shown.",
        hints=(
            "The interval holds the differences that the tickets do not rule out. Take the worst of them: which end is that?",
            "Parity: even the worst of them loses less than the margin. A loss is a negative difference.",
            "Ask about parity first, then whether even the best of them is a loss. What is left is the third answer.",
        ),
        reference=claim,
        check=_check_claim,
        wrong=(
            Wrong("no clear difference is parity", _no_difference, "that shows nothing"),
            Wrong("takes the margin as a gain", _wrong_sign, "-margin and not +margin"),
            Wrong("looks at the high end", _high_end, "the best case"),
            Wrong("decides by the middle", _middle, "the middle of the interval"),
            Wrong("knows two answers", _two_answers, "there are three"),
            Wrong("worse only beyond the margin", _past_margin, "only beyond the margin"),
            Wrong("asks about worse first", _worse_first, "ask about parity first"),
            Wrong("has a margin of its own", _fixed(0.05), "a fixed number"),
            Wrong("asks whether 0 is inside", _zero_inside, "whether the low end is above"),
            Wrong("takes the low end without its sign", _near_zero, "leave the sign in"),
            Wrong("counts an end at 0 as below", _zero_is_below, "ends at 0"),
            Wrong("reads the difference the wrong way round", _other_sign, "arm minus strong model"),
        ),
    ),
    Exercise(
        id="ex6",
        title="A test for pairs",
        minutes=6,
        level="stretch",
        objective="Compute an exact paired test from the tickets that only one of two arms got right.",
        hints=(
            "Tickets that both arms got right, or both wrong, cannot tell the arms apart. Count the other two kinds.",
            "If the arms are equally good, each of those tickets is the toss of a fair coin. How likely is a split at least this uneven?",
            "math.comb(n, i) / 2**n is the chance that i of n tosses fall on one side. Add i = 0 up to the smaller count.",
            "The other arm could have won as clearly: double the sum. A chance is at most 1.",
        ),
        reference=p_value,
        check=_check_p_value,
        wrong=(
            Wrong("looks at one side only", _one_sided, "one side only"),
            Wrong("tosses every ticket", _tosses_all, "both arms agree"),
            Wrong("above 1", _not_capped, "cannot be above 1"),
            Wrong("compares the two totals", _two_totals, "forgets which ticket is which"),
            Wrong("the chance of exactly this split", _this_split_only, "exactly this split"),
        ),
    ),
    Exercise(
        id="ex7",
        title="Which numbers must go?",
        minutes=3,
        level="stretch",
        objective="Find the numbers on a slide that have no source, or are credited to a model that did not answer.",
        hints=(
            "Ask of each line: which replies of which model was this computed from? Could you look them up?",
            "A weak basis that is named is not the same as no basis. Weak lines may stay, if they say how weak they are.",
            "Compare the model that a line names with the model that answered. In the sandbox, who answers?",
        ),
        reference=["C", "D", "F"],
        check=_check_strike,
        wrong=(
            Wrong("strikes only the empty line", ["C"], "a stand-in in the sandbox"),
            Wrong("leaves the line from typical traffic", ["C", "D"], "'typical' names no tickets"),
            Wrong("strikes whatever a judge graded", ["A", "C", "D", "F"], "a judge is a weak reference"),
            Wrong("strikes the blended price", ["C", "D", "E", "F"], "poor basis, but the line says so"),
            Wrong("strikes nothing", [], "line C cannot stay"),
        ),
    ),
)
