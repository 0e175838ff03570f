"""Making a lab's deck of slides: which cells go on the wall, in which order, and how large they are set."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.course import derive, runsheet
from tools.course.model import Cell, Lab
from tools.course.sanitise import plain
from tools.course.sheet import GOING_FURTHER, HEADER, Section, headings, section_of
from workshop_lib.lab import Exercise

WIDTH, HEIGHT = 1180, 640
"""Pixels that the content of one slide may take."""

SIZES = range(23, 11, -1)
"""Font sizes of code and output in pixels, the one tried first at the front."""

TOGETHER = 16
"""The smallest size at which code and its output still share a slide; below it each gets its own."""

_CHARACTER, _LINE = 0.605, 1.3  # a monospaced character's width and a line's height, as parts of the font size
_MOST_LINES = int(HEIGHT / (_LINE * SIZES[-1])) - 4
_PROSE_CHARACTERS, _PROSE_LINE = 86, 36  # of the theme's running text: characters a line, pixels a line
_BLOCK = 34  # pixels around a block of code or output
_RUNNING = 36  # pixels of the small title on a slide that goes on with a section


@dataclass(frozen=True)
class Piece:
    """A part of a slide: its cell, about how many pixels high it is, and whether it begins a slide of its own."""

    node: NotebookNode
    height: int
    begins: bool = False


def deck(lab: Lab, solution: NotebookNode) -> NotebookNode:
    """Return a lab's slides as a notebook with slide marks, its outputs taken from the stored solution.

    Each `##` heading begins a slide to the right; what follows fills it and goes on downwards, up to "Going further". Set-up, guesses and checks are
    left out; an exercise shows its skeleton, and the solution on the next slide down. Speaker notes are the run sheet's words.
    """
    outputs = {node.id: node.get("outputs", []) for node in solution.cells if node.cell_type == "code"}
    notes = _notes(lab)
    cells: list[NotebookNode] = []
    title, used = "", 0
    for position, cell in enumerate(lab.cells):
        if cell.kind == "markdown" and cell.text.startswith(f"## {GOING_FURTHER}"):
            break
        if cell.tags & {"instructor", "learner-only"}:
            continue
        for piece in _prose(cell) if cell.kind == "markdown" else _code(cell, outputs.get(cell.id, [])):
            if piece.begins and cell.kind == "markdown" and _is_section(cell):
                title, used = headings(cell.text)[0], piece.height
                cells.append(_marked(piece.node, "slide"))
            elif piece.begins or used + piece.height > HEIGHT:
                used = piece.height + _RUNNING
                cells += [_marked(new_markdown_cell(title, id=f"running-{len(cells)}"), "subslide", "running"), _marked(piece.node, "-")]
            else:
                used += piece.height
                cells.append(_marked(piece.node, "-"))
        if position in notes:
            cells.append(_marked(new_markdown_cell(notes[position], id=f"notes-{position}"), "notes"))
    made: NotebookNode = new_notebook(cells=cells, metadata={"title": headings(lab.cells[0].text)[0]})
    return made


def _is_section(cell: Cell) -> bool:
    return cell.text.startswith(("# ", "## "))


def _prose(cell: Cell) -> Iterator[Piece]:
    yield Piece(new_markdown_cell(cell.text, id=cell.id), _prose_height(cell.text), _is_section(cell))


def _prose_height(text: str) -> int:
    """Return about how high a Markdown text is set: a line for every so many characters of a paragraph, item or table row."""
    height = 0
    for block in re.split(r"\n\s*\n|\n(?=[-*|#]|\d+\.|<)", text.strip()):
        shown = re.sub(r"\]\([^)]*\)|<[^>]+>", "", block)
        lines = ceil(len(" ".join(shown.split())) / _PROSE_CHARACTERS)
        height += 75 if block.startswith("#") else lines * _PROSE_LINE + 16
    return height


def _code(cell: Cell, outputs: list[NotebookNode]) -> Iterator[Piece]:
    """Yield a code cell's pieces: code and output in one if both are large enough on one slide."""
    if "exercise" in cell.tags:
        yield _block(f"{cell.id}-skeleton", derive.learner_text(cell.text), ())
        yield _block(f"{cell.id}-solution", derive.solution_text(cell.text), (), begins=True)
        return
    text = derive.solution_text(cell.text)
    if not _worth_showing(cell, text, outputs):
        return
    shown = [_shown(output) for output in _stage_outputs(outputs)]
    picture = any("image/png" in node.get("data", {}) for _, node in shown)
    if shown and (picture or fitting(text, *(printed for printed, _ in shown)) < TOGETHER):
        yield _block(f"{cell.id}-code", text, ())
        yield _block(f"{cell.id}-output", "", shown, begins=picture)
    else:
        yield _block(cell.id, text, shown)


def _block(cell_id: str, text: str, shown: Sequence[tuple[str, NotebookNode]], begins: bool = False) -> Piece:
    texts = [part for part in (text, *(printed for printed, _ in shown)) if part]
    size = fitting(*texts)
    height = HEIGHT if begins and shown else ceil(sum(len(part.splitlines()) for part in texts) * _LINE * size) + _BLOCK * len(texts)
    node = new_code_cell(text, id=cell_id, outputs=[output for _, output in shown])
    node.metadata["tags"] = [f"size-{size}", *(() if text else ("bare",))]
    return Piece(node, height, begins)


def _worth_showing(cell: Cell, text: str, outputs: list[NotebookNode]) -> bool:
    """Say whether a code cell has something to look at: an output, or a definition; checks and parameters have not."""
    if "parameters" in cell.tags or ".check(" in text:
        return False
    return bool(outputs) or any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in derive.parse(text).body)


def _stage_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return the outputs that go on the wall: beside a figure, its caption stands in for the table of the same numbers."""
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    if not figures:
        return outputs
    return [part for figure in figures for part in (figure, _text(str(figure["data"].get("text/plain", ""))))]


def _shown(output: NotebookNode) -> tuple[str, NotebookNode]:
    """Return an output's text and the output as the slide shows it, cut to the lines that fit."""
    data = output.get("data", {})
    if "image/png" in data:
        return "", output
    printed = output.text if output.output_type == "stream" else "\n".join(output.traceback) if output.output_type == "error" else str(data.get("text/plain", ""))
    lines = plain(printed).rstrip().splitlines()
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"... and {len(lines) - _MOST_LINES + 1} more lines in the notebook"]
    return "\n".join(lines), _text("\n".join(lines))


def _text(text: str) -> NotebookNode:
    lines = [piece for line in text.splitlines() for piece in _folded(line)]
    made: NotebookNode = new_output("stream", name="stdout", text="\n".join(lines) + "\n")
    return made


def _folded(line: str) -> list[str]:
    """Return a line in pieces that are readable at the smallest size, broken between words."""
    most = int(WIDTH / (_CHARACTER * TOGETHER))
    pieces, rest = [], line
    while len(rest) > most:
        cut = rest.rfind(" ", most // 2, most)
        cut = cut if cut > 0 else most
        pieces.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return [*pieces, rest]


def fitting(*texts: str) -> int:
    """Return the largest font size at which the texts, one below the other, fit a slide; the smallest there is if none does."""
    lines = [line for text in texts for line in text.splitlines()]
    longest = max((len(line) for line in lines), default=1)
    for size in SIZES:
        if longest * _CHARACTER * size <= WIDTH and ceil(len(lines) * _LINE * size) + _BLOCK * len(texts) + _RUNNING <= HEIGHT:
            return size
    return SIZES[-1]


def _marked(cell: NotebookNode, slide: str, *tags: str) -> NotebookNode:
    cell.metadata = {"slideshow": {"slide_type": slide}, "tags": [*cell.metadata.get("tags", []), *tags]}
    return cell


def _notes(lab: Lab) -> dict[int, str]:
    """Return the speaker notes by the position of the heading cell they belong to."""
    exercises = {exercise.id: exercise for exercise in lab.exercises}
    notes: dict[int, list[str]] = {}
    for position, cell in enumerate(lab.cells):
        if "instructor" in cell.tags:
            section = section_of(lab, position)
            notes.setdefault(_heading_of(lab, position, section), []).append("\n".join(_section_words(section)))
        elif cell.kind == "markdown" and (header := HEADER.search(cell.text)):
            exercise = exercises.get(f"ex{header['number']}")
            if exercise is not None:
                notes.setdefault(position, []).append("\n".join(_exercise_words(exercise)))
    return {position: "\n\n".join(texts) for position, texts in notes.items()}


def _section_words(section: Section) -> list[str]:
    return [f"**{section.title}**, {section.minutes or 0} minutes", "", *runsheet.section_lines(section)]


def _exercise_words(exercise: Exercise) -> list[str]:
    return [f"**{exercise.label}**, {exercise.minutes} minutes", "", *runsheet.exercise_lines(exercise)]


def _heading_of(lab: Lab, position: int, section: Section) -> int:
    """Return where an instructor cell's notes go: the heading of its name, else the heading right after it, else the last one before."""
    places = [place for place, cell in enumerate(lab.cells) if cell.kind == "markdown" and cell.text.startswith(("# ", "## ")) and "instructor" not in cell.tags]
    named = [place for place in places if headings(lab.cells[place].text)[0] == section.title]
    if named:
        return named[0]
    if position + 1 in places:
        return position + 1
    return max((place for place in places if place < position), default=0)
