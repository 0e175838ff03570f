"""CPU time the cascade engine adds to a bare call: `.venv/bin/python benchmarks/engine.py`.

No server and no network: the `Ask` returns a ready reply, so that what is measured is the engine. `bare` builds the request, calls and reads
the answer, as anybody must; `walk` does the same through the engine. Each figure is the median of the runs, with the lowest and the highest.
"""

import statistics
import time
from collections.abc import Callable, Mapping

from workshop_lib.cascade import ConfidenceGate, HeuristicRouter, JudgeGate, Policy, StakesGate, Trouble, documented, single, walk
from workshop_lib.llm import Cost, Reply, Request, Usage
from workshop_lib.tasks import TRIAGE, Ticket

RUNS = 9
N = 2000
BAR_MS = 0.3
TICKET = Ticket(id="T-1", subject="Two invoices", body="We were charged twice for March. Please refund one of the two payments. " * 5)


def reply(model: str, fields: Mapping[str, object]) -> Reply:
    """Return a ready reply."""
    return Reply(model, "", fields, Usage(400, 60), Cost(0.0001), 500.0, "tool_use")


SAID = {"category": "billing", "priority": "P2", "confidence": 0.9, "reasoning": "Charged twice.", "needs_human": False, "score": 5}
READY = {model: reply(model, SAID) for model in ("nano", "super", "sonnet", "opus")}
UNSURE = {**READY, "nano": reply("nano", {**SAID, "confidence": 0.1})}


def ask(model: str, request: Request) -> Reply:
    """Answer surely and at once."""
    return READY[model]


def unsure(model: str, request: Request) -> Reply:
    """Answer at once, the first tier without confidence."""
    return UNSURE[model]


def bare(models: tuple[str, ...]) -> None:
    """Ask as a plain script would."""
    request = TRIAGE.request(TICKET)
    for model in models:
        TRIAGE.parse(TICKET, ask(model, request))


def cpu_ms(work: Callable[[], object]) -> list[float]:
    """Return the CPU milliseconds of one piece of work, one figure a run, after a run that is not counted."""
    found = []
    for run in range(RUNS + 1):
        started = time.process_time()
        for _ in range(N):
            work()
        if run:
            found.append((time.process_time() - started) * 1000 / N)
    return found


def main() -> None:
    """Print what the engine adds per call, beside the bar."""
    full = Policy(
        name="everything", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=0.7, per_model={"nano": 0.6}), StakesGate(), JudgeGate(model="opus")),
        router=HeuristicRouter(start="sonnet", longer_than=5000, keywords=("outage", "breach"), code=True), trouble=Trouble(deadline_s=60, budget_usd=1),
    )  # fmt: skip
    cases: list[tuple[str, int, Callable[[], object], Callable[[], object]]] = [
        ("one tier, no gate", 1, lambda: bare(("nano",)), lambda: walk(TRIAGE, TICKET, ALONE, ask)),
        ("two tiers, kept", 1, lambda: bare(("nano",)), lambda: walk(TRIAGE, TICKET, DOCUMENTED, ask)),
        ("two tiers, escalated", 2, lambda: bare(("nano", "sonnet")), lambda: walk(TRIAGE, TICKET, DOCUMENTED, unsure)),
        ("router, judge, limits", 2, lambda: bare(("nano", "opus")), lambda: walk(TRIAGE, TICKET, full, ask)),
    ]
    print(f"CPU ms a call, {N} items a run, median of {RUNS} runs (lowest to highest); bar: the engine adds less than {BAR_MS} ms")
    for name, calls, plain, walked in cases:
        base, engine = cpu_ms(plain), cpu_ms(walked)
        added = (statistics.median(engine) - statistics.median(base)) / calls
        spread = f"{min(engine) / calls:.3f} to {max(engine) / calls:.3f}"
        verdict = "met" if added < BAR_MS else "MISSED"
        print(f"{name:22} bare {statistics.median(base) / calls:.3f}  walk {statistics.median(engine) / calls:.3f} ({spread})  added {added:.3f}  bar {BAR_MS} {verdict}")


ALONE = single("nano")
DOCUMENTED = documented()

if __name__ == "__main__":
    main()
