"""What the tests of upstream servers share: a scripted server, and a sandbox in front of it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scripted_upstream import LOCAL, NANO, NIM, Front, Scripted, serving


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Give a scripted server on loopback."""
    with serving() as state:
        yield state


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Give one event loop for the whole test, as a sandbox has one for its life."""
    with asyncio.Runner() as running:
        yield running


@pytest.fixture
def front(runner: asyncio.Runner, scripted: Scripted) -> Callable[..., Front]:
    """Give a function that opens a sandbox in front of the scripted server, with Nano and the small NIM model mapped to it."""

    def opened(**options: Any) -> Front:
        return Front(runner, **{"url": scripted.url, "map": [f"{NANO}={LOCAL}", f"{NIM}={LOCAL}"], **options})

    return opened
