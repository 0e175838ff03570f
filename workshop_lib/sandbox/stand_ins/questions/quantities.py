"""Quantities in a word problem: each number with its unit, what it counts per, its sign and its role."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from workshop_lib.sandbox.stand_ins.questions.words import STOP, digits_for_words, listed, plain, stem

# unit -> (dimension, size in the base unit of the dimension)
SIZES: dict[str, tuple[str, float]] = {}
for _dimension, _row in {
    "money": "dollar 1 euro 1 pound 1 buck 1 rupee 1 yen 1 franc 1 cent 0.01 penny 0.01 pence 0.01 p 0.01 $ 1 krona 1",
    "time": "second 1 sec 1 s 1 minute 60 min 60 mins 60 hour 3600 h 3600 hr 3600 hrs 3600 day 86400 week 604800"
    " fortnight 1209600 month 2592000 year 31536000",
    "length": "mm 0.001 millimetre 0.001 millimeter 0.001 cm 0.01 centimetre 0.01 centimeter 0.01 m 1 metre 1 meter 1 km 1000"
    " kilometre 1000 kilometer 1000 mile 1609.344 inch 0.0254 foot 0.3048 yard 0.9144",
    "mass": "mg 0.001 g 1 gram 1 kg 1000 kilogram 1000 kilo 1000 tonne 1000000 ounce 28.349523 lb 453.59237",
    "volume": "ml 0.001 millilitre 0.001 milliliter 0.001 cl 0.01 dl 0.1 l 1 litre 1 liter 1 gallon 3.785411784",
}.items():
    _words = _row.split()
    SIZES |= {
        stem(_name): (_dimension, float(_size))
        for _name, _size in zip(_words[::2], _words[1::2], strict=True)
    }

MONEY_SIGN = r"(?:us)?[$\u20ac\u00a3\u00a5]"
NUMBER = r"\d+(?:\.\d+)?(?:/\d+)?"
QUANTITY = re.compile(
    rf"(?P<money>{MONEY_SIGN}\s*)?(?P<number>{NUMBER})(?P<clock>:\d\d)?\s*(?P<percent>%|percent\b|per cent\b)?"
    r"(?=(?P<rest>[^.;?!\d]*))"
)
PER = re.compile(
    r"^\W*(?:[a-z]+\W+){0,3}?\b(?:(?P<det>(?:for |in |on )?(?:each|every|per|an?))\s+(?P<unit>[a-z]+)|(?P<each>each|apiece))\b"
)
ALONE = re.compile(
    r"\b(?:each|everyone|all of them)\s+(?:of \w+ )?(?:pays?|costs?|gets?|weighs?|eats?|gives?|has|takes?|contributes?|brings?|buys?|earns?)\s*$"
)
FOR_WHOM = re.compile(r"^\s*(?:for|per) (?:an? )?(?P<unit>[a-z]+)\s*(?:$|,|\band\b)")
BEFORE_PER = re.compile(
    r"\b(?P<det>each|every|an?|one|per)\s+(?:[a-z]+\s+){0,2}?(?P<unit>[a-z]+)(?:\s+of\s+[a-z]+)?\s+"
    r"(?:costs?|weighs?|holds?|contains?|has|is sold for|takes?|needs?|uses?|sells? for|gets?|gives?|can \w+|pays?|earns?|receives?|seats?|carries|fits"
    r"|bakes?|makes?|produces?|requires?|packs?|reads?|eats?|drinks?|prints?|charges?|is|comes with)\b(?:\s+[a-z]+){0,2}\s*$"
)
FRACTIONS = {
    "half": 1 / 2, "third": 1 / 3, "thirds": 1 / 3, "quarter": 1 / 4, "quarters": 1 / 4, "fourth": 1 / 4, "fifth": 1 / 5,
    "fifths": 1 / 5, "fourths": 1 / 4, "sixth": 1 / 6, "eighth": 1 / 8, "tenth": 1 / 10, "eighths": 1 / 8, "tenths": 1 / 10,
}  # fmt: skip
PLURALS = listed("people children men women sheep fish geese teeth mice feet kg km staff guests")
LESS = re.compile(
    r"\b(?:gives?|gave|giving|gets? off|got off|get out|eats?|ate|eaten|eat|los[et]s?|lost|loses|sold|sells?|us(?:es|ed)|spen[dt]s?|breaks?|broke|broken"
    r"|removes?|removed|takes? (?:out|away)|took (?:out|away)|withdr\w+|donat\w+|drinks?|drank|leaks?|leaves?|left|leave|throws?|threw|mail(?:s|ed)"
    r"|burns? down|shrinks?|evaporat\w+|slips?|slides?|minus|fewer|less|lends?|lent|rotten|rot|fl(?:y|ew|ies) away|returns?|returned|coupon|voucher|refund\w*|discount|pours? out|poured out|sends?|sent"
    r"|cuts? off|drops?|dropped|falls?|fell|cancel\w*|borrowed|die[sd]?|pays? back|subtract\w*|deduct\w*|shorter|younger|lighter|cheaper|popp?(?:s|ed)?|reduced|checked out|taken)\b"
)
MORE = re.compile(
    r"\b(?:buys?|bought|gets?|got|receives?|received|finds?|found|adds?|added|more|picks?|picked|earns?|earned|another|plus|wins?|won|gains?"
    r"|collects?|join\w*|gets? on|got on|get on|board\w*|deposit\w*|puts? (?:in|back)|arriv\w+|older|taller|heavier|longer|extra|then|baked|made|makes|bakes|saves|saved|rises?|rose)\b"
)
FUND = re.compile(
    r"\b(?:has|had|have|with|pays? (?:with|using)|paid (?:with|using)|hands? over|handed over|starts? with|gives? the (?:cashier|clerk|seller|shop\w*)"
    r"|gave the (?:cashier|clerk|seller)|from|budget of|carrying|brings?|out of|using|pays?|paid|tenders?|wallet)\b[^,;]*$"
)
GAIN = re.compile(
    r"\b(?:earns?|earned|receives?|received|gets? paid|finds?|found|saves?|saved|sold|sells|given|deposits?|pocket money|paid for)\b"
)


@dataclass
class Quantity:
    """One number in the text: `per` is the unit it counts per ("each" if unnamed), `sign` +1 or -1."""

    value: float
    unit: str
    per: str
    sign: int
    at: int
    sentence: int
    before: str
    after: str
    percent: bool = False
    clock: bool = False
    role: str = ""
    times: float = 1.0
    nouns: frozenset[str] = field(default_factory=frozenset)


@lru_cache(maxsize=256)
def prepared(text: str) -> str:
    """Return the text in lower case with digits for number words and fractions and compound units spelled one way."""
    text = plain(text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(
        r"\b(?:a |one )?half (?:an? )?(hour|dozen|litre|liter|kilo\w*|mile|pound)s?", r"0.5 \1", text
    )
    text = re.sub(r"\b(\w+|\d+) and a half (\w+)", lambda m: halves(m.group(1), m.group(2)), text)
    text = re.sub(r"\b(?:three|3)[- ]quarters of an hour", "45 minutes", text)
    text = re.sub(r"\b(?:a )?quarter of an hour", "15 minutes", text)
    text = re.sub(r"\ba couple of\b", "2", text)
    text = re.sub(r"\b(in|for|after|within) an? (hour|minute|day|week|month|year)\b(?!')", r"\1 1 \2", text)
    text = re.sub(r"\b(?:every day )?from monday to friday\b", "each day for 5 days", text)
    text = digits_for_words(re.sub(r"\b(an?|per) (hundred|thousand)\b", r"1 \2", text))
    text = re.sub(r"\bone\b(?= (?:more|of (?:the|them)))", "1", text)
    text = re.sub(r"(\d+(?:\.\d+)?) dozen\b", lambda m: f"{float(m.group(1)) * 12:g}", text)
    text = re.sub(r"\ba dozen\b", "12", text)
    text = re.sub(r"\bkm ?/ ?h\b|\bkph\b|\bkmh\b", "km per hour", text)
    text = re.sub(r"\bmph\b", "miles per hour", text)
    text = re.sub(r"\bm/s\b", "m per second", text)
    text = re.sub(r"(?<=[a-z]) ?/ ?(?=[a-z])", " per ", text)
    return re.sub(r"(?<=\d)-(?=[a-z])", " ", text)


def halves(count: str, unit: str) -> str:
    """Write 'two and a half hours' with a decimal."""
    number = digits_for_words("1" if count in ("one", "an", "a") else count)
    return f"{number}.5 {unit}" if number.isdigit() else f"{count} and a half {unit}"


def quantities(text: str) -> list[Quantity]:
    """List the quantities of a prepared text in reading order."""
    found: list[Quantity] = []
    for match in QUANTITY.finditer(text):
        if len(found) >= 24:
            break
        if match.start() and text[match.start() - 1].isalpha():
            continue
        found.append(quantity(text, match))
    nouns = [stem(word) for word in re.findall(r"[a-z]+", text)]
    for item in found:
        if item.per.startswith("?"):
            item.per = item.per[1:] if sum(alike(item.per[1:], noun) for noun in nouns) > 1 else ""
    return found


def quantity(text: str, match: re.Match[str]) -> Quantity:
    """Build one quantity from its match and its surroundings."""
    start, rest = match.start(), match["rest"] or ""
    before = re.split(r"(?<!\d)[.;?!]|[.;?!](?!\d)", text[max(0, start - 160) : start])[-1]
    clause = re.split(r",|\band\b|\bthen\b|\bbut\b|\bwhile\b|:", before)[-1]
    top, _, bottom = match["number"].partition("/")
    value = float(top) / (float(bottom or 1) or 1.0)
    unit, words = unit_of(rest)
    if match["money"]:
        unit = "dollar"
    made = Quantity(
        value,
        unit,
        per_of(rest, clause, bool(match["money"])),
        1,
        start,
        len(re.findall(r"[.?!](?:\s|$)", text[:start])),
        before,
        rest,
    )
    made.nouns = frozenset(words)
    made.percent = bool(match["percent"])
    made.role = "fraction" if bottom and re.match(r"\s*of\b", rest) else ""
    if match["clock"]:
        made.clock, made.value = True, clock_minutes(value, int(match["clock"][1:]), rest)
    made.sign = sign_of(clause, rest, before)
    return made


def clock_minutes(hour: float, minute: int, rest: str) -> float:
    """Return minutes since midnight of a clock time with an optional am or pm after it."""
    late = re.match(r"\s*(?:p\.?m|in the (?:afternoon|evening))", rest) and hour < 12
    return (hour + (12 if late else 0)) * 60 + minute


def unit_of(rest: str) -> tuple[str, list[str]]:
    """Return the unit right after a number and the nouns near it, as stems."""
    words = re.findall(r"[a-z']+", re.split(r"[,:(]|\b(?:and|but|then)\b", rest)[0])[:4]
    stops = {
        "of",
        "in",
        "at",
        "per",
        "each",
        "for",
        "to",
        "on",
        "by",
        "from",
        "with",
        "is",
        "are",
        "was",
        "were",
        "who",
        "that",
        "off",
    }
    head = []
    for word in words:
        if word in stops | {"a", "an", "how", "what", "every", "as", "than"}:
            break
        head.append(word)
    known = [word for word in head[:2] if stem(word) in SIZES and not (word == "second" and len(head) > 1)]
    plural = [word for word in head if len(word) > 3 and word.endswith("s")]
    ignored = {"more", "other", "extra", "additional", "new", "times"}
    chosen = known[:1] or plural[:1] or [word for word in head if word in PLURALS][:1]
    return (stem(chosen[0]) if chosen else ""), [stem(word) for word in head if word not in ignored]


def per_of(rest: str, clause: str, money: bool) -> str:
    """Return the unit a quantity counts per, 'each' without a name, '' if it is plain.

    A leading '?' marks 'a box holds 6', a rate only if boxes come up again.
    """
    near = re.split(r",|\band\b|\bthen\b", rest)[0]
    after = PER.match(near)
    if after and (word := per_word(after, money)):
        return word
    whom = FOR_WHOM.match(near) if money else None
    if whom and not dimension(stem(whom["unit"])):
        return stem(whom["unit"])
    if ALONE.search(clause) or (
        money
        and re.search(r"\d\s+(?:[a-z]+\s+){1,3}(?:at|for)\s*$", clause)
        and not re.search(r"\b(?:costs?|total)\b", clause)
    ):
        return "each"
    ahead = BEFORE_PER.search(clause)
    if ahead and (
        ahead["det"] in ("each", "every", "per")
        or re.search(
            r"\b(?:costs?|sells?|holds?|can|seats|charges|weighs?|contains|needs|takes|uses)\b", clause
        )
    ):
        return ("" if ahead["det"] in ("each", "every", "per") else "?") + stem(ahead["unit"])
    return ""


def per_word(match: re.Match[str], money: bool) -> str:
    """Return what a match of PER counts per; 'a' and 'an' only introduce units, or goods if it is a price."""
    unit = stem(match["unit"] or "")
    if match["each"] or (
        match["det"] == "each"
        and (
            match["unit"] in STOP
            or unit in ("plus", "minus", "", "using", "after", "before", "because", "out", "off")
        )
    ):
        return "each"
    if match["det"] in ("a", "an", "for a", "for an", "in a", "in an", "on a", "on an"):
        return (
            unit
            if (dimension(unit) not in ("", "money") and match["det"][-4:] in ("a", "an"))
            or (
                money
                and match["det"] in ("a", "an", "for a", "for an")
                and unit not in ("total", "bill", "discount")
            )
            else ""
        )
    return unit


def sign_of(clause: str, rest: str, before: str) -> int:
    """Return -1 if the nearest cue around a quantity says that something goes away, else +1."""
    near = re.split(r",|\band\b|\bthen\b|\bhow\b", rest)[0][:40]
    if re.search(
        r"\b(?:fewer|less|off|cheaper|younger|shorter|lighter|refund\w*|discount|get off|got off|leave|left|are sold|were sold|break|broke|are broken|fly away|were eaten|die|melt\w*)\b",
        near,
    ) and not re.search(r"\bmore\b", near):
        return -1
    start = " ".join(near.split()[:4])
    for scope in (start, clause, before):
        less = [hit.end() for hit in LESS.finditer(scope)]
        more = [hit.end() for hit in MORE.finditer(scope)]
        if less or more:
            return -1 if max(less or [-1]) > max(more or [-1]) else 1
    return 1


def dimension(unit: str) -> str:
    """Return the dimension of a unit: money, time, length, mass, volume, or '' for things counted."""
    return SIZES.get(unit, ("", 1.0))[0]


def alike(a: str, b: str) -> bool:
    """Say whether two units are the same word up to its ending."""
    return bool(a and b) and (a == b or (min(len(a), len(b)) >= 4 and (a.startswith(b) or b.startswith(a))))
