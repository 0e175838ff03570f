"""What a lab opens: clients, checks, hints, predictions, the meter and progress, and exercises as data."""

from workshop_lib.lab.errors import ExerciseError, LabError
from workshop_lib.lab.exercise import Exercise, Wrong, exercises_of
from workshop_lib.lab.session import Lab, open_lab
from workshop_lib.lab.start import start_page

__all__ = ["Exercise", "ExerciseError", "Lab", "LabError", "Wrong", "exercises_of", "open_lab", "start_page"]
