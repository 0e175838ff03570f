"""The routes under /sandbox/ and /health: faults, quotas, the ledger, meters, who uses the sandbox, and how it is."""

import os
from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope

from workshop_lib.errors import WorkshopError
from workshop_lib.sandbox import asgi
from workshop_lib.sandbox.asgi import BadAddress
from workshop_lib.sandbox.faults import Fault, Faults
from workshop_lib.sandbox.leases import Leases, Owner
from workshop_lib.sandbox.ledger import Ledger
from workshop_lib.sandbox.meters import Meters
from workshop_lib.sandbox.quotas import Quota, Quotas
from workshop_lib.sandbox.wire import Reply

Entry = TypeVar("Entry", bound=BaseModel)


class Governed(Protocol):
    """The state that the admin routes show and change."""

    seed: int
    time_scale: float
    key: str
    faults: Faults
    quotas: Quotas
    ledger: Ledger
    batch_ledger: Ledger
    meters: Meters
    leases: Leases


class Rules(Protocol):
    """Faults or quotas: entries in force, which may have a scope."""

    def clear(self, scope: str | None = None) -> int:
        """End those of a scope, or all."""
        ...

    def describe(self, scope: str | None = None) -> list[dict[str, object]]:
        """Return those of a scope, or all."""
        ...


class Admin:
    """The admin routes of one sandbox."""

    def __init__(self, sandbox: Governed) -> None:
        self._sandbox = sandbox

    async def health(self, _scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /health."""
        here = self._sandbox
        return (
            200,
            {},
            {
                "status": "ok",
                "service": "cascade-workshop-sandbox",
                "seed": here.seed,
                "time_scale": here.time_scale,
                "key": here.key,
                "pid": os.getpid(),
            },
        )

    async def faults(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST, GET and DELETE /sandbox/faults."""
        return await _ruled(scope, receive, "faults", self._sandbox.faults, Fault, self._sandbox.faults.add)

    async def quotas(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST, GET and DELETE /sandbox/quotas."""
        return await _ruled(scope, receive, "quotas", self._sandbox.quotas, Quota, self._sandbox.quotas.add)

    async def ledger(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /sandbox/ledger."""
        return 200, {}, self._ledgers(_scope_named(scope))

    async def reset_ledger(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer POST /sandbox/ledger/reset."""
        if asgi.from_elsewhere(scope):
            return _FOREIGN
        named = _scope_named(scope)
        for ledger in (self._sandbox.ledger, self._sandbox.batch_ledger):
            ledger.reset(named)
        return 200, {}, self._ledgers(named)

    def _ledgers(self, named: str | None) -> dict[str, object]:
        """Return the sums of requests, and beside them those of batch records, at the batch price where there is one."""
        batch = self._sandbox.batch_ledger.summary(named)
        return {**self._sandbox.ledger.summary(named), "batch": {"total": batch["total"], "models": batch["models"]}}

    async def meter(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /sandbox/meter?name=."""
        found = parse_qs(scope["query_string"].decode("latin-1"))
        if list(found) != ["name"] or len(found["name"]) > 1:
            raise BadAddress("The address takes one parameter, name, once: the name that the client sends as x-workshop-meter.")
        return 200, {}, self._sandbox.meters.reading(found["name"][0])

    async def lease(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST /sandbox/lease: a process says that it uses this sandbox, which then lives as long as one of them does."""
        if asgi.from_elsewhere(scope):
            return _FOREIGN
        try:
            owner = Owner.model_validate_json(await asgi.body(scope, receive))
        except (ValidationError, asgi.BodyTooLarge):
            return asgi.bad('a lease is {"pid": ..., "started": ...}')
        if not self._sandbox.leases.add(owner):
            return asgi.bad("this sandbox is ending, or the process does not run where it does", 409)
        return 200, {}, {"leases": len(self._sandbox.leases)}


_FOREIGN = asgi.bad("This request comes from a page of another site; the sandbox takes orders from this machine only.", 403)


async def _ruled(
    scope: Scope, receive: Receive, name: str, rules: Rules, kind: type[Entry], add: Callable[[Entry], None]
) -> Reply:
    """Show, add or end entries; a wrong entry is told in one line."""
    named = _scope_named(scope)
    if scope["method"] in ("GET", "HEAD"):
        return 200, {}, {name: rules.describe(named)}
    if asgi.from_elsewhere(scope):
        return _FOREIGN
    if scope["method"] == "DELETE":
        return 200, {}, {"ended": rules.clear(named), name: rules.describe()}
    if named is not None:
        return asgi.bad("The scope is a member of the body; leave it out of the address.")
    try:
        add(kind.model_validate_json(await asgi.body(scope, receive)))
    except ValidationError as error:
        first = error.errors()[0]
        return asgi.bad(f"{'.'.join(str(part) for part in first['loc']) or name.removesuffix('s')}: {first['msg']}")
    except WorkshopError as error:
        return asgi.bad(str(error))
    except asgi.BodyTooLarge:
        return asgi.bad("The body is too large.", 413)
    return 200, {}, {name: rules.describe()}


def _scope_named(scope: Scope) -> str | None:
    """Return the scope that an address names, "" for what has none, or None; raise BadAddress for anything else."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    other = sorted(found.keys() - {"scope"})
    if other or len(found.get("scope", [])) > 1:
        raise BadAddress(f"The address takes one parameter, scope, once; it has {', '.join(other or ['scope'])}.")
    return found["scope"][0] if found else None
