"""Recorded replies: ask a model once, and replay its reply ever after without a call."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

from workshop_lib import catalog
from workshop_lib.errors import DataError, WorkshopError
from workshop_lib.evaluation import reply_file
from workshop_lib.evaluation.provenance import Difference, Provenance, differences, settings, sha256, template
from workshop_lib.evaluation.reply_file import Key
from workshop_lib.llm import Ask, CallError, Reply, Request

_SHOWN = 3


class CacheMiss(WorkshopError):
    """A reply is wanted that was never recorded, and no model may be called."""


class ProvenanceError(DataError):
    """Recorded replies are wanted for something other than what they were recorded under; `differences` says what differs."""

    def __init__(self, message: str, found: tuple[Difference, ...] = ()) -> None:
        super().__init__(message)
        self.differences = found


def request_hash(request: Request) -> str:
    """Return the sha256 of everything a model sees of a request; tags are bookkeeping and do not count."""
    return sha256({**template(request), **settings(request), "prompt": request.prompt, **request.drawn()})


class ReplyCache:
    """An `Ask` that serves recorded replies and records new ones, one JSON line each; without `inner` it only replays.

    `calls` counts calls of `inner`, `hits` replies served without one. A reply is on disk before it is returned; a call that fails is not
    recorded. Threads may share it, and the same request asked twice at once is called once. `path=None` keeps the replies in memory only.
    """

    def __init__(self, path: Path | None, inner: Ask | None = None, provenance: Provenance | None = None) -> None:
        self.path = path
        self.calls = 0
        self.hits = 0
        self._inner = inner
        self._lock = threading.Lock()
        self._pending: dict[Key, Future[Reply]] = {}
        found = reply_file.read(path) if path is not None else None
        self._replies: dict[Key, Reply] = dict(found.replies) if found is not None else {}
        self._code = found.code if found is not None else ""
        self._finished = found is not None and found.finished
        self.provenance: Provenance | None = found.provenance if found is not None else None
        self._stated = self.provenance  # what the file says; it is brought up to date with the next line that is written
        if provenance is not None:
            self.bind(provenance)

    def __len__(self) -> int:
        """Return how many replies are recorded."""
        return len(self._replies)

    @property
    def partial(self) -> bool:
        """Say whether the file lacks the mark of a run that got all its replies; False in memory and without a file."""
        return self.path is not None and bool(self._replies) and not self._finished

    def holds(self, model: str, request: Request) -> bool:
        """Say whether a reply is recorded."""
        return (catalog.model(model).id, request_hash(request)) in self._replies

    def replies_of(self, model: str) -> list[Reply]:
        """Return all recorded replies of one model."""
        model_id = catalog.model(model).id
        with self._lock:
            return [reply for (name, _), reply in self._replies.items() if name == model_id]

    def bind(self, wanted: Provenance) -> None:
        """Say what the replies are wanted for; a new file will state it in its first line, an existing one must agree.

        Models and tickets that the file does not name yet are added to it. Raises ProvenanceError naming every field that differs. In memory nothing
        is checked.
        """
        with self._lock:
            if self.path is None:
                return
            if self.provenance is None:
                if self._replies:
                    raise ProvenanceError(f"{self.path} does not say what its replies were recorded under, so they cannot be trusted here. Record anew into another file.")
                self.provenance = wanted
                return
            found = differences(self.provenance, wanted)
            if wanted.backend is not None and self.provenance.backend is None:
                found += [Difference("backend", source, wanted.backend) for source in sorted(self._sources()) if _other(source, wanted.backend)]
            if found:
                raise ProvenanceError(_refusal(self.path, found, self._code), tuple(found))
            self.provenance = self.provenance.merged(wanted)

    def finish(self) -> None:
        """Mark the file as holding all that the run wished for; until then it is partial. Nothing is written twice."""
        with self._lock:
            if self.path is not None and self._inner is not None and self._replies and not self._finished:
                self._write(reply_file.finished_line(len(self._replies)))
                self._finished = True

    def __call__(self, model: str, request: Request) -> Reply:
        """Return the recorded reply, or call `inner` and record it; raise CacheMiss when there is neither."""
        model_id = catalog.model(model).id
        key = (model_id, request_hash(request))
        with self._lock:
            if key in self._replies:
                self.hits += 1
                return self._replies[key]
            if self._inner is None:
                raise CacheMiss(self._miss(model_id, request))
            waiting = self._pending.get(key)
            if waiting is None:
                mine = self._pending[key] = Future()
                self.calls += 1
            else:
                self.hits += 1
        return self._call(self._inner, model, key, request, mine) if waiting is None else waiting.result()

    def _call(self, inner: Ask, model: str, key: Key, request: Request, mine: "Future[Reply]") -> Reply:
        try:
            reply = inner(model, request)
            with self._lock:
                if self.path is not None:
                    self._write(reply_file.reply_line(key, request, reply))
                self._finished = False
                self._replies[key] = reply
        except BaseException as error:  # whoever waits for this call must hear of its end, an interrupt included
            mine.set_exception(error)
            raise
        else:
            mine.set_result(reply)
            return reply
        finally:
            with self._lock:
                del self._pending[key]

    def _write(self, line: dict[str, object]) -> None:
        assert self.path is not None
        before: list[dict[str, object]] = []
        if not self.path.exists() or not self.path.stat().st_size:
            before.append(reply_file.header_line(self.provenance))
        elif self.provenance is not None and self.provenance != self._stated:
            before.append(reply_file.provenance_line(self.provenance))
        reply_file.append(self.path, [*before, line])
        self._stated = self.provenance

    def _sources(self) -> set[str]:
        return {reply.source for reply in self._replies.values()}

    def _miss(self, model_id: str, request: Request) -> str:
        item = ", ".join(f"{name} {value}" for name, value in request.tags.items()) or f"the request that begins {request.prompt[:40]!r}"
        where = "this replay" if self.path is None else f"{self.path}, whose run did not finish," if self.partial else str(self.path)
        return f"{where} holds no reply of {model_id} to {item}. Record it: open the cache with a gateway as `inner`, then ask again."


def once(ask: Ask, failed: Mapping[Key, CallError] | None = None) -> Ask:
    """Return an `Ask` that asks each thing once and then repeats the outcome, failures too: a cascade must meet what its tiers met.

    `failed` holds failures met before, by model id and request hash; they are repeated without a call.
    """
    replies = ReplyCache(None, ask)
    failures = dict(failed or {})

    def answer(model: str, request: Request) -> Reply:
        key = (catalog.model(model).id, request_hash(request))
        if key in failures:
            raise failures[key]
        try:
            return replies(model, request)
        except CallError as error:
            failures[key] = error
            raise

    return answer


def _other(source: str, backend: str) -> bool:
    """Say whether replies of a source cannot come from a backend: a stand-in's are never live, and what is live is no sandbox's."""
    return (source == "live") != (backend == "live")


def _refusal(path: Path, found: list[Difference], code: str) -> str:
    shown = "; ".join(f"{one.field} was {_brief(one.recorded)}, is {_brief(one.wanted)} now" for one in found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{path} was recorded under other conditions: {shown}{more}. Record anew into another file, or restore what this one was recorded under (code {code})."


def _brief(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else repr(value) if isinstance(value, str) else text
