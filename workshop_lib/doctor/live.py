"""What `workshop doctor` looks at for live runs: region, credentials, each model, the guardrail and quotas. It makes one tiny call a model."""

import math
import re
from collections.abc import Iterator

import openai
from botocore.exceptions import BotoCoreError, ClientError

from workshop_lib import catalog
from workshop_lib.doctor.check import Check
from workshop_lib.errors import SettingsError
from workshop_lib.llm import CallError, Gateway, Guardrail, Request, RetryPolicy, bedrock
from workshop_lib.settings import Settings

ANSWER_S = 20.0
"""How long a check waits for one answer, in seconds."""

_TINY = Request("Hi", max_tokens=16)
_WORKERS = 16  # what `workshop bulk` has in work at once unless told otherwise
_TOKENS = 100  # of an answer about a ticket, roughly
_PROFILES = re.compile(r"^(us|us-gov|eu|apac|jp|au|ca)\.")
_ACCOUNT = re.compile(r"\b\d{12}\b")
_KEYS = re.compile(r"\b(?:nvapi-|sk-|bedrock-api-key-)[\w*.-]+|\b(?:AKIA|ASIA)[0-9A-Z]{4,}")
_SIGN_IN = "sign in again (`aws sso login`), or set AWS_PROFILE or AWS_BEARER_TOKEN_BEDROCK"
_REFUSED_KEYS = ("UnrecognizedClient", "ExpiredToken", "InvalidSignature", "security token", "MissingAuthentication", "credentials")


def checks(settings: Settings) -> Iterator[Check]:
    """Yield the live checks; the models are not asked without a region and credentials, and none raises for the foreseeable."""
    patient = settings.model_copy(update={"read_timeout_s": min(settings.read_timeout_s, ANSWER_S), "max_retries": 0})
    region = _region(patient)
    yield region
    credentials = _credentials(patient)
    yield credentials
    ask = Gateway(patient, RetryPolicy(max_retries=0))
    if region.ok and credentials.ok:
        yield from (_model(ask, entry) for entry in catalog.models().values() if entry.provider == "bedrock")
        yield _guardrail(ask, patient)
    if patient.nvidia_api_key is None and patient.openai_base_url is None:
        yield Check("nim", True, "no NVIDIA_API_KEY, so the NIM models are left out; get a key at build.nvidia.com to add them")
    else:
        yield from (_model(ask, entry) for entry in catalog.models().values() if entry.provider == "nim")
    yield _quota()


def _region(settings: Settings) -> Check:
    import boto3

    session = boto3.Session(botocore_session=bedrock.without_user_files())  # a profile that does not exist is for the next check to tell
    # "bedrock", because botocore's list of regions leaves out bedrock-runtime, which is in the same ones
    known = {region for partition in session.get_available_partitions() for region in session.get_available_regions("bedrock", partition)}
    if settings.region not in known:
        return Check("region", False, f"Amazon Bedrock is not known to be in {settings.region}", "set AWS_REGION=us-west-2")
    profiles = {found[1] for entry in catalog.models().values() if (found := _PROFILES.match(entry.id))}
    here = "us-gov" if settings.region.startswith("us-gov") else settings.region.partition("-")[0]
    if profiles and here not in profiles:
        return Check("region", False, f"{settings.region}, but the table's ids begin with {', '.join(sorted(profiles))}.", "set AWS_REGION=us-west-2, or put this region's profile ids into data/models.toml")
    return Check("region", True, settings.region)


def _credentials(settings: Settings) -> Check:
    try:
        bedrock.client(settings)
    except SettingsError as error:
        found = "none were found" if "no AWS credentials" in str(error) else _clean(str(error))
        return Check("credentials", False, found, f"{_SIGN_IN}; AWS credentials in .env.local are not read")
    except BotoCoreError as error:
        return Check("credentials", False, _clean(f"{type(error).__name__}: {error}"), _SIGN_IN)
    return Check("credentials", True, "found by the default chain")


def _model(ask: Gateway, entry: catalog.Model) -> Check:
    name = f"model {entry.key}"
    try:
        reply = ask(entry.key, _TINY)
    except SettingsError as error:
        return Check(name, False, _clean(str(error)), "correct the setting named")
    except CallError as error:
        return Check(name, False, _clean(f"{entry.id}: {error.detail}"), _remedy(error, entry))
    except (BotoCoreError, ClientError, openai.OpenAIError) as error:
        return Check(name, False, _clean(f"{entry.id}: {type(error).__name__}: {error}"), _SIGN_IN)
    return Check(name, True, f"{entry.id} answered, {reply.cost.usd:.6f} USD")


def _remedy(error: CallError, entry: catalog.Model) -> str:
    """Return what to do about a model that cannot be called, by what the service said."""
    if "on-demand throughput" in error.detail:
        return f"this model is called by an inference profile only: write id = \"us.{entry.id}\" (or your region's prefix) into data/models.toml"
    if error.kind == "throttled":
        return "the model can be called, but your quota is used up: wait a minute, or ask for more under Service Quotas, Amazon Bedrock"
    if any(word in error.detail for word in _REFUSED_KEYS):
        return _SIGN_IN if entry.provider == "bedrock" else "set NVIDIA_API_KEY to a valid key from build.nvidia.com"
    if error.kind == "access":
        if entry.provider == "nim":
            return "set NVIDIA_API_KEY to a valid key from build.nvidia.com"
        return f"allow bedrock:InvokeModel on it, and request access to {entry.name} in the Bedrock console, Model access"
    if error.kind in ("not_found", "validation"):
        return "look the id up in the Bedrock console of this region, and correct data/models.toml" if entry.provider == "bedrock" else "look the id up at build.nvidia.com, and correct data/models.toml"
    if error.kind in ("unreachable", "connect_timeout", "disconnected", "read_timeout"):
        return "check the network, a proxy (HTTPS_PROXY), and the region"
    return "try again later; the service failed"


def _guardrail(ask: Gateway, settings: Settings) -> Check:
    if settings.guardrail_id is None or settings.guardrail_version is None:
        return Check("guardrail", True, "none set; it is optional (BEDROCK_GUARDRAIL_ID and BEDROCK_GUARDRAIL_VERSION)")
    named = f"{settings.guardrail_id} version {settings.guardrail_version}"
    try:
        ask.screen(Guardrail(settings.guardrail_id, settings.guardrail_version), "Hi", "INPUT")
    except CallError as error:
        if error.kind == "access":
            return Check("guardrail", False, _clean(f"{named}: {error.detail}"), "allow bedrock:ApplyGuardrail on it")
        return Check("guardrail", False, _clean(f"{named}: {error.detail}"), f"list them with `aws bedrock list-guardrails --region {settings.region}`, or unset both variables")
    return Check("guardrail", True, f"{named} answers")


def _quota() -> Check:
    """Return what quota a bulk run can use: calls at once over the latency of one."""
    nano = catalog.model("nano")
    seconds = (nano.latency.intercept_ms + _TOKENS * nano.latency.per_output_token_ms) / 1000
    rpm = math.ceil(_WORKERS * 60 / seconds / 100) * 100
    return Check("quota", True, f"bulk with {_WORKERS} at once can send about {rpm:,} requests a minute to Nano; compare with Service Quotas, Amazon Bedrock, and lower --rpm if yours is less")


def _clean(text: str) -> str:
    """Return a service's message as one line without keys and account numbers."""
    return _KEYS.sub("(a key)", _ACCOUNT.sub("(your account)", " ".join(text.split())))[:300].rstrip(".")
