"""Slides and handout: what is on them, what is not, and that they need nothing from elsewhere."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.v4 import new_output
from typer.testing import CliRunner

from tools.course import Course, derive, handout, slides, source, stage
from tools.course.model import Lab
from workshop_lib.cli import app
from workshop_lib.errors import DataError
from workshop_lib.paths import ROOT

MakeCourse = Callable[..., Course]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
FURTHER = ("1 / 0", '1 / 0\n\n# %% [markdown] id="further"\n# ## Going further\n#\n# Later.')
FIGURE = ("print(\"before\")", "show_a_figure()")


def _built(course: Course) -> tuple[Lab, NotebookNode]:
    """Return the miniature lab and its solution, with outputs as a build would store them."""
    lab = source.labs(course, [])[0]
    made = derive.notebook(lab, "solution")
    for cell in made.cells:
        if cell.id == "open":
            cell.outputs = [new_output("stream", name="stdout", text="Lab 90 with seed 0\n")]
        if cell.id == "refusal":
            figure = new_output("display_data", data={"image/png": PNG, "text/plain": "The caption."})
            cell.outputs = [figure, new_output("stream", name="stdout", text="A table of the same numbers\n")]
    nbformat.write(made, lab.folder / "solution.ipynb")
    return lab, made


def test_deck_follows_the_headings_and_leaves_out_set_up_and_checks(make_course: MakeCourse) -> None:
    """Without it slides would have to be tagged by hand, or the wall would show plumbing and solutions before their time."""
    deck = stage.deck(*_built(make_course(FURTHER, FIGURE)))
    across = [cell.id for cell in deck.cells if cell.metadata.slideshow.slide_type == "slide"]
    ids = [cell.id for cell in deck.cells]
    assert across == ["title", "objectives", "idea", "ex1-text"]
    assert not {"settings", "ex1-check", "further", "room-idea"} & set(ids)
    skeleton, solution = (next(cell for cell in deck.cells if cell.id == f"ex1-{part}") for part in ("skeleton", "solution"))
    assert "return x + x" not in skeleton.source
    assert "return x + x" in solution.source
    before = deck.cells[ids.index("ex1-solution") - 1]
    assert (before.metadata.slideshow.slide_type, before.source) == ("subslide", "Exercise 1 · 5 minutes · core"), "the solution shares the exercise's slide"


def test_speaker_notes_are_the_run_sheets_words(make_course: MakeCourse) -> None:
    """Without it the instructor would stand before the wall without the sentence that unlocks the exercise."""
    deck = stage.deck(*_built(make_course()))
    notes = {deck.cells[place - 1].id: cell.source for place, cell in enumerate(deck.cells) if cell.metadata.slideshow.slide_type == "notes"}
    assert set(notes) == {"idea", "ex1-text"}
    assert "- **Ask**: What is double(0.5)?" in notes["idea"]
    assert "not yet, because double(3) should be 6, not 9." in notes["ex1-text"]


def test_figure_has_a_slide_with_its_caption_and_not_the_table(make_course: MakeCourse) -> None:
    """Without it a figure would be pushed off the slide by the code and the numbers it was drawn from."""
    deck = stage.deck(*_built(make_course(FIGURE)))
    [figure] = [cell for cell in deck.cells if cell.id == "refusal-output"]
    assert figure.source == ""
    assert [output.output_type for output in figure.outputs] == ["display_data", "stream"]
    assert figure.outputs[1].text == "The caption.\n"


@given(st.lists(st.text("abc ", max_size=160), min_size=1, max_size=30))
def test_what_is_set_at_a_larger_size_fits(lines: list[str]) -> None:
    """Without it a line would run off the slide's edge although a smaller size was left."""
    text = "\n".join(lines)
    size = stage.fitting(text)
    assert size in stage.SIZES
    if size > min(stage.SIZES):
        assert max(map(len, lines)) * 0.605 * size <= stage.WIDTH
        assert len(text.splitlines()) * 1.3 * size <= stage.HEIGHT


def _outside(page: str) -> list[str]:
    """Return what a page would load from another address: attributes and style rules, scripts' own texts left out."""
    markup = re.sub(r"<script>.*?</script>", "<script></script>", page, flags=re.DOTALL)
    loaded = re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=\"([^\"]*)\"", markup) + re.findall(r"url\(['\"]?([^)'\"]+)|@import ['\"]?([^'\";]+)", markup)
    addresses = [part for found in loaded for part in ((found,) if isinstance(found, str) else found) if part]
    return [address for address in addresses if not address.startswith("data:")]


@pytest.mark.slow
def test_pages_are_whole_files(make_course: MakeCourse, tmp_path: Path) -> None:
    """Without it a deck would stay blank in a room without a network."""
    course = make_course(FIGURE)
    _built(course)
    [deck] = slides(["90"], tmp_path / "slides", course)
    page = deck.read_text(encoding="utf-8")
    assert _outside(page) == []
    assert "Reveal.initialize" in page
    assert page.count("</script>") == 3, "a script holds a closing tag and ends too early"
    assert '<aside class="notes">' in page
    assert PNG in page

    paper = handout([], tmp_path, course).read_text(encoding="utf-8")
    assert _outside(paper) == []
    assert "Exercise 1 · 5 minutes · core" in paper
    assert "x + x" not in re.sub(r"<[^>]+>", "", paper)
    assert "Doubling is adding" not in paper


def test_address_elsewhere_would_be_found() -> None:
    """Without it the test above could pass by looking at nothing."""
    page = '<link rel="stylesheet" href="https://example.org/a.css"><style>@import "b.css"; p { background: url(c.png) }</style><img src="data:x">'
    assert _outside(page) == ["https://example.org/a.css", "b.css", "c.png"]


def test_lab_that_was_never_built_is_refused(make_course: MakeCourse, tmp_path: Path) -> None:
    """Without it an instructor would project slides without a single output."""
    with pytest.raises(DataError, match=r"90_mini has no solution.ipynb .* workshop build 90"):
        slides([], tmp_path, make_course())


def test_check_and_slides_do_not_go_together() -> None:
    """Without it `build --check --slides` would compare nothing and look like success."""
    result = CliRunner().invoke(app, ["build", "--check", "--slides"])
    assert result.exit_code == 2
    assert "leave one of the two out" in " ".join(result.output.split())


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium, which CI installs")
def test_no_slide_of_the_course_overflows(tmp_path: Path) -> None:
    """Without it the last lines of a table would be below the wall's edge."""
    from playwright.sync_api import sync_playwright

    high = """() => Reveal.getSlides().map(slide => {
        const at = Reveal.getIndices(slide);
        Reveal.slide(at.h, at.v);
        const wide = [...slide.querySelectorAll('pre, table, img')].filter(part => !part.closest('aside')).map(part => part.scrollWidth + part.offsetLeft);
        return [`${at.h}/${at.v}`, slide.scrollHeight, Math.max(0, ...wide)];
    }).filter(([_, tall, wide]) => tall > 720 || wide > 1280)"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        for deck in slides([], tmp_path):
            page.goto(deck.as_uri())
            page.wait_for_function("window.Reveal && Reveal.isReady()")
            assert page.evaluate("Reveal.getTotalSlides()") > 20
            assert page.evaluate(high) == [], deck.name
        browser.close()
    assert errors == []


def test_vendored_reveal_keeps_its_licence() -> None:
    """Without it the course would hand out somebody's work without their terms."""
    folder = ROOT / "tools" / "course" / "vendor" / "reveal"
    assert "Hakim El Hattab" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "reveal.js 5.2" in (folder / "reveal.js").read_text(encoding="utf-8")[:200]
