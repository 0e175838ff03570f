"""Stored outputs: made the same on every build, and refused if they hold what must not be stored."""

import base64
import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt", b"tIME"}

SECRETS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bnvapi-[\w-]{16,}"
    r"|\bsk-[\w-]{20,}"
    r"|\bbedrock-api-key-[\w-]+"
    r"|\bBearer [\w.~+/-]{16,}"
    r"|aws_secret_access_key\s*[=:]\s*['\"]?(?!sandbox)[\w/+]{16,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""What looks like a credential of the services the course uses."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (SECRETS, "a secret"),
    (re.compile(r"\b0x[0-9a-fA-F]{5,}\b"), "a memory address (a default repr?)"),
    (re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):\d+"), "a port of this machine"),
    (re.compile(r"\x1b\["), "terminal colours"),
    (re.compile(r"id=\"T_[0-9a-f]{5}|#T_[0-9a-f]{5}"), "a style block with random ids (a pandas Styler?)"),
    (re.compile(r"\A\{(?:[^:{}]+)\}\Z"), "a set, whose order varies"),
    (re.compile(r"\d+%\|[^|\n]*\|"), "a progress bar"),
)
_PATHS = re.compile(r"(?:/home/|/Users/|/tmp/|/root/|/private/var/|[A-Z]:\\\\?Users\\)")  # looked for, not written to


def plain(text: str) -> str:
    """Return a text without terminal colours."""
    return _ANSI.sub("", text)


def sanitise(made: NotebookNode) -> None:
    """Make a notebook's outputs the same on every build, in place: prompts 1..n, whole streams, short errors, bare PNGs."""
    prompt = 0
    for cell in made.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        cell.execution_count = None
        if cell.source.strip():
            prompt += 1
            cell.execution_count = prompt
        cell.outputs = _merged(cell.outputs)
        for output in cell.outputs:
            _sanitise_output(output, prompt)
    made.metadata = {"kernelspec": made.metadata["kernelspec"], "language_info": {"name": "python"}}


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    merged: list[NotebookNode] = []
    for output in outputs:
        if merged and output.output_type == "stream" and merged[-1].output_type == "stream" and merged[-1].name == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def _sanitise_output(output: NotebookNode, prompt: int) -> None:
    output.pop("transient", None)
    if output.output_type == "execute_result":
        output.execution_count = prompt
    if output.output_type == "error":
        output.evalue = plain(output.evalue)
        output.traceback = [f"{output.ename}: {output.evalue}" if output.evalue else output.ename]
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = base64.b64encode(bare_png(base64.b64decode(data["image/png"]))).decode()


def bare_png(image: bytes) -> bytes:
    """Return a PNG without its text and time chunks, which name the software and the day."""
    if not image.startswith(_PNG):
        return image
    kept, position = [_PNG], len(_PNG)
    while position + 8 <= len(image):
        (length,) = struct.unpack(">I", image[position : position + 4])
        end = position + 12 + length
        if image[position + 4 : position + 8] not in _TEXT_CHUNKS:
            kept.append(image[position:end])
        position = end
    return b"".join(kept)


def findings(cell: NotebookNode, root: Path) -> Iterator[str]:
    """Yield what is wrong with one code cell's stored outputs."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        for kind in data:
            if kind.startswith("image/") and not str(output.get("metadata", {}).get(kind, {}).get("alt", "")).strip():
                yield "an image without alt text; draw it with the figure helper, whose caption is the alt text"
            if kind.startswith("application/vnd.jupyter.widget"):
                yield "the output is a widget; leave widgets to interactive use (WORKSHOP_STATIC is 1 when a notebook is built)"
        if output.output_type == "stream" and output.name == "stderr":
            yield f"the output holds text on stderr, such as a warning: {_short(output.text)}"
            continue
        for text in _texts(output):
            yield from (f"the output holds {what}: {_short(text, match)}" for match, what in _matches(text, root))
    if _has_image(cell) and not any(output.output_type == "stream" and output.text.strip() for output in cell.outputs):
        yield "an image without a caption; print the caption in the same cell, as the figure helper does"


def printed(cell: NotebookNode) -> str:
    """Return all text of a code cell's outputs, without colours."""
    return plain("\n".join(text for output in cell.get("outputs", []) for text in _texts(output)))


def _has_image(cell: NotebookNode) -> bool:
    return any(kind.startswith("image/") for output in cell.get("outputs", []) for kind in output.get("data", {}))


def _texts(output: NotebookNode) -> Iterator[str]:
    if output.output_type == "stream":
        yield output.text
    elif output.output_type == "error":
        yield "\n".join([output.ename, output.evalue, *output.traceback])
    else:
        yield from (text if isinstance(text, str) else str(text) for kind, text in output.get("data", {}).items() if not kind.startswith("image/"))


def _matches(text: str, root: Path) -> Iterator[tuple[re.Match[str] | None, str]]:
    for pattern, what in _RULES:
        found = pattern.search(text)
        if found:
            yield (None if what == "a secret" else found), what
    for folder in {str(root), str(Path.home()), tempfile.gettempdir()} - {"/"}:
        found = re.search(re.escape(folder) + r"(?![\w-])", text)
        if found:
            yield found, "an absolute path"
            return
    found = _PATHS.search(text)
    if found:
        yield found, "an absolute path"


def _short(text: str, match: re.Match[str] | None = None) -> str:
    """Return one line of at most 100 characters around a match; a secret (match None, text long) is not repeated."""
    if match is None:
        return plain(text.strip().splitlines()[0])[:100] if text.strip() and not SECRETS.search(text) else "(not repeated here)"
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    line = text[start : end if end >= 0 else None]
    return plain(line)[:100] if not SECRETS.search(line) else "(not repeated here)"
