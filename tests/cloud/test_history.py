"""What a learner sees of an execution, and what the emulator asks of moto."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from machine_room import Room
from typer.testing import CliRunner

from workshop_lib import cli
from workshop_lib.cloud import emulator as emulator_module
from workshop_lib.cloud import shim
from workshop_lib.cloud.definition import machine
from workshop_lib.cloud.history import diagram, edges, mermaid, rows, table, visited, way
from workshop_lib.errors import DataError, SettingsError

UNSURE = {"id": "T-1", "subject": "Hm", "body": "It is odd somehow."}


@pytest.mark.slow
def test_the_table_tells_the_calls_and_the_end(room: Room) -> None:
    """Without it a learner could not see from the history what was asked and why it ended."""
    done = room.run(UNSURE)
    lines = rows(done.events)
    assert [line.state for line in lines if line.event == "answered"] == [name for name in visited(done.events) if name not in ("WhatNext", "Answered", "ForAPerson")]
    text = table(lines)
    assert "tokens in" in text
    assert "USD; source: sandbox" in text.splitlines()[-1]
    assert way(done.events).startswith("Classify -> CheapTier")
    assert [line.at_ms for line in lines] == sorted(line.at_ms for line in lines)


@pytest.mark.slow
def test_a_failure_is_told_in_a_line(room: Room) -> None:
    """Without it a refused ticket would be told by a stack trace."""
    done = room.run({"id": "T-1"})
    last = table(rows(done.events)).splitlines()[-1]
    assert "Cascade.InvalidTicket: ticket.subject: Field required" in last
    assert "Traceback" not in last


def test_diagrams_show_every_state_and_the_way() -> None:
    """Without it a state could be missing from the picture, or the way not be told from the rest."""
    definition = machine("ticket")
    taken = ["Classify", "WhatNext", "CheapTier"]
    text, chart = diagram(definition, taken), mermaid(definition, taken)
    assert [line.split()[1] for line in text.splitlines() if line.startswith("*")] == taken
    assert {line[2:].split()[0] for line in text.splitlines()} == set(definition["States"])
    drawn = {tuple(found) for found in re.findall(r"^  (\w+) -(?:-|\.-)>(?:\|\w+\|)? (\w+)$", chart, re.MULTILINE)}
    assert {(one, other) for one, other, _ in edges(definition)} <= drawn
    assert chart.splitlines()[-1] == "  class Classify,WhatNext,CheapTier taken"


@pytest.mark.slow
def test_what_is_patched_is_there(sandbox: Any) -> None:
    """Without it a newer moto could leave a name behind, and the shim patch nothing; and what was patched must be put back."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk as sdk

    before = (lambda_eval_utils._invoke_lambda_function, sdk.StateTaskServiceAwsSdk._normalise_parameters, dict(sdk._SERVICE_ERROR_NAMES))
    with shim.patched(shim.Shim(sandbox.root, {}, lambda _: None)):
        assert "bedrockruntime" in sdk._SERVICE_ERROR_NAMES
        assert lambda_eval_utils._invoke_lambda_function is not before[0]
    assert (lambda_eval_utils._invoke_lambda_function, sdk.StateTaskServiceAwsSdk._normalise_parameters, dict(sdk._SERVICE_ERROR_NAMES)) == before


@pytest.mark.slow
def test_a_function_that_fails_is_reported_as_lambda_does(room: Room) -> None:
    """Without it a bug in a function would end in another way here than in the cloud."""
    done = room.emulator.run(room.arn, {"ticket": UNSURE, "policy": "x"} | {"ticket": None})
    assert done.error == "Cascade.InvalidTicket"
    said = room.emulator.shim.invoke({"FunctionName": emulator_module.function_arn("gate"), "Payload": b"{}"})
    assert (said["FunctionError"], said["Payload"]["errorType"]) == ("Unhandled", "ValidationError")


def test_a_missing_moto_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a learner without the extra would get a traceback."""
    monkeypatch.setitem(sys.modules, "moto.server", None)
    with pytest.raises(SettingsError, match=r"pip install 'cascade-workshop\[cloud\]'"), emulator_module.emulator("http://127.0.0.1:1"):
        pass


def test_a_missing_machine_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it a deleted file would be a traceback."""
    monkeypatch.setattr("workshop_lib.cloud.definition.DEPLOY", tmp_path)
    with pytest.raises(DataError, match="git checkout deploy"):
        machine("ticket")
    (tmp_path / "ticket.asl.json").write_text("{")
    with pytest.raises(DataError, match="git checkout deploy"):
        machine("ticket")


@pytest.fixture
def opened_sandbox(sandbox: Any, sandbox_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the command the tests' sandbox."""
    settings = sandbox_settings.model_copy(update={"bedrock_endpoint": sandbox.root})
    monkeypatch.setattr("workshop_lib.commands.cloud.open_backend", lambda: settings)


@pytest.mark.slow
def test_simulate_shows_retries_and_the_way(opened_sandbox: None, tmp_path: Path) -> None:
    """Without it the command could print a run that had no fault in it, or leave the fault behind."""
    out = tmp_path / "history.json"
    said = CliRunner().invoke(cli.app, ["cloud", "simulate", "Two payments for one invoice", "--fault", "throttled", "--out", str(out)])
    assert said.exit_code == 0, said.output
    assert said.output.count("BedrockRuntime.ThrottlingException") == 2
    assert "\n* CheapTier " in said.output
    assert len(json.loads(out.read_text())) > 10


@pytest.mark.parametrize(("arguments", "named"), [([" "], "no text"), (["x", "--fault", "fire"], "Choose one of: throttled")])
def test_simulate_refuses_what_is_wrong(arguments: list[str], named: str) -> None:
    """Without it a typing error would start an emulator first."""
    said = CliRunner().invoke(cli.app, ["cloud", "simulate", *arguments])
    assert isinstance(said.exception, DataError | SettingsError)
    assert named in str(said.exception)


def test_simulate_does_not_go_live(monkeypatch: pytest.MonkeyPatch, sandbox_settings: Any) -> None:
    """Without it a simulation could be paid for."""
    monkeypatch.setattr("workshop_lib.commands.cloud.open_backend", lambda: sandbox_settings.model_copy(update={"backend": "live"}))
    said = CliRunner().invoke(cli.app, ["cloud", "simulate", "x"])
    assert "WORKSHOP_BACKEND=sandbox" in str(said.exception)
