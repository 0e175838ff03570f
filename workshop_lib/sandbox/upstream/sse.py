"""Server-sent events from bytes as they arrive; lines end as the HTML standard says, so a line separator inside JSON ends none."""

import codecs
import re
from collections.abc import AsyncGenerator, AsyncIterable

_END = re.compile(r"\r\n|\n|\r(?!\Z)")
_LONGEST = 8 * 1024 * 1024
_FIELDS = ("data", "error")  # llama.cpp has written errors into a field of their own


class TooLong(Exception):
    """A line or an event is longer than any answer."""


async def events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[str]:
    """Yield the data of each event; comments and other fields are passed over, and so is an event that the stream cuts off.

    Raises TooLong. Source of the format: the HTML standard, section 9.2.6.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest, data = "", []
    async for chunk in chunks:
        rest += decoder.decode(chunk)
        *lines, rest = _END.split(rest)
        for line in lines:
            if line:
                data += _data(line)
            elif data:
                yield "\n".join(data)
                data = []
        if len(rest) + sum(map(len, data)) > _LONGEST:
            raise TooLong


def _data(line: str) -> list[str]:
    name, _, value = line.partition(":")
    return [value.removeprefix(" ")] if name in _FIELDS else []
