"""Grading an answer: how likely the model holds it, beside the answer that it would give itself."""

from collections.abc import Callable, Mapping
from typing import Any

from workshop_lib.sandbox.reading import Reading, as_object, canonical
from workshop_lib.sandbox.stand_ins.questions import Guess
from workshop_lib.sandbox.stand_ins.triage import Opinion


def agreement(reading: Reading, opinion: Callable[[], Opinion], guess: Callable[[], Guess]) -> float:
    """Return from 0 (wrong) to 1 (what the model would say itself) how far it agrees with the answer under judgement; 0 without one.

    The routing of a ticket: for each of its labels the share that the model gives that label over the share of its own choice, multiplied.
    An answer to a question: 1 if it is the model's own, else 0.
    """
    if reading.answer is None:
        return 0.0
    if not reading.is_ticket:
        return float(canonical(guess().answer) == canonical(reading.answer))
    said = as_object(reading.answer) or {}
    held = opinion()
    people = {True: held.needs_human, False: 1 - held.needs_human}
    fields: Mapping[str, Mapping[Any, float]] = {**held.exact, "needs_human": people}
    if not any(name in said for name in held.exact):
        return 0.0
    product = 1.0
    for name, shares in fields.items():
        if name in said:
            product *= _beside_the_best(shares, said[name])
    return product


def _beside_the_best(shares: Mapping[Any, float], label: Any) -> float:
    share = shares.get(label, 0.0) if isinstance(label, str | bool) else 0.0
    return share / max(shares.values())
