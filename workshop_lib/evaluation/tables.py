"""Tables as plain text, the same on every machine."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

_DECIMALS: Mapping[str, int] = {"right": 1, "joint": 1, "cost_usd": 6, "cost_per_1000": 4, "p50_ms": 0, "p95_ms": 0, "p": 5, "p_holm": 5}


def text_table(df: pd.DataFrame, decimals: Mapping[str, int] | None = None) -> str:
    """Return a table as plain fixed-width text, the same on every machine; `decimals` by column, else 6 for USD, 0 for ms, 3.

    Whole numbers carry no decimals, a missing value is "-", truth is "yes" or "no"; numbers stand right, words left.
    """
    header = [str(name) for name in df.columns]
    columns = cells(df, decimals)
    widths = [max([len(name), *(len(cell) for cell in column)]) for name, column in zip(header, columns, strict=True)]
    align: list[Callable[[str, int], str]] = [str.ljust if is_words(df[name]) else str.rjust for name in df.columns]
    lines = [header, ["-" * width for width in widths], *(list(row) for row in zip(*columns, strict=True))]
    return "\n".join("  ".join(put(cell, width) for put, cell, width in zip(align, line, widths, strict=True)).rstrip() for line in lines)


def cells(df: pd.DataFrame, decimals: Mapping[str, int] | None = None) -> list[list[str]]:
    """Return a table's values as text, column by column, rounded as `text_table` rounds."""
    places = {**_DECIMALS, **(decimals or {})}
    columns = [str(name) for name in df.columns]
    return [[_cell(value, places.get(name, _places(name))) for value in df[name].tolist()] for name in columns]


def is_words(column: "pd.Series[Any]") -> bool:
    """Say whether a column holds words, which stand left, and not numbers."""
    return any(isinstance(value, str) for value in column.tolist())


def _places(name: str) -> int:
    return 6 if name.endswith("usd") else 0 if name.endswith("_ms") else 3


def _cell(value: Any, places: int) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = f"{round(value, 9):.{places}f}"  # the last bits of a sum differ between machines; a half must not
        return text.removeprefix("-") if not text.strip("-0.") else text
    return str(value)
