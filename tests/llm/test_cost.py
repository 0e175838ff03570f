"""Cost: per model by hand, cached tokens, missing usage, and drift against a public price table."""

import pytest
from genai_prices import Usage as PublicUsage
from genai_prices import calc_price

from workshop_lib import catalog
from workshop_lib.catalog import Price
from workshop_lib.llm import Cost, Usage, price

BY_HAND = {  # 1,259 tokens in and 120 out, in USD
    "nano": (1259 * 0.06 + 120 * 0.24) / 1e6,
    "super": (1259 * 0.15 + 120 * 0.65) / 1e6,
    "sonnet": (1259 * 3.30 + 120 * 16.50) / 1e6,
    "opus": (1259 * 5.50 + 120 * 27.50) / 1e6,
    "nim-8b": (1259 * 0.02 + 120 * 0.05) / 1e6,
    "nim-70b": (1259 * 0.135 + 120 * 0.40) / 1e6,
    "nim-253b": (1259 * 0.60 + 120 * 1.80) / 1e6,
}


@pytest.mark.parametrize("key", list(catalog.models()))
def test_the_cost_of_a_call(key: str) -> None:
    """Without it swapped directions or a wrong unit would turn every table into fiction."""
    assert price(catalog.model(key), Usage(1259, 120)) == Cost(pytest.approx(BY_HAND[key], rel=1e-12))


def test_two_sums_in_dollars() -> None:
    """Without it a factor shared by code and formula above would go unnoticed: Nano 0.000104, Sonnet 0.006135 USD."""
    assert round(price(catalog.model("nano"), Usage(1259, 120)).usd, 6) == 0.000104
    assert round(price(catalog.model("sonnet"), Usage(1259, 120)).usd, 6) == 0.006135


def test_cached_tokens_have_their_own_price() -> None:
    """Without it a cached prompt would be charged ten times too much."""
    cost = price(catalog.model("sonnet"), Usage(10, 20, cache_read_tokens=1000, cache_write_tokens=100))
    assert cost.usd == pytest.approx((10 * 3.30 + 20 * 16.50 + 1000 * 0.33 + 100 * 4.125) / 1e6)


def test_cached_tokens_without_a_price_of_their_own_cost_as_input() -> None:
    """Without it cached tokens of such a model would be free."""
    assert price(catalog.model("nano"), Usage(10, 0, 500, 490)).usd == pytest.approx(1000 * 0.06 / 1e6)


def test_missing_usage_is_incomplete_and_stays_so_in_a_sum() -> None:
    """Without it one reply without usage would vanish in a total."""
    unknown = price(catalog.model("nano"), None)
    assert unknown == Cost(0.0, complete=False)
    assert Cost.total([Cost(1.0), unknown, Cost(2.0)]) == Cost(3.0, complete=False)
    assert Cost.total([]) == Cost(0.0)


def test_a_negative_price_is_refused() -> None:
    """Without it a typing mistake in the table would earn money."""
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Price(input=-1, output=1, basis="list", source="x", checked_on="2026-11-21")  # type: ignore[arg-type]


@pytest.mark.parametrize("key", list(catalog.models()))
def test_the_public_table_agrees(key: str) -> None:
    """Without it a price that changed at the provider would be noticed by nobody."""
    model = catalog.model(key)
    usage = PublicUsage(input_tokens=1_000_000, output_tokens=1_000_000, cache_read_tokens=500_000 if model.price.cache_read is not None else 0)
    try:
        public = calc_price(usage, model.id, provider_id="aws")
    except LookupError:
        pytest.skip(f"genai-prices lists no price for {model.id} at provider aws")
    ours = price(model, Usage(500_000, 1_000_000, 500_000) if model.price.cache_read is not None else Usage(1_000_000, 1_000_000))
    assert float(public.total_price) == pytest.approx(ours.usd), "check the provider's price page, then data/models.toml and its checked_on"
