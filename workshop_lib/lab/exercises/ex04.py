"""Exercises of lab 04: many at once, what to retry, how long to wait, rows, what a run needs, the books, stopping in time."""

import asyncio
import inspect
import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from typing import Any

from workshop_lib.lab.checking import NotAttempted, NotYet, calling, close, number, one_line, shown
from workshop_lib.lab.exercise import Exercise, Wrong

Work = Callable[[Any], Any]
Finished = tuple[Any, Any, Any]

_PATIENCE_S = 2.0  # waited only where an answer is wrong: a right one sets the event at once

# Exercise 1


def in_parallel(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    """Yield (item, result, error) for every item as it finishes, with at most `concurrency` in work at once."""
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        waiting = {pool.submit(work, item): item for item in items}
        for future in as_completed(waiting):
            error = future.exception()
            yield waiting[future], None if error else future.result(), error


def _check_in_parallel(answer: Any) -> str | None:
    if inspect.iscoroutinefunction(answer) or inspect.isasyncgenfunction(answer):
        return "it is written with async, but boto3 blocks and this lab loops over the results with a plain `for`: use threads"
    return _all_there(answer) or _bad_item_kept(answer) or _bounded(answer) or _as_they_finish(answer)


def _results(answer: Any, items: Sequence[Any], work: Work, concurrency: int) -> list[Any]:
    """Return what an answer yields for these items, as a list."""
    got = calling(answer, list(items), work, concurrency)
    if isinstance(got, tuple) and len(got) == 3 and not isinstance(got[0], tuple):
        raise NotYet("it returned one tuple; `return` ends the function at the first item, so `yield` each tuple instead")
    if isinstance(got, str | bytes | Mapping) or not isinstance(got, Iterable):
        raise NotYet(f"it returned {shown(got, 40)}; yield a tuple (item, result, error) for each item")
    return list(got)


def _all_there(answer: Any) -> str | None:
    got = _results(answer, ["a", "b", "c"], str.upper, 2)
    strange = next((entry for entry in got if not isinstance(entry, tuple | list) or len(entry) != 3), None)
    if strange is not None:
        return f"it yielded {shown(strange, 40)}; yield three things for each item: the item, its result, its error or None"
    found = sorted(tuple(entry) for entry in got if isinstance(entry[0], str) and entry[0] in "abc")
    if found == [("a", "A", None), ("b", "B", None), ("c", "C", None)]:
        return None
    if len(got) != 3:
        return f"3 items went in and {len(got)} came out"
    if any(isinstance(entry[0], Future) for entry in got):
        return "the first of the three is a future and not the item; keep a dictionary from each future to its item"
    if any(callable(entry[1]) for entry in got):
        return "the result is the method itself; call it, future.result()"
    raised = next((part for entry in got for part in entry if isinstance(part, BaseException)), None)
    if raised is not None:
        return f"work succeeds on these items, but it came out with {one_line(raised)}; hand over function and item apart, submit(work, item) and not submit(work(item))"
    if any(isinstance(entry[0], str) and isinstance(entry[1], str) and entry[1] != entry[0].upper() for entry in got):
        return (
            "an item came out with another one's result; they finish in any order, so look up the item of each future, "
            "and hand it over as submit(work, item), not in a lambda"
        )
    return f"for the items a, b and c, each put in capitals, it yielded {shown(got, 80)}; the order in a tuple is item, result, error"


def _bad_item_kept(answer: Any) -> str | None:
    def work(item: str) -> str:
        if item == "b":
            raise ValueError("this item is refused")
        return item.upper()

    try:
        got = _results(answer, ["a", "b", "c", "d"], work, 2)
    except NotYet as error:
        return (
            f"one item raised and the whole run ended ({error}); an item's error is that item's result, so catch it and yield it"
        )
    by_item = {entry[0]: entry for entry in got if isinstance(entry, tuple | list) and len(entry) == 3}
    if "b" not in by_item:
        return "an item that raised is missing from the results; yield (item, None, error), or nobody knows that it failed"
    if not isinstance(by_item["b"][2], ValueError) or by_item["b"][1] is not None:
        return f"an item that raised came out as {shown(tuple(by_item['b']), 60)}; yield (item, None, error) with the exception itself"
    if set(by_item) != {"a", "c", "d", "b"}:
        return "after an item that raised, others are missing; one bad item costs only itself"
    return None


def _bounded(answer: Any) -> str | None:
    limit, lock, enough = 3, threading.Lock(), threading.Event()
    flying: list[int] = []
    most = 0

    def work(item: int) -> int:
        nonlocal most
        with lock:
            flying.append(item)
            most = max(most, len(flying))
            if len(flying) >= limit:
                enough.set()
        if not enough.wait(_PATIENCE_S / 4):
            enough.set()  # too few at once: let the others pass without waiting
        time.sleep(0.02)  # long enough for a crowd to gather, if nothing holds it back
        with lock:
            flying.remove(item)
        return item

    got = _results(answer, range(12), work, limit)
    if most > limit:
        return f"more than {limit} items were in work at once where at most {limit} may be: so many calls meet the service together, and it throttles"
    if most < limit:
        return f"never more than {most} of {limit} allowed {'was' if most == 1 else 'were'} in work at once, so the run takes as long as one call after the other"
    return None if len(got) == 12 else f"12 items went in and {len(got)} came out"


def _as_they_finish(answer: Any) -> str | None:
    first_out = threading.Event()
    held_back: list[bool] = []

    def work(item: int) -> int:
        if item == 0:  # a slow ticket: it ends only once another one has come out
            held_back.append(not first_out.wait(_PATIENCE_S))
        return item

    def consumed() -> int:
        count = 0
        for _ in answer(list(range(4)), work, 2):
            first_out.set()
            count += 1
        return count

    count = calling(consumed)
    if any(held_back):
        return "nothing came out while the first item was still in work: yield each as it finishes, neither in the order of the input nor all at the end"
    return None if count == 4 else f"4 items went in and {count} came out"


def _one_thread_each(items: Sequence[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    return in_parallel(items, work, len(items))


def _one_after_the_other(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    return in_parallel(items, work, 1)


def _map_raises(items: Sequence[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        for item, result in zip(items, pool.map(work, items), strict=True):
            yield item, result, None


def _drops_errors(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    yield from (entry for entry in in_parallel(items, work, concurrency) if entry[2] is None)


def _returns_first(items: Iterable[Any], work: Work, concurrency: int) -> Finished:
    return next(in_parallel(items, work, concurrency))


def _yields_futures(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        for future in as_completed([pool.submit(work, item) for item in items]):
            error = future.exception()
            yield future, None if error else future.result(), error


def _wrong_partner(items: Sequence[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    finished = list(in_parallel(items, work, concurrency))
    results = [entry[1:] for entry in finished]
    yield from ((entry[0], *results[place - 1]) for place, entry in enumerate(finished))


def _batch_at_the_end(items: Iterable[Any], work: Work, concurrency: int) -> list[Finished]:
    return list(in_parallel(items, work, concurrency))


def _in_input_order(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        waiting = [(item, pool.submit(work, item)) for item in items]
        for item, future in waiting:
            error = future.exception()
            yield item, None if error else future.result(), error


async def _gathers(items: Iterable[Any], work: Work, concurrency: int) -> list[Finished]:
    return [(item, work(item), None) for item in items]


def _gathers_all_at_once(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    everything = list(items)

    async def gathered() -> list[Any]:
        with ThreadPoolExecutor(max(1, len(everything))) as pool:
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(pool, work, item) for item in everything), return_exceptions=True)

    for item, result in zip(everything, asyncio.run(gathered()), strict=True):
        failed = isinstance(result, Exception)
        yield item, None if failed else result, result if failed else None


# Exercise 2

RETRY = frozenset({"throttled", "server", "connect_timeout", "disconnected"})


def worth_retrying(kind: str) -> bool:
    """Say whether the same request may be answered a moment later, without paying twice."""
    return kind in RETRY


_KINDS: tuple[tuple[str, bool, str], ...] = (
    ("throttled", True, "it gives up on throttled: too many calls now says nothing against the same call in a second"),
    ("server", True, "it gives up on server: a 500 or 503 passes by itself, and the request was in order"),
    (
        "connect_timeout",
        True,
        "it gives up on connect_timeout: no connection came about, so nothing was charged and trying again is safe",
    ),
    ("validation", False, "it retries validation: the request itself is wrong, so the same request is refused again, every time"),
    ("access", False, "it retries access: waiting gives nobody a permission; say at once that it is missing"),
    ("not_found", False, "it retries not_found: waiting does not make a model appear; the id or the region is wrong"),
    ("read_timeout", False, "it retries read_timeout: the model may still be writing, and each new try is charged again"),
    (
        "model",
        False,
        "it retries model: the model failed on this very input and may have charged for it; another tier may do better",
    ),
)


def _check_worth_retrying(answer: Any) -> str | None:
    if all(calling(answer, kind, none_ok=True) is False for kind in (*RETRY, "model", "read_timeout")):
        return 'it says False to every kind; `kind` is one of the words in the table, such as "throttled", and not a number or another name'
    for position, (kind, want, says) in enumerate(_KINDS):
        got = calling(answer, kind, none_ok=position > 0)
        if isinstance(got, str) and got:
            return f'for {kind} it returned {shown(got, 40)}; `kind == "a" or "b"` gives the text "b": write kind in ("a", "b")'
        if not isinstance(got, bool):
            return f"for {kind} it returned {shown(got, 40)}; return True or False"
        if got != want:
            return says
    return None


def _retries_all(kind: str) -> bool:
    return True


def _retries_validation(kind: str) -> bool:
    return kind in RETRY | {"validation"}


def _status_codes(kind: Any) -> bool:
    return kind in (429, 500, 503)


def _or_a_word(kind: str) -> Any:
    return kind == "throttled" or "server"


def _retries_read_timeouts(kind: str) -> bool:
    return kind in RETRY | {"read_timeout"}


def _any_timeout(kind: str) -> bool:
    return "timeout" in kind or kind in ("throttled", "server")


def _throttling_only(kind: str) -> bool:
    return kind == "throttled"


def _forgets_connections(kind: str) -> bool:
    return kind in ("throttled", "server")


def _retries_model(kind: str) -> bool:
    return kind in RETRY | {"model"}


# Exercise 3


def delay_s(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    """Return rand(0, min(cap, base * 2^attempt)) seconds, but never less than the server asked for."""
    drawn = rng.uniform(0, min(cap_s, base_s * 2.0**attempt))
    return max(drawn, server_s or 0.0)


_BASE_S, _CAP_S = 0.5, 20.0


class _Fixed(random.Random):
    """A generator that always draws the same share of its range, and counts how often it was asked."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self.share = share
        self.asked = 0

    def random(self) -> float:
        self.asked += 1
        return self.share


def _waited(answer: Any, attempt: int, share: float, server_s: float | None = None) -> tuple[float, bool]:
    """Return what an answer wants to wait, and whether it drew from the generator it was given."""
    rng = _Fixed(share)
    try:
        got = calling(answer, attempt, _BASE_S, _CAP_S, server_s, rng, none_ok=True)
    except NotYet as error:
        if "NoneType" in str(error) and server_s is None:
            raise NotYet(f"{error}; server_s is None where the server named no delay") from error
        if "not callable" in str(error):
            raise NotYet(f"{error}; rng is a random.Random: rng.uniform(0, x) draws from a range") from error
        if "for ^" in str(error):
            raise NotYet(f"{error}; Python writes a power with **") from error
        raise
    if got is None and not rng.asked:
        raise NotAttempted
    if got is None:
        raise NotYet("it returned nothing; return the seconds to wait, and let the loop that calls it do the waiting")
    return number(got, "its result"), rng.asked > 0


_TRIED = tuple((attempt, share) for attempt in (0, 1, 3, 9) for share in (0.3, 0.6))
_Wait = Callable[[int, float], float]


def _raw(attempt: int) -> float:
    return _BASE_S * 2.0**attempt


def _top(attempt: int) -> float:
    return min(_CAP_S, _raw(attempt))


_WAIT_MISTAKES: tuple[tuple[_Wait, str], ...] = (
    (
        lambda attempt, share: min(_CAP_S, share * _raw(attempt)),
        "the cap comes after the draw, so that most late waits are exactly the cap, all alike: cap the range, then draw from it",
    ),
    (
        lambda attempt, share: _top(attempt),
        "there is no jitter: it always waits the full time, so clients that were throttled together come back together",
    ),
    (
        lambda attempt, share: share * _raw(attempt),
        f"there is no cap: before retry 10 (attempt 9, base {_BASE_S} s, cap {_CAP_S:g} s) it may wait up to {_raw(9):g} s",
    ),
    (lambda attempt, share: _raw(attempt), "there is neither jitter nor a cap"),
    (
        lambda attempt, share: share * min(_CAP_S, _BASE_S * (attempt + 1)),
        "the range adds base_s each time instead of doubling: 0.5, 1, 1.5, 2 and not 0.5, 1, 2, 4",
    ),
    (
        lambda attempt, share: share * min(_CAP_S, 2 * _raw(attempt)),
        "attempt counts from 0, so before the first retry the range is base_s itself and not twice that",
    ),
    (
        lambda attempt, share: share * min(_CAP_S, _raw(attempt) / 2),
        "attempt counts from 0, so before the first retry the range is base_s itself and not half of that",
    ),
    (
        lambda attempt, share: share * min(_CAP_S, _BASE_S**attempt),
        "base_s ** attempt shrinks when base_s is below 1; it is the 2 that is raised to the attempt",
    ),
    (
        lambda attempt, share: share * min(_CAP_S, _BASE_S * attempt),
        "the range is base_s times attempt, which is 0 before the first retry; double it with 2 ** attempt",
    ),
    (
        lambda attempt, share: share * min(_CAP_S, 2 * _BASE_S * attempt),
        "the range is 2 times attempt, which is 0 before the first retry; double it with 2 ** attempt",
    ),
    (
        lambda attempt, share: _top(attempt) / 2 + share * _top(attempt) / 2,
        "half of the wait is fixed; full jitter draws from 0 up to the whole range, which spreads clients twice as wide",
    ),
    (
        lambda attempt, share: _BASE_S + share * (_top(attempt) - _BASE_S),
        "it draws from base_s upwards, so before the first retry everybody waits the same; full jitter draws from 0",
    ),
    (
        lambda attempt, share: share * max(_CAP_S, _raw(attempt)),
        "the range is never shorter than the cap; a cap is an upper bound, so take the smaller of the two with min",
    ),
    (
        lambda attempt, share: max(_CAP_S, share * _raw(attempt)),
        "it never waits less than the cap; a cap is an upper bound, so take the smaller of the two, and then draw",
    ),
    (
        lambda attempt, share: share * min(_CAP_S, _BASE_S * attempt**2),
        "attempt ** 2 is a square, and 0 before the first retry; it is the 2 that is raised to the attempt",
    ),
    (
        lambda attempt, share: share * min(_CAP_S, _BASE_S * math.exp(attempt)),
        "the range grows by e each time; it doubles, so the base of the power is 2",
    ),
    (
        lambda attempt, share: 1000 * share * _top(attempt),
        "it returns milliseconds; all arguments are in seconds, and so is the result",
    ),
    (
        lambda attempt, share: _top(attempt) + share * _BASE_S,
        "the jitter is the wait itself, it is not added on top of the full range",
    ),
    (
        lambda attempt, share: _top(attempt) * (1 + share),
        "the jitter is the wait itself, it is not added on top of the full range",
    ),
)


def _check_delay_s(answer: Any) -> str | None:
    waits = {tried: _waited(answer, *tried) for tried in _TRIED}
    wrong = [tried for tried in _TRIED if not close(waits[tried][0], tried[1] * _top(tried[0]))]
    if not wrong:
        return _server_problem(answer)
    for mistake, says in _WAIT_MISTAKES:
        if all(close(waits[tried][0], mistake(*tried)) for tried in _TRIED):
            return says
    if not any(drew for _, drew in waits.values()):
        return "it does not draw from the rng it is given; with rng.uniform or rng.random a run can be repeated and this check can follow it"
    attempt, share = wrong[0]
    got, top = waits[attempt, share][0], _top(attempt)
    case = f"before retry {attempt + 1} (attempt {attempt}, base {_BASE_S} s, cap {_CAP_S:g} s)"
    if got > top:
        return f"{case} it waits {got:g} s, which lies outside the range of 0 to {top:g} s"
    return f"{case}, drawing {share:g} of the range must give {share * top:g} s and not {got:g} s"


def _server_problem(answer: Any) -> str | None:
    asked_long, _ = _waited(answer, 0, 0.5, server_s=3.0)
    if asked_long < 3.0:
        return f"the server asked for 3 s and it waits {asked_long:g} s: coming back earlier is certain to be refused, and costs one of three retries"
    asked_short, drawn = _waited(answer, 3, 0.5, server_s=0.01)[0], 2.0
    if close(asked_short, 0.01):
        return "a short delay from the server takes the place of the jitter; everybody was told the same, so everybody comes back in the same instant"
    if not drawn <= asked_short <= drawn + 0.01 + 1e-9:  # the longer of the two, or the sum
        return f"the server asked for 0.01 s and {drawn:g} s were drawn: wait {drawn:g} s and not {asked_short:g} s"
    return None


def _no_jitter(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(min(cap_s, base_s * 2.0**attempt), server_s or 0.0)


def _no_cap(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(rng.uniform(0, base_s * 2.0**attempt), server_s or 0.0)


def _squares(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(rng.uniform(0, min(cap_s, base_s * attempt**2)), server_s or 0.0)


def _cap_as_floor(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(rng.uniform(0, base_s * 2.0**attempt), cap_s, server_s or 0.0)


def _adds(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(rng.uniform(0, min(cap_s, base_s * (attempt + 1))), server_s or 0.0)


def _caps_late(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(min(cap_s, rng.uniform(0, base_s * 2.0**attempt)), server_s or 0.0)


def _half_fixed(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    top = min(cap_s, base_s * 2.0**attempt)
    return max(top / 2 + rng.uniform(0, top / 2), server_s or 0.0)


def _one_too_far(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(rng.uniform(0, min(cap_s, base_s * 2.0 ** (attempt + 1))), server_s or 0.0)


def _on_top(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return max(min(cap_s, base_s * 2.0**attempt) + rng.uniform(0, base_s), server_s or 0.0)


def _deaf(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return rng.uniform(0, min(cap_s, base_s * 2.0**attempt))


def _server_only(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return server_s or rng.uniform(0, min(cap_s, base_s * 2.0**attempt))


def _own_dice(attempt: int, base_s: float, cap_s: float, server_s: float | None, rng: random.Random) -> float:
    return delay_s(attempt, base_s, cap_s, server_s, random.Random(7))


# Exercise 4

Row = Mapping[str, Any]


def lines(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    """Return one line of NDJSON for each tier that answered, in order, then one for the error, if there is one."""
    rows: list[dict[str, Any]] = [{"ticket_id": ticket_id, **row} for row in answered]
    if error is not None:
        rows.append({"ticket_id": ticket_id, "error": error})
    return [json.dumps(row) + "\n" for row in rows]


_NANO: Row = {
    "model": "nano",
    "decision": {
        "category": "billing",
        "priority": "P1",
        "needs_human": True,
        "reasoning": 'Says:\n"charged twice", caf\u00e9\u2028bill.',
    },
    "escalated": True,
    "latencyMs": 512,
    "cost": 0.000104,
}
_CLAUDE: Row = {
    "model": "claude",
    "decision": {"category": "billing", "priority": "P2", "needs_human": False},
    "latencyMs": 3200,
    "cost": 0.0083,
}
_PROBLEM: Row = {"type": "throttled", "message": "Too many requests, please wait before trying again."}
_TICKETS: tuple[tuple[str, tuple[Row, ...], Row | None], ...] = (
    ("a ticket that nano answered", (_NANO,), None),
    ("a ticket that nano and then claude answered", (_NANO, _CLAUDE), None),
    ("a ticket that failed before any answer", (), _PROBLEM),
    ("a ticket that nano answered and claude failed on", (_NANO,), _PROBLEM),
)


def _check_lines(answer: Any) -> str | None:
    for case, answered, error in _TICKETS:
        got = calling(answer, "S-90", list(answered), error, none_ok=case != _TICKETS[0][0])
        wrong = _lines_problem(got, answered, error)
        if wrong:
            return f"{case}: {wrong}"
    return None


def _lines_problem(got: Any, answered: Sequence[Row], error: Row | None) -> str | None:
    if isinstance(got, str):
        return "it returned one text; return a list with one line a row, so that each can be sent as soon as it is there"
    if got is None or (isinstance(got, list | tuple) and not got):
        return "there is no row at all, so the ticket is lost: whoever reads the file cannot tell it from one that was never sent"
    if not isinstance(got, list | tuple) or not all(isinstance(text, str) for text in got):
        return f"it returned {shown(got, 60)}; return a list of lines, each a text made by json.dumps"
    rows = []
    for text in got:
        row = _row_of(text)
        if isinstance(row, str):
            return row
        rows.append(row)
    return _rows_problem(rows, answered, error)


def _row_of(text: str) -> str | dict[str, Any]:
    """Return the row in one line, or what is wrong with the line."""
    try:
        row = json.loads(text)
    except ValueError:
        if text.endswith("\\n"):
            return 'a line ends in a backslash and an n; a newline is written "\\n", with one backslash'
        return f"{shown(text, 40)} is not JSON; str() writes single quotes, True and None, json.dumps does not"
    if isinstance(row, list):
        return "it wrote one JSON array; an array can be read only when its last bracket is there, a line can be read at once"
    if not isinstance(row, dict):
        return f"{shown(text, 40)} holds no object; dump the row, a dictionary"
    if not text.endswith("\n"):
        return "a line does not end in a newline, so the next row would be glued to it"
    if "\n" in text.removesuffix("\n"):
        return "one row takes several lines; a row is one line, so leave out indent and write one newline at its end"
    if len(text.splitlines()) > 1:
        return "the text of a ticket holds a U+2028, at which some readers break a line; json.dumps escapes it unless ensure_ascii=False"
    return row


def _rows_problem(rows: Sequence[dict[str, Any]], answered: Sequence[Row], error: Row | None) -> str | None:
    nameless = [row for row in rows if row.get("ticket_id") != "S-90"]
    if nameless:
        return f"the row {shown(nameless[0], 40)} does not say which ticket it is about; rows come in any order, so each carries ticket_id S-90"
    if error is not None and not any("error" in row for row in rows):
        if any(error.items() <= row.items() for row in rows):
            return "the fields of the error stand in the row itself; put the whole dictionary under `error`, so that a reader can tell an error from an answer"
        return "the error has no row, so the ticket looks as if nothing had happened; write a row with `error`"
    if error is None and any("error" in row for row in rows):
        return "nothing failed, but there is a row with `error`; write that row only if error is not None"
    if any("model" not in row and any(isinstance(part, dict) and "model" in part for part in row.values()) for row in rows):
        return "a tier's row stands under a key of its own; put ticket_id beside its fields, in the same dictionary"
    if error is not None and any("error" in row and isinstance(row["error"], str) for row in rows):
        return "the error is turned into a text; hand the dictionary over as it is, and json.dumps writes it as an object"
    models = [row["model"] for row in rows if "model" in row]
    if models == ["claude", "nano"]:
        return "the claude row stands before the nano row; nano answered first, and a reader that takes the last row as final would take nano's"
    if answered and not models and error is not None:
        return (
            "the rows of the tiers that did answer are dropped; nano answered and was charged, so its row stays, before the error"
        )
    if len(models) != len(answered):
        return f"tiers that answered: {len(answered)}, rows with a `model`: {len(models)}; each tier that answered gets a row of its own"
    if error is not None and "error" not in rows[-1]:
        return "the error's row comes last, after the rows of the tiers that answered"
    want = [json.loads(text) for text in lines("S-90", answered, error)]
    wrong = next((got for got, right in zip(rows, want, strict=False) if got != right), None)
    return (
        None
        if wrong is None and len(rows) == len(want)
        else f"the row {shown(wrong, 60)} is not what was handed in: keep every field, and put the error under `error` as it is"
    )


def _one_array(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    rows = [json.loads(text) for text in lines(ticket_id, answered, error)]
    return [json.dumps(rows) + "\n"]


def _drops_failed(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return [] if error is not None else lines(ticket_id, answered, None)


def _error_instead(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return lines(ticket_id, [] if error is not None else answered, error)


def _hides_the_error(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return lines(ticket_id, answered, None if answered else error)


def _claude_first(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return lines(ticket_id, list(reversed(answered)), error)


def _python_text(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return [f"{json.loads(text)}\n" for text in lines(ticket_id, answered, error)]


def _pretty(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return [json.dumps(json.loads(text), indent=2) + "\n" for text in lines(ticket_id, answered, error)]


def _no_newline(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return [text.rstrip("\n") for text in lines(ticket_id, answered, error)]


def _raw_text(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return [json.dumps(json.loads(text), ensure_ascii=False) + "\n" for text in lines(ticket_id, answered, error)]


def _nested(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return [json.dumps({"ticket_id": ticket_id, "row": row}) + "\n" for row in answered] + lines(ticket_id, [], error)


def _error_as_text(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    told = [] if error is None else [json.dumps({"ticket_id": ticket_id, "error": str(error)}) + "\n"]
    return lines(ticket_id, answered, None) + told


def _two_letters(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    return [text.rstrip("\n") + "\\n" for text in lines(ticket_id, answered, error)]


def _nameless_error(ticket_id: str, answered: Sequence[Row], error: Row | None) -> list[str]:
    rows = [json.loads(text) for text in lines(ticket_id, answered, error)]
    return [json.dumps({"error": row["error"]} if "error" in row else row) + "\n" for row in rows]


# Exercise 5

Tiers = Mapping[str, Mapping[str, float]]
Needs = list[dict[str, Any]]
_CALLS_S, _AT_ONCE, _TOKENS = "calls/s", "at once", "tokens/min"


def capacity(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    """Return what each tier takes: calls a second, calls at once by its p95 latency, and tokens reserved a minute (input and maxTokens)."""
    return _capacity(tickets_per_s, tiers, lambda name: 1.0 if name == "nano" else escalated)


def _capacity(
    tickets_per_s: float,
    tiers: Tiers,
    share: Callable[[str], float],
    at_once: Callable[[float, float], float] = lambda rate, p95_s: rate * p95_s,
    tokens: Callable[[Mapping[str, float]], float] = lambda tier: 60 * (tier["input_tokens"] + tier["max_tokens"]),
) -> Needs:
    """Return the needs of tiers under some idea, right or wrong, of each of the three numbers."""
    needs = []
    for name, tier in tiers.items():
        rate = tickets_per_s * share(name)
        needs.append({"tier": name, _CALLS_S: rate, _AT_ONCE: at_once(rate, tier["p95_s"]), _TOKENS: rate * tokens(tier)})
    return needs


_PER_S, _ESCALATED = 10.0, 0.3
_TIERS: dict[str, dict[str, float]] = {
    "nano": {"p95_s": 0.83, "input_tokens": 1200, "output_tokens": 120, "max_tokens": 310},
    "sonnet": {"p95_s": 5.1, "input_tokens": 1600, "output_tokens": 220, "max_tokens": 310},
}


def _check_capacity(answer: Any) -> str | None:
    got = calling(answer, _PER_S, _ESCALATED, _TIERS)
    if not isinstance(got, list) or [need.get("tier") if isinstance(need, dict) else None for need in got] != list(_TIERS):
        return (
            f"it returned {shown(got, 60)}; leave the loop and its last lines as they are, they make one dictionary for each tier"
        )
    parts = [need.get(part) for need in got for part in (_CALLS_S, _AT_ONCE, _TOKENS)]
    blanks = sum(part is ... or part is None for part in parts)
    if blanks == len(parts):
        raise NotAttempted
    if blanks:
        return "one of calls_per_s, at_once and tokens_per_min is still `...`"
    for need in got:
        wrong = _need_problem(need, str(need["tier"]))
        if wrong:
            return f"at {_PER_S:g} tickets a second with {_ESCALATED:.0%} escalated, {wrong}"
    return None


def _need_problem(need: Mapping[str, Any], name: str) -> str | None:
    tier = _TIERS[name]
    rate, at_once, tokens = (number(need[part], f"`{part}` of {name}") for part in (_CALLS_S, _AT_ONCE, _TOKENS))
    want = _PER_S * (1.0 if name == "nano" else _ESCALATED)
    return (
        _rate_problem(rate, want, name)
        or _at_once_problem(at_once, want, tier["p95_s"], name)
        or _tokens_problem(tokens, want, tier, name)
    )


def _rate_problem(rate: float, want: float, name: str) -> str | None:
    if close(rate, want):
        return None
    stays = _PER_S * (1 - _ESCALATED)
    mistakes = {
        _PER_S * (1 + _ESCALATED): "is the calls of both tiers together; each tier has a quota of its own, so count them apart",
        stays: "leaves out the tickets that escalate; nano is asked first about every ticket, and only then does one escalate",
        60 * want: "is calls a minute; calls_per_s is a second, like tickets_per_s",
    }
    if name == "sonnet":
        mistakes |= {100 * want: "takes `escalated` for a percentage; it is a share from 0 to 1"}
        mistakes |= {
            stays: "is the tickets that stay with nano; sonnet gets the others",
            _PER_S: "is every ticket; sonnet gets only the tickets that escalate",
        }
    said = next((says for value, says in mistakes.items() if close(rate, value)), f"is wrong: there are {want:g}")
    return f"{rate:g} calls a second to {name} {said}"


def _at_once_problem(at_once: float, rate: float, p95_s: float, name: str) -> str | None:
    want = rate * p95_s
    if close(at_once, want) or close(at_once, math.ceil(want)):
        return None
    case = f"{at_once:g} calls at once to {name}"
    if close(at_once, math.floor(want)):
        return f"{case} are rounded down, so a call has to wait; leave {want:g} as it is, or round up"
    mistakes = (
        (
            rate / p95_s,
            "divide the rate by the latency, so a slower tier would need fewer; what comes at a rate and stays a while is rate times while",
        ),
        (p95_s / rate, "divide the latency by the rate; what comes at a rate and stays a while is rate times while"),
        (rate, "are the calls of one second; a call that takes longer than a second is still under way in the next"),
        (_PER_S * p95_s, "count every ticket; only the calls that this tier gets can be under way there"),
        (1000 * want, "are a thousand times too many; p95_s is in seconds already"),
        (60 * want, "are the calls of a minute; both the rate and the latency are in seconds"),
    )
    return f"{case} {next((says for value, says in mistakes if close(at_once, value)), f'are wrong: {rate:g} a second of {p95_s:g} s each are {want:g} at once')}"


def _tokens_problem(tokens: float, rate: float, tier: Mapping[str, float], name: str) -> str | None:
    call = tier["input_tokens"] + tier["max_tokens"]
    want = 60 * rate * call
    if close(tokens, want):
        return None
    mistakes = (
        (rate * call, "are reserved in a second; the quota is by the minute"),
        (3600 * rate * call, "are reserved in an hour; the quota is by the minute"),
        (60 * call, "are one call a second; this tier gets its own number of calls"),
        (call, "are one call's; multiply by the calls of a minute"),
        (
            60 * rate * (tier["input_tokens"] + tier["output_tokens"]),
            "count the answers as long as they turn out; when a call begins nobody knows that, so the whole of maxTokens is reserved",
        ),
        (60 * rate * (call + tier["output_tokens"]), "count the answer twice; it is a part of maxTokens"),
        (60 * rate * tier["max_tokens"], "leave out the input, which is reserved as well"),
        (60 * rate * tier["input_tokens"], "leave out maxTokens, which is reserved as well"),
        (60 * _PER_S * call, "count every ticket; this tier gets its own number of calls"),
    )
    said = next(
        (says for value, says in mistakes if close(tokens, value)),
        f"are wrong: {60 * rate:g} calls a minute of {call:g} tokens each are {want:g}",
    )
    return f"{tokens:g} tokens a minute to {name} {said}"


def _nano_without_the_escalated(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(tickets_per_s, tiers, lambda name: 1 - escalated if name == "nano" else escalated)


def _both_tiers_together(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(tickets_per_s, tiers, lambda name: 1 + escalated)


def _every_ticket_to_both(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(tickets_per_s, tiers, lambda name: 1.0)


def _as_percent(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(tickets_per_s, tiers, lambda name: 1.0 if name == "nano" else 100 * escalated)


def _divides_by_latency(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(
        tickets_per_s, tiers, lambda name: 1.0 if name == "nano" else escalated, at_once=lambda rate, p95_s: rate / p95_s
    )


def _calls_of_a_second(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(tickets_per_s, tiers, lambda name: 1.0 if name == "nano" else escalated, at_once=lambda rate, p95_s: rate)


def _rounds_down(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(
        tickets_per_s, tiers, lambda name: 1.0 if name == "nano" else escalated, at_once=lambda rate, p95_s: int(rate * p95_s)
    )


def _expected_output(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(
        tickets_per_s,
        tiers,
        lambda name: 1.0 if name == "nano" else escalated,
        tokens=lambda tier: 60 * (tier["input_tokens"] + tier["output_tokens"]),
    )


def _forgets_the_input(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(
        tickets_per_s, tiers, lambda name: 1.0 if name == "nano" else escalated, tokens=lambda tier: 60 * tier["max_tokens"]
    )


def _tokens_a_second(tickets_per_s: float, escalated: float, tiers: Tiers) -> Needs:
    return _capacity(
        tickets_per_s,
        tiers,
        lambda name: 1.0 if name == "nano" else escalated,
        tokens=lambda tier: tier["input_tokens"] + tier["max_tokens"],
    )


# Exercise 6

Calls = Sequence[Mapping[str, Any]]


def account(calls: Calls) -> tuple[int, int, int]:
    """Return requests sent, requests answered, and requests refused: every attempt is a request, and only the last one can be answered."""
    requests = sum(call["attempts"] for call in calls)
    answered = sum(call["ok"] for call in calls)
    return requests, answered, requests - answered


_CALLS: tuple[dict[str, Any], ...] = (
    {"attempts": 1, "ok": True, "usd": 0.0001},
    {"attempts": 3, "ok": True, "usd": 0.0001},
    {"attempts": 4, "ok": True, "usd": 0.0083},
    {"attempts": 4, "ok": False, "usd": 0.0},
    {"attempts": 1, "ok": False, "usd": 0.0},
    {"attempts": 1, "ok": True, "usd": 0.0001},
)


def _check_account(answer: Any) -> str | None:
    plain = _triple(calling(answer, [_CALLS[0], _CALLS[5]]))
    if plain != (2, 2, 0):
        return f"two calls that were answered at once are 2 requests, 2 answered, 0 refused, and not {_said(plain)}"
    got, want = _triple(calling(answer, list(_CALLS))), account(_CALLS)
    if got == want:
        return None
    requests, answered, refused = got
    if (answered, requests) == want[:2]:
        return "sent and answered are swapped: requests sent first, then answered, then refused"
    ok = [call for call in _CALLS if call["ok"]]
    sums = {
        len(_CALLS): "it counts calls and not requests: a call that took 3 attempts sent 3 requests",
        sum(
            call["attempts"] for call in ok
        ): "requests leaves out the calls that failed for good; their attempts reached the service too",
        sum(call["attempts"] - 1 for call in _CALLS): "requests counts the retries only; the first attempt is a request as well",
        len(ok): "requests counts the answered calls only; the refused requests reached the service too",
    }
    if requests != want[0]:
        return sums.get(requests, f"the attempts of all calls add up to {want[0]} requests, and not {requests}")
    if answered != want[1]:
        said = "every attempt of an answered call is called answered; only the last one was, the ones before it were refused"
        return said if answered == want[0] - 5 else f"{want[1]} calls were answered, and not {answered}"
    if refused == len(_CALLS) - len(ok):
        return "refused counts the calls that failed for good; each retry that led to an answer was a refused request before it"
    if refused == sum(call["attempts"] for call in _CALLS if not call["ok"]):
        return (
            "refused counts the requests of the failed calls only; an answered call was refused once before each of its retries"
        )
    if refused == sum(call["attempts"] - 1 for call in _CALLS):
        return "refused counts the retries; the last attempt of a call that failed for good was refused too"
    return f"{want[0]} requests of which {want[1]} were answered leave {want[2]} refused, and not {refused}"


def _triple(got: Any) -> tuple[int, int, int]:
    if not isinstance(got, tuple | list) or len(got) != 3:
        raise NotYet(f"it returned {shown(got, 40)}; return three numbers: requests, answered, refused")
    if not all(close(part, round(number(part, "one of its numbers"))) for part in got):
        raise NotYet(f"it returned {shown(got, 40)}; requests are whole numbers")
    requests, answered, refused = (round(float(part)) for part in got)
    return requests, answered, refused


def _said(numbers: Sequence[int]) -> str:
    return ", ".join(str(part) for part in numbers)


def _counts_calls(calls: Calls) -> tuple[int, int, int]:
    ok = sum(call["ok"] for call in calls)
    return len(calls), ok, len(calls) - ok


def _answered_calls_only(calls: Calls) -> tuple[int, int, int]:
    return account([call for call in calls if call["ok"]])


def _failed_calls_only(calls: Calls) -> tuple[int, int, int]:
    requests, answered, _ = account(calls)
    return requests, answered, sum(not call["ok"] for call in calls)


def _retries_are_refused(calls: Calls) -> tuple[int, int, int]:
    requests, answered, _ = account(calls)
    return requests, answered, sum(call["attempts"] - 1 for call in calls)


def _all_attempts_answered(calls: Calls) -> tuple[int, int, int]:
    requests = sum(call["attempts"] for call in calls)
    answered = sum(call["attempts"] for call in calls if call["ok"])
    return requests, answered, requests - answered


# Exercise 7


def stoppable(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    """Do as in_parallel does, and start nothing more once whoever reads the results goes away."""
    pool = ThreadPoolExecutor(max_workers=concurrency)
    try:
        waiting = {pool.submit(work, item): item for item in items}
        for future in as_completed(waiting):
            error = future.exception()
            yield waiting[future], None if error else future.result(), error
    finally:
        pool.shutdown(cancel_futures=True)


_MANY = 60


def _check_stoppable(answer: Any) -> str | None:
    return _check_in_parallel(answer) or _stops(answer)


def _stops(answer: Any) -> str | None:
    leaving, lock = threading.Event(), threading.Lock()
    started: list[int] = []
    ended: list[int] = []

    def work(item: int) -> int:
        with lock:
            started.append(item)
        if item:  # all but the first wait until the reader is about to leave
            leaving.wait(_PATIENCE_S)
            time.sleep(0.03)
        with lock:
            ended.append(item)
        return item

    def left() -> tuple[int, int]:
        results = answer(list(range(_MANY)), work, 2)
        if not hasattr(results, "close"):
            raise NotYet("what it returns has no close(); write it with yield, so that the reader can leave")
        with closing(results):
            next(iter(results))
            leaving.set()
        with lock:
            in_flight = len(started) - len(ended)
        if in_flight:  # close() did not wait: see whether more is started behind the reader's back
            time.sleep(_PATIENCE_S / 2)
        return len(started), in_flight

    count, in_flight = calling(left)
    if count > _MANY / 2:
        return f"the reader left after 1 of {_MANY} items, and still most were started: the end of a pool waits for all that was submitted, so cancel what has not begun"
    if in_flight:
        return "close() came back while a call was still in work; wait for the calls in flight, they are charged and belong in the books"
    return None


def _leaves_no_wait(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    pool = ThreadPoolExecutor(max_workers=concurrency)
    waiting = {pool.submit(work, item): item for item in items}
    try:
        for future in as_completed(waiting):
            error = future.exception()
            yield waiting[future], None if error else future.result(), error
    finally:
        pool.shutdown(wait=False)


def _catches_the_exit(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        waiting = {pool.submit(work, item): item for item in items}
        try:
            for future in as_completed(waiting):
                error = future.exception()
                yield waiting[future], None if error else future.result(), error
        except GeneratorExit:
            return


def _abandons_calls(items: Iterable[Any], work: Work, concurrency: int) -> Iterator[Finished]:
    pool = ThreadPoolExecutor(max_workers=concurrency)
    waiting = {pool.submit(work, item): item for item in items}
    try:
        for future in as_completed(waiting):
            error = future.exception()
            yield waiting[future], None if error else future.result(), error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        id="ex1",
        title="Many at once, but not too many",
        minutes=6,
        level="core",
        objective="Run work on many items with bounded concurrency, yield each result as it finishes, and keep a failure with its item.",
        hints=(
            "ThreadPoolExecutor(max_workers=...) never runs more than that many at once, however many you submit. The bound comes for free.",
            "pool.submit(work, item) gives a future. Remember which item belongs to which future, for instance in a dictionary.",
            "as_completed(futures) hands out futures in the order in which they finish. pool.map keeps the order of the input, and raises.",
            "future.exception() is None or the error, and does not raise. Ask it before future.result().",
        ),
        reference=in_parallel,
        check=_check_in_parallel,
        wrong=(
            Wrong("one thread per item", _one_thread_each, "in work at once where at most"),
            Wrong("one after the other", _one_after_the_other, "never more than 1 of 3"),
            Wrong("pool.map, which raises", _map_raises, "one item raised and the whole run ended"),
            Wrong("drops the items that raised", _drops_errors, "missing from the results"),
            Wrong("yields the future for the item", _yields_futures, "is a future"),
            Wrong("hands results to the wrong items", _wrong_partner, "another one's result"),
            Wrong("returns the first one", _returns_first, "`yield` each tuple"),
            Wrong("results in a batch at the end", _batch_at_the_end, "yield each as it finishes"),
            Wrong("results in the order of the input", _in_input_order, "yield each as it finishes"),
            Wrong("asyncio around a client that blocks", _gathers, "use threads"),
            Wrong("gathers all at once", _gathers_all_at_once, "in work at once where at most"),
        ),
    ),
    Exercise(
        id="ex2",
        title="What to try again",
        minutes=3,
        level="core",
        objective="Tell the failures that pass by themselves from those that a retry repeats or pays for twice.",
        hints=(
            "Ask two questions of each kind: could the very same request succeed a moment later? And may it have been charged already?",
            "Retry only where the first answer is yes and the second is no, or nearly so.",
            "A timeout comes in two kinds. In one the request never arrived, in the other the model was already at work.",
        ),
        reference=worth_retrying,
        check=_check_worth_retrying,
        wrong=(
            Wrong("retries everything", _retries_all, "the same request is refused again"),
            Wrong("retries validation", _retries_validation, "retries validation"),
            Wrong("tests for status codes", _status_codes, "one of the words in the table"),
            Wrong("or and a word", _or_a_word, 'kind in ("a", "b")'),
            Wrong("retries read timeouts", _retries_read_timeouts, "retries read_timeout"),
            Wrong("retries whatever is called a timeout", _any_timeout, "charged again"),
            Wrong("throttling only", _throttling_only, "gives up on server"),
            Wrong("forgets that a connection can fail", _forgets_connections, "gives up on connect_timeout"),
            Wrong("retries a model that failed on the input", _retries_model, "retries model"),
        ),
    ),
    Exercise(
        id="ex3",
        title="How long to wait",
        minutes=5,
        level="core",
        objective="Compute a retry's delay: exponential, capped, with full jitter, and never shorter than the server asked for.",
        hints=(
            "First the range: it starts at base_s, doubles with every attempt (2 ** attempt), and never exceeds cap_s.",
            "Full jitter: the wait is one draw from 0 to the end of that range. rng.uniform(low, high) draws it.",
            "The server's delay is a lower bound. Which function returns the larger of two numbers?",
            "server_s may be None, which max cannot compare: `server_s or 0.0`.",
        ),
        reference=delay_s,
        check=_check_delay_s,
        wrong=(
            Wrong("no jitter", _no_jitter, "no jitter"),
            Wrong("no cap", _no_cap, "no cap"),
            Wrong("adds instead of doubling", _adds, "instead of doubling"),
            Wrong("squares the attempt", _squares, "is a square"),
            Wrong("takes the cap as the least", _cap_as_floor, "never waits less than the cap"),
            Wrong("caps after drawing", _caps_late, "cap comes after the draw"),
            Wrong("keeps half fixed", _half_fixed, "half of the wait is fixed"),
            Wrong("starts one doubling too late", _one_too_far, "counts from 0"),
            Wrong("adds the jitter on top", _on_top, "not added on top"),
            Wrong("ignores the server's delay", _deaf, "the server asked for 3 s"),
            Wrong("obeys only the server", _server_only, "in the same instant"),
            Wrong("makes dice of its own", _own_dice, "does not draw from the rng"),
        ),
    ),
    Exercise(
        id="ex4",
        title="A row, whatever happens",
        minutes=5,
        level="core",
        objective="Write a finished ticket as lines of NDJSON: a row for each tier that answered, and a row for the error.",
        hints=(
            "NDJSON is one JSON object a line. json.dumps(row) makes the object, you add the newline.",
            'Each row needs the ticket\'s id: {"ticket_id": ticket_id, **row} puts it first and keeps the rest.',
            "An error does not undo an answer. A ticket can have both, and a ticket with neither does not exist.",
        ),
        reference=lines,
        check=_check_lines,
        wrong=(
            Wrong("one JSON array", _one_array, "one JSON array"),
            Wrong("drops the failed ticket", _drops_failed, "the ticket is lost"),
            Wrong("drops the answers of a failed ticket", _error_instead, "nano answered and was charged"),
            Wrong("hides the error behind an answer", _hides_the_error, "the error has no row"),
            Wrong("nano row after claude row", _claude_first, "before the nano row"),
            Wrong("str instead of json.dumps", _python_text, "single quotes"),
            Wrong("indented JSON", _pretty, "several lines"),
            Wrong("a row under a key of its own", _nested, "beside its fields"),
            Wrong("the error as a text", _error_as_text, "turned into a text"),
            Wrong("a backslash and an n", _two_letters, "with one backslash"),
            Wrong("no newline", _no_newline, "does not end in a newline"),
            Wrong("ensure_ascii=False", _raw_text, "U+2028"),
            Wrong("an error without its ticket", _nameless_error, "which ticket"),
        ),
    ),
    Exercise(
        id="ex5",
        title="Will it fit?",
        minutes=5,
        level="core",
        objective="Compute what each tier needs for a stream of tickets: calls a second, calls at once, tokens reserved a minute.",
        hints=(
            "Who is asked about what? Nano comes first, for every ticket. Sonnet is asked about those that nano's answer lets go on.",
            "Two guests a minute enter a cafe, and each stays 30 minutes. How many sit there at a time? Calls are the guests, p95_s is their stay.",
            "When a call begins, the service knows its input and how long the answer may become, and nothing else. It reserves both.",
            "Rates here are a second, a quota of tokens is a minute. Multiply one call's tokens by the calls of a minute.",
        ),
        reference=capacity,
        check=_check_capacity,
        wrong=(
            Wrong(
                "nano without the tickets that escalate", _nano_without_the_escalated, "nano is asked first about every ticket"
            ),
            Wrong("both tiers together, for each", _both_tiers_together, "count them apart"),
            Wrong("every ticket to both tiers", _every_ticket_to_both, "only the tickets that escalate"),
            Wrong("takes the share for a percentage", _as_percent, "a share from 0 to 1"),
            Wrong("divides the rate by the latency", _divides_by_latency, "rate times while"),
            Wrong("the calls of one second", _calls_of_a_second, "still under way in the next"),
            Wrong("rounds calls at once down", _rounds_down, "rounded down"),
            Wrong("the tokens that answers turn out to have", _expected_output, "whole of maxTokens is reserved"),
            Wrong("forgets the input", _forgets_the_input, "leave out the input"),
            Wrong("tokens a second", _tokens_a_second, "by the minute"),
        ),
    ),
    Exercise(
        id="ex6",
        title="Every request accounted for",
        minutes=4,
        level="stretch",
        objective="Count requests sent, answered and refused from a log of calls, so that they can be compared with the service's own count.",
        hints=(
            "A call that took three attempts sent three requests. Which field of the log says so?",
            "Of a call's attempts at most one is answered, the last. True counts as 1 in a sum.",
            "Every request was either answered or refused. The third number follows from the first two.",
        ),
        reference=account,
        check=_check_account,
        wrong=(
            Wrong("counts calls, not attempts", _counts_calls, "it counts calls and not requests"),
            Wrong("leaves out calls that failed", _answered_calls_only, "leaves out the calls that failed"),
            Wrong("refused are the failed calls", _failed_calls_only, "each retry that led to an answer"),
            Wrong("refused are the retries", _retries_are_refused, "refused counts the retries"),
            Wrong("every attempt was answered", _all_attempts_answered, "only the last one was"),
        ),
    ),
    Exercise(
        id="ex7",
        title="Stop when nobody reads on",
        minutes=5,
        level="stretch",
        objective="Start no further call once the reader of the results goes away, and wait for those in flight.",
        hints=(
            "When the reader calls close(), Python raises GeneratorExit at your yield. A `finally` block runs then, as it does at the normal end.",
            "Leaving `with ThreadPoolExecutor(...)` waits for everything submitted. So make the pool without `with` and shut it down yourself.",
            "pool.shutdown has two switches. One is about what has not begun, the other about what is in work. Look at help(pool.shutdown).",
        ),
        reference=stoppable,
        check=_check_stoppable,
        wrong=(
            Wrong("leaves it to the with block", in_parallel, "cancel what has not begun"),
            Wrong("shuts down without waiting or cancelling", _leaves_no_wait, "cancel what has not begun"),
            Wrong("catches GeneratorExit inside the with block", _catches_the_exit, "cancel what has not begun"),
            Wrong("abandons the calls in flight", _abandons_calls, "they are charged"),
            Wrong("loses an item that raised", _map_raises, "one item raised and the whole run ended"),
        ),
    ),
)
