"""The request of an evaluation job, checked against the service's own model of it before anything is sent."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from workshop_lib import catalog
from workshop_lib.cascade.asking import SCORES, judge_instructions
from workshop_lib.errors import DataError

if TYPE_CHECKING:
    from botocore.model import Shape

COURSE_METRIC = "course-judge"
"""Name of the metric that asks the judge what a JudgeGate asks it, on the same scale of 1 to 5."""
JUDGE_METRICS = (
    "Builtin.Correctness", "Builtin.Completeness", "Builtin.Faithfulness", "Builtin.Helpfulness", "Builtin.Coherence", "Builtin.Relevance",
    "Builtin.FollowingInstructions", "Builtin.ProfessionalStyleAndTone", "Builtin.Harmfulness", "Builtin.Stereotyping", "Builtin.Refusal",
)  # fmt: skip
"""Metrics of a judge that the service brings along; named in its model of the request, the last three in its user guide."""
AUTOMATED_METRICS = ("Builtin.Accuracy", "Builtin.Robustness", "Builtin.Toxicity")
"""Metrics that are computed without a judge."""
JUDGED_TASK = "General"
"""Task type of a judged job as all published examples have it; the service's model of the request lists others only and calls it ignored elsewhere."""

Request = dict[str, Any]


def judged_job(
    name: str, *, role_arn: str, dataset_uri: str, output_uri: str, source: str, judge: str, metrics: Sequence[str] = (COURSE_METRIC,), tags: Mapping[str, str] | None = None,
) -> Request:  # fmt: skip
    """Return the request of a job in which `judge` scores the responses in a dataset; no other model is asked.

    `source` is the label of the responses (`Record.source`), `judge` a Bedrock model of the catalogue. Raises ValueError for what the service
    would refuse, as far as its model of the request says.
    """
    unknown = [metric for metric in metrics if metric not in (COURSE_METRIC, *JUDGE_METRICS)]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no metric of a judge; choose among {COURSE_METRIC}, {', '.join(JUDGE_METRICS)}")
    judges = {"bedrockEvaluatorModels": [{"modelIdentifier": _bedrock(judge)}]}
    automated = _automated(JUDGED_TASK, name, dataset_uri, metrics)
    if any(metric in JUDGE_METRICS for metric in metrics):
        automated["evaluatorModelConfig"] = judges
    if COURSE_METRIC in metrics:
        automated["customMetricConfig"] = {"customMetrics": [{"customMetricDefinition": course_metric()}], "evaluatorModelConfig": judges}
    responses = {"precomputedInferenceSource": {"inferenceSourceIdentifier": source}}
    return checked(_request(name, role_arn, output_uri, automated, responses, tags))


def automated_job(
    name: str, *, role_arn: str, dataset_uri: str, output_uri: str, model: str, metrics: Sequence[str] = ("Builtin.Accuracy",), task_type: str = "Classification",
    tags: Mapping[str, str] | None = None,
) -> Request:  # fmt: skip
    """Return the request of a job in which the service asks `model` the prompts of a dataset and compares with the references, without a judge.

    The model gets the prompt as plain text: neither the tool nor the cascade is in the loop. Raises ValueError as `judged_job`.
    """
    unknown = [metric for metric in metrics if metric not in AUTOMATED_METRICS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not computed without a judge; choose among {', '.join(AUTOMATED_METRICS)}")
    asked = {"bedrockModel": {"modelIdentifier": _bedrock(model)}}
    return checked(_request(name, role_arn, output_uri, _automated(task_type, name, dataset_uri, metrics), asked, tags))


def course_metric() -> Request:
    """Return the definition of the metric that asks what a JudgeGate asks; the service fills in the names in double braces."""
    scale = [{"definition": words, "value": {"floatValue": float(score)}} for score, words in SCORES.items()]
    return {"name": COURSE_METRIC, "instructions": judge_instructions("{{prompt}}", "{{prediction}}"), "ratingScale": scale}


def checked(request: Request) -> Request:
    """Return a request that the service's model of it allows; raise ValueError naming the first member it does not.

    Types and required members are checked by botocore; patterns and lengths, which botocore leaves to the service, are checked here.
    """
    from botocore.validate import ParamValidator

    shape = _shape()
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise ValueError(f"not a request of CreateEvaluationJob: {report.generate_report().splitlines()[0]}")
    for where, problem in _beyond(request, shape, ""):
        raise ValueError(f"{where}: {problem}")
    return request


@cache
def _shape() -> "Shape":
    import botocore.session  # loads a model of half a second

    shape = botocore.session.Session().get_service_model("bedrock").operation_model("CreateEvaluationJob").input_shape
    assert shape is not None  # this operation has a body
    return shape


def _beyond(value: Any, shape: Any, where: str) -> Iterator[tuple[str, str]]:
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _beyond(member, shape.members[name], f"{where}.{name}".lstrip("."))
    elif shape.type_name == "list":
        if len(value) > shape.metadata.get("max", len(value)):
            yield where, f"{len(value)} members, and {shape.metadata['max']} at most are allowed"
        for place, member in enumerate(value):
            yield from _beyond(member, shape.member, f"{where}[{place}]")
    elif shape.type_name == "string":
        most, pattern = shape.metadata.get("max"), shape.metadata.get("pattern")
        if most is not None and len(value) > most:
            yield where, f"{len(value)} characters, and {most} at most are allowed"
        if pattern is not None and re.fullmatch(pattern, value) is None:
            yield where, f"{value!r} does not have the form {pattern if len(pattern) < 100 else 'that the service asks for'}"


def _automated(task_type: str, name: str, dataset_uri: str, metrics: Sequence[str]) -> Request:
    data = {"name": name, "datasetLocation": {"s3Uri": dataset_uri}}
    return {"datasetMetricConfigs": [{"taskType": task_type, "dataset": data, "metricNames": list(metrics)}]}


def _request(name: str, role_arn: str, output_uri: str, automated: Request, asked: Request, tags: Mapping[str, str] | None) -> Request:
    request: Request = {
        "jobName": name, "roleArn": role_arn, "applicationType": "ModelEvaluation", "evaluationConfig": {"automated": automated},
        "inferenceConfig": {"models": [asked]}, "outputDataConfig": {"s3Uri": output_uri},
    }  # fmt: skip
    return {**request, "jobTags": [{"key": key, "value": value} for key, value in tags.items()]} if tags else request


def _bedrock(name: str) -> str:
    entry = catalog.model(name)
    if entry.provider != "bedrock":
        raise DataError(f"{name} is not on Bedrock, and an evaluation job asks models there only. Name another model.")
    return entry.id
