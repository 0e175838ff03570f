"""The meter: calls as the sandbox counted them, from every client of the process, apart from other labs."""

from collections.abc import Iterator

import boto3
import openai
import pytest

from workshop_lib.lab import Lab
from workshop_lib.lab.meter import HEADER, Meter, Reading, duration, usd
from workshop_lib.llm import Gateway, Request
from workshop_lib.sandbox.meters import Meters, named
from workshop_lib.sandbox.process import Address
from workshop_lib.settings import Settings, load

NANO, NIM = "nvidia.nemotron-nano-3-30b", "meta/llama-3.1-8b-instruct"
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
SAID = [{"role": "user", "content": "hello"}]


@pytest.fixture
def settings(sandbox: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Return the settings of the tests' sandbox, and let go of the meter's variables afterwards."""
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-mine: 1")
    return load()


def test_every_client_of_the_process_is_counted(settings: Settings) -> None:
    """Without this calls by plain clients, streams or the lean path would be missing from the bill."""
    meter, other = Meter("01_call_tiers"), Meter("02_confidence")
    other.install(settings)
    Gateway(settings)("nano", Request("of another lab"))
    meter.install(settings)
    assert meter.line(settings) == "This lab so far: no calls."
    lab = Lab("01_call_tiers", (), settings)
    lab.bedrock.converse(modelId=NANO, messages=HELLO)
    lab.openai.chat.completions.create(model=NIM, messages=SAID)
    for _ in lab.openai.chat.completions.create(model=NIM, messages=SAID, stream=True):
        pass
    boto3.client("bedrock-runtime").converse(modelId=NANO, messages=HELLO)
    with openai.OpenAI() as plain:
        plain.chat.completions.create(model=NIM, messages=SAID)
    for fast in (False, True):
        gateway = Gateway(settings, fast=fast)
        gateway("nano", Request("hello"))
        gateway("nim-8b", Request("hello"))
    reading = meter._read(settings)
    assert reading is not None
    assert reading.calls == 9
    assert reading.usd > 0
    assert reading.latency_ms > 0
    assert meter.line(settings).startswith("This lab so far: 9 calls. Live it would have cost ")
    assert other.line(settings).startswith("This lab so far: 1 call. ")


def test_refused_calls_are_not_charged(settings: Settings) -> None:
    """Without this an error demo would add to what a live run would have cost."""
    meter = Meter("01_call_tiers")
    meter.install(settings)
    with pytest.raises(openai.NotFoundError), openai.OpenAI(max_retries=0) as plain:
        plain.chat.completions.create(model="meta/no-such-model", messages=SAID)
    assert meter.line(settings) == "This lab so far: no calls."


def test_the_users_own_headers_stay(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this a proxy's header that somebody needs would be lost, or a vendor would be told of the lab."""
    meter = Meter("01_call_tiers")
    meter.install(settings)
    meter.install(settings)
    import os

    assert os.environ["OPENAI_CUSTOM_HEADERS"] == f"x-mine: 1\n{HEADER}: {meter.name}"
    assert os.environ["AWS_SDK_UA_APP_ID"] == meter.name
    meter.install(Settings(backend="live"))
    assert os.environ["OPENAI_CUSTOM_HEADERS"] == "x-mine: 1"
    assert "AWS_SDK_UA_APP_ID" not in os.environ
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "lab-of-mine")
    meter.install(Settings(backend="live"))
    assert os.environ["AWS_SDK_UA_APP_ID"] == "lab-of-mine"


def test_without_a_sandbox_it_says_why(sandbox: Address) -> None:
    """Without this a live run, or a sandbox that died, would end the cell in a traceback."""
    meter = Meter("01_call_tiers")
    assert meter.line(Settings(backend="live")).startswith("The meter counts calls in the sandbox only.")
    assert "lab.reconnect()" in meter.line(Settings(bedrock_endpoint="http://127.0.0.1:9"))


def test_a_sandbox_that_was_restarted_goes_on_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the meter would fall back to nothing after a crash."""
    meter = Meter("01_call_tiers")
    readings = iter([Reading(5, 0.5, 1000), Reading(2, 0.25, 500), Reading(3, 0.5, 500)])
    monkeypatch.setattr(meter, "_read", lambda settings: next(readings))
    assert [meter.line(Settings()).split(". ")[0] for _ in range(3)] == [f"This lab so far: {n} calls" for n in (5, 7, 8)]


def test_in_words() -> None:
    """Without this the line in stored outputs could change unnoticed."""
    assert Reading(412, 0.0912, 200_400).line() == (
        "This lab so far: 412 calls. Live it would have cost 0.091 USD and taken 3 min 20 s, one call after the other\n"
        "(the sandbox's token counts at the prices of data/models.toml, modelled latency)."
    )
    assert [usd(amount) for amount in (0, 0.00001, 0.000123, 0.0999, 0.1, 1234.5)] == ["0 USD", "less than 0.0001 USD", "0.00012 USD", "0.10 USD", "0.10 USD", "1,234.50 USD"]
    assert [duration(ms) for ms in (0, 9_949, 10_000, 59_600, 3_600_000)] == ["0.0 s", "9.9 s", "10 s", "1 min 0 s", "1 h 0 min"]


def test_meters_are_bounded_and_named_by_either_client() -> None:
    """Without this a long class would fill the sandbox's memory, or any application id would open a meter."""
    meters = Meters()
    for number in range(1001):
        meters.count(f"lab{number}", 1.0, 10)
    assert meters.reading("lab0") == {"name": "lab0", "ok": 0, "usd": 0.0, "latency_ms": 0}
    assert meters.reading("lab1000")["ok"] == 1
    assert named(None, "Boto3/1 app/lab01-abc md/x") == "lab01-abc"
    assert [named(None, agent) for agent in (None, "Boto3/1 app/inbox", "curl")] == [None, None, None]
    assert named("x" * 100, None) == "x" * 64
