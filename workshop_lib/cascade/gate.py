"""What a gate looks at and what it says: the common ground of all gates and routers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict

from workshop_lib import catalog
from workshop_lib.llm import CallError, Cost, Reply, Request

Purpose = Literal["judge", "sample", "router"]
ModelKey = Annotated[str, AfterValidator(lambda name: catalog.model(name).key)]
"""A model in a policy: given by key or id, kept by key; UnknownModelError if the catalogue has none."""
_TEXT_FIELDS = ("subject", "body", "question", "text")


@dataclass(frozen=True)
class Seen:
    """What is known when a gate decides: the item's text, the tier asked, its answer and reply (None before any call), learned models."""

    answer: BaseModel | None
    tier: str = ""
    text: str = ""
    item_id: str = ""
    reply: Reply | None = None
    learned: "Mapping[str, Learned]" = field(default_factory=dict)

    def learned_model(self, name: str, role: str) -> "Learned":
        """Return the trained model of a name; raise ValueError if the walk was not given it."""
        if name not in self.learned:
            raise ValueError(f"the learned {role} {name!r} was not given; pass walk(..., learned={{{name!r}: {role}}})")
        return self.learned[name]


class Learned(Protocol):
    """A trained model that a policy names: its digest must be the one the policy was written for."""

    @property
    def digest(self) -> str:
        """Return what changes whenever the model's decisions could."""
        ...

    def probability(self, seen: Seen) -> float:
        """Return the probability, 0 to 1, that the cheap answer is wrong (a scorer) or that the item is hard (a router)."""
        ...


NOTHING_LEARNED: Mapping[str, Learned] = MappingProxyType({})


@dataclass(frozen=True)
class Check:
    """One gate's verdict on one answer: why it escalates (None: it lets pass), the number it read, the calibrated one, or why it did not look."""

    gate: str
    reason: str | None
    value: float | None = None
    calibrated: float | None = None
    remark: str | None = None


def charged(reply: Reply | None, error: CallError | None) -> Cost:
    """Return what one call cost; a failed one costs nothing known, and is incomplete if it may have been charged."""
    if reply is not None:
        return reply.cost
    return Cost(0.0, complete=not (error is not None and error.maybe_billed))


@dataclass(frozen=True)
class Call:
    """A call that was made beside the tiers' own: by a judge, for another sample, or to choose the starting tier."""

    purpose: Purpose
    model: str
    reply: Reply | None
    error: CallError | None = None
    needs_human: bool = False

    @property
    def cost(self) -> Cost:
        """Return what the call cost, in USD."""
        return charged(self.reply, self.error)


@dataclass(frozen=True)
class Asking:
    """How a gate or a router may call models: every call is charged to the item, and raises CallError as any other."""

    request: Request
    parse: Callable[[Reply], BaseModel]
    call: Callable[[Purpose, str, Request], Reply]


class BaseGate(BaseModel):
    """The part all gates share; `only_after` names the tiers whose answers it looks at (empty: all but the last)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    only_after: tuple[ModelKey, ...] = ()

    def applies(self, tier: str) -> bool:
        """Say whether this gate looks at a tier's answers."""
        return not self.only_after or tier in self.only_after


class FreeGate(BaseGate):
    """A gate that decides from what is there, without a call."""

    def check(self, seen: Seen) -> Check:
        """Return the verdict on what a tier answered."""
        raise NotImplementedError

    def reason(self, answer: BaseModel) -> str | None:
        """Return why the answer escalates, or None."""
        return self.check(Seen(answer)).reason


class AskingGate(BaseGate):
    """A gate that calls models to decide, and whose calls are charged."""

    def ask(self, seen: Seen, asking: Asking) -> Check:
        """Return the verdict on what a tier answered; raise CallError if the calls fail and InvalidAnswer if a judge says nothing valid."""
        raise NotImplementedError


def item_text(item: BaseModel) -> str:
    """Return what a person wrote in an item, without ids and context such as the customer's tier, which is never a trigger."""
    return "\n".join(value for name in _written(type(item)) if isinstance(value := getattr(item, name), str))


@cache
def _written(kind: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of the fields that a person writes in items of a kind."""
    fields = kind.model_fields
    return tuple(name for name in _TEXT_FIELDS if name in fields) or tuple(name for name in fields if name != "id")


