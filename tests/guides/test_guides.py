"""What the guides to production promise runs as it stands there, as far as it can without an account."""

import json
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer.main
from cloud_commands import commands, mentioned, problems_of_aws, problems_of_make, problems_of_parameter, words
from guide_blocks import page, run_python
from pydantic import ValidationError

from workshop_lib.cli import app
from workshop_lib.cloud.render import TEMPLATE
from workshop_lib.metrics import dashboard
from workshop_lib.paths import ROOT
from workshop_lib.tasks import Ticket

sys.path.append(str(ROOT / "tests" / "cloud"))
from template import source

GUIDES = ["when-to-cascade.md", "production.md", "evaluation-jobs.md", "deploy.md"]


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("name", GUIDES)
def test_the_code_of_a_guide_prints_what_it_says(name: str, tmp_path: Path) -> None:
    """Without it a reader could copy code of an older interface, or believe a number that the library no longer computes."""
    for printed, shown in run_python(name, tmp_path):
        assert printed == shown


@pytest.mark.parametrize("name", GUIDES)
def test_the_commands_of_a_guide_are_commands(name: str) -> None:
    """Without it the first `aws`, `make` or `workshop` line that a reader copies could have an option, a parameter or a value that does not exist."""
    template = source()
    for command in [*commands(name), *mentioned(name, "workshop"), *mentioned(name, "aws")]:
        program = words(command)[0]
        if program == "aws":
            assert problems_of_aws(command) == [], command
        elif program == "make":
            assert problems_of_make(command, template) == [], command
        elif program == "workshop":
            _parses(words(command)[1:])
        else:
            assert program == "export", f"nothing checks {command!r}"


def _parses(arguments: list[str]) -> None:
    """Let the command line's own parser read a command, without running it; a command named without its arguments must exist."""
    command, given = typer.main.get_command(app), list(arguments)
    while given and hasattr(command, "commands"):
        command = command.commands[given.pop(0)]
    if given:
        command.make_context("workshop", given)


def test_the_checks_of_commands_see_what_is_wrong() -> None:
    """Without it the checks above could pass whatever a page says."""
    template = source()
    assert problems_of_aws("aws stepfunctions start-executions --state-machine-arn x") == ["stepfunctions has no start-executions"]
    assert problems_of_aws("aws stepfunctions start-execution --machine x") == ["no option --machine"]
    assert "stateMachineArn" in problems_of_aws("aws stepfunctions start-execution --input x")[0]
    assert "none of" in problems_of_aws("aws cloudwatch set-alarm-state --alarm-name a --state-value RED --state-reason r")[0]
    assert problems_of_aws("aws s3 cp a b --force") == ["no option --force"]
    assert problems_of_make("make -C deploy install", template) == ["deploy has no target install"]
    assert problems_of_make('make -C deploy deploy BUCKET=b PARAMETERS="Confidence=1"', template) == ["the template has no parameter Confidence"]
    assert problems_of_parameter("MinConfidence", "2", template) == ["MinConfidence=2 is out of range"]
    assert problems_of_parameter("CheapTier", "gpt", template) == ["CheapTier may not be gpt"]
    assert "form" in problems_of_parameter("RecheckSchedule", "weekly", template)[0]
    with pytest.raises(BaseException, match="No such option"):
        _parses(["capacity", "--per-week", "1"])


@pytest.mark.parametrize("name", GUIDES)
def test_names_of_the_library_exist(name: str) -> None:
    """Without it a checklist could send its reader to a function that was renamed."""
    for dotted in re.findall(r"`((?:cascade|evaluation|llm|metrics|judging|monitoring)\.[\w.]+)", page(name)):
        module, _, attribute = dotted.rpartition(".")
        below = "evaluation." if module in ("judging", "monitoring") else ""
        assert hasattr(import_module(f"workshop_lib.{below}{module}"), attribute), dotted


@pytest.mark.parametrize("name", GUIDES)
def test_stacks_outputs_and_parameters_are_those_of_the_template(name: str) -> None:
    """Without it a page could ask the stack for an output that it does not have, or tell of a parameter that decides nothing."""
    template, text = source(), page(name)
    assert set(re.findall(r"OutputKey=='(\w+)'", text)) <= set(template["Outputs"])
    known = {*template["Parameters"], *template["Resources"], *template["Outputs"], "ForAPerson"}
    metrics = set(re.findall(r'"metrics": \[\["[^"]+", "(\w+)"', TEMPLATE.read_text(encoding="utf-8")))
    alarms = {one.removesuffix("Alarm") for one in template["Resources"] if one.endswith("Alarm")}
    capital = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:=[^`]*)?`", text))
    library = {"HeuristicRouter", "JudgeGate"}
    assert capital - known - metrics - alarms - library == set()
    makefile = (ROOT / "deploy" / "Makefile").read_text(encoding="utf-8")
    (stack,) = re.findall(r"^STACK \?= (\S+)", makefile, re.MULTILINE)
    assert set(re.findall(r"--stack-name (\S+)", text)) | set(re.findall(r"--alarm-name-prefix (\S+)", text)) <= {stack}
    assert set(re.findall(r"--namespace (\S+)", text)) <= {f"CascadeWorkshop/{stack}"}


def test_defaults_and_counts_in_the_guide_are_those_of_the_template() -> None:
    """Without it the bill, or a default, could be said for another deployment."""
    template, text = source(), page("deploy.md")
    for row in re.findall(r"^\| (`.+?) \| (.+?) \|", text, re.MULTILINE):
        names = re.findall(r"`(\w+)`", row[0])
        shown = [one.strip() for one in row[1].split(",")]
        defaults = [str(template["Parameters"][name]["Default"]) or "empty" for name in names]
        assert (shown if len(shown) == len(names) else shown * len(names)) == defaults, names
    series = {json.dumps(one[:4]) for widget in dashboard(("c", "s"), ("j",), region="r")["widgets"] for one in ([part for part in line if isinstance(part, str)] for line in widget["properties"]["metrics"])}
    assert f"{len(series)} custom metrics" in text
    always = [name for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm" and "Condition" not in one]
    assert len(always) == 8
    assert "eight alarms" in text


def test_tickets_of_the_guide_are_tickets() -> None:
    """Without it the first execution that a reader starts could be refused, or the one that must be refused could go through."""
    inputs = [json.loads(found) for found in re.findall(r"--input '(\{.*?\})'(?: |$)", page("deploy.md"), re.MULTILINE)]
    tickets = [given["ticket"] for given in inputs if "ticket" in given]
    assert len(tickets) == 3
    for ticket in tickets[:2]:
        Ticket.model_validate(ticket)
    with pytest.raises(ValidationError):
        Ticket.model_validate(tickets[2])
    assert {"key"} in [set(given) for given in inputs]


def test_the_price_of_a_verdict_is_the_one_that_is_estimated() -> None:
    """Without it the bill of the deployment and the break-even with a judge could be of another judge, or another price table."""
    shown = dict(re.findall(r"^(sonnet|opus): .* (0\.\d+) a verdict$", page("evaluation-jobs.md"), re.MULTILINE))
    assert f"* 0.05 * {shown['opus']}," in page("deploy.md")
    assert f"judge = {shown['sonnet']} " in page("when-to-cascade.md")
