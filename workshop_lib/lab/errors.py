"""Failures of a lab that a learner or an author can foresee."""

from workshop_lib.errors import WorkshopError


class LabError(WorkshopError):
    """A lab or an exercise is named that does not exist, or its data is missing."""


class ExerciseError(WorkshopError):
    """An answer is not correct while WORKSHOP_STRICT=1, as when a solution is built or tested."""


class ProgressError(WorkshopError):
    """The progress file cannot be used; the labs go on without it."""
