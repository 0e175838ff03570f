"""The bake-off as one HTML page that stands alone: every number with its source, readable in the light and in the dark."""

import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from workshop_lib.evaluation.arms import cells, is_words, oracle_baseline, random_baseline, summary
from workshop_lib.evaluation.figures import Picture, cost_quality_figure, reliability_figure
from workshop_lib.evaluation.metrics import ece, reliability

if TYPE_CHECKING:
    from workshop_lib.evaluation.bakeoff import Bakeoff

_STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --page: #ffffff; --line: #d0d0d0; --soft: #f3f4f6; --badge: #0b5c8f; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --page: #15171a; --line: #3d4247; --soft: #1f2328; --badge: #7cc4f2; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.wide { overflow-x: auto; margin: 1rem 0; } table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .25rem 0; } th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { background: var(--soft); } .number { text-align: right; } .words { text-align: left; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #ffffff; } figcaption { max-width: 46rem; }
.source { font-size: .8rem; border: 1px solid var(--badge); color: var(--badge); border-radius: .3rem; padding: 0 .35rem; white-space: nowrap; }
code { background: var(--soft); padding: 0 .2rem; overflow-wrap: anywhere; }
"""

_SOURCES = (
    ("sandbox", "stand-in models on this machine, measured now. They show the method; they are no figures of the vendors' models."),
    ("live", "the named models in an account, measured now."),
    ("recorded", "Amazon Bedrock, 2026-08-31, 150 tickets labelled by people; prices as of then (data/recorded/README.md)."),
    ("published", "a table that someone printed, quoted as it stands (data/published/README.md)."),
)


def report_html(bakeoff: "Bakeoff", recorded: Mapping[str, pd.DataFrame], published: pd.DataFrame) -> str:
    """Return a self-contained page: the bake-off, beside it the recorded arms (from `recorded_arms`) and the published tables."""
    title = f"Bake-off on {bakeoff.tickets} tickets ({bakeoff.source})"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _findings(bakeoff),
        "<p>Where a number comes from:</p><ul>" + "".join(f"<li>{_badge(name)} {escape(text)}</li>" for name, text in _SOURCES) + "</ul>",
        *_arms_section(bakeoff),
        *_judge_section(bakeoff),
        *_confidence_section(bakeoff, recorded),
        *_recorded_section(recorded),
        "<h2>What others published</h2>",
        "<p>Three tables of one comparison that differ in how cost was counted, in the reference and in the policy. None is comparable with the rows above.</p>",
        _table(published, "Published tables, an empty cell was not published", "published", {"cost_usd": 6, "avg_latency_ms": 0, "escalated": 0, "category_right": 0, "joint_right": 0}),
        "<h2>Policies</h2>",
        "<ul>" + "".join(f"<li>{escape(policy.name)} (<code>{policy.digest}</code>): <code>{escape(policy.model_dump_json())}</code></li>" for policy in bakeoff.policies) + "</ul>",
    ]  # fmt: skip
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><main>\n' + "\n".join(parts) + "\n</main></body></html>\n"


def _findings(bakeoff: "Bakeoff") -> str:
    """Return what the paired comparisons say, a sentence a cascade and reference, from the numbers alone."""
    said = []
    for row in bakeoff.comparisons.to_dict("records"):
        spread = f"{row['difference']:+.3f} (95 % from {row['low']:+.3f} to {row['high']:+.3f})"
        open_ = row["low"] <= 0 <= row["high"]
        verdict = "no difference in accuracy is shown" if open_ else "it is more accurate" if row["low"] > 0 else "it is less accurate"
        said.append(f"<li>{escape(row['arm'])} against {escape(row['against'])}: {_money(row['saving'])}; {verdict}: {spread}. {_badge(row['source'])}</li>")
    return "<p>On the same tickets, resampling whole scenario families:</p><ul>" + "".join(said) + "</ul>"


def _money(saving: float) -> str:
    if saving < -1:
        return f"costs {1 - saving:.1f} times as much"
    return "the cost cannot be compared" if math.isnan(saving) else f"costs {abs(saving):.1%} {'less' if saving >= 0 else 'more'}"


def _arms_section(bakeoff: "Bakeoff") -> list[str]:
    return [
        "<h2>All arms</h2>",
        "<p>Graded against the labels that people gave. low and high are 95 % Wilson intervals; for a random baseline, 95 % of its draws. Each arm is "
        "charged for everything that ran. human_recall: of the tickets that need a person, the share that some tier flagged.</p>",
        _table(bakeoff.summary, "All arms, same tickets", bakeoff.source),
        _image(cost_quality_figure(bakeoff.summary, bakeoff.source), bakeoff.source),
        _table(bakeoff.comparisons, "Paired comparisons: accuracy of the arm minus the other's; p is McNemar's exact test", bakeoff.source),
    ]


def _judge_section(bakeoff: "Bakeoff") -> list[str]:
    labelled = int((bakeoff.judge["outcome"] == "answered").sum())
    bill = float(bakeoff.judge["cost_usd"].sum())
    bill_text = f"{bill:.6f} USD" if bakeoff.judge["cost_complete"].all() else f"at least {bill:.6f} USD"
    return [
        "<h2>The judge</h2>",
        f"<p>The judge gave {labelled} of {bakeoff.tickets} tickets a valid label, for {bill_text}, which no arm contains. A judge is a model: the first "
        "table says how often it agrees with people, the second grades the arms by its labels.</p>",
        _table(bakeoff.agreement, "Judge and people", bakeoff.source),
        _table(bakeoff.judged, f"All arms graded by the judge, on the {labelled} tickets it labelled", bakeoff.source) if labelled else "",
    ]


def _confidence_section(bakeoff: "Bakeoff", recorded: Mapping[str, pd.DataFrame]) -> list[str]:
    parts = ["<h2>Is the cheap model's confidence worth anything?</h2>"]
    cheap = f"{bakeoff.policies[0].tiers[0]}_only" if bakeoff.policies else ""
    for arm, source, name in ((bakeoff.arms.get(cheap), bakeoff.source, cheap), (recorded.get("nano"), "recorded", "nano")):
        if isinstance(arm, pd.DataFrame):
            claimed, right = arm["confidence"].to_numpy(float), arm["correct"].to_numpy(bool)
            parts.append(_image(reliability_figure(reliability(claimed, right), f"{name}: stated confidence and share right", source), source))
            parts.append(f"<p>Expected calibration error of {escape(name)}: {ece(claimed, right):.3f}. {_badge(source)}</p>")
    return parts


def _recorded_section(recorded: Mapping[str, pd.DataFrame]) -> list[str]:
    arms = {**recorded}
    rates = {name: float(arm["escalated"].mean()) for name, arm in recorded.items()}
    baselines = {f"random at {name} rate": random_baseline(recorded["nano"], recorded["sonnet"], rate) for name, rate in rates.items() if rate > 0}
    table = summary({**arms, **baselines, "oracle": oracle_baseline(recorded["nano"], recorded["sonnet"])})
    return [
        "<h2>The same on Amazon Bedrock, recorded</h2>",
        "<p>Real models on other tickets; compare the pattern with the arms above, not the digits.</p>",
        _table(table, "Recorded arms", "recorded"),
        _image(cost_quality_figure(table, "recorded"), "recorded"),
    ]


def _badge(source: str) -> str:
    return f'<span class="source">{escape(source)}</span>'


def _image(picture: Picture, source: str) -> str:
    caption = f"{escape(picture.caption)} {_badge(source)}"
    return f'<figure><img src="{picture.data_uri}" alt="{escape(picture.caption)}"><figcaption>{caption}</figcaption></figure>'


def _table(df: pd.DataFrame, caption: str, source: str, decimals: Mapping[str, int] | None = None) -> str:
    side = ["words" if is_words(df[name]) else "number" for name in df.columns]
    head = "".join(f'<th scope="col" class="{where}">{escape(str(name))}</th>' for where, name in zip(side, df.columns, strict=True))
    rows = zip(*cells(df, decimals), strict=True)
    body = "".join("<tr>" + "".join(f'<td class="{where}">{escape(cell)}</td>' for where, cell in zip(side, row, strict=True)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><caption>{escape(caption)}. {_badge(source)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
