"""What is remembered of a learner's work: exercises, hints and predictions, lab by lab."""

from pydantic import BaseModel, Field

VERSION = 1

Answer = float | str | tuple[float, float]
"""A prediction: a number, an interval of two numbers, or one of the choices offered."""


class Tried(BaseModel):
    """One exercise: how many answers were checked (blanks are none), whether one was correct, and how many hints were read."""

    attempts: int = Field(default=0, ge=0)
    passed: bool = False
    hints: int = Field(default=0, ge=0)


class Predicted(BaseModel):
    """One prediction: what was written down before the result was shown, which counts, and what was written `later`, which does not.

    `confidence` is the stated probability that it is right, `right` is None until the result was shown (`seen`).
    """

    answer: Answer | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)
    seen: bool = False
    right: bool | None = None
    later: Answer | None = None


class LabBook(BaseModel):
    """What is remembered of one lab, by exercise and by prediction."""

    exercises: dict[str, Tried] = Field(default_factory=dict)
    predictions: dict[str, Predicted] = Field(default_factory=dict)

    def exercise(self, name: str) -> Tried:
        """Return the entry of an exercise, made if there is none."""
        return self.exercises.setdefault(name, Tried())

    def prediction(self, name: str) -> Predicted:
        """Return the entry of a prediction, made if there is none."""
        return self.predictions.setdefault(name, Predicted())


class Book(BaseModel):
    """Everything remembered, by lab folder; `last` is the lab worked on last."""

    version: int = VERSION
    last: str | None = None
    labs: dict[str, LabBook] = Field(default_factory=dict)

    def lab(self, name: str) -> LabBook:
        """Return the entry of a lab, made if there is none."""
        return self.labs.setdefault(name, LabBook())
