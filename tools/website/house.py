"""Which files of the repository are pages of the site, beside those in docs/, and where links between them lead."""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from workshop_lib.paths import ROOT

_TOP = {
    "COURSE.md": "syllabus.md",
    "INSTRUCTOR.md": "instructor.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "data/published/README.md": "published.md",
    "README.md": "index.md",
}
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
_FENCED = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
_HREF = re.compile(r'(<a [^>]*?href=")([^"#:]+)((?:#[^"]*)?"[^>]*>)(.*?)</a>', re.DOTALL)


@dataclass(frozen=True)
class House:
    """A repository: `home` maps each file that is a page to its place in the site, such as `docs/bulk.md` to `bulk.md`."""

    root: Path
    home: dict[str, str]

    def generated(self) -> dict[str, str]:
        """Return the pages that do not lie in docs/, by place in the site; the index is written by hand, so the README is not among them."""
        return {page: name for name, page in self.home.items() if not name.startswith("docs/") and name != "README.md"}

    def source_of(self, page: str) -> str:
        """Return the repository's file behind a page; a page in docs/ is its own."""
        return self.generated().get(page, f"docs/{page}")


def house(root: Path = ROOT) -> House:
    """Return the pages of a repository."""
    home = {name: page for name, page in _TOP.items() if (root / name).exists()}
    for lab in sorted(path.parent for path in root.glob("notebooks/*/lab.ipynb")):
        name = lab.name
        home[f"notebooks/{name}/lab.ipynb"] = f"labs/{name}.md"
        home[f"notebooks/{name}/solution.ipynb"] = f"labs/{name}_solution.md"
        home[f"notebooks/{name}/RUNSHEET.md"] = f"run-sheets/{name}.md"
    home |= {path.relative_to(root).as_posix(): path.relative_to(root / "docs").as_posix() for path in root.glob("docs/**/*.md")}
    return House(root, home)


def site_markdown(markdown: str, page: str, of: House) -> str:
    """Return a page's Markdown with links to repository files made links to their pages.

    A link to a file that exists but is no page becomes its text and its path; one that leads nowhere stays, for the build to report.
    """

    def replaced(found: re.Match[str]) -> str:
        target, _, anchor = found["target"].partition("#")
        if found["image"] or not target or ":" in target:
            return found[0]
        leads_to = _repository_file(target, page, of)
        if leads_to in of.home:
            there = posixpath.relpath(of.home[leads_to], posixpath.dirname(page) or ".")
            return f"[{found['text']}]({there}{'#' if anchor else ''}{anchor})"
        if (of.root / leads_to).exists():
            return _named(found["text"], leads_to, "`")
        return found[0]

    kept: list[str] = []
    position = 0
    for fence in _FENCED.finditer(markdown):
        kept += [_LINK.sub(replaced, markdown[position : fence.start()]), fence[0]]
        position = fence.end()
    return "".join([*kept, _LINK.sub(replaced, markdown[position:])])


def site_html(html: str, page: str, of: House) -> str:
    """Return a rendered notebook with its links to repository files made links to the built pages."""

    def replaced(found: re.Match[str]) -> str:
        leads_to = _repository_file(found[2], page, of)
        if leads_to in of.home:
            built = re.sub(r"\.md$", ".html", of.home[leads_to])
            return f"{found[1]}{posixpath.relpath(built, posixpath.dirname(page) or '.')}{found[3]}{found[4]}</a>"
        if (of.root / leads_to).exists():
            return _named(found[4], leads_to, "<code>", "</code>")
        return found[0]

    return _HREF.sub(replaced, html)


def _repository_file(target: str, page: str, of: House) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(of.source_of(page)), target))


def _named(text: str, path: str, opening: str, closing: str | None = None) -> str:
    name = f"{opening}{path}{closing or opening}"
    return name if text.strip("`").rstrip("/") in (path, posixpath.basename(path)) else f"{text} ({name})"
