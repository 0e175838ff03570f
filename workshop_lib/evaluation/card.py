"""The generated parts of docs/sandbox.md: what every stand-in scores on a split, measured by asking it, and the tables of what is honoured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from workshop_lib import catalog
from workshop_lib.errors import DataError
from workshop_lib.evaluation.labels import FIELDS, LabelledQuestion, LabelledTicket, QuestionSplit, load_questions, load_tickets
from workshop_lib.evaluation.metrics import ece, wilson
from workshop_lib.paths import ROOT
from workshop_lib.sandbox import engine
from workshop_lib.sandbox.ask import Ask, ToolSpec, Turn
from workshop_lib.sandbox.batch import support as batch_support
from workshop_lib.sandbox.bedrock import support as bedrock_support
from workshop_lib.sandbox.chat import support as chat_support
from workshop_lib.sandbox.reading import as_object
from workshop_lib.tasks import QUESTIONS, TRIAGE

PAGE = ROOT / "docs" / "sandbox.md"
BEGIN = "<!-- measured by: workshop sandbox card -->"
END = "<!-- end of what was measured -->"
TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "workshop_lib/sandbox/bedrock/support.py": bedrock_support.markdown,
    "workshop_lib/sandbox/batch/support.py": batch_support.markdown,
    "workshop_lib/sandbox/chat/support.py": chat_support.markdown,
}
"""The modules whose tables stand in the page, each between comments that name it."""
END_OF_TABLE = "<!-- end of what was written -->"
MIN_STEP = 4.0
"""Points of category accuracy that each step of the ladder must gain at least."""
MIN_ECE = 0.05
"""The expected calibration error above which the small stand-in counts as over-confident."""
_LADDER = ("small", "medium", "large")
_KINDS = ("fact", "one_step", "multi_step", "code")
_DIGEST = bytes(16)  # no draw is made: the tool is strict and the temperature is 0


@dataclass(frozen=True)
class Score:
    """How one stand-in did on labelled tickets: one entry a ticket."""

    capacity: str
    right: dict[str, list[bool]]
    confidence: list[float]

    @property
    def all_three(self) -> list[bool]:
        """Say for every ticket whether all three fields are right."""
        return [all(row) for row in zip(*(self.right[name] for name in FIELDS), strict=True)]

    @property
    def accuracy(self) -> float:
        """Return the share of right categories in percent."""
        return 100 * sum(self.right["category"]) / len(self.right["category"])


def card(split: QuestionSplit = "test") -> str:
    """Return the measured part of the model card for a split."""
    tickets, questions = load_tickets(split), load_questions(split)
    scores = [score(capacity, tickets) for capacity in (*_LADDER, "judge")]
    families = len({entry.family for entry in tickets})
    lines = [
        f"Measured on the {split} split: {len(tickets)} tickets of {families} scenario families and {len(questions)} questions, none of them seen in training. Shares in percent with 95 % Wilson intervals. Source: sandbox.",
        "",
        "| triage stand-in | plays | category | priority | needs_human | all three | mean confidence | calibration error |",
        "|---|---|---|---|---|---|---|---|",
        *(_triage_row(one) for one in scores),
        "",
        *ladder(scores),
        "",
        f"| question stand-in | plays | {' | '.join(_KINDS)} | all | mean confidence (1 to 5) |",
        f"|---|---|{'---|' * (len(_KINDS) + 2)}",
        *(_question_row(knowledge, steps, questions) for knowledge, steps in _question_capacities()),
    ]
    return "\n".join(lines)


def score(capacity: str, tickets: Sequence[LabelledTicket]) -> Score:
    """Ask one triage stand-in about tickets, through the labs' own prompt and a strict tool, so that no quirk interferes."""
    model = next(model for model in catalog.models().values() if model.stand_in.triage == capacity)
    right: dict[str, list[bool]] = {name: [] for name in FIELDS}
    confidence = []
    for entry in tickets:
        request = TRIAGE.request(entry.ticket)
        assert request.tool is not None
        tool = ToolSpec(request.tool.name, request.tool.description, request.tool.schema, strict=True)
        asked = Ask(model, (Turn("user", request.prompt),), _DIGEST, request.system or "", (tool,), "tool", tool.name)
        said = engine.complete(asked).tool_input
        for name in FIELDS:
            right[name].append(said[name] == getattr(entry.label, name))
        confidence.append(float(said["confidence"]))
    return Score(capacity, right, confidence)


def ladder(scores: Sequence[Score]) -> list[str]:
    """Return, as sentences, whether the ladder climbs by MIN_STEP points a step and whether the small stand-in is over-confident."""
    by_name = {one.capacity: one for one in scores}
    steps = [by_name[high].accuracy - by_name[low].accuracy for low, high in pairwise(_LADDER)]
    climbs = all(step >= MIN_STEP for step in steps)
    small = by_name["small"]
    error, mean = ece(small.confidence, small.right["category"]), 100 * sum(small.confidence) / len(small.confidence)
    over = error > MIN_ECE and mean > small.accuracy
    chain = " < ".join(f"{name} {by_name[name].accuracy:.1f}" for name in _LADDER)
    return [
        f"- Ladder on category: {chain}; steps {', '.join(f'{step:+.1f}' for step in steps)} points, at least {MIN_STEP:g} wanted: {'holds' if climbs else 'DOES NOT HOLD'}.",
        f"- Over-confidence of small: it says {mean:.1f} % on average and is right in {small.accuracy:.1f} %, calibration error {error:.3f}, above {MIN_ECE:g} wanted: {'holds' if over else 'DOES NOT HOLD'}.",
    ]


def write() -> list[str]:
    """Measure, and put the result and the tables into docs/sandbox.md; return what does not hold, one line each."""
    measured = card()
    PAGE.write_text(_inserted(measured), encoding="utf-8")
    return _failures(measured)


def check() -> list[str]:
    """Measure, and return what does not hold or is out of date in docs/sandbox.md, one line each."""
    measured = card()
    stale = [] if _page() == _inserted(measured) else ["docs/sandbox.md is out of date. Run: workshop sandbox card"]
    return stale + _failures(measured)


def _failures(measured: str) -> list[str]:
    return [line.removeprefix("- ") for line in measured.splitlines() if "DOES NOT HOLD" in line]


def _page() -> str:
    try:
        return PAGE.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"docs/sandbox.md cannot be read ({error.strerror}). Restore it with: git checkout docs/sandbox.md"
        ) from error


def _inserted(measured: str) -> str:
    page = _between(_page(), BEGIN, END, measured)
    for module, lines in TABLES.items():
        page = _between(page, f"<!-- written from: {module} -->", END_OF_TABLE, "\n".join(lines()))
    return page


def _between(page: str, opening: str, closing: str, text: str) -> str:
    before, begin, rest = page.partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise DataError(
            f"docs/sandbox.md has lost the two comments {opening} and {closing} between which it is written. Restore it with: git checkout docs/sandbox.md"
        )
    return f"{before}{opening}\n{text}\n{closing}{after}"


def _triage_row(one: Score) -> str:
    plays = ", ".join(model.name for model in catalog.models().values() if model.stand_in.triage == one.capacity)
    shares = [_share(one.right[name]) for name in FIELDS] + [_share(one.all_three)]
    mean = sum(one.confidence) / len(one.confidence)
    return f"| {one.capacity} | {plays} | {' | '.join(shares)} | {mean:.2f} | {ece(one.confidence, one.right['category']):.3f} |"


def _question_capacities() -> list[tuple[int, int]]:
    return sorted({(model.stand_in.knowledge, model.stand_in.steps) for model in catalog.models().values()})


def _question_row(knowledge: int, steps: int, questions: Sequence[LabelledQuestion]) -> str:
    players = [
        model for model in catalog.models().values() if (model.stand_in.knowledge, model.stand_in.steps) == (knowledge, steps)
    ]
    right: dict[str, list[bool]] = {kind: [] for kind in _KINDS}
    confidence = []
    for entry in questions:
        answer, sure = _asked(players[0], entry)
        right[entry.kind].append(entry.equivalence.accepts(answer, entry.answer))
        confidence.append(sure)
    shares = [_share(right[kind]) for kind in _KINDS] + [_share([one for kind in _KINDS for one in right[kind]])]
    mean = sum(confidence) / len(confidence)
    return f"| knowledge {knowledge}, steps {steps} | {', '.join(model.name for model in players)} | {' | '.join(shares)} | {mean:.2f} |"


def _asked(model: catalog.Model, entry: LabelledQuestion) -> tuple[str, int]:
    request = QUESTIONS.request(entry.question)
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "confidence": {"type": "integer", "minimum": 1, "maximum": 5}},
    }
    asked = Ask(model, (Turn("user", request.prompt),), _DIGEST, request.system or "", schema=schema, schema_enforced=True)
    said = as_object(engine.complete(asked).text) or {}
    return str(said["answer"]), int(said["confidence"])


def _share(right: Sequence[bool]) -> str:
    low, high = wilson(sum(right), len(right))
    return f"{100 * sum(right) / max(1, len(right)):.1f} [{100 * low:.0f}, {100 * high:.0f}]"
