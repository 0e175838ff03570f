"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml)."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import AnchorLink, TableOfContents

from tools.website.built import problems
from tools.website.house import House, house, site_html, site_markdown
from tools.website.notebook_page import NotebookPage, render


@cache
def _house() -> House:
    return house()


@cache
def _rendered(notebook: Path) -> NotebookPage:
    return render(notebook)


def _notebook(page: str) -> Path | None:
    """Return the notebook that a page shows, if it shows one."""
    source = _house().source_of(page)
    return _house().root / source if source.endswith(".ipynb") else None


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the guides in docs/ that mkdocs.yml does not name to the section Guides, after those it does, so that a new page is found at once."""
    named = set(_leaves(config.nav))
    guides = next(section["Guides"] for section in config.nav or [] if isinstance(section, dict) and "Guides" in section)
    guides += [path.name for path in sorted(Path(config.docs_dir).glob("*.md")) if path.name not in named]
    return config


def _leaves(nav: Any) -> Iterator[str]:
    """Yield the pages that a part of the navigation names."""
    if isinstance(nav, str):
        yield nav
    elif nav:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from _leaves(part)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/: labs, run sheets, syllabus, and what every repository has."""
    for page, source in _house().generated().items():
        notebook = _notebook(page)
        text = (_house().root / source).read_text(encoding="utf-8") if notebook is None else f"---\ntitle: {json.dumps(_title(notebook))}\n---\n"
        files.append(File.generated(config, page, content=text))
    return files


def _title(notebook: Path) -> str:
    title = _rendered(notebook).title
    return f"{notebook.parent.name[:2]} {title}{', solution' if notebook.stem == 'solution' else ''}"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links to repository files links to their pages."""
    return site_markdown(markdown, page.file.src_uri, _house())


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the rendered notebook in place of a lab's page."""
    notebook = _notebook(page.file.src_uri)
    if notebook is None:
        return html
    made = _rendered(notebook)
    page.toc = _contents(made)
    page.present_anchor_ids = made.anchors
    return site_html(_note(notebook) + made.html, page.file.src_uri, _house())


def _note(notebook: Path) -> str:
    """Return what stands above a lab that is read and not worked in."""
    if notebook.stem == "solution":
        return '<p class="lab-note">The solution, to read. <a href="lab.ipynb">The lab itself</a> has the same text and leaves the exercises to you.</p>\n'
    return (
        '<p class="lab-note">The lab, to read. To work in it run <code>make lab</code>: the exercises are yours, and every check hands back an answer to go on '
        'with. <a href="solution.ipynb">The solution</a></p>\n'
    )


def _contents(made: NotebookPage) -> TableOfContents:
    """Return the table of contents of a notebook: its sections and what is under them."""
    top = AnchorLink(made.headings[0].text, made.headings[0].anchor, 0)
    last = top
    for heading in made.headings[1:]:
        link = AnchorLink(heading.text, heading.anchor, heading.level - 1)
        if heading.level <= 2 or last is top:
            top.children.append(link)
            last = link
        else:
            last.children.append(link)
    return TableOfContents([top])


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Name the theme's search dialog, which screen readers announce."""
    return output.replace('data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"')


def on_post_build(config: MkDocsConfig) -> None:
    """Check the pages as they were built; fail the build with every problem, one a line."""
    found = problems(Path(config.site_dir))
    if found:
        raise PluginError("\n".join(found))
