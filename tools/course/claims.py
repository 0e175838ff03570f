"""Numbers in prose: a percentage, an amount in USD or a decimal must come from the lab's own outputs, code or parameters."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

from tools.course import derive
from tools.course.model import Cell, Lab
from tools.course.sanitise import printed
from tools.course.sheet import allowed, without_fences

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_CLAIM = re.compile(
    rf"(?<![\w.,/$-])(?P<range>{_NUMBER})(?:(?: to |-)(?P<to>{_NUMBER}))?(?P<unit>(?: ?%| percent\b| USD\b))"
    r"|(?<![\w.,/$-])(?P<decimal>\d+\.\d+)(?![\w.-]*\w)"
)
_EVIDENCE = re.compile(r"(?<![\w.])-?(?P<number>\d[\d,_]*(?:\.\d+)?(?:e-?\d+)?)(?P<unit> ?%)?")
_NAMES = re.compile(r"\b(?:Python|Opus|Sonnet|Haiku|Claude|Nemotron|Llama|version|HTTP)[ /-][A-Za-z]*[ -]?\d+(?:\.\d+)*")
_LINK = re.compile(r"\]\([^)]*\)|<[^>]+>|https?://\S+")


@dataclass(frozen=True)
class Claim:
    """A number in prose: as written, its value, the digits after its point, and its unit ("%", "USD" or "")."""

    text: str
    value: float
    digits: int
    unit: str


@dataclass(frozen=True)
class Evidence:
    """What a lab's notebooks hold: numbers, and among them those followed by a percent sign."""

    numbers: frozenset[float]
    percentages: frozenset[float]

    def backs(self, claim: Claim) -> bool:
        """Say whether a number of the evidence, rounded as the claim is, is the claim; a percentage may be backed by a share such as 0.12."""
        if claim.unit == "%":
            shares = {100 * number for number in self.numbers if 0 < number <= 2}
            return _rounds_to(self.percentages | shares, claim)
        return _rounds_to(self.numbers, claim)


def unbacked(lab: Lab, notebooks: Iterable[NotebookNode]) -> Iterator[str]:
    """Yield a problem for each number in a lab's prose that neither an output nor the code of its notebooks holds.

    A number from elsewhere is named in an instructor cell: `allow: CELL 15 %, 25 % (where it is from)`.
    """
    evidence = evidence_of(lab, notebooks)
    for cell in lab.cells:
        if cell.kind != "markdown" or "instructor" in cell.tags:
            continue
        let_pass, said = set(allowed(lab, cell.id)), list(claims(cell.text))
        missing = [claim.text for claim in said if not evidence.backs(claim) and claim.text not in let_pass]
        if unused := sorted(let_pass - {claim.text for claim in said}):
            yield lab.at(cell, f"does not say {', '.join(unused)}, which an `allow` lets pass")
        if missing:
            yield lab.at(cell, f"no output or code of this lab holds {', '.join(dict.fromkeys(missing))}; print it, correct it, or name its source with `allow`")


def claims(text: str) -> Iterator[Claim]:
    """Yield the percentages, amounts and decimals in a Markdown text, names such as "Opus 4.7" and link targets left out."""
    bare = _NAMES.sub(" ", _LINK.sub(" ", without_fences(text)))
    for found in _CLAIM.finditer(re.sub(r"[*_`]", "", bare)):
        if found["decimal"]:
            yield _claim(found["decimal"], "")
            continue
        unit = "USD" if "USD" in found["unit"] else "%"
        yield from (_claim(number, unit) for number in (found["range"], found["to"]) if number)


def _claim(number: str, unit: str) -> Claim:
    plain = number.replace(",", "").rstrip(".")
    return Claim(f"{number} {unit}".strip(), float(plain), len(plain.partition(".")[2]), unit)


def evidence_of(lab: Lab, notebooks: Iterable[NotebookNode]) -> Evidence:
    """Return the numbers in the outputs of the notebooks and in the lab's code."""
    texts = [printed(node) for made in notebooks for node in made.cells if node.cell_type == "code"]
    texts += [_code_of(cell) for cell in lab.cells if cell.kind == "code"]
    found = [(float(match["number"].replace(",", "").replace("_", "")), match["unit"]) for text in texts for match in _EVIDENCE.finditer(text)]
    return Evidence(frozenset(number for number, _ in found), frozenset(number for number, unit in found if unit))


def _code_of(cell: Cell) -> str:
    return derive.solution_text(cell.text)


def _rounds_to(numbers: Iterable[float], claim: Claim) -> bool:
    half = 0.5 * 10.0**-claim.digits + 1e-9
    return any(abs(number - claim.value) <= half for number in numbers)
