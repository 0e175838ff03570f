"""Terms of a word problem: quantities joined into products, rates meeting what they count."""

import re
from dataclasses import dataclass, field

from workshop_lib.sandbox.stand_ins.questions.model import Abacus
from workshop_lib.sandbox.stand_ins.questions.quantities import FUND, GAIN, SIZES, Quantity, alike, dimension
from workshop_lib.sandbox.stand_ins.questions.words import stem

SHARE = re.compile(
    r"\b(?:shar\w+|split\w*|divid\w+|among|amongst|between|equally|evenly|distribut\w+|into)\b[^,;]*$"
)
SHARERS = re.compile(r"^\s*(?:[a-z]+\s+){1,3}(?:want to |will |each )?(?:share|split|divide)\b")
CONTAINER = re.compile(
    r"\b(?:rows|packs|packets|boxes|bags|groups|teams|piles|crates|trays|cartons|bunches|stacks|cars|vans|buses|tables|shelves"
    r"|pieces|sets|bundles|batches|jars|cages|lots) (?:of|with|that (?:hold|seat|carry|take)|holding|containing|for)(?: up to| exactly)?\s*$"
)
CONTAINED = re.compile(
    r"\d+(?:\.\d+)?\s+(?:[a-z]+\s+){1,2}?(?:of|with|containing|holding|that (?:each )?(?:hold|contain|have|seat))\s*$"
)
DENOMINATOR = re.compile(r"\b(?:every|per|in every|for every)\s*$")


@dataclass
class Term:
    """A product to be worked out: a first value and the operations on it, with unit, sign and role."""

    value: float
    unit: str
    sign: int
    role: str
    source: Quantity
    work: list[tuple[str, float]] = field(default_factory=list)
    nouns: frozenset[str] = frozenset()

    def result(self, abacus: Abacus) -> float:
        """Work the product out."""
        value = self.value
        for sign, factor in self.work:
            value = abacus.work(sign, value, factor)
        return value


@dataclass(frozen=True)
class Goal:
    """What the question asks: its sentence, the unit or noun wanted and the dimension."""

    text: str
    words: tuple[str, ...]
    unit: str
    dimension: str


def goal_of(text: str) -> Goal:
    """Read the asking part of a prepared text."""
    starts = [
        hit.start()
        for hit in re.finditer(
            r"\b(?:how|what|which|at what|find|calculate|work out)\b|\btotal distance\b|\bchange in\b", text
        )
    ]
    asked = text[starts[-1] :] if starts else re.split(r"[.;] ", text)[-1]
    many = re.search(r"how many (?:\d+(?:\.\d+)? ?[a-z]+ )?((?:[a-z]+ ?){1,5})", asked)
    words = tuple(stem(word) for word in (many.group(1).split() if many else ()))
    within = re.findall(r"\bin ([a-z]+)\b", asked) + re.findall(
        r"\bmany (?:full |whole |more )?([a-z]+)", asked
    )
    unit = next((stem(word) for word in within if stem(word) in SIZES), "")
    size = dimension(unit)
    if not size and re.search(
        r"how much (?:money|do|does|did|will|change|would|is|was|should|more (?:money|does))|\bcost|price|\bpay\b|spend|earn|change\b|bill\b",
        asked,
    ):
        size = "money" if re.search(r"[$\u20ac\u00a3\u00a5]|dollar|euro|pound|cent", text) else ""
    if not size and re.search(r"how long|what time|when\b", asked):
        size = "time"
    if not size and re.search(r"how far|distance", asked):
        size = "length"
    return Goal(asked, words, unit, size)


def terms_of(items: list[Quantity], goal: Goal) -> list[Term]:
    """Join quantities into terms: rates meet what they count, containers meet their number."""
    terms: list[Term] = []
    rates: list[Quantity] = []
    for at, item in enumerate(items):
        ahead = items[at + 1] if at + 1 < len(items) else None
        if item.percent or item.role in ("fraction", "times"):
            terms.append(Term(item.value, "", item.sign, item.role or "percent", item))
        elif item.per:
            met(item, terms, rates, goal)
        else:
            plain_term(item, ahead, terms, rates, goal)
    unused = [rate for rate in rates if rate.role != "used"]
    terms += [
        Term(one.value, one.unit, one.sign, money_role(one, goal), one, [], one.nouns) for one in unused
    ]
    return sorted(terms, key=lambda term: term.source.at)


def met(rate: Quantity, terms: list[Term], rates: list[Quantity], goal: Goal) -> None:
    """Multiply a rate onto the latest term that it counts, or keep it for later."""
    for term in reversed(terms):
        if term.role in ("percent", "fraction", "times", "share"):
            continue
        factor = match(rate, term.unit, frozenset() if term.work else term.nouns)
        near = rate.sentence - term.source.sentence <= 2
        if factor and near and not (rate.per == "each" and dimension(term.unit) == "money"):
            multiply(term, rate, factor, goal)
            rate.role = "used" if rate.per == "each" else ""
            if rate.per != "each":
                rates.append(rate)
                rate.role = "used"
            chase(term, rates, goal)
            return
        if alike(term.unit, rate.unit) and asks_per(rate, goal):
            term.work.append(("/", rate.value))
            term.unit, term.nouns = rate.per, frozenset()
            return
    rates.append(rate)


def asks_per(rate: Quantity, goal: Goal) -> bool:
    """Say whether the question asks how many of what the rate is per: hours at km per hour, boxes at eggs per box."""
    if dimension(rate.per):
        return goal.dimension == dimension(rate.per)
    return any(alike(word, rate.per) for word in goal.words)


def chase(term: Term, rates: list[Quantity], goal: Goal) -> None:
    """Multiply waiting rates onto a term that has come to count what they are per."""
    for rate in rates:
        if rate.role != "used" and rate.per != "each" and not counts(term, goal):
            factor = match(rate, term.unit, term.nouns)
            if factor:
                rate.role = "used"
                multiply(term, rate, factor, goal)


def match(rate: Quantity, unit: str, nouns: frozenset[str]) -> float:
    """Return the factor by which a rate's `per` fits a unit (conversions included), 0 if it does not."""
    if rate.per == "each":
        return 1.0
    if alike(rate.per, unit) or any(alike(rate.per, noun) for noun in nouns):
        return 1.0
    if dimension(unit) and dimension(unit) == dimension(rate.per) != "money":
        return SIZES[unit][1] / SIZES[rate.per][1]
    return 0.0


def gains(item: Quantity, goal: Goal) -> bool:
    """Say whether money comes in; selling only counts where the question asks for earnings."""
    found = GAIN.search(item.before)
    if found and found.group(0) in ("sold", "sells", "paid for"):
        return bool(re.search(r"earn|make|revenue|profit|collect|take in|receive|raise", goal.text))
    return bool(found)


def counts(term: Term, goal: Goal) -> bool:
    """Say whether a term counts what the goal names."""
    if goal.dimension:
        return dimension(term.unit) == goal.dimension
    return any(alike(word, term.unit) or any(alike(word, noun) for noun in term.nouns) for word in goal.words)


def multiply(term: Term, rate: Quantity, factor: float, goal: Goal) -> None:
    """Multiply a term by a rate; the term then counts what the rate counts."""
    if factor != 1.0:
        term.work.append(("*", factor))
    term.work.append(("*", rate.value))
    if rate.unit:
        term.unit = rate.unit
    term.nouns = rate.nouns if rate.unit else term.nouns | rate.nouns
    term.sign = min(term.sign, rate.sign)
    if dimension(rate.unit) == "money":
        gain = gains(rate, goal) or gains(term.source, goal)
        term.role = "gain" if gain else "cost"
        term.sign = -1 if re.search(r"\b(?:return\w*|refund\w*)\b", term.source.before) else 1


def plain_term(
    item: Quantity, ahead: Quantity | None, terms: list[Term], rates: list[Quantity], goal: Goal
) -> None:
    """Add a plain quantity: a container's content, a denominator, a sharer, something a rate counts, or a term."""
    if (
        terms
        and CONTAINED.search(item.before)
        and terms[-1].role not in ("percent", "fraction")
        and item.unit
        and not terms[-1].source.per
        and dimension(terms[-1].unit) != "money"
    ):
        terms[-1].work.append(("*", item.value))
        terms[-1].unit, terms[-1].nouns = item.unit or terms[-1].unit, item.nouns | terms[-1].nouns
        return
    if terms and DENOMINATOR.search(item.before) and not terms[-1].work:
        last = terms.pop()
        rates.append(last.source)
        last.source.value, last.source.per = last.value / item.value, item.unit
        return
    role = "container" if CONTAINER.search(item.before) else money_role(item, goal)
    if (
        terms
        and role == "fund"
        and re.search(r"\d\s*(?:us)?[$\u20ac\u00a3]?\s*$", item.before)
        and not terms[-1].unit
    ):
        terms[-1].work.append(("*", item.value))
        terms[-1].unit, terms[-1].role = item.unit, role
        return
    if role != "container" and (
        SHARERS.search(item.after)
        or (SHARE.search(item.before) and not dimension(item.unit) and terms and terms[-1].role != "share")
    ):
        role = "share"
    made = Term(item.value, item.unit, item.sign, role, item, [], item.nouns)
    own = ahead is not None and ahead.per not in ("", "each") and match(ahead, item.unit, item.nouns)
    fresh = any(
        rate.role != "used" and rate.sentence == item.sentence and match(rate, item.unit, frozenset())
        for rate in rates
    )
    if role not in ("share", "container") and (fresh or not own):
        for rate in sorted(
            rates, key=lambda rate: (rate.role == "used", not alike(rate.per, item.unit), -rate.at)
        ):
            factor = match(rate, item.unit, item.nouns) if dimension(item.unit) != "money" else 0.0
            if factor and (rate.per != "each" or rate.role != "used"):
                rate.role = "used"
                multiply(made, rate, factor, goal)
                chase(made, rates, goal)
                break
            same = alike(rate.unit, item.unit) or dimension(rate.unit) == dimension(item.unit) != ""
            if same and asks_per(rate, goal):
                scale = (
                    1.0
                    if dimension(item.unit) in ("", "money")
                    else SIZES[item.unit][1] / SIZES[rate.unit][1]
                )
                if scale != 1.0:
                    made.work.append(("*", scale))
                rate.role = "used"
                made.work.append(("/", rate.value))
                made.unit, made.nouns = rate.per, frozenset()
                break
    terms.append(made)


def money_role(item: Quantity, goal: Goal) -> str:
    """Say whether a sum of money is a fund, a gain or a cost; '' for things that are not money."""
    if dimension(item.unit) != "money":
        return ""
    if re.match(r"\s*(?:bill|note|banknote)", item.after) or re.search(r"\bbudget|\bwith\s*$", item.before):
        return "fund"
    if re.match(r"\s*(?:off|less|discount|coupon|voucher)", item.after) or re.search(
        r"\b(?:coupon|voucher|discount)\b", item.before
    ):
        return "rebate"
    if gains(item, goal):
        return "gain"
    if re.search(r"\b(?:costs?|priced?|buys?|bought|spen[dt]s?|for)\b[^,;]*$", item.before):
        return "cost"
    return "fund" if FUND.search(item.before) else "cost"
