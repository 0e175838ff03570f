"""Joining a room and leaving it, as a learner does: one line each way, and a clear one when something is wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import openai
import pytest

from workshop_lib import backend, catalog
from workshop_lib.errors import SandboxError, SettingsError
from workshop_lib.joining import join_room, leave_room
from workshop_lib.lab.room import report
from workshop_lib.sandbox.room import entry
from workshop_lib.sandbox.room.entry import Keys
from workshop_lib.sandbox.room.members import Members
from workshop_lib.sandbox.server import Sandbox
from workshop_lib.service import running
from workshop_lib.settings import BEDROCK_ENDPOINT, LEARNER, OPENAI_BASE, ROOM, Settings, load

KEYS = Keys("joinkey2", "instructorkey234")


pytestmark = pytest.mark.usefixtures("restored_environment")


@pytest.fixture
def people() -> Members:
    """Give the learners of an open room."""
    return Members(Sandbox)


@pytest.fixture
def room(people: Members) -> Iterator[str]:
    """Give the address of an open room."""
    with running(entry.app(people, KEYS, "127.0.0.1")) as address:
        yield f"{address}/{KEYS.join}"


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a .env.local of this test's own that the settings read."""
    file = tmp_path / ".env.local"
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    return file


def test_a_learner_joins_works_and_leaves(room: str, people: Members, env_file: Path) -> None:
    """Without it the two commands, plain boto3 and openai, and the board could each work and not fit together."""
    env_file.write_text("WORKSHOP_SEED=0\n", encoding="utf-8")
    assert join_room(room, "José Ñ").startswith("Joined as José Ñ.")
    settings = backend.open_backend()
    assert settings.bedrock_endpoint == os.environ[BEDROCK_ENDPOINT] == settings.room_root
    ask = [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}]
    assert boto3.client("bedrock-runtime").converse(modelId=catalog.model("nano").id, messages=ask)["stopReason"] == "end_turn"
    with openai.OpenAI() as chat:
        assert chat.chat.completions.create(model=catalog.model("nim-8b").id, messages=[{"role": "user", "content": "2 + 2?"}]).choices
    report("01_call_tiers", "ex1", "correct")
    assert people.board()["learners"] == [{"name": "José Ñ", "states": ["correct"]}]
    assert leave_room().startswith("Left the room.")
    assert env_file.read_text(encoding="utf-8") == "WORKSHOP_SEED=0\n"
    assert leave_room().startswith("You are in no room")


def test_a_name_that_is_there_is_pointed_out(room: str, env_file: Path) -> None:
    """Without it two people of one name would share a row on the board and wonder."""
    assert "in the room already" not in join_room(room, "Ada")
    assert "in the room already" in join_room(room, "Ada")


def test_joining_again_replaces_and_a_set_variable_is_pointed_out(room: str, env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the file would collect rooms, or an old export would keep a learner in another one."""
    join_room(room, "Ada")
    monkeypatch.setenv(LEARNER, "Someone")
    assert f"run: unset {LEARNER}" in join_room(room, "Bob")
    assert env_file.read_text(encoding="utf-8").splitlines() == [f'{ROOM}="{room}"', f'{LEARNER}="Bob"']


@pytest.mark.parametrize(("address", "name", "said"), [
    ("10.0.0.5:8000/key", "Ada", "it must be the address that the instructor shows"),
    ("{base}/wrongkey", "Ada", "does not know that key.*workshop leave"),
    ("{base}/joinkey2", " ", "is empty"),
    ("{base}/joinkey2", "Ada\nWORKSHOP_BACKEND=live", "cannot be printed"),
    ("{base}/joinkey2", "$HOME", "dollar sign"),
    ("http://127.0.0.1:9/joinkey2", "Ada", "does not answer.*workshop leave"),
])  # fmt: skip
def test_what_cannot_be_joined_is_one_clear_line(room: str, env_file: Path, address: str, name: str, said: str) -> None:
    """Without it a typing error at the start of a class would be a traceback, or be written into the settings."""
    with pytest.raises((SandboxError, SettingsError), match=said) as caught:
        join_room(address.format(base=room.rpartition("/")[0]), name)
    assert "\n" not in str(caught.value)
    assert not env_file.exists()


def test_a_room_that_is_gone_is_told_with_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a closed room would look like a broken checkout."""
    monkeypatch.setenv(ROOM, "http://127.0.0.1:9/joinkey2")
    monkeypatch.setenv(LEARNER, "Ada")
    with pytest.raises(SandboxError, match=r"does not answer \(Connection refused\).*workshop leave"):
        backend.open_backend()
    report("01_call_tiers", "ex1", "correct")  # nor does a check stumble over it


@pytest.mark.slow
def test_a_process_that_was_in_a_room_goes_back_to_its_own_sandbox(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a kernel would go on calling a room that its learner has left."""
    monkeypatch.setenv(ROOM, room)
    monkeypatch.setenv(LEARNER, "Ada")
    backend.open_backend(time_scale=0)
    monkeypatch.delenv(ROOM)
    monkeypatch.delenv(LEARNER)
    settings = backend.open_backend(time_scale=0)
    assert "/room/" not in str(settings.bedrock_endpoint)
    assert backend.ROOM_OPENED not in os.environ


def test_half_of_the_settings_or_a_foreign_endpoint_are_told(monkeypatch: pytest.MonkeyPatch, room: str) -> None:
    """Without it a forgotten name, or an endpoint left over, would send calls somewhere else in silence."""
    monkeypatch.setenv(ROOM, room)
    with pytest.raises(SettingsError, match=f"{ROOM} is set but {LEARNER} is not"):
        load()
    monkeypatch.setenv(LEARNER, "Ada")
    monkeypatch.setenv(OPENAI_BASE, "http://127.0.0.1:9/v1")
    with pytest.raises(SandboxError, match=f"{OPENAI_BASE} is .* but {ROOM} is set too"):
        backend.open_backend()
