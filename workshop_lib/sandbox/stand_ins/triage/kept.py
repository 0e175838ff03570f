"""What was trained, kept in a file for the next start: the same training files, code and libraries give the same tables, so they are made once."""

import os
import platform
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workshop_lib.paths import DATA
from workshop_lib.sandbox.stand_ins import concepts
from workshop_lib.sandbox.stand_ins.triage.labels import WIDTH, Capacity
from workshop_lib.sandbox.stand_ins.triage.model import Model
from workshop_lib.sandbox.stand_ins.triage.training import RECIPES
from workshop_lib.sandbox.stand_ins.triage.views import BLOCKS, Block, Reader, Terms

_LIBRARIES = ("numpy", "scipy", "scikit-learn")
_DAMAGED = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile)  # a member of the archive fails its check sum, is cut short, or absent


def file(folder: Path) -> Path:
    """Return where a folder keeps what is trained from the present files by the present code and libraries."""
    code = [*sorted(Path(__file__).parent.glob("*.py")), Path(concepts.__file__)]
    data = [DATA / "concepts.toml", DATA / "tickets" / "training.jsonl", DATA / "tickets" / "phrases.jsonl"]
    total = sha256(" ".join((platform.machine(), platform.python_version(), *map(version, _LIBRARIES))).encode())
    for path in (*code, *data):
        total.update(sha256(path.read_bytes() if path.exists() else b"").digest())
    return folder / f"stand-ins-{total.hexdigest()[:16]}.npz"


def save(models: Mapping[Capacity, Model], path: Path) -> bool:
    """Write trained models for the next start, in place of those of other files or code; return whether that was possible."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as written:
            np.savez(written, allow_pickle=False, **dict(_arrays(models)))
        draft.replace(path)
    except OSError:  # a full disk, a folder that may not be written: the next start trains again
        with suppress(OSError):
            draft.unlink()
        return False
    for old in path.parent.glob("stand-ins-*.npz"):
        if old != path:
            with suppress(OSError):  # another process may be reading or removing it
                old.unlink()
    return True


def load(path: Path) -> dict[Capacity, Model] | None:
    """Return the models of a file, or None if there is none, or one that is damaged or of another shape."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
            reader = _reader(found)
            return {capacity: _model(capacity, reader, found) for capacity in RECIPES}
    except _DAMAGED:
        return None


def _arrays(models: Mapping[Capacity, Model]) -> Iterator[tuple[str, NDArray[np.generic]]]:
    reader = models["judge"].reader
    yield "rarity", reader.rarity
    for block, terms in reader.terms.items():
        yield f"names {block}", np.frombuffer("\n".join(terms.names).encode(errors="surrogatepass"), dtype=np.uint8)
        if terms.rarity is not None:
            yield f"rarity {block}", terms.rarity
    for capacity, model in models.items():
        yield f"table {capacity}", model.table
        yield f"start {capacity}", model.start


def _reader(found: Mapping[str, NDArray[np.generic]]) -> Reader:
    terms: dict[Block, Terms] = {}
    for block in BLOCKS:
        if f"names {block}" in found:
            names = found[f"names {block}"].tobytes().decode(errors="surrogatepass").split("\n")
            terms[block] = Terms(names, found[f"rarity {block}"].astype(np.float64) if block != "words" else None)
    return Reader(terms, found["rarity"].astype(np.float32))


def _model(capacity: Capacity, reader: Reader, found: Mapping[str, NDArray[np.generic]]) -> Model:
    recipe = RECIPES[capacity]
    table, start = found[f"table {capacity}"].astype(np.float64, copy=False), found[f"start {capacity}"].astype(np.float64)
    if table.shape != (sum(reader.width(block) for block in recipe.blocks), WIDTH) or start.shape != (WIDTH,):
        raise ValueError(f"the table of {capacity} has another shape")
    return Model(reader, recipe.blocks, table, start, recipe.by_sentence)
