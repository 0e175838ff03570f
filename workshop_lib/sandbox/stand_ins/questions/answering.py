"""The way in: decide what kind of question it is and let the part that understands it best answer."""

import re

from workshop_lib.sandbox.stand_ins.questions.code import run
from workshop_lib.sandbox.stand_ins.questions.expressions import reckon
from workshop_lib.sandbox.stand_ins.questions.facts import recall
from workshop_lib.sandbox.stand_ins.questions.model import Capacity, Guess
from workshop_lib.sandbox.stand_ins.questions.quantities import prepared
from workshop_lib.sandbox.stand_ins.questions.wordproblems import solve

HEAD, TAIL = 1_100, 500
LETTERS = re.compile(r"how many letters (?:are )?(?:there )?(?:in|does)|number of letters in", re.IGNORECASE)
RECALLS = re.compile(
    r"\b(?:http|status|year|port|symbol|atomic|roman|who|capital|currency|born|century|stands? for|ipv[46]|theorem|element)\b",
    re.IGNORECASE,
)
CODE = re.compile(r"`|^>>> |\b[a-z_]+\([^)]|['\"]\)?\.\w+\(|\]\[|\bin python\b", re.MULTILINE | re.IGNORECASE)
COUNTS = re.compile(
    r"\bhow (?:many|much|long|far|old|tall|fast|often)\b|\b(?:total|change|altogether|percent\w*|average|cost|speed|price)\b|%|\bwhat time\b",
    re.IGNORECASE,
)
EACH_OF = re.compile(r"\bhow many \w+ (?:do|are (?:there )?(?:on|in)|have|would) (\d+) (?=[a-z])")


def answer(question: str, capacity: Capacity) -> Guess:
    """Answer a question with a confidence of 1..5; never raises, the same question gives the same guess."""
    question = shortened(question)
    if not question.strip():
        return Guess("unknown", 1, "There is no question.")
    guess = run(question, capacity) if CODE.search(question) else None
    guess = guess or reckon(question, capacity) or worded(question, capacity) or run(question, capacity)
    return guess or Guess("unknown", 1, "I cannot make anything of this.")


def shortened(question: str) -> str:
    """Keep the beginning and the end of an overlong question."""
    question = question.encode("utf-8", "replace").decode("utf-8")
    return question if len(question) <= HEAD + TAIL else question[:HEAD] + " " + question[-TAIL:]


def worded(question: str, capacity: Capacity) -> Guess | None:
    """Choose between a fact and a word problem by what the question contains."""
    numbers = len(re.findall(r"\d+(?:[.,:]\d+)*|\b(?:twice|half|double)\b", prepared(question)))
    if LETTERS.search(question) and (inner := recall(LETTERS.sub("what is", question), capacity)):
        return letters(inner, capacity)
    fact = recall(question, capacity) if numbers < 2 or RECALLS.search(question) else None
    if numbers == 1 and COUNTS.search(question):
        counted = solve(question, capacity) or manifold(question, capacity)
        if counted:
            return counted
    if fact and (
        fact.confidence >= 4 or numbers == 0 or (RECALLS.search(question) and not COUNTS.search(question))
    ):
        return fact
    return (solve(question, capacity) if numbers else None) or fact or recall(question, capacity)


def manifold(question: str, capacity: Capacity) -> Guess | None:
    """Answer 'how many legs do 4 spiders have': a recalled number times a given one; None without such a number."""
    text = prepared(question)
    found = EACH_OF.search(text)
    one = (
        recall(EACH_OF.sub(lambda match: match.group(0).replace(match.group(1), "one"), text), capacity)
        if found
        else None
    )
    if found is None or one is None or not one.answer.isdigit():
        return None
    if capacity.steps < 2:
        return one
    return Guess(
        str(int(one.answer) * int(found.group(1))),
        one.confidence,
        f"{one.working} {found.group(1)} times that.",
    )


def letters(inner: Guess, capacity: Capacity) -> Guess:
    """Count the letters of a recalled name; a one-step model has no step left for that."""
    if capacity.steps < 2:
        return inner
    count = sum(sign.isalpha() for sign in inner.answer)
    return Guess(str(count), inner.confidence, f"{inner.working} {inner.answer} has {count} letters.")
