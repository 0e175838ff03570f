"""Splitting a wave into jobs: files of at most so many records and bytes, none of them below the least that a job may have."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workshop_lib.batch.records import number_of
from workshop_lib.batch.state import Part


@dataclass(frozen=True)
class Limits:
    """Quotas of one job, which has one file here: most records, most bytes, and the fewest records.

    They are quotas of each model and region in the account's Service Quotas; these values are assumptions to be looked up there.
    """

    records: int = 50_000
    bytes: int = 1024**3
    fewest: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.records // 2 or self.bytes < 1:
            raise ValueError(f"fewest must be from 1 to half of records, got fewest={self.fewest}, records={self.records}")


class Splitter:
    """Takes the lines of one wave in the order of entries and writes them to files of parts; `close` returns the parts, and who is too few.

    A last part below the fewest takes half of the one before it. The entries of a part that stays below it, as there is none before it or as
    few records fill a file, or of one record that is larger than a file may be, are returned instead. `again` tells the parts of records that
    are asked again from those before them.
    """

    def __init__(self, folder: Path, wave: int, limits: Limits, again: str = "") -> None:
        self._folder = folder
        self._wave = wave
        self._again = again
        self._limits = limits
        self._open: dict[str, tuple[Part, IO[bytes]]] = {}
        self._done: dict[str, list[Part]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, number: int, model: str, line: bytes) -> str:
        """Add the line of one entry, and return the name of its part (or of the next one, should that be levelled with it)."""
        part, file = self._open.get(model) or self._begin(model, number)
        if part.records and (part.records >= self._limits.records or file.tell() + len(line) > self._limits.bytes):
            self._end(model)
            part, file = self._begin(model, number)
        file.write(line)
        part.records += 1
        part.last = number
        return part.name

    def close(self) -> tuple[list[Part], list[int]]:
        """Return the parts, and the numbers of the entries that are too few for a job."""
        few: list[int] = []
        for model in list(self._open):
            self._end(model)
            parts = self._done[model]
            if parts[-1].records < self._limits.fewest and len(parts) > 1:
                self._level(parts[-2], parts[-1])
            for part in [part for part in parts if not self._fits(part)]:
                few += [number_of(line) for line in self._file(part).read_bytes().splitlines()]
                self._file(part).unlink()
                parts.remove(part)
        return [part for parts in self._done.values() for part in parts], sorted(few)

    def _begin(self, model: str, number: int) -> tuple[Part, IO[bytes]]:
        done = self._done.setdefault(model, [])
        part = Part(f"w{self._wave + 1}{self._again}-{model}-{len(done) + 1:04d}", self._wave, model, number, number, 0)
        done.append(part)
        self._open[model] = part, self._file(part).open("wb")
        return self._open[model]

    def _end(self, model: str) -> None:
        file = self._open.pop(model)[1]
        file.flush()
        os.fsync(file.fileno())  # the state that names it is to mean that it is there
        file.close()

    def _file(self, part: Part) -> Path:
        return self._folder / f"{part.name}.jsonl"

    def _fits(self, part: Part) -> bool:
        return part.records >= self._limits.fewest and self._file(part).stat().st_size <= self._limits.bytes

    def _level(self, before: Part, last: Part) -> None:
        """Divide the records of two parts evenly, if both halves may be jobs then."""
        files = [self._file(part) for part in (before, last)]
        lines = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
        half = len(lines) // 2
        if half < self._limits.fewest or max(sum(map(len, lines[:half])), sum(map(len, lines[half:]))) > self._limits.bytes:
            return
        for part, file, mine in zip((before, last), files, (lines[:half], lines[half:]), strict=True):
            with file.open("wb") as written:
                written.writelines(mine)
                written.flush()
                os.fsync(written.fileno())
            part.first, part.last, part.records = number_of(mine[0]), number_of(mine[-1]), len(mine)
