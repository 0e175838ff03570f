"""The command line: every `workshop` command."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from workshop_lib.errors import DataError, SettingsError, WorkshopError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)
sandbox_app = typer.Typer(invoke_without_command=True, help="A loopback server that speaks Bedrock Converse and OpenAI chat completions.")
data_app = typer.Typer(no_args_is_help=True, help="The shipped data: check them, or make tickets for load tests.")
cloud_app = typer.Typer(no_args_is_help=True, help="The deployment of deploy/: run its state machine here, or write what follows from the library.")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(cloud_app, name="cloud")
app.add_typer(data_app, name="data")

Seed = Annotated[int, typer.Option(help="Same seed, same bytes.", min=0)]


def main() -> None:
    """Run the command line; a foreseeable failure prints one line and exits with 1."""
    _open_standard_streams()
    try:
        app()
    except WorkshopError as error:
        typer.echo(f"workshop: {error}", err=True)
        sys.exit(1)
    except OSError as error:  # a file or folder that cannot be read or written, or a full disk
        typer.echo(f"workshop: {error.filename or 'the output'}: {error.strerror or error}. Check that it can be read and written.", err=True)
        sys.exit(1)


def _open_standard_streams() -> None:
    """Put the null device where the caller closed a standard stream; else the next file opened gets its number, and what is said goes into that file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


@app.command()
def doctor() -> None:
    """Check this machine and this checkout: one line and one remedy per check."""
    from workshop_lib.doctor import checks

    well = True
    for check in checks():
        typer.echo(check.line())  # at once: a later check may take its time
        well &= check.ok
    if not well:
        raise typer.Exit(1)


@sandbox_app.callback()
def sandbox(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="0 takes a free port. Default: 8000.", min=0, max=65535)] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same bytes. Default: 0.", min=0)] = None,
    time_scale: Annotated[float | None, typer.Option(help="Seconds slept per second of modelled latency. Default: 1.", min=0)] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with all of these; options win.")] = None,
    quota: Annotated[list[str] | None, typer.Option(help="MODEL:rpm=60,tpm=100000; * is each model. May be repeated.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help='JSON, such as {"error_rate": 0.1, "kind": "throttled"}. May be repeated.')] = None,
    upstream: Annotated[str | None, typer.Option(help="OpenAI-compatible server that answers for the mapped models.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="ID=MODEL: who answers for a model. May be repeated.")] = None,
    record: Annotated[Path | None, typer.Option(help="Append every upstream reply to this file.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Answer from such a file.")] = None,
    on_miss: Annotated[str | None, typer.Option(help="What is not in it: error, stand-in or upstream.")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="Variable that holds the upstream server's key.")] = None,
    room: Annotated[bool, typer.Option("--room", help="Serve a class on this machine's network address, behind a key.")] = False,
    address: Annotated[str | None, typer.Option(help="With --room: which address. Default: this machine's own in its network.")] = None,
) -> None:
    """Serve until interrupted, and print the lines that point boto3, the AWS CLI and openai at it."""
    if context.invoked_subcommand is None:
        from workshop_lib.sandbox import config as sandbox_config
        from workshop_lib.sandbox import prepare_process

        behind = sandbox_config.upstream(upstream, map_ or (), record, replay, on_miss, api_key_env)
        quotas = tuple(sandbox_config.quota(text) for text in quota or ())
        faults = tuple(sandbox_config.fault(text) for text in fault or ())
        options: dict[str, object] = {"port": port, "seed": seed, "time_scale": time_scale, "quota": quotas, "fault": faults, "upstream": behind}
        options |= {"room": room or None, "address": address}
        found = sandbox_config.read(config, options)
        prepare_process()
        from workshop_lib.sandbox.run import serve  # after the line above, because it loads the numerical libraries

        serve(found)


@sandbox_app.command()
def card(check: Annotated[bool, typer.Option(help="Only say whether docs/sandbox.md is up to date.")] = False) -> None:
    """Measure the stand-in models on the test split and write the model card docs/sandbox.md."""
    from workshop_lib.evaluation import card as model_card

    _report(model_card.check() if check else model_card.write())


@app.command()
def join(
    room: Annotated[str, typer.Argument(help="The address that the instructor shows, such as http://10.0.0.5:8000/KEY.")],
    name: Annotated[str, typer.Argument(help="What the board calls you.")],
) -> None:
    """Use the instructor's sandbox from now on: writes WORKSHOP_ROOM and WORKSHOP_LEARNER into .env.local."""
    from workshop_lib.joining import join_room

    typer.echo(join_room(room, name))


@app.command()
def leave() -> None:
    """Go back to a sandbox of your own: takes WORKSHOP_ROOM and WORKSHOP_LEARNER out of .env.local."""
    from workshop_lib.joining import leave_room

    typer.echo(leave_room())


@app.command()
def run(
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Where to put the report; default: out/ in the checkout.")] = None,
) -> None:
    """Execute all five solutions headless, run the bake-off, and write an HTML report."""
    from workshop_lib.headless import run_all

    run_all(seed=seed, out=out)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open the labs in JupyterLab with a sandbox that ends with it; further options go to JupyterLab, such as --no-browser --port 8889."""
    from workshop_lib.headless import open_jupyterlab

    raise typer.Exit(open_jupyterlab(context.args))


@app.command()
def progress(
    lab: Annotated[str | None, typer.Argument(help="A lab's number or folder; default: all.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget that lab, or everything; a copy is kept.")] = False,
) -> None:
    """Say how far you are, and what comes next. Progress is kept in .workshop/ on this machine and goes nowhere."""
    from workshop_lib.lab import progress as lab_progress
    from workshop_lib.lab import progress_file

    path = progress_file.default()
    name = lab_progress.named(lab) if lab is not None else None
    if reset:
        kept = progress_file.forget(path, name)
        what = "Progress" if name is None else f"Progress in lab {name}"
        typer.echo("There is no progress to forget." if kept is None else f"{what} is forgotten. As it was, it is in .workshop/{kept.name}.")
        return
    book = progress_file.read(path, typer.echo)
    for line in lab_progress.overview(book) if name is None else lab_progress.of_lab(book, name):
        typer.echo(line)


@app.command()
def triage(
    text: Annotated[str, typer.Argument(help="What the customer wrote.")],
    subject: str = "",
    policy: Annotated[str, typer.Option(help="documented or published.")] = "documented",
) -> None:
    """Route one ticket through the cascade and show every step with its cost."""
    from workshop_lib.commands.terminal import triage_one

    typer.echo(triage_one(text, subject, policy))


@app.command()
def bulk(
    source: Annotated[str, typer.Argument(help="Tickets as NDJSON, JSON array, CSV, TSV or Parquet; with --engine ray also a folder or s3://.")],
    out: Annotated[Path, typer.Option(help="NDJSON to write; OUT.journal beside it says what is finished. With --engine ray a folder.")],
    policy: Annotated[str, typer.Option(help="documented or published.")] = "documented",
    concurrency: Annotated[int, typer.Option(help="Tickets in work at once.", min=1, max=1024)] = 16,
    processes: Annotated[int, typer.Option(help="Share the work among so many processes.", min=1, max=64)] = 1,
    rpm: Annotated[list[str] | None, typer.Option(help="A quota, MODEL=REQUESTS a minute; without one the pace is learned. Repeatable.")] = None,
    tpm: Annotated[list[str] | None, typer.Option(help="A quota, MODEL=TOKENS a minute. Repeatable.")] = None,
    tier_concurrency: Annotated[list[str] | None, typer.Option(help="MODEL=CALLS under way at once. Repeatable.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Begin no ticket once the output cost so much, over all its runs.", min=0)] = None,
    max_calls: Annotated[int | None, typer.Option(help="Make no more HTTP requests than this in this run.", min=0)] = None,
    deadline: Annotated[float | None, typer.Option(help="Begin no ticket after so many seconds.", min=0)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a file with an entry that is no ticket, before the first call.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what the output holds.")] = False,
    summary: Annotated[Path | None, typer.Option(help="Write the summary as JSON to this file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending on a live run.")] = False,
    engine: Annotated[str, typer.Option(help="embedded, or ray: workers of a Ray cluster, each on parts of the input.")] = "embedded",
    workers: Annotated[int | None, typer.Option(help="With --engine ray: worker processes; default: one a processor.", min=1)] = None,
    part_mb: Annotated[float | None, typer.Option(help="With --engine ray: size of a part in MiB; default: 8, or what fits.", min=0.0001)] = None,
) -> None:
    """Route a file of tickets, writing rows as tickets finish; the same command goes on after a stop or a crash.

    Exits with 0 if every ticket succeeded, 1 if some failed or nothing could be done, 2 for an option that there is not or a value of the wrong form, 3 if it was stopped by a limit, an
    outage or Ctrl-C and can be gone on with.
    """
    from workshop_lib.commands.bulk import Options
    from workshop_lib.commands.bulk import bulk as run_command

    options = Options(
        Path(source), out, policy, concurrency, processes, rpm or (), tpm or (), tier_concurrency or (), max_usd, max_calls, deadline, strict, restart, summary,
        yes, engine, source, workers, part_mb,
    )  # fmt: skip
    status = run_command(options, sys.argv[2:])
    if status:
        raise typer.Exit(status)


@app.command()
def batch(
    source: Annotated[Path, typer.Argument(help="Tickets as NDJSON, JSON array, CSV, TSV or Parquet.")],
    out: Annotated[Path, typer.Option(help="NDJSON to write; OUT.journal and the folder OUT.batch beside it say what is done.")],
    bucket: Annotated[str, typer.Option(help="s3://BUCKET/FOLDER for the jobs' files.")],
    policy: Annotated[str, typer.Option(help="documented or published.")] = "documented",
    form: Annotated[str, typer.Option(help="invoke: the model's own body with the forced tool; converse: JSON in the text, as Converse jobs take no tool.")] = "invoke",
    role: Annotated[str | None, typer.Option(help="ARN of the role that Bedrock reads and writes the bucket with; needed live.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the jobs, or leave once they are under way.")] = True,
    max_usd: Annotated[float | None, typer.Option(help="Ask nothing that may bring the output to more than this.", min=0)] = None,
    min_records: Annotated[int, typer.Option(help="Fewest records of a job (Service Quotas); fewer are asked on demand.", min=1)] = 100,
    max_records: Annotated[int, typer.Option(help="Most records of a job (Service Quotas).", min=2)] = 50_000,
    max_mb: Annotated[float, typer.Option(help="Most MiB of a job's file (Service Quotas).", min=0.01)] = 1024,
    hours: Annotated[int, typer.Option(help="Hours until a job that has not begun expires.", min=24, max=168)] = 24,
    resubmit: Annotated[bool, typer.Option("--resubmit", help="Ask records again whose jobs ended without them.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what the output holds; jobs under way are not stopped.")] = False,
    summary: Annotated[Path | None, typer.Option(help="Write the summary as JSON to this file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending on a live run.")] = False,
) -> None:
    """Route a file of tickets by batch jobs: one for the first tier, another for what escalates; the same command goes on after a stop or a crash.

    Exits with 0 if every ticket succeeded, 1 if some failed or nothing could be done, 2 for an option that there is not or a value of the wrong form, 3 if it stopped and can be gone on with.
    """
    from workshop_lib.commands.batch import Options
    from workshop_lib.commands.batch import batch as run_command

    options = Options(
        source, out, bucket, policy, form, role, wait, max_usd, min_records, max_records, max_mb, hours, resubmit, restart, summary, yes
    )
    status = run_command(options, sys.argv[2:])
    if status:
        raise typer.Exit(status)


@app.command()
def capacity(
    per_day: Annotated[float, typer.Option(help="Tickets a day.", min=1)],
    escalation: Annotated[list[float] | None, typer.Option(help="Share of a tier's tickets that go on to the next; one for each further tier.")] = None,
    tiers: Annotated[str, typer.Option(help="Models from cheap to strong, by comma.")] = "nano,sonnet",
    peak: Annotated[float, typer.Option(help="Times the mean rate at the busiest time.", min=1)] = 1.0,
    max_tokens: Annotated[int | None, typer.Option(help="maxTokens of a call; default: what triage asks for.", min=1)] = None,
    calls_per_process: Annotated[float, typer.Option(help="Calls a second of one process; `make bench` measures it.", min=1)] = 400.0,
    p95_ms: Annotated[list[str] | None, typer.Option(help="MODEL=MILLISECONDS that you measured. Repeatable.")] = None,
    input_tokens: Annotated[list[str] | None, typer.Option(help="MODEL=TOKENS of a call. Repeatable.")] = None,
    output_tokens: Annotated[list[str] | None, typer.Option(help="MODEL=TOKENS of an answer. Repeatable.")] = None,
) -> None:
    """Say what so many tickets a day take: calls a second, calls at once, quota, processes, USD."""
    from workshop_lib.bulk.capacity import Known, plan
    from workshop_lib.commands.bulk import by_model

    known = Known(by_model("--input-tokens", input_tokens or ()), by_model("--output-tokens", output_tokens or ()), by_model("--p95-ms", p95_ms or ()))
    named = [name.strip() for name in tiers.split(",")]
    try:
        found = plan(per_day, escalation or [], tiers=named, peak=peak, max_tokens=max_tokens, calls_per_process=calls_per_process, known=known)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(found.table())


@app.command()
def bakeoff(
    split: Annotated[str, typer.Option(help="Shipped tickets to run on: test or calibration.")] = "test",
    tickets: Annotated[Path | None, typer.Option(help="Your own tickets instead, every one labelled.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="With --tickets and --all: other tickets of yours, to fit learned arms on.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N tickets.", min=1)] = None,
    every: Annotated[bool, typer.Option("--all", help="All arms: every pair of models, all three, category majority, kNN, oracles.")] = False,
    label: Annotated[bool, typer.Option("--label", help="Ask every model and the judge, store the replies, and stop; asks only what is missing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many calls, tokens and USD it would take; call nothing.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask the models themselves, which costs money; confirms an estimate first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the sandbox and of what is drawn.", min=0)] = None,
    cache: Annotated[Path | None, typer.Option(help="Where replies are kept; default: .workshop/ if live or with --label, else nowhere.")] = None,
    reviews: Annotated[Path | None, typer.Option(help="People's labels (JSON lines) that replace the judge's.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every table as JSON to this file.")] = None,
    report: Annotated[bool | None, typer.Option("--report/--no-report", help="Write the HTML report; default: unless --label or --dry-run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; default: out/ in the checkout.")] = None,
) -> None:
    """Run all arms on the same tickets, print the table, and write the report."""
    from workshop_lib.commands.bakeoff import Options
    from workshop_lib.commands.bakeoff import bakeoff as run_command

    options = Options(split, tickets, calibration, limit, every, label, dry_run, live, yes, seed, cache, reviews, json, report, out)
    run_command(options, sys.argv[2:])


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="0 takes a free port.", min=0, max=65535)] = 8080,
    policy: Annotated[str, typer.Option(help="documented or published.")] = "documented",
    bulk: Annotated[bool, typer.Option(help="Mount the library's bulk route; without it the bulk page says where to build one.")] = True,
    time_scale: Annotated[float, typer.Option(help="Sandbox only: seconds slept per second of modelled latency.", min=0, max=10)] = 1.0,
    grace: Annotated[float, typer.Option(help="Seconds that requests at work have to end after Ctrl-C.", min=1)] = 30.0,
) -> None:
    """Serve the HTTP API and its two pages on this machine until interrupted."""
    try:
        from workshop_lib import service
    except ModuleNotFoundError as error:
        raise SettingsError(f"The service needs {error.name}, which is not installed. Run: pip install 'cascade-workshop[service]'") from error
    from workshop_lib.backend import open_backend
    from workshop_lib.commands.terminal import policy_named

    chosen = policy_named(policy)
    limits = service.Limits()
    settings = open_backend(time_scale=time_scale, max_connections=limits.calls)
    route = service.library_route(chosen) if bulk else None
    service.serve(service.create_app(route, settings=settings, policy=chosen, limits=limits), port, grace)


@cloud_app.command()
def simulate(
    text: Annotated[str, typer.Argument(help="What the customer wrote.")],
    subject: str = "",
    fault: Annotated[str | None, typer.Option(help="Let the cheap tier's first two attempts fail: throttled, server, unavailable, model_error or not_ready.")] = None,
    diagram: Annotated[Literal["text", "mermaid", "none"], typer.Option(help="How to draw the machine and the way taken.")] = "text",
    out: Annotated[Path | None, typer.Option(help="Write the whole history as JSON to this file.")] = None,
) -> None:
    """Run one ticket through the state machine on this machine, models played by the sandbox, and show the execution's history."""
    from workshop_lib.commands import cloud as cloud_command

    cloud_command.simulate(text, subject, fault, diagram, out)


@cloud_app.command()
def render(check: Annotated[bool, typer.Option(help="Only say whether deploy/ is up to date.")] = False) -> None:
    """Write the parts of deploy/ that follow from the catalogue, the metrics, the lock and the machine for one ticket."""
    from workshop_lib.cloud import render as generated

    _report(generated.check() if check else generated.render())


@app.command()
def build(
    labs: Annotated[list[str] | None, typer.Argument(help="Lab folders or numbers; default: all.")] = None,
    check: Annotated[bool, typer.Option(help="Write nothing; say what would change.")] = False,
    slides: Annotated[bool, typer.Option("--slides", help="Instead: a deck a lab from the stored notebooks, into out/slides/.")] = False,
    handout: Annotated[bool, typer.Option("--handout", help="Instead: the exercises without solutions, to print, as out/handout.html.")] = False,
) -> None:
    """Build the notebooks, run sheets and start page from the labs' source.py, or slides and handout from the built notebooks."""
    from tools import course
    from workshop_lib.lab import start
    from workshop_lib.paths import OUT

    if check and (slides or handout):
        raise typer.BadParameter("compares the notebooks; slides and handout are not stored, so leave one of the two out", param_hint="--check")
    if slides or handout:
        made = [*(course.slides(labs or [], OUT / "slides") if slides else ()), *([course.handout(labs or [], OUT)] if handout else ())]
        for path in made:
            typer.echo(path)
        return
    found = course.build(labs or [], check=check)
    if not check:
        start.write()
    _report([*found, *start.problems()])


@app.command()
def lint() -> None:
    """Check the labs and the docs against the course's rules."""
    from tools import course

    _report(course.lint())


@data_app.command()
def verify() -> None:
    """Compare every data file with its sha256 in data/MANIFEST."""
    from workshop_lib import manifest

    _report(manifest.problems())


@data_app.command()
def seal() -> None:
    """Write data/MANIFEST anew, after a change to the data that is meant."""
    from workshop_lib import manifest

    manifest.MANIFEST.write_text(manifest.text(), encoding="utf-8")


@data_app.command()
def synthetic(
    n: Annotated[int, typer.Option("--n", help="How many tickets.", min=1)] = 1000,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="NDJSON to write; default: standard output.")] = None,
) -> None:
    """Make tickets for load tests; they measure throughput, never quality."""
    from workshop_lib.bulk.synthetic import tickets

    lines = (ticket.model_dump_json() + "\n" for ticket in tickets(n, seed))
    if out is None:
        sys.stdout.writelines(lines)
        return
    try:
        with out.open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}). Name another file with --out.") from error


def _report(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
