"""What an evaluation job wrote, as scores; the members of a line are those of the service's user guide and of published results."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from workshop_lib.cascade.asking import SCORES
from workshop_lib.errors import DataError
from workshop_lib.evaluation.managed.job import COURSE_METRIC
from workshop_lib.evaluation.managed.records import Record, numbered_lines


@dataclass(frozen=True)
class Score:
    """What a judge said of one answer under one metric; `value` is None where it said nothing, which is not a low score.

    `key` is that of the record, `category` and `source` are as exported.
    """

    key: str
    metric: str
    value: float | None
    judge: str
    category: str | None = None
    source: str | None = None
    explanation: str = ""


class _Detail(BaseModel):
    model_config = ConfigDict(extra="ignore")

    modelIdentifier: str = ""
    explanation: str = ""


class _Scored(BaseModel):
    model_config = ConfigDict(extra="ignore")

    metricName: str
    result: float | None = None
    evaluatorDetails: tuple[_Detail, ...] | None = None


class _Result(BaseModel):
    model_config = ConfigDict(extra="ignore")

    scores: tuple[_Scored, ...]


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    automatedEvaluationResult: _Result
    inputRecord: Record


def read_results(path: str | Path, *, normalised: bool = False) -> tuple[Score, ...]:
    """Return the scores in a file of results, or in every `*_output.jsonl` below a folder, as `aws s3 sync` leaves it.

    `normalised` puts scores of the course's metric that the job reported from 0 to 1 back on the scale of 1 to 5; NaN is no score. Raises DataError
    naming file and line of what is broken, of scores of that metric that are on neither scale, and of an answer that was scored twice.
    """
    files = sorted(Path(path).rglob("*_output.jsonl")) if Path(path).is_dir() else [Path(path)]
    if not files:
        raise DataError(f"{path} holds no *_output.jsonl. The job writes it when it has the status Completed; download the whole prefix of its results.")
    scores: list[Score] = []
    seen: set[tuple[str, str, str | None]] = set()
    for file in files:
        for number, line in numbered_lines(file):
            try:
                scores += _scores(_Line.model_validate_json(line), normalised, seen)
            except ValidationError as error:
                first = error.errors()[0]
                raise DataError(f"{file} line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}. Is this the results file of a judged evaluation job?") from error
            except ValueError as error:
                raise DataError(f"{file} line {number}: {error}") from error
    if not scores:
        raise DataError(f"{path} holds no score. Look at the job's failureMessages.")
    return tuple(scores)


def _scores(line: _Line, normalised: bool, seen: set[tuple[str, str, str | None]]) -> list[Score]:
    """Return the scores of a line; raise ValueError for one of an answer and metric that were `seen` before, which would count twice."""
    record = line.inputRecord
    found = []
    for one in line.automatedEvaluationResult.scores:
        detail = (one.evaluatorDetails or (_Detail(),))[0]
        if (told := (record.key, one.metricName, record.source)) in seen:
            raise ValueError(f"a second {one.metricName} score of the answer to {record.prompt[-60:]!r}. Read the folder of one job at a time.")
        seen.add(told)
        given = None if one.result is None or math.isnan(one.result) else one.result
        if given is not None and math.isinf(given):
            raise ValueError(f"the {one.metricName} score {given:g} is no score. Is this the results file of a judged evaluation job?")
        value = _on_scale(given, normalised) if one.metricName == COURSE_METRIC else given
        found.append(Score(record.key, one.metricName, value, detail.modelIdentifier, record.category, record.source, detail.explanation))
    return found


def _on_scale(value: float | None, normalised: bool) -> float | None:
    low, high = min(SCORES), max(SCORES)
    if value is None:
        return None
    scaled = low + (high - low) * value if normalised else value
    if not low <= scaled <= high:
        remedy = "Read it without normalised=True." if normalised else "If the service scaled scores to 0..1, read them with normalised=True."
        raise ValueError(f"the {COURSE_METRIC} score {value:g} lies outside the scale of {low} to {high}. {remedy}")
    return scaled


def results_text(records: Sequence[Record], scores: Sequence[Score]) -> str:
    """Return scores in the form in which a job writes them: a line a record, with a copy of it."""
    by_key: dict[str, list[dict[str, Any]]] = {one.key: [] for one in records}
    for score in scores:
        detail = {"modelIdentifier": score.judge, "explanation": score.explanation}
        by_key[score.key].append({"metricName": score.metric, "result": score.value, "evaluatorDetails": [detail]})
    lines = ({"automatedEvaluationResult": {"scores": by_key[one.key]}, "inputRecord": json.loads(one.line())} for one in records)
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def by_category(scores: Sequence[Score]) -> pd.DataFrame:
    """Return one row for each metric and category: n, unscored, mean and lowest score; the mean leaves out what was not scored."""
    table = pd.DataFrame([{"metric": one.metric, "category": one.category or "", "value": one.value} for one in scores], columns=["metric", "category", "value"])
    grouped = table.astype({"value": float}).groupby(["metric", "category"])["value"]
    return grouped.agg(n="size", unscored=lambda values: int(values.isna().sum()), mean="mean", lowest="min").reset_index()
