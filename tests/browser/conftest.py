"""What the browser tests share: one Chromium and one JupyterLab for the session, screenshots under out/, and axe."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import axe_playwright_python
import jupyter
import only_loopback
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from workshop_lib.paths import OUT, ROOT
from workshop_lib.sandbox import process

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
SHOTS = OUT / "browser"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as slow and keep it on one worker, so that there is one JupyterLab; without a browser skip it and say why."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("browser"))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no chromium on this machine; apt-get install chromium runs these"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give one headless Chromium that can reach this machine only."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(sandbox_process: process.Address, tmp_path_factory: pytest.TempPathFactory) -> Iterator[jupyter.Jupyter]:
    """Give a JupyterLab on copies of the labs, whose kernels find the tests' sandbox."""
    folder, private = tmp_path_factory.mktemp("labs"), tmp_path_factory.mktemp("jupyter")
    for notebook in (ROOT / "notebooks").glob("*/lab.ipynb"):
        (folder / notebook.parent.name).mkdir()
        shutil.copy(notebook, folder / notebook.parent.name)
    environment = {
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": sandbox_process.root, "OPENAI_BASE_URL": sandbox_process.openai, "WORKSHOP_TIME_SCALE": "0",
        "AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox", "AWS_DEFAULT_REGION": "us-west-2", "OPENAI_API_KEY": "sandbox",
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(Path(only_loopback.__file__).parent), "NO_PROXY": "127.0.0.1,localhost",
    }  # fmt: skip
    running, server = jupyter.start(folder, private, environment)
    try:
        yield running
    finally:
        server.send_signal(signal.SIGTERM)  # it then ends its kernels
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """Give one page to the tests of a module: opening JupyterLab takes longer than most of what is done in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    context.set_default_timeout(jupyter.PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def shot() -> Callable[..., None]:
    """Give a function that keeps a screenshot of a page or a part of it under out/browser/."""

    def keep(part: Any, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        part.screenshot(path=SHOTS / f"{name}.png")

    return keep


AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def audit() -> Callable[..., list[str]]:
    """Give a function that returns axe's serious and critical violations of a page, one line each.

    `include` are the parts to look at (default: all), `skip` maps a rule to the selector of what it may find fault with.
    """

    def look(page: Page, where: str, include: Sequence[str] = (), skip: Mapping[str, str] | None = None) -> list[str]:
        page.evaluate(AXE)
        part = {"include": [[selector] for selector in include]} if include else None
        found = page.evaluate("([part, tags]) => axe.run(part || document, {runOnly: {type: 'tag', values: tags}})", [part, _TAGS])
        assert "color-contrast" in {entry["id"] for entry in found["passes"]}, f"{where}: axe saw no text"
        return [
            f"{where}: {entry['id']} ({entry['impact']}): {node['target']} {node['failureSummary']}"
            for entry in found["violations"]
            if entry["impact"] in ("serious", "critical")
            for node in entry["nodes"]
            if not page.evaluate("([target, skip]) => skip && document.querySelector(target).matches(skip)", [node["target"][0], (skip or {}).get(entry["id"])])
        ]

    return look
