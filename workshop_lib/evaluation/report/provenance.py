"""Where the numbers of a report come from, so that somebody else can make them again."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

import pandas as pd

from workshop_lib import catalog
from workshop_lib.errors import UnknownModelError
from workshop_lib.evaluation.cache import request_hash
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.paths import ROOT
from workshop_lib.tasks import TRIAGE, Ticket


@dataclass(frozen=True)
class Provenance:
    """What made a report; None is shown as "not recorded", never guessed."""

    dataset: str | None = None
    dataset_hash: str | None = None
    prompt_version: str | None = None
    prompt_hash: str | None = None
    seed: int | None = None
    revision: str | None = None
    made_on: date | None = None

    def rows(self) -> pd.DataFrame:
        """Return what is known, one row a fact."""
        facts = {
            "items": self.dataset, "items, sha256": self.dataset_hash, "prompt": self.prompt_version, "prompt, sha256": self.prompt_hash,
            "seed": self.seed, "code revision": self.revision, "page made on": self.made_on,
        }  # fmt: skip
        return pd.DataFrame([{"fact": name, "value": "not recorded" if value is None else str(value)} for name, value in facts.items()])


def provenance(tickets: Sequence[LabelledTicket], dataset: str, seed: int | None = None) -> Provenance:
    """Return the provenance of a triage bake-off made now, with this code, on these labelled tickets."""
    blank = Ticket(id="blank", subject="", body="-")  # everything a model sees but the ticket itself
    return Provenance(dataset, dataset_hash(tickets), TRIAGE.prompt_version, request_hash(TRIAGE.request(blank))[:12], seed, code_revision(), datetime.now(UTC).date())


def dataset_hash(tickets: Sequence[LabelledTicket]) -> str:
    """Return twelve hex digits that change with any ticket, label, family, cohort or their order."""
    lines = [[entry.ticket.model_dump(), entry.label.model_dump(), entry.cohort, entry.family] for entry in tickets]
    return sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()[:12]


def code_revision() -> str:
    """Return the commit this code was checked out at, with "+changes" if files differ from it; without a checkout the package's version."""
    if (ROOT / ".git").exists():  # without it git would name a checkout that this one happens to lie in
        try:
            commit = _git("rev-parse", "--short=12", "HEAD")
            return f"{commit}+changes" if _git("status", "--porcelain", "--untracked-files=no") else commit
        except (OSError, subprocess.SubprocessError):
            return "unknown"
    try:
        return f"cascade-workshop {version('cascade-workshop')}"
    except PackageNotFoundError:
        return "unknown"


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


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True, timeout=10)  # noqa: S603, S607  # fixed words
    return done.stdout.strip()
