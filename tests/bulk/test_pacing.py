"""Pacing, in simulated time: what a run gets out of a limited service, what it wastes, and that stated limits are kept."""

import heapq
import random
import threading
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from workshop_lib.bulk.pacing import Limit, Pacer, Rate, Stopped


@dataclass
class Outcome:
    """What a simulated run came to; times in seconds."""

    wall: float
    answered: int
    refused: int
    slowest: float


def simulate(limit: float, items: int, workers: int, latency: float, rate: Rate, seed: int = 0, *, anyway: float = 0.0, told_s: float = 0.0) -> Outcome:
    """Run items through workers against a service with a token bucket of `limit` a second and a burst of one second.

    It refuses a share `anyway` of all calls on top, whatever the rate; a refusal is told after `told_s` seconds.
    """
    draw = random.Random(seed)
    level, filled = limit, 0.0
    events: list[tuple[float, int, bool, float]] = []  # when, worker, whether it was refused before, first send
    for worker in range(workers):
        heapq.heappush(events, (draw.random() * 0.01, worker, False, -1.0))
    left, answered, refused, waits = items, 0, 0, []
    now = 0.0
    telling: list[tuple[float, bool, float | None]] = []  # when, whether refused, the rate it left at
    while events:
        now, worker, again, first = heapq.heappop(events)
        while telling and telling[0][0] <= now:
            when, was_refused, left_at = heapq.heappop(telling)
            if was_refused:
                rate.refused(when, left_at)
            else:
                rate.answered(left_at)
        if not again and left <= 0:
            continue
        delay = rate.delay(now)
        if delay > 0:
            # those refused before go first: they come back a little earlier than the others
            heapq.heappush(events, (now + delay * (1.0 if again else 1.0 + 1e-6), worker, again, first))
            continue
        rate.sent(now)
        left_at = rate.per_second
        left -= not again
        first = now if first < 0 else first
        level, filled = min(limit, level + (now - filled) * limit), now
        if level >= 1 and draw.random() >= anyway:
            heapq.heappush(telling, (now + told_s, False, left_at))
            level -= 1
            answered += 1
            waits.append(now + latency - first)
            heapq.heappush(events, (now + latency, worker, False, -1.0))
        else:
            refused += 1
            heapq.heappush(telling, (now + told_s, True, left_at))
            heapq.heappush(events, (now + 0.002 + draw.random() * 0.5, worker, True, first))
    waits.sort()
    return Outcome(now, answered, refused, waits[int(0.99 * len(waits))])


@pytest.mark.parametrize(("per_second", "goodput"), [(50, 0.95), (20, 0.93)])
@pytest.mark.parametrize("stated", [False, True])
def test_a_limited_service_is_used_almost_fully_and_hardly_refuses(per_second: float, goodput: float, *, stated: bool) -> None:
    """Without it the pacer could crawl, or earn a refusal for every answer."""
    rate = Rate(Limit(rpm=60 * per_second) if stated else None)
    done = simulate(per_second, 2000, 64, 0.05, rate)
    assert done.answered == 2000
    assert 2000 / done.wall >= goodput * per_second
    assert done.refused <= 0.03 * 2000


@pytest.mark.parametrize("anyway", [0.02, 0.1, 0.3])
def test_refusals_that_come_at_any_rate_do_not_stop_a_run(anyway: float) -> None:
    """Without it a service whose capacity is used by others would be asked ever more slowly, down to one call in seconds."""
    done = simulate(1e9, 2000, 64, 0.05, Rate(), anyway=anyway, told_s=0.005)
    assert done.answered == 2000
    assert 2000 / done.wall >= 40
    assert done.slowest <= 4


def test_a_limit_is_kept_when_calls_are_refused_anyway_too() -> None:
    """Without it a pacer that tolerates some refusals would run into the limit for ever."""
    done = simulate(50, 4000, 64, 0.05, Rate(), anyway=0.02, told_s=0.005)
    assert 4000 / done.wall >= 0.8 * 50
    assert done.refused <= 0.25 * 4000


def test_nothing_is_held_back_before_the_first_refusal() -> None:
    """Without it an unlimited service would be slowed for nothing."""
    rate = Rate()
    for send in range(1000):
        assert rate.delay(send / 1000) == 0
        rate.sent(send / 1000)


def test_the_first_refusal_sets_seven_tenths_of_the_last_second() -> None:
    """Without it one refusal could stop a run, or change nothing."""
    rate = Rate()
    for send in range(100):
        rate.sent(send / 100)
    rate.refused(1.0)
    assert rate.per_second == pytest.approx(0.7 * 99)  # the send at 0 s is a second old
    rate.refused(1.1)
    assert rate.per_second == pytest.approx(0.7 * 99), "cut at most twice a second"
    rate.refused(1.6)
    assert rate.per_second == pytest.approx(0.7 * 99), "and not before six sends told how the last cut did"
    for _ in range(5):
        rate.answered(rate.per_second)
    rate.refused(1.7)
    assert rate.per_second == pytest.approx(0.9 * 0.7 * 99)


def test_a_quiet_busy_second_gains_and_an_idle_one_nothing() -> None:
    """Without it a run would stay slow for ever after one bad second, or an idle hour would undo all that was learned."""
    rate = Rate()
    for send in range(10):
        rate.sent(send / 100)
    rate.refused(0.1)
    before = rate.per_second
    assert before is not None
    assert rate.delay(100.0) == 0
    assert rate.per_second == before
    for send in range(20):
        rate.sent(200 + send / 20)
    rate.delay(201.0)
    assert rate.per_second == pytest.approx(before * 1.2), "the first cut may rest on few sends"
    for _ in range(6):
        rate.answered(rate.per_second)
    rate.refused(201.1)
    before = rate.per_second
    assert before is not None
    for send in range(20):
        rate.sent(300 + send / 20)
    rate.delay(301.0)
    assert rate.per_second == pytest.approx(before * 1.02)


def test_a_thread_that_wakes_late_does_not_slow_the_rate() -> None:
    """Without it the milliseconds by which threads wake late would add up to a part of the quota that nobody uses."""
    rate, now = Rate(Limit(rpm=3000)), 0.0
    for _ in range(1000):
        now += rate.delay(now) + 0.004
        rate.sent(now)
    assert 1000 / now >= 0.985 * 50


@property_settings(max_examples=40)
@given(st.lists(st.floats(0, 0.5) | st.just(3600.0), min_size=1, max_size=60), st.floats(0, 1))
def test_a_stated_rate_is_kept_in_every_second(pauses: list[float], window_s: float) -> None:
    """Without it what makes up for a delay, or an hour that a machine slept, could become a burst that a service refuses."""
    rate, now, left = Rate(Limit(rpm=3000)), 0.0, []
    for pause in pauses:
        now += pause
        now += rate.delay(now)
        rate.sent(now)
        left.append(now)
    for begin in left:
        assert sum(begin <= moment <= begin + window_s for moment in left) <= 1 + 50 * (window_s + 0.1) + 1e-6


@given(st.lists(st.floats(0, 500), min_size=1, max_size=60), st.floats(60, 6000))
def test_stated_tokens_are_never_overdrawn_by_more_than_one_send(sizes: list[float], tpm: float) -> None:
    """Without it a stated token limit would only be a suggestion."""
    rate, now, spent = Rate(Limit(tpm=tpm)), 0.0, 0.0
    for size in sizes:
        now += rate.delay(now, size)
        assert rate.delay(now, size) <= 1e-6
        rate.sent(now, size)
        spent += size
        assert spent <= tpm + now * tpm / 60 + max(0.0, size - tpm) + 1e-6 or size > tpm


def test_settling_gives_back_what_was_reserved_and_not_used() -> None:
    """Without it every call would count with its full maxTokens, and the limit be reached long before it is."""
    rate = Rate(Limit(tpm=600))
    assert rate.delay(0.0, 600) == 0
    rate.sent(0.0, 600)
    assert rate.delay(0.0, 100) == pytest.approx(10)
    rate.settled(600, 100)
    assert rate.delay(0.0, 100) == 0


def test_a_limit_must_be_positive() -> None:
    """Without it a limit of nothing would wait for ever."""
    with pytest.raises(ValueError, match="rpm must be positive, got 0"):
        Limit(rpm=0)


def test_stopping_wakes_all_that_wait() -> None:
    """Without it Ctrl-C would hang until every waiting send had its turn."""
    pacer = Pacer(Limit(rpm=0.01))
    pacer.acquire()
    ended: list[bool] = []

    def wait() -> None:
        try:
            pacer.acquire()
        except Stopped:
            ended.append(True)

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    pacer.stop()
    for thread in threads:
        thread.join(10)
    assert ended == [True] * 8


def test_those_refused_before_go_first() -> None:
    """Without it a retried ticket would queue behind hundreds of new ones and come last."""
    clock = [0.0]
    pacer = Pacer(Limit(rpm=6000 / 0.99), clock=lambda: clock[0])
    pacer.acquire()
    order: list[str] = []

    def wait(name: str, *, urgent: bool) -> None:
        pacer.acquire(urgent=urgent)
        order.append(name)

    threads = []
    for name, urgent in (("new", False), ("retried", True)):
        thread = threading.Thread(target=wait, args=(name,), kwargs={"urgent": urgent})
        thread.start()
        threads.append(thread)
        while len(pacer._queue) < len(threads):
            time.sleep(0.001)
    for place, moment in enumerate((0.01, 0.02)):
        clock[0] = moment
        while len(order) <= place:
            time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert order == ["retried", "new"]
