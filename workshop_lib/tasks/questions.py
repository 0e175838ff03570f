"""Mixed-difficulty questions: a question in, a short answer with a self-rated confidence from 1 to 5 out."""

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from workshop_lib.llm import Reply, Request
from workshop_lib.tasks.base import ItemId, Task, payload, validate

PROMPT_VERSION = "questions-1"
_NUMBER = re.compile(r"-?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2013\u2212", "''\"\"----")


class Question(BaseModel):
    """One question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: ItemId
    question: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]


class Answer(BaseModel):
    """A short answer and how sure the model says it is, from 1 (a guess) to 5 (certain)."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    answer: Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
    confidence: int = Field(ge=1, le=5)


class Equivalence(BaseModel):
    """When an answer counts as the gold one: equal as numbers within a tolerance, or equal to one of several spellings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["number", "text"]
    tolerance: float = 0.0
    aliases: tuple[str, ...] = ()

    def accepts(self, given: str, gold: str) -> bool:
        """Say whether `given` answers as `gold` does."""
        if self.type == "number":
            got, want = _number(given), _number(gold)
            return got is not None and want is not None and abs(got - want) <= self.tolerance + 1e-9
        return _plain(given) in {_plain(text) for text in (gold, *self.aliases)}


SYSTEM = """Answer the question. Reply with JSON only: {"answer": "<as short as possible>", "confidence": <1 to 5>}.
confidence: 5 = certain, 4 = fairly sure, 3 = could go either way, 2 = mostly guessing, 1 = no idea."""


def request(question: Question) -> Request:
    """Return the request that asks a model one question."""
    return Request(prompt=question.question, system=SYSTEM, max_tokens=120, tags={"question": question.id})


def parse(_question: Question, reply: Reply) -> Answer:
    """Return the answer in a reply; raise InvalidAnswer if there is none."""
    return validate(Answer, payload(reply))


def _number(text: str) -> float | None:
    found = _NUMBER.search(text.translate(_TYPOGRAPHY))
    return float(found.group().replace(",", "")) if found else None


def _plain(text: str) -> str:
    text = "".join(char for char in unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY)) if not unicodedata.combining(char))
    return re.sub(r"^(the|a|an) ", "", " ".join(text.lower().strip(" .!'\"`").split()))


QUESTIONS = Task(
    name="questions",
    prompt_version=PROMPT_VERSION,
    answer_type=Answer,
    item_id=lambda question: question.id,
    request=request,
    parse=parse,
)
