"""Scripted models and tickets for the tests of the service."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workshop_lib.llm import Cost, Reply, Request, Usage
from workshop_lib.settings import Settings

SETTINGS = Settings(backend="sandbox")
TICKET = {"id": "T-1", "subject": "s", "body": "SECRET body"}


def says(confidence: float = 0.9, usd: float = 0.001, stop: str = "tool_use", complete: bool = True, **decision: Any) -> Reply:
    """Return a reply of the forced tool."""
    tool = {"category": "auth", "priority": "P2", "confidence": confidence, "reasoning": "r", "needs_human": False, **decision}
    return Reply("m", "", tool, Usage(1, 1), Cost(usd, complete), 640.0, stop)


def tickets(n: int) -> list[dict[str, Any]]:
    """Return tickets with ids T-0 and on."""
    return [{"id": f"T-{number}", "subject": "s", "body": "b"} for number in range(n)]


class Scripted:
    """An `Ask` that answers by a script and remembers its calls; `hold` makes every call wait for `go`."""

    def __init__(self, answer: Callable[[str, Request], Reply] | None = None, *, hold: bool = False) -> None:
        self.calls: list[tuple[str, str]] = []
        self.go = threading.Event()
        self.called = threading.Event()
        self._answer = answer or (lambda model, request: says())
        if not hold:
            self.go.set()

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer as the script says."""
        self.calls.append((model, request.tags["ticket"]))
        self.called.set()
        assert self.go.wait(30)
        return self._answer(model, request)


def until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until something holds; return whether it came to hold."""
    tick, waited = threading.Event(), 0.0
    while not true() and waited < seconds:
        tick.wait(0.01)
        waited += 0.01
    return true()


STUCK = """
import sys
from scripted import SETTINGS, Scripted
from workshop_lib.cascade import documented
from workshop_lib.service import create_app, library_route, serve
class Telling(Scripted):
    def __call__(self, model, request):
        print("asked", flush=True)
        return super().__call__(model, request)
serve(create_app(library_route(documented()), Telling(hold=True), SETTINGS), 0, grace_s=float(sys.argv[1]))
"""


def stuck_service(grace_s: float = 1.0) -> tuple[subprocess.Popen[str], str]:
    """Start a service in a process of its own whose model prints "asked" and never answers; return it and its address."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    started = subprocess.Popen(
        [sys.executable, "-u", "-c", STUCK, str(grace_s)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert started.stdout is not None
    return started, started.stdout.readline().split()[4]
