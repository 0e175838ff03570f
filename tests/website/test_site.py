"""The site as it is built: every link holds, the labs are in it as stored, and it can be read in a browser by everybody."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from workshop_lib.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BUILT = os.environ.get("WORKSHOP_SITE")  # a site that `make test` has just built
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site that is named, or build it with every warning an error."""
    if BUILT:
        return ROOT / BUILT
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Serve the site on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:  # the base class's own
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_labs_stand_in_it_with_their_stored_outputs(site: Path) -> None:
    """Without it the site could show labs of an older build, or without what they print."""
    for notebook in sorted((ROOT / "notebooks").glob("*/*.ipynb")):
        stored = json.loads(notebook.read_text(encoding="utf-8"))
        name = notebook.parent.name + ("_solution" if notebook.stem == "solution" else "")
        page = (site / "labs" / f"{name}.html").read_text(encoding="utf-8")
        images = sum("image/png" in output.get("data", {}) for cell in stored["cells"] for output in cell.get("outputs", []))
        assert page.count('src="data:image/png') == images
        assert all(f'id="cell-{cell["id"]}"' in page for cell in stored["cells"] if cell["cell_type"] == "code")


def test_the_api_is_there_from_docstrings(site: Path) -> None:
    """Without it a package that moved would leave an empty page."""
    for page, name in (("cascade", "Walk one item"), ("llm", "One prompt for one model"), ("tasks", "One thing asked of models"), ("settings", "USD per million tokens")):
        assert name in (site / "api" / f"{page}.html").read_text(encoding="utf-8")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; apt-get install chromium runs these")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_both_palettes_and_asks_nobody_else(address: str, scheme: str) -> None:
    """Without it low contrast, an unnamed control or a request to another host would be found by a reader."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900}).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index.html", "labs/02_confidence.html", "api/llm.html", "how-to/add-a-tier.html"):
            page.goto(f"{address}/{name}", wait_until="networkidle")
            found = Axe().run(page).response["violations"]
            serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
            assert not serious, name
        browser.close()
    assert all(url.startswith((address, "data:")) for url in asked)


_BROKEN_IN_TABLES = """() => {
  const broken = [];
  for (const cell of document.querySelectorAll("td, th")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      for (const word of texts.currentNode.textContent.matchAll(/\\w+/g)) {
        const range = document.createRange();
        range.setStart(texts.currentNode, word.index);
        range.setEnd(texts.currentNode, word.index + word[0].length);
        if (new Set([...range.getClientRects()].filter((box) => box.width).map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
      }
    }
  }
  return broken;
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; apt-get install chromium runs these")
@pytest.mark.nightly
def test_a_telephone_shows_whole_words_and_a_keyboard_reaches_wide_tables(address: str) -> None:
    """Without it names in tables could fall apart on a narrow screen, or what is cut off be out of reach without a mouse."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_context(viewport={"width": 320, "height": 800}).new_page()
        for name in ("sandbox.html", "production.html", "bulk.html"):
            page.goto(f"{address}/{name}", wait_until="networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, name
            assert page.evaluate(_BROKEN_IN_TABLES) == [], name
            serious = [one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
            assert not serious, name
        browser.close()
