"""Runs without a notebook open: all five labs and their report, the bake-off, and JupyterLab itself."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from rich.console import Console

from workshop_lib.backend import open_backend
from workshop_lib.errors import SettingsError, WorkshopError
from workshop_lib.evaluation.arms import text_table
from workshop_lib.evaluation.bakeoff import Bakeoff, run_bakeoff
from workshop_lib.evaluation.cache import ReplyCache
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.evaluation.recorded import published, recorded_arms
from workshop_lib.evaluation.report import report_html
from workshop_lib.llm import connect
from workshop_lib.paths import OUT, ROOT, STATE

NOTEBOOKS = ROOT / "notebooks"
QUIET_KERNEL = ["--IPKernelApp.log_level=50"]  # a kernel on loopback TCP warns that it is not encrypted, and reports its own shutdown
_COLUMNS = ["arm", "n", "right", "accuracy", "low", "high", "cost_per_1000", "p50_ms", "escalation_rate", "human_recall", "source"]
_STOP_S = 30.0


class LabError(WorkshopError):
    """A lab stopped with an error when run headless."""


def run_all(seed: int = 0, out: Path | None = None) -> Path:
    """Execute every solution, run the bake-off, print its table, and write one report that links all; return the report's path.

    Raises LabError naming the lab and the cell that failed.
    """
    folder = report_folder(out)
    console = Console(highlight=False)
    labs = sorted(path.parent for path in NOTEBOOKS.glob("*/solution.ipynb"))
    if not labs:
        raise LabError(f"There is no lab under {NOTEBOOKS}. Restore them with: git checkout notebooks, or build them: workshop build")
    open_backend(seed=seed)
    pages = []
    for lab in labs:
        with console.status(f"{lab.name} ..."):
            pages.append(_run_lab(lab, seed, folder))
        console.print(f"{lab.name}: ran from top to bottom")
    return write_bakeoff(run_here(seed=seed), folder, pages)


def run_here(seed: int | None = None, limit: int | None = None) -> Bakeoff:
    """Run the bake-off with the backend of the settings; live replies are kept in .workshop, so a second run pays nothing twice."""
    settings = open_backend() if seed is None else open_backend(seed=seed)
    path = STATE / "bakeoff-live.jsonl" if settings.backend == "live" else None
    ask = ReplyCache(path, connect(settings))
    bakeoff = run_bakeoff(ask, ask, load_tickets("test")[:limit])
    assert bakeoff.provenance is not None  # a run just made states it
    return replace(bakeoff, provenance=bakeoff.provenance.model_copy(update={"backend": settings.backend, "seed": settings.seed if settings.backend == "sandbox" else None}))


def print_bakeoff(bakeoff: Bakeoff) -> None:
    """Print the bake-off table."""
    print(f"\nBake-off on {bakeoff.tickets} tickets, graded against people. Source of every number: {bakeoff.source}.")
    print(text_table(bakeoff.summary[_COLUMNS], {"cost_per_1000": 3, "right": 1}))


def write_bakeoff(bakeoff: Bakeoff, folder: Path, pages: list[Path]) -> Path:
    """Print the bake-off table and write the report page, with links to the labs' pages beside it."""
    print_bakeoff(bakeoff)
    report = folder / "report.html"
    html = report_html(bakeoff, recorded_arms(), published(), made_on=datetime.now(UTC).date())
    links = "".join(f'<li><a href="{escape(page.name)}">{escape(page.stem)}</a></li>' for page in pages)
    if links:
        html = html.replace("</main>", f"<h2>The labs of this run</h2><ul>{links}</ul></main>")
    report.write_text(html, encoding="utf-8")
    print(f"\nReport: {_shown(report)}")
    return report


def open_jupyterlab(options: Sequence[str] = ()) -> int:
    """Open JupyterLab on the start page with a sandbox that ends with it; `options` go to JupyterLab; return its exit status.

    Ctrl-C and SIGTERM stop the server and its kernels in an orderly way, whether they reach the server too (a terminal) or not.
    """
    from workshop_lib.lab import start  # brings the openai SDK and IPython, half a second that the bake-off need not wait for

    settings = open_backend()
    print(f"Backend: {settings.backend}. Stop with Ctrl-C.")
    print(start.greeting())
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{start.PAGE.relative_to(ROOT).as_posix()}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container; the server answers on this machine only, and asks for a token
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen([*command, *options])  # noqa: S603  # our own interpreter, and options the user typed
    try:
        return server.wait()
    except KeyboardInterrupt:
        print("\nStopping JupyterLab and its kernels ...")
        _end(server)
        return 0


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End JupyterLab so that it ends its kernels; kill it if it does not in time, or at the next Ctrl-C."""
    server.terminate()
    try:
        server.wait(_STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        server.kill()
        server.wait()


def _run_lab(lab: Path, seed: int, folder: Path) -> Path:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    executed = folder / f"{lab.name}.ipynb"
    try:
        papermill.execute_notebook(
            str(lab / "solution.ipynb"),
            str(executed),
            parameters={"SEED": seed},
            cwd=str(lab),
            kernel_name="python3",
            progress_bar=False,
            extra_arguments=QUIET_KERNEL,
        )
    except PapermillExecutionError as error:
        raise LabError(f"{lab.name} stopped at cell [{error.exec_count}] with {error.ename}: {error.evalue}. The notebook so far: {_shown(executed)}") from error
    except DeadKernelError as error:
        raise LabError(f"{lab.name} stopped because its kernel died, often for want of memory. The notebook so far: {_shown(executed)}") from error
    return _page(executed)


def _page(notebook: Path) -> Path:
    import nbformat  # takes a second or more to import, which the bake-off need not wait for

    from workshop_lib.lab.page import lab_page

    body = lab_page(nbformat.read(notebook, as_version=4), notebook.stem)
    page = notebook.with_suffix(".html")
    page.write_text(relinked(body, notebook.parent), encoding="utf-8")
    return page


def relinked(html: str, folder: Path) -> str:
    """Return a lab's page with its links made right for the folder it lies in: labs to the pages beside it, the rest to the checkout."""
    html = re.sub(r'href="\.\./(\d\d_\w+)/(?:lab|solution)\.ipynb', r'href="\1.html', html)
    root = Path(os.path.relpath(ROOT, folder)).as_posix()
    return html.replace('href="../../', f'href="{root}/')


def report_folder(out: Path | None) -> Path:
    """Return the folder of a report, made if need be; raise SettingsError if it cannot be written."""
    folder = out or OUT
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The report folder {folder} cannot be made ({error.strerror}). Name another with --out.") from error
    if not os.access(folder, os.W_OK):  # now, and not after everything has been run and paid for
        raise SettingsError(f"The report folder {folder} cannot be written. Name another with --out.")
    return folder


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
