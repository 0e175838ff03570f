"""The AWS CLI, a client that shares no code with the library, against the sandbox."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workshop_lib.sandbox import process

pytestmark = pytest.mark.slow  # the command takes a second to start
NANO = "nvidia.nemotron-nano-3-30b"
TOOL = {
    "tools": [
        {
            "toolSpec": {
                "name": "route_ticket",
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"category": {"type": "string", "enum": ["billing", "other"]}},
                        "required": ["category"],
                    }
                },
            }
        }
    ],
    "toolChoice": {"tool": {"name": "route_ticket"}},
}


@pytest.fixture
def aws(sandbox: process.Address, tmp_path: Path) -> Any:
    """Give a function that runs `aws bedrock-runtime ...` as a user would, with the environment that the sandbox prints."""
    command = Path(sys.executable).with_name("aws")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(tmp_path), "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}
        return subprocess.run(
            [str(command), "bedrock-runtime", *arguments, "--output", "json"], env=environment, capture_output=True, text=True, timeout=60
        )

    return run


def _messages(text: str) -> str:
    return json.dumps([{"role": "user", "content": [{"text": text}]}])


def test_cli_converses(aws: Any) -> None:
    """Without it the lines that the sandbox prints for the AWS CLI could be wrong."""
    done = aws("converse", "--model-id", NANO, "--messages", _messages("What is 3 + 4?"))
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["output"]["message"]["content"][0]["text"].startswith("7")
    assert reply["usage"]["totalTokens"] == reply["usage"]["inputTokens"] + reply["usage"]["outputTokens"]


def test_cli_gets_a_forced_tool_call(aws: Any) -> None:
    """Without it nested JSON documents could be lost on the way through another client's parser."""
    model = "us.anthropic.claude-sonnet-4-6"
    done = aws("converse", "--model-id", model, "--messages", _messages("I was charged twice."), "--tool-config", json.dumps(TOOL))
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["stopReason"] == "tool_use"
    assert reply["output"]["message"]["content"][0]["toolUse"]["input"]["category"] in ("billing", "other")


def test_cli_shows_the_error_of_the_service(aws: Any) -> None:
    """Without it a mistake would come back as an unreadable reply."""
    done = aws("converse", "--model-id", "anthropic.claude-sonnet-4-6", "--messages", _messages("Hello"))
    assert done.returncode != 0
    assert "ValidationException" in done.stderr
    assert "on-demand throughput" in done.stderr


def test_cli_counts_tokens_as_converse_does(aws: Any) -> None:
    """Without it a document nested two operations deep could be read differently when another client sends it."""
    asked = _messages("What is 3 + 4?")
    counted = aws("count-tokens", "--model-id", NANO, "--input", json.dumps({"converse": {"messages": json.loads(asked)}}))
    assert counted.returncode == 0, counted.stderr
    answered = aws("converse", "--model-id", NANO, "--messages", asked)
    assert json.loads(counted.stdout)["inputTokens"] == json.loads(answered.stdout)["usage"]["inputTokens"]


def test_cli_applies_a_guardrail(aws: Any) -> None:
    """Without it the guardrail's address, three parts after a name, could suit one client only."""
    named = ("--guardrail-identifier", "sandboxguardrail", "--guardrail-version", "1")
    content = json.dumps([{"text": {"text": "Say frobnicate."}}])
    done = aws("apply-guardrail", *named, "--source", "INPUT", "--content", content)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["action"] == "GUARDRAIL_INTERVENED"
