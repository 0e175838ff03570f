"""The cascade by batch inference: a job for the first tier, another for what escalates; slower, at the batch price where there is one."""

from workshop_lib.batch.parts import Limits
from workshop_lib.batch.run import Batch, End, Wanted
from workshop_lib.batch.service import Place, Service
from workshop_lib.batch.state import Part, State, StateFile

__all__ = ["Batch", "End", "Limits", "Part", "Place", "Service", "State", "StateFile", "Wanted"]
