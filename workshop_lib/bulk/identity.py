"""What a run is: what must not change between the run that began an output and the one that goes on with it."""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO

from workshop_lib import catalog
from workshop_lib.bulk.station import models_of
from workshop_lib.cascade import Policy
from workshop_lib.errors import DataError
from workshop_lib.llm import guardrail_named
from workshop_lib.settings import Settings
from workshop_lib.tasks import TRIAGE, Ticket

_PART = 1024 * 1024
_WHOLE = 256 * _PART
_PARTS = 64
_PROBE = Ticket(id="T", subject="s", body="b")


def identity(source: Path, policy: Policy, settings: Settings) -> dict[str, str]:
    """Return what is run, each part by name; raise DataError if the input cannot be read."""
    return {**run_identity(policy, settings), "input": input_digest(source)}


def run_identity(policy: Policy, settings: Settings) -> dict[str, str]:
    """Return what is run but for the input."""
    models = (f"{key}={catalog.model(key).id}" for key in models_of(policy))
    return {
        "backend": settings.backend,
        "guardrail": guardrail_named(settings),
        "models": " ".join(models),
        "policy": policy.digest,
        "prompt": prompt_digest(),
    }


def prompt_digest() -> str:
    """Return twelve digits that change whenever what is asked of a model does."""
    request = TRIAGE.request(_PROBE)
    tool = request.tool
    asked = [TRIAGE.prompt_version, request.prompt, request.system, request.max_tokens, request.temperature]
    schema = None if tool is None else [tool.name, tool.description, tool.schema]
    return sha256(json.dumps([asked, schema], sort_keys=True, default=dict).encode()).hexdigest()[:12]


def input_digest(path: Path) -> str:
    """Return the size and a digest of a file: of all of it up to 256 MiB, else of 64 parts of 1 MiB spread from its first to its last byte.

    The time of the last change does not count, so that a run can be gone on with on another machine.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = sha256()
            for part in _parts(file, size):
                digest.update(part)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Check the name and its permissions.") from error
    return f"{size} bytes {digest.hexdigest()[:16]}"


def _parts(file: IO[bytes], size: int) -> Iterator[bytes]:
    if size <= _WHOLE:
        while part := file.read(_PART):
            yield part
        return
    for number in range(_PARTS):
        file.seek((size - _PART) * number // (_PARTS - 1))
        yield file.read(_PART)
