"""Models, tiers and prices, read from `data/models.toml`: the only place where a model id or a price is written."""

import difflib
import tomllib
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workshop_lib.errors import DataError, UnknownModelError
from workshop_lib.paths import DATA

MILLION = 1_000_000


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Entry):
    """List or proxy prices of one model in USD per million tokens, with the source and the day it was read."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = None
    cache_write: float | None = None
    batch_input: float | None = None
    batch_output: float | None = None
    basis: Literal["list", "proxy"]
    source: str
    checked_on: date

    def usd(self, input_tokens: int, output_tokens: int, cache_read: int = 0, cache_write: int = 0) -> float:
        """Return the cost in USD of one call; cached tokens are counted apart from `input_tokens`, as Converse reports them.

        A model without a cache price charges cached tokens as input tokens.
        """
        read_price = self.input if self.cache_read is None else self.cache_read
        write_price = self.input if self.cache_write is None else self.cache_write
        total = input_tokens * self.input + output_tokens * self.output
        return (total + cache_read * read_price + cache_write * write_price) / MILLION

    @property
    def has_batch(self) -> bool:
        """Say whether the table has a price of batch inference."""
        return self.batch_input is not None and self.batch_output is not None

    def for_batch(self) -> "Price":
        """Return the price of batch inference, cached tokens at the input price; where the table has none it is this price itself."""
        if self.batch_input is None or self.batch_output is None:
            return self
        return self.model_copy(update={"input": self.batch_input, "output": self.batch_output, "cache_read": None, "cache_write": None})


class Latency(_Entry):
    """A latency model in milliseconds: intercept plus a price per output token, with a spread (standard deviation)."""

    intercept_ms: float
    per_output_token_ms: float
    spread_ms: float
    source: str


class StandIn(_Entry):
    """Capacity of the stand-in that answers for a model in the sandbox."""

    triage: Literal["small", "medium", "large", "judge"]
    knowledge: int = Field(ge=1, le=3)
    steps: int = Field(ge=1)


class Model(_Entry):
    """One model: its id on the wire, where it runs, what it costs and how the sandbox stands in for it.

    `burndown` is how many tokens of quota one output token takes.
    """

    key: str
    id: str
    name: str
    provider: Literal["bedrock", "nim"]
    accepts_temperature: bool = True
    price: Price
    latency: Latency
    tokens: float = 1.0
    burndown: int = Field(default=1, ge=1)
    stand_in: StandIn

    @property
    def needs_inference_profile(self) -> bool:
        """Say whether the bare id is refused on demand, as for models offered through `us.` profiles only."""
        return self.id.startswith("us.")


@cache
def models() -> MappingProxyType[str, Model]:
    """Return all models by short key, in the order of the table; raise DataError if the table is missing or broken."""
    path = DATA / "models.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"The model table {path} cannot be read ({error}). Restore it with: git checkout data/models.toml") from error
    return MappingProxyType({key: _model(key, entry) for key, entry in table.items()})


def _model(key: str, entry: object) -> Model:
    try:
        return Model.model_validate({"key": key, **entry} if isinstance(entry, dict) else entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([key, *(str(part) for part in first["loc"])])
        raise DataError(f"The model table data/models.toml has a wrong entry, {where}: {first['msg']}.") from error


def model(name: str) -> Model:
    """Return a model by short key ("nano") or by id; raise UnknownModelError naming the nearest ones."""
    table = models()
    if name in table:
        return table[name]
    by_id = {entry.id: entry for entry in table.values()}
    if name in by_id:
        return by_id[name]
    near = difflib.get_close_matches(name, [*table, *by_id], n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UnknownModelError(f"No model {name!r} in data/models.toml.{hint} Known: {', '.join(table)}.")
