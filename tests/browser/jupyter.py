"""A JupyterLab of the tests' own, and the few things a learner does in it."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes
from playwright.sync_api import Locator, Page, expect

START_S = 120
PATIENCE_MS = 120_000
"""How long anything may take on a machine that does ten other things; nothing waits longer than it must."""

_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, seen or not
    "docmanager-extension/plugin": {"autosave": False},
}


@dataclass(frozen=True)
class Jupyter:
    """A running JupyterLab: its address, its token and the folder it shows."""

    root: str
    token: str
    folder: Path

    def url(self, notebook: str) -> str:
        """Return the address of a notebook in a fresh workspace."""
        return f"{self.root}/lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}?token={self.token}"

    def setting(self, plugin: str, values: Mapping[str, object]) -> None:
        """Change the settings of one of JupyterLab's extensions."""
        url = f"{self.root}/lab/api/settings/@jupyterlab/{plugin.replace('/', ':', 1)}"
        headers = {"Authorization": f"token {self.token}"}
        httpx.put(url, json={"raw": json.dumps(values)}, headers=headers, timeout=60, trust_env=False).raise_for_status()

    def write(self, name: str, cells: Sequence[str]) -> None:
        """Put a notebook of code cells into the folder; a text that begins with # and a blank is Markdown."""
        made = new_notebook(cells=[(new_markdown_cell if text.startswith("# ") else new_code_cell)(text) for text in cells])
        made.metadata["language_info"] = {"name": "python"}
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        (self.folder / name).write_text(writes(made), encoding="utf-8")


def start(folder: Path, private: Path, environment: Mapping[str, str]) -> "tuple[Jupyter, subprocess.Popen[bytes]]":
    """Start JupyterLab on a free port with nothing of the user's: no settings, no extensions that call out, no kernels but this environment's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "WORKSHOP_", "AWS_", "OPENAI_", "NVIDIA_"))}
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    own = {name: str(private / name.lower()) for name in names} | {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PLATFORM_DIRS": "1", "HOME": str(private)}
    options = [
        f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        "--ServerApp.open_browser=False", "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly", "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    log = private / "jupyterlab.log"
    with log.open("wb") as said:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=inherited | own | dict(environment), stdout=said, stderr=said)
    jupyter = Jupyter(f"http://127.0.0.1:{port}", token, folder)
    ends = time.monotonic() + START_S
    while True:
        try:
            httpx.get(f"{jupyter.root}/api", timeout=5, trust_env=False).raise_for_status()
            break
        except httpx.HTTPError:
            if server.poll() is not None or time.monotonic() > ends:
                server.kill()
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}") from None
    for plugin, values in _SETTINGS.items():
        jupyter.setting(plugin, values)
    return jupyter, server


def open_notebook(page: Page, jupyter: Jupyter, name: str) -> None:
    """Open a notebook and wait until its kernel can be used."""
    page.goto(jupyter.url(name))
    expect(page.locator(".jp-Notebook")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=PATIENCE_MS)  # the notebook's own mark says idle before there is a kernel


def take_theme(page: Page, theme: str) -> None:
    """Change to JupyterLab's Light or Dark theme, by the command behind its menu."""
    name = f"JupyterLab {theme}"
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", name, timeout=PATIENCE_MS)


def run_all(page: Page) -> None:
    """Run all cells by the menu, and wait for the last one."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_for_cells(page)


def wait_for_cells(page: Page) -> None:
    """Wait until every code cell that says something has run."""
    page.wait_for_function(
        """() => {
            const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].filter(cell => cell.querySelector('.cm-content').innerText.trim());
            return cells.length > 0 && cells.every(cell => /\\[\\d+\\]/.test(cell.querySelector('.jp-InputPrompt').innerText));
        }""",
        timeout=PATIENCE_MS,
    )
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle", timeout=PATIENCE_MS)


def code_cell(page: Page, text: str) -> Locator:
    """Return the code cell whose source holds a text."""
    return page.locator(".jp-Notebook .jp-CodeCell").filter(has=page.locator(".cm-content", has_text=text))


def rewrite(page: Page, cell: Locator, source: str) -> None:
    """Replace a cell's source by typing in its editor."""
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(source)


def run_cell(page: Page, cell: Locator) -> None:
    """Run one cell from its editor, and wait for it."""
    before = cell.locator(".jp-InputPrompt").inner_text()
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+Enter")
    expect(cell.locator(".jp-InputPrompt")).not_to_have_text(before, timeout=PATIENCE_MS)
    expect(cell.locator(".jp-InputPrompt")).not_to_contain_text("*", timeout=PATIENCE_MS)
