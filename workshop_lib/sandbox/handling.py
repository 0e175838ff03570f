"""The one path of every request once it is understood: faults, quotas, the answer, the ledger."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from starlette.types import Scope

from workshop_lib.catalog import Model
from workshop_lib.sandbox import asgi, damage, meters, tokens
from workshop_lib.sandbox.answering import Answerer, AnswerFailed, StandIns, pieces
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.cutting import Cut
from workshop_lib.sandbox.faults import Arrival, Failure, Faults, Plan
from workshop_lib.sandbox.ledger import Ledger, Outcome
from workshop_lib.sandbox.quotas import Admission, Quotas
from workshop_lib.sandbox.wire import Exchange, Reply, Streamed, Writer

LATENCY_HEADER = "x-workshop-latency-ms"
SCOPE_HEADER = b"x-workshop-scope"
_ATTEMPT = re.compile(r"attempt=(\d{1,6})")
_NO_FAULTS = Plan()


@dataclass(frozen=True)
class Sender:
    """Whose request it is: scope and tags for faults, quotas and the ledger, which attempt of which call, and the meter it counts for."""

    scope: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    invocation: str | None = None
    attempt: int = 1
    meter: str | None = None


def sender(scope: Scope, fields: Mapping[str, Any], metadata: str) -> Sender:
    """Return who sent a request; `metadata` names the member of the body that holds its tags."""
    invocation, attempt = asgi.header(scope, b"amz-sdk-invocation-id"), 1
    sdk = _ATTEMPT.search(asgi.header(scope, b"amz-sdk-request") or "")
    if sdk is not None:
        attempt = max(1, int(sdk[1]))
    else:
        retried = asgi.header(scope, b"x-stainless-retry-count") or ""
        attempt = 1 + int(retried) if retried.isdecimal() and len(retried) < 7 else 1
    found = fields.get(metadata)
    tags = {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    meter = meters.named(asgi.header(scope, meters.HEADER), asgi.header(scope, b"user-agent"))
    return Sender(asgi.header(scope, SCOPE_HEADER) or tags.get("scope"), tags, invocation[:64] if invocation else None, attempt, meter)


class Handling:
    """Who answers, which faults and quotas are in force, and the ledger."""

    def __init__(self, time_scale: float = 0.0) -> None:
        self.answerer: Answerer = StandIns(time_scale)
        self.faults = Faults()
        self.quotas = Quotas()
        self.ledger = Ledger()
        self.meters = meters.Meters()

    async def answered(self, asked: Exchange, sent_by: Sender) -> Reply | Streamed:
        """Return the answer to a request understood, as the faults and the quotas in force let it pass; raises the protocol's Refusal."""
        if asked.tags != sent_by.tags:  # InvokeModel has them in a header
            sent_by = replace(sent_by, tags=asked.tags)
        plan = self._plan(asked.asks[0], sent_by)
        await self._refused(asked, sent_by, plan)
        status = damage.bare_status(plan)
        if status is not None:
            self.record(asked.asks[0].model, sent_by, "throttled" if status == 429 else "errors")
            return damage.bare(status)
        admission = self._admitted(asked, sent_by)
        if asked.streaming:
            return self._streamed(asked, sent_by, plan, admission)
        done: list[Completion] = []
        try:
            done = await self._complete(asked, plan)
        except AnswerFailed as failed:
            self.record(asked.asks[0].model, sent_by, "errors")
            raise asked.refusal(failed.failure) from failed
        finally:
            if admission is not None:
                admission.settle(done)
        self.record(asked.asks[0].model, sent_by, "ok", done)
        headers = {asked.request_id_header: str(uuid4()), LATENCY_HEADER: str(done[0].latency_ms), asgi.SOURCE_HEADER: done[0].source}
        return damage.whole((200, {**headers, **asked.headers}, asked.body(done)), plan)

    def record(self, model: Model, sent_by: Sender, outcome: Outcome, done: Sequence[Completion] = ()) -> None:
        """Count one request in the ledger, with what its answers used, and if it was answered in the meter it names."""
        usd = self.ledger.record(
            model,
            sent_by.scope,
            outcome,
            done[0].input_tokens if done else 0,  # several choices read one input
            sum(one.output_tokens for one in done),
            cache_read=done[0].cache_read_tokens if done else 0,
            cache_write=done[0].cache_write_tokens if done else 0,
            source=done[0].source if done else "stand-in",
            tags=sent_by.tags,
            invocation=sent_by.invocation,
            attempt=sent_by.attempt,
        )
        if outcome == "ok" and sent_by.meter:
            self.meters.count(sent_by.meter, usd, done[0].latency_ms if done else 0)

    def _plan(self, asked: Ask, sent_by: Sender) -> Plan:
        if not self.faults.meet(asked.model, sent_by.scope):
            return _NO_FAULTS
        text = "\n".join((asked.system, *(turn.text for turn in asked.turns)))
        return self.faults.plan(asked.model, sent_by.scope, Arrival(asked.digest, sent_by.invocation, sent_by.attempt), text)

    async def _refused(self, asked: Exchange, sent_by: Sender, plan: Plan) -> None:
        """Wait, fail, stall or cut as the faults say."""
        if plan.wait_ms:
            await asyncio.sleep(plan.wait_ms / 1000)
        if plan.failure is not None:
            self.record(asked.asks[0].model, sent_by, "throttled" if plan.failure.kind == "throttled" else "errors")
            raise asked.refusal(plan.failure)
        try:
            await damage.before_first_byte(plan)
        except Cut:
            self.record(asked.asks[0].model, sent_by, "errors")
            raise

    def _admitted(self, asked: Exchange, sent_by: Sender) -> Admission | None:
        first = asked.asks[0]
        if not self.quotas.limit(first.model, sent_by.scope):
            return None
        most = None if first.max_tokens is None else first.max_tokens * len(asked.asks)
        found = self.quotas.admit(first.model, sent_by.scope, tokens.input_tokens(first), most)
        if isinstance(found, Failure):
            self.record(first.model, sent_by, "throttled")
            raise asked.refusal(found)
        return found

    async def _complete(self, asked: Exchange, plan: Plan) -> list[Completion]:
        screened = asked.screened()
        if screened is not None:
            return [screened]
        return [asked.finished(damage.spoiled(await self.answerer.complete(one), plan, one.digest)) for one in asked.asks]

    def _streamed(self, asked: Exchange, sent_by: Sender, plan: Plan, admission: Admission | None) -> Streamed:
        writer = asked.writer()
        chunks = self._chunks(asked, sent_by, plan, writer, admission)
        source = "stand-in" if asked.screened() else self.answerer.source(asked.asks[0])
        headers = {"content-type": asked.stream_type, asked.request_id_header: str(uuid4()), asgi.SOURCE_HEADER: source, **asked.headers}
        return Streamed(headers, damage.stream(chunks, writer, plan) if plan.broken else chunks)

    async def _chunks(
        self, asked: Exchange, sent_by: Sender, plan: Plan, writer: Writer, admission: Admission | None
    ) -> AsyncGenerator[bytes]:
        """Yield an answer as it is written on the stream; it is counted when it is complete, else as failed or aborted."""
        done: list[Completion] = []
        outcome: Outcome = "aborted"
        try:
            try:
                async with aclosing(self._parts(asked, plan)) as parts:
                    async for part in parts:
                        if isinstance(part, Completion):
                            done.append(part)
                        else:
                            yield writer.piece(part)
            except AnswerFailed as failed:
                outcome = "errors"
                yield writer.failed(failed.failure)
                return
            outcome = "ok"
            yield writer.end(done)
        finally:
            self.record(asked.asks[0].model, sent_by, outcome, done if outcome == "ok" else ())
            if admission is not None:
                admission.settle(done)

    async def _parts(self, asked: Exchange, plan: Plan) -> AsyncGenerator[Piece | Completion]:
        screened = asked.screened()
        if screened is not None or asked.buffered or plan.spoiled:
            for choice, one in enumerate(asked.asks):
                whole = screened or asked.finished(damage.spoiled(await self.answerer.complete(one), plan, one.digest))
                for piece in pieces(whole):
                    yield replace(piece, choice=choice)
                yield whole
            return
        for choice, one in enumerate(asked.asks):
            async with aclosing(self.answerer.stream(one)) as parts:
                async for part in parts:
                    yield asked.finished(part) if isinstance(part, Completion) else replace(part, choice=choice)
