"""The ways in: what the devcontainer, Binder and the documentation name is there."""

import json
import re
import shlex

import pytest
import yaml

from workshop_lib.cli import app
from workshop_lib.paths import ROOT

DOC = (ROOT / "docs/getting-in.md").read_text(encoding="utf-8")
DEVCONTAINER = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback} | {group.name for group in app.registered_groups}
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", DOC, re.DOTALL)


def _problem(line: str) -> str | None:
    """Return what is wrong with one command line of ours: a make target, a subcommand or a file that does not exist."""
    words = shlex.split(line, comments=True)
    if not words:
        return None
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        return None if set(words[1:]) <= TARGETS else f"make has no {words[1:]}"
    if program == "workshop":
        return None if words[1] in COMMANDS else f"workshop has no {words[1]}"
    files = [word for word in words if word.endswith((".lock", ".yml", ".ipynb")) and "://" not in word]
    return next((f"{word} is not there" for word in files if not (ROOT / word).exists()), None)


@pytest.mark.parametrize("key", ["onCreateCommand", "postAttachCommand"])
def test_the_devcontainer_runs_what_exists(key: str) -> None:
    """Without it a Codespace would be made without an environment."""
    assert _problem(DEVCONTAINER[key]) is None


def test_the_devcontainer_opens_what_exists() -> None:
    """Without it the first page of a Codespace would be an error, or its Python one the labs do not run on."""
    assert [file for file in DEVCONTAINER["customizations"]["codespaces"]["openFiles"] if not (ROOT / file).exists()] == []
    found = re.search(r"python:(\d+)\.(\d+)", DEVCONTAINER["image"])
    assert found is not None
    assert (int(found[1]), int(found[2])) >= (3, 11)
    assert DEVCONTAINER["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"].endswith("/.venv/bin/python")


@pytest.mark.parametrize("line", [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()])
def test_every_documented_command_exists(line: str) -> None:
    """Without it somebody who copies a line would meet a target or a file of an older version."""
    assert _problem(line) is None


def test_commands_in_sentences_exist() -> None:
    """Without it `make lab` in the text could outlive the target."""
    said = [text for text in re.findall(r"`((?:make|workshop) [^`]+)`", DOC) if "WORKSHOP" not in text]
    assert len(said) >= 5
    assert [problem for text in said if (problem := _problem(text))] == []


def test_the_check_can_fail() -> None:
    """Without it the tests above could pass on anything."""
    assert _problem("make nonsense")
    assert _problem("workshop nonsense")
    assert _problem("pip install -r no.lock")


def test_links_open_the_start_page() -> None:
    """Without it Binder and Studio Lab would open a list of files."""
    links = re.findall(r"https://(?:mybinder|studiolab)[^\s)]+(?:urlpath|blob)[^\s)]+", DOC)
    assert len(links) == 4
    assert all(link.endswith("START.ipynb") for link in links)


def test_the_documented_environment_is_the_one_that_is_made() -> None:
    """Without it `conda activate` would name an environment that nobody made."""
    name = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["name"]
    assert DOC.count(f"conda activate {name}") == 2


def test_the_cell_for_colab_is_python_that_finds_the_library() -> None:
    """Without it the one cell for Colab could hold a slip that nobody sees before a room does."""
    from IPython.core.inputtransformer2 import TransformerManager

    cell = next(block for kind, block in BLOCKS if kind == "python")
    compile(TransformerManager().transform_cell(cell), "cell", "exec")  # type: ignore[no-untyped-call, unused-ignore]
    folders = set(re.findall(r"/content/workshop(/\w+)?", cell))
    assert [folder for folder in folders if not (ROOT / folder.lstrip("/")).exists()] == []
