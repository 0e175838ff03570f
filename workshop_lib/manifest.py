"""The shipped data's fingerprints: `data/MANIFEST` lists a sha256 for every file, in the format of sha256sum."""

from hashlib import sha256

from workshop_lib.paths import DATA

MANIFEST = DATA / "MANIFEST"


def text() -> str:
    """Return what the manifest should say of the data as it is on disk."""
    files = sorted(path for path in DATA.rglob("*") if path.is_file() and path != MANIFEST)
    return "".join(f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(DATA).as_posix()}\n" for path in files)


def problems() -> list[str]:
    """Return one line per file that is missing, changed or not listed; empty means the data are as shipped."""
    if not MANIFEST.exists():
        return ["data/MANIFEST is missing"]
    listed = _entries(MANIFEST.read_text(encoding="utf-8"))
    found = _entries(text())
    lines = [f"data/{name} is missing" for name in sorted(listed.keys() - found.keys())]
    lines += [f"data/{name} is not in data/MANIFEST" for name in sorted(found.keys() - listed.keys())]
    return lines + [f"data/{name} differs from data/MANIFEST" for name in sorted(listed) if found.get(name, listed[name]) != listed[name]]


def _entries(manifest: str) -> dict[str, str]:
    return {name: digest for digest, name in (line.split("  ", 1) for line in manifest.splitlines())}
