"""Many items: bounded, lazy, flat in memory, and one bad item costs only itself."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from workshop_lib.bulk import Done, run, runner

PATIENCE = 10  # seconds until a test that hangs fails; nothing waits for it to pass


def doubled(items: range | list[int], concurrency: int = 4) -> list[int]:
    """Return twice each item, sorted."""
    return sorted(done.result for done in run(items, lambda n: 2 * n, concurrency=concurrency) if done.result is not None)


@pytest.mark.parametrize("concurrency", [1, 2, 16])
@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_every_item_is_done_once(count: int, concurrency: int) -> None:
    """Without it items could be lost or done twice at the end of the input."""
    assert doubled(range(count), concurrency) == [2 * n for n in range(count)]


def test_concurrency_is_bounded_and_reached() -> None:
    """Without it a run could open a thousand connections, or go one by one."""
    together = threading.Barrier(4)
    lock = threading.Lock()
    flying, most = 0, 0

    def work(_: int) -> None:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        together.wait(PATIENCE)  # passes only if four are in work at once
        with lock:
            flying -= 1

    assert sum(done.error is None for done in run(range(40), work, concurrency=4)) == 40
    assert most == 4


def test_results_come_as_they_finish() -> None:
    """Without it one slow ticket would hold back all behind it."""
    release = threading.Event()

    def work(n: int) -> int:
        if n == 0:
            assert release.wait(PATIENCE)
        return n

    results = run(range(3), work, concurrency=2)
    assert {next(results).result, next(results).result} == {1, 2}
    release.set()
    assert [done.result for done in results] == [0]


def test_a_poisoned_item_costs_only_itself() -> None:
    """Without it one bad ticket would end a run of a million."""

    def work(n: int) -> int:
        return 10 // (n - 3)

    done = {entry.item: entry for entry in run(range(10), work, concurrency=3)}
    assert len(done) == 10
    assert [n for n, entry in done.items() if entry.error is not None] == [3]
    assert isinstance(done[3].error, ZeroDivisionError)


def test_an_exit_in_the_work_ends_the_run_instead_of_hanging() -> None:
    """Without it a worker that calls sys.exit would die silently and the run would wait for it forever."""

    def work(n: int) -> int:
        if n == 2:
            raise SystemExit(3)
        return n

    with pytest.raises(SystemExit):
        list(run(range(10_000), work, concurrency=2))


def test_the_input_is_read_as_workers_become_free() -> None:
    """Without it a file of a million tickets would be read before the first call."""
    read: list[int] = []

    def items() -> Iterator[int]:
        for n in range(1000):
            read.append(n)
            yield n

    results = run(items(), lambda n: n, concurrency=2)
    assert read == []
    next(results)
    results.close()
    assert len(read) <= 1 + 2 * 2 + 2 + 2, "taken: one handed over, the queue's four, and at most two in each worker's hands"


def test_closing_stops_further_calls() -> None:
    """Without it a client that went away would go on costing money."""
    called: list[int] = []

    def work(n: int) -> int:
        called.append(n)
        return n

    results = run(iter(range(10**9)), work, concurrency=4)
    next(results)
    results.close()
    assert len(called) < 100
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("bulk-")] == []


def test_closing_while_the_input_is_slow_starts_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it every worker waiting for input would make one more call after the client went away."""
    more, asked = threading.Event(), threading.Event()
    called: list[int] = []

    def items() -> Iterator[int]:
        yield 0
        asked.set()
        assert more.wait(PATIENCE)
        yield from range(1, 100)

    discard = runner._Pool._discard

    def input_goes_on(pool: "runner._Pool[int, None]") -> None:
        more.set()  # the pool is stopped by now, and its workers still wait for input
        discard(pool)

    monkeypatch.setattr(runner._Pool, "_discard", input_goes_on)
    results = run(items(), called.append, concurrency=8)
    next(results)
    assert asked.wait(PATIENCE)
    results.close()
    assert called == [0]


def test_an_error_in_the_input_comes_after_what_was_read() -> None:
    """Without it a broken line 1000 would lose the 999 tickets before it, or be swallowed."""

    def items() -> Iterator[int]:
        yield from range(20)
        raise OSError("line 21 cannot be read")

    seen: list[int] = []
    with pytest.raises(OSError, match="line 21"):
        seen.extend(done.item for done in run(items(), lambda n: n, concurrency=4))
    assert sorted(seen) == list(range(20))


def test_reading_stops_at_the_first_error() -> None:
    """Without it workers would go on past a broken line, and the items behind it would be done though the run failed."""

    class Broken:
        position = -1

        def __iter__(self) -> "Broken":
            return self

        def __next__(self) -> int:
            self.position += 1
            if self.position == 5:
                raise OSError("bad")
            if self.position > 50:
                raise StopIteration
            return self.position

    seen: list[int] = []
    with pytest.raises(OSError, match="bad"):
        seen.extend(done.item for done in run(Broken(), lambda n: n, concurrency=4))
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_finished_items_are_let_go() -> None:
    """Without it memory would grow with the number of items."""

    class Item:
        pass

    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def items() -> Iterator[Item]:
        for _ in range(2000):
            item = Item()
            alive.add(item)
            yield item

    for done in run(items(), lambda item: item, concurrency=4):
        assert done.error is None
        most = max(most, len(alive))
    gc.collect()
    assert most < 40


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_wrong_concurrency_is_refused_at_once(concurrency: int) -> None:
    """Without it the mistake would show only when the first result is asked for."""
    with pytest.raises(ValueError, match="at least 1"):
        run([1], lambda n: n, concurrency=concurrency)


def test_done_holds_the_item() -> None:
    """Without it a result could not be matched with its input, as the order is lost."""
    assert list(run([7], str, concurrency=1)) == [Done(7, "7")]
