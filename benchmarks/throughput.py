"""Calls per second through the sandbox and the library, on this machine: `make bench`.

The client and the server share the machine, so read the ratios, not the absolute figures. Modelled latency is off (time scale 0); what
is measured is software. Each figure is the median of five runs, with the lowest and the highest beside it.
"""

import statistics
import time
from collections.abc import Callable

from workshop_lib import catalog
from workshop_lib.backend import open_backend
from workshop_lib.bulk.runner import run
from workshop_lib.bulk.synthetic import tickets
from workshop_lib.cascade import single, walk
from workshop_lib.llm import Gateway, bedrock
from workshop_lib.llm.bedrock import converse_arguments
from workshop_lib.tasks import TRIAGE

RUNS = 5
N = 200


def main() -> None:
    """Print calls per second for the bare client, the gateway and the bulk runner."""
    settings = open_backend(time_scale=0.0)
    items = list(tickets(N, seed=1))
    client = bedrock.client(settings)
    nano = catalog.model("nano")
    ask = Gateway(settings)
    policy = single("nano")

    def bare() -> None:
        for item in items:
            client.converse(**converse_arguments(nano, TRIAGE.request(item)))

    def walked() -> None:
        for item in items:
            walk(TRIAGE, item, policy, ask)

    def bulk() -> None:
        for done in run(items, lambda item: walk(TRIAGE, item, policy, ask), concurrency=16):
            assert done.error is None, done.error

    print(f"source: sandbox, {N} tickets a run, median of {RUNS} (lowest to highest), calls per second")
    for name, work in (("bare boto3 client, one thread", bare), ("cascade engine, one thread", walked), ("bulk runner, 16 threads", bulk)):
        rates = measure(work)
        print(f"{name:32} {statistics.median(rates):7.0f} ({min(rates):.0f} to {max(rates):.0f})")


def measure(work: Callable[[], None]) -> list[float]:
    """Return calls per second of each run, after one that is not counted."""
    work()
    rates = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        rates.append(N / (time.perf_counter() - started))
    return rates


if __name__ == "__main__":
    main()
