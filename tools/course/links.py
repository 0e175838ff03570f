"""Relative links and anchors in Markdown: each must lead somewhere."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tools.course.sheet import headings, without_fences

_LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|(?:href|src)=\"([^\"]+)\"|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_INLINE_CODE = re.compile(r"(`+).+?\1")


def broken(text: str, folder: Path, whole: str | None = None) -> Iterator[str]:
    """Yield one message for each relative link of a Markdown text (lying in `folder`) that leads nowhere.

    `whole` is the document that the text is a part of, if it is one.
    """
    prose = _INLINE_CODE.sub("", without_fences(text))
    for found in _LINK.finditer(prose):
        target = next(part for part in found.groups() if part)
        if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = folder / path if path else None
        if file is not None and not file.exists():
            yield f"the link {target} leads to no file"
        elif anchor:
            yield from _broken_anchor(target, anchor, (whole or text) if file is None else _markdown(file))


def _markdown(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.suffix == ".md" else None


def _broken_anchor(target: str, anchor: str, text: str | None) -> Iterator[str]:
    if text is not None and anchor.lower() not in anchors(text):
        yield f"the link {target} leads to no heading"


def anchors(text: str) -> set[str]:
    """Return the anchors of a Markdown text's headings, as GitHub makes them, and its explicit ids."""
    seen: Counter[str] = Counter()
    found = set(re.findall(r"(?:id|name)=\"([^\"]+)\"", text))
    for heading in headings(text):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def documents(root: Path) -> list[Path]:
    """Return the Markdown files of the house: those at the top, in docs/ and beside the labs."""
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("notebooks/*/*.md"), *root.glob("benchmarks/*.md")])
