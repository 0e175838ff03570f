"""A stored notebook as a page of the site: nbconvert renders it with the site's own template, outputs as they are stored."""

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import unquote

TEMPLATES = Path(__file__).parent / "templates"
_HEADING = re.compile(r'<h([1-6])[^>]*? id="([^"]+)"[^>]*>(.*?)</h\1>', re.DOTALL)
_ANCHOR_LINK = re.compile(r'<a class="anchor-link" href="([^"]+)">.*?</a>')
_HEADING_ID = re.compile(r'(<h[1-6][^>]*? id=")([^"]+)"')
_ID = re.compile(r'<[a-z][^>]*? id="([^"]+)"')
_WIDE = 80
"""Characters of a line beyond which an output scrolls, and must be reachable with the keyboard."""


@dataclass(frozen=True)
class Heading:
    """A heading of a page: its level (1 to 6), the anchor that leads to it, and its text as HTML."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True)
class NotebookPage:
    """A notebook as HTML without a page around it."""

    html: str

    @property
    def headings(self) -> tuple[Heading, ...]:
        """Return the headings in order."""
        found = _HEADING.findall(self.html)
        return tuple(Heading(int(level), unescape(anchor), text.partition('<a class="headerlink"')[0].strip()) for level, anchor, text in found)

    @property
    def title(self) -> str:
        """Return the text of the first heading; raise ValueError if there is none."""
        if not self.headings:
            raise ValueError("a notebook without a heading cannot be a page")
        return unescape(re.sub(r"<[^>]+>", "", self.headings[0].text))

    @property
    def anchors(self) -> set[str]:
        """Return everything on the page that a link can lead to."""
        return {unescape(found) for found in _ID.findall(self.html)}


def render(notebook: Path) -> NotebookPage:
    """Return a notebook as a page; nothing is executed."""
    import nbformat  # with nbconvert a second or more to import
    from nbconvert import HTMLExporter
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.python import PythonLexer

    def code(source: str) -> str:
        return str(highlight(source, PythonLexer(), HtmlFormatter(cssclass="highlight", wrapcode=True)))

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="site",
        extra_template_basedirs=[str(TEMPLATES)],
        filters={"site_code": code, "site_text": _text},
    )
    body, _ = exporter.from_notebook_node(nbformat.read(notebook, as_version=4))
    body = _HEADING_ID.sub(lambda found: f'{found[1]}{unquote(found[2])}"', body)  # nbconvert encodes ids as if they were addresses
    return NotebookPage(_ANCHOR_LINK.sub(r'<a class="headerlink" href="\1" title="Link to this place">¶</a>', body))


def _text(text: str) -> str:
    """Return the attributes of a printed output: one that is too wide for the page can be scrolled with the keyboard."""
    wide = max((len(line) for line in text.splitlines()), default=0) > _WIDE
    return ' tabindex="0" role="region" aria-label="Output, scrolls sideways"' if wide else ""
