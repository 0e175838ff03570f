"""Shares of a quota: whatever workers come, go and die, they never hold more than the whole, and what is free is used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.bulk.scale.shares import LASTS_S, Shares


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


STEPS = st.lists(st.tuples(st.sampled_from(["renew", "leave", "wait"]), st.integers(0, 5), st.floats(0.1, 15)), max_size=60)


@given(workers=st.integers(1, 6), steps=STEPS)
def test_no_order_of_events_gives_out_more_than_the_whole(workers: int, steps: list[tuple[str, int, float]]) -> None:
    """Without it workers that come and die would together go over the account's quota."""
    clock = Clock()
    shares, burst = Shares(workers, clock), 0.0
    for what, worker, seconds in steps:
        if what == "renew":
            burst += shares.renew(f"w{worker}", parts_left=10).burst
        elif what == "leave":
            shares.leave(f"w{worker}")
        else:
            clock.now += seconds
        assert shares.held() <= 1 + 1e-9
    assert burst <= 1 + 1e-9


@given(workers=st.integers(1, 6))
def test_workers_that_renew_soon_share_all_of_it(workers: int) -> None:
    """Without it part of a quota that is paid for would lie idle, or one worker keep it from the others."""
    clock = Clock()
    shares = Shares(2, clock, starting_s=0)
    for _ in range(3):
        clock.now += 1
        grants = [shares.renew(f"w{number}", parts_left=100) for number in range(workers)]
    assert [grant.fraction for grant in grants] == pytest.approx([1 / workers] * workers)


def test_the_first_worker_leaves_room_for_those_awaited() -> None:
    """Without it the first worker would begin with the whole quota, and the second wait for it to give up half."""
    shares = Shares(4, Clock())
    assert shares.renew("a", parts_left=100).fraction == 0.25
    assert shares.renew("b", parts_left=100).fraction == 0.25


def test_the_last_part_has_all_of_the_quota() -> None:
    """Without it the end of a run would crawl at one worker's share."""
    clock = Clock()
    shares = Shares(4, clock)
    for name in "abcd":
        shares.renew(name, parts_left=4)
    for name in "bcd":
        shares.leave(name)
    assert shares.renew("a", parts_left=1).fraction == 1.0


def test_the_share_of_a_dead_worker_is_free_once_its_lease_has_run_out() -> None:
    """Without it a killed worker would take its share with it, or two would use it at once."""
    clock = Clock()
    shares = Shares(2, clock)
    shares.renew("a", parts_left=9)
    shares.renew("dead", parts_left=9)
    clock.now += LASTS_S - 1
    shares.renew("a", parts_left=9)
    newcomer = shares.renew("new", parts_left=9)
    assert newcomer.fraction + shares.renew("a", parts_left=9).fraction <= 0.5 + 1e-9, "the dead one's lease has not run out"
    assert newcomer.burst == 0.0, "the bucket was drawn from by the one that died"
    clock.now += 2
    shares.renew("a", parts_left=9)
    assert shares.renew("new", parts_left=9).fraction == pytest.approx(0.5)


def test_a_run_needs_a_worker() -> None:
    """Without it a wrong number would end in a division by zero."""
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Shares(0)
