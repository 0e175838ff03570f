"""A notebook as a page: what a browser cannot be asked without one."""

import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from workshop_lib.lab.page import lab_page


@pytest.mark.slow
def test_a_page_has_its_title_both_themes_and_nothing_from_elsewhere() -> None:
    """Without it a page could be light whatever its reader chose, all be called "Notebook", or need a network to open."""
    notebook = new_notebook(cells=[new_markdown_cell("# Count what it saves\n\nText."), new_code_cell("1 + 1  # a comment")])
    page = lab_page(notebook, "90_test")
    assert "<title>Count what it saves</title>" in page
    dark = page.partition("prefers-color-scheme: dark")[2]
    assert "--jp-layout-color0: #111;" in dark, "nbconvert's dark theme has moved"
    assert re.findall(r'(?:src|href)="(https?:[^"]+)"', page) == []
    assert "<title>90_test</title>" in lab_page(new_notebook(), "90_test")


@pytest.mark.slow
def test_a_figure_keeps_its_description() -> None:
    """Without it a screen reader would say of every figure that nobody described it, although its caption is stored with it."""
    shown = new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "x"}, metadata={"image/png": {"alt": "3 < 4, so"}})
    page = lab_page(new_notebook(cells=[new_code_cell("draw()", outputs=[shown])]), "90_test")
    assert 'alt="3 &lt; 4, so"' in page
    assert "No description has been provided" not in page
