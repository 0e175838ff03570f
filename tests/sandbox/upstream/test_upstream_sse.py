"""Server-sent events, however the network cuts them."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.sandbox.upstream import sse

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)


def read(*parts: bytes) -> list[str]:
    """Return the events of a stream that arrives in these parts."""

    async def arriving() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def all_() -> list[str]:
        return [event async for event in sse.events(arriving())]

    return asyncio.run(all_())


@given(st.lists(TEXT, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 200), max_size=8))
def test_events_do_not_depend_on_how_they_are_cut(texts: list[str], end: str, cuts: list[int]) -> None:
    """Without it a character or a line end cut in two would break an answer now and then; so would a line separator inside one."""
    content = "".join(f": note{end}event: x{end}data: {text}{end}{end}" for text in texts).encode()
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    # A lone carriage return at the very end may be half of a line end: the stream says no more, so that event is cut off.
    wanted = texts[:-1] if end == "\r" and texts else texts
    assert read(*(content[start:stop] for start, stop in pairwise(edges))) == wanted


def test_data_lines_of_one_event_belong_together_and_a_cut_off_event_is_none() -> None:
    """Without it half an event at the end of a broken connection would be taken for a whole one."""
    assert read(b"data: a\ndata:b\n\ndata: lost\n") == ["a\nb"]


def test_an_error_in_a_field_of_its_own_is_an_event() -> None:
    """Without it the errors of older llama.cpp servers would pass unnoticed."""
    assert read(b'error: {"code":500,"message":"no room"}\n\n') == ['{"code":500,"message":"no room"}']


def test_a_stream_without_line_ends_is_given_up() -> None:
    """Without it a server that sends no events could fill the memory."""
    with pytest.raises(sse.TooLong):
        read(*[b"x" * 1_000_000] * 9)
