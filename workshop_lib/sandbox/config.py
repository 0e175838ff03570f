"""How a sandbox is to be: from a TOML file, and from options of the command line, which win."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, ValidationError, model_validator

from workshop_lib.errors import SettingsError
from workshop_lib.sandbox.faults import Fault
from workshop_lib.sandbox.quotas import Quota

Entry = TypeVar("Entry", bound=BaseModel)
_PACE_OF_LABS = 0.02


class SandboxConfig(BaseModel):
    """One sandbox: port (0 takes a free one), seed, pace, the quotas and faults in force from the start, who answers, and for whom.

    With `room` it serves a class on `address`, this machine's own in its network if there is none, at the pace of the labs.

    In a file the quotas are `[[quota]]` tables, the faults `[[fault]]`, and `[upstream]` is what `sandbox.upstream` takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=8000, ge=0, le=65535)
    seed: int = Field(default=0, ge=0)
    time_scale: float = Field(default=1.0, ge=0)
    quota: tuple[Quota, ...] = ()
    fault: tuple[Fault, ...] = ()
    upstream: dict[str, Any] | None = None
    room: bool = False
    address: IPvAnyAddress | None = None

    @model_validator(mode="after")
    def _address_of_a_room(self) -> "SandboxConfig":
        if self.address is not None and not self.room:
            raise ValueError("address is for a room only; a sandbox of your own answers on this machine. Add --room, or leave the address out")
        return self


def read(file: Path | None, options: Mapping[str, Any]) -> SandboxConfig:
    """Return the configuration of a file, if any, with the options that are given (not None) in its place.

    Quotas and faults of the options come after the file's. Raises SettingsError, one line with the place, for anything wrong.
    """
    found = _table(file) if file is not None else {}
    given = {name: value for name, value in options.items() if value is not None and value != () and value != {}}
    for name in ("quota", "fault"):
        more = given.pop(name, ())
        if isinstance(found.get(name, []), list):
            given[name] = [*found.get(name, []), *more]
    if isinstance(found.get("upstream"), dict):
        given["upstream"] = {**found["upstream"], **given.get("upstream", {})}
    whole = {**found, **given}
    if whole.get("room"):
        whole.setdefault("time_scale", _PACE_OF_LABS)
    return _valid(SandboxConfig, whole, str(file) if file is not None else "sandbox")


def quota(text: str) -> Quota:
    """Return a quota written as MODEL:rpm=60,tpm=100000; `*` as the model means each model."""
    model, separator, limits = text.rpartition(":")
    pairs = dict(part.partition("=")[::2] for part in limits.split(","))
    if not separator or not model:
        raise SettingsError(f"--quota {text!r} is no quota. Write MODEL:rpm=60,tpm=100000, with one of the two or both.")
    return _valid(Quota, {"model": None if model == "*" else model, **{name.strip(): value for name, value in pairs.items()}}, f"--quota {text!r}")


def fault(text: str) -> Fault:
    """Return a fault written as JSON, such as {"model": "nano", "error_rate": 0.1, "kind": "throttled"}."""
    try:
        return Fault.model_validate_json(text)
    except ValidationError as error:
        raise SettingsError(f"--fault {text!r}: {_first(error)}.") from None


def upstream(
    url: str | None, models: Sequence[str], record: Path | None, replay: Path | None, on_miss: str | None, api_key_env: str | None
) -> dict[str, Any]:
    """Return the options about models behind the sandbox that are given, as `sandbox.upstream` takes them."""
    named = {"url": url, "map": list(models) or None, "record": record, "replay": replay, "on_miss": on_miss, "api_key_env": api_key_env}
    return {name: value for name, value in named.items() if value is not None}


def _table(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}). Name the sandbox's configuration with --config.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}. docs/sandbox.md shows a configuration.") from error


def _valid(kind: type[Entry], found: Mapping[str, Any], where: str) -> Entry:
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise SettingsError(f"{where}: {_first(error)}.") from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"
