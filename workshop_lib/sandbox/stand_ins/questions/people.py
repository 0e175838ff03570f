"""Comparisons of people or things: 'Ben is twice as old as Mia', solved one operation at a time."""

import re
from dataclasses import dataclass, field

from workshop_lib.sandbox.stand_ins.questions.model import Abacus
from workshop_lib.sandbox.stand_ins.questions.words import listed

FEMALE = [
    "mother", "mom", "mum", "daughter", "sister", "aunt", "grandmother", "wife", "girl", "woman",
    "niece", "queen",
]  # fmt: skip
MALE = ["father", "dad", "son", "brother", "uncle", "grandfather", "husband", "boy", "man", "nephew", "king"]
ROLES = [*FEMALE, *MALE, "cousin", "friend", "teacher", "neighbour", "neighbor"]
NOT_NAMES = listed(
    "the a an in on at if how what when which who it he she they his her their there after before each "
    "every then and but for from to of is are was one two three four five six seven eight nine ten "
    "monday tuesday wednesday thursday friday saturday sunday my our i we you this that these those all "
    "some both with by together today now find python"
)
ABOVE = r"(?:older|more|taller|heavier|longer|extra|higher|bigger|larger|greater)"
BELOW = r"(?:younger|fewer|less|shorter|lighter|lower|smaller)"
DIFFERENCE = re.compile(rf"(?P<n>\d+(?:\.\d+)?)[^.\d]*?\b(?P<kind>{ABOVE}|{BELOW})\b[^.\d]*?\bthan\b")
TIMES = re.compile(
    r"\b(?P<word>twice|double|triple|thrice|half|(?P<n>\d+(?:\.\d+)?) times|(?:a |one |1 )?(?:third|quarter))\s+(?:as\b|the\b|of\b|that\b|(?=his|her|their))"
)
FACTORS = {"twice": 2.0, "double": 2.0, "triple": 3.0, "thrice": 3.0, "half": 0.5}
TOTAL = re.compile(r"\b(?:add(?:s)? up to|total\w*|sum|together|altogether|combined|between them|in all)\b")
SHIFT = re.compile(
    r"\bin (?P<later>\d+) years?\b|\b(?P<from>\d+) years? from now\b|\b(?P<ago>\d+) years? ago\b"
)
ASKED = re.compile(r"\b(?:how|what|in how many|find)\b[^.?]*\??\s*$")


@dataclass
class Scene:
    """What is known: amounts, links between two of them, a total, and the order of mention."""

    amounts: dict[str, float] = field(default_factory=dict)
    links: list[tuple[str, str, float, str, float]] = field(default_factory=list)
    total: float | None = None
    order: list[str] = field(default_factory=list)


def compare(question: str, text: str, abacus: Abacus) -> float | None:
    """Answer a question that compares people; None if it does not compare any."""
    names = named(question)
    if not names:
        return None
    asked = ASKED.search(text)
    if asked is None or not (re.search(rf"\b(?:{ABOVE}|{BELOW})\b", text) or TIMES.search(text)):
        return None
    scene = Scene()
    for clause in clauses(text[: asked.start()]):
        note(clause, names, scene)
    wanted = mentioned(asked.group(0), names, scene)
    if not scene.links and "how many years" not in asked.group(0):
        return None
    return reply(asked.group(0), wanted, scene, abacus)


def named(question: str) -> list[str]:
    """List the names and family roles in a question, in lower case."""
    found = [
        word.lower() for word in re.findall(r"\b[A-Z][a-z]+\b", question) if word.lower() not in NOT_NAMES
    ]
    roles = [role for role in ROLES if re.search(rf"\b{role}\b", question.lower())]
    return list(dict.fromkeys(found + roles))[:12]


def clauses(text: str) -> list[str]:
    """Split a text into clauses, keeping a leading 'in 5 years' with what follows."""
    parts = re.split(
        r"(?<!\d)[.;!?]|[.;!?](?!\d)|,? and (?=(?:his |her |their |the |\w+'s )?\w+ (?:is|has|was|have|had|weighs|\w+s) )|,? (?:while|but) |, (?=\w+ (?:is|has|was))",
        text,
    )
    return [part.strip() for part in parts if part.strip()][:20]


def mentioned(clause: str, names: list[str], scene: Scene) -> list[str]:
    """List who a clause speaks of, pronouns resolved to the latest fitting name."""
    found: list[str] = []
    for match in re.finditer(r"[a-z]+(?:'s)?", clause):
        word = match.group(0)
        name = word.removesuffix("'s")
        owner = word != name or word in ("his", "her", "their")
        follow = clause[match.end() :].split()[:1]
        if owner and follow and follow[0].strip(",.?") in ROLES:
            continue
        if name in names:
            found.append(name)
        elif word in ("she", "he", "her", "his", "him", "who", "hers"):
            found += resolved(word, found, scene)
    scene.order += [name for name in found if name not in scene.order]
    return list(dict.fromkeys(found))


def resolved(word: str, found: list[str], scene: Scene) -> list[str]:
    """Resolve a pronoun to the latest name of a fitting gender that the clause has not named yet."""
    wrong = MALE if word in ("she", "her", "hers") else FEMALE if word in ("he", "his", "him") else []
    own = FEMALE if wrong is MALE else MALE if wrong is FEMALE else []
    fitting = [name for name in reversed(scene.order) if name not in wrong and name not in found]
    sure = [name for name in fitting if name in own]
    return (sure or fitting)[:1]


def note(clause: str, names: list[str], scene: Scene) -> None:
    """Take an amount, a link or a total from one clause."""
    who = mentioned(clause, names, scene)
    shift = shifted(clause)
    plain = SHIFT.sub(" ", clause)
    factor, gap = TIMES.search(plain), DIFFERENCE.search(plain)
    if len(who) >= 2 and factor:
        scene.links.append((who[0], "*", factor_of(factor), who[-1], shift))
    elif len(who) == 1 and factor and len(scene.order) > 1:
        other = next((name for name in reversed(scene.order) if name != who[0]), who[0])
        scene.links.append((who[0], "*", factor_of(factor), other, shift))
    elif len(who) >= 2 and gap:
        size = float(gap["n"]) * (1 if re.fullmatch(ABOVE, gap["kind"]) else -1)
        scene.links.append((who[0], "+", size, who[-1], 0.0))
    else:
        amount(plain, who, scene)


def amount(clause: str, who: list[str], scene: Scene) -> None:
    """Take a plain amount or a total from a clause."""
    number = re.search(r"\d+(?:\.\d+)?", clause)
    if number and TOTAL.search(clause) and len(who) != 1:
        scene.total = float(number.group(0))
    elif number and who:
        scene.amounts.setdefault(who[0], float(number.group(0)))


def factor_of(match: re.Match[str]) -> float:
    """Return the factor that 'twice', 'half' or '3 times' stands for."""
    if match["n"]:
        return float(match["n"])
    word = match["word"].split()[-1]
    return {"third": 1 / 3, "quarter": 0.25}.get(word) or FACTORS[word]


def shifted(clause: str) -> float:
    """Return by how many years a clause looks ahead (negative: back)."""
    match = SHIFT.search(clause)
    if match is None:
        return 0.0
    return -float(match["ago"]) if match["ago"] else float(match["later"] or match["from"])


def reply(asked: str, wanted: list[str], scene: Scene, abacus: Abacus) -> float | None:
    """Work out what the question asks of the scene."""
    factor = TIMES.search(asked) if "how many years" in asked else None
    if factor and len(wanted) >= 2:
        return meeting(wanted, factor_of(factor), scene, abacus)
    everyone = list(
        dict.fromkeys([*scene.amounts, *(name for link in scene.links for name in (link[0], link[3]))])
    )
    solve(scene, everyone, abacus)
    if (
        re.search(r"\b(?:together|altogether|total|sum|combined|in all|all of them)\b", asked)
        and len(wanted) != 1
    ):
        return added([scene.amounts[name] for name in everyone if name in scene.amounts], abacus)
    if len(wanted) >= 2 and re.search(rf"\b(?:difference|{ABOVE}|{BELOW})\b", asked):
        return (
            abs(abacus.work("-", scene.amounts[wanted[0]], scene.amounts[wanted[1]]))
            if all(name in scene.amounts for name in wanted[:2])
            else None
        )
    if not wanted or wanted[0] not in scene.amounts:
        return None
    shift = shifted(asked)
    value = scene.amounts[wanted[0]]
    return abacus.work("+" if shift > 0 else "-", value, abs(shift)) if shift else value


def added(values: list[float], abacus: Abacus) -> float | None:
    """Add values up."""
    total: float | None = None
    for value in values:
        total = value if total is None else abacus.work("+", total, value)
    return total


def meeting(wanted: list[str], factor: float, scene: Scene, abacus: Abacus) -> float | None:
    """Return in how many years one is `factor` times as old as the other: (a - kb) / (k - 1)."""
    if any(name not in scene.amounts for name in wanted[:2]) or factor == 1:
        return None
    lead = abacus.work("-", scene.amounts[wanted[0]], abacus.work("*", factor, scene.amounts[wanted[1]]))
    return abacus.work("/", lead, abacus.work("-", factor, 1))


def solve(scene: Scene, everyone: list[str], abacus: Abacus) -> None:
    """Follow links from what is known; with a total and nothing known, solve for the first one."""
    if scene.total is not None and not scene.amounts:
        start(scene, everyone, abacus)
    for _ in scene.links:
        for link in scene.links:
            follow(link, scene.amounts, abacus)
    missing = [name for name in everyone if name not in scene.amounts]
    if scene.total is not None and len(missing) == 1 and scene.amounts:
        rest = scene.total
        for value in list(scene.amounts.values()):
            rest = abacus.work("-", rest, value)
        scene.amounts[missing[0]] = rest


def follow(link: tuple[str, str, float, str, float], amounts: dict[str, float], abacus: Abacus) -> None:
    """Work out one side of a link from the other."""
    first, sign, size, second, shift = link
    if first in amounts and second in amounts:
        return
    if second in amounts:
        base = abacus.work("+", amounts[second], shift) if shift else amounts[second]
        made = abacus.work(sign if size >= 0 else "-", base, abs(size))
        amounts[first] = abacus.work("-", made, shift) if shift else made
    elif first in amounts:
        base = abacus.work("+", amounts[first], shift) if shift else amounts[first]
        made = (
            abacus.work("/", base, size)
            if sign == "*"
            else abacus.work("-" if size >= 0 else "+", base, abs(size))
        )
        amounts[second] = abacus.work("-", made, shift) if shift else made


def start(scene: Scene, everyone: list[str], abacus: Abacus) -> None:
    """Express everyone as `a * x + b` of the one all links lead back to and solve `sum = total` for x."""
    firsts = {link[0] for link in scene.links}
    root = next((name for name in everyone if name not in firsts), everyone[0])
    forms: dict[str, tuple[float, float]] = {root: (1.0, 0.0)}
    for _ in scene.links:
        for first, sign, size, second, shift in scene.links:
            if second in forms and first not in forms and not shift:
                a, b = forms[second]
                forms[first] = (
                    (a * size, abacus.work("*", b, size) if b else 0.0) if sign == "*" else (a, b + size)
                )
    constants = [b for _, b in forms.values() if b]
    rest = scene.total or 0.0
    if constants:
        rest = abacus.work("-", rest, added(constants, abacus) or 0.0)
    slope = sum(a for a, _ in forms.values())
    scene.amounts[root] = abacus.work("/", rest, slope)
