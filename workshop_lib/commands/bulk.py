"""The command `workshop bulk`: check and price, route a file of tickets to a journal, and tell how it ended and how to go on."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Protocol

import typer

from workshop_lib import catalog
from workshop_lib.backend import open_backend
from workshop_lib.bulk.estimate import Estimate, estimate, priced
from workshop_lib.bulk.identity import identity
from workshop_lib.bulk.job import End, Guards, Job
from workshop_lib.bulk.journal import Journal, Totals, open_journal
from workshop_lib.bulk.paced import GUARDRAIL
from workshop_lib.bulk.pacing import Limit
from workshop_lib.bulk.processes import Processes
from workshop_lib.bulk.progress import progress
from workshop_lib.bulk.sources import check, read
from workshop_lib.bulk.station import Pace, Station
from workshop_lib.bulk.summary import Summary, summary
from workshop_lib.bulk.work import Engine, threads
from workshop_lib.cascade import Policy
from workshop_lib.commands.terminal import policy_named
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.settings import Settings, load

_INTERRUPTED = 130


@dataclass(frozen=True)
class Options:
    """What the user asked for; `rpm`, `tpm` and `tier_concurrency` are given as MODEL=NUMBER.

    `folder`, `workers` and `part_mb` are of the engine "ray": a folder or address in place of the source, None for what fits.
    """

    source: Path
    out: Path
    policy: str = "documented"
    concurrency: int = 16
    processes: int = 1
    rpm: Sequence[str] = field(default_factory=tuple)
    tpm: Sequence[str] = field(default_factory=tuple)
    tier_concurrency: Sequence[str] = field(default_factory=tuple)
    max_usd: float | None = None
    max_calls: int | None = None
    deadline_s: float | None = None
    strict: bool = False
    restart: bool = False
    summary: Path | None = None
    yes: bool = False
    engine: str = "embedded"
    folder: str = ""
    workers: int | None = None
    part_mb: float | None = None


def bulk(options: Options, command: Sequence[str] = ()) -> int:
    """Carry out the command and return its exit status; `command` is what the user typed, to tell how to go on.

    Raises a WorkshopError, one line, for whatever is foreseeable, and typer.BadParameter for an option that is none.
    """
    policy, pace = policy_named(options.policy), _pace(options)
    _check_files(options)
    _check_engine(options)
    if options.engine == "ray":
        return _scaled(options, policy, pace, command)
    expected = estimate(options.source, policy)
    if options.strict:
        check(options.source)
    _confirm(options, load(), expected)
    settings = open_backend(max_connections=max(64, options.concurrency))
    who = identity(options.source, policy, settings)
    with _workers(settings, policy, pace, options.processes) as workers:
        journal = open_journal(options.out, who, restart=options.restart)
        done = _run(options, journal, workers, policy, settings, expected, command)
    _write_summary(options, done)
    typer.echo(done.line())
    return done.exit_status


def _check_engine(options: Options) -> None:
    """Refuse an engine that there is not, and options of the other one, which would be taken for heard."""
    if options.engine not in ("embedded", "ray"):
        raise typer.BadParameter(f"{options.engine!r} is none; choose embedded or ray", param_hint="--engine")
    if options.engine == "ray" and options.processes > 1:
        raise typer.BadParameter("is of the embedded engine; with --engine ray say --workers", param_hint="--processes")
    for option, given in (("--workers", options.workers), ("--part-mb", options.part_mb)):
        if options.engine == "embedded" and given is not None:
            raise typer.BadParameter("is of --engine ray; without it say --processes", param_hint=option)


def _scaled(options: Options, policy: Policy, pace: Pace, command: Sequence[str]) -> int:
    """Carry out the command with the engine "ray", on this machine or on the cluster of RAY_ADDRESS."""
    from workshop_lib.bulk.scale import cluster, parts, places  # which only this engine needs
    from workshop_lib.bulk.scale.run import Wanted, check_folders, prepared

    cluster.check()
    _check_workers(options, pace)
    source, out = options.folder or str(options.source), options.out.resolve()
    check_folders(source, options.out)
    files = places.files(source)
    if options.strict:
        parts.check(files)
    tickets, entries = parts.sample(files)
    expected = priced(tickets, entries, policy)
    _confirm(options, load(), expected)
    settings = open_backend(max_connections=max(64, options.concurrency))
    part_bytes = None if options.part_mb is None else max(1, round(options.part_mb * 1024 * 1024))
    wanted = Wanted(source, out, pace, options.workers, part_bytes, options.max_usd, options.deadline_s, options.restart)
    with prepared(wanted, policy, settings, files) as run:
        told = progress(run.totals, expected.entries, run.counts)
        try:
            with _interruptible(run, run.end_at_once, _command(command)):
                for _ in run.run():
                    told.ticket()
        finally:
            told.close()
    done = run.summary()
    _write_summary(options, done)
    if done.end != "finished":
        typer.echo(_why(done.end, done, run.trouble, options, _command(command)), err=True)
    typer.echo(done.line())
    return done.exit_status


def _check_workers(options: Options, pace: Pace) -> None:
    """Refuse what cannot be divided among so many workers."""
    workers = options.workers or 1
    if workers > pace.concurrency:
        raise typer.BadParameter(f"{workers} workers need a --concurrency of at least as many", param_hint="--workers")
    for key, most in pace.at_once.items():
        if most < workers:
            raise typer.BadParameter(f"{key}={most} cannot be divided among {workers} workers", param_hint="--tier-concurrency")


@dataclass(frozen=True)
class _Workers:
    """Who works on the tickets, with what they share."""

    engine: Engine
    place: Station | Processes


@contextmanager
def _workers(settings: Settings, policy: Policy, pace: Pace, processes: int) -> Iterator[_Workers]:
    if processes == 1:
        station = Station(settings, policy, pace)
        yield _Workers(threads(station.work, pace.concurrency), station)
        return
    several = Processes(settings, policy, pace, processes)
    try:
        yield _Workers(several, several)
    finally:
        several.close()


def _run(
    options: Options, journal: Journal, workers: _Workers, policy: Policy, settings: Settings, expected: Estimate, command: Sequence[str]
) -> Summary:
    before = replace(journal.totals)
    begun = time.monotonic()
    job = Job(journal, workers.engine, Guards(options.max_usd, options.deadline_s), abandon=workers.place.stop)
    told = progress(journal.totals, expected.entries, workers.place.counts)
    in_order = False
    try:
        with _interruptible(job, workers.place.stop, _command(command)):
            for _ in job.run(read(options.source, skip=journal.finished)):
                told.ticket()
        in_order = True
    finally:
        told.close()
        journal.close(nothing_in_work=in_order)
    done = summary(
        job, backend=settings.backend, policy=policy.name, digest=policy.digest, before=before, seconds=time.monotonic() - begun,
        counts=workers.place.counts(), guardrail_units=workers.place.guardrail_units,
    )  # fmt: skip
    if job.end != "finished":
        typer.echo(_stopped(job, options, _command(command)), err=True)
    return done


def _stopped(job: Job, options: Options, command: str) -> str:
    """Return why a run was stopped, and how to go on."""
    trouble = f"{job.trouble.tier} served none of the last tickets: {job.trouble.detail}" if job.trouble is not None else ""
    return _why(job.end, job.journal.totals, trouble, options, command)


def _why(end: End, totals: Totals | Summary, trouble: str, options: Options, command: str) -> str:
    if end == "outage":
        return f"Stopped: {trouble} They are left for later; go on with: {command}"
    why = {
        "max_usd": f"{totals.usd:.6f} USD are spent, of --max-usd {options.max_usd}. Raise it to go on",
        "max_calls": f"the {options.max_calls} calls of --max-calls are made. Go on",
        "deadline": f"the {options.deadline_s} seconds of --deadline have passed. Go on",
    }.get(end, "tickets in work were finished. Go on")
    return f"Stopped after {totals.tickets} tickets: {why} with: {command}"


class _Stoppable(Protocol):
    def stop(self, end: End = "interrupted") -> None: ...


@contextmanager
def _interruptible(job: _Stoppable, end_at_once: Callable[[], None], command: str) -> Iterator[None]:
    """Let Ctrl-C (or SIGTERM) begin no further ticket and finish those in work, and a second one end the process at once.

    What is written stays written in both cases. Nothing is raised here: an exception in the middle of handing over a result would lose it.
    """

    def once(_number: int, _frame: FrameType | None) -> None:
        job.stop("interrupted")
        for number in handlers:  # first, so that who follows what is said next is heard
            signal.signal(number, twice)
        _say("\nStopping: no further ticket is begun, those in work are finished. Press Ctrl-C again to leave them.\n")

    def twice(_number: int, _frame: FrameType | None) -> None:
        end_at_once()
        _say(f"\nEnded; tickets in work will be asked again. Go on with: {command}\n")
        os._exit(_INTERRUPTED)

    handlers = {number: signal.signal(number, once) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    """Write to standard error without its buffer, which a signal may have interrupted; shows a cursor that a bar had hidden."""
    shown = "\x1b[?25h" if sys.stderr.isatty() else ""
    os.write(2, f"{shown}{text}".encode())


def _command(command: Sequence[str]) -> str:
    """Return the command that goes on with a run: what was typed, but for --restart, which would begin it anew."""
    return shlex.join(["workshop", "bulk", *(word for word in command if word != "--restart")])


def _check_files(options: Options) -> None:
    source, exists = options.source, options.source.exists()
    if (str(source) == "-" and not exists) or (exists and not (source.is_file() or source.is_dir())):
        raise SettingsError(f"{source} can be read once only, and a run reads its tickets again when it goes on. Save them to a file first.")
    if str(options.out) == "-":
        raise SettingsError("--out - would be lost to a run that goes on. Name a file; its rows can be followed with tail -f.")
    if options.out.exists() and options.source.exists() and options.out.samefile(options.source):
        raise SettingsError(f"{options.out} holds the tickets themselves. Name another file with --out.")
    if options.summary is None:
        return
    out = os.path.realpath(options.out)
    if os.path.realpath(options.summary) in (out, f"{out}.journal", os.path.realpath(options.source)):
        raise SettingsError(f"{options.summary} is also the tickets, the output or its journal. Name another file with --summary.")
    try:
        options.summary.open("a").close()  # now, as the run may cost money
    except OSError as error:
        raise _no_summary(options.summary, error) from error


def _write_summary(options: Options, done: Summary) -> None:
    if options.summary is None:
        return
    try:
        options.summary.write_text(done.json(), encoding="utf-8")
    except OSError as error:  # what the run wrote stands, and the line with its totals is told all the same
        typer.echo(done.line())
        raise _no_summary(options.summary, error) from error


def _no_summary(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be written ({error.strerror}). Name another file with --summary.")


def _confirm(options: Options, settings: Settings, expected: Estimate) -> None:
    """Ask before a live run, unless told not to."""
    if settings.backend != "live":
        return
    typer.echo(f"{expected.line()} What {options.out} holds already is not paid again.", err=True)
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError("A live run was not confirmed, and nobody can be asked here. Add --yes to pay for it; --max-usd bounds what it may cost.")
    if not typer.confirm("Call the models?", default=False, err=True):
        raise SettingsError("Nothing was called.")


def _pace(options: Options) -> Pace:
    if options.processes > options.concurrency:
        raise typer.BadParameter(f"{options.processes} processes need a concurrency of at least as many", param_hint="--processes")
    rpm, tpm = by_model("--rpm", options.rpm), by_model("--tpm", options.tpm)
    limits = {key: Limit(rpm.get(key), tpm.get(key)) for key in rpm.keys() | tpm.keys()}
    at_once = {key: max(1, int(most)) for key, most in by_model("--tier-concurrency", options.tier_concurrency).items()}
    return Pace(options.concurrency, limits, at_once, options.max_calls)


def by_model(option: str, given: Sequence[str]) -> Mapping[str, float]:
    """Return MODEL=NUMBER words as a table by model key."""
    found: dict[str, float] = {}
    for word in given:
        name, _, number = word.partition("=")
        try:
            value = float(number.replace("_", ""))
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise typer.BadParameter(f"{word!r} is not of the form MODEL=NUMBER, such as nano=400", param_hint=option)
        found[name if name == GUARDRAIL else catalog.model(name).key] = value
    return found
