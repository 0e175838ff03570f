"""The account of a run: calls and money handed out in batches never pass the limit, and what parts came to is counted once."""

from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.bulk.journal import Totals
from workshop_lib.bulk.paced import Counts
from workshop_lib.bulk.scale.ledger import Ledger, Limits, Report


def report(part: int, tickets: int, usd: float, sends: int = 0) -> Report:
    """Return a report of a part."""
    return Report(part, Totals(tickets, usd=usd), {"nano": Counts(sends)})


@given(limit=st.integers(0, 5000), workers=st.integers(1, 8))
def test_calls_are_handed_out_to_the_last_one_and_no_further(limit: int, workers: int) -> None:
    """Without it --max-calls would be passed, or be reached with calls left over."""
    ledger = Ledger({}, 10, workers, Limits(max_calls=limit))
    batches = []
    while (batch := ledger.more_calls()) > 0:
        batches.append(batch)
    assert sum(batches) == limit
    assert max(batches, default=0) <= 1000, "so many are lost with a worker"


def test_calls_that_were_not_made_come_back() -> None:
    """Without it a worker that ends would take calls with it that others could make."""
    ledger = Ledger({}, 10, 1, Limits(max_calls=8))
    first = ledger.more_calls()
    ledger.leave("a", None, calls_left=first, done=False)
    again = 0
    while (batch := ledger.more_calls()) > 0:
        again += batch
    assert again == 8


@given(costs=st.lists(st.tuples(st.integers(0, 3), st.floats(0.001, 0.2)), max_size=80), limit=st.floats(0, 3))
def test_money_is_passed_by_what_is_in_work_only(costs: list[tuple[int, float]], limit: float) -> None:
    """Without it each worker would spend all of --max-usd, or they would stop with money left."""
    ledger = Ledger({9: Totals(5, usd=0.5)}, 4, 4, Limits(max_usd=limit))
    spent = dict.fromkeys(range(4), 0.0)
    refused = False
    for part, cost in costs:
        ceiling = ledger.more_usd(part, spent[part])
        if ceiling > spent[part]:
            spent[part] += cost
            ledger.renew(f"w{part}", report(part, 1, spent[part]))
        else:
            refused = True
    assert sum(spent.values()) + 0.5 <= max(0.5, limit + 4 * 0.2), "a ticket in work at each worker"
    if refused:
        assert sum(spent.values()) + 0.5 >= limit / 2, "nobody is refused while most is left"


def test_a_part_taken_up_by_another_worker_counts_once() -> None:
    """Without it the tickets of a killed worker would be counted by it and by the one that went on."""
    ledger = Ledger({0: Totals(7, usd=1.0)}, 2, 2)
    ledger.renew("dead", report(1, 40, 2.0, sends=50))
    ledger.renew("alive", report(1, 42, 2.5, sends=3))
    ledger.leave("alive", report(1, 50, 3.0, sends=12), done=True)
    ledger.leave("alive", report(1, 50, 3.0, sends=12), done=True)  # its end was not heard of
    ledger.leave("dead", None, done=False)
    told = ledger.told()
    assert (told.totals.tickets, told.totals.usd) == (57, 4.0)
    assert told.counts["nano"].sends == 62, "what each worker sent is a bill of its own"
    assert ledger.renew("alive").fraction == 1.0, "one part is left, for one worker"


def test_an_end_reaches_every_worker_and_the_first_stands() -> None:
    """Without it a run that met its limit would go on at the other workers, or tell another reason than the one that ended it."""
    ledger = Ledger({}, 2, 2)
    assert ledger.renew("a").end is None
    ledger.stop("max_usd")
    ledger.stop("interrupted")
    assert ledger.renew("b").end == "max_usd"
    assert ledger.told().end == "max_usd"
