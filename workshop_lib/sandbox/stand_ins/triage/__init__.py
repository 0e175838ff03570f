"""Text classifiers of rising capacity, trained at start on the training tickets and phrases, that stand in for models in triage.

The smallest is trained in a tenth of a second. The others take seconds and scikit-learn, so that a first start leaves them to a process of
their own, and what it learned is kept in `.workshop/` for the next start.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache, lru_cache

from workshop_lib import paths
from workshop_lib.sandbox.stand_ins.triage import kept
from workshop_lib.sandbox.stand_ins.triage.labels import FIELDS, Capacity, Opinion
from workshop_lib.sandbox.stand_ins.triage.model import Model
from workshop_lib.sandbox.stand_ins.triage.training import RECIPES, Material, samples, train

__all__ = ["FIELDS", "RECIPES", "Capacity", "Material", "Opinion", "learn", "opinion", "samples", "train", "warm_up"]

_learners: list[threading.Thread] = []  # at most one: it waits for the process that trains what no file keeps


def opinion(text: str, capacity: Capacity) -> Opinion:
    """Return what the stand-in of a capacity makes of a text; the same text always gets the same opinion."""
    return _remembered(text, capacity)


def warm_up() -> None:
    """Make the smallest capacity ready now and the others soon: from what was kept, else by a process that trains and keeps them."""
    if kept.file(paths.STATE).exists():
        _all()
        return
    _smallest()
    learner = threading.Thread(target=_learn_apart, daemon=True)
    _learners.append(learner)
    learner.start()


def learn() -> Mapping[Capacity, Model]:
    """Train all capacities, keep them for the next start if that is possible, and return them."""
    material = Material.of(*samples())
    models = {capacity: train(recipe, material) for capacity, recipe in RECIPES.items()}
    kept.save(models, kept.file(paths.STATE))
    return models


def _learn_apart() -> None:
    """Train in another process, so that this one answers meanwhile and never loads what only training needs."""
    path = os.pathsep.join([str(paths.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "workshop_lib.sandbox.stand_ins.triage"]
    subprocess.run(  # noqa: S603  # our own module, no arguments
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=paths.ROOT, env={**os.environ, "PYTHONPATH": path}, check=False
    )


@cache
def _all() -> Mapping[Capacity, Model]:
    while _learners:
        _learners.pop().join()
    return kept.load(kept.file(paths.STATE)) or learn()


@cache
def _smallest() -> Model:
    return train(RECIPES["small"], Material.of(*samples(), words_only=True))


def _model(capacity: Capacity) -> Model:
    return _smallest() if capacity == "small" and not _all.cache_info().currsize else _all()[capacity]


@lru_cache(maxsize=8192)
def _remembered(text: str, capacity: Capacity) -> Opinion:
    return _model(capacity).opinion(text)
