"""What a deployment decides: tiers, thresholds, the judged share and the budget, as environment variables of its functions."""

from functools import cache
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from workshop_lib import catalog
from workshop_lib.cascade import ConfidenceGate, HeuristicRouter, JudgeGate, Policy, StakesGate, Trouble
from workshop_lib.cascade.gate import ModelKey
from workshop_lib.cascade.gates import Gate
from workshop_lib.errors import SettingsError, UnknownModelError

PREFIX = "CASCADE_"


class Deployment(BaseSettings):
    """The parameters of deploy/template.yaml that decide about tickets.

    Confidence `min_confidence` 0 to 1; `judge_rate` is the share of kept cheap answers that a judge scores from 1 to 5 (0: none), and one below
    `judge_below` escalates; `skip_longer_than` characters or one of `skip_keywords` start at the strong tier (0 and empty: never);
    `ticket_budget_usd` USD for one ticket (0: no limit). With a `metrics_namespace` the functions print the metrics of each walk.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    cheap: ModelKey = "nano"
    strong: ModelKey = "sonnet"
    judge: ModelKey = "opus"
    min_confidence: float = Field(default=0.7, ge=0, le=1)
    judge_rate: float = Field(default=0.0, ge=0, le=1)
    judge_below: float = Field(default=4, ge=1, le=5)
    skip_longer_than: int = Field(default=0, ge=0)
    skip_keywords: Annotated[tuple[str, ...], NoDecode] = ()
    ticket_budget_usd: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    metrics_namespace: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_./#:-]{1,255}$")

    @field_validator("skip_keywords", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return tuple(word.strip() for word in given.split(",") if word.strip()) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _two_tiers(self) -> "Deployment":
        if self.cheap == self.strong:
            raise ValueError(f"CASCADE_CHEAP and CASCADE_STRONG are both {self.cheap!r}; name two models")
        for name in (self.cheap, self.strong, self.judge):
            if catalog.model(name).provider != "bedrock":
                raise ValueError(f"{name} is not on Bedrock, which is all that the functions may call; name another model")
        return self

    def policy(self) -> Policy:
        """Return the policy that every function of the deployment follows; its name holds its digest, so that a result says which thresholds it was made under."""
        gates: tuple[Gate, ...] = (ConfidenceGate(below=self.min_confidence), StakesGate())
        if self.judge_rate > 0:
            gates = (*gates, JudgeGate(model=self.judge, below=self.judge_below, rate=self.judge_rate))
        router = None
        if self.skip_longer_than or self.skip_keywords:
            router = HeuristicRouter(start=self.strong, longer_than=self.skip_longer_than or None, keywords=self.skip_keywords)
        trouble = Trouble(budget_usd=self.ticket_budget_usd or None)
        policy = Policy(name="deployed", tiers=(self.cheap, self.strong), gates=gates, router=router, trouble=trouble)
        return policy.model_copy(update={"name": f"deployed-{policy.digest}"})


@cache
def deployment() -> Deployment:
    """Return the deployment that the environment describes, read once for the life of a function; raise SettingsError, one line, naming the variable."""
    try:
        return Deployment()
    except UnknownModelError as error:
        raise SettingsError(f"CASCADE_CHEAP, CASCADE_STRONG or CASCADE_JUDGE: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"{PREFIX}{str(first['loc'][0]).upper()}: " if first["loc"] else ""
        raise SettingsError(f"{variable}{first['msg'].removeprefix('Value error, ')}. Correct the deployment's parameters.") from error


@cache
def policy_of_environment() -> Policy:
    """Return the policy of that deployment."""
    return deployment().policy()
