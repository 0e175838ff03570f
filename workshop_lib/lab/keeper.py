"""Who remembers: this kernel always, and the progress file where a person works."""

from collections.abc import Callable
from pathlib import Path

from workshop_lib.lab import progress_file
from workshop_lib.lab.attended import attended
from workshop_lib.lab.book import Book
from workshop_lib.lab.errors import ProgressError
from workshop_lib.lab.progress_file import Edit


class Keeper:
    """A learner's book: `change` it by an edit, `book()` reads it; trouble with the file is told once and stops nobody."""

    def __init__(self, path: Callable[[], Path] = progress_file.default, keeps: Callable[[], bool] = attended) -> None:
        self._path = path
        self._keeps = keeps
        self._book = Book()
        self._unsaved: list[Edit] = []
        self._told: set[str] = set()

    def change(self, edit: Edit) -> Book:
        """Remember something and return the book as it is then; what could not be written is written with the next change."""
        self._unsaved.append(edit)
        if not (self._keeps() and self._saved()):
            edit(self._book)
        return self._book

    def book(self) -> Book:
        """Return what is remembered, with what other notebooks have added to the file in the meantime."""
        if self._keeps():
            self._saved()
        return self._book

    def _saved(self) -> bool:
        path = self._path()
        try:
            self._book = progress_file.change(path, self._unsaved) if self._unsaved else progress_file.read(path)
        except ProgressError as error:
            self._tell_once(str(error))
            return False
        self._unsaved.clear()
        return True

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            print(line)


KERNEL = Keeper()
"""The one of this kernel: opening a lab again does not start over."""
