"""How long a model would have taken: intercept plus output tokens, with a log-normal spread, as the catalogue says."""

import math
from statistics import NormalDist

from workshop_lib.catalog import Latency
from workshop_lib.sandbox import draw

_NORMAL = NormalDist()


def modelled_ms(latency: Latency, output_tokens: int, key: bytes) -> int:
    """Return the modelled latency of one reply in milliseconds; the mean and the spread are the catalogue's."""
    mean = latency.intercept_ms + latency.per_output_token_ms * output_tokens
    variance = math.log1p((latency.spread_ms / mean) ** 2)
    z = _NORMAL.inv_cdf(draw.unit(key, "latency"))
    return max(1, round(mean * math.exp(z * math.sqrt(variance) - variance / 2)))
