"""A sandbox that dies in the middle of a lab, in a real kernel run by nbclient."""

import os
from collections.abc import Iterator

import openai
import pytest
from botocore.exceptions import EndpointConnectionError
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from workshop_lib.errors import DataError
from workshop_lib.lab.shell import STOPPED, explain
from workshop_lib.llm import CallError

OPEN = """
from workshop_lib import catalog
from workshop_lib.lab import session
from workshop_lib.llm import Request
from workshop_lib.sandbox import process

session.exercises_of = lambda name: ()
lab = session.open_lab("90_test", backend="sandbox", seed=90210)
nano = catalog.model("nano").id
hello = [{"role": "user", "content": [{"text": "What is the capital of France?"}]}]
"""
CONVERSE = 'print(lab.bedrock.converse(modelId=nano, messages=hello)["stopReason"])'
CHAT = 'lab.openai.chat.completions.create(model=nano, messages=[{"role": "user", "content": "Hello"}])'
ASK = 'lab.ask("nano", Request("Hello"))'
KILL = """
import psutil

sandbox = psutil.Process(process.ensure(lab.settings).pid)
sandbox.kill()
psutil.wait_procs([sandbox], timeout=10)
"""
STOP = "process.stop(lab.settings)"
BUG = "1 / 0"
CELLS = [OPEN, CONVERSE, KILL, CONVERSE, CHAT, ASK, BUG, "lab.reconnect()", CONVERSE, STOP]


@pytest.fixture(scope="module")
def kernel() -> Iterator[NotebookClient]:
    """Yield a client with a running kernel and the cells above, which the tests execute in order."""
    cells = [new_code_cell(text.strip()) for text in CELLS]
    client = NotebookClient(new_notebook(cells=cells), timeout=180, record_timing=False, extra_arguments=["--IPKernelApp.log_level=40"])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WORKSHOP_")}
    with client.setup_kernel(env=inherited):
        yield client


def _run(client: NotebookClient, position: int) -> list[dict[str, object]]:
    cell = client.nb.cells[position]
    client.execute_cell(cell, position)
    return list(cell.outputs)


@pytest.mark.slow
def test_stopped_sandbox_says_how_to_go_on(kernel: NotebookClient) -> None:
    """Without this a learner whose sandbox died would face a page of traceback and not know that one call brings it back."""
    opened = _run(kernel, 0)
    assert opened[0]["text"] == "Lab 90 · sandbox: stand-in models on this machine, seed 90210 · nothing here costs money\n"
    assert _run(kernel, 1)[0]["output_type"] == "stream"
    _run(kernel, 2)
    for position, name in ((3, "EndpointConnectionError"), (4, "APIConnectionError"), (5, "CallError")):
        with pytest.raises(CellExecutionError):  # the cell counts as failed for nbclient, and so for papermill and nbval
            _run(kernel, position)
        [error] = kernel.nb.cells[position].outputs
        assert error["output_type"] == "error"
        assert error["traceback"] == [f"{name}: {STOPPED}"]
    with pytest.raises(CellExecutionError):
        _run(kernel, 6)
    assert len(kernel.nb.cells[6].outputs[0]["traceback"]) > 1, "a plain bug keeps its traceback"
    assert _run(kernel, 7)[0]["text"] == "The sandbox is running again. Go on where you stopped.\n"
    assert _run(kernel, 8)[0]["output_type"] == "stream"
    _run(kernel, 9)


def test_lines_differ_by_what_happened() -> None:
    """Without this a live outage would be blamed on the sandbox, or a slow reply or broken file called a lost connection."""
    lost = EndpointConnectionError(endpoint_url="https://bedrock.example")
    assert explain(lost, "sandbox") == STOPPED
    assert "Check the network" in explain(lost, "live")
    slow = openai.APITimeoutError(request=None)  # type: ignore[arg-type]
    assert explain(slow, "sandbox") == str(slow)
    assert explain(CallError("unreachable", "nano", "refused."), "sandbox") == STOPPED
    assert explain(CallError("throttled", "nano", "too fast."), "sandbox").startswith("nano: too fast.")
    assert explain(DataError("The file is broken."), "sandbox") == "The file is broken."
