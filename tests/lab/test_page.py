"""A notebook as a page: what a browser cannot be asked without one."""

import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from workshop_lib.lab.page import lab_page


@pytest.mark.slow
def test_a_page_has_its_title_both_themes_and_nothing_from_elsewhere() -> None:
    """Without it a page could be light whatever its reader chose, all be called "Notebook", or need a network to open."""
    notebook = new_notebook(cells=[new_markdown_cell("# Count what it saves\n\nText."), new_code_cell("1 + 1  # a comment")])
    page = lab_page(notebook, "90_test")
    assert "<title>Count what it saves</title>" in page
    dark = page.partition("prefers-color-scheme: dark")[2]
    assert "--jp-layout-color0: #111111" in dark, "nbconvert's dark theme has moved"
    assert re.findall(r'(?:src|href)="(https?:[^"]+)"', page) == []
    assert "<title>90_test</title>" in lab_page(new_notebook(), "90_test")
