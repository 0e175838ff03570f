"""Where the numbers of a report come from, so that somebody else can make them again."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from workshop_lib import catalog
from workshop_lib.errors import UnknownModelError
from workshop_lib.evaluation.provenance import code_revision

if TYPE_CHECKING:
    from workshop_lib.evaluation.bakeoff import Bakeoff

_HASH = 12


def facts(bakeoff: "Bakeoff", made_on: date | None = None) -> pd.DataFrame:
    """Return what a bake-off was made with, one row a fact; what nobody recorded is "not recorded", never guessed."""
    known = bakeoff.provenance
    rows: dict[str, object] = {"tickets": bakeoff.tickets}
    if known is None:
        rows |= dict.fromkeys(("data", "prompt", "settings", "backend"))
    else:
        for name, note in known.datasets.items():
            rows[f"data: {name}, whole"] = f"{note.items} tickets, sha256 {note.sha256[:_HASH]}"
        if not known.datasets:
            rows["data"] = None
        rows |= {"task": known.task, "prompt": f"{known.prompt_version}, sha256 {known.prompt_hash[:_HASH]}"}
        rows["settings"] = ", ".join(f"{name} {value}" for name, value in known.settings.items() if value is not None)
        rows |= {"backend": known.backend, "seed of the sandbox": known.seed}
    rows |= {"seed of what is drawn": bakeoff.seed, "code revision of this page": code_revision(), "page made on": made_on}
    return pd.DataFrame([{"fact": name, "value": "not recorded" if value is None else str(value)} for name, value in rows.items()])


def prices(models: Sequence[str]) -> pd.DataFrame:
    """Return one row a model: id, provider, USD per million tokens in and out, list or proxy price, where and when it was read."""
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(models):
        try:
            model = catalog.model(name)
        except UnknownModelError:
            rows.append({"model": name, "id": "not in the catalogue"})
            continue
        price = model.price
        rows.append(
            {"model": model.key, "id": model.id, "provider": model.provider, "input": price.input, "output": price.output}
            | {"basis": price.basis, "price source": price.source, "read on": price.checked_on.isoformat()}
        )
    return pd.DataFrame(rows)
