"""The course builder: from one `source.py` a lab to `lab.ipynb`, `solution.ipynb` and `RUNSHEET.md`, and its lint."""

from tools.course.builder import build
from tools.course.lint import lint
from tools.course.model import Course
from tools.course.publish import handout, slides

__all__ = ["Course", "build", "handout", "lint", "slides"]
