"""What a pass over the unfinished tickets found to ask next, and what that may cost at most."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from workshop_lib import catalog
from workshop_lib.batch.estimate import bound
from workshop_lib.batch.replay import Answered, Unanswered
from workshop_lib.batch.state import Part
from workshop_lib.llm import Reply


@dataclass
class NextWave:
    """What a pass found to ask: parts for jobs, and entries that are too few for one.

    In USD: what is spent on unfinished tickets, and by part what its job costs at most, or ordinary calls with those that may follow them.
    """

    parts: list[Part] = field(default_factory=list)
    few: list[int] = field(default_factory=list)
    spent: float = 0.0
    spent_complete: bool = True
    by_job: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    on_demand: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def spend(self, known: Sequence[Answered]) -> None:
        """Count what the replies about an unfinished ticket cost."""
        costs = [one.cost for one in known if isinstance(one, Reply)]
        self.spent += sum(cost.usd for cost in costs)
        self.spent_complete = self.spent_complete and all(cost.complete for cost in costs)

    def ask(self, part: str, asked: Unanswered, models: Sequence[catalog.Model]) -> None:
        """Count what a call may cost in a part, or on demand with those of the models after it."""
        self.by_job[part] += bound(models[0], asked.request)
        self.on_demand[part] += sum(bound(model, asked.request, listed=True) for model in models)

    @property
    def most(self) -> float:
        """Return what is to come at most: of a part that is a job by it, of one that is none on demand."""
        jobs = {part.name for part in self.parts}
        return sum(usd if name in jobs else self.on_demand[name] for name, usd in self.by_job.items())
