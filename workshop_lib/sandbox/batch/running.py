"""Running one batch job: records in, answers by the same models as any request, outputs in another order, and the manifest."""

import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import IO, Any, Protocol

from workshop_lib.catalog import Model
from workshop_lib.sandbox import damage
from workshop_lib.sandbox.answering import Answerer, AnswerFailed, StandIns
from workshop_lib.sandbox.ask import Completion
from workshop_lib.sandbox.batch.job import Job
from workshop_lib.sandbox.batch.storage import Storage, StorageFailed
from workshop_lib.sandbox.bedrock import operations
from workshop_lib.sandbox.bedrock.errors import Refusal
from workshop_lib.sandbox.bedrock.prompt_cache import PromptCaches
from workshop_lib.sandbox.faults import Arrival, Faults, Plan
from workshop_lib.sandbox.faults.kinds import STALLS
from workshop_lib.sandbox.ledger import Ledger
from workshop_lib.sandbox.wire import Exchange

FEWEST, MOST = 100, 50_000
"""Records of one job. The service's values are quotas of each model; these stand for them."""
_NO_TOOLS = "Tool use is not supported in batch inference with the Converse invocation type; remove toolConfig, or use InvokeModel."
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Serving(Protocol):
    """What of a sandbox a job needs: who answers, the faults in force, and the ledger of batch records."""

    seed: int
    answerer: Answerer
    faults: Faults
    batch_ledger: Ledger
    prompt_caches: PromptCaches


class _OutOfTime(Exception):
    """A record held the job up until its time was over."""


async def run(job: Job, here: Serving) -> None:
    """Run a job to its end; whatever goes wrong with its files is its failure, told in its message."""
    try:
        storage = await asyncio.to_thread(Storage, job.endpoint, job.region)
        job.move("Validating")
        with tempfile.TemporaryFile() as records:
            names = await asyncio.to_thread(_fetched, job, storage, records)
            if job.status != "Stopping":
                job.move("Scheduled")
                job.move("InProgress")
            for name, end in names:
                await _answered(job, here, storage, records, name, end)
        await asyncio.to_thread(storage.write, f"{job.target}/manifest.json.out", BytesIO(_JSON.encode(job.counts.manifest()).encode()))
        processed = job.counts.success + job.counts.error
        job.move("Stopped" if job.status == "Stopping" else "Completed" if processed == job.counts.total else "PartiallyCompleted")
    except (StorageFailed, _Invalid) as failed:
        job.move("Failed", str(failed))
    except Exception as error:  # the edge of the job: it must end, and say why
        print(f"sandbox: the job {job.arn} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        job.move("Failed", "The sandbox failed at this job; its standard error says why.")


class _Invalid(Exception):
    """The input is not what a job may have."""


def _fetched(job: Job, storage: Storage, records: IO[bytes]) -> list[tuple[str, int]]:
    """Copy the input to a file of this machine, checked; return the names of its files, each with where it ends."""
    keys = storage.inputs(job.source)
    if not keys:
        raise _Invalid(f"No .jsonl file at {job.source}.")
    found = []
    for key in keys:
        for number, line in enumerate(storage.lines(job.source, key), 1):
            if line.strip():
                _check(line, f"{key} line {number}")
                job.counts.total += 1
                records.write(line + b"\n")
        found.append((key.rsplit("/", 1)[-1], records.tell()))
    if not FEWEST <= job.counts.total <= MOST:
        raise _Invalid(f"The job has {job.counts.total} records; from {FEWEST} to {MOST} are taken (the sandbox's stand-in for the quotas).")
    records.seek(0)
    return found


def _check(line: bytes, where: str) -> None:
    found = None
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
    if not isinstance(found, dict) or not isinstance(found.get("modelInput"), dict):
        raise _Invalid(f"{where} is not a record such as {{\"recordId\": \"...\", \"modelInput\": {{...}}}}.")


async def _answered(job: Job, here: Serving, storage: Storage, records: IO[bytes], name: str, end: int) -> None:
    """Answer the records of one file and write its output, in a shuffled order: the service promises none."""
    answerer = StandIns() if isinstance(here.answerer, StandIns) else here.answerer  # no time is spent on a stand-in's modelled latency
    with tempfile.TemporaryFile() as answers, tempfile.TemporaryFile() as output:
        ends = []
        while records.tell() < end and job.status == "InProgress":
            record = json.loads(records.readline())
            try:
                told = await _record(job, here, answerer, record)
            except _OutOfTime:
                records.seek(0, 2)  # nor is there time for the files after this one
                break
            answers.write(_JSON.encode(told).encode(errors="replace") + b"\n")
            ends.append(answers.tell())
            await asyncio.sleep(0)  # others are answered meanwhile
        await asyncio.to_thread(_shuffled, answers, ends, output, f"{here.seed} {name}")
        await asyncio.to_thread(storage.write, f"{job.target}/{name}.out", output)


def _shuffled(answers: IO[bytes], ends: list[int], output: IO[bytes], seed: str) -> None:
    places = list(zip([0, *ends], ends, strict=False))
    random.Random(seed).shuffle(places)
    for begin, end in places:
        answers.seek(begin)
        output.write(answers.read(end - begin))
    output.seek(0)


async def _record(job: Job, here: Serving, answerer: Answerer, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line of the output."""
    fields = record["modelInput"]
    head = {"recordId": record.get("recordId") or f"SANDBOX{job.counts.success + job.counts.error:08d}", "modelInput": fields}
    try:
        exchange = _understood(job, here, fields)
        done = await _complete(job, here, answerer, exchange)
    except Refusal as refused:
        job.counts.error += 1
        here.batch_ledger.record(_priced(job), job.scope, "errors")
        return {**head, "error": {"errorCode": refused.status, "errorMessage": refused.message}}
    job.counts.success += 1
    job.counts.input_tokens += done.input_tokens
    job.counts.output_tokens += done.output_tokens
    here.batch_ledger.record(_priced(job), job.scope, "ok", done.input_tokens, done.output_tokens, source=done.source)
    return {**head, "modelOutput": exchange.body([done])}


def _priced(job: Job) -> Model:
    """Return the job's model with the price of batch inference."""
    return job.model.model_copy(update={"price": job.model.price.for_batch()})


def _understood(job: Job, here: Serving, fields: Mapping[str, Any]) -> Exchange:
    if job.converse and fields.get("toolConfig") is not None:
        raise Refusal("ValidationException", _NO_TOOLS)
    operation = "converse" if job.converse else "invoke"
    try:
        return operations.exchange(operation, job.model, fields, {}, here.seed, here.prompt_caches)
    except RecursionError:
        raise Refusal("ValidationException", "The record is nested too deeply.") from None


async def _complete(job: Job, here: Serving, answerer: Answerer, exchange: Exchange) -> Completion:
    """Return the answer as the faults in force let it pass: refusals and spoiled answers; a stall uses up the time of the job."""
    asked = exchange.asks[0]
    plan = Plan()
    if here.faults.meet(asked.model, job.scope):
        text = "\n".join((asked.system, *(turn.text for turn in asked.turns)))
        plan = here.faults.plan(asked.model, job.scope, Arrival(asked.digest), text)
    if plan.failure is not None:
        raise _refusal(exchange, plan)
    if STALLS & set(plan.broken):
        raise _OutOfTime
    screened = exchange.screened()
    if screened is not None:
        return screened
    try:
        return exchange.finished(damage.spoiled(await answerer.complete(asked), plan, asked.digest))
    except AnswerFailed as failed:
        refused = exchange.refusal(failed.failure)
        assert isinstance(refused, Refusal)
        raise refused from failed


def _refusal(exchange: Exchange, plan: Plan) -> Refusal:
    assert plan.failure is not None
    refused = exchange.refusal(plan.failure)
    assert isinstance(refused, Refusal)  # both forms of a record are Bedrock's
    return refused
