"""Checks of a built site: every link and anchor leads somewhere, nothing is loaded from elsewhere, no Markdown is left over."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_NOT_LOADED = {"canonical", "next", "prev", "alternate"}
_STYLE_LOAD = re.compile(r"""(?:url\(|@import\s+)\s*["']?((?:https?:)?//[^"')\s]+)""")
_LEFT_OVER = re.compile(r"\n(?:[-*] |\d+\. |\| )")


@dataclass
class _Page(HTMLParser):
    """Collects what a page can be linked by, what it links to, and what it loads."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    unlabelled: int = 0
    paragraphs: list[str] = field(default_factory=list)
    _in_paragraph: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # the parser's own
        given = dict(attrs)
        self.anchors |= {name for name in (given.get("id"), given.get("name") if tag == "a" else None) if name}
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        rel = set((given.get("rel") or "").split())
        if tag in _LOADS and given.get(_LOADS[tag]) and not rel & _NOT_LOADED:
            self.loads.append(str(given[_LOADS[tag]]))
        if tag == "img" and not given.get("alt"):
            self.unlabelled += 1
        self._in_paragraph = tag == "p" or (self._in_paragraph and tag in {"code", "a", "em", "strong"})
        if tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:  # the parser's own
        self._in_paragraph &= tag != "p"

    def handle_data(self, data: str) -> None:  # the parser's own
        if self._in_paragraph:
            self.paragraphs[-1] += data


def problems(site: Path) -> list[str]:
    """Return one line per link, anchor, load, image or paragraph of a built site that is wrong; empty means none is."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    found = [f"{path.relative_to(site)}: {message}" for path, page in pages.items() for message in _page_problems(path, page, pages)]
    for path in sorted(site.rglob("*.css")):
        loads = _STYLE_LOAD.findall(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)}: loads {load} from elsewhere" for load in loads]
    return found


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _page_problems(path: Path, page: _Page, pages: dict[Path, _Page]) -> Iterator[str]:
    if path.name == "404.html":  # served for any address, so what it names begins at the top of the site
        return
    for link in page.links:
        yield from _link_problems(link, path, page, pages)
    for load in page.loads:
        parts = urlsplit(load)
        if parts.scheme in ("http", "https") or parts.netloc:
            yield f"loads {load} from elsewhere"
        elif not parts.scheme and not (path.parent / unquote(parts.path)).exists():
            yield f"loads {load}, which is not there"
    if page.unlabelled:
        yield f"{page.unlabelled} images without a text that says what they show"
    for paragraph in page.paragraphs:
        left = _LEFT_OVER.search(paragraph)
        if left:
            yield f"a list or table became a paragraph, which wants an empty line before it: {paragraph[left.start() : left.start() + 60].strip()!r}"


def _link_problems(link: str, path: Path, page: _Page, pages: dict[Path, _Page]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if not target.exists():
        yield f"the link {link} leads nowhere"
        return
    there = page if not parts.path else pages.get(target if target.is_file() else target / "index.html")
    anchor = unquote(parts.fragment)
    if anchor and there is not None and anchor not in there.anchors and not anchor.startswith("__"):
        yield f"the link {link} leads to no such place on the page"
