"""Frames of `application/vnd.amazon.eventstream`: lengths, checksums, string headers and a JSON payload."""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

_STRING = 7


def event(name: str, payload: Mapping[str, Any]) -> bytes:
    """Return one event of a stream."""
    return _frame({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(name: str, message: str) -> bytes:
    """Return an exception in the middle of a stream; `name` is the type in camel case, such as throttlingException."""
    return _frame({":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}, {"message": message})


def _frame(headers: Mapping[str, str], payload: Mapping[str, Any]) -> bytes:
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    lengths = struct.pack("!II", 16 + len(head) + len(body), len(head))
    frame = lengths + struct.pack("!I", zlib.crc32(lengths)) + head + body
    return frame + struct.pack("!I", zlib.crc32(frame))
