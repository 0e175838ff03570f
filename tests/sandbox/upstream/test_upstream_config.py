"""What a person can get wrong about upstream servers and recordings: one line each, before anything is asked."""

from pathlib import Path
from typing import Any

import pytest

from workshop_lib.errors import DataError, SettingsError, WorkshopError
from workshop_lib.sandbox import upstream
from workshop_lib.sandbox.answering import StandIns

NANO = "nvidia.nemotron-nano-3-30b"
URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": URL, "map": ["nvidia.nemotron-nano-3=x"]}, "Did you mean nvidia.nemotron-nano-3-30b"),
        ({"url": URL, "map": ["nano"]}, "is no pair. Write --map ID=MODEL"),
        ({"url": URL, "map": ["nano="]}, "is no pair"),
        ({"url": URL, "map": ["nano=a", "nano=b"]}, "twice"),
        ({"url": URL, "map": ["nano=a", f"{NANO}=b"]}, "mapped twice"),
        ({"url": URL, "map": {"nano": "a\nb"}}, "no model's name"),
        ({"url": URL}, "--map ID=MODEL"),
        ({"url": "127.0.0.1:8080", "map": ["nano=x"]}, "http://127.0.0.1:8080/v1"),
        ({"url": "http://host:99999", "map": ["nano=x"]}, "is no address"),
        ({"url": "http://[::1", "map": ["nano=x"]}, "is no address"),
        ({"map": ["nano=x"]}, "--upstream URL"),
        ({"record": "r.jsonl"}, "--record needs a server"),
        ({"replay": "r.jsonl", "on_miss": "upstream"}, "--on-miss upstream needs a server"),
        ({"url": URL, "map": ["nano=x"], "on_miss": "stand-in"}, "--replay FILE"),
        ({"url": URL, "map": ["nano=x"], "replay": "r.jsonl"}, "--on-miss upstream"),
        ({"url": URL, "map": ["nano=x"], "timeout_s": 0}, "timeout_s"),
        ({"url": URL, "map": ["nano=x"], "forced": "grammar"}, "forced"),
        ({"url": URL, "map": ["nano=x"], "api_key_env": "MY KEY"}, "api_key_env"),
        ({"url": URL, "map": ["nano=x"], "mapping": {}}, "mapping"),
        ({}, "--upstream URL, or a recording"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_remedy(options: dict[str, Any], said: str) -> None:
    """Without it a typo would end in a traceback, or in stand-ins that pass for a local model."""
    with pytest.raises(SettingsError) as error:
        upstream.read(options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_address_gets_its_v1_and_keeps_its_own_path() -> None:
    """Without it the address that llama.cpp and Ollama print would not work."""
    for given, wanted in [(URL, f"{URL}/v1"), (f"{URL}/", f"{URL}/v1"), (f"{URL}/v1/", f"{URL}/v1"), (f"{URL}/openai", f"{URL}/openai")]:
        assert upstream.read({"url": given, "map": ["nano=x"]}).url == wanted


def test_a_start_says_who_answers_and_what_leaves_the_machine() -> None:
    """Without it prompts could go to another machine unnoticed, or a password be printed."""
    at_home = upstream.notice(upstream.read({"url": URL, "map": ["nano=x"]}))
    assert f"{NANO} is answered by x" in at_home
    assert "leave this machine" not in at_home
    away = upstream.notice(upstream.read({"url": "https://user:secret@gpu.example.com", "map": ["nano=x"]}))
    assert "leave this machine" in away
    assert "secret" not in away


def test_a_key_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the server would refuse the first request, far from the cause."""
    config = upstream.read({"url": URL, "map": ["nano=x"], "api_key_env": "SOME_UPSTREAM_KEY"})
    for value, said in ((None, "which is not set"), ("ké", "no key has")):
        if value is not None:
            monkeypatch.setenv("SOME_UPSTREAM_KEY", value)
        with pytest.raises(SettingsError, match=said):
            upstream.open_answerer(config, StandIns())


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Without it a recording would be lost when it is written for the first time, or a missing one be found at the first request."""
    (tmp_path / "file").write_text("")
    cases: list[tuple[dict[str, Any], type[WorkshopError], str]] = [
        ({"url": URL, "map": ["nano=x"], "record": tmp_path / "file" / "r.jsonl"}, SettingsError, "cannot be written"),
        ({"replay": tmp_path / "none.jsonl"}, DataError, "cannot be read"),
    ]
    for options, kind, said in cases:
        with pytest.raises(kind, match=said):
            upstream.open_answerer(upstream.read(options), StandIns())


@pytest.mark.parametrize("line", ["{}", "not json", '{"format": "other"}', "[1]"])
def test_a_broken_line_of_a_recording_is_named(tmp_path: Path, line: str) -> None:
    """Without it a damaged recording would be searched by hand."""
    file = tmp_path / "r.jsonl"
    file.write_text(f"\n{line}\n")
    with pytest.raises(DataError, match=r"line 2, is no line of a recording"):
        upstream.open_answerer(upstream.read({"replay": file}), StandIns())
