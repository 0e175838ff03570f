"""The runner from an event loop: nothing lost, the loop never blocked, and an end that stops the work."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from workshop_lib.bulk import arun

PATIENCE = 10  # seconds until a test that hangs fails; nothing waits for it to pass


def test_every_item_is_done_once() -> None:
    """Without it a service would lose tickets, or route them twice."""

    async def main() -> list[int]:
        return [done.result async for done in arun(range(100), lambda n: 2 * n, concurrency=8) if done.result is not None]

    assert sorted(asyncio.run(main())) == [2 * n for n in range(100)]


def test_the_loop_goes_on_while_work_waits() -> None:
    """Without it one slow call would hold up every other request of a service."""
    release = threading.Event()

    async def main() -> list[object]:
        async def others() -> None:
            await asyncio.sleep(0)
            release.set()  # only a loop that is free can do this

        task = asyncio.create_task(others())
        found = [done.result async for done in arun([1], lambda _: release.wait(PATIENCE), concurrency=1)]
        await task
        return list(found)

    assert asyncio.run(main()) == [True]


def test_leaving_early_begins_nothing_more() -> None:
    """Without it a client that goes away would be paid for to the end."""
    begun: list[int] = []

    async def main() -> None:
        async with aclosing(arun(range(1000), begun.append, concurrency=2)) as results:
            async for _ in results:
                break

    asyncio.run(main())
    assert len(begun) < 20


def test_a_cancelled_task_begins_nothing_more() -> None:
    """Without it a request that timed out would go on calling."""
    begun: list[int] = []
    first = threading.Event()
    release = threading.Event()

    def work(n: int) -> None:
        begun.append(n)
        first.set()
        release.wait(PATIENCE)

    async def consume() -> None:
        async for _ in arun(range(1000), work, concurrency=2):
            pass

    async def main() -> None:
        task = asyncio.create_task(consume())
        await asyncio.to_thread(first.wait, PATIENCE)
        task.cancel()
        await asyncio.sleep(0)
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(begun) <= 6


def test_a_broken_input_is_raised_after_what_came_before() -> None:
    """Without it an unreadable file would look like its end."""

    def items() -> object:
        yield 1
        raise OSError("gone")

    found: list[int] = []

    async def main() -> None:
        async for _ in arun(items(), found.append, concurrency=1):  # type: ignore[arg-type]
            pass

    with pytest.raises(OSError, match="gone"):
        asyncio.run(main())
    assert found == [1]


def test_concurrency_of_nothing_is_refused() -> None:
    """Without it a run would wait for ever."""

    async def main() -> None:
        async for _ in arun([1], lambda n: n, concurrency=0):
            pass

    with pytest.raises(ValueError, match="at least 1, got 0"):
        asyncio.run(main())
