"""What one process of the service takes on; beyond it a request is refused before any call."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """At most so many tickets and body bytes a request, requests and model calls at work at once, and tickets of one request at once.

    A client that reads nothing for `send_s` seconds is taken for gone. Raises ValueError for a limit that is not positive.
    """

    tickets: int = 1000
    body_bytes: int = 8 * 1024 * 1024
    requests: int = 32
    calls: int = 64
    workers: int = 8
    send_s: float = 60.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise ValueError(f"the limit {limit.name} must be positive, got {getattr(self, limit.name)}")
