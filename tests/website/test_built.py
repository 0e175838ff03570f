"""The check of a built site finds what is broken in it."""

from pathlib import Path

import pytest

from tools.website.built import problems


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a site of two pages in which nothing is wrong."""
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<p id="top">x</p><a href="a/b.html#here">b</a><a href="#top">t</a><a href="https://example.com">e</a>', encoding="utf-8")
    (tmp_path / "a/b.html").write_text('<h2 id="here">h</h2><img src="i.png" alt="an image"><link rel="canonical" href="https://example.com">', encoding="utf-8")
    (tmp_path / "a/i.png").write_bytes(b"")
    (tmp_path / "s.css").write_text("a { background: url(data:image/png;base64,x) }", encoding="utf-8")
    return tmp_path


def test_a_whole_site_has_no_problems(site: Path) -> None:
    """Without it the check could cry wolf, and be switched off."""
    assert problems(site) == []


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ('<a href="gone.html">x</a>', "the link gone.html leads nowhere"),
        ('<a href="a/b.html#gone">x</a>', "the link a/b.html#gone leads to no such place on the page"),
        ('<a href="#gone">x</a>', "the link #gone leads to no such place on the page"),
        ('<script src="https://example.com/x.js"></script>', "loads https://example.com/x.js from elsewhere"),
        ('<link rel="stylesheet" href="//example.com/x.css">', "loads //example.com/x.css from elsewhere"),
        ('<img src="gone.png" alt="x">', "loads gone.png, which is not there"),
        ('<img src="a/i.png">', "1 images without a text that says what they show"),
        ("<p>Three things:\n- one\n- two</p>", "a list or table became a paragraph"),
        ("<p>A table:\n| a | b |</p>", "a list or table became a paragraph"),
    ],
)
def test_each_fault_is_named(site: Path, added: str, said: str) -> None:
    """Without it a dead link, a font from elsewhere or a broken list would reach the reader."""
    page = site / "index.html"
    page.write_text(page.read_text(encoding="utf-8") + added, encoding="utf-8")
    [found] = problems(site)
    assert found.startswith(f"index.html: {said}")


def test_a_style_sheet_that_loads_is_named(site: Path) -> None:
    """Without it a font could come from elsewhere through a style sheet."""
    (site / "s.css").write_text("@import 'https://example.com/f.css';", encoding="utf-8")
    assert problems(site) == ["s.css: loads https://example.com/f.css from elsewhere"]
