"""The object a notebook works with: clients for the chosen backend, checks, hints, and the way back after a crash."""

import os
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from openai import OpenAI

from workshop_lib import backend as backends
from workshop_lib.lab import room, shell
from workshop_lib.lab.checking import judge
from workshop_lib.lab.errors import ExerciseError, LabError
from workshop_lib.lab.exercise import Exercise, exercises_of
from workshop_lib.llm import Gateway, bedrock, openai_chat
from workshop_lib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

_HINTS_SHOWN: Counter[tuple[str, str]] = Counter()  # for the whole kernel: opening the lab again does not start over
_CLIENTS = ("bedrock", "openai", "ask")


class Lab:
    """One open lab: `settings`, the clients `bedrock`, `openai` and `ask` (made when first used), `check`, `hint` and `reconnect`."""

    def __init__(self, name: str, exercises: tuple[Exercise, ...], settings: Settings, reopen: Callable[[], Settings] | None = None) -> None:
        self.name = name
        self.settings = settings
        self._exercises = {exercise.id: exercise for exercise in exercises}
        self._reopen = reopen
        self._handed_out: set[str] = set()

    @cached_property
    def bedrock(self) -> "BedrockRuntimeClient":
        """A plain boto3 bedrock-runtime client."""
        return bedrock.client(self.settings)

    @cached_property
    def openai(self) -> OpenAI:
        """A plain openai client."""
        return openai_chat.client(self.settings)

    @cached_property
    def ask(self) -> Gateway:
        """The library's gateway: `ask(model, request) -> Reply`, with retries and cost."""
        return Gateway(self.settings)

    def check(self, exercise_id: str, answer: Any) -> Any:
        """Check an answer and say how it stands; return it if it is correct, else the reference.

        Raises ExerciseError on anything but a correct answer if WORKSHOP_STRICT=1, else never.
        """
        exercise = self._exercise(exercise_id)
        # Equal numbers and words can be one object in Python, so only of other things can it be said whose they are.
        if exercise_id in self._handed_out and answer is exercise.reference and not isinstance(answer, int | float | str):
            print(f"{exercise.label}: this is the reference from before, not your answer. Run your own cell again, then this one.")
            return answer
        outcome = judge(exercise, answer)
        room.report(self.name, exercise_id, outcome.state)
        sentence = outcome.sentence(exercise.label)
        if outcome.state != "correct" and os.environ.get("WORKSHOP_STRICT") == "1":
            raise ExerciseError(sentence.replace("Going on with the reference.", "WORKSHOP_STRICT=1 stops here."))
        print(sentence)
        if outcome.state == "correct":
            return answer
        self._handed_out.add(exercise_id)
        return exercise.reference

    def hint(self, exercise_id: str) -> None:
        """Print the next hint of an exercise, one at a time."""
        exercise = self._exercise(exercise_id)
        total = len(exercise.hints)
        shown = _HINTS_SHOWN[self.name, exercise_id]
        if shown == total:
            print(f"{exercise.label}: no more hints, all {total} are shown above. The solution is in solution.ipynb, next to this notebook.")
            return
        _HINTS_SHOWN[self.name, exercise_id] += 1
        print(f"Hint {shown + 1} of {total}: {exercise.hints[shown]}")

    def reconnect(self) -> None:
        """Start the sandbox again after it died, and say so; clients made from this lab afterwards are new ones."""
        if self._reopen is None:
            raise LabError(f"Lab {self.name} was opened without a backend, so there is nothing to reconnect.")
        before, self.settings = self.settings, self._reopen()
        for name in _CLIENTS:
            self.__dict__.pop(name, None)
        if self.settings.backend == "live":
            print("Connected to the live backend again. Go on where you stopped.")
        elif self.settings.bedrock_endpoint == before.bedrock_endpoint:
            print("The sandbox is running again. Go on where you stopped.")
        else:
            print("The sandbox is running again, on another port. Run the cells that made clients again, then go on where you stopped.")

    def _exercise(self, exercise_id: str) -> Exercise:
        if exercise_id not in self._exercises:
            raise LabError(f"Lab {self.name} has no exercise {exercise_id!r}. It has: {', '.join(self._exercises) or 'none'}.")
        return self._exercises[exercise_id]


def open_lab(name: str, backend: str | None = None, seed: int | None = None) -> Lab:
    """Open a lab by its folder name; start the sandbox if it is needed and print one line saying where calls go.

    `backend` and `seed` default to the settings. Raises LabError for an unknown lab, and what opening the backend raises.
    """
    exercises = exercises_of(name)
    overrides = {key: value for key, value in (("backend", backend), ("seed", seed)) if value is not None}

    lab = Lab(name, exercises, backends.open_backend(**overrides), lambda: backends.reconnect(**overrides))
    shell.install(get_ipython(), lambda: lab.settings)
    print(f"Lab {name.partition('_')[0]} · {_where(lab.settings)}")
    return lab


def _where(settings: Settings) -> str:
    if settings.backend == "sandbox":
        return f"sandbox: stand-in models on this machine, seed {settings.seed} · nothing here costs money"
    return f"live: Amazon Bedrock in {settings.region}, and NVIDIA NIM · every call costs money on your account"
