"""Running one sandbox in this process: the listening socket, the warm stand-ins, the state file, and the watch over its users."""

import asyncio
import gc
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from workshop_lib.errors import SandboxError
from workshop_lib.sandbox import server, shapes
from workshop_lib.sandbox.config import SandboxConfig
from workshop_lib.sandbox.faults import Fault
from workshop_lib.sandbox.leases import Leases, Owner
from workshop_lib.sandbox.quotas import Quota
from workshop_lib.sandbox.stand_ins import questions, triage
from workshop_lib.serving import Serving, listen

_WATCH_S = 0.5
_BANNER = """The sandbox answers on http://127.0.0.1:{port} (stand-in models; Ctrl-C ends it). Any credentials will do.

boto3 and the AWS CLI:
  export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://127.0.0.1:{port} AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox AWS_DEFAULT_REGION=us-west-2
openai:
  export OPENAI_BASE_URL=http://127.0.0.1:{port}/v1 OPENAI_API_KEY=sandbox
curl:
  curl http://127.0.0.1:{port}/v1/chat/completions -H 'Authorization: Bearer sandbox' -H 'Content-Type: application/json' \\
    -d '{{"model": "meta/llama-3.1-8b-instruct", "messages": [{{"role": "user", "content": "What is 17 * 23?"}}]}}'
"""


@dataclass(frozen=True)
class Options:
    """How to run: `or_any` allows another port if the wanted one is in use; with owners the sandbox ends when all of them have."""

    port: int = 0
    or_any: bool = False
    seed: int = 0
    time_scale: float = 0.02
    key: str = ""
    state_file: Path | None = None
    owners: tuple[Owner, ...] = ()
    banner: str = ""
    quotas: tuple[Quota, ...] = ()
    faults: tuple[Fault, ...] = ()
    upstream: Mapping[str, Any] | None = None


def run(options: Options) -> None:
    """Serve until stopped or abandoned; raise PortError if the port is in use."""
    listening = listen(options.port, or_any=options.or_any)
    port = listening.getsockname()[1]
    try:
        _warm_up()
        sandbox = _sandbox(options)
        if sandbox.leases.abandoned:
            return  # the starter ended meanwhile, and another may have written the state file
        if options.state_file is not None:
            _write_state(options.state_file, options, port)
        if options.banner:
            print(options.banner.format(port=port), *_notes(options), sep="", flush=True)
        asyncio.run(_serve(sandbox, listening))
        if options.state_file is not None and sandbox.leases.abandoned:
            _tidy(options.state_file)  # after a crash or a stop the files stay, so that a restart finds the port
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()


def _sandbox(options: Options) -> server.Sandbox:
    sandbox = server.Sandbox(options.seed, options.time_scale, options.key, Leases(*options.owners))
    for quota in options.quotas:
        sandbox.quotas.add(quota)
    for fault in options.faults:
        sandbox.faults.add(fault)
    if options.upstream:
        upstream = _upstream()
        sandbox.answerer = upstream.open_answerer(upstream.read(options.upstream), sandbox.answerer)
    return sandbox


def _notes(options: Options) -> Iterator[str]:
    """Yield what a person should know besides the address: limits and faults in force, and who answers."""
    for quota in options.quotas:
        yield f"quota in force: {quota.model_dump_json(exclude_none=True)}\n"
    for fault in options.faults:
        yield f"fault in force: {fault.model_dump_json(exclude_none=True)}\n"
    if options.upstream:
        upstream = _upstream()
        yield f"{upstream.notice(upstream.read(options.upstream))}\n"


def _upstream() -> Any:
    """Return the package that puts real models behind the sandbox; loaded only when it is wanted."""
    try:
        return import_module("workshop_lib.sandbox.upstream")
    except ModuleNotFoundError as error:
        raise SandboxError(f"Models behind the sandbox need a module that is not here ({error.name}). Leave out --upstream and --replay.") from error


def _warm_up() -> None:
    """Train and load before listening is announced, so that the first request is answered as fast as the next."""
    triage.warm_up()
    questions.answer("What is 2 + 2?", questions.Capacity(1, 1))
    shapes.operation("Converse")
    gc.freeze()
    gc.enable()


async def _serve(sandbox: server.Sandbox, listening: socket.socket) -> None:
    await Serving(server.app(sandbox), listening).until_stopped(lambda: sandbox.leases.abandoned, _WATCH_S)


def leave(status: int = 0) -> NoReturn:
    """End this process at once: threads of the HTTP server may still be ending, and abort if they meet half an interpreter."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _tidy(state_file: Path) -> None:
    """Remove the state file and an empty log, unless a successor has taken them over."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(state_file.read_text(encoding="utf-8"))["pid"] == os.getpid():
            state_file.unlink()
            log = state_file.with_suffix(".log")
            if not log.stat().st_size:
                log.unlink()


def _write_state(file: Path, options: Options, port: int) -> None:
    state = {"pid": os.getpid(), "port": port, "seed": options.seed, "time_scale": options.time_scale, "key": options.key}
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.replace(file)


def serve(config: SandboxConfig) -> NoReturn:
    """Run a sandbox in the foreground until Ctrl-C, printing how to point boto3, the AWS CLI and openai at it.

    Raises PortError, one line with the remedy, if the port is in use.
    """
    options = Options(
        port=config.port,
        seed=config.seed,
        time_scale=config.time_scale,
        banner=_BANNER,
        quotas=config.quota,
        faults=config.fault,
        upstream=config.upstream,
    )
    run(options)
    leave()
