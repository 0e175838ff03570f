"""The object a notebook works with: clients for the chosen backend, checks, hints, predictions, the meter, and the way back after a crash."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from IPython.core.getipython import get_ipython
from openai import OpenAI

from workshop_lib import backend as backends
from workshop_lib.lab import predictions, progress, room, shell
from workshop_lib.lab.checking import Outcome, judge
from workshop_lib.lab.errors import ExerciseError, LabError
from workshop_lib.lab.exercise import Exercise, exercises_of
from workshop_lib.lab.keeper import KERNEL, Keeper
from workshop_lib.lab.meter import Meter
from workshop_lib.llm import Gateway, bedrock, connect, openai_chat
from workshop_lib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

    from workshop_lib.evaluation.metrics import ReliabilityRow

_METERS: dict[str, Meter] = {}  # for the whole kernel, as the hints are
_HINTS_SHOWN: Counter[tuple[str, str]] = Counter()  # for the whole kernel: opening the lab again does not start over
_CLIENTS = ("bedrock", "openai", "ask")


class Lab:
    """One open lab: `settings`, the clients `bedrock`, `openai` and `ask` (made when first used), and what its methods say."""

    def __init__(
        self,
        name: str,
        exercises: tuple[Exercise, ...],
        settings: Settings,
        reopen: Callable[[], Settings] | None = None,
        keeper: Keeper = KERNEL,
    ) -> None:
        self.name = name
        self.settings = settings
        self._exercises = {exercise.id: exercise for exercise in exercises}
        self._reopen = reopen
        self._keeper = keeper
        self._handed_out: set[str] = set()
        self._asked: dict[str, predictions.Asked] = {}
        self._meter = _METERS.setdefault(name, Meter(name))
        if reopen is not None:  # without a backend nothing is called
            self._meter.install(settings)

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
        return connect(self.settings)

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
        solved_before = self._remember(exercise_id, outcome)
        room.report(self.name, exercise_id, outcome.state)
        sentence = outcome.sentence(exercise.label)
        if outcome.state != "correct" and os.environ.get("WORKSHOP_STRICT") == "1":
            raise ExerciseError(sentence.replace("Going on with the reference.", "WORKSHOP_STRICT=1 stops here."))
        print(sentence)
        if solved_before and outcome.state == "not attempted":
            print("You solved it before: run your own cell above again, then this one, and it is your version that goes on.")
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
        self._keeper.change(lambda book: progress.hinted(book, self.name, exercise_id, shown + 1))
        print(f"Hint {shown + 1} of {total}: {exercise.hints[shown]}")

    def predict(
        self, name: str, answer: Any, *, within: float | None = None, among: Sequence[str] | None = None, confidence: Any = ...
    ) -> None:
        """Write down a prediction before its result exists, and how sure you are of it, from 0 to 1; `...` is none.

        It is a number, right if the result is at most `within` away, or an interval `(low, high)`, or one of `among` (of ("yes", "no") also
        True and False). What is no prediction is told in a line; raises ValueError only for a lab's own mistake in `within` or `among`.
        """
        self._asked[name] = predictions.asked(within, among)
        print(predictions.predict(self._keeper, self.name, name, answer, self._asked[name], confidence))

    def score(self, name: str, actual: Any, unit: str = "") -> None:
        """Set the result beside the prediction of that name; from here on the prediction can no longer be changed.

        Raises LabError if WORKSHOP_STRICT=1 and no cell asked for such a prediction.
        """
        if name not in self._asked:
            if os.environ.get("WORKSHOP_STRICT") == "1":
                raise LabError(f"Lab {self.name} scores a prediction {name!r} that no cell before asked for. Asked for: {', '.join(self._asked) or 'none'}.")
            print("The cell with your prediction has not run. Run it, then this one again.")
            return
        print(predictions.score(self._keeper, self.name, name, actual, self._asked[name], unit))

    def my_calibration(self, bins: int = 5) -> "list[ReliabilityRow]":
        """Say how sure you were and how often you were right over all labs, and return the rows of your reliability figure.

        There are none while there are fewer than five predictions with a confidence and a result.
        """
        words, rows = predictions.calibration(self._keeper.book(), bins)
        print(words)
        return rows

    def meter(self) -> None:
        """Print how many calls this lab has made, and what they would have cost and taken live."""
        print(self._meter.line(self.settings))

    def progress(self) -> None:
        """Print which objectives of this lab are met, and what comes next."""
        book = self._keeper.book()
        print("\n".join([*progress.of_lab(book, self.name, tuple(self._exercises.values())), f"Next: {progress.next_words(book, self.name)}"]))

    def reconnect(self) -> None:
        """Start the sandbox again after it died, and say so; clients made from this lab afterwards are new ones."""
        if self._reopen is None:
            raise LabError(f"Lab {self.name} was opened without a backend, so there is nothing to reconnect.")
        before, self.settings = self.settings, self._reopen()
        self._meter.install(self.settings)
        for name in _CLIENTS:
            self.__dict__.pop(name, None)
        if self.settings.backend == "live":
            print("Connected to the live backend again. Go on where you stopped.")
        elif self.settings.bedrock_endpoint == before.bedrock_endpoint:
            print("The sandbox is running again. Go on where you stopped.")
        else:
            print("The sandbox is running again, on another port. Run the cells that made clients again, then go on where you stopped.")

    def _remember(self, exercise_id: str, outcome: Outcome) -> bool:
        """Note how a check ended; return whether the exercise was solved before, in this kernel or an earlier one."""
        known = self._keeper.book().labs.get(self.name)
        solved = known is not None and exercise_id in known.exercises and known.exercises[exercise_id].passed
        self._keeper.change(lambda book: progress.checked(book, self.name, exercise_id, outcome))
        return solved

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
    if settings.room_root is not None:
        return f"sandbox: stand-in models of the room at {urlsplit(settings.room_root).netloc}, which knows you as {settings.learner} · nothing here costs money"
    if settings.backend == "sandbox":
        return f"sandbox: stand-in models on this machine, seed {settings.seed} · nothing here costs money"
    return f"live: Amazon Bedrock in {settings.region}, and NVIDIA NIM · every call costs money on your account"
