"""boto3, openai and the library through a really started sandbox, in front of a scripted server and then without it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config
from scripted_upstream import LOCAL, NANO, NIM, Answer, chunks, completion, serving

from workshop_lib.cascade import single
from workshop_lib.evaluation.arms import frame, run_arm
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.llm import Gateway
from workshop_lib.llm.types import source
from workshop_lib.settings import Settings
from workshop_lib.tasks import TRIAGE

SERVE = Path(__file__).with_name("serve_upstream.py")
SCHEMA = {"type": "object", "properties": {"category": {"type": "string"}}, "required": ["category"]}
FORCED: Any = {"tools": [{"toolSpec": {"name": "route_ticket", "inputSchema": {"json": SCHEMA}}}], "toolChoice": {"tool": {"name": "route_ticket"}}}
DECISION = {"ticket_id": "x", "category": "billing", "priority": "P3", "confidence": 0.6, "reasoning": "A charge.", "needs_human": False}
USER: Any = [{"role": "user", "content": [{"text": "What is 3 + 4?"}]}]
_START_S = 60


def answer(body: dict[str, Any]) -> Answer:
    """Answer as a model would: with a decision where a schema is asked for, else in words; in pieces if that is asked for."""
    text = json.dumps(DECISION) if "response_format" in body else "Seven, I think."
    return Answer(events=chunks({"content": text[:5]}, {"content": text[5:]})) if body.get("stream") else Answer(completion(text))


@contextmanager
def sandbox(folder: Path, **options: Any) -> Iterator[str]:
    """Run a sandbox process with these options, and give its address."""
    state = folder / "state.json"
    folder.mkdir()
    given = json.dumps(options, default=str)
    process = subprocess.Popen([sys.executable, str(SERVE), str(state), given])
    try:
        deadline = time.monotonic() + _START_S
        while not state.exists():
            assert process.poll() is None, "the sandbox ended while starting"
            assert time.monotonic() < deadline, "the sandbox did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{json.loads(state.read_text())['port']}"
    finally:
        process.terminate()
        process.wait(20)


@dataclass(frozen=True)
class Answers:
    """What every way of asking brought."""

    plain: Any
    tool: Any
    stream: Any
    chat: Any
    chat_stream: Any
    sources: dict[str, str]
    arm: Any


def ask_everything(root: str) -> Answers:
    """Ask one sandbox in every way: boto3, openai, and a bake-off of the library."""
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, signature_version="v4")
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox", "region_name": "us-west-2"}
    client: Any = boto3.client("bedrock-runtime", endpoint_url=root, config=config, **keys)
    plain = client.converse(modelId=NANO, messages=USER)
    stream = client.converse_stream(modelId=NANO, messages=USER)
    events = list(stream["stream"])
    tool = client.converse(modelId=NANO, messages=USER, toolConfig=FORCED)
    with openai.OpenAI(base_url=f"{root}/v1", api_key="any", max_retries=0) as chat:
        messages: Any = [{"role": "user", "content": "What is 3 + 4?"}]
        said = chat.chat.completions.with_raw_response.create(model=NIM, messages=messages)
        parts = list(chat.chat.completions.create(model=NIM, messages=messages, stream=True, stream_options={"include_usage": True}))
    tickets = load_tickets("test")[:4]
    gateway = Gateway(Settings(bedrock_endpoint=root, openai_base_url=f"{root}/v1"))
    items = [labelled.ticket for labelled in tickets]
    headers = {"plain": plain["ResponseMetadata"]["HTTPHeaders"], "stream": stream["ResponseMetadata"]["HTTPHeaders"], "chat": said.headers}
    return Answers(
        plain={name: plain[name] for name in ("output", "stopReason", "usage", "metrics")},
        tool=tool["output"],
        stream=[event for event in events if "metadata" not in event],
        chat=said.parse().choices[0].message.content,
        chat_stream="".join(choice.delta.content or "" for part in parts for choice in part.choices),
        sources={name: source(found) or "" for name, found in headers.items()},
        arm=frame(run_arm(TRIAGE, items, single("nano"), gateway), tickets),
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Answers]:
    """Give what a local model answered, and what its recording answers once the server and the first sandbox are gone."""
    folder = tmp_path_factory.mktemp("upstream")
    file = folder / "replies.jsonl"
    with serving() as scripted:
        scripted.by_request = answer
        with sandbox(folder / "live", url=scripted.url, map={NANO: LOCAL, NIM: LOCAL}, record=file) as root:
            live = ask_everything(root)
    with sandbox(folder / "replay", replay=file) as root:
        return live, ask_everything(root)


@pytest.mark.slow
def test_boto3_and_openai_get_the_local_models_answers(measured: tuple[Answers, Answers]) -> None:
    """Without it a real client could stumble over what the sandbox makes of a local model's answer."""
    live, _ = measured
    assert live.plain["output"]["message"]["content"] == [{"text": "Seven, I think."}]
    assert live.plain["usage"]["totalTokens"] == 14
    assert live.tool["message"]["content"][0]["toolUse"]["input"] == DECISION
    assert [event["contentBlockDelta"]["delta"]["text"] for event in live.stream if "contentBlockDelta" in event] == ["Seven", ", I think."]
    assert live.chat == live.chat_stream == "Seven, I think."


@pytest.mark.slow
def test_a_replay_gives_what_was_recorded_with_the_server_gone(measured: tuple[Answers, Answers]) -> None:
    """Without it a recording could not stand in for the machine it was made on."""
    live, again = measured
    assert (again.tool, again.chat, again.chat_stream) == (live.tool, live.chat, live.chat_stream)
    assert again.plain["output"] == live.plain["output"]
    assert again.plain["usage"] == live.plain["usage"]
    assert again.arm.drop(columns="latency_ms").equals(live.arm.drop(columns="latency_ms"))


@pytest.mark.slow
def test_numbers_of_a_local_model_are_labelled_local(measured: tuple[Answers, Answers]) -> None:
    """Without it a bake-off would present a local model's figures as the stand-ins', or the other way round."""
    for answers in measured:
        assert answers.sources == {"plain": "local", "stream": "local", "chat": "local"}
        assert set(answers.arm["source"]) == {"local"}


@pytest.mark.slow
def test_a_client_that_hangs_up_ends_the_servers_work(tmp_path: Path) -> None:
    """Without it a learner who interrupts a cell would leave the model computing, and the next call waiting for it."""
    body = json.dumps({"messages": USER}).encode()
    head = f"POST /model/{NANO}/converse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving() as scripted:
        scripted.then(Answer(hold=True))
        with sandbox(tmp_path / "s", url=scripted.url, map={NANO: LOCAL}) as root:
            with socket.create_connection(("127.0.0.1", int(root.rsplit(":", 1)[1])), timeout=30) as connection:
                connection.sendall(head.encode() + body)
                assert scripted.asked.wait(30)
            assert scripted.left.wait(30)


@pytest.mark.parametrize(("said", "label"), [("stand-in", "sandbox"), ("local", "local"), ("replay", "local"), (None, None)])
def test_what_a_server_says_of_itself_becomes_a_label_of_the_course(said: str | None, label: str | None) -> None:
    """Without it replayed replies would carry a label that no figure explains."""
    assert source({} if said is None else {"x-workshop-source": said}) == label
