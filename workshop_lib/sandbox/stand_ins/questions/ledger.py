"""The sequential reader of word problems: terms are added up one operation at a time and brought to the goal."""

import re
from math import ceil, floor

from workshop_lib.sandbox.stand_ins.questions.model import Abacus
from workshop_lib.sandbox.stand_ins.questions.quantities import SIZES, Quantity, alike, dimension
from workshop_lib.sandbox.stand_ins.questions.terms import Goal, Term, counts

RISE = re.compile(
    r"\b(?:tax|tip|vat|service|rises?|increas\w+|interest|more|raise|gains?|grow\w*|grew|goes up|went up|mark\w*|adds?|added|surcharge)\b"
)
FREE = re.compile(r"\b(?:free|empty|available|left|remain\w*|unsold|unused|vacant)\b")
SUM = re.compile(r"\b(?:total|altogether|in all|together|combined|sum|over the|both|overall|animals|all)\b")
RESULT_LEFT = re.compile(
    r"\b(?:change|left|remain\w*|remaining|still|unsold|over|uneaten|have now|does \w+ have|do \w+ have|short)\b"
)
GAP = re.compile(
    r"\b(?:how (?:many|much) (?:more|fewer|less|farther|further|longer|older|taller|heavier|cheaper)|difference)\b"
)


def balance(terms: list[Term], goal: Goal, abacus: Abacus) -> float:
    """Work the terms out in reading order and bring them to the goal."""
    if goal.dimension == "money":
        return settle(terms, goal, abacus)
    usable = relevant(terms, goal)
    total: float | None = None
    unit = ""
    usable = [term for term in usable if term.role != "share"] + [
        term for term in usable if term.role == "share"
    ]
    waiting: Term | None = None
    last = 0.0
    first_sign = next((term.sign for term in usable if term.role == ""), 1)
    for term in usable:
        if term.role in ("percent", "fraction") and total is None:
            waiting = term
        elif (
            term.role == "times"
            and total is not None
            and SUM.search(goal.text)
            and re.match(r"\W*as (?:many|much)|\W*that", term.source.after)
        ):
            last = abacus.work("*", last, term.value)
            total = abacus.work("+", total, last)
        elif term.role in ("percent", "fraction", "times", "share", "container"):
            total = changed(total, term, goal, abacus)
            last = total or 0.0
        elif total is None:
            total, unit = term.result(abacus), term.unit
            last = total
            if waiting is not None:
                total, waiting = changed(total, waiting, goal, abacus), None
        else:
            value = converted(term.result(abacus), term.unit, unit, abacus)
            last = value
            total = joined(total, value, term.sign * first_sign, goal, abacus)
    if total is None:
        raise ValueError("nothing to add up")
    return rounded(converted(total, unit, goal.unit, abacus), usable, goal)


def relevant(terms: list[Term], goal: Goal) -> list[Term]:
    """Keep the terms that count what is asked for; all of them if none does."""
    helpers = ("percent", "fraction", "times", "share", "container")
    named = [term for term in terms if term.role not in helpers and counts(term, goal)]
    if not named:
        first = next((term for term in terms if term.role not in helpers), None)
        named = (
            [term for term in terms if first and (alike(term.unit, first.unit) or not term.unit)]
            if first and first.unit
            else terms
        )
        return [term for term in terms if term in named or term.role in helpers]
    others = [
        term
        for term in terms
        if term not in named and term.role not in helpers and term.unit and not dimension(term.unit)
    ]
    if len(named) == len(others) == 1 and others[0].source.at > named[0].source.at and FREE.search(goal.text):
        others[0].sign = -named[0].sign
        named += others
    return [term for term in terms if term in named or term.role in helpers or not term.unit]


def joined(total: float, value: float, sign: int, goal: Goal, abacus: Abacus) -> float:
    """Add or subtract a value, or compare if the question asks for a gap."""
    if GAP.search(goal.text):
        return abs(abacus.work("-", total, value))
    return abacus.work("+" if sign > 0 else "-", total, value)


def context_of(item: Quantity) -> str:
    """Return the clause around a quantity, the words that say what happens with it."""
    cut = r",|\band\b|\bthen\b|\bbut\b|\blater\b|\bafter\b"
    words = re.split(cut, item.before)[-1]
    return (words if words.strip() else item.before[-60:]) + " " + re.split(cut, item.after)[0]


def changed(total: float | None, term: Term, goal: Goal, abacus: Abacus) -> float | None:
    """Apply a percentage, a fraction, a factor, a sharing or a container to the total so far."""
    if total is None:
        return term.result(abacus) if term.role not in ("share", "container") else None
    if term.role in ("share", "container"):
        return abacus.work("/", total, term.result(abacus))
    if term.role == "times":
        return abacus.work("*", total, term.value)
    part = term.value / 100 if term.role == "percent" else term.value
    context = context_of(term.source)
    if RISE.search(context) and term.role == "percent":
        return abacus.work("*", total, 1 + part)
    keeps = re.search(
        r"\b(?:of (?:them|the|these|those|his|her|which)[^,;]*\b(?:are|were|is|was))\b", term.source.after
    )
    asks_rest = RESULT_LEFT.search(goal.text) or re.search(r"\bnot\b|n't\b", goal.text)
    gone = term.sign < 0 or re.search(r"\b(?:discount|off|reduced|sale)\b", context)
    return abacus.work("*", total, 1 - part if asks_rest or (gone and not keeps) else part)


def settle(terms: list[Term], goal: Goal, abacus: Abacus) -> float:
    """Add up funds and costs and answer with the change, the cost or the sum."""
    fund: float | None = None
    cost: float | None = None
    whole: float | None = None
    terms = [term for term in terms if not late(term, terms)] + [term for term in terms if late(term, terms)]
    for term in terms:
        if term.role in ("percent", "fraction", "times"):
            if cost is not None or fund is None:
                cost = rated(cost, term, goal, abacus)
            else:
                whole = (
                    fund
                    if whole is None or re.search(r"remain|rest|left", context_of(term.source))
                    else whole
                )
                rest = rated(whole, term, goal, abacus)
                fund = (
                    rest
                    if whole == fund or rest is None or whole is None
                    else abacus.work("-", fund, whole - rest)
                )
        elif term.role in ("fund", "gain"):
            value = in_coins(term, goal, abacus)
            fund = value if fund is None else abacus.work("+", fund, value)
        elif dimension(term.unit) == "money":
            value = in_coins(term, goal, abacus)
            minus = term.role == "rebate" or (
                term.sign < 0
                and cost is not None
                and re.search(r"return|refund|off", term.source.before + term.source.after[:20]) is not None
            )
            cost = value if cost is None else abacus.work("-" if minus else "+", cost, value)
    return shared(closing(fund, cost, goal, abacus), terms, abacus)


def late(term: Term, terms: list[Term]) -> bool:
    """Say whether a percentage stands before every sum of money, so that it has to wait for one."""
    first = next((other.source.at for other in terms if dimension(other.unit) == "money"), -1)
    return term.role in ("percent", "fraction", "times") and term.source.at < first


def in_coins(term: Term, goal: Goal, abacus: Abacus) -> float:
    """Work a sum of money out, cents turned into whole units if those are asked for."""
    value = term.result(abacus)
    small = SIZES[term.unit][1] < 1 and dimension(goal.unit) == "money" and SIZES[goal.unit][1] == 1
    return abacus.work("/", value, 100) if small else value


def closing(fund: float | None, cost: float | None, goal: Goal, abacus: Abacus) -> float:
    """Return fund minus cost, or whichever the question asks for."""
    if fund is None and cost is None:
        raise ValueError("no money in it")
    if fund is None or cost is None:
        return fund or cost or 0.0
    if GAP.search(goal.text):
        return abs(abacus.work("-", fund, cost))
    if re.search(r"\b(?:cost|spend|spent|pay|paid|bill|price)\b", goal.text) and not re.search(
        r"change|left|remain", goal.text
    ):
        return cost
    return abacus.work("-", max(fund, cost), min(fund, cost))


def rated(base: float | None, term: Term, goal: Goal, abacus: Abacus) -> float | None:
    """Apply a percentage to a sum of money: off, on top, or the part itself."""
    if base is None:
        return None
    part = term.value / 100 if term.role == "percent" else term.value
    context = context_of(term.source)
    if term.role == "times":
        return abacus.work("*", base, part)
    if re.search(
        r"\b(?:off|discount\w*|reduc\w+|cheaper|sale|spen[dt]s?|falls?|drops?|decreas\w+|gives?|donat\w+|pays?|loses?)\b",
        context,
    ) and not re.search(r"how much (?:is|was) the (?:discount|tip|tax)|save|on top", goal.text):
        return abacus.work("*", base, 1 - part)
    if re.search(
        r"how much (?:is|was|will|would) (?:the|be the) (?:discount|tip|tax|interest|deposit|commission)|save|tip\b",
        goal.text,
    ):
        return abacus.work("*", base, part)
    return abacus.work("*", base, 1 + part if RISE.search(context) else part)


def shared(value: float, terms: list[Term], abacus: Abacus) -> float:
    """Divide the result among those who share it."""
    for term in terms:
        if term.role == "share":
            value = abacus.work("/", value, term.result(abacus))
    return value


def converted(value: float, unit: str, wanted: str, abacus: Abacus) -> float:
    """Convert between units of one dimension as one operation; money is left alone."""
    if unit == wanted or not dimension(unit) or dimension(unit) != dimension(wanted):
        return value
    ratio = SIZES[unit][1] / SIZES[wanted][1]
    if abs(ratio - 1) < 1e-12 or (
        dimension(unit) == "money" and ratio >= 1 and wanted not in ("cent", "penny", "penc")
    ):
        return value
    return abacus.work("*", value, ratio) if ratio >= 1 else abacus.work("/", value, round(1 / ratio, 9))


def rounded(value: float, terms: list[Term], goal: Goal) -> float:
    """Round up what has to fit, down what has to be full."""
    if any(term.role == "container" for term in terms) and value != int(value):
        if re.search(r"\bfull|complete|whole\b", goal.text):
            return floor(value)
        if re.search(r"need|require|at least|minimum|must", goal.text):
            return ceil(value)
    return value
