"""The model table: complete, and a broken one is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from workshop_lib import catalog
from workshop_lib.errors import DataError, UnknownModelError
from workshop_lib.paths import DATA, ROOT


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Put a copy of the table that a test may break in place of the shipped one."""
    path = tmp_path / "models.toml"
    path.write_bytes((DATA / "models.toml").read_bytes())
    monkeypatch.setattr(catalog, "DATA", tmp_path)
    catalog.models.cache_clear()
    yield path
    catalog.models.cache_clear()


def test_the_seven_models_and_their_ids() -> None:
    """Without it a mistyped id would be found only by the first live call."""
    assert {key: entry.id for key, entry in catalog.models().items()} == {
        "nano": "nvidia.nemotron-nano-3-30b",
        "super": "nvidia.nemotron-super-3-120b",
        "sonnet": "us.anthropic.claude-sonnet-4-6",
        "opus": "us.anthropic.claude-opus-4-7",
        "nim-8b": "meta/llama-3.1-8b-instruct",
        "nim-70b": "meta/llama-3.3-70b-instruct",
        "nim-253b": "nvidia/llama-3.1-nemotron-ultra-253b-v1",
    }


def test_who_refuses_temperature_and_who_needs_a_profile() -> None:
    """Without it Opus would be sent a temperature it rejects."""
    assert [key for key, entry in catalog.models().items() if not entry.accepts_temperature] == ["opus"]
    assert [key for key, entry in catalog.models().items() if entry.needs_inference_profile] == ["sonnet", "opus"]


def test_every_price_has_a_source_and_a_day() -> None:
    """Without it a number in a table could not be traced."""
    for entry in catalog.models().values():
        assert entry.price.source
        assert entry.price.checked_on.year >= 2026
        assert (entry.price.basis == "proxy") is (entry.provider == "nim"), "nobody prints a NIM token price"
        assert 0 < entry.price.input < entry.price.output


def test_a_model_is_found_by_key_and_by_id() -> None:
    """Without it `--model us.anthropic...` from the console would be refused."""
    assert catalog.model("sonnet") is catalog.model("us.anthropic.claude-sonnet-4-6")


@pytest.mark.parametrize(("typed", "meant"), [("nanno", "nano"), ("us.anthropic.claude-sonet-4-6", "us.anthropic.claude-sonnet-4-6")])
def test_an_unknown_model_names_the_nearest(typed: str, meant: str) -> None:
    """Without it a typing mistake would end in a KeyError."""
    with pytest.raises(UnknownModelError) as caught:
        catalog.model(typed)
    line = str(caught.value)
    assert repr(typed) in line
    assert f"Did you mean {meant}" in line
    assert "\n" not in line


def test_nothing_alike_is_not_guessed() -> None:
    """Without it a wild name would draw a misleading suggestion."""
    with pytest.raises(UnknownModelError, match=r"models\.toml\. Known: nano, "):
        catalog.model("zzzzzzzzzzzzz")


@pytest.mark.parametrize(
    ("find", "replace", "said"),
    [
        ("[nano]", "[nano", "cannot be read"),
        ("input = 0.06", "input = -1", "nano.price.input"),
        ('provider = "nim"', 'provider = "mars"', "nim-8b.provider"),
        ("[super]", "medium = 3\n[super]", "nano.medium"),
        ("[nano]", "cheap = 3\n[nano]", "cheap"),
        ("[nano]", '[nano]\nkey = "nano"\nsize = 1', "nano.size"),
    ],
)
def test_a_broken_table_names_the_entry(table: Path, find: str, replace: str, said: str) -> None:
    """Without it a wrong entry would be a traceback, or would not say in which model."""
    table.write_text(table.read_text().replace(find, replace, 1))
    with pytest.raises(DataError) as caught:
        catalog.models()
    assert said in str(caught.value)


def test_a_missing_or_undecodable_table_says_how_to_restore_it(table: Path) -> None:
    """Without it a lost file would be a traceback."""
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="git checkout"):
        catalog.models()
    table.unlink()
    with pytest.raises(DataError, match="git checkout"):
        catalog.models()


def test_one_table() -> None:
    """Without it a second price or model id could creep into the code and drift."""
    ids = [entry.id for entry in catalog.models().values()]
    code = [path for folder in ("workshop_lib", "tools") for path in (ROOT / folder).rglob("*.py") if "sandbox" not in path.parts]
    assert [(path.name, name) for path in code for name in ids if name in path.read_text(encoding="utf-8")] == []
