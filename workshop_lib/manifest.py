"""The shipped data's fingerprints: `data/MANIFEST` lists a sha256 for every file, in the format of sha256sum."""

import re
from hashlib import sha256

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA

MANIFEST = DATA / "MANIFEST"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def text() -> str:
    """Return what the manifest should say of the data as it is on disk; files of editors and desktops (.DS_Store) are not data."""
    shipped = (path for path in DATA.rglob("*") if path.is_file() and path != MANIFEST)
    files = sorted(path for path in shipped if not any(part.startswith(".") for part in path.relative_to(DATA).parts))
    return "".join(f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(DATA).as_posix()}\n" for path in files)


def problems() -> list[str]:
    """Return one line per file that is missing, changed or not listed; empty means the data are as shipped.

    Raises DataError if the manifest itself is broken.
    """
    if not MANIFEST.exists():
        return ["data/MANIFEST is missing"]
    listed = _entries(MANIFEST.read_text(encoding="utf-8"))
    found = _entries(text())
    lines = [f"data/{name} is missing" for name in sorted(listed.keys() - found.keys())]
    lines += [f"data/{name} is not in data/MANIFEST" for name in sorted(found.keys() - listed.keys())]
    return lines + [f"data/{name} differs from data/MANIFEST" for name in sorted(listed) if found.get(name, listed[name]) != listed[name]]


def _entries(manifest: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for number, line in enumerate(manifest.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise DataError(f"data/MANIFEST line {number} is not a sha256 and a file name. Restore it with: git checkout data/MANIFEST")
        entries[found[2]] = found[1]
    return entries
