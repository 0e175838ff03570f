"""A worker's side of the shared quota: it keeps to its share, sends nothing with a lease that has run out, and gives back what it did not use."""

import threading

import pytest

from workshop_lib.bulk.job import End
from workshop_lib.bulk.journal import Totals
from workshop_lib.bulk.paced import CallLimitReached
from workshop_lib.bulk.pacing import Limit, Rate, Stopped
from workshop_lib.bulk.scale.leased import Lease, LeasedPacers
from workshop_lib.bulk.scale.ledger import Ledger, Limits, Report, Share
from workshop_lib.bulk.station import Pace

PACE = Pace(4, {"nano": Limit(rpm=600, tpm=6000)})


def test_a_share_is_kept_and_follows_the_lease() -> None:
    """Without it N workers would send N times the quota."""
    pacers = LeasedPacers(PACE)
    pacers.take(Share(0.5, 0.5, 10), ends=1e12)
    pacer = pacers.pacer("nano")
    assert pacer.per_second == pytest.approx(0.99 * 5)
    pacers.take(Share(1.0, 0.0, 10), ends=1e12)
    assert pacer.per_second == pytest.approx(0.99 * 10)
    pacers.take(Share(0.1, 0.0, 10), ends=1e12)
    assert pacer.per_second == pytest.approx(0.99)


@pytest.mark.parametrize(("burst", "wait"), [(0.5, 0.0), (0.0, 6.0)])
def test_only_the_first_workers_begin_with_a_full_bucket(burst: float, wait: float) -> None:
    """Without it every worker that replaces a dead one would bring a minute's tokens along."""
    rate = Rate(Limit(tpm=6000))
    rate.restate(Limit(tpm=3000), full=burst / 0.5)
    assert rate.delay(0.0, 300) == pytest.approx(wait)


def test_what_was_learned_below_a_limit_is_kept_in_proportion() -> None:
    """Without it a share that grows would forget that the service takes less than was stated."""
    rate = Rate(Limit(rpm=6000))
    rate.sent(0.0)
    for second in range(1, 4):
        rate.refused(float(second))
        rate._since_cut = 99  # as after many answers
    before = rate.per_second
    assert before is not None
    assert before < 98
    rate.restate(Limit(rpm=3000))
    assert rate.per_second == pytest.approx(before / 2)


def test_a_refusal_never_raises_a_small_share() -> None:
    """Without it 64 workers with a tenth of a call a second each would send twice their quota after the first refusal."""
    rate = Rate(Limit(rpm=3))
    slow = rate.per_second
    assert slow is not None
    rate.refused(1.0)
    rate.refused(2.0)
    assert rate.per_second is not None
    assert rate.per_second <= slow


def test_nothing_is_sent_with_a_lease_that_has_run_out() -> None:
    """Without it a machine that had slept would send with a share that another has taken."""
    now = [0.0]
    pacers = LeasedPacers(PACE, clock=lambda: now[0])
    pacers.take(Share(1.0, 1.0, 10), ends=10.0)
    pacers.pacer("nano")
    pacers.sending("nano")
    now[0] = 10.0
    with pytest.raises(Stopped):
        pacers.sending("nano")
    assert pacers.snapshot()["nano"].sends == 1


def test_calls_are_taken_in_batches_until_none_are_left() -> None:
    """Without it a worker would stop after its first batch, or go on without one."""
    batches = iter([2, 1, 0])
    pacers = LeasedPacers(PACE, lambda: next(batches))
    pacers.take(Share(1.0, 1.0, 10), ends=1e12)
    pacers.pacer("nano")
    for _ in range(3):
        pacers.sending("nano")
    with pytest.raises(CallLimitReached):
        pacers.sending("nano")


def test_unused_calls_are_given_back() -> None:
    """Without it calls would be lost with every part."""
    ledger = Ledger({}, 1, 1, Limits(max_calls=10))
    pacers = LeasedPacers(PACE, ledger.more_calls)
    with Lease(ledger, "a", pacers, lambda: Report(0, Totals()), lambda _: None):
        pacers.pacer("nano")
        pacers.sending("nano")
    assert pacers.unused() == 0
    left = 0
    while (batch := ledger.more_calls()) > 0:
        left += batch
    assert left == 9


def test_an_end_reaches_the_part_in_hand() -> None:
    """Without it Ctrl-C would not be heard until a part has ended."""
    ledger, ended, heard = Ledger({}, 1, 1), threading.Event(), []

    def stop(end: End) -> None:
        heard.append(end)
        ended.set()

    with Lease(ledger, "a", LeasedPacers(PACE), lambda: Report(0, Totals(3)), stop):
        ledger.stop("interrupted")
        assert ended.wait(30)
    assert heard[0] == "interrupted"
    assert ledger.told().totals.tickets == 3
