"""HTML for widgets: everything escaped, words before colour, and a table's heads marked as such."""

from collections.abc import Sequence
from html import escape

STYLE = """<style>
.workshop p, .workshop ol { margin: .3em 0; line-height: 1.45; max-width: 52em; } .workshop ol { padding-left: 1.6em; }
.workshop .problem { border-left: .3em solid currentColor; padding-left: .6em; }
.workshop table { border-collapse: collapse; margin: .4em 0; font-variant-numeric: tabular-nums; }
.workshop caption { text-align: left; padding: .2em 0; color: inherit; }
.workshop th, .workshop td { padding: .15em .6em; text-align: left; border-bottom: 1px solid #8888; white-space: nowrap; background: none; color: inherit; }
.workshop .number { text-align: right; } .workshop progress { width: 16em; vertical-align: middle; }
.workshop .scrolled { max-height: 20em; overflow: auto; } .workshop img { max-width: 100%; height: auto; }
</style>"""


def page(*parts: str) -> str:
    """Return the parts as one block in the style of the labs' widgets."""
    return f'{STYLE}<div class="workshop">{"".join(parts)}</div>'


def paragraph(text: str, lead: str = "") -> str:
    """Return plain text as a paragraph, after a lead in bold."""
    bold = f"<strong>{escape(lead)}</strong> " if lead else ""
    return f"<p>{bold}{escape(text)}</p>"


def status(text: str) -> str:
    """Return a line that a screen reader announces when it changes."""
    return f'<p role="status">{escape(text)}</p>'


def problem(text: str) -> str:
    """Return a line that says what went wrong, announced at once."""
    return f'<p role="alert" class="problem"><strong>Problem:</strong> {escape(text)}</p>'


def numbered(lines: Sequence[str]) -> str:
    """Return lines as a numbered list."""
    return f"<ol>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ol>" if lines else ""


def bar(label: str, done: int, of: int) -> str:
    """Return a progress bar with its name before it and its numbers after it."""
    name = escape(label, quote=True)
    return f'<p>{name}: <progress aria-label="{name}" max="{max(of, 1)}" value="{done}"></progress> {done} of {of}</p>'


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """Return a table whose first column names its rows; `numbers` are the heads of columns that stand right. A long one scrolls by keyboard, too."""
    right = [' class="number"' if name in numbers else "" for name in head]
    heads = "".join(f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(head, right, strict=True))
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td{side}>{escape(cell)}</td>" for cell, side in zip(row[1:], right[1:], strict=True)) + "</tr>"
        for row in rows
    )
    said = escape(caption, quote=True)
    return f'<div class="scrolled" tabindex="0" role="region" aria-label="{said}"><table><caption>{said}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def image(data_uri: str, alt: str) -> str:
    """Return an image with its description."""
    return f'<img src="{data_uri}" alt="{escape(alt, quote=True)}">'
