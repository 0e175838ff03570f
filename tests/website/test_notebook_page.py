"""A stored notebook becomes a page: nothing runs, nothing is lost, nothing of it is taken for markup."""

from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.website.notebook_page import NotebookPage, render

WIDE = "x" * 100
pytestmark = pytest.mark.slow  # nbconvert takes a second or two to import


class Tags(HTMLParser):
    """Collects a page's tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102  # the parser's own
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> NotebookPage:
    """Return a page with one of everything that the labs store."""
    outputs = [
        new_output("stream", name="stdout", text="a < b & c\n"),
        new_output("stream", name="stdout", text=WIDE),
        new_output("display_data", {"image/png": "aGk=", "text/plain": "p"}, metadata={"image/png": {"alt": 'Bars, "high"'}}),
        new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"]),
    ]
    cells = [new_markdown_cell("# Two · words\n\nText.", id="title"), new_markdown_cell("## Next?", id="next"), new_code_cell("1 < 2  # why", outputs=outputs, id="ex1")]
    path = tmp_path_factory.mktemp("page") / "lab.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return render(path)


def test_headings_have_anchors_that_links_reach(page: NotebookPage) -> None:
    """Without it the table of contents of a lab would lead nowhere."""
    assert [(heading.level, heading.anchor, heading.text) for heading in page.headings] == [(1, "Two-·-words", "Two · words"), (2, "Next?", "Next?")]
    assert page.title == "Two · words"
    assert {"Two-·-words", "cell-ex1"} <= page.anchors


def test_outputs_are_text_and_pictures_are_described(page: NotebookPage) -> None:
    """Without it an output could break the page, or a figure say nothing to who cannot see it."""
    assert "a &lt; b &amp; c" in page.html
    assert [given["alt"] for tag, given in Tags(page.html).found if tag == "img"] == ['Bars, "high"']
    assert "ValueError: no" in page.html
    assert '<span class="c1"># why</span>' in page.html


def test_a_wide_output_is_reached_with_the_keyboard(page: NotebookPage) -> None:
    """Without it who uses no mouse could not scroll a wide table, or would have to pass every narrow one."""
    reached = [given["aria-label"] for tag, given in Tags(page.html).found if tag == "pre" and given.get("tabindex") == "0"]
    assert reached == ["Output, scrolls sideways"]


def test_a_notebook_without_a_heading_is_refused() -> None:
    """Without it a page could have no name."""
    with pytest.raises(ValueError, match="without a heading"):
        _ = NotebookPage("<p>text</p>").title
