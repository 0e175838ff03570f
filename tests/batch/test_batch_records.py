"""Records of a batch, how a wave is split into jobs, and the state file."""

import json
import math
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.batch.estimate import estimate, rates
from workshop_lib.batch.parts import Limits, Splitter
from workshop_lib.batch.records import Form, number_of, record, reply, task
from workshop_lib.batch.replay import Replay, Unanswered
from workshop_lib.batch.state import Part, State, StateFile
from workshop_lib.cascade import documented
from workshop_lib.errors import DataError
from workshop_lib.llm import CallError, Reply
from workshop_lib.sandbox import shapes
from workshop_lib.tasks import Ticket

NANO, SONNET = catalog.model("nano"), catalog.model("sonnet")
TICKET = Ticket(id="T-1", subject="Invoice", body="Zwei Zahlungen \u2028 für eine.")


@pytest.mark.parametrize("form", ["invoke", "converse"])
def test_a_record_is_one_line_with_an_id_of_eleven_digits(form: Form) -> None:
    """Without it a line break in a ticket would tear a record, or the id not be what the service takes."""
    line = record(7, NANO, task(form).request(TICKET), form)
    assert line.count(b"\n") == len(line.decode().splitlines()) == 1
    assert json.loads(line)["recordId"] == "00000000007"
    assert number_of(line) == 7


def test_a_converse_record_is_a_converse_body_without_a_tool() -> None:
    """Without it every record would be refused: Converse jobs take no toolConfig, and no modelId."""
    body = json.loads(record(0, NANO, task("converse").request(TICKET), "converse"))["modelInput"]
    assert "toolConfig" not in body
    assert shapes.problem("Converse", body) is None
    assert "modelId" not in body
    assert "JSON schema" in body["system"][0]["text"]


def test_a_reply_is_charged_at_the_batch_price_where_there_is_one() -> None:
    """Without it the estimate and the bill of a batch would be twice what it costs, or half of it for Sonnet."""
    text = {"output": {"message": {"content": [{"text": "{}"}]}}, "stopReason": "end_turn", "usage": {"inputTokens": 1_000_000, "outputTokens": 1_000_000}}
    line = json.dumps({"recordId": "3", "modelInput": {}, "modelOutput": text}).encode()
    costs = []
    for model in (NANO, SONNET):
        number, found = reply(line, model, "converse", "sandbox")
        assert isinstance(found, Reply)
        assert (number, math.isnan(found.latency_ms), found.source) == (3, True, "sandbox")
        costs.append(found.cost.usd)
    assert costs == [pytest.approx(0.15), pytest.approx(19.8)]
    assert rates(["nano", "sonnet"]).startswith("nano at the batch price, sonnet at the list price")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"errorCode": 400, "errorMessage": "bad"}, "validation"), ({"errorCode": "429", "errorMessage": "x"}, "throttled"), ({"errorCode": 500}, "server"),
        ({"errorCode": "ModelErrorException", "errorMessage": "x"}, "model"), ({"errorCode": "SomethingNew"}, "server"), ({"errorCode": "4" * 5000}, "server"), (None, "server"), ("text", "server"),
    ],
)  # fmt: skip
def test_an_error_of_a_record_is_the_error_of_a_call(error: Any, kind: str) -> None:
    """Without it the rules for trouble would not know what to do about it."""
    _, found = reply(json.dumps({"recordId": "1", "error": error}).encode(), NANO, "invoke", "live")
    assert isinstance(found, CallError)
    assert found.kind == kind


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b"{}", b'{"recordId": "CALL1"}', b'{"recordId": 3}', b"[" * 100_000])
def test_a_line_that_is_none_of_ours_is_one_line(line: bytes) -> None:
    """Without it a folder that holds something else would be a traceback, or be joined to the wrong tickets."""
    with pytest.raises(DataError):
        number_of(line)


def test_an_output_without_usage_has_a_cost_that_is_not_complete() -> None:
    """Without it a reply of unknown cost would be free."""
    _, found = reply(b'{"recordId": "1", "modelOutput": {"stop_reason": "end_turn"}}', SONNET, "invoke", "live")
    assert isinstance(found, Reply)
    assert (found.cost.usd, found.cost.complete, found.finished) == (0.0, False, True)


@given(count=st.integers(1, 60), most=st.integers(2, 20), share=st.floats(0.01, 0.5), size=st.integers(40, 1500))
def test_a_wave_is_split_whole_and_within_its_limits(tmp_path_factory: pytest.TempPathFactory, count: int, most: int, share: float, size: int) -> None:
    """Without it records could be lost between jobs, or a job be refused for having too many or too few."""
    folder = tmp_path_factory.mktemp("parts")
    limits = Limits(most, size, max(1, int(most * share)))
    with patch("workshop_lib.batch.parts.os.fsync"):  # a hundred examples would wait for the disk a thousand times
        splitter = Splitter(folder, 0, limits)
        for number in range(count):
            splitter.add(number * 3, "nano", json.dumps({"recordId": f"{number * 3:011d}", "modelInput": {}}).encode() + b"\n")
        parts, few = splitter.close()
    lines = {part.name: (folder / f"{part.name}.jsonl").read_bytes().splitlines() for part in parts}
    numbers = [number_of(line) for part in parts for line in lines[part.name]]
    assert sorted(numbers + few) == [number * 3 for number in range(count)]
    assert numbers == sorted(numbers)
    for part in parts:
        assert (part.records, part.first, part.last) == (len(lines[part.name]), number_of(lines[part.name][0]), number_of(lines[part.name][-1]))
        assert limits.fewest <= part.records <= limits.records
        assert (folder / f"{part.name}.jsonl").stat().st_size <= limits.bytes
    if size >= 60 * most:  # with files of that many bytes a remainder is the only small part
        assert not few or (len(few) < limits.fewest and not parts)
    assert len(set(folder.iterdir())) == len(parts)


@pytest.mark.parametrize("wrong", [{"records": 10, "fewest": 6}, {"fewest": 0}, {"bytes": 0}])
def test_limits_that_no_split_can_keep_are_refused(wrong: dict[str, int]) -> None:
    """Without it a remainder could neither be a job nor be levelled with another."""
    with pytest.raises(ValueError, match="fewest"):
        Limits(**wrong)


def test_a_walk_that_comes_to_an_unknown_call_says_which() -> None:
    """Without it the next wave could not be written."""
    known = CallError("server", "x", "down.")
    ask = Replay([known])
    with pytest.raises(CallError):
        ask("nano", task("invoke").request(TICKET))
    with pytest.raises(Unanswered) as asked:
        ask("sonnet", task("invoke").request(TICKET))
    assert asked.value.model == "sonnet"


def test_the_state_is_whole_or_not_there(tmp_path: Path) -> None:
    """Without it a crash while it is written would lose which jobs were paid for."""
    file = StateFile(tmp_path / "run")
    assert file.load() is None
    state = State(parts=[Part("w1-nano-0001", 0, "nano", 0, 9, 10, arn="a", counts={"totalRecordCount": 10})], waves=1, on_demand=[3])
    file.save(state)
    (tmp_path / "run" / "state.new").write_text("half of")
    assert file.load() == state
    assert len(state.job(state.parts[0])) <= 63
    for broken in ("{}", "[]", "nonsense", json.dumps({"format": "another"}), json.dumps({"format": "cascade-workshop batch 1", "parts": [{"x": 1}]})):
        (tmp_path / "run" / "state.json").write_text(broken)
        with pytest.raises(DataError, match="--restart"):
            file.load()


def test_tokens_and_names_are_what_the_service_takes() -> None:
    """Without it the first live job would be refused by its name."""
    state = State()
    part = Part("w2r12-sonnet-0001", 1, "sonnet", 0, 1, 2)
    assert shapes.problem_of("CreateModelInvocationJob", "jobName", state.job(part)) is None
    assert shapes.problem_of("CreateModelInvocationJob", "clientRequestToken", state.token(part)) is None


def test_an_estimate_says_at_which_prices_it_is(tmp_path: Path) -> None:
    """Without it somebody would agree to half of what Sonnet's list price makes of it."""
    source = tmp_path / "in.ndjson"
    source.write_text(TICKET.model_dump_json() + "\n")
    found = estimate(source, documented(), "invoke")
    assert 0 < found.least_usd < found.most_usd
    assert "no batch price" in found.line()
