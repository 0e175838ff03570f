"""A closed-book question answerer of chosen capacity: facts, arithmetic and code by real computation."""

from workshop_lib.sandbox.stand_ins.questions.answering import answer
from workshop_lib.sandbox.stand_ins.questions.model import Capacity, Guess

__all__ = ["Capacity", "Guess", "answer"]
