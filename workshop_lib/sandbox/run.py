"""Running one sandbox in this process: the listening socket, the warm stand-ins, the state file, and the watch over its users."""

import asyncio
import gc
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from starlette.types import ASGIApp

from workshop_lib.errors import SandboxError
from workshop_lib.sandbox import server, shapes
from workshop_lib.sandbox.config import SandboxConfig
from workshop_lib.sandbox.faults import Fault
from workshop_lib.sandbox.leases import Leases, Owner
from workshop_lib.sandbox.quotas import Quota
from workshop_lib.sandbox.room import entry
from workshop_lib.sandbox.room.entry import Keys
from workshop_lib.sandbox.room.members import Members
from workshop_lib.sandbox.stand_ins import questions, triage
from workshop_lib.serving import HOST, Serving, listen, own_address

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
_ROOM_BANNER = """The room is open on http://{address}:{port} (stand-in models). Ctrl-C ends it, and what it knows of learners with it.

Learners, once, in their checkout (then open the labs as usual; `workshop leave` goes back to a sandbox of their own):
  workshop join http://{address}:{port}/{join} "Their Name"
The board, for everybody:
  http://{address}:{port}{board}#{join}
The board with the button that erases it, for you:
  http://{address}:{port}{board}#{instructor}
Everybody in this network who has a key may come in. The connection is not encrypted: no real tickets, no real keys.
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
    room: "RoomOptions | None" = None


@dataclass(frozen=True)
class RoomOptions:
    """A room instead of a sandbox of one's own: where it listens, and the keys to it."""

    address: str
    keys: Keys


def run(options: Options) -> None:
    """Serve until stopped or abandoned; raise PortError if the port is in use."""
    listening = listen(options.port, or_any=options.or_any, address=options.room.address if options.room else HOST)
    port = listening.getsockname()[1]
    try:
        _warm_up()
        sandbox = _sandbox(options)
        if sandbox.leases.abandoned:
            return  # the starter ended meanwhile, and another may have written the state file
        if options.state_file is not None:
            _write_state(options.state_file, options, port)
        if options.banner:
            print(_banner(options, port), *_notes(options), sep="", flush=True)
        asyncio.run(_serve(sandbox, _app(sandbox, options), listening))
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


def _app(sandbox: server.Sandbox, options: Options) -> ASGIApp:
    if options.room is None:
        return server.app(sandbox)

    def another() -> server.Sandbox:
        """Return a learner's sandbox: nothing is shared but who answers, which may be one upstream server and one recording."""
        made = _sandbox(replace(options, upstream=None, owners=()))
        made.answerer = sandbox.answerer
        return made

    return entry.app(Members(another), options.room.keys, options.room.address)


def _banner(options: Options, port: int) -> str:
    if options.room is None:
        return options.banner.format(port=port)
    return options.banner.format(port=port, address=options.room.address, join=options.room.keys.join, instructor=options.room.keys.instructor, board=entry.BOARD)


async def _serve(sandbox: server.Sandbox, app: ASGIApp, listening: socket.socket) -> None:
    await Serving(app, listening).until_stopped(lambda: sandbox.leases.abandoned, _WATCH_S)


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
    """Run a sandbox in the foreground until Ctrl-C, printing how to point boto3, the AWS CLI and openai at it, or how to join its room.

    Raises PortError, one line with the remedy, if the port is in use or the address is not this machine's, and SandboxError for a room on a
    machine without a network.
    """
    options = Options(
        port=config.port,
        seed=config.seed,
        time_scale=config.time_scale,
        banner=_ROOM_BANNER if config.room else _BANNER,
        quotas=config.quota,
        faults=config.fault,
        upstream=config.upstream,
        room=RoomOptions(str(config.address or own_address()), Keys.drawn()) if config.room else None,
    )
    run(options)
    leave()
