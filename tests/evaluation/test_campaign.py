"""The labelled run: priced before, stored as it goes, resumed where it stopped."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workshop_lib import catalog
from workshop_lib.evaluation.cache import ReplyCache, request_hash
from workshop_lib.evaluation.campaign import Stopped, estimate, label, work
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.llm import Ask, CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import TRIAGE

Tickets = tuple[LabelledTicket, ...]


class Model:
    """Answers everything, counts what it was asked, and does what `trouble` says first."""

    def __init__(self, trouble: Callable[[int], None] = lambda nth: None) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self._trouble = trouble
        self._lock = threading.Lock()

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer one request."""
        with self._lock:
            self.asked[model, request.tags["ticket"]] += 1
            nth = sum(self.asked.values())
        self._trouble(nth)
        return Reply(catalog.model(model).id, "", {}, Usage(100, 20), Cost(1.0), 1.0, "tool_use", source="test")


def raising(error: BaseException, at: int) -> Callable[[int], None]:
    """Return trouble that raises at the n-th call."""

    def trouble(nth: int) -> None:
        if nth == at:
            raise error

    return trouble


def todo(tickets: Tickets) -> Any:
    """Return the work of asking two models about the tickets."""
    return work(["nano", "opus"], [entry.ticket for entry in tickets])


def test_each_model_is_asked_once_a_ticket_and_progress_is_told(tmp_path: Path, tickets: Tickets) -> None:
    """Without it a labelled run could pay twice, or its bars never reach the end."""
    model, told = Model(), Counter[str]()
    cache = ReplyCache(tmp_path / "r.jsonl", model)
    done = label(cache, todo(tickets), concurrency=3, done=lambda name: told.update([name]))
    assert (done.calls, done.failed, cache.partial) == (8, {}, False)
    assert set(model.asked.values()) == {1}
    assert told == {"nano": 4, "opus": 4}


def test_only_what_is_missing_is_asked_again(tmp_path: Path, tickets: Tickets) -> None:
    """Without it a stopped live run would be paid for from the beginning."""
    path = tmp_path / "r.jsonl"
    label(ReplyCache(path, Model()), todo(tickets[:3]))
    model = Model()
    done = label(ReplyCache(path, model), todo(tickets))
    assert (done.calls, set(model.asked)) == (2, {("nano", "X-3"), ("opus", "X-3")})
    assert label(ReplyCache(path, Model()), todo(tickets)).calls == 0


def test_ctrl_c_leaves_a_partial_file_to_go_on_from(tmp_path: Path, tickets: Tickets) -> None:
    """Without it what was paid for before Ctrl-C would be lost, or pass for a complete run."""
    path = tmp_path / "r.jsonl"
    with pytest.raises(Stopped):
        label(ReplyCache(path, Model(raising(KeyboardInterrupt(), at=5))), todo(tickets), concurrency=1)
    stopped = ReplyCache(path)
    assert stopped.partial
    assert 4 <= len(stopped) < 8
    done = label(ReplyCache(path, Model()), todo(tickets))
    assert (done.calls, ReplyCache(path).partial, len(ReplyCache(path))) == (8 - len(stopped), False, 8)


def test_a_failed_call_is_told_and_not_stored(tmp_path: Path, tickets: Tickets) -> None:
    """Without it one throttled call would end a long run, or count as answered."""
    path = tmp_path / "r.jsonl"
    cache = ReplyCache(path, Model(raising(CallError("throttled", "nano", "slow down."), at=2)))
    done = label(cache, todo(tickets), concurrency=1)
    request = TRIAGE.request(tickets[1].ticket)
    assert list(done.failed) == [(catalog.model("nano").id, request_hash(request))]
    assert (len(cache), cache.partial, cache.holds("nano", request)) == (7, True, False)


def test_a_model_that_cannot_be_reached_ends_the_run_at_once(tmp_path: Path, tickets: Tickets) -> None:
    """Without it a missing permission would be tried on every ticket."""
    model = Model(raising(CallError("access", "nano", "denied."), at=1))
    with pytest.raises(CallError, match="denied"):
        label(ReplyCache(tmp_path / "r.jsonl", model), todo(tickets) * 20, concurrency=1)
    assert sum(model.asked.values()) <= 3


def test_an_estimate_counts_what_is_missing_and_calls_nothing(tmp_path: Path, tickets: Tickets) -> None:
    """Without it a person could confirm a bill that is not the run's."""
    forbidden: Ask = lambda model, request: pytest.fail("called")  # noqa: E731
    nano, opus = estimate(ReplyCache(tmp_path / "r.jsonl", forbidden), todo(tickets))
    assert (nano.calls, nano.held, nano.output_tokens, nano.basis) == (4, 0, 800, "length of the prompts")
    price = catalog.model("opus").price
    assert opus.usd == pytest.approx((opus.input_tokens * price.input + opus.output_tokens * price.output) / 1e6)
    assert opus.usd_at_most == pytest.approx((opus.input_tokens * price.input + 4 * 300 * price.output) / 1e6)
    assert 1400 < nano.input_tokens < opus.input_tokens < 2200
    assert not (tmp_path / "r.jsonl").exists()


def test_an_estimate_learns_from_the_replies_there_are(tmp_path: Path, tickets: Tickets) -> None:
    """Without it the estimate of the rest would stay a guess although the model's own count is known."""
    cache = ReplyCache(tmp_path / "r.jsonl", Model())
    label(cache, todo(tickets[:1]))
    nano, _ = estimate(cache, todo(tickets))
    assert (nano.held, nano.calls, nano.input_tokens, nano.output_tokens, nano.basis) == (1, 3, 300, 60, "1 replies")
    label(cache, todo(tickets))
    assert [(row.calls, row.usd) for row in estimate(cache, todo(tickets))] == [(0, 0), (0, 0)]
