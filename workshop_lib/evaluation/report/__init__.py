"""The bake-off as one HTML page that stands alone: the answer first, every number with its source, readable on screen, in the dark and in print."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from workshop_lib.evaluation.report import sections
from workshop_lib.evaluation.report.choosing import choosing
from workshop_lib.evaluation.report.findings import Case, answer, cases, headline, not_said
from workshop_lib.evaluation.report.judging import judge
from workshop_lib.evaluation.report.page import badge, bullets, contents, document, heading, paragraph

if TYPE_CHECKING:
    from workshop_lib.evaluation.bakeoff import Bakeoff

__all__ = ["SOURCES", "report_html"]

SOURCES = (
    ("sandbox", "stand-in models on this machine, measured now. They show the method; they are no figures of the vendors' models."),
    ("local", "an open-weight model behind the sandbox, measured now or replayed."),
    ("live", "the named models in an account, measured now."),
    ("recorded", "Amazon Bedrock, 2026-08-31, 150 tickets labelled by people; prices as of then (data/recorded/README.md)."),
    ("published", "a table that someone printed, quoted as it stands (data/published/README.md)."),
)


def report_html(
    bakeoff: "Bakeoff",
    recorded: Mapping[str, pd.DataFrame],
    published: pd.DataFrame,
    *,
    margin: float = 0.05,
    calibrated: Sequence[float] | None = None,
    made_on: date | None = None,
) -> str:
    """Return a self-contained page: the bake-off, beside it the recorded arms (from `recorded_arms`) and the published tables.

    `margin` is the loss of accuracy that still counts as parity, to be chosen before looking. `calibrated` holds the calibrated confidence of the first
    policy's cheap arm, one an item in its order. What made the numbers is read off the bake-off; what nobody recorded the page calls "not recorded".
    """
    title = f"Bake-off on {bakeoff.tickets} {'ticket' if bakeoff.tickets == 1 else 'tickets'} ({bakeoff.source or 'no reply'})"
    found = cases(bakeoff, margin, bakeoff.seed)
    parts = [
        *_asked(bakeoff, margin),
        *_answers(bakeoff, found),
        *sections.costs(bakeoff),
        *sections.arms(bakeoff),
        *choosing(bakeoff, found),
        *sections.item_by_item(bakeoff, found),
        *sections.misses(bakeoff, found),
        *sections.confidence(bakeoff, found, recorded, calibrated),
        *judge(bakeoff, found),
        *sections.on_bedrock(recorded),
        *sections.elsewhere(published),
        heading("What this does not say"),
        bullets(not_said(bakeoff, found)),
        *sections.provenance(bakeoff, made_on, SOURCES),
    ]
    return document(title, [f"<h1>{escape(title)}</h1>", contents(parts), *parts])


def _asked(bakeoff: "Bakeoff", margin: float) -> list[str]:
    tiers = [name.removesuffix("_only") for name in bakeoff.arms if name.endswith("_only")]
    policies = ", ".join(policy.name for policy in bakeoff.policies) or "none"
    return [
        heading("What was asked"),
        paragraph(
            f"Can a cheap model answer most requests and pass the rest to a dearer one, without losing accuracy that matters? {bakeoff.tickets} labelled "
            f"{'ticket was' if bakeoff.tickets == 1 else 'tickets were'} given to each model alone ({', '.join(tiers) or 'none'}) and to each cascade "
            f"({policies}). Every arm has the same items, a call that failed counts as wrong, and people's labels decide what is right. Parity means: no more than {margin:g} of accuracy is lost."
        ),
    ]


def _answers(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return the answer a cascade a paragraph, then what each paired comparison says in one line."""
    if not found:
        return [heading("The answer"), paragraph("No cascade was compared with the models it is made of, so there is nothing to answer; the arms stand below.")]
    told = [f'<p class="answer"><strong>{escape(headline(case))}</strong><br>{escape(" ".join(answer(case)))} {badge(bakeoff.source)}</p>' for case in found]
    known = dict(zip(bakeoff.summary["arm"], bakeoff.summary["cost_complete"], strict=True))
    lines = [_compared(row, bool(known.get(row["arm"]) and known.get(row["against"]))) for row in bakeoff.comparisons.to_dict("records")]
    told += _further(bakeoff, found)
    return [heading("The answer"), *told, *(["<p>Pair by pair, resampling whole scenario families:</p><ul>" + "".join(lines) + "</ul>"] if lines else [])]


def _further(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return how many further cascades were run, and which of them stand above because no arm beats them."""
    if not bakeoff.ladders:
        return []
    shown = [case.policy.name for case in found if case.policy in bakeoff.ladders]
    which = f"No arm that could be had is both as accurate and as cheap as {' or '.join(shown)}, which {'is' if len(shown) == 1 else 'are'} therefore answered for above" if shown else "Each is beaten by an arm that costs no more"
    return [paragraph(f"{len(bakeoff.ladders)} further cascades, the gates of {bakeoff.policies[0].name} on other tiers, were composed of the same replies. {which}; all stand in the tables.")]


def _compared(row: Mapping[Any, Any], complete: bool) -> str:
    spread = f"{row['difference']:+.3f} (95 % from {row['low']:+.3f} to {row['high']:+.3f})"
    verdict = "no difference in accuracy is shown" if row["low"] <= 0 <= row["high"] else "it is more accurate" if row["low"] > 0 else "it is less accurate"
    doubt = "" if complete else ", by what is known of the cost"
    return f"<li>{escape(row['arm'])} against {escape(row['against'])}: {_money(row['saving'])}{doubt}; {verdict}: {spread}. {badge(row['source'])}</li>"


def _money(saving: float) -> str:
    if saving < -1:
        return f"costs {1 - saving:.1f} times as much"
    return "the cost cannot be compared" if math.isnan(saving) else f"costs {abs(saving):.1%} {'less' if saving >= 0 else 'more'}"
