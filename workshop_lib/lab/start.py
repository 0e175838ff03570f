"""The start page: five labs, what each gives, how far one is, and one link to the next step."""

import json
import os
from pathlib import Path
from typing import Any

from workshop_lib.lab import progress, progress_file
from workshop_lib.lab.book import Book, LabBook
from workshop_lib.lab.errors import ProgressError
from workshop_lib.lab.exercise import exercises_of
from workshop_lib.lab.keeper import KERNEL
from workshop_lib.paths import ROOT

PAGE = ROOT / "START.ipynb"
"""The page JupyterLab opens on; made by `workshop build` from the labs' first cells."""

_CALL = "from workshop_lib.lab import start_page\n\nstart_page()"
_HEAD = """# Cascade Workshop

A **cascade** asks a cheap language model first and passes on to a strong one, *escalates*, only what the cheap one should not answer alone.
In five labs you build one for support tickets, count what it costs, and find out with honest numbers whether it paid.

You need Python: functions, dictionaries, loops. You need no account, no money and no machine learning: the models are stand-ins on this
machine, and every number says where it came from."""
_HOW = """## How it goes

Take the labs in order, one or two an evening. Read, run each cell with Shift+Enter, and look at what it prints.

- **Predict**: write your number over the dots before you run on. At the end of lab 02 you see how good your guesses are.
- **Exercise**: replace the dots, run the cell, then the check below it. `lab.hint("ex1")` gives one hint at a time. A check that fails says
  what is wrong and hands you the reference, so you can go on at once and try again later.
- **Going further** at the end of a lab is extra and not counted in the minutes.

What you solved is kept. If you come back another day, run the lab from its top again: Run, Run All Above Selected Cell. Each lab has its
`solution.ipynb` beside it."""
_WHERE = """## Where you are

Run the cell below with Shift+Enter: it says which exercises you have solved, and takes you to the next."""
_MORE = """## If something is wrong

Run `workshop doctor` in a terminal (File, New, Terminal; `.venv/bin/workshop doctor` if you came by `make lab`): one line and one remedy
per check. In a lab, `lab.reconnect()` brings back a sandbox that stopped. `workshop progress --reset` forgets your progress, which is kept
on this machine only.

More: [README](README.md), [syllabus](COURSE.md), [what the stand-in models are](docs/sandbox.md)."""


def start_page() -> None:
    """Show progress over all labs with a link to each and to the next step."""
    from IPython.display import display

    display(_bundle(KERNEL.book()), raw=True)  # type: ignore[no-untyped-call, unused-ignore]


def greeting() -> str:
    """Return the line a terminal shows when the labs are opened: what comes next, or why progress cannot be read."""
    try:
        return f"Next: {progress.next_words(progress_file.read(progress_file.default()))}"
    except ProgressError as error:
        return str(error)


def standing(book: Book) -> str:
    """Return progress over all labs as Markdown: the next step first, then one row a lab."""
    step = progress.next_step(book)
    words = progress.next_words(book)
    next_ = (
        f"**Next:** {words}"
        if step is None
        else f"**Next:** [{words.rstrip('.')}]({_link(step.lab.name, step.exercise.id, book)})"
    )
    rows = [
        f"| [{card.number} {card.title}](notebooks/{card.name}/lab.ipynb) | {_count(book, card.name)} |"
        for card in progress.cards()
    ]
    return "\n".join([next_, "", "| lab | exercises solved |", "|---|---|", *rows])


def labs_table() -> str:
    """Return the five labs as a Markdown table with links."""
    rows = [
        f"| [{card.number} {card.title}](notebooks/{card.name}/lab.ipynb) | {card.promise} | {card.minutes} |"
        for card in progress.cards()
    ]
    return "\n".join(["## The labs", "", "| lab | what it gives you | minutes alone |", "|---|---|---|", *rows])


def notebook() -> str:
    """Return the text of START.ipynb, the same on every machine: nothing solved yet."""
    cells = [
        _markdown("head", _HEAD), _markdown("labs", labs_table()), _markdown("how", _HOW), _markdown("where", _WHERE),
        {
            "cell_type": "code", "execution_count": 1, "id": "progress", "metadata": {},
            "outputs": [{"data": {kind: _lines(text) for kind, text in _bundle(Book()).items()}, "metadata": {}, "output_type": "display_data"}],
            "source": _lines(_CALL),
        },
        _markdown("more", _MORE),
    ]  # fmt: skip
    kernel = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return (
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False) + "\n"
    )


def write(page: Path = PAGE) -> None:
    """Write the page, whole or not at all."""
    part = page.with_name(f".{page.name}.part")
    part.write_text(notebook(), encoding="utf-8", newline="\n")
    os.replace(part, page)


def problems(page: Path = PAGE) -> list[str]:
    """Return what is wrong with the stored page: missing, or not as it would be made."""
    if not page.exists():
        return [f"{page.name} is missing; run `workshop build`"]
    return [] if page.read_text(encoding="utf-8") == notebook() else [f"{page.name} is not up to date; run `workshop build`"]


def _bundle(book: Book) -> dict[str, str]:
    return {"text/markdown": standing(book), "text/plain": "\n".join(progress.overview(book))}


def _count(book: Book, lab: str) -> str:
    done, listed = book.labs.get(lab, LabBook()), exercises_of(lab)
    return f"{sum(entry.passed for entry in done.exercises.values())} of {len(listed)}"


def _link(lab: str, exercise: str, book: Book) -> str:
    """Return the link to an exercise's heading, as JupyterLab understands it; a lab not begun yet is opened at its top."""
    return f"notebooks/{lab}/lab.ipynb" + (f"#cell-id={exercise}-header" if lab in book.labs else "")


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(text)}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
