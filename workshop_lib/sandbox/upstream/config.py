"""Which models are answered by a real server or from a recording, and how; what a person can get wrong here is one clear line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from workshop_lib import catalog
from workshop_lib.errors import SettingsError, UnknownModelError
from workshop_lib.settings import is_loopback, shown

OnMiss = Literal["error", "stand-in", "upstream"]
Forced = Literal["json_schema", "tools"]


class UpstreamConfig(BaseModel):
    """Where mapped models are answered. `map` goes from a model's id in the sandbox (or its short key) to its name at `url`.

    `url` is an OpenAI-compatible server, with or without /v1. `record` is appended to; `replay` is answered from, and without a map it
    is for the models that occur in it. `on_miss` says what happens to a request that is not in the recording. `forced` is how a forced
    tool is asked for: by a JSON schema for the text, which every such server enforces, or by the server's own tool calls.
    `timeout_s` bounds one answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    record: Path | None = None
    replay: Path | None = None
    on_miss: OnMiss = "error"
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    timeout_s: float = Field(default=120, gt=0, le=3600)
    forced: Forced = "json_schema"

    @field_validator("url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment)
        except ValueError:  # such as port 99999
            usable = False
        if not usable:
            raise ValueError(f"{shown(url)!r} is no address; it must be one such as http://127.0.0.1:8080/v1")
        return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"

    @field_validator("map")
    @classmethod
    def _known(cls, given: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, upstream in given.items():
            try:
                id_ = catalog.model(name).id
            except UnknownModelError as error:
                raise ValueError(str(error)) from None
            if not upstream.strip() or not upstream.isprintable():
                raise ValueError(f"{name} is mapped to {upstream!r}, which is no model's name")
            if found.setdefault(id_, upstream) != upstream:
                raise ValueError(f"{id_} is mapped twice")
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wants_url = {
            "--map": bool(self.map) and self.replay is None,
            "--record": self.record is not None,
            "--on-miss upstream": self.on_miss == "upstream",
        }
        if self.url is None:
            lacking = next((name for name, wanted in wants_url.items() if wanted), None)
            if lacking:
                raise ValueError(f"{lacking} needs a server; name it with --upstream URL")
            if self.replay is None:
                raise ValueError("name a server with --upstream URL, or a recording with --replay FILE")
        elif not self.map:
            raise ValueError("--upstream needs to know for which models; name them with --map ID=MODEL")
        if self.replay is None and self.on_miss != "error":
            raise ValueError("--on-miss is about a recording; name one with --replay FILE")
        if self.replay is not None and self.url is not None and self.on_miss != "upstream":
            raise ValueError("with --replay the server is asked only for what is not recorded; add --on-miss upstream, or leave out --upstream")
        return self

    @property
    def server(self) -> str:
        """Return the server's address as it may be printed, without a password."""
        return shown(self.url or "")

    @property
    def leaves_the_machine(self) -> bool:
        """Say whether requests are sent to another machine."""
        return self.url is not None and not is_loopback(self.url)


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Return what `--map ID=MODEL` options say; raise SettingsError for one that is no pair, or for a model named twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, separator, upstream = pair.partition("=")
        if not (separator and name.strip() and upstream.strip()):
            raise SettingsError(f"--map {pair!r} is no pair. Write --map ID=MODEL, for example --map nvidia.nemotron-nano-3-30b=qwen2.5:7b.")
        if name.strip() in found:
            raise SettingsError(f"--map names {name.strip()} twice. Give each model once.")
        found[name.strip()] = upstream.strip()
    return found


def read(options: Mapping[str, Any]) -> UpstreamConfig:
    """Return a configuration from options as they come from a command line or a file; raise SettingsError, one line, for wrong ones.

    `map` may be a sequence of "ID=MODEL" or a table.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(given.get("map"), list | tuple):
        given["map"] = mapping(given["map"])
    try:
        return UpstreamConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise SettingsError(f"upstream{' ' + where if where else ''}: {message}.") from None


def notice(config: UpstreamConfig) -> str:
    """Return the lines that say at start who answers what, and that requests leave the machine if they do."""
    lines = [f"{id_} is answered by {model} at {config.server}." for id_, model in config.map.items() if config.url]
    if config.replay is not None:
        lines.append(f"Replies are replayed from {config.replay}; what is not in it: {_MISS[config.on_miss]}.")
    if config.record is not None:
        lines.append(f"Replies are recorded in {config.record}, without the requests.")
    if config.leaves_the_machine:
        lines.append(f"Requests to these models leave this machine: {config.server} is not a loopback address.")
    return "\n".join([*lines, "All other models are stand-ins."])


_MISS = {"error": "an error", "stand-in": "the stand-in answers", "upstream": "the server is asked"}
