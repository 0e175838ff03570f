"""What a batch came to, as one line and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from workshop_lib.batch.estimate import rates
from workshop_lib.batch.run import End
from workshop_lib.batch.state import State
from workshop_lib.bulk.journal import Totals
from workshop_lib.cascade import Policy


@dataclass(frozen=True)
class Summary:
    """What an output holds, and by which jobs: `usd` is a lower bound unless `cost_complete`, `rates` says at which prices it is counted.

    `source` says who answered: a sandbox's figures are no vendor's.
    """

    out: str
    end: End
    tickets: int
    failed: int
    escalated: int
    usd: float
    cost_complete: bool
    source: str
    policy: str
    policy_digest: str
    rates: str
    on_demand: int
    jobs: Sequence[Mapping[str, object]]

    @property
    def exit_status(self) -> int:
        """Return 0 if every ticket succeeded, 1 if some failed, 3 if the run can be gone on with."""
        return 3 if self.end != "finished" else int(self.failed > 0)

    def line(self) -> str:
        """Return the summary as one line."""
        counts = f"{self.tickets} tickets, {self.escalated} escalated, {self.failed} failed"
        usd = f"{'' if self.cost_complete else 'at least '}{self.usd:.6f} USD"
        demand = f", {self.on_demand} on demand at the list price" if self.on_demand else ""
        return f"{counts}, {usd} ({self.source}; {self.rates}), {len(self.jobs)} {'job' if len(self.jobs) == 1 else 'jobs'}{demand} -> {self.out}"

    def json(self) -> str:
        """Return the summary as JSON."""
        return json.dumps({**asdict(self), "exit_status": self.exit_status}, indent=1) + "\n"


def summary(out: str, end: End, totals: Totals, state: State, policy: Policy, source: str, begun: tuple[float, bool] = (0.0, True)) -> Summary:
    """Return what a batch came to, with what is spent on tickets that are `begun` and not finished, in USD, and whether that is all of it."""
    jobs = [
        {"part": part.name, "model": part.model, "records": part.records, "status": part.status, "arn": part.arn, **part.counts} for part in state.parts
    ]
    return Summary(
        out, end, totals.tickets, totals.failed, totals.escalated, totals.usd + begun[0], totals.cost_complete and begun[1], source, policy.name, policy.digest,
        rates(policy.tiers), len(state.on_demand), jobs,
    )  # fmt: skip
