"""Where calls go and with which limits, from the environment and `.env.local`; validated, and secrets are never printed."""

import ipaddress
import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from workshop_lib.errors import SettingsError
from workshop_lib.paths import ROOT

BEDROCK_ENDPOINT = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
OPENAI_BASE = "OPENAI_BASE_URL"
NIM_HOSTED = "https://integrate.api.nvidia.com/v1"


class Settings(BaseSettings):
    """Everything that differs between a laptop without an account and a live run."""

    model_config = SettingsConfigDict(
        env_prefix="WORKSHOP_", env_file=ROOT / ".env.local", extra="ignore", frozen=True, populate_by_name=True
    )

    backend: Literal["sandbox", "live"] = "sandbox"
    region: str = Field(
        default="us-west-2",
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        validation_alias=AliasChoices("WORKSHOP_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
    )
    bedrock_endpoint: str | None = Field(default=None, validation_alias=BEDROCK_ENDPOINT)
    openai_base_url: str | None = Field(default=None, validation_alias=OPENAI_BASE)
    nvidia_api_key: SecretStr | None = Field(default=None, validation_alias="NVIDIA_API_KEY")
    guardrail_id: str | None = Field(default=None, validation_alias="BEDROCK_GUARDRAIL_ID")
    guardrail_version: str | None = Field(default=None, validation_alias="BEDROCK_GUARDRAIL_VERSION")
    max_connections: int = Field(default=64, ge=1, le=4096, description="HTTP pool size; at least the number of workers")
    connect_timeout_s: float = Field(default=5, gt=0)
    read_timeout_s: float = Field(default=120, gt=0, description="above the slowest tier's p99.9: a retry after it pays twice")
    max_retries: int = Field(default=3, ge=0, le=3)
    retry_base_s: float = Field(default=0.5, gt=0)
    retry_cap_s: float = Field(default=20, gt=0)
    seed: int = Field(default=0, ge=0)
    time_scale: float = Field(default=0.02, ge=0, le=10, description="sandbox only: seconds slept per second modelled")

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if (self.guardrail_id is None) != (self.guardrail_version is None):
            raise ValueError("set BEDROCK_GUARDRAIL_ID and BEDROCK_GUARDRAIL_VERSION together, or neither")
        if self.backend == "sandbox":
            for variable, url in ((BEDROCK_ENDPOINT, self.bedrock_endpoint), (OPENAI_BASE, self.openai_base_url)):
                if url is not None and not is_loopback(url):
                    raise ValueError(
                        f"{variable} is {url!r}, which is not on this machine, but the backend is 'sandbox'; "
                        "unset it, or set WORKSHOP_BACKEND=live"
                    )
        return self


def is_loopback(url: str) -> bool:
    """Say whether a URL points at this machine (127.0.0.0/8, ::1 or localhost)."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(**overrides: Any) -> Settings:
    """Read and validate the settings; raise SettingsError, one line, naming the variable and the remedy."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None
    if settings.backend == "live":
        _check_live(settings)
    return settings


def _check_live(settings: Settings) -> None:
    if os.environ.get("AWS_BEARER_TOKEN_BEDROCK") == "":
        raise SettingsError("AWS_BEARER_TOKEN_BEDROCK is set but empty, which hides your other credentials. Run: unset AWS_BEARER_TOKEN_BEDROCK")
    if settings.bedrock_endpoint is not None and is_loopback(settings.bedrock_endpoint):
        raise SettingsError(
            f"WORKSHOP_BACKEND is 'live' but {BEDROCK_ENDPOINT} still points at {settings.bedrock_endpoint}. Run: unset {BEDROCK_ENDPOINT}"
        )


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    field = Settings.model_fields.get(name)
    variable = name if name.isupper() else f"WORKSHOP_{name.upper()}"
    if field is not None and isinstance(field.validation_alias, AliasChoices):
        variable = str(field.validation_alias.choices[0])
    reason = first["msg"].removeprefix("Value error, ")
    if not name:
        return f"Settings: {reason}."
    if first["type"] == "literal_error":
        return f"{variable} is {first['input']!r}, but must be {first['ctx']['expected']}. Correct it in your environment or in .env.local."
    return f"{variable} is {first['input']!r}: {reason}. Correct it in your environment or in .env.local."
