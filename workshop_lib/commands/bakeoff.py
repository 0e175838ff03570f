"""The command `workshop bakeoff`: plan, price and confirm, ask what is missing, compose the arms, and write table, report and JSON."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from workshop_lib.backend import open_backend
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.evaluation.bakeoff import JUDGE, TIERS, Bakeoff, run_bakeoff
from workshop_lib.evaluation.bakeoff_data import Data, own, reviewed, shipped
from workshop_lib.evaluation.bakeoff_json import as_json
from workshop_lib.evaluation.cache import ReplyCache, once
from workshop_lib.evaluation.campaign import Estimate, Labelled, Work, estimate, label, work
from workshop_lib.evaluation.provenance import Provenance, provenance
from workshop_lib.evaluation.reply_file import alone
from workshop_lib.evaluation.tables import text_table
from workshop_lib.headless import print_bakeoff, report_folder, write_bakeoff
from workshop_lib.llm import Ask, CallError, connect, guardrail_named
from workshop_lib.paths import ROOT, STATE
from workshop_lib.settings import load
from workshop_lib.tasks import TRIAGE


@dataclass(frozen=True)
class Options:
    """What the user asked for; the defaults are those of `workshop bakeoff` alone."""

    split: str = "test"
    tickets: Path | None = None
    calibration: Path | None = None
    limit: int | None = None
    every: bool = False
    label: bool = False
    dry_run: bool = False
    live: bool = False
    yes: bool = False
    seed: int | None = None
    cache: Path | None = None
    reviews: Path | None = None
    json: Path | None = None
    report: bool | None = None
    out: Path | None = None


def bakeoff(options: Options, command: Sequence[str] = ()) -> None:
    """Carry out the command; `command` is what the user typed, to tell how to go on after a stop.

    Raises a WorkshopError, one line, for whatever is foreseeable, and typer.Exit(130) after Ctrl-C.
    """
    data = _data(options)
    reviews = reviewed(options.reviews, data.tickets) if options.reviews is not None else {}
    settings = load(**_overrides(options))
    path = _cache_path(options, settings.backend)
    folder = _report_folder(options)  # before the run, which may cost money
    if options.json is not None:
        _writable(options.json)
    tickets, fitted = [entry.ticket for entry in data.tickets], [entry.ticket for entry in data.calibration]
    todo = [*work(TIERS, tickets, fitted), *work([JUDGE], tickets)]
    wanted = provenance(
        TRIAGE, data.tickets[0].ticket, [*TIERS, JUDGE], data.whole, backend=settings.backend, seed=settings.seed, guardrail=guardrail_named(settings)
    )
    rows = estimate(ReplyCache(path, provenance=wanted), todo)
    if options.dry_run:
        typer.echo(_plan_text(rows, settings.backend, path))
        return
    if settings.backend == "live" and any(row.calls for row in rows):
        typer.echo(_plan_text(rows, settings.backend, path))
        _confirm(options, rows)
    cache, done = _asked(options, path, wanted, todo, rows, command)
    if options.label:
        typer.echo(_label_text(cache, done))
        if not (options.every or options.report or options.json):
            if done.failed:
                raise typer.Exit(1)
            return
    ask = once(cache, done.failed)
    bake = run_bakeoff(ask, ask, data.tickets, every=options.every, calibration=data.calibration, reviews=reviews, seed=settings.seed)
    bake = replace(bake, provenance=cache.provenance or wanted)
    _write(bake, folder, options)


def _data(options: Options) -> Data:
    if options.tickets is not None:
        data = own(options.tickets, options.calibration if options.every else None, options.limit)
    elif options.calibration is not None:
        raise SettingsError("--calibration names tickets beside your own; give --tickets FILE too, or leave it out.")
    else:
        data = shipped(options.split, options.limit, fit=options.every)
    if options.every and not data.calibration:
        typer.echo("The arms category majority and kNN need calibration tickets other than those of the test; they are left out.", err=True)
    return data


def _overrides(options: Options) -> dict[str, Any]:
    overrides: dict[str, Any] = {} if options.seed is None else {"seed": options.seed}
    return overrides | ({"backend": "live"} if options.live else {})


def _cache_path(options: Options, backend: str) -> Path | None:
    """Return where replies are kept: live ones always, as they were paid for; a sandbox's only when asked to label or told a file."""
    if options.cache is not None:
        return options.cache
    if backend != "live" and not options.label:
        return None
    name = f"-{options.tickets.stem}" if options.tickets is not None else "" if options.split == "test" else f"-{options.split}"
    return STATE / f"bakeoff-{backend}{name}.jsonl"


def _report_folder(options: Options) -> Path | None:
    wanted = options.report if options.report is not None else not (options.label or options.dry_run)
    return report_folder(options.out) if wanted else None


def _writable(path: Path) -> None:
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise SettingsError(f"{path} cannot be written. Name another file with --json.")


def _confirm(options: Options, rows: Sequence[Estimate]) -> None:
    if options.yes:
        return
    usd = f"{sum(row.usd for row in rows):.2f} USD"
    if not sys.stdin.isatty():
        raise SettingsError(f"A live run of about {usd} was not confirmed, and nobody can be asked here. Add --yes to pay for it, or --dry-run to look first.")
    if not typer.confirm(f"Spend about {usd}?", default=False):
        typer.echo("Nothing was called.")
        raise typer.Exit(1)


def _asked(
    options: Options, path: Path | None, wanted: Provenance, todo: Sequence[Work], rows: Sequence[Estimate], command: Sequence[str]
) -> tuple[ReplyCache, Labelled]:
    """Return the cache with everything asked that was missing; no backend is opened if nothing was, and no other run may ask meanwhile."""
    missing = sum(row.calls for row in rows)
    with alone(path) if missing and path is not None else nullcontext():
        return _asked_alone(options, path, wanted, todo, rows, command)


def _asked_alone(
    options: Options, path: Path | None, wanted: Provenance, todo: Sequence[Work], rows: Sequence[Estimate], command: Sequence[str]
) -> tuple[ReplyCache, Labelled]:
    missing = sum(row.calls for row in rows)
    ask: Ask = _never if not missing else connect(open_backend(**_overrides(options)))
    cache = ReplyCache(path, ask, wanted)
    held = sum(row.held for row in rows)
    try:
        with _progress(rows) as done:
            return cache, label(cache, todo, done=done)
    except KeyboardInterrupt:
        kept = f"{len(cache)} replies are in {_shown(path)}" if path is not None else "Replies were kept in memory only and are gone (--label keeps them)"
        typer.echo(f"\nStopped. {kept}; {held + missing - len(cache)} are missing. Go on with: {_command(command)}", err=True)
        raise typer.Exit(130) from None
    except CallError as error:
        if path is None or not len(cache):
            raise
        raise DataError(f"{error} {len(cache)} replies are kept in {_shown(path)}; go on with: {_command(command)}") from error


def _never(model: str, request: Any) -> Any:
    raise AssertionError(f"{model} was called although nothing was missing")


@contextmanager
def _progress(rows: Sequence[Estimate]) -> Iterator[Callable[[str], None]]:
    """Show a bar a model on the terminal, on standard error; nothing where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {row.model: progress.add_task(row.model, total=row.held + row.calls) for row in rows}
        yield lambda model: progress.advance(bars[model])


def _plan_text(rows: Sequence[Estimate], backend: str, path: Path | None) -> str:
    table = pd.DataFrame([vars(row) for row in rows]).rename(columns={"usd_at_most": "at_most_usd", "basis": "estimated from"})
    calls, usd, most = sum(row.calls for row in rows), sum(row.usd for row in rows), sum(row.usd_at_most for row in rows)
    charged = "" if backend == "live" else " The sandbox charges nothing; these are what the named models would cost."
    where = "kept in memory only" if path is None else f"kept in {_shown(path)}"
    return (
        f"{text_table(table, {'usd': 4, 'at_most_usd': 4})}\n"
        f"{calls} calls to make on the {backend} backend, about {usd:.2f} USD at catalogue prices and {most:.2f} USD at most, without retries that are billed.{charged}\n"
        f"Replies are {where}."
    )


def _label_text(cache: ReplyCache, done: Labelled) -> str:
    where = _shown(cache.path) if cache.path is not None else "memory"
    if done.failed:
        kinds = sorted({error.kind for error in done.failed.values()})
        return f"{done.calls} calls made, {len(done.failed)} failed ({', '.join(kinds)}); {len(cache)} replies in {where}, which is partial. Run the command again to ask for the rest."
    return f"{done.calls} calls made; {len(cache)} replies in {where}, all that were wanted."


def _write(bake: Bakeoff, folder: Path | None, options: Options) -> None:
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(bake), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if folder is not None:
        write_bakeoff(bake, folder, [])
    else:
        print_bakeoff(bake)
    if options.json is not None:
        typer.echo(f"JSON: {_shown(options.json)}")


def _command(command: Sequence[str]) -> str:
    return shlex.join(["workshop", "bakeoff", *command])


def _shown(path: Path | None) -> str:
    if path is None:
        return "memory"
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
