"""The lines of docs/service.md, run as they are printed."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from workshop_lib.llm import Gateway
from workshop_lib.paths import ROOT
from workshop_lib.sandbox import process
from workshop_lib.settings import load

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "service.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def objects(said: str) -> list[dict[str, Any]]:
    """Return the JSON objects in an output, one after the other."""
    found, rest = [], said.strip()
    while rest:
        one, end = json.JSONDecoder().raw_decode(rest)
        found.append(one)
        rest = rest[end:].lstrip()
    return found


SAYS: dict[str, Callable[[str], bool]] = {
    "/healthz": lambda said: objects(said)[0]["status"] == "ok",
    "/api/triage ": lambda said: objects(said)[0]["modelUsed"] == "claude",
    "/api/triage/cascade": lambda said: said.startswith("event: nano-start\n") and "event: done\n" in said,
    "/api/triage/bulk": lambda said: {row["ticket_id"] for row in objects(said) if "error" not in row} == {"T-1", "T-2"},
    "/openapi.json": lambda said: "/api/triage/bulk" in objects(said)[0]["paths"],
    "/api/about": lambda said: (objects(said)[0]["source"], len(objects(said)[1]["tickets"])) == ("sandbox", 20),
}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", BLOCKS, ids=[re.findall(r"\$SERVICE([\w./]+)", block)[0] for block in BLOCKS])
def test_lines_of_the_docs_do_what_they_say(serving: Callable[..., httpx.Client], sandbox: process.Address, block: str) -> None:
    """Without it somebody's first request, copied from the docs, could fail."""
    client = serving(Gateway(load()))
    env = {**os.environ, "SERVICE": str(client.base_url).rstrip("/"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(["sh", "-ec", block], env=env, capture_output=True, text=True, timeout=60, check=True)
    (says,) = [says for path, says in SAYS.items() if f"$SERVICE{path}" in block]
    assert says(done.stdout), done.stdout
