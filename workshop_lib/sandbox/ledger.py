"""The ledger: what was asked, answered, refused and charged, by model and by scope."""

from dataclasses import asdict, dataclass
from typing import Literal

from workshop_lib.catalog import Model

Outcome = Literal["ok", "throttled", "errors"]
_SCOPES = 1000


@dataclass
class Account:
    """Sums over requests: `calls` is `ok` plus `throttled` plus `errors`; tokens and USD are of the answered ones."""

    calls: int = 0
    ok: int = 0
    throttled: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0


class Ledger:
    """Counts per scope ("" for requests without one) and model id."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}

    def record(self, model: Model, scope: str | None, outcome: Outcome, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """Count one request; past a thousand accounts a new scope is counted without its name, so that memory stays bounded."""
        where = (scope or "", model.id)
        if where not in self._accounts and len(self._accounts) >= _SCOPES:
            where = ("", model.id)
        account = self._accounts.setdefault(where, Account())
        account.calls += 1
        setattr(account, outcome, getattr(account, outcome) + 1)
        account.input_tokens += input_tokens
        account.output_tokens += output_tokens
        account.usd += model.price.usd(input_tokens, output_tokens)

    def summary(self, scope: str | None = None) -> dict[str, object]:
        """Return the sums by model id and in total, of one scope or of all."""
        models: dict[str, Account] = {}
        for (where, model_id), account in sorted(self._accounts.items()):
            if scope is None or where == scope:
                _add(models.setdefault(model_id, Account()), account)
        total = Account()
        for account in models.values():
            _add(total, account)
        return {
            "scope": scope,
            "total": asdict(total),
            "models": {model_id: asdict(account) for model_id, account in models.items()},
        }

    def reset(self, scope: str | None = None) -> None:
        """Forget one scope, or everything."""
        self._accounts = {key: account for key, account in self._accounts.items() if scope is not None and key[0] != scope}


def _add(to: Account, more: Account) -> None:
    to.calls += more.calls
    to.ok += more.ok
    to.throttled += more.throttled
    to.errors += more.errors
    to.input_tokens += more.input_tokens
    to.output_tokens += more.output_tokens
    to.usd += more.usd
