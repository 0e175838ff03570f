"""Where calls go and with which limits, from the environment and `.env.local`; validated, and secrets are never printed."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from dotenv.parser import parse_stream
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from workshop_lib.errors import SettingsError
from workshop_lib.paths import ROOT

REGION_VARIABLES = ("WORKSHOP_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
BEDROCK_ENDPOINT = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
OPENAI_BASE = "OPENAI_BASE_URL"
S3_ENDPOINT = "AWS_ENDPOINT_URL_S3"
ROOM, LEARNER = "WORKSHOP_ROOM", "WORKSHOP_LEARNER"
ANY_AWS_ENDPOINT = "AWS_ENDPOINT_URL"
NIM_HOSTED = "https://integrate.api.nvidia.com/v1"


class Settings(BaseSettings):
    """Everything that differs between a laptop without an account and a live run."""

    model_config = SettingsConfigDict(
        env_prefix="WORKSHOP_",
        env_file=ROOT / ".env.local",
        env_file_encoding="utf-8-sig",  # an editor's byte order mark would hide the first variable
        env_ignore_empty=True,  # FOO= in a shell, a compose file or .env.local means unset
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # the input holds the key
        populate_by_name=True,
    )

    backend: Literal["sandbox", "live"] = "sandbox"
    region: str = Field(
        default="us-west-2",
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        validation_alias=AliasChoices(*REGION_VARIABLES),
    )
    bedrock_endpoint: str | None = Field(default=None, validation_alias=BEDROCK_ENDPOINT)
    openai_base_url: str | None = Field(default=None, validation_alias=OPENAI_BASE)
    s3_endpoint: str | None = Field(default=None, validation_alias=S3_ENDPOINT, description="of batch jobs only, which check it; labs must not fail over it")
    nvidia_api_key: SecretStr | None = Field(default=None, validation_alias="NVIDIA_API_KEY")
    guardrail_id: str | None = Field(default=None, validation_alias="BEDROCK_GUARDRAIL_ID")
    guardrail_version: str | None = Field(default=None, validation_alias="BEDROCK_GUARDRAIL_VERSION")
    max_connections: int = Field(default=64, ge=1, le=4096, description="HTTP pool size; at least the number of workers")
    fast_client: bool = Field(default=False, description="calls by the lean path: the same requests as the SDKs make, with less CPU")
    connect_timeout_s: float = Field(default=5, gt=0)
    read_timeout_s: float = Field(default=120, gt=0, description="above the slowest tier's p99.9: a retry after it pays twice")
    max_retries: int = Field(default=3, ge=0, le=3)
    retry_base_s: float = Field(default=0.5, gt=0)
    retry_cap_s: float = Field(default=20, gt=0)
    seed: int = Field(default=0, ge=0)
    time_scale: float = Field(default=0.02, ge=0, le=10, description="sandbox only: seconds slept per second modelled")
    room: str | None = Field(default=None, description="sandbox only: the instructor's sandbox, as http://HOST:PORT/KEY")
    learner: str | None = Field(default=None, description="sandbox only: the name on the room's board")

    @field_validator("bedrock_endpoint", "openai_base_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and not _host(url):
            raise ValueError("it must be an address such as http://127.0.0.1:8000 or https://host/v1")
        return url

    @field_validator("room")
    @classmethod
    def _room_address(cls, url: str | None) -> str | None:
        if url is not None and not (_host(url) and re.fullmatch(r"http://[^/?#@\s]+/[^/?#\s]+/?", url)):
            raise ValueError("it must be the address that the instructor shows, such as http://10.0.0.5:8000/KEY")
        return url

    @property
    def room_root(self) -> str | None:
        """Return the address of this learner's sandbox in the room, None outside a room or live."""
        if self.backend != "sandbox" or self.room is None or self.learner is None:
            return None
        start, _, key = self.room.rstrip("/").rpartition("/")
        return f"{start}/room/{quote(key, safe='')}/{quote(self.learner, safe='')}"

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if (self.guardrail_id is None) != (self.guardrail_version is None):
            given, value, absent = ("ID", self.guardrail_id, "VERSION") if self.guardrail_id else ("VERSION", self.guardrail_version, "ID")
            raise ValueError(f"BEDROCK_GUARDRAIL_{given} is {value!r} but BEDROCK_GUARDRAIL_{absent} is not set; set both, or neither")
        if self.backend == "sandbox":
            if (self.room is None) != (self.learner is None):
                given, absent = (ROOM, LEARNER) if self.room else (LEARNER, ROOM)
                raise ValueError(f"{given} is set but {absent} is not; run: workshop join ADDRESS NAME, or: workshop leave")
            in_room = {self.room_root, f"{self.room_root}/v1"}
            for variable, url in ((BEDROCK_ENDPOINT, self.bedrock_endpoint), (OPENAI_BASE, self.openai_base_url)):
                if url is not None and not is_loopback(url) and url not in in_room:
                    raise ValueError(
                        f"{variable} is {shown(url)!r}, which is not on this machine, but WORKSHOP_BACKEND is 'sandbox'; "
                        f"run: unset {variable}, or set WORKSHOP_BACKEND=live"
                    )
        return self


def is_loopback(url: str) -> bool:
    """Say whether a URL points at this machine (127.0.0.0/8, ::1 or localhost)."""
    host = _host(url)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """Return a URL as it may be printed: without the user name and password it may carry."""
    return re.sub(r"//[^/?#]*@", "//", url)


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.port != 0  # reading the port raises if it is none
        return (parts.hostname or "") if usable else ""
    except ValueError:  # such as an IPv6 address without its closing bracket, or port 99999
        return ""


def load(**overrides: Any) -> Settings:
    """Read and validate the settings; raise SettingsError, one line, naming the variable and the remedy."""
    in_file = _names_in_file(Path(str(Settings.model_config["env_file"])))
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_one_line(error, in_file)) from None
    if settings.backend == "live":
        _check_live(settings)
    return settings


def _names_in_file(file: Path) -> set[str]:
    """Return the variables that .env.local sets; refuse a file that would otherwise be ignored in part, never quoting it: it holds the key."""
    try:
        with file.open(encoding="utf-8-sig") as text:
            bindings = list(parse_stream(text))
    except FileNotFoundError:
        return set()
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8. Save it as UTF-8 text with lines such as WORKSHOP_BACKEND=live, or delete it.") from None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}). Make it a file that you may read, or delete it.") from None
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            written = binding.original.string
            number = binding.original.line + len(written) - len(written.lstrip("\n"))
            raise SettingsError(f"{file} line {number} is not of the form NAME=value, with quotes in pairs. Correct or delete that line.")
    return {binding.key for binding in bindings if binding.key and binding.value}


def _check_live(settings: Settings) -> None:
    if os.environ.get("AWS_BEARER_TOKEN_BEDROCK", "unset").strip() == "":
        raise SettingsError("AWS_BEARER_TOKEN_BEDROCK is set but empty, which hides your other credentials. Run: unset AWS_BEARER_TOKEN_BEDROCK")
    endpoints = {BEDROCK_ENDPOINT: settings.bedrock_endpoint, ANY_AWS_ENDPOINT: os.environ.get(ANY_AWS_ENDPOINT)}  # boto3 obeys both
    for variable, url in endpoints.items():
        if url is not None and is_loopback(url):
            left_over = settings.openai_base_url is not None and is_loopback(settings.openai_base_url)
            names = f"{variable} {OPENAI_BASE}" if left_over else variable
            raise SettingsError(f"WORKSHOP_BACKEND is 'live' but {variable} still points at {shown(url)}. Run: unset {names}")


def _one_line(error: ValidationError, in_file: set[str]) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    variable = _variable(name, in_file)
    reason = first["msg"].removeprefix("Value error, ")
    if not name:
        return f"Settings: {reason}."
    if first["type"] == "literal_error":
        return f"{variable} is {first['input']!r}, but must be {first['ctx']['expected']}. Correct it in your environment or in .env.local."
    if first["type"] == "string_pattern_mismatch":
        reason = "it must be a region such as us-west-2"
    value = shown(str(first["input"]))
    return f"{variable} is {value!r}: {reason}. Correct it in your environment or in .env.local."


def _variable(name: str, in_file: set[str]) -> str:
    """Return the variable a setting came from: the region may come from any of three."""
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field is not None else name
    if isinstance(alias, AliasChoices) or alias == REGION_VARIABLES[0]:
        given = [variable for variable in REGION_VARIABLES if os.environ.get(variable)]
        return next(iter([*given, *(variable for variable in REGION_VARIABLES if variable in in_file)]), REGION_VARIABLES[0])
    return alias if isinstance(alias, str) and alias.isupper() else f"WORKSHOP_{name.upper()}"
