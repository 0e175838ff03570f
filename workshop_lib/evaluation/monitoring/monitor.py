"""The monitor: takes traces, looks and overrides one by one in constant memory, and says what is out of the ordinary."""

import threading
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from workshop_lib.cascade import Trace
from workshop_lib.evaluation.metrics import Interval, wilson
from workshop_lib.evaluation.monitoring.cusum import Cusum, Design
from workshop_lib.evaluation.monitoring.drift import BANDS, Drift
from workshop_lib.evaluation.monitoring.reference import ESCALATION, Reference
from workshop_lib.evaluation.monitoring.shadow import Look

DISAGREEMENT, OVERRIDES = "shadow disagreement", "human overrides"


@dataclass(frozen=True)
class Alarm:
    """One signal out of the ordinary: `value` exceeds `threshold`.

    For a drift `value` is the stability index of the last full window of `n` items and `interval` its interval; `since` numbers the first item of the
    first window in alarm. For a rate `value` is the cumulative sum, `interval` that of the rate over the `n` observations made after number `since`.
    """

    signal: str
    value: float
    threshold: float
    interval: Interval
    n: int
    since: int
    sentence: str


class Monitor:
    """Watches a cascade against a reference window.

    Drift is judged once every `window` items: with nothing changed, a window raises any drift alarm with probability `alpha` at most (approximately), and a
    lasting change is inside one whole window after 2 `window` - 1 items at the latest. Disagreement of the shadow and overrides by people, if a `Design` is
    given for them, are summed item by item and stay in alarm until `acknowledge`. Memory does not grow with the stream. Threads may share it.
    """

    def __init__(
        self,
        reference: Reference,
        window: int = 500,
        *,
        alpha: float = 0.01,
        band: float = BANDS[0],
        disagreement: Design | None = None,
        overrides: Design | None = None,
    ) -> None:
        if window < 1:
            raise ValueError(f"window counts items and is at least 1, got {window}")
        if not 0 < alpha < 1:
            raise ValueError(f"alpha is a probability between 0 and 1, got {alpha}")
        self.reference, self.window, self.alpha, self.band = reference, window, alpha, band
        self.items = 0
        self._counts, self._in_window = reference.zeros(), 0
        self._last: list[Drift] = []
        self._since: dict[str, int] = {}
        self._sums = {name: Cusum(setting) for name, setting in ((DISAGREEMENT, disagreement), (OVERRIDES, overrides)) if setting is not None}
        self._lock = threading.RLock()

    def observe(self, trace: Trace[Any]) -> None:
        """Take one finished walk."""
        first = trace.steps[0].answer if trace.steps else None
        confidence = 0.0 if first is None else float(getattr(first, "confidence", 0.0))
        self.observe_item(getattr(trace.answer, "category", None), confidence, trace.escalated)

    def observe_item(self, category: str | None, confidence: float, escalated: bool) -> None:
        """Take one item by what the monitor looks at: the final category, the first tier's confidence, and whether it escalated."""
        with self._lock:
            self.items += 1
            self._in_window += 1
            self.reference.add(self._counts, category, confidence, escalated)
            if self._in_window == self.window:
                self._close()

    def observe_frame(self, frame: pd.DataFrame) -> None:
        """Take the items of an arm's frame in its order, and its column `overridden` where a person looked."""
        categories = frame["category"] if "category" in frame else [None] * len(frame)
        looked = frame["overridden"] if "overridden" in frame else [None] * len(frame)
        for category, confidence, escalated, overridden in zip(categories, frame["confidence"], frame["escalated"], looked, strict=True):
            self.observe_item(category, float(confidence), bool(escalated))
            if OVERRIDES in self._sums and not pd.isna(overridden):
                self.observe_override(bool(overridden))

    def observe_look(self, look: Look | None) -> None:
        """Take what the shadow saw; nothing if it did not look or gave no valid answer."""
        if look is not None and look.agrees is not None:
            self._add(DISAGREEMENT, not look.agrees)

    def observe_override(self, overridden: bool) -> None:
        """Take whether a person who looked at an answer changed it."""
        self._add(OVERRIDES, overridden)

    def acknowledge(self, signal: str) -> None:
        """Begin a rate's sum again, once somebody has dealt with its alarm; raise ValueError for a signal that is not summed."""
        with self._lock:
            self._sum(signal).restart()

    def alarms(self) -> list[Alarm]:
        """Return what is out of the ordinary now: drifts of the last full window, and rates whose sum has crossed its threshold."""
        with self._lock:
            drifts = [self._drift_alarm(one) for one in self._last if one.alarm]
            return drifts + [self._rate_alarm(name, running) for name, running in self._sums.items() if running.alarm]

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain numbers and texts that JSON can hold."""
        with self._lock:
            rates = {
                name: {"observations": one.seen, "rate": one.bad / one.seen if one.seen else None, "sum": one.value, "threshold": one.setting.h, "alarm": one.alarm}
                for name, one in self._sums.items()
            }
            return {
                "items": self.items,
                "window": self.window,
                "in_window": self._in_window,
                "reference_items": self.reference.n,
                "drift": {one.signal: asdict(one) | {"interval": list(one.interval), "alarm": one.alarm} for one in self._last},
                "rates": rates,
                "alarms": [asdict(alarm) | {"interval": list(alarm.interval)} for alarm in self.alarms()],
            }

    def _add(self, signal: str, bad: bool) -> None:
        with self._lock:
            self._sum(signal).add(bad)

    def _sum(self, signal: str) -> Cusum:
        if signal not in self._sums:
            raise ValueError(f"no {signal} is watched; give the monitor a Design for it (watched rates: {', '.join(self._sums) or 'none'})")
        return self._sums[signal]

    def _close(self) -> None:
        self._last = self.reference.drifts(self._counts, self.alpha, self.band)
        first = self.items - self.window + 1
        self._since = {one.signal: self._since.get(one.signal, first) for one in self._last if one.alarm}
        self._counts, self._in_window = self.reference.zeros(), 0

    def _drift_alarm(self, one: Drift) -> Alarm:
        since = self._since[one.signal]
        low, high = one.interval
        what = f"the share of {one.moved!r} went from {one.before:.3f} to {one.after:.3f}"
        if one.signal == ESCALATION:
            escalated = round(one.after * one.n) if one.moved == "escalated" else one.n - round(one.after * one.n)
            before = one.before if one.moved == "escalated" else 1 - one.before
            spread = wilson(escalated, one.n)
            what = f"it went from {before:.3f} to {escalated / one.n:.3f} (95 % from {spread.low:.3f} to {spread.high:.3f})"
        sentence = (
            f"The {one.signal} has drifted from the reference: stability index {one.psi:.3f} (95 % from {low:.3f} to {high:.3f}) over the last {one.n} items, "
            f"alarm above {one.threshold:.3f}; {what}; in alarm since item {since}."
        )
        return Alarm(one.signal, one.psi, one.threshold, one.interval, one.n, since, sentence)

    def _rate_alarm(self, name: str, running: Cusum) -> Alarm:
        low, high = running.interval
        sentence = (
            f"The rate of {name} has risen above the reference's {running.setting.rate:.3f}: {running.bad_since} of the {running.n} observations after number {running.since} "
            f"({running.bad_since / running.n:.3f}, 95 % from {low:.3f} to {high:.3f}); the sum reached {running.value:.2f}, threshold {running.setting.h:.2f}."
        )
        return Alarm(name, running.value, running.setting.h, running.interval, running.n, running.since, sentence)
