"""The same judging done here: each record of a dataset graded by a model of the cascade, with the prompt that the job would use, and both compared."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isnan

from workshop_lib import catalog
from workshop_lib.cascade.asking import Grade, grading_request
from workshop_lib.evaluation.intervals import Interval
from workshop_lib.evaluation.judging import JudgeRates, agreement_with_gold, judge_rates
from workshop_lib.evaluation.managed.job import COURSE_METRIC
from workshop_lib.evaluation.managed.records import Record
from workshop_lib.evaluation.managed.results import Score
from workshop_lib.llm import Ask, Cost, InvalidAnswer, Request, price
from workshop_lib.llm.tokens import input_tokens, output_tokens
from workshop_lib.llm.types import Usage
from workshop_lib.tasks.base import payload, validate


@dataclass(frozen=True)
class Judged:
    """The scores of a dataset and what the judge's calls cost."""

    scores: tuple[Score, ...]
    cost: Cost


@dataclass(frozen=True)
class Compared:
    """Two judgings of the same answers: on how many both gave a score, how often they agree that an answer passes, and their mean scores.

    `first_rates` and `second_rates` compare each with people's labels, where those were given and hold right and wrong answers.
    """

    n: int
    same: float
    interval: Interval
    kappa: float
    first_mean: float
    second_mean: float
    first_rates: JudgeRates | None = None
    second_rates: JudgeRates | None = None

    @property
    def sentence(self) -> str:
        """Return the comparison in plain words."""
        low, high = self.interval
        kappa = "not defined, as all verdicts are one" if isnan(self.kappa) else f"{self.kappa:.2f}"
        said = f"On {self.n} answers both judgings agree whether it passes on {self.same:.1%} (95 % from {low:.1%} to {high:.1%}), kappa {kappa}; mean scores {self.first_mean:.2f} and {self.second_mean:.2f}."
        if self.first_rates is None or self.second_rates is None:
            return said
        first, second = self.first_rates, self.second_rates
        return f"{said} Of {first.wrong} wrong answers the first fails {first.failed} and the second {second.failed}; of {first.right} right ones they pass {first.passed} and {second.passed}."


def judge_here(records: Sequence[Record], judge: str, ask: Ask, concurrency: int = 8) -> Judged:
    """Return the judge's score of every record, in their order; an invalid verdict is a score of None and is charged all the same.

    Raises ValueError for a record without a response, and CallError of the first call that fails.
    """
    pairs = [(one, _request(one)) for one in records]
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="judge") as pool:
        replies = list(pool.map(lambda pair: ask(judge, pair[1]), pairs))
    scores = []
    for (one, _), reply in zip(pairs, replies, strict=True):
        value, explanation = None, ""
        try:
            fields = payload(reply)
            value, explanation = float(validate(Grade, fields).score), str(fields.get("why", ""))
        except InvalidAnswer as error:
            explanation = f"no verdict: {error}"
        scores.append(Score(one.key, COURSE_METRIC, value, reply.model, one.category, one.source, explanation))
    return Judged(tuple(scores), Cost.total(reply.cost for reply in replies))


def estimated_cost(records: Sequence[Record], judge: str) -> Cost:
    """Return about what the judge's tokens cost, for one metric: told from the lengths of the texts, at the catalogue's prices."""
    entry = catalog.model(judge)
    usages = [Usage(round(input_tokens(entry, request)), output_tokens(request)) for request in map(_request, records)]
    return Cost.total(price(entry, usage) for usage in usages)


def compare_judgings(
    first: Sequence[Score], second: Sequence[Score], *, metric: str = COURSE_METRIC, passes: float = 4, right: Mapping[str, bool] | None = None
) -> Compared:
    """Return how two judgings of one dataset compare under a metric; an answer passes that scores `passes` or more.

    `right` says by record key what people say of the answers. Raises ValueError if no record was scored by both.
    """
    one, other = ({score.key: score.value for score in scores if score.metric == metric and score.value is not None} for scores in (first, second))
    both = sorted(one.keys() & other.keys())
    if not both:
        raise ValueError(f"no answer was scored by both under {metric}; were they exported from the same sample?")
    agreed = agreement_with_gold([one[key] >= passes for key in both], [other[key] >= passes for key in both])
    graded = [key for key in both if right is not None and key in right]
    gold = [right[key] for key in graded] if right is not None else []
    rates = [judge_rates(gold, [scores[key] >= passes for key in graded]) if any(gold) and not all(gold) else None for scores in (one, other)]
    means = [sum(scores[key] for key in both) / len(both) for scores in (one, other)]
    return Compared(len(both), agreed.share, agreed.interval, agreed.kappa, means[0], means[1], rates[0], rates[1])


def _request(record: Record) -> Request:
    if record.modelResponses is None:
        raise ValueError(f"the record with the prompt {record.prompt[-60:]!r} has no response to judge")
    return grading_request(record.prompt, record.modelResponses[0].response, {"record": record.key})
