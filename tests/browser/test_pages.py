"""The pages that people read: every lab as HTML and the report, in the reader's light or dark theme, by axe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page

from workshop_lib.evaluation.bakeoff import run_bakeoff
from workshop_lib.evaluation.recorded import recorded_ask, recorded_labels
from workshop_lib.headless import NOTEBOOKS, relinked, write_bakeoff
from workshop_lib.lab.page import lab_page

LABS = sorted(path.parent.name for path in NOTEBOOKS.glob("*/solution.ipynb"))
Audit = Callable[..., list[str]]
Shot = Callable[..., None]
KEEP_ONE_OF_EACH_TOKEN = """() => {
    const seen = new Set();
    for (const token of document.querySelectorAll('.highlight span[class]')) {
        if (seen.has(token.className)) token.remove(); else seen.add(token.className);
    }
}"""
"""All code has one background, so a token's contrast depends on its kind alone; looking at thousands of them takes most of axe's time."""


def looked_at(browser: Browser, page: Path, audit: Audit, shot: Shot, *, thin: bool = False) -> list[str]:
    """Return what axe finds in a page, light and dark; a request that leaves the machine fails the test."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        opened = context.new_page()
        asked: list[str] = []
        opened.on("request", lambda request, asked=asked: asked.append(request.url))
        opened.goto(page.as_uri())
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        shot(opened, f"{page.stem}-{scheme}")
        assert is_dark(opened) is (scheme == "dark")
        if thin:
            opened.evaluate(KEEP_ONE_OF_EACH_TOKEN)
        found += audit(opened, f"{page.stem} {scheme}")
        context.close()
    return found


def is_dark(page: Page) -> bool:
    """Say whether a page's background is dark."""
    colour: Any = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    return sum(colour) < 3 * 128


@pytest.mark.parametrize("name", LABS)
def test_a_lab_can_be_read_by_all(browser: Browser, name: str, tmp_path: Path, audit: Audit, shot: Shot) -> None:
    """Without it people with weak sight or a screen reader could be left out of a lab's page, in the theme that nobody here uses."""
    notebook = nbformat.read(NOTEBOOKS / name / "solution.ipynb", as_version=4)
    page = tmp_path / f"{name}.html"
    page.write_text(relinked(lab_page(notebook, name), tmp_path), encoding="utf-8")
    assert looked_at(browser, page, audit, shot, thin=True) == []


def test_the_report_can_be_read_by_all(browser: Browser, tmp_path: Path, audit: Audit, shot: Shot) -> None:
    """Without it the page that is sent to those who decide could be unreadable to some of them."""
    bakeoff = run_bakeoff(recorded_ask, lambda model, request: recorded_ask("sonnet", request), recorded_labels(), tiers=("nano", "sonnet"), draws=100)
    report = write_bakeoff(bakeoff, tmp_path, [tmp_path / "01_call_tiers.html"])
    assert looked_at(browser, report, audit, shot) == []
