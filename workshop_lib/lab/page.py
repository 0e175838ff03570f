"""A notebook as a page that stands alone: nbconvert's, in the reader's light or dark theme, with contrast and sizes that people can use."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode  # takes more than a second to import, and `workshop bakeoff` needs it not

_DARK = "lab/static/theme-dark.css"
# Colours of nbconvert's themes that are too pale on their background for WCAG 2.2 AA, and what else its template leaves unusable.
_LIGHT_COLOURS = """
:root { --jp-mirror-editor-comment-color: #386f6f; --jp-mirror-editor-number-color: #007000; --jp-mirror-editor-bracket-color: #6b6b4a;
  --jp-mirror-editor-operator-color: #9310e0; --jp-cell-inprompt-font-color: #22639c; --jp-cell-outprompt-font-color: #a34a2e;
  --jp-cell-prompt-not-active-font-color: #5c5c5c; --jp-cell-prompt-not-active-opacity: 1; }
"""
_DARK_COLOURS = """
:root { color-scheme: dark; --jp-mirror-editor-comment-color: #7fb5b5; --jp-mirror-editor-number-color: #7fd07f; --jp-mirror-editor-keyword-color: #6fcf6f;
  --jp-mirror-editor-builtin-color: #6fcf6f; --jp-mirror-editor-string-color: #ff8c8c; --jp-mirror-editor-operator-color: #cf9bff; --jp-mirror-editor-property-color: #7fb8ff;
  --jp-mirror-editor-def-color: #7fb8ff; --jp-mirror-editor-punctuation-color: #9cc4f5; --jp-mirror-editor-bracket-color: #cfcf9f; --jp-mirror-editor-meta-color: #cf9bff;
  --jp-mirror-editor-variable-color: #e6e6e6; --jp-cell-inprompt-font-color: #7cc4f2; --jp-cell-outprompt-font-color: #f0a58c;
  --jp-cell-prompt-not-active-font-color: #b5b5b5; --jp-content-link-color: #7cc4f2; }
"""
_LAYOUT = """
.jp-RenderedHTMLCommon a:link, .jp-RenderedHTMLCommon a:visited { text-decoration: underline; }
summary { padding: .3em 0; min-height: 24px; }
@media (max-width: 700px) { .jp-RenderedText pre { white-space: pre; overflow-x: auto; } }
"""
"""On a narrow screen the page would fold the lines of printed tables; they are scrolled instead."""

# nbconvert's own template leaves an image's stored description out, and says instead that there is none.
_TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{% block data_png scoped %}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}"><img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}" alt="{{ (output | get_metadata('alt', 'image/png') or '') | escape_html }}"></div>
{%- endblock data_png %}
"""


def lab_page(notebook: "NotebookNode", name: str) -> str:
    """Return a notebook as HTML that opens without a network and follows the reader's choice of a light or a dark page.

    Its title is the notebook's first heading, or `name`. The dark variables are those of nbconvert's own theme.
    """
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter  # takes a second or more to import

    ours = "workshop.html.j2"
    exporter = HTMLExporter(extra_loaders=[DictLoader({ours: _TEMPLATE})], template_file=ours, mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", mermaid_layout_elk_js_url="")  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": _title(notebook) or name}})
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {_theme(exporter.template_paths)} {_DARK_COLOURS} }}"
    return str(body).replace("</head>", f"<style>{_LIGHT_COLOURS}{dark}{_LAYOUT}</style></head>", 1)


def _theme(folders: list[str]) -> str:
    """Return nbconvert's dark theme, from the first of its template folders that has one."""
    found = next((path for folder in folders for path in (Path(folder) / "static" / "theme-dark.css", Path(folder) / _DARK) if path.is_file()), None)
    return "" if found is None else found.read_text(encoding="utf-8")


def _title(notebook: "NotebookNode") -> str:
    texts = (re.search(r"^# (.+)$", cell.source, re.MULTILINE) for cell in notebook.cells if cell.cell_type == "markdown")
    return next((found[1] for found in texts if found), "")
