"""What deploy/ asks of an account: a template without faults, roles that may do no more than they must, and parts that follow from the library."""

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from template import Resolved, listed, source

from workshop_lib import catalog
from workshop_lib.cloud import render
from workshop_lib.cloud.definition import DEPLOY, FUNCTIONS, machine
from workshop_lib.cloud.deployment import PREFIX, Deployment
from workshop_lib.cloud.history import edges
from workshop_lib.cloud.recheck import Recheck, recheck
from workshop_lib.cloud.wire import RETRIED_CODES, RETRIED_KINDS, RETRIES, StateName
from workshop_lib.errors import DataError
from workshop_lib.metrics import METRICS, dashboard
from workshop_lib.metrics.alarms import ALARMS
from workshop_lib.paths import ROOT

RECHECKED = {"RecheckSchedule": "cron(0 4 ? * MON *)"}
GUARDED = {"GuardrailId": "abc123", "GuardrailVersion": "1"}
PROFILE = "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6"
NANO = "arn:aws:bedrock:us-west-2::foundation-model/nvidia.nemotron-nano-3-30b"
BEDROCK = {
    "RecheckRole": {"bedrock:CreateEvaluationJob", "bedrock:TagResource"},
    "EvaluationRole": {"bedrock:InvokeModel", "bedrock:CreateModelInvocationJob", "bedrock:StopModelInvocationJob", "bedrock:GetInferenceProfile"},
}
MACHINES: list[Any] = ["ticket", "tickets"]


@pytest.mark.slow
def test_template_is_clean() -> None:
    """Without it the first deployment would find the template's mistakes."""
    done = subprocess.run([str(Path(sys.executable).parent / "cfn-lint"), "--", str(render.TEMPLATE)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("name", MACHINES)
def test_machines_follow_the_language(name: Any) -> None:
    """Without it a state machine that the emulator forgives could be refused by the service."""
    spec = find_spec("cfnlint")  # found, not imported: that takes seconds
    assert spec is not None
    path = Path(str(spec.origin)).parent / "data/schemas/other/step_functions/statemachine.json"
    schema = json.loads(path.read_text(encoding="utf-8"), object_hook=_succeeds)
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert not [error.message for error in validator.iter_errors(machine(name))]


def _succeeds(part: dict[str, Any]) -> dict[str, Any]:
    """Allow OutputPath in a Succeed state: the language has it for JSONPath, the linter's schema knows only the member for JSONata."""
    if part.get("properties", {}).get("Type", {}).get("enum") == ["Succeed"]:
        part["properties"]["OutputPath"] = {"type": "string"}
    return part


def test_every_state_is_reached_and_every_target_exists() -> None:
    """Without it a typing error would be found by the first ticket that comes that way."""
    definition = machine("ticket")
    targets = {other for _, other, _ in edges(definition)} | {definition["StartAt"]}
    assert targets == set(definition["States"])


def test_functions_name_only_states_that_the_choice_lists() -> None:
    """Without it functions and machine could disagree on a name, and a ticket would end in UnknownState."""
    listed_states = [choice["StringEquals"] for choice in machine("ticket")["States"]["WhatNext"]["Choices"]]
    assert set(listed_states) == set(get_args(StateName))


def test_tasks_retry_what_the_functions_believe_they_retry() -> None:
    """Without it a failure's number of attempts, and with it the metrics, would be wrong; and jitter could be lost."""
    states = machine("ticket")["States"]
    for name in ("CheapTier", "StrongTier"):
        (retry,) = states[name]["Retry"]
        assert retry["ErrorEquals"] == [f"BedrockRuntime.{code}" for code in RETRIED_CODES]
        assert (retry["MaxAttempts"], retry["JitterStrategy"], retry["IntervalSeconds"]) == (RETRIES, "FULL", 1)
    for name in ("CheapTierByFunction", "StrongTierByFunction", "Judge"):
        (retry,) = states[name]["Retry"]
        assert {f"Model.{kind}" for kind in RETRIED_KINDS} <= set(retry["ErrorEquals"])
        assert (retry["MaxAttempts"], retry["JitterStrategy"]) == (RETRIES, "FULL")
    assert all("Catch" in states[name] for name in ("CheapTier", "StrongTier", "CheapTierByFunction", "StrongTierByFunction", "Judge"))


def test_generated_parts_are_up_to_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it a price table, a metric or the machine for one ticket could change and deploy/ would not; or the check could see nothing."""
    assert render.check() == []
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    changed = tmp_path / "deploy" / "template.yaml"
    monkeypatch.setattr(render, "TEMPLATE", changed)
    monkeypatch.setattr(render, "DEPLOY", changed.parent)
    changed.write_text(changed.read_text(encoding="utf-8").replace("MetricName: Escalated", "MetricName: Escalations"), encoding="utf-8")
    assert render.check() == ["deploy/template.yaml is not up to date. Run: workshop cloud render"]
    changed.write_text("Resources: {}\n", encoding="utf-8")
    with pytest.raises(DataError, match="written from"):
        render.check()


def test_models_are_those_of_the_catalogue() -> None:
    """Without it the roles could name a model that the functions do not ask."""
    mapping = source()["Mappings"]["Models"]
    assert {key: entry["Id"] for key, entry in mapping.items()} == {key: one.id for key, one in catalog.models().items() if one.provider == "bedrock"}
    for tier in ("CheapTier", "StrongTier", "JudgeTier"):
        assert source()["Parameters"][tier]["AllowedValues"] == list(mapping)


@pytest.mark.parametrize("parameters", [{}, GUARDED, {"CheapTier": "sonnet", "StrongTier": "opus"}, {"StrongTier": "super", "JudgeTier": "nano"}, RECHECKED, RECHECKED | {"RecheckTier": "super"}])
def test_no_role_may_do_more_than_it_must(parameters: dict[str, str]) -> None:
    """Without it a star could slip into a policy and give a function every model, or every bucket, of the account."""
    resolved = Resolved(**parameters)
    for role, statement in resolved.statements():
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in actions), role
        if any(resource == "*" for resource in resources):
            assert role == "MachineRole"
            assert all(re.fullmatch(r"logs:\w*(LogDelivery|LogDeliveries|ResourcePolic(y|ies)|DescribeLogGroups)", action) for action in actions)
        if any(action.startswith("bedrock:") for action in actions):
            assert set(actions) <= BEDROCK.get(role, {"bedrock:InvokeModel", "bedrock:ApplyGuardrail"})
            jobs = "arn:aws:bedrock:us-west-2:123456789012:evaluation-job/*"  # a job has no name before it is made
            assert not any("*" in resource for resource in resources if (role, resource) != ("RecheckRole", jobs)), role
            if any(re.search(r":us-east-\d::", resource) for resource in resources):
                assert "bedrock:InferenceProfileArn" in statement["Condition"]["StringEquals"]


def test_without_a_guardrail_the_machine_asks_the_tiers_and_nobody_else_does() -> None:
    """Without it the tasks would be refused, or a function could go around the machine."""
    resolved = Resolved()
    asked = resolved.allowed("MachineRole", "bedrock:InvokeModel")
    regions = {f"arn:aws:bedrock:{region}::foundation-model/anthropic.claude-sonnet-4-6" for region in ("us-east-1", "us-east-2", "us-west-2")}
    assert asked == {NANO, PROFILE, *regions}
    assert resolved.allowed("TierRole", "bedrock:InvokeModel") == set()
    assert {arn for arn in resolved.allowed("JudgeRole", "bedrock:InvokeModel") if "opus" not in arn} == set()
    assert "bedrock:ApplyGuardrail" not in str(resolved.statements())


def test_with_a_guardrail_only_the_functions_ask_and_apply_it() -> None:
    """Without it a call could be made that the guardrail never saw."""
    resolved = Resolved(**GUARDED)
    guardrail = "arn:aws:bedrock:us-west-2:123456789012:guardrail/abc123"
    assert resolved.allowed("MachineRole", "bedrock:InvokeModel") == set()
    assert {NANO, PROFILE} < resolved.allowed("TierRole", "bedrock:InvokeModel")
    for role in ("TierRole", "JudgeRole"):
        assert resolved.allowed(role, "bedrock:ApplyGuardrail") == {guardrail}
    assert resolved.allowed("PlainRole", "bedrock:InvokeModel") == set()


def test_the_recheck_is_off_unless_it_has_a_schedule() -> None:
    """Without it every stack would pay for a judge that nobody asked for."""
    assert not [name for name in Resolved().resources if name.startswith(("Recheck", "Evaluation"))]
    assert len([name for name in Resolved(**RECHECKED).resources if name.startswith(("Recheck", "Evaluation"))]) == 6


def test_the_recheck_may_read_executions_and_the_job_may_ask_the_judge() -> None:
    """Without it the schedule would be refused in an account, or be able to ask models and read files of tickets itself."""
    resolved = Resolved(**RECHECKED)
    bucket = resolved.allowed("EvaluationRole", "s3:ListBucket")
    assert bucket == {"TicketsBucket.Arn"}
    assert resolved.allowed("RecheckRole", "iam:PassRole") == {"EvaluationRole.Arn"}
    assert resolved.allowed("RecheckRole", "s3:PutObject") == resolved.allowed("EvaluationRole", "s3:GetObject") == {"TicketsBucket.Arn/evaluation/*"}
    assert resolved.allowed("EvaluationRole", "s3:PutObject") == {"TicketsBucket.Arn/evaluation/results/*"}
    assert resolved.allowed("RecheckRole", "bedrock:InvokeModel") == set()
    assert PROFILE in resolved.allowed("EvaluationRole", "bedrock:InvokeModel") & resolved.allowed("RecheckRole", "bedrock:CreateEvaluationJob")
    assert NANO not in resolved.allowed("EvaluationRole", "bedrock:InvokeModel")


def test_functions_exist_and_get_every_setting() -> None:
    """Without it a parameter of the template could decide nothing, or a handler be named that is not there."""
    template = source()
    handlers = {name: one["Properties"]["Handler"] for name, one in template["Resources"].items() if one["Type"] == "AWS::Serverless::Function"}
    assert handlers.pop("RecheckFunction") == f"{recheck.__module__}.{recheck.__name__}"
    assert {name: one.rpartition(".")[2] for name, one in handlers.items()} == {name.removesuffix("Arn"): handler for name, handler in FUNCTIONS.items()}
    own = template["Resources"]["RecheckFunction"]["Properties"]["Environment"]["Variables"]
    assert set(own) == {f"RECHECK_{name.upper()}" for name in Recheck.model_fields}
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert {name for name in variables if name.startswith(PREFIX)} == {f"{PREFIX}{name.upper()}" for name in Deployment.model_fields}
    used = set(re.findall(r"Ref[:'\" ]+(\w+)|\$\{(\w+)\}", str(template)))
    assert {name for name in template["Parameters"] if not any(name in found for found in used)} == set()


def test_the_template_defaults_are_a_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the functions could refuse at their first ticket what the template lets through."""
    resolved = Resolved()
    for name, value in resolved.of(resolved.template["Globals"]["Function"]["Environment"]["Variables"]).items():
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, str(value))
    policy = Deployment().policy()
    assert policy.tiers == ("nano", "sonnet")
    assert [gate.kind for gate in policy.gates] == ["confidence", "stakes", "judge"]
    assert policy.trouble.budget_usd == 0.05


def test_alarms_and_retention() -> None:
    """Without it an alarm could compare with a parameter that does not exist, or a log be kept for ever."""
    template = source()
    assert {alarm.limit for alarm in ALARMS} <= set(template["Parameters"])
    assert {f"{alarm.name}Alarm" for alarm in ALARMS} < set(template["Resources"])
    groups = [one for one in template["Resources"].values() if one["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == 2
    assert all("RetentionInDays" in one["Properties"] for one in groups)
    for name, one in template["Resources"].items():
        if one["Type"] in ("AWS::Serverless::StateMachine", "AWS::S3::Bucket", "AWS::Logs::LogGroup", "AWS::IAM::Role"):
            assert "cost-center" in str(one["Properties"]["Tags"]), name
        if one["Type"] == "AWS::Serverless::StateMachine":
            assert one["Properties"]["Logging"]["IncludeExecutionData"] is False


def test_the_dashboard_shows_what_the_functions_print() -> None:
    """Without it panels and alarms could look in another namespace, or at a model that is not asked."""
    resolved = Resolved(StrongTier="super")
    namespace = resolved.of(resolved.template["Globals"]["Function"]["Environment"]["Variables"]["CASCADE_METRICS_NAMESPACE"])
    body = json.loads(resolved.resources["Dashboard"]["Properties"]["DashboardBody"])
    assert body == dashboard(("nano", "super"), ("opus",), namespace=namespace, region="us-west-2")
    ours = [one["Properties"] for one in resolved.resources.values() if one["Type"] == "AWS::CloudWatch::Alarm" and one["Properties"]["Namespace"] != "AWS/States"]
    assert {alarm["Namespace"] for alarm in ours} == {namespace}
    assert {alarm["MetricName"] for alarm in ours} <= {one.name for one in METRICS}


_BLOCKED = """
import sys
from importlib.abc import MetaPathFinder
class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(name, name=name.partition(".")[0])
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {staged!r})
from workshop_lib.cloud import handlers, recheck
assert handlers.__file__.startswith({staged!r}), handlers.__file__
said = handlers.classify({{"ticket": {{"id": "T-1", "subject": "s", "body": "b"}}}}, None)
print(said["next"]["state"])
"""


@pytest.mark.slow
def test_the_packaged_functions_start_with_no_more_than_their_requirements(tmp_path: Path) -> None:
    """Without it a function could fail at its first import, for want of a file that was not packaged or a library that is not pinned."""
    subprocess.run(["make", "-s", "-C", str(DEPLOY), "stage", f"FUNCTIONS={tmp_path}"], check=True, capture_output=True)
    refused = {"numpy", "scipy", "sklearn", "pandas", "openai", "httpx", "httpx2", "typer", "rich", "starlette", "fastapi", "moto", "psutil", "granian", "ijson", "packaging", "botocore_stubs", "mypy_boto3_cloudwatch", "opentelemetry"}
    script = _BLOCKED.format(refused=refused, staged=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, env={"WORKSHOP_BACKEND": "live", "PATH": ""})
    assert (done.stdout.strip(), done.returncode) == ("CheapTier", 0), done.stderr
    assert (ROOT / "deploy" / "requirements.txt").read_text(encoding="utf-8").count("==") == len(render.NEEDED)
