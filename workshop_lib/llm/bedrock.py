"""Amazon Bedrock through boto3's Converse: the client with its traps handled, one call, and its errors in our words."""

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.validate import ParamValidator

from workshop_lib.catalog import Model
from workshop_lib.errors import SettingsError
from workshop_lib.llm.bedrock_reading import UNREADABLE, read, read_screened, readable_error
from workshop_lib.llm.errors import CallError, Kind, header_number, kind_of_status, one_line
from workshop_lib.llm.types import Guardrail, RawReply, Request, Screened
from workshop_lib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_CODES: dict[str, Kind] = {
    "ThrottlingException": "throttled",
    "ModelNotReadyException": "throttled",
    "InternalServerException": "server",
    "ServiceUnavailableException": "server",
    "ValidationException": "validation",
    "ServiceQuotaExceededException": "validation",
    "AccessDeniedException": "access",
    "UnrecognizedClientException": "access",
    "ExpiredTokenException": "access",
    "ResourceNotFoundException": "not_found",
    "ModelErrorException": "model",
    "ModelTimeoutException": "model",
}


def kind_of_code(code: str) -> Kind | None:
    """Return what an error code of Bedrock says of a failed call; None for a code that is not known."""
    return _CODES.get(code)


NO_LOGPROBS = "Converse has no field for log-probabilities; ask a model behind an OpenAI-compatible endpoint (NIM), or use another gate."


def client(settings: Settings, *, checked: bool = True) -> "BedrockRuntimeClient":
    """Return a plain boto3 bedrock-runtime client: SDK retries off, pool as wide as the workers, region explicit.

    In the sandbox it uses dummy credentials, SigV4 (a bearer token is refused on plain http), no profile, no proxy and no
    instance metadata. Live it uses the default credential chain; raises SettingsError if that finds nothing. Unless `checked`, it does not
    compare the arguments of every call with the service's model, a tenth of a call's CPU.
    """
    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=settings.max_connections,
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        parameter_validation=checked,
        user_agent=_user_agent(),
    )
    if settings.backend == "live":
        return _live_client(settings, config)
    if settings.bedrock_endpoint is None:
        raise SettingsError("The sandbox is not running for this process. Start it with `workshop sandbox`, or open it with workshop_lib.backend.open_backend().")
    return boto3.Session(botocore_session=without_user_files()).client(
        "bedrock-runtime",
        region_name=settings.region,
        endpoint_url=settings.bedrock_endpoint,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",  # noqa: S106  # a dummy the sandbox accepts
        config=config.merge(Config(signature_version="v4", proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False)),
    )


def _user_agent() -> str:
    """Return boto3's name for itself, made once: botocore would put it together twice in every call, a sixth of its CPU."""
    session = botocore.session.Session()
    session.user_agent_name, session.user_agent_version = "Boto3", boto3.__version__
    app = os.environ.get("AWS_SDK_UA_APP_ID")
    return f"{session.user_agent()} app/{app}" if app else session.user_agent()


def without_user_files() -> botocore.session.Session:
    """Return a session that reads neither AWS_PROFILE, which may name a missing profile, nor the user's AWS files, which may be broken."""
    ignored = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
    return botocore.session.Session({name: (None, [], value, None) for name, value in ignored.items()})


def files_of(settings: Settings) -> botocore.session.Session:
    """Return a session that reads the AWS files which a client of these settings goes by."""
    return without_user_files() if settings.backend == "sandbox" else botocore.session.Session()


def _live_client(settings: Settings, config: Config) -> "BedrockRuntimeClient":
    try:
        session = boto3.Session(region_name=settings.region)
        live = session.client("bedrock-runtime", endpoint_url=settings.bedrock_endpoint, config=config)
        has_credentials = bool(os.environ.get("AWS_BEARER_TOKEN_BEDROCK")) or session.get_credentials() is not None
    except BotoCoreError as error:
        raise SettingsError(f"AWS settings: {one_line(str(error)).rstrip('.')}. Check AWS_PROFILE and ~/.aws/config.") from error
    if not has_credentials:
        raise SettingsError(
            "WORKSHOP_BACKEND is 'live' but no AWS credentials were found. Run `aws sso login`, or set AWS_PROFILE or AWS_BEARER_TOKEN_BEDROCK "
            "in the environment (AWS credentials in .env.local are not read)."
        )
    return live


def converse_arguments(model: Model, request: Request) -> dict[str, Any]:
    """Return the keyword arguments of `client.converse` for a request."""
    inference: dict[str, Any] = {"maxTokens": request.max_tokens}
    if model.accepts_temperature:
        inference["temperature"] = request.temperature
    arguments: dict[str, Any] = {
        "modelId": model.id,
        "messages": [{"role": "user", "content": [{"text": request.prompt}]}],
        "inferenceConfig": inference,
    }
    if request.system is not None:
        arguments["system"] = [{"text": request.system}]
    if request.tool is not None:
        spec = {"name": request.tool.name, "description": request.tool.description, "inputSchema": {"json": dict(request.tool.schema)}}
        arguments["toolConfig"] = {"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": request.tool.name}}}
    if request.guardrail is not None:
        arguments["guardrailConfig"] = {
            "guardrailIdentifier": request.guardrail.identifier,
            "guardrailVersion": request.guardrail.version,
            "trace": "enabled",
        }
    tags = {**request.tags, "sample": str(request.sample)} if request.sample else dict(request.tags)
    if tags:
        arguments["requestMetadata"] = tags
    return arguments


class Bedrock:
    """The provider for models on Amazon Bedrock, by boto3's client."""

    def __init__(self, settings: Settings) -> None:
        self._client = client(settings, checked=False)
        self._client.meta.events.register("before-parse.bedrock-runtime", self._on_reply)
        self._mine = threading.local()
        self._checked: set[tuple[str, ...]] = set()

    def send(self, model: Model, request: Request) -> RawReply:
        """Make one Converse call; log-probabilities, which Converse has no field for, are refused before it."""
        if request.logprobs:
            raise CallError("validation", model.id, NO_LOGPROBS)
        arguments = converse_arguments(model, request)
        try:
            self._check(arguments)
            response = self._converse(arguments)
        except (ClientError, BotoCoreError) as error:
            raise translate(error, model.id) from error
        except UNREADABLE as error:
            raise _not_made(error, model.id) from error
        return read(response)

    def _converse(self, arguments: dict[str, Any]) -> Mapping[str, Any]:
        """Make a call; return nothing for a reply that cannot be read, and let propagate what was raised before there was one."""
        return self._by_client(self._client.converse, arguments)

    def _by_client(self, operation: Callable[..., Mapping[str, Any]], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self._mine.replied = False
        try:
            return operation(**arguments)
        except UNREADABLE:
            if not self._mine.replied:
                raise
            return {}

    def _on_reply(self, response_dict: dict[str, Any], **_: Any) -> None:
        """Note that a reply to this thread's call arrived: from here on an error is one of reading it."""
        self._mine.replied = True
        readable_error(response_dict)

    def _check(self, arguments: dict[str, Any]) -> None:
        """Compare arguments with the service's model, as the client would, the first time that a model is asked with these settings."""
        kind = (arguments["modelId"], str(arguments["inferenceConfig"]), *arguments)
        if kind in self._checked:
            return
        shape = self._client.meta.service_model.operation_model("Converse").input_shape
        assert shape is not None  # Converse has one
        found = ParamValidator().validate(arguments, shape)
        if found.has_errors():
            raise ParamValidationError(report=found.generate_report())
        self._checked.add(kind)

    def screen(self, guardrail: Guardrail, text: str, source: Literal["INPUT", "OUTPUT"]) -> Screened:
        """Make one ApplyGuardrail call on a text; raise CallError, naming the guardrail, if it fails."""
        name = f"guardrail {guardrail.identifier}"
        arguments = {
            "guardrailIdentifier": guardrail.identifier,
            "guardrailVersion": guardrail.version,
            "source": source,
            "content": [{"text": {"text": text}}],
        }
        try:
            response = self._by_client(self._client.apply_guardrail, arguments)
        except (ClientError, BotoCoreError) as error:
            raise translate(error, name) from error
        except UNREADABLE as error:
            raise _not_made(error, name) from error
        return read_screened(response, text)


def _not_made(error: Exception, name: str) -> CallError:
    """Return the error of a call that failed here before anything was answered: a walk stops at it, where a reply that cannot be read escalates."""
    return CallError("validation", name, f"the request could not be made ({type(error).__name__}: {error}).")


def translate(error: ClientError | BotoCoreError, model_id: str) -> CallError:
    """Turn a botocore exception into a CallError with the kind of failure and the delay the server asked for."""
    if isinstance(error, ClientError):
        return _translate_response(error, model_id)
    kinds: list[tuple[type[BotoCoreError], Kind]] = [
        (ConnectTimeoutError, "connect_timeout"),
        (ReadTimeoutError, "read_timeout"),
        (ConnectionClosedError, "disconnected"),
        (EndpointConnectionError, "unreachable"),
        (ProxyConnectionError, "unreachable"),
        (SSLError, "unreachable"),
        (HTTPClientError, "disconnected"),
        (ParamValidationError, "validation"),
    ]
    kind: Kind = next((kind for type_, kind in kinds if isinstance(error, type_)), "access")
    return CallError(kind, model_id, f"{str(error).rstrip('.')}.")


def _translate_response(error: ClientError, model_id: str) -> CallError:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "")
    meta = error.response.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode", 0)
    kind = kind_of_code(code) or kind_of_status(status)
    retry_after_s = header_number(meta.get("HTTPHeaders", {}).get("x-amz-retry-after"), unit=0.001)
    return CallError(kind, model_id, f"{code or status}: {message.rstrip('.')}.", retry_after_s=retry_after_s)
