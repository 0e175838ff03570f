"""The command `workshop batch`: check and price, carry a file of tickets through batch jobs, and tell how it ended and how to go on."""

import math
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import typer

from workshop_lib import catalog
from workshop_lib.backend import open_backend
from workshop_lib.batch.estimate import Estimate, estimate
from workshop_lib.batch.parts import Limits
from workshop_lib.batch.records import Form
from workshop_lib.batch.run import Batch, Wanted
from workshop_lib.batch.service import ENDED, Place, Service
from workshop_lib.batch.state import State, StateFile
from workshop_lib.batch.summary import Summary, summary
from workshop_lib.bulk.identity import identity
from workshop_lib.bulk.journal import open_journal
from workshop_lib.bulk.station import models_of
from workshop_lib.cascade import Policy
from workshop_lib.commands.terminal import policy_named
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.llm import connect
from workshop_lib.settings import Settings, load

_SANDBOX_POLL_S = (0.2, 2.0)
_LIVE_POLL_S = (10.0, 120.0)
_INTERRUPTED = 3


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    source: Path
    out: Path
    bucket: str
    policy: str = "documented"
    form: str = "invoke"
    role: str | None = None
    wait: bool = True
    max_usd: float | None = None
    min_records: int = 100
    max_records: int = 50_000
    max_mb: float = 1024
    hours: int = 24
    resubmit: bool = False
    restart: bool = False
    summary: Path | None = None
    yes: bool = False


def batch(options: Options, command: Sequence[str] = ()) -> int:
    """Carry out the command and return its exit status; `command` is what the user typed, to tell how to go on.

    Raises a WorkshopError, one line, for whatever is foreseeable, and typer.BadParameter for an option that is none.
    """
    policy, wanted, place = policy_named(options.policy), _wanted(options), Place.named(options.bucket)
    _check(options, policy, load())
    folder = options.out.with_name(options.out.name + ".batch")
    expected = estimate(options.source, policy, wanted.form)
    settings = open_backend()
    service = Service(settings, place, options.role)
    _confirm(options, settings, expected, begun=not options.restart and StateFile(folder).load() is not None)
    service.ready()
    who = {**identity(options.source, policy, settings), "form": wanted.form, "bucket": place.uri("")}
    done = _run(options, wanted, folder, who, service, settings, command)
    if options.summary is not None:
        options.summary.write_text(done.json(), encoding="utf-8")
    typer.echo(done.line())
    return done.exit_status


def _run(
    options: Options, wanted: Wanted, folder: Path, who: dict[str, str], service: Service, settings: Settings, command: Sequence[str]
) -> Summary:
    file = StateFile(folder)
    known = None if options.restart else file.load()
    journal = open_journal(options.out, who, restart=options.restart, paid_elsewhere=known is None or not known.on_demand)
    whole = False
    try:
        if options.restart:
            _forget(folder, file)
        else:
            known = file.load()  # again, now that nobody else writes it: another run may have ended since
            if known is not None and known.identity != who:
                _forget(folder, file)
                known = None
        if known is None and len(journal.finished):
            raise DataError(f"{folder}, with what was asked of which job, is gone. Restore it, or begin anew with --restart.")
        run = Batch(
            wanted, journal, folder, known or State(identity=who), service, connect(settings), settings.backend, say=lambda line: typer.echo(line, err=True)
        )
        try:
            end = run.run()
        except KeyboardInterrupt:
            typer.echo(f"\nStopped; jobs under way go on without this command. Go on with: {_command(command)}", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        whole = True
    finally:
        journal.close(nothing_in_work=whole)
    done = summary(str(options.out), end, journal.totals, run.state, wanted.policy, settings.backend, run.begun)
    if end != "finished":
        typer.echo(_why(run, done, options, _command(command)), err=True)
    return done


def _why(run: Batch, done: Summary, options: Options, command: str) -> str:
    if done.end == "submitted":
        under_way = sum(part.status not in ENDED for part in run.state.parts)
        return f"{under_way} {'job is' if under_way == 1 else 'jobs are'} under way. Go on with: {command}"
    if done.end == "max_usd":
        return f"Stopped before anything more is asked: it may bring the output to {run.refused_usd:.6f} USD, more than --max-usd {options.max_usd}. Raise it to go on with: {command}"
    words = "; ".join(f"{part.arn} ended as {part.status} without {part.lacking} of {part.records} records{f' ({part.message})' if part.message else ''}" for part in run.lacking)
    return f"Stopped: {words}. To ask those again, add --resubmit to: {command}"


def _wanted(options: Options) -> Wanted:
    if options.form not in get_args(Form):
        raise typer.BadParameter(f"{options.form!r} is none; choose {' or '.join(get_args(Form))}", param_hint="--form")
    if options.min_records > options.max_records // 2:
        raise typer.BadParameter(f"{options.min_records} is more than half of --max-records {options.max_records}", param_hint="--min-records")
    if not math.isfinite(options.max_mb):
        raise typer.BadParameter(f"{options.max_mb} is no size", param_hint="--max-mb")
    limits = Limits(options.max_records, int(options.max_mb * 1024 * 1024), options.min_records)
    first_s, most_s = _SANDBOX_POLL_S if load().backend == "sandbox" else _LIVE_POLL_S
    return Wanted(
        options.source, policy_named(options.policy), options.form, limits, options.hours, options.max_usd, options.wait, options.resubmit, first_s, most_s  # type: ignore[arg-type]  # checked above
    )  # fmt: skip


def _check(options: Options, policy: Policy, settings: Settings) -> None:
    """Refuse what a batch cannot do, before anything is sent."""
    if options.out.exists() and options.source.exists() and options.out.samefile(options.source):
        raise SettingsError(f"{options.out} holds the tickets themselves. Name another file with --out.")
    if settings.guardrail_id is not None:
        raise SettingsError("A batch is not screened by the guardrail of BEDROCK_GUARDRAIL_ID. Unset it with its version, or use workshop bulk.")
    elsewhere = [key for key in models_of(policy) if catalog.model(key).provider != "bedrock"]
    if elsewhere:
        raise SettingsError(f"Batch jobs are Amazon Bedrock's; the policy {policy.name} asks {', '.join(elsewhere)} too. Choose another --policy.")
    if options.summary is not None:
        out, told = os.path.realpath(options.out), os.path.realpath(options.summary)
        if told in (out, f"{out}.journal", os.path.realpath(options.source)) or Path(told).is_relative_to(f"{out}.batch"):
            raise SettingsError(f"{options.summary} is also the tickets, the output or what belongs to it. Name another file with --summary.")
        try:
            options.summary.open("a").close()
        except OSError as error:
            raise DataError(f"{options.summary} cannot be written ({error.strerror}). Name another file with --summary.") from error


def _confirm(options: Options, settings: Settings, expected: Estimate, *, begun: bool) -> None:
    """Ask before a live run, unless told not to; the jobs of a run that is gone on with were agreed to."""
    if settings.backend != "live" or begun:
        return
    typer.echo(f"{expected.line()} A job below --min-records is asked on demand at the list price.", err=True)
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError("A live run was not confirmed, and nobody can be asked here. Add --yes to pay for it; --max-usd bounds what it may cost.")
    if not typer.confirm("Make the jobs?", default=False, err=True):
        raise SettingsError("Nothing was asked.")


def _forget(folder: Path, file: StateFile) -> None:
    """Remove what an earlier run left, and name its jobs that may still be running: they are charged all the same."""
    known = None
    with suppress(DataError):  # what cannot be read is thrown away too
        known = file.load()
    running = [part.arn for part in known.parts if part.arn and part.status not in ENDED] if known is not None else []
    if running:
        typer.echo(f"Jobs of the run before may still be running, and are charged; stop them with: aws bedrock stop-model-invocation-job --job-identifier {running[0]}", err=True)
    shutil.rmtree(folder, ignore_errors=True)


def _command(command: Sequence[str]) -> str:
    """Return the command that goes on with a run and waits for it: what was typed, but for --restart, which would begin it anew, and --no-wait."""
    return shlex.join(["workshop", "batch", *(word for word in command if word not in ("--restart", "--no-wait"))])
