"""What is asked of models and what a valid answer is: triage of tickets, and mixed-difficulty questions."""

from workshop_lib.tasks.base import Task
from workshop_lib.tasks.questions import QUESTIONS, Answer, Equivalence, Question
from workshop_lib.tasks.triage import CATEGORIES, PRIORITIES, TRIAGE, Label, RoutingDecision, Ticket

__all__ = ["CATEGORIES", "PRIORITIES", "QUESTIONS", "TRIAGE", "Answer", "Equivalence", "Label", "Question", "RoutingDecision", "Task", "Ticket"]
