"""The labelled run: every model and the judge asked about every ticket once, planned and priced before, stored, and resumed where it stopped."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from workshop_lib import catalog
from workshop_lib.evaluation.arms import NOTHING_REACHED
from workshop_lib.evaluation.cache import ReplyCache, request_hash
from workshop_lib.evaluation.reply_file import Key
from workshop_lib.llm import CallError, Reply, Request
from workshop_lib.llm.tokens import input_tokens, output_tokens
from workshop_lib.tasks import TRIAGE, Ticket


@dataclass(frozen=True)
class Work:
    """One model and the tickets it is to be asked about."""

    model: str
    tickets: tuple[Ticket, ...]


@dataclass(frozen=True)
class Estimate:
    """What one model's missing calls come to: tokens and USD as expected, and USD if every reply used all tokens it may."""

    model: str
    held: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float
    usd_at_most: float
    basis: str


@dataclass(frozen=True)
class Labelled:
    """What a labelled run brought: calls made, and the failures by model id and request hash. It is complete without failures."""

    calls: int
    failed: Mapping[Key, CallError]


class Stopped(KeyboardInterrupt):
    """The user stopped a labelled run; what had been answered is stored."""


def work(models: Iterable[str], *splits: Sequence[Ticket]) -> list[Work]:
    """Return the work of asking each model about the tickets of all splits."""
    tickets = tuple(ticket for split in splits for ticket in split)
    return [Work(catalog.model(model).key, tickets) for model in models]


def estimate(cache: ReplyCache, todo: Iterable[Work]) -> list[Estimate]:
    """Return what each model's missing calls would cost at catalogue prices, without making one.

    Tokens come from the replies of that model that the cache already holds, else from the length of the prompts. Retries that are billed come on top.
    """
    rows = []
    for one in todo:
        model = catalog.model(one.model)
        requests = [TRIAGE.request(ticket) for ticket in one.tickets]
        missing = [request for request in requests if not cache.holds(model.key, request)]
        usages = [reply.usage for reply in cache.replies_of(model.key) if reply.usage is not None]
        if usages:
            tokens_in = len(missing) * sum(usage.input_tokens for usage in usages) / len(usages)
            tokens_out = len(missing) * sum(usage.output_tokens for usage in usages) / len(usages)
            basis = f"{len(usages)} replies"
        else:
            tokens_in = sum(input_tokens(model, request) for request in missing)
            tokens_out = float(sum(map(output_tokens, missing)))
            basis = "length of the prompts"
        whole_in, whole_out, most = math.ceil(tokens_in), math.ceil(tokens_out), sum(request.max_tokens for request in missing)
        usd, usd_most = model.price.usd(whole_in, whole_out), model.price.usd(whole_in, max(most, whole_out))
        rows.append(Estimate(model.key, len(requests) - len(missing), len(missing), whole_in, whole_out, usd, usd_most, basis))
    return rows


def label(cache: ReplyCache, todo: Sequence[Work], concurrency: int = 8, done: Callable[[str], None] = lambda model: None) -> Labelled:
    """Ask every model about its tickets, `concurrency` at a time, and store the replies; what the cache holds is not asked again.

    `done(model)` is called after each reply or failure, held ones included. A call that fails is not stored and does not end the run, unless no model
    can be reached that way (no access, no such model, nothing answers): then the CallError is raised. Only a run without failures is marked finished.
    Ctrl-C waits for the calls under way, which are paid for, stores them and raises Stopped.
    """
    failed: dict[Key, CallError] = {}
    before = cache.calls
    pending: dict[Future[Reply], tuple[str, Key]] = {}
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="label") as pool:
        try:
            for model, request in _requests(todo):
                key = (catalog.model(model).id, request_hash(request))
                pending[pool.submit(cache, model, request)] = (model, key)
                if len(pending) >= 2 * concurrency:
                    _settle(pending, failed, done)
            while pending:
                _settle(pending, failed, done)
        except KeyboardInterrupt as interrupt:
            raise Stopped from interrupt
        finally:
            for future in pending:
                future.cancel()
    if not failed:
        cache.finish()
    return Labelled(cache.calls - before, failed)


def _requests(todo: Iterable[Work]) -> Iterator[tuple[str, Request]]:
    for one in todo:
        for ticket in one.tickets:
            yield one.model, TRIAGE.request(ticket)


def _settle(pending: "dict[Future[Reply], tuple[str, Key]]", failed: dict[Key, CallError], done: Callable[[str], None]) -> None:
    """Wait until a call is over and account for all that are."""
    over, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in over:
        model, key = pending.pop(future)
        try:
            future.result()
        except CallError as error:
            if error.kind in NOTHING_REACHED:
                raise
            failed[key] = error
        done(model)
