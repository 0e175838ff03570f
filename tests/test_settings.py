"""Settings: every wrong value is one clear line, and no secret gets out."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from workshop_lib.errors import SettingsError
from workshop_lib.settings import Settings, is_loopback, load, shown

PREFIXES = ("AWS_", "WORKSHOP_", "OPENAI_", "NVIDIA_", "BEDROCK_")
ANYWHERE = "http://10.1.2.3:8000"
BEDROCK = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
KEY = "nvapi-do-not-print-me"


@pytest.fixture(autouse=True)
def env_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Set an empty environment and a .env.local that is not the developer's own; returns the file's path."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)
    path = tmp_path / ".env.local"
    monkeypatch.setitem(Settings.model_config, "env_file", path)
    return path


def refusal(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], **overrides: Any) -> str:
    """Return what loading the settings is refused with."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(**overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WORKSHOP_BACKEND": "snadbox"}, ["WORKSHOP_BACKEND", "snadbox", "'sandbox' or 'live'", "Correct it"]),
        ({BEDROCK: ANYWHERE}, [BEDROCK, ANYWHERE, f"unset {BEDROCK}", "WORKSHOP_BACKEND=live"]),
        ({"OPENAI_BASE_URL": "https://api.example.com/v1"}, ["OPENAI_BASE_URL", "https://api.example.com/v1", "unset OPENAI_BASE_URL"]),
        ({"OPENAI_BASE_URL": "localhost:8000/v1"}, ["OPENAI_BASE_URL", "localhost:8000/v1", "http://127.0.0.1:8000"]),
        ({BEDROCK: "http://[::1"}, [BEDROCK, "http://[::1", "http://127.0.0.1:8000"]),
        ({BEDROCK: "http://127.0.0.1:99999"}, [BEDROCK, "127.0.0.1:99999", "Correct it"]),
        ({BEDROCK: "http://[::1", "WORKSHOP_BACKEND": "live"}, [BEDROCK, "http://[::1", "Correct it"]),
        ({"BEDROCK_GUARDRAIL_ID": "gr-1"}, ["BEDROCK_GUARDRAIL_ID", "gr-1", "BEDROCK_GUARDRAIL_VERSION", "set both"]),
        ({"BEDROCK_GUARDRAIL_VERSION": "7"}, ["BEDROCK_GUARDRAIL_VERSION", "'7'", "BEDROCK_GUARDRAIL_ID", "set both"]),
        ({"WORKSHOP_REGION": "oregon"}, ["WORKSHOP_REGION", "oregon", "us-west-2"]),
        ({"AWS_REGION": "us-west"}, ["AWS_REGION is", "'us-west'", "us-west-2"]),
        ({"AWS_DEFAULT_REGION": "US-WEST-2"}, ["AWS_DEFAULT_REGION is", "US-WEST-2"]),
        ({"WORKSHOP_MAX_RETRIES": "9"}, ["WORKSHOP_MAX_RETRIES", "'9'", "3"]),
        ({"WORKSHOP_SEED": "lucky"}, ["WORKSHOP_SEED", "lucky", "integer"]),
        ({"WORKSHOP_BACKEND": "live", BEDROCK: "http://127.0.0.1:4311"}, ["WORKSHOP_BACKEND", "'live'", "127.0.0.1:4311", f"unset {BEDROCK}"]),
        ({"WORKSHOP_BACKEND": "live", "AWS_ENDPOINT_URL": "http://localhost:4566"}, ["'live'", "http://localhost:4566", "unset AWS_ENDPOINT_URL"]),
        ({"WORKSHOP_BACKEND": "live", "AWS_BEARER_TOKEN_BEDROCK": ""}, ["AWS_BEARER_TOKEN_BEDROCK", "empty", "unset AWS_BEARER_TOKEN_BEDROCK"]),
    ],
)
def test_a_wrong_variable_is_one_line(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: list[str]) -> None:
    """Without it a learner would get a pydantic traceback that names neither the variable nor the remedy."""
    line = refusal(monkeypatch, variables)
    assert "\n" not in line
    assert [part for part in said if part not in line] == []


def test_both_left_over_addresses_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a live run would go on sending NIM calls to the sandbox after the first variable was unset."""
    line = refusal(monkeypatch, {"WORKSHOP_BACKEND": "live", BEDROCK: "http://127.0.0.1:1", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    assert line.endswith(f"Run: unset {BEDROCK} OPENAI_BASE_URL")


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION", "WORKSHOP_REGION"])
def test_every_region_variable_counts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without it AWS_REGION, which boto3 ignores, would be ignored here too."""
    monkeypatch.setenv(name, "eu-central-1")
    assert load().region == "eu-central-1"


def test_the_nearest_region_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a container's AWS_DEFAULT_REGION would override what the user set for this project."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert load().region == "us-east-1"


def test_defaults_need_nothing() -> None:
    """Without it a laptop without any variable could not start."""
    settings = load()
    assert (settings.backend, settings.region, settings.max_retries) == ("sandbox", "us-west-2", 3)


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it `OPENAI_BASE_URL=` in a compose file would be refused as an address elsewhere."""
    for name in ("WORKSHOP_BACKEND", "AWS_REGION", "OPENAI_BASE_URL", "NVIDIA_API_KEY", "BEDROCK_GUARDRAIL_ID"):
        monkeypatch.setenv(name, "")
    settings = load()
    assert (settings.backend, settings.region, settings.openai_base_url, settings.nvidia_api_key) == ("sandbox", "us-west-2", None, None)


def test_env_local_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, env_local: Path) -> None:
    """Without it the file the README names would be ignored, or would override an export."""
    env_local.write_text(f"AWS_REGION=eu-west-3\nWORKSHOP_SEED=5\nNVIDIA_API_KEY={KEY}\nUNRELATED=1\n")
    monkeypatch.setenv("WORKSHOP_SEED", "6")
    settings = load()
    assert (settings.region, settings.seed) == ("eu-west-3", 6)
    assert settings.nvidia_api_key is not None
    assert settings.nvidia_api_key.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f"AWS_REGION=eu-west-3\n\nNVIDIA_API_KEY {KEY}\n".encode(), "line 3 is not of the form NAME=value"),
        (f'NVIDIA_API_KEY="{KEY}\n'.encode(), "line 1 is not of the form NAME=value"),
        (b"WORKSHOP_BACKEND\n", "line 1 is not of the form NAME=value"),
        ("WORKSHOP_BACKEND=live\n".encode("utf-16"), "is not UTF-8"),
        (b"AWS_REGION=moon\n", "AWS_REGION is 'moon'"),
    ],
    ids=["no equals sign", "open quote", "no value", "other encoding", "wrong value"],
)
def test_a_broken_env_local_is_one_line(env_local: Path, written: bytes, said: str) -> None:
    """Without it a broken line would be ignored, so that somebody who meant to go live would call the sandbox, or the reader's traceback shown."""
    env_local.write_bytes(written)
    with pytest.raises(SettingsError) as caught:
        load()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_an_env_local_that_is_a_folder_is_one_line(env_local: Path) -> None:
    """Without it a folder made by a container's mount would be ignored without a word."""
    env_local.mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load()


def test_a_byte_order_mark_hides_nothing(env_local: Path) -> None:
    """Without it a file saved by a Windows editor would lose its first variable."""
    env_local.write_text("WORKSHOP_SEED=5\n", encoding="utf-8-sig")
    assert load().seed == 5


def test_the_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a key would end up in a notebook's output or in a bug report."""
    monkeypatch.setenv("NVIDIA_API_KEY", KEY)
    settings = load()
    printed = [repr(settings), str(settings), settings.model_dump_json(), f"{settings.model_dump()}"]
    assert [text for text in printed if KEY in text] == []


@pytest.mark.parametrize("variables", [{"WORKSHOP_BACKEND": "snadbox"}, {"BEDROCK_GUARDRAIL_ID": "g"}, {"OPENAI_BASE_URL": ANYWHERE}])
def test_an_error_holds_no_key(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Without it pydantic's error, which quotes its whole input, would print the key."""
    monkeypatch.setenv("NVIDIA_API_KEY", KEY)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert KEY not in str(caught.value)
    assert KEY not in str(caught.value.__context__)
    assert caught.value.__suppress_context__


def test_a_password_in_an_address_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a proxy's password would appear in the refusal."""
    assert "hunter2" not in refusal(monkeypatch, {"OPENAI_BASE_URL": "https://me:hunter2@host.example/v1"})
    assert shown("https://me:p@ss@host.example/v1?a=b@c") == "https://host.example/v1?a=b@c"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8", True), ("http://127.9.9.9", True), ("http://[::1]:80/v1", True), ("http://localhost/v1", True),
        ("http://LOCALHOST:1", True), ("http://127.0.0.1.nip.io", False), ("http://localhost@evil.example", False),
        ("https://bedrock-runtime.us-west-2.amazonaws.com", False), ("127.0.0.1:8000", False), ("", False), ("http://[::1", False),
        ("http://0.0.0.0:8000", False),
    ],
)  # fmt: skip
def test_what_counts_as_this_machine(url: str, here: bool) -> None:
    """Without it a look-alike host would receive what was meant for the sandbox."""
    assert is_loopback(url) is here


def test_settings_cannot_be_changed_and_travel_between_processes() -> None:
    """Without it one notebook cell could redirect another's calls, and worker processes could not be given their settings."""
    settings = load(seed=3)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 4  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(settings)) == settings
