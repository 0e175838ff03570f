"""Time of the evaluation's statistics on this machine: `.venv/bin/python benchmarks/evaluation.py`.

Two bars. (a) All arms, metrics and 5,000-draw bootstraps by family for 150 items in under 5 s, once as `run_bakeoff` on the recorded replies with
an interval for every figure, once as every metric there is on 8 synthetic arms. (b) Threshold sweep, guaranteed and
cheapest threshold and bootstraps at 1,000, 10,000 and 100,000 recorded rows: each step of ten takes about ten times as long, a little more where
rows are sorted, less where fixed costs dominate. Rows are synthetic; no model is called. Each figure is processor time, the lowest of three runs or more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from workshop_lib.evaluation import (
    calibration,
    family_intervals,
    judging,
    metrics,
    routing_metrics,
    run_bakeoff,
    thresholds,
    uncertainty,
)
from workshop_lib.evaluation.recorded import recorded_ask, recorded_labels
from workshop_lib.evaluation.sweeps import sweep
from workshop_lib.llm import Reply, Request

RUNS = 3
AT_LEAST_SECONDS = 0.5  # quick work is repeated for so long, or other work on the machine decides what is measured
DRAWS = 5_000
BAR_SECONDS = 5.0
SIZES = (1_000, 10_000, 100_000)
GROWTH = 15.0  # ten for ten times the rows; sorting makes it 12.5, and 100,000 rows no longer fit the cache. A square would make 100


@dataclass(frozen=True)
class Rows:
    """Synthetic recorded rows of one model or policy: confidence, right or wrong, USD and ms; ten items a family fail together."""

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    usd: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    urgent: NDArray[np.bool_]
    families: list[int]


def rows(n: int, accuracy: float, seed: int) -> Rows:
    """Return n rows whose confidence says a little about whether they are right."""
    generator = np.random.default_rng(seed)
    families = np.arange(n) // 10
    hard = generator.random(families[-1] + 1)[families]
    right = generator.random(n) < accuracy + 0.3 * (0.5 - hard)
    confidence = np.clip(np.round(0.75 + 0.2 * generator.random(n) + 0.04 * right, 3), 0, 1)
    return Rows(confidence, right, generator.gamma(2.0, 1e-4, n), generator.gamma(4.0, 200.0, n), generator.random(n) < 0.15, families.tolist())


def all_metrics(arms: list[Rows]) -> None:
    """Compute everything a report on these arms shows, each interval from its own bootstrap."""
    cheap, strong = arms[0], arms[-1]
    families = cheap.families
    for arm in arms:
        metrics.wilson(int(arm.right.sum()), len(arm.right))
        for q in (50, 95):
            metrics.percentile_nearest_rank(arm.latency_ms, q)
        metrics.auroc(arm.confidence, arm.right)
        calibration.brier_parts(arm.confidence, arm.right)
        calibration.adaptive_ece(arm.confidence, arm.right)
        calibration.ece_interval(arm.confidence, arm.right, families, draws=DRAWS)
        calibration.ece_if_calibrated(arm.confidence)
        routing_metrics.risk_coverage(arm.confidence, arm.right)
        for values in (arm.right, arm.usd):
            uncertainty.bootstrap_mean(values, families, draws=DRAWS)
        uncertainty.bootstrap_ratio(arm.urgent & arm.right, arm.urgent, families, draws=DRAWS)
        uncertainty.bootstrap_ratio(arm.usd, strong.usd, families, draws=DRAWS)
        uncertainty.non_inferiority(arm.right, strong.right, families, margin=0.02, draws=DRAWS)
        curve = routing_metrics.deferral_curve(arm.confidence, arm.right, strong.right)
        routing_metrics.apgr(curve)
        for target in (0.2, 0.5, 0.8):
            routing_metrics.cpt(curve, target)
        routing_metrics.quadrants(cheap.right, arm.right)
        thresholds.guaranteed_threshold(arm.confidence, arm.right, epsilon=0.1, families=families)
        thresholds.cheapest_threshold(arm.confidence, arm.usd + ~arm.right, arm.usd + strong.usd + ~strong.right, families, draws=DRAWS)
        judging.judge_error_simulation(arm.right, strong.right)
    routing_metrics.aiq([arm.usd.mean() for arm in arms], [arm.right.mean() for arm in arms])
    p_values = []
    for one, other in combinations(arms, 2):
        uncertainty.bootstrap_paired(one.right, other.right, families, draws=DRAWS)
        p_values.append(metrics.mcnemar_exact(int((one.right & ~other.right).sum()), int((~one.right & other.right).sum())))
    uncertainty.holm(p_values)


def replay(model: str, request: Request) -> Reply:
    """Answer as recorded; the middle tier and the judge, which were not recorded, as the strong model."""
    return recorded_ask(model if model == "nano" else "sonnet", request)


def whole_bakeoff() -> None:
    """Walk, grade, compare and resample all arms of three tiers but those that are fitted on other tickets."""
    bake = run_bakeoff(replay, replay, recorded_labels(), draws=DRAWS, every=True)
    family_intervals(bake.arms, draws=DRAWS)


def main() -> None:
    """Print both bars beside what was measured."""
    took = seconds(whole_bakeoff)
    print(f"run_bakeoff, all arms, metrics and {DRAWS}-draw bootstraps, 150 recorded items: {took:.2f} s (bar: under {BAR_SECONDS:g} s) {verdict(took < BAR_SECONDS)}")
    arms = [rows(150, accuracy, seed) for seed, accuracy in enumerate(np.linspace(0.7, 0.9, 8))]
    print("source: synthetic rows, this machine, processor time, lowest of three runs or more")
    took = seconds(lambda: all_metrics(arms))
    print(f"all metrics and {DRAWS}-draw bootstraps, 150 items, 8 arms: {took:.2f} s (bar: under {BAR_SECONDS:g} s) {verdict(took < BAR_SECONDS)}")
    print(f"{'':44}" + "".join(f"{size:>12} rows" for size in SIZES) + f"   growth a step (bar: {GROWTH:g})")
    pairs = [(rows(size, 0.75, 1), rows(size, 0.9, 2)) for size in SIZES]
    for name, work in JOBS.items():
        times = [seconds(lambda work=work, pair=pair: work(*pair)) for pair in pairs]
        steps = [later / earlier for earlier, later in pairwise(times)]
        figures = "".join(f"{1000 * took:>14.2f} ms" for took in times)
        print(f"{name:44}{figures}   {', '.join(f'{step:.1f}' for step in steps)} {verdict(max(steps) <= GROWTH)}")


def sweep_job(cheap: Rows, strong: Rows) -> None:
    """Sweep accuracy and USD over the thresholds."""
    sweep(cheap.confidence, [cheap.right, cheap.usd], [strong.right, cheap.usd + strong.usd])


def guarantee_job(cheap: Rows, _: Rows) -> None:
    """Find the guaranteed threshold."""
    thresholds.guaranteed_threshold(cheap.confidence, cheap.right, epsilon=0.1)


def choice_job(cheap: Rows, strong: Rows) -> None:
    """Find the cheapest threshold and resample the choice."""
    thresholds.cheapest_threshold(cheap.confidence, cheap.usd + ~cheap.right, cheap.usd + strong.usd + ~strong.right, cheap.families, draws=DRAWS)


def bootstrap_job(cheap: Rows, strong: Rows) -> None:
    """Resample the difference of two arms by family."""
    uncertainty.bootstrap_paired(cheap.right, strong.right, cheap.families, draws=DRAWS)


def curve_job(cheap: Rows, strong: Rows) -> None:
    """Draw the deferral and the risk-coverage curve."""
    routing_metrics.apgr(routing_metrics.deferral_curve(cheap.confidence, cheap.right, strong.right))
    routing_metrics.risk_coverage(cheap.confidence, cheap.right)


JOBS: dict[str, Callable[[Rows, Rows], None]] = {
    "threshold sweep": sweep_job,
    "guaranteed threshold": guarantee_job,
    "deferral and risk-coverage curves": curve_job,
    f"paired bootstrap by family, {DRAWS} draws": bootstrap_job,
    f"cheapest threshold, {DRAWS} draws": choice_job,
}


def seconds(work: Callable[[], None]) -> float:
    """Return the shortest of several runs in seconds of processor time, which other work on the machine disturbs least."""
    times: list[float] = []
    while len(times) < RUNS or sum(times) < AT_LEAST_SECONDS:
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def verdict(met: bool) -> str:
    """Return the word beside a bar."""
    return "met" if met else "NOT MET"


if __name__ == "__main__":
    main()
