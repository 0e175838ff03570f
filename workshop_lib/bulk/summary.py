"""What a bulk run came to, as one line and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from workshop_lib.bulk.job import End, Job
from workshop_lib.bulk.journal import Totals
from workshop_lib.bulk.paced import Counts

EXIT_STATUS = {"succeeded": 0, "failed": 1, "stopped": 3}


@dataclass(frozen=True)
class Summary:
    """What an output holds over all its runs, and what this run did: `calls` and `throttled` count HTTP requests by model key.

    `usd` is a lower bound unless `cost_complete`, and `sources` says who answered in this run: a sandbox's figures are no vendor's.
    """

    out: str
    end: End
    tickets: int
    failed: int
    escalated: int
    usd: float
    cost_complete: bool
    sources: tuple[str, ...]
    policy: str
    policy_digest: str
    tickets_before: int
    seconds: float
    calls: Mapping[str, int]
    throttled: Mapping[str, int]
    guardrail_units: int

    @property
    def exit_status(self) -> int:
        """Return 0 if every row succeeded, 1 if some failed, 3 if the run was stopped and can be gone on with."""
        if self.end != "finished":
            return EXIT_STATUS["stopped"]
        return EXIT_STATUS["failed" if self.failed else "succeeded"]

    def line(self) -> str:
        """Return the summary as one line."""
        counts = f"{self.tickets} tickets, {self.escalated} escalated, {self.failed} failed"
        usd = f"{'' if self.cost_complete else 'at least '}{self.usd:.6f} USD"
        return f"{counts}, {usd} ({', '.join(self.sources)}) -> {self.out}"

    def json(self) -> str:
        """Return the summary as JSON, with the shares and the rate that follow from it."""
        new = self.tickets - self.tickets_before
        derived = {
            "succeeded": self.tickets - self.failed,
            "escalation_rate": self.escalated / self.tickets if self.tickets else None,
            "tickets_per_second": new / self.seconds if self.seconds > 0 else None,
            "exit_status": self.exit_status,
        }
        return json.dumps({**vars(self), **derived}, indent=1, default=dict) + "\n"


def summary(
    job: Job, *, backend: str, policy: str, digest: str, before: Totals, seconds: float, counts: Mapping[str, Counts], guardrail_units: int
) -> Summary:
    """Return what a job came to; `before` is what its output held when it began."""
    totals = job.journal.totals
    return Summary(
        out=str(job.journal.out),
        end=job.end,
        tickets=totals.tickets,
        failed=totals.failed,
        escalated=totals.escalated,
        usd=totals.usd,
        cost_complete=totals.cost_complete,
        sources=tuple(sorted(job.sources)) or (backend,),
        policy=policy,
        policy_digest=digest,
        tickets_before=before.tickets,
        seconds=seconds,
        calls={key: count.sends for key, count in counts.items()},
        throttled={key: count.throttled for key, count in counts.items()},
        guardrail_units=guardrail_units,
    )
