"""A token bucket: what throttling by faults and by quotas is made of."""

from dataclasses import dataclass, field


@dataclass
class Bucket:
    """Holds at most `most`, refilled at `rate` per second, full at first; `now` is a clock's reading in seconds."""

    most: float
    rate: float
    filled_at: float
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.most

    def take(self, amount: float, now: float) -> float:
        """Take an amount and return 0.0; or take nothing, and return the seconds after which there is enough."""
        self._fill(now)
        if self.level >= amount:
            self.level -= amount
            return 0.0
        return (amount - self.level) / self.rate

    def give(self, amount: float, now: float) -> None:
        """Give back an amount, or take it (negative) even if the level falls below nothing."""
        self._fill(now)
        self.level = min(self.most, self.level + amount)

    def _fill(self, now: float) -> None:
        self.level = min(self.most, self.level + (now - self.filled_at) * self.rate)
        self.filled_at = now
