"""The parts a page is made of: headings, tables, figures and badges, all escaped, in one style for screen, dark screen and paper."""

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from workshop_lib.evaluation.arms import cells, is_words
from workshop_lib.evaluation.figures import Picture

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --page: #ffffff; --line: #c6c9cd; --soft: #f3f4f6; --badge: #0b5c8f; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --page: #15171a; --line: #4a5057; --soft: #1f2328; --badge: #7cc4f2; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
p, li { max-width: 46rem; } a { color: var(--badge); } .answer strong { display: inline-block; margin-bottom: .3rem; } .answer { background: var(--soft); border-left: 4px solid var(--badge); padding: .6rem 1rem; max-width: 46rem; }
.wide { overflow-x: auto; margin: 1rem 0; } .wide:focus-visible { outline: 2px solid var(--badge); }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .25rem 0; } th, td { padding: .3rem .45rem; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
thead th { background: var(--soft); } tbody th { font-weight: 600; } .number { text-align: right; } .words { text-align: left; } td.long { white-space: normal; min-width: 14rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #ffffff; } figcaption { max-width: 46rem; }
.source { font-size: .8rem; border: 1px solid var(--badge); color: var(--badge); border-radius: .3rem; padding: 0 .35rem; white-space: nowrap; }
code { background: var(--soft); padding: 0 .2rem; overflow-wrap: anywhere; }
@media print {
  :root { color-scheme: light; --text: #000000; --page: #ffffff; --line: #999999; --soft: #f3f4f6; --badge: #0b3c5d; }
  @page { size: A4; margin: 15mm; } body { font-size: 10pt; max-width: none; margin: 0; padding: 0; } nav { display: none; }
  .wide { overflow: visible; } table { font-size: 7.5pt; width: 100%; } th, td { padding: .15rem .3rem; white-space: normal; overflow-wrap: break-word; } td.number, tbody th { white-space: nowrap; } td.long, th.long { min-width: 0; white-space: normal; } .many table { font-size: 6.5pt; } .many th, .many td { padding: .1rem .2rem; }
  h2, h3, caption { break-after: avoid; } figure, tr { break-inside: avoid; } img { max-width: 15cm; }
}
"""

_HEADS: Mapping[str, str] = {
    "low": "low 95 %", "high": "high 95 %", "cost_usd": "cost, USD", "cost_per_1000": "USD per 1,000", "p50_ms": "p50, ms", "p95_ms": "p95, ms",
    "escalation_rate": "escalated", "human_recall": "people's flags kept", "only_arm": "only arm right", "only_other": "only other right",
    "gap_recovered": "gap recovered", "cost_complete": "cost complete", "item_id": "ticket", "kept_because": "why it was kept", "avg_latency_ms": "mean, ms",
    "category_right": "category right", "joint_right": "joint right", "p_holm": "p, Holm", "gain_a_dollar": "gain a dollar",
    "kept_in_danger": "kept in danger", "judge_says": "judge says", "people_say": "people say",
}  # fmt: skip
_LONG, _LONG_HEAD, _MANY = 40, 26, 9  # letters in a cell and in a row's head, and columns, beyond which a printed page needs them to wrap or shrink


def document(title: str, parts: Sequence[str]) -> str:
    """Return a whole page that loads nothing from elsewhere."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><main>\n' + "\n".join(part for part in parts if part) + "\n</main></body></html>\n"


def heading(text: str) -> str:
    """Return a section's heading, with an anchor for the contents."""
    return f'<h2 id="{_anchor(text)}">{escape(text)}</h2>'


def contents(parts: Sequence[str]) -> str:
    """Return links to the headings among the parts."""
    titles = [part.split(">", 1)[1].removesuffix("</h2>") for part in parts if part.startswith("<h2 id=")]
    anchors = [part.split('"', 2)[1] for part in parts if part.startswith("<h2 id=")]
    links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in zip(anchors, titles, strict=True))
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


def paragraph(text: str) -> str:
    """Return plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def bullets(items: Sequence[str]) -> str:
    """Return plain texts as a list, or nothing for none."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else ""


def badge(source: str) -> str:
    """Return the label that says where a number comes from."""
    return f'<span class="source">{escape(source or "no reply")}</span>'


def image(picture: Picture, source: str) -> str:
    """Return a figure with its title, its caption and the caption as alt text."""
    caption = f"{escape(picture.title)}. {escape(picture.caption)} {badge(source)}"
    return f'<figure><img src="{picture.data_uri}" alt="{escape(picture.caption)}"><figcaption>{caption}</figcaption></figure>'


def table(df: pd.DataFrame, caption: str, source: str, decimals: Mapping[str, int] | None = None) -> str:
    """Return a table whose first column heads its rows; a wide one scrolls by keyboard too."""
    side = ["words" if is_words(df[name]) else "number" for name in df.columns]
    head = "".join(f'<th scope="col" class="{where}">{escape(_HEADS.get(str(name), str(name)))}</th>' for where, name in zip(side, df.columns, strict=True))
    body = "".join(f"<tr>{_row(side, row)}</tr>" for row in zip(*cells(df, decimals), strict=True))
    shell = f'<div class="wide{" many" if len(df.columns) > _MANY else ""}" tabindex="0" role="region" aria-label="{escape(caption)}">'
    return f"{shell}<table><caption>{escape(caption)}. {badge(source)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _row(side: Sequence[str], row: Sequence[str]) -> str:
    first = f'<th scope="row" class="{side[0]}{" long" if len(row[0]) > _LONG_HEAD else ""}">{escape(row[0])}</th>'
    return first + "".join(f'<td class="{where}{" long" if len(cell) > _LONG else ""}">{escape(cell)}</td>' for where, cell in zip(side[1:], row[1:], strict=True))


def _anchor(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())
