"""Evidence: telling a limit, above which slowing down helps, from refusals that come at any rate."""

import pytest

from workshop_lib.bulk.evidence import Evidence


def sent(evidence: Evidence, rate: float, share: float, number: int) -> None:
    """Add sends at a rate, of which a share is refused, evenly."""
    for send in range(number):
        evidence.add(rate, refused=int((send + 1) * share) > int(send * share))


def test_a_limit_is_no_reason_to_go_back() -> None:
    """Without it a pacer would take a quota for bad luck and run into it for ever."""
    evidence = Evidence()
    sent(evidence, 100, 0.5, 100)  # a limit of 50: half is refused at 100 a second, little at 55
    sent(evidence, 55, 0.1, 100)
    assert evidence.better_rate(1.0) is None
    assert evidence.tolerated is None


def test_refusals_at_any_rate_are_tolerated_and_the_rate_is_given_back() -> None:
    """Without it a share of refusals that the rate does not change would slow a run to nothing."""
    evidence = Evidence()
    sent(evidence, 100, 0.1, 100)
    assert evidence.better_rate(1.0) is None, "one rate tells nothing"
    sent(evidence, 50, 0.1, 100)
    assert evidence.better_rate(2.0) == pytest.approx(100)
    assert evidence.tolerated == pytest.approx(0.1, abs=0.05)
    assert evidence.growing


def test_most_refused_is_never_tolerated() -> None:
    """Without it an account that is all but closed would be asked at full speed."""
    evidence = Evidence()
    sent(evidence, 100, 0.8, 200)
    sent(evidence, 50, 0.8, 200)
    assert evidence.better_rate(1.0) is None


def tolerant() -> Evidence:
    """Return evidence that tolerates a tenth."""
    evidence = Evidence()
    sent(evidence, 100, 0.1, 100)
    sent(evidence, 50, 0.1, 100)
    assert evidence.better_rate(1.0) is not None
    return evidence


def test_more_refusals_than_tolerated_slow_down_again() -> None:
    """Without it a limit that is met later would not be seen."""
    evidence = tolerant()
    sent(evidence, 100, 0.1, 60)
    assert evidence.better_rate(2.0) == 100
    sent(evidence, 100, 0.6, 60)
    assert evidence.better_rate(3.0) is None
    assert evidence.tolerated is None


def test_growing_ends_where_it_brings_no_more_answers() -> None:
    """Without it growing quickly would run far beyond a limit before it is seen."""
    evidence = tolerant()
    sent(evidence, 100, 0.02, 200)
    sent(evidence, 160, 0.35, 60)
    assert evidence.better_rate(2.0) == pytest.approx(100)
    assert not evidence.growing


def test_tolerance_ends_after_a_minute() -> None:
    """Without it what was learned once would be believed for the whole night."""
    evidence = tolerant()
    sent(evidence, 100, 0.1, 60)
    assert evidence.better_rate(62.0) is None
    assert evidence.tolerated is None
