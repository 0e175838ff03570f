"""What the service's tests share: the service running on a port of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from scripted import SETTINGS, Scripted

from workshop_lib.cascade import documented
from workshop_lib.service import create_app, library_route, running


@pytest.fixture
def serving() -> Iterator[Callable[..., httpx.Client]]:
    """Give a function that starts the service with a scripted `ask` and returns a client of it; the library's bulk route is mounted unless told otherwise."""
    library = library_route(documented())
    with ExitStack() as stack:

        def start(ask: Any = None, bulk_route: Any = library, **options: Any) -> httpx.Client:
            app = create_app(bulk_route, ask or Scripted(), SETTINGS, **options)
            root = stack.enter_context(running(app))
            return stack.enter_context(httpx.Client(base_url=root, timeout=30, trust_env=False, verify=False))

        yield start
