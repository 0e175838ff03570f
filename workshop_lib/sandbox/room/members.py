"""Who is in the room and what each has passed; kept in memory only, so that it ends with the process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from workshop_lib.sandbox import server

MOST_LEARNERS = 200
LONGEST_NAME = 40
_MOST_EXERCISES = 100


class Report(BaseModel):
    """How one exercise stands with one learner: all that a learner's machine tells the room."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lab: Annotated[str, Field(min_length=1, max_length=64)]
    exercise: Annotated[str, Field(min_length=1, max_length=32)]
    state: Literal["not attempted", "not yet", "correct"]


@dataclass
class Learner:
    """One person in the room: a sandbox of their own over the same models, and their exercises by lab and id."""

    app: ASGIApp
    states: dict[tuple[str, str], str] = field(default_factory=dict)


class Members:
    """The learners by the names they typed; `make` makes the sandbox of a new one."""

    def __init__(self, make: Callable[[], server.Sandbox]) -> None:
        self._make = make
        self._learners: dict[str, Learner] = {}

    def __len__(self) -> int:
        return len(self._learners)

    def find(self, name: str) -> Learner | None:
        """Return the learner of a name, made at the first request; None if the room is full."""
        known = self._learners.get(name)
        if known is None and len(self._learners) < MOST_LEARNERS:
            known = self._learners[name] = Learner(server.routes(self._make()))
        return known

    def knows(self, name: str) -> bool:
        """Say whether somebody of this name is in the room."""
        return name in self._learners

    def report(self, name: str, report: Report) -> bool:
        """Note how an exercise stands; passed stays passed. Return False if the room or the learner's list is full."""
        learner = self.find(name)
        place = report.lab, report.exercise
        if learner is None or (place not in learner.states and len(learner.states) >= _MOST_EXERCISES):
            return False
        if learner.states.get(place) != "correct":
            learner.states[place] = report.state
        return True

    def erase(self) -> int:
        """Forget everybody; return how many were forgotten."""
        count = len(self._learners)
        self._learners.clear()
        return count

    def board(self) -> dict[str, Any]:
        """Return who passed what: the exercises that anybody has checked, and for each learner the state of those they have."""
        places = sorted({place for learner in self._learners.values() for place in learner.states})
        return {
            "exercises": [{"lab": lab, "exercise": exercise} for lab, exercise in places],
            "learners": [
                {"name": name, "states": [learner.states.get(place) for place in places]}
                for name, learner in sorted(self._learners.items(), key=lambda item: item[0].casefold())
            ],
        }


def name_problem(name: str) -> str | None:
    """Return what is wrong with a name that a learner typed, or None."""
    if not name.strip() or name != name.strip():
        return "a name has letters, and no space at its ends"
    if len(name) > LONGEST_NAME:
        return f"a name has at most {LONGEST_NAME} characters"
    if not name.isprintable():
        return "a name has printable characters only"
    return None
