"""Links that hold in the repository hold on the site too."""

from pathlib import Path

import pytest

from tools.website.house import House, house, site_html, site_markdown


@pytest.fixture
def here(tmp_path: Path) -> House:
    """Return a small repository: one lab, one page in docs/, one file that is no page."""
    for name in ("README.md", "COURSE.md", "docs/a/b.md", "notebooks/01_x/lab.ipynb", "notebooks/01_x/solution.ipynb", "notebooks/01_x/RUNSHEET.md", "data/t.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#", encoding="utf-8")
    return house(tmp_path)


def test_pages_from_outside_docs_are_found(here: House) -> None:
    """Without it a lab or the syllabus would be missing, or the README take the place of the index."""
    assert here.generated() == {
        "syllabus.md": "COURSE.md",
        "labs/01_x.md": "notebooks/01_x/lab.ipynb",
        "labs/01_x_solution.md": "notebooks/01_x/solution.ipynb",
        "run-sheets/01_x.md": "notebooks/01_x/RUNSHEET.md",
    }
    assert here.source_of("a/b.md") == "docs/a/b.md"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[lab](../../notebooks/01_x/lab.ipynb)", "[lab](../labs/01_x.md)"),
        ("[lab](../../notebooks/01_x/lab.ipynb#win)", "[lab](../labs/01_x.md#win)"),
        ("[`code`](../../COURSE.md)", "[`code`](../syllabus.md)"),
        ("[the table](../../data/t.toml)", "the table (`data/t.toml`)"),
        ("[`data/t.toml`](../../data/t.toml)", "`data/t.toml`"),
        ("[gone](../../gone.md)", "[gone](../../gone.md)"),
        ("[out](https://example.com/a.md) [here](#x)", "[out](https://example.com/a.md) [here](#x)"),
        ("```md\n[lab](../../COURSE.md)\n```", "```md\n[lab](../../COURSE.md)\n```"),
    ],
)
def test_links_lead_to_pages(here: House, written: str, shown: str) -> None:
    """Without it a link that works in the repository would be dead on the site, or one that is dead in both be hidden."""
    assert site_markdown(written, "a/b.md", here) == shown


def test_links_of_a_rendered_lab_lead_to_built_pages(here: House) -> None:
    """Without it the labs' links to each other would open files that are not on the site."""
    html = '<a href="../../COURSE.md">s</a> <a href="solution.ipynb#ex1">t</a> <a href="../../data/t.toml">prices</a> <a href="#x">u</a>'
    assert site_html(html, "labs/01_x.md", here) == (
        '<a href="../syllabus.html">s</a> <a href="01_x_solution.html#ex1">t</a> prices (<code>data/t.toml</code>) <a href="#x">u</a>'
    )


def test_a_new_guide_is_found_without_being_named(tmp_path: Path) -> None:
    """Without it a page that somebody adds would fail the build, or be built and linked from nowhere."""
    from mkdocs.config.defaults import MkDocsConfig

    from tools.website.hooks import on_config

    for name in ("index.md", "a.md", "new.md"):
        (tmp_path / name).write_text("# x", encoding="utf-8")
    config = MkDocsConfig()
    config.load_dict({"docs_dir": str(tmp_path), "nav": [{"Start": "index.md"}, {"Labs": [{"One": "labs/1.md"}]}, {"Guides": ["a.md"]}]})
    assert on_config(config).nav == [{"Start": "index.md"}, {"Labs": [{"One": "labs/1.md"}]}, {"Guides": ["a.md", "new.md"]}]
