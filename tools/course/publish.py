"""What is handed out and projected, made from the stored notebooks: the exercises on paper, and one deck a lab."""

from html import escape
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.course import derive, source, stage
from tools.course.model import Course, Lab
from tools.course.sheet import HEADER
from workshop_lib.errors import DataError
from workshop_lib.headless import relinked

_HERE = Path(__file__).parent


def slides(labs: list[str], out: Path, course: Course | None = None) -> list[Path]:
    """Write one deck a lab ("03", "03_cascade"; none named means all) into `out` and return the files; each is whole and needs no network.

    Raises DataError for an unknown lab and for one whose solution was never built.
    """
    from nbconvert import SlidesExporter  # takes a second or more to import

    out.mkdir(parents=True, exist_ok=True)
    vendor = _HERE / "vendor" / "reveal"
    parts = {
        "reveal_css": (vendor / "reveal.css").read_text(encoding="utf-8"),
        "theme_css": (_HERE / "templates" / "slides" / "theme.css").read_text(encoding="utf-8") + _size_rules(),
        "reveal_js": _inline(vendor / "reveal.js"),
        "notes_js": _inline(vendor / "notes.js"),
    }
    written = []
    for lab in source.labs(course or Course(), labs):
        exporter = SlidesExporter(  # type: ignore[no-untyped-call]
            template_name="slides",
            extra_template_basedirs=[str(_HERE / "templates")],
            exclude_input_prompt=True,
            exclude_output_prompt=True,
            exclude_anchor_links=True,
        )
        body, _ = exporter.from_notebook_node(stage.deck(lab, _stored(lab)), resources={"workshop": parts})
        path = out / f"{lab.name}.html"
        path.write_text(relinked(body, out), encoding="utf-8")
        written.append(path)
    return written


def handout(labs: list[str], out: Path, course: Course | None = None) -> Path:
    """Write the exercises of the labs, without solutions, as one page to print, `handout.html` in `out`, and return it."""
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    out.mkdir(parents=True, exist_ok=True)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_anchor_links=True)  # type: ignore[no-untyped-call]
    bodies = []
    for lab in source.labs(course or Course(), labs):
        body, _ = exporter.from_notebook_node(paper(lab))
        bodies.append(f'<section class="lab">\n{body}\n</section>')
    style = HtmlFormatter(style="bw").get_style_defs(".highlight") + (_HERE / "templates" / "handout.css").read_text(encoding="utf-8")
    path = out / "handout.html"
    page = f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape("Cascade Workshop: exercises")}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n'
    path.write_text(relinked(page + "\n".join(bodies) + "\n</main>\n</body>\n</html>\n", out), encoding="utf-8")
    return path


def paper(lab: Lab) -> NotebookNode:
    """Return a lab's exercises as a notebook: title, then each heading with its text and the skeleton as the learner gets it."""
    cells = [new_markdown_cell(lab.cells[0].text, id=lab.cells[0].id)]
    for cell in lab.cells:
        if cell.kind == "markdown" and "instructor" not in cell.tags and HEADER.search(cell.text):
            cells.append(new_markdown_cell(cell.text, id=cell.id))
        elif "exercise" in cell.tags:
            cells.append(new_code_cell(derive.learner_text(cell.text), id=cell.id))
    made: NotebookNode = new_notebook(cells=cells)
    return made


def _stored(lab: Lab) -> NotebookNode:
    path = lab.folder / "solution.ipynb"
    if not path.exists():
        raise DataError(f"{lab.name} has no solution.ipynb to take the outputs from. Build it first: workshop build {lab.number}")
    made: NotebookNode = nbformat.read(path, as_version=4)
    return made


def _inline(path: Path) -> str:
    """Return a script for use between script tags: a closing tag in one of its strings would end it too early."""
    text = path.read_text(encoding="utf-8").partition("//# sourceMappingURL")[0]
    return text.replace("</script", r"<\/script")


def _size_rules() -> str:
    return "".join(f".reveal .celltag_size-{size} pre {{ font-size: {size}px; }}\n" for size in stage.SIZES)
