"""The emulator for the tests of this folder, with the sandbox behind it and a clean deployment."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from machine_room import Room

from workshop_lib.cloud import handlers
from workshop_lib.cloud.emulator import Emulator, emulator
from workshop_lib.llm import Gateway
from workshop_lib.settings import load


@pytest.fixture(autouse=True)
def fresh_functions() -> Iterator[None]:
    """Give functions that have read no environment yet, and leave none that have read a test's."""
    handlers.forget()
    yield
    handlers.forget()


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that deploys anew with other parameters."""

    def deploy(**parameters: object) -> None:
        for name, value in parameters.items():
            monkeypatch.setenv(f"CASCADE_{name.upper()}", str(value))
        handlers.forget()

    return deploy


@pytest.fixture(scope="module")
def opened(sandbox_process: Any) -> Iterator[tuple[Emulator, str, list[float]]]:
    """Give an emulator with the machine for one ticket, and the list of its waits between attempts, none of which is waited for."""
    waits: list[float] = []
    with emulator(sandbox_process.root, sleep=waits.append) as running:
        yield running, running.create("ticket"), waits


@pytest.fixture
def room(opened: tuple[Emulator, str, list[float]], sandbox: Any, scope: str) -> Room:
    """Give the emulator with its Bedrock tasks in this test's scope of the sandbox."""
    running, arn, waits = opened
    waits.clear()
    running.shim.scope = scope
    return Room(running, arn, waits)


@pytest.fixture
def gateway(sandbox: Any) -> Gateway:
    """Give the calls of the plain cascade to the same sandbox."""
    return Gateway(load())
