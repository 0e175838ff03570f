"""`workshop cloud`: the state machine on this machine, and the generated parts of deploy/."""

import json
import os
from pathlib import Path
from typing import Literal
from uuid import uuid4

import httpx
import typer

from workshop_lib.backend import open_backend
from workshop_lib.cloud.definition import machine
from workshop_lib.cloud.deployment import deployment
from workshop_lib.cloud.emulator import emulator
from workshop_lib.cloud.history import diagram, mermaid, rows, table, visited, way
from workshop_lib.errors import DataError, SettingsError

Diagram = Literal["text", "mermaid", "none"]
_FAULTS = ("throttled", "server", "unavailable", "model_error", "not_ready")


def simulate(text: str, subject: str, fault: str | None, drawing: Diagram, out: Path | None) -> None:
    """Run one ticket through the state machine of deploy/ and print its history; `fault` has the cheap tier's first two attempts fail so."""
    if not text.strip():
        raise DataError('The ticket has no text. Give it between quotes: workshop cloud simulate "Two payments for one invoice"')
    if fault is not None and fault not in _FAULTS:
        raise SettingsError(f"No fault {fault!r}. Choose one of: {', '.join(_FAULTS)}.")
    cheap = deployment().cheap
    settings = open_backend()
    if settings.backend == "live":
        raise SettingsError("WORKSHOP_BACKEND is 'live', and the simulation asks the sandbox only. Run: WORKSHOP_BACKEND=sandbox workshop cloud simulate ...")
    assert settings.bedrock_endpoint is not None  # an open sandbox has one
    with emulator(settings.bedrock_endpoint) as running:
        scope = f"simulate-{os.getpid()}-{uuid4().hex[:6]}"
        if fault is not None:
            running.shim.scope = scope
            httpx.post(f"{settings.bedrock_endpoint}/sandbox/faults", json={"scope": scope, "model": cheap, "script": [fault, fault, "ok"]}).raise_for_status()
        try:
            done = running.run(running.create("ticket"), {"ticket": {"id": "T-1", "subject": subject, "body": text}})
        finally:
            if fault is not None:
                httpx.delete(f"{settings.bedrock_endpoint}/sandbox/faults", params={"scope": scope})
    typer.echo(table(rows(done.events)))
    typer.echo(f"\nway: {way(done.events)}")
    if drawing != "none":
        typer.echo("\n" + (mermaid if drawing == "mermaid" else diagram)(machine("ticket"), visited(done.events)))
    if out is not None:
        out.write_text(json.dumps(done.events, default=str, indent=1), encoding="utf-8")
    if done.status != "SUCCEEDED":
        raise typer.Exit(1)
