"""The parts of deploy/ that follow from the library: models from the catalogue, alarms and dashboard from the list of metrics, the machine for many tickets."""

import json
import re
from pathlib import Path
from typing import Any

from workshop_lib import catalog
from workshop_lib.cloud.definition import DEPLOY
from workshop_lib.cloud.many import many_tickets
from workshop_lib.errors import DataError
from workshop_lib.metrics.alarms import ALARMS, Alarm
from workshop_lib.metrics.dashboard import dashboard
from workshop_lib.paths import ROOT

TEMPLATE = DEPLOY / "template.yaml"
MODELS, WATCHED = "data/models.toml", "workshop_lib/metrics"
NEEDED = (
    "annotated-types", "boto3", "botocore", "jmespath", "pydantic", "pydantic-core", "pydantic-settings", "python-dateutil", "python-dotenv", "s3transfer", "six",
    "tenacity", "typing-extensions", "typing-inspection", "urllib3",
)  # fmt: skip
"""What the functions import, and what that needs; numbers and notebooks are not among it, so that a function starts quickly."""
_TIERS, _JUDGES = ("${CheapTier}", "${StrongTier}"), ("${JudgeTier}",)
_NAMESPACE = "CascadeWorkshop/${AWS::StackName}"


def rendered() -> dict[Path, str]:
    """Return what each generated file should hold; raise DataError if the template has lost a place to write to."""
    template = TEMPLATE.read_text(encoding="utf-8")
    template = _replaced(template, MODELS, _models())
    template = _replaced(template, WATCHED, "".join([*(_alarm(alarm) for alarm in ALARMS), _dashboard()]))
    return {
        TEMPLATE: template,
        DEPLOY / "tickets.asl.json": json.dumps(many_tickets(), indent=2) + "\n",
        DEPLOY / "requirements.txt": _requirements(),
    }


def render() -> list[str]:
    """Write the generated parts of deploy/; return no problems."""
    for path, text in rendered().items():
        path.write_text(text, encoding="utf-8")
    return []


def check() -> list[str]:
    """Return a line for each generated file that is not up to date."""
    return [f"deploy/{path.name} is not up to date. Run: workshop cloud render" for path, text in rendered().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def _replaced(template: str, source: str, text: str) -> str:
    marks = re.compile(rf"(?<=# written from: {re.escape(source)}\n).*?(?=^ *# end of what was written$)", re.DOTALL | re.MULTILINE)
    if not marks.search(template):
        raise DataError(f"{TEMPLATE} has no lines '# written from: {source}' and '# end of what was written'. Restore it with: git checkout deploy")
    return marks.sub(lambda _: text, template, count=1)


def _requirements() -> str:
    """Return the pins and hashes of what the functions need, as they stand in the lock."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = {name: block for block, name in re.findall(r"^(([a-z0-9._-]+)==.*?(?:\\\n.*?)*)\n(?=\S|\Z)", lock, re.MULTILINE)}
    missing = [name for name in NEEDED if name not in blocks]
    if missing:
        raise DataError(f"requirements.lock has no {missing[0]}, which the functions need. Lock it again, as CONTRIBUTING.md says.")
    return "# Written from requirements.lock by `workshop cloud render`.\n" + "".join(f"{blocks[name]}\n" for name in NEEDED)


def _models() -> str:
    """Return the mapping of Bedrock models; a model behind a profile has its own id without the profile's region."""
    lines = ["Mappings:\n", "  Models:\n"]
    for key, model in catalog.models().items():
        if model.provider == "bedrock":
            foundation = model.id.removeprefix("us.") if model.needs_inference_profile else model.id
            lines.append(f'    {key}: {{Id: "{model.id}", Foundation: "{foundation}", Profile: "{"yes" if model.needs_inference_profile else "no"}"}}\n')
    return "".join(lines)


def _alarm(alarm: Alarm) -> str:
    statistic = "Statistic" if alarm.statistic in ("Average", "Sum") else "ExtendedStatistic"
    return f"""  {alarm.name}Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: {alarm.about}
      Namespace: !Sub "{_NAMESPACE}"
      MetricName: {alarm.metric.name}
      {statistic}: {alarm.statistic}
      Period: {alarm.period_s}
      EvaluationPeriods: {alarm.periods}
      Threshold: !Ref {alarm.limit}
      ComparisonOperator: {alarm.beyond}
      TreatMissingData: notBreaching
      AlarmActions: !If [HasTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]
"""


def _dashboard() -> str:
    body: dict[str, Any] = dashboard(_TIERS, _JUDGES, namespace=_NAMESPACE, region="${AWS::Region}")
    lines = [f"          {json.dumps(widget)}{',' if at < len(body['widgets']) - 1 else ''}\n" for at, widget in enumerate(body["widgets"])]
    head = "  Dashboard:\n    Type: AWS::CloudWatch::Dashboard\n    Properties:\n      DashboardName: !Sub \"${AWS::StackName}-${AWS::Region}\"\n      DashboardBody: !Sub |\n        {\"widgets\": [\n"
    return head + "".join(lines) + "        ]}\n"
