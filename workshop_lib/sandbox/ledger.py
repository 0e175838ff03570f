"""The ledger: what was asked, answered, refused and charged, by model, by scope and by tag."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from workshop_lib.catalog import Model

Outcome = Literal["ok", "throttled", "errors", "aborted"]
_SCOPES = 1000
_TAGS = 1000
_CALLS = 10_000


@dataclass
class Account:
    """Sums over requests: `attempts` is `ok` plus `throttled` plus `errors` plus `aborted` (the client went away, or was cut off).

    `calls` counts the attempts of one invocation id once. Tokens, cached tokens and USD are of the answered ones; `sources` says how
    many of those came from whom.
    """

    calls: int = 0
    ok: int = 0
    throttled: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    attempts: int = 0
    aborted: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    sources: dict[str, int] = field(default_factory=dict)

    def add(self, more: "Account") -> None:
        """Add the sums of another account."""
        self.calls += more.calls
        self.ok += more.ok
        self.throttled += more.throttled
        self.errors += more.errors
        self.input_tokens += more.input_tokens
        self.output_tokens += more.output_tokens
        self.usd += more.usd
        self.attempts += more.attempts
        self.aborted += more.aborted
        self.cache_read_tokens += more.cache_read_tokens
        self.cache_write_tokens += more.cache_write_tokens
        for source, count in more.sources.items():
            self.sources[source] = self.sources.get(source, 0) + count


class Ledger:
    """Counts per scope ("" for requests without one) and model id, and per scope and tag of the request's metadata."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}
        self._tags: dict[tuple[str, str], Account] = {}
        self._calls: dict[tuple[str, str, str], None] = {}

    def record(
        self,
        model: Model,
        scope: str | None,
        outcome: Outcome,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        cache_read: int = 0,
        cache_write: int = 0,
        source: str = "stand-in",
        tags: Mapping[str, str] | None = None,
        invocation: str | None = None,
        attempt: int = 1,
    ) -> float:
        """Count one request and return its cost in USD; past a thousand accounts a new scope is counted without its name, and a new tag not at all: memory is bounded."""
        one = Account(attempts=1, calls=int(self._is_new(scope or "", model, invocation, attempt)))
        setattr(one, outcome, 1)
        if outcome == "ok":
            one.sources[source] = 1
        one.input_tokens, one.output_tokens = input_tokens, output_tokens
        one.cache_read_tokens, one.cache_write_tokens = cache_read, cache_write
        one.usd = model.price.usd(input_tokens, output_tokens, cache_read, cache_write)
        _account(self._accounts, (scope or "", model.id), ("", model.id), _SCOPES).add(one)
        for name, value in (tags or {}).items():
            where = (scope or "", f"{name}={value}")
            if where in self._tags or len(self._tags) < _TAGS:
                self._tags.setdefault(where, Account()).add(one)
        return one.usd

    def summary(self, scope: str | None = None) -> dict[str, object]:
        """Return the sums in total, by model id and by tag, of one scope or of all."""
        models, tags = _merged(self._accounts, scope), _merged(self._tags, scope)
        total = Account()
        for account in models.values():
            total.add(account)
        return {
            "scope": scope,
            "total": asdict(total),
            "models": {model_id: asdict(account) for model_id, account in models.items()},
            "tags": {tag: asdict(account) for tag, account in tags.items()},
        }

    def reset(self, scope: str | None = None) -> None:
        """Forget one scope, or everything."""
        self._accounts = _without(self._accounts, scope)
        self._tags = _without(self._tags, scope)
        self._calls = {key: None for key in self._calls if scope is not None and key[0] != scope}

    def _is_new(self, scope: str, model: Model, invocation: str | None, attempt: int) -> bool:
        """Say whether an attempt is the first of its call; retries come soon, so the newest ten thousand calls are enough to know."""
        if invocation is None:
            return attempt == 1
        key = (scope, model.id, invocation)
        if key in self._calls:
            return False
        if len(self._calls) >= _CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[key] = None
        return True


def _account(accounts: dict[tuple[str, str], Account], where: tuple[str, str], otherwise: tuple[str, str], most: int) -> Account:
    if where not in accounts and len(accounts) >= most:
        where = otherwise
    return accounts.setdefault(where, Account())


def _merged(accounts: Mapping[tuple[str, str], Account], scope: str | None) -> dict[str, Account]:
    found: dict[str, Account] = {}
    for (where, name), account in sorted(accounts.items(), key=lambda item: item[0]):
        if scope is None or where == scope:
            found.setdefault(name, Account()).add(account)
    return found


def _without(accounts: dict[tuple[str, str], Account], scope: str | None) -> dict[tuple[str, str], Account]:
    return {key: account for key, account in accounts.items() if scope is not None and key[0] != scope}
