"""Running a notebook in a fresh kernel whose surroundings are the same on every machine."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools.course.model import Course, Lab
from tools.course.sanitise import plain
from workshop_lib.errors import WorkshopError
from workshop_lib.headless import QUIET_KERNEL

CELL_TIMEOUT_S = 180
_FIXED = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "WORKSHOP_STATIC": "1",
    "WORKSHOP_BACKEND": "sandbox",
    "WORKSHOP_SEED": "0",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
    # One thread a library: sums come out the same on every machine, and two notebooks run at a time.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Stand-ins, so that no real credential is within a stored notebook's reach.
    "AWS_ACCESS_KEY_ID": "sandbox",
    "AWS_SECRET_ACCESS_KEY": "sandbox",
}
_DROPPED = (
    "WORKSHOP_STRICT", "MPLBACKEND", "PYTHONSTARTUP", "PYTHONWARNINGS", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
    "NVIDIA_API_KEY", "OPENAI_API_KEY",
)  # fmt: skip


class CellFailed(WorkshopError):
    """A cell did not run as its source says it should."""


def environment(course: Course, version: str, scratch: Path) -> dict[str, str]:
    """Return a kernel's environment: this process's, made the same everywhere, and nothing of the user's Jupyter or IPython settings."""
    made = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    made |= _FIXED | dict(course.environment)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        made[name] = str(scratch / name.lower())
    made["MPLCONFIGDIR"] = str(course.state / "matplotlib")
    if version == "solution":
        made["WORKSHOP_STRICT"] = "1"
    return made


def warm_fonts(course: Course) -> None:
    """Let matplotlib list the fonts once, as it otherwise reports doing so in the middle of a notebook."""
    folder = course.state / "matplotlib"
    if not list(folder.glob("fontlist*.json")):
        folder.mkdir(parents=True, exist_ok=True)
        surroundings = os.environ | {"MPLCONFIGDIR": str(folder)}
        subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], env=surroundings, check=False, capture_output=True)


def run(lab: Lab, version: str, made: NotebookNode, env: Mapping[str, str], scratch: Path, seconds: dict[str, float] | None = None) -> None:
    """Execute a notebook in place; raise CellFailed naming lab, cell, source line and the error's one line.

    `seconds` takes how long each cell ran, by its id.
    """
    started: list[str] = []
    began: dict[str, float] = {}

    def on_start(cell: NotebookNode, cell_index: int) -> None:
        started.append(cell.id)
        began[cell.id] = time.monotonic()

    def on_end(cell: NotebookNode, cell_index: int, **_: object) -> None:
        if seconds is not None:
            seconds[cell.id] = time.monotonic() - began[cell.id]

    manager = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # only this environment's kernel, whatever is installed for the user
        connection_file=str(scratch / "kernel.json"),
    )
    client = NotebookClient(
        made,
        km=manager,
        timeout=CELL_TIMEOUT_S,
        startup_timeout=120,
        record_timing=False,
        extra_arguments=QUIET_KERNEL,
        resources={"metadata": {"path": str(lab.folder)}},
        on_cell_start=on_start,
        on_cell_executed=on_end,
    )
    try:
        client.execute(env=dict(env), cleanup_kc=True)
    except CellExecutionError as error:
        raise CellFailed(_at(lab, version, started, plain(f"{error.ename}: {error.evalue}".strip().splitlines()[0]))) from None
    except CellTimeoutError:
        raise CellFailed(_at(lab, version, started, f"took longer than {CELL_TIMEOUT_S} s")) from None
    except DeadKernelError:
        raise CellFailed(_at(lab, version, started, "the kernel died")) from None
    for node in made.cells:
        cell = lab.cell(node.id)
        if cell is not None and "raises-exception" in cell.tags and not any(output.output_type == "error" for output in node.get("outputs", [])):
            raise CellFailed(lab.at(cell, f"tagged raises-exception, but raised nothing in {version}.ipynb"))


def _at(lab: Lab, version: str, started: list[str], what: str) -> str:
    cell = lab.cell(started[-1]) if started else None
    if cell is None:
        return f"{lab.name} · {version}.ipynb: {what}"
    return lab.at(cell, f"in {version}.ipynb: {what}")
