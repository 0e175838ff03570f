"""Judge honesty: how often a model that grades agrees with people, what its errors do to a comparison, and people who overrule it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from workshop_lib import catalog
from workshop_lib.errors import DataError
from workshop_lib.evaluation.intervals import Interval, quantile, wilson
from workshop_lib.evaluation.labels import LabelledTicket, relabelled
from workshop_lib.evaluation.sweeps import columns_of
from workshop_lib.tasks import Label
from workshop_lib.tasks.triage import Category, Priority

NO_LABEL = "(none)"
EPSILONS: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


@dataclass(frozen=True)
class Agreement:
    """Judge against gold on one field: how often the same, and Cohen's kappa, which counts only what exceeds chance (1 all, 0 none)."""

    n: int
    agree: int
    share: float
    interval: Interval
    kappa: float


@dataclass(frozen=True)
class JudgeRates:
    """How a judge's verdicts compare with people's: of `right` right answers it passed `passed`, of `wrong` wrong ones it failed `failed`."""

    right: int
    passed: int
    wrong: int
    failed: int

    @property
    def sensitivity(self) -> float:
        """Return the share of right answers that the judge calls right."""
        return self.passed / self.right

    @property
    def specificity(self) -> float:
        """Return the share of wrong answers that the judge calls wrong."""
        return self.failed / self.wrong


@dataclass(frozen=True)
class Corrected:
    """An arm's accuracy as the judge measured it, and as it is once the judge's own error rates are taken out, with an interval for both sources of noise."""

    measured: float
    corrected: float
    low: float
    high: float
    n: int
    rates: JudgeRates

    @property
    def sentence(self) -> str:
        """Return both figures in plain words."""
        return (
            f"The judge calls {self.measured:.1%} of {self.n} answers right; it passes {self.rates.sensitivity:.1%} of right and {1 - self.rates.specificity:.1%} of wrong "
            f"answers (on {self.rates.right + self.rates.wrong} that people graded too), so the accuracy is about {self.corrected:.1%}, 95 % from {self.low:.1%} to {self.high:.1%}."
        )


class Review(BaseModel):
    """One line of a review file: what a person says a ticket is, over whatever the judge said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: Annotated[str, StringConstraints(min_length=1)]
    category: Category
    priority: Priority
    needs_human: bool
    reviewer: str | None = None

    @property
    def label(self) -> Label:
        """Return the three graded fields."""
        return Label(category=self.category, priority=self.priority, needs_human=self.needs_human)


def confusion(gold: Sequence[Any], judged: Sequence[Any], labels: Sequence[Any]) -> pd.DataFrame:
    """Return counts of gold (rows) against the judge (columns), in the order of `labels`; a last column counts items without a valid label.

    Raises ValueError for a value that is in neither `labels` nor missing.
    """
    pairs = list(zip(gold, (NO_LABEL if _missing(value) else value for value in judged), strict=True))
    for value in sorted({str(value) for pair in pairs for value in pair if value not in (*labels, NO_LABEL)}):
        raise ValueError(f"{value!r} is none of the labels {', '.join(str(label) for label in labels)}")
    columns = [*labels, NO_LABEL]
    table = pd.DataFrame(0, index=pd.Index(list(labels), name="gold"), columns=pd.Index(columns, name="judge"))
    for row, column in pairs:
        table.loc[row, column] += 1
    return table


def agreement_with_gold(gold: Sequence[Any], judged: Sequence[Any]) -> Agreement:
    """Return how often the judge says what people say; an item without a valid label is disagreement.

    Kappa = (share - chance) / (1 - chance), NaN if both always say the same one thing. Source: J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46.
    """
    from sklearn.metrics import cohen_kappa_score

    pairs = [(str(one), NO_LABEL if _missing(other) else str(other)) for one, other in zip(gold, judged, strict=True)]
    if not pairs:
        raise ValueError("agreement needs at least one item")
    agree = sum(one == other for one, other in pairs)
    one_thing = len({value for pair in pairs for value in pair}) == 1  # scikit-learn warns and returns NaN
    kappa = float("nan") if one_thing else float(cohen_kappa_score(*zip(*pairs, strict=True)))
    return Agreement(len(pairs), agree, agree / len(pairs), wilson(agree, len(pairs)), kappa)


def judge_rates(gold_right: ArrayLike, judged_right: ArrayLike) -> JudgeRates:
    """Return a judge's rates from answers that both people and the judge graded as right or wrong; raise ValueError without one of each."""
    right, passed = (column.astype(bool) for column in columns_of(gold_right, judged_right))
    if right.all() or not right.any():
        raise ValueError("a judge's rates need answers that are right and answers that are wrong, as people see it")
    return JudgeRates(int(right.sum()), int((right & passed).sum()), int((~right).sum()), int((~right & ~passed).sum()))


def corrected_accuracy(judged_right: int, n: int, rates: JudgeRates, confidence: float = 0.95) -> Corrected:
    """Return the accuracy of an arm of which the judge called `judged_right` of n answers right, given its rates on other, human-graded answers.

    (measured + specificity - 1) / (sensitivity + specificity - 1), cut to 0..1; the interval counts the noise of the n answers and of both rates.
    Raises ValueError for a judge that passes wrong answers at least as often as right ones: nothing can be taken out of that.
    Source: Rogan and Gladen, American J. of Epidemiology 107 (1978) 71-76; interval: Lang and Reiczigel, Preventive Veterinary Medicine 113 (2014) 13-22.
    """
    if not 0 <= judged_right <= n or n == 0:
        raise ValueError(f"judged_right must lie between 0 and n, and n above 0, got {judged_right} of {n}")
    telling = rates.sensitivity + rates.specificity - 1
    if telling <= 0:
        raise ValueError(
            f"this judge passes {rates.sensitivity:.1%} of right and {1 - rates.specificity:.1%} of wrong answers: it cannot tell them apart, and no correction helps"
        )
    z = quantile(confidence)
    measured = judged_right / n
    corrected = (measured + rates.specificity - 1) / telling
    # as in the paper: all three shares drawn towards the middle first, which keeps the interval honest near 0 and 1
    size, p = n + z * z, (judged_right + z * z / 2) / (n + z * z)
    se, sp = (rates.passed + 1) / (rates.right + 2), (rates.failed + 1) / (rates.wrong + 2)
    slope = se + sp - 1
    if slope <= 0:
        return Corrected(measured, _share(corrected), 0.0, 1.0, n, rates)
    centre = (p + sp - 1) / slope
    noise_se, noise_sp = se * (1 - se) / (rates.right + 2), sp * (1 - sp) / (rates.wrong + 2)
    shift = 2 * z * z * (centre * noise_se - (1 - centre) * noise_sp)
    half = z * np.sqrt(p * (1 - p) / size + centre**2 * noise_se + (1 - centre) ** 2 * noise_sp) / slope
    return Corrected(measured, _share(corrected), _share(centre + shift - half), _share(centre + shift + half), n, rates)


def judge_error_simulation(
    first_right: ArrayLike, second_right: ArrayLike, epsilons: Sequence[float] = EPSILONS, *, per: Literal["answer", "item"] = "answer",
    draws: int = 5000, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Return what a judge that errs at random with probability epsilon makes of the difference between two arms on the same items.

    "answer": each verdict is turned over on its own; "item": an item read wrongly turns over the verdicts on both arms. The measured
    difference is (1 - 2 epsilon) times the true one on average. Columns: epsilon, true, measured (mean), low and high (95 % of draws),
    flipped (share of draws in which the other arm looks better), tied.
    """
    one, other = (column.astype(bool) for column in columns_of(first_right, second_right))
    n, generator, rows = len(one), np.random.default_rng(seed), []
    both, mine, theirs = int((one & other).sum()), int((one & ~other).sum()), int((~one & other).sum())
    neither, true = n - both - mine - theirs, mine - theirs
    for epsilon in epsilons:
        if not 0 <= epsilon <= 0.5:
            raise ValueError(f"epsilon is the judge's share of wrong verdicts, from 0 to 0.5, got {epsilon}")

        def turned(count: int, rate: float = epsilon) -> Any:
            return generator.binomial(count, rate, size=draws)

        if per == "item":
            counts = true - 2 * turned(mine) + 2 * turned(theirs)
        else:
            # right verdicts turned over lower an arm's count, wrong ones raise it
            counts = true - turned(both + mine) + turned(theirs + neither) + turned(both + theirs) - turned(mine + neither)
        low, high = np.percentile(counts / n, [2.5, 97.5])
        flipped = float((counts * np.sign(true) < 0).mean()) if true else float("nan")
        rows.append(
            {"epsilon": epsilon, "true": true / n, "measured": (1 - 2 * epsilon) * true / n, "low": float(low), "high": float(high)}
            | {"flipped": flipped, "tied": float((counts == 0).mean())}
        )
    return pd.DataFrame(rows)


def vendor(model: str) -> str:
    """Return who made a model of the catalogue, read off its id: "us.anthropic.claude-opus" and "anthropic.claude-opus" are anthropic's."""
    bare = re.sub(r"^(us|eu|apac|global|jp|au|ca|us-gov)\.", "", catalog.model(model).id)
    return re.split(r"[./]", bare, maxsplit=1)[0]


def same_vendor_warning(judge: str, candidates: Sequence[str]) -> str | None:
    """Return one line of warning if the judge grades models of its own vendor, else None; models by key or id.

    A model tends to prefer what reads like its own. Source: Panickssery, Bowman and Feng, LLM Evaluators Recognize and Favor Their Own Generations, NeurIPS 2024.
    """
    own = [catalog.model(name).key for name in dict.fromkeys(candidates) if vendor(name) == vendor(judge)]
    if not own:
        return None
    return (
        f"The judge {catalog.model(judge).key} and {', '.join(own)} come from the same vendor ({vendor(judge)}): judges tend to favour their own family. "
        "Check a sample by hand or judge again with another vendor's model."
    )


def read_reviews(path: str | Path) -> dict[str, Review]:
    """Return the reviews in a file of JSON lines by item id; raise DataError naming file, line and field of what is broken.

    A line: {"item_id": ..., "category": ..., "priority": ..., "needs_human": ..., "reviewer": ... (may be left out)}. Empty lines are skipped.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8. Save the file with the encoding UTF-8 and try again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check the name and its permissions.") from error
    reviews: dict[str, Review] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            review = Review.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise DataError(f"{path} line {number}: {f'field {field}: ' if field else ''}{first['msg']}. Correct that line and try again.") from error
        if review.item_id in seen:
            raise DataError(f"{path} line {number}: item {review.item_id!r} was reviewed before, at line {seen[review.item_id]}. Keep one line an item.")
        seen[review.item_id] = number
        reviews[review.item_id] = review
    return reviews


def reviewed_labels(tickets: Sequence[LabelledTicket], judge: Mapping[str, Label], reviews: Mapping[str, Review]) -> tuple[LabelledTicket, ...]:
    """Return the tickets with the judge's labels (by ticket id), a person's review first; a ticket with neither is left out.

    Raises DataError if a review names a ticket that is not among them: a typing error there would silently leave the judge's word.
    """
    known = {entry.ticket.id for entry in tickets}
    for item_id in reviews:
        if item_id not in known:
            raise DataError(f"A review names item {item_id!r}, which is none of the {len(known)} judged. Correct the id or take the line out.")
    labels = {**judge, **{item_id: review.label for item_id, review in reviews.items()}}
    return relabelled(tickets, labels)


def _missing(value: Any) -> bool:
    return bool(pd.isna(value))


def _share(value: float) -> float:
    return float(min(1.0, max(0.0, value)))
