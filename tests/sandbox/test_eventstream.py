"""Event stream frames, read back by botocore's decoder."""

import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, InvalidHeadersLength, InvalidPayloadLength
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.sandbox.bedrock import eventstream

NAMES = st.text(min_size=1, max_size=40)
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PAYLOADS = st.dictionaries(st.text(), JSON, max_size=5)


def decoded(data: bytes, cuts: list[int]) -> list[Any]:
    """Return the messages of a byte stream that arrives in pieces."""
    buffer, found, start = EventStreamBuffer(), [], 0
    for end in [*sorted(cuts), len(data)]:
        buffer.add_data(data[start:end])
        found += list(buffer)
        start = end
    return found


def printable(text: str) -> str:
    """Return a text as UTF-8 can carry it."""
    return text.encode(errors="replace").decode()


@given(events=st.lists(st.tuples(NAMES, PAYLOADS), min_size=1, max_size=4), data=st.data())
def test_any_events_are_read_back_however_they_arrive(events: list[tuple[str, dict[str, Any]]], data: st.DataObject) -> None:
    """Without it a frame that is cut by the network, or holds another script, could be read wrongly by real clients."""
    written = b"".join(eventstream.event(printable(name), payload) for name, payload in events)
    cuts = data.draw(st.lists(st.integers(0, len(written)), max_size=6))
    messages = decoded(written, cuts)
    assert [message.headers[":event-type"] for message in messages] == [printable(name) for name, _ in events]
    assert [json.loads(message.payload) for message in messages] == [json.loads(json.dumps(payload, ensure_ascii=False).encode(errors="replace")) for _, payload in events]
    assert {message.headers[":message-type"] for message in messages} == {"event"}


@given(message=st.text(max_size=300))
def test_an_exception_carries_its_type_and_message(message: str) -> None:
    """Without it an error in the middle of a stream would reach the client without its name."""
    [read] = decoded(eventstream.exception("throttlingException", message), [])
    assert read.headers[":message-type"] == "exception"
    assert read.headers[":exception-type"] == "throttlingException"
    assert json.loads(read.payload)["message"] == printable(message)
    assert read.to_response_dict()["status_code"] == 400


@given(payload=PAYLOADS, data=st.data())
def test_a_damaged_frame_is_noticed(payload: dict[str, Any], data: st.DataObject) -> None:
    """Without it the checksums could be constants that no reader ever compared."""
    written = bytearray(eventstream.event("contentBlockDelta", payload))
    place = data.draw(st.integers(8, len(written) - 1))  # the lengths before it would make the reader wait instead
    written[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((ChecksumMismatch, InvalidHeadersLength, InvalidPayloadLength)):
        decoded(bytes(written), [])
