"""Exercises of lab 01: what one call and a month cost, where the answer is in a response, and whose tokens were counted."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import mean, median
from typing import Any

from workshop_lib.catalog import MILLION, Price
from workshop_lib.lab.checking import NotYet, calling, close, diagnosed, number, shown
from workshop_lib.lab.exercise import Exercise, Wrong
from workshop_lib.llm import InvalidAnswer
from workshop_lib.llm.parsing import json_object

_DAYS = 30
_PRICE = Price(input=0.4, output=2.0, basis="list", source="made up for the check", checked_on=date(2026, 1, 1))

Said = tuple[float, str]


# Exercise 1


def call_usd(input_tokens: int, output_tokens: int, price: Price) -> float:
    """Return what one call costs in USD."""
    return (input_tokens * price.input + output_tokens * price.output) / MILLION


def _check_call_usd(answer: Any) -> str | None:
    for tokens_in, tokens_out in ((1200, 150), (90, 700), (400, 0), (34, 7)):
        got = number(calling(answer, tokens_in, tokens_out, _PRICE), "its result")
        want = call_usd(tokens_in, tokens_out, _PRICE)
        if got == 0:
            return "the result is 0: `//`, int() or round() has dropped the fraction of a cent; divide with `/`, and round only when you print"
        mistakes = (
            (want * 1000, "the result is 1,000 times too high: the prices are per million tokens, not per thousand"),
            (want * MILLION, "the result is a million times too high: the prices are per million tokens, so divide by 1,000,000"),
            (
                call_usd(tokens_out, tokens_in, _PRICE),
                "input and output are swapped: input_tokens go with price.input, output_tokens with price.output",
            ),
            (call_usd(tokens_in, 0, _PRICE), "the output tokens are left out, and they are the expensive ones"),
            (call_usd(0, tokens_out, _PRICE), "the input tokens are left out; they are charged too"),
            (want / MILLION, "the result is a million times too low: it is divided by 1,000,000 twice"),
            (
                tokens_in * _PRICE.input + tokens_out * _PRICE.output / MILLION,
                "only the output is divided by 1,000,000; put the sum in brackets first",
            ),
            (
                tokens_in * _PRICE.input / MILLION + tokens_out * _PRICE.output,
                "only the input is divided by 1,000,000; both prices are per million",
            ),
            (
                want * MILLION * MILLION,
                "it multiplies by 1,000,000; a price per million tokens has to be divided to get the price of one",
            ),
            (want * 10, "the result is 10 times too high; one million is 1_000_000"),
            (want / 1000, "the result is 1,000 times too low; one million is 1_000_000"),
            (want / 10, "the result is 10 times too low; one million is 1_000_000"),
            (want * 100, "that is in cents; give USD, as the prices are in USD"),
            (
                call_usd(tokens_in + tokens_out, 0, _PRICE),
                "the output tokens are charged at the input price; each direction has its own",
            ),
            (
                call_usd(0, tokens_in + tokens_out, _PRICE),
                "the input tokens are charged at the output price; each direction has its own",
            ),
            (
                (tokens_in + tokens_out) * (_PRICE.input + _PRICE.output) / MILLION,
                "both prices are put on all tokens; each direction has its own",
            ),
            (
                (tokens_in + tokens_out) * (_PRICE.input + _PRICE.output) / 2 / MILLION,
                "it uses one blended price; each direction has its own",
            ),
            *(
                (
                    round(want, digits),
                    "the result is rounded, and a cheap call costs a small part of a cent: round when you print, not when you compute",
                )
                for digits in (2, 3, 4, 5, 6)
            ),
        )
        wrong = diagnosed(
            got,
            want,
            mistakes,
            f"{tokens_in} tokens in and {tokens_out} out at {_PRICE.input} and {_PRICE.output} USD per million",
        )
        if wrong:
            return wrong
    return None


def _per_thousand(input_tokens: int, output_tokens: int, price: Price) -> float:
    return (input_tokens * price.input + output_tokens * price.output) / 1000


def _not_divided(input_tokens: int, output_tokens: int, price: Price) -> float:
    return input_tokens * price.input + output_tokens * price.output


def _swapped(input_tokens: int, output_tokens: int, price: Price) -> float:
    return (input_tokens * price.output + output_tokens * price.input) / MILLION


def _no_output(input_tokens: int, output_tokens: int, price: Price) -> float:
    return input_tokens * price.input / MILLION


def _one_price(input_tokens: int, output_tokens: int, price: Price) -> float:
    return (input_tokens + output_tokens) * price.input / MILLION


def _blended(input_tokens: int, output_tokens: int, price: Price) -> float:
    return (input_tokens + output_tokens) * (price.input + price.output) / 2 / MILLION


def _whole_units(input_tokens: int, output_tokens: int, price: Price) -> float:
    return (input_tokens * price.input + output_tokens * price.output) // MILLION


def _output_price_for_all(input_tokens: int, output_tokens: int, price: Price) -> float:
    return (input_tokens + output_tokens) * price.output / MILLION


def _rounded(input_tokens: int, output_tokens: int, price: Price) -> float:
    return round(call_usd(input_tokens, output_tokens, price), 6)


# Exercise 2


def read_decision(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    """Return the decision in a Converse response, from the tool call or else from the text, under our own ticket id."""
    blocks = response["output"]["message"]["content"]
    for block in blocks:
        if "toolUse" in block:
            return {**block["toolUse"]["input"], "ticket_id": ticket_id}
    text = "".join(block.get("text", "") for block in blocks)
    return {**json_object(text), "ticket_id": ticket_id}


_DECISION = {
    "ticket_id": "S-90",
    "category": "billing",
    "priority": "P2",
    "confidence": 0.95,
    "reasoning": "Charged twice.",
    "needs_human": False,
}


def _response(*blocks: dict[str, Any], stop_reason: str = "tool_use") -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": stop_reason}


def _tool_block(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "tooluse_1", "name": "route_ticket", "input": dict(decision)}}


_FENCED = {"text": f"I read the ticket.\n```json\n{json.dumps(_DECISION, indent=2)}\n```"}
_BARE = {"text": json.dumps(_DECISION)}
_CASES: tuple[tuple[dict[str, Any], str], ...] = (
    (_response(_tool_block(_DECISION)), "the plain case already fails, a single toolUse block: its input is the decision"),
    (
        _response({"text": "I will route this ticket."}, _tool_block(_DECISION)),
        "it misses a tool call that is not the first block: a text block stood before it, so look at every block of content",
    ),
    (
        _response(_BARE, stop_reason="end_turn"),
        "it finds nothing when the reply holds no tool call, although the text is the decision as JSON",
    ),
    (
        _response(_FENCED, stop_reason="end_turn"),
        "the JSON stands inside prose and a code fence, which json.loads refuses; json_object finds it there",
    ),
    (
        _response(_tool_block({**_DECISION, "ticket_id": "S-09"})),
        "it trusts the ticket_id in the reply: the model wrote S-09 to ticket S-90; you know which ticket you sent, so put that id in",
    ),
    (
        _response(_tool_block({name: value for name, value in _DECISION.items() if name != "ticket_id"})),
        "the reply left ticket_id out; you know which ticket you sent, so put that id in",
    ),
    (
        _response({"text": json.dumps({**_DECISION, "ticket_id": "S-09"})}, stop_reason="end_turn"),
        "it trusts the ticket_id of a reply in text: put in the id of the ticket you sent there too",
    ),
    (
        _response(_tool_block(_DECISION), {"text": "I have routed this ticket."}),
        "it misses a tool call that is not the last block: a text block stood after it, so look at every block of content",
    ),
)


def _check_read_decision(answer: Any) -> str | None:
    for position, (response, says) in enumerate(_CASES):
        try:
            got = calling(answer, response, "S-90", none_ok=position > 0)
        except NotYet as error:
            if "must be a function" in str(error):
                raise
            return f"{says} ({error})"
        if isinstance(got, str) or (got is not None and not isinstance(got, Mapping)):
            return f"it returned {shown(got, 40)}, but the decision is a dictionary"
        if got is None or dict(got) != _DECISION:
            return _other_fields(got) or says
    return _invents_nothing(answer)


def _other_fields(got: Mapping[str, Any] | None) -> str | None:
    """Return which fields a decision lacks or has in addition, if the rest of it is as it should be."""
    if got is None or len(set(got) & set(_DECISION)) < 2:
        return None
    lost, more = [name for name in _DECISION if name not in got and name != "ticket_id"], sorted(set(got) - set(_DECISION))
    if lost:
        return f"it leaves out {', '.join(lost)}; return all arguments of the tool call"
    return f"it adds {shown(more[0], 20)}; the id belongs under ticket_id, and nothing else is added" if more else None


def _invents_nothing(answer: Any) -> str | None:
    try:
        got = calling(answer, _response({"text": "I cannot tell."}, stop_reason="end_turn"), "S-90", none_ok=True)
    except NotYet as error:
        if "InvalidAnswer" in str(error):
            return None
        return f"a reply without any decision: {error}; let the InvalidAnswer of json_object through, so that the caller can count it"
    return f"a reply without any decision comes back as {shown(got, 40)}; let the InvalidAnswer of json_object through, so that the caller can count it"


def _first_block_only(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    return {**response["output"]["message"]["content"][0]["toolUse"]["input"], "ticket_id": ticket_id}


def _tool_calls_only(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any] | None:
    for block in response["output"]["message"]["content"]:
        if "toolUse" in block:
            return {**block["toolUse"]["input"], "ticket_id": ticket_id}
    return None


def _key_error_on_text(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    last = response["output"]["message"]["content"][-1]
    return {**last["toolUse"]["input"], "ticket_id": ticket_id}


def _text_is_pure_json(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    last = response["output"]["message"]["content"][-1]
    found = last["toolUse"]["input"] if "toolUse" in last else json.loads(last["text"])
    return {**found, "ticket_id": ticket_id}


def _last_block_only(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    last = response["output"]["message"]["content"][-1]
    found = last["toolUse"]["input"] if "toolUse" in last else json_object(last["text"])
    return {**found, "ticket_id": ticket_id}


def _answers_anyway(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    try:
        return read_decision(response, ticket_id)
    except InvalidAnswer:
        return {"ticket_id": ticket_id}


def _three_fields(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    return {name: read_decision(response, ticket_id)[name] for name in ("ticket_id", "category", "priority", "needs_human")}


def _trusts_the_id(response: Mapping[str, Any], ticket_id: str) -> dict[str, Any]:
    blocks = response["output"]["message"]["content"]
    for block in blocks:
        if "toolUse" in block:
            return dict(block["toolUse"]["input"])
    return dict(json_object("".join(block.get("text", "") for block in blocks)))


# Exercise 3


def input_ratio(small: Sequence[Mapping[str, int]], large: Sequence[Mapping[str, int]]) -> float:
    """Return how many times the input tokens the large model counted for the same prompts."""
    return sum(usage["inputTokens"] for usage in large) / sum(usage["inputTokens"] for usage in small)


def _usages(*pairs: tuple[int, int]) -> tuple[dict[str, int], ...]:
    return tuple({"inputTokens": tokens, "outputTokens": out, "totalTokens": tokens + out} for tokens, out in pairs)


# The single ratios are 1.4, 1.3 and 1.29625, so that the first one and the middle one differ.
_SMALL = _usages((500, 150), (1000, 100), (800, 90))
_LARGE = _usages((700, 180), (1300, 240), (1037, 300))


def _check_input_ratio(answer: Any) -> str | None:
    got = number(calling(answer, list(_SMALL), list(_LARGE)), "its result")
    want = input_ratio(_SMALL, _LARGE)

    def of(key: str) -> float:
        return sum(usage[key] for usage in _LARGE) / sum(usage[key] for usage in _SMALL)

    pairs = [large["inputTokens"] / small["inputTokens"] for small, large in zip(_SMALL, _LARGE, strict=True)]
    mistakes = (
        (
            1 / want,
            "it is upside down: the large model's tokens go on top, so that the result says how many times as many it counts",
        ),
        (
            of("totalTokens"),
            "totalTokens hold the output too, and each model writes its own answer; only the input is the same prompt",
        ),
        (of("outputTokens"), "these are the output tokens; the prompt is the input"),
        (
            mean(pairs),
            "it averages the ratios of the single prompts, which counts a short prompt as much as a long one; you pay for the sums",
        ),
        (pairs[0], "only the first prompt is used; add up all of them"),
        (pairs[-1], "only the last prompt is used; add up all of them"),
        (sum(pairs), "it adds the ratios of the single prompts; add the tokens of each side, then divide once"),
        (
            median(pairs),
            "it is the ratio of a single prompt, the middle or the longest one; you pay for all of them, so add them up",
        ),
        (len(_SMALL) * want, "one side is an average and the other a sum; use the sum of both"),
        (want / len(_SMALL), "one side is an average and the other a sum; use the sum of both"),
        (1.0, "it is the number of prompts; add up their inputTokens"),
        (100 * (want - 1), "it is a percentage; give the ratio, such as 1.5 for 50 % more"),
        (100 * want, "it is a percentage; give the ratio, such as 1.5 for 50 % more"),
        (want - 1, "it is the surplus; give the ratio, such as 1.5 for 50 % more"),
        (1 - 1 / want, "it says how much less the small model counts; divide the large model's tokens by the small one's"),
        (
            sum(u["inputTokens"] for u in _LARGE) - sum(u["inputTokens"] for u in _SMALL),
            "it is the difference in tokens; give the ratio",
        ),
    )
    return diagnosed(
        got,
        want,
        mistakes,
        f"{sum(u['inputTokens'] for u in _LARGE)} against {sum(u['inputTokens'] for u in _SMALL)} input tokens",
    )


def _upside_down(small: Sequence[Mapping[str, int]], large: Sequence[Mapping[str, int]]) -> float:
    return input_ratio(large, small)


def _all_tokens(small: Sequence[Mapping[str, int]], large: Sequence[Mapping[str, int]]) -> float:
    return sum(usage["totalTokens"] for usage in large) / sum(usage["totalTokens"] for usage in small)


def _mean_of_ratios(small: Sequence[Mapping[str, int]], large: Sequence[Mapping[str, int]]) -> float:
    return mean(b["inputTokens"] / a["inputTokens"] for a, b in zip(small, large, strict=True))


def _middle_ratio(small: Sequence[Mapping[str, int]], large: Sequence[Mapping[str, int]]) -> float:
    return median(b["inputTokens"] / a["inputTokens"] for a, b in zip(small, large, strict=True))


def _percent_more(small: Sequence[Mapping[str, int]], large: Sequence[Mapping[str, int]]) -> float:
    return 100 * (input_ratio(small, large) - 1)


# Exercise 4


def monthly_usd(usd_per_call: float, calls_per_day: int) -> float:
    """Return USD per month of 30 days."""
    return usd_per_call * calls_per_day * _DAYS


def _check_monthly_usd(answer: Any) -> str | None:
    for usd, calls in ((0.0001048, 10_000), (0.00828, 250)):
        got = number(calling(answer, usd, calls), "its result")
        want = monthly_usd(usd, calls)
        mistakes = (
            (usd * calls, "that is the cost of one day; a month here has 30"),
            (usd * _DAYS, "that is one call a day; multiply by calls_per_day too"),
            (usd * calls * 365, "that is the cost of a year; a month here has 30 days"),
            (usd * calls * 31, "that is a month of 31 days; a month here has 30"),
            (usd * calls * 28, "that is a month of 28 days; a month here has 30"),
            *(
                (usd * calls * days, f"that counts {days} working days; tickets come on each of the 30 days")
                for days in (20, 21, 22)
            ),
            *(
                (want * factor, "usd_per_call is the price of one call already; do not convert it again")
                for factor in (1000, 1e-3, 1e-6)
            ),
            (100 * want, "that is in cents; give USD, as usd_per_call is in USD"),
            (usd * 10_000 * _DAYS, "it multiplies by 10,000 whatever calls_per_day is; use the name from the brackets of def"),
            (usd * calls * 365 / 12, "that is a month of 30.4 days; count 30, so that your figures and the tables below agree"),
            (
                round(usd, 2) * calls * _DAYS,
                "one call is rounded before it is multiplied, and a cheap call rounds to nothing: round only at the end",
            ),
            (
                round(usd * calls, 2) * _DAYS,
                "the cost of one day is rounded before it is multiplied, and the error is multiplied with it: round only at the end",
            ),
            (
                round(usd, 4) * calls * _DAYS,
                "one call is rounded before it is multiplied, and the error is multiplied with it: round only at the end",
            ),
        )
        wrong = diagnosed(got, want, mistakes, f"{calls:,} calls a day at {usd} USD")
        if wrong:
            return wrong
    return None


def _one_day(usd_per_call: float, calls_per_day: int) -> float:
    return usd_per_call * calls_per_day


def _one_year(usd_per_call: float, calls_per_day: int) -> float:
    return usd_per_call * calls_per_day * 365


def _whole_cents_first(usd_per_call: float, calls_per_day: int) -> float:
    return round(usd_per_call, 2) * calls_per_day * _DAYS


def _working_days(usd_per_call: float, calls_per_day: int) -> float:
    return usd_per_call * calls_per_day * 22


def _fixed_volume(usd_per_call: float, calls_per_day: int) -> float:
    return usd_per_call * 10_000 * _DAYS


def _one_call_a_day(usd_per_call: float, calls_per_day: int) -> float:
    return usd_per_call * _DAYS


# Exercise 5

Usage = Mapping[str, int] | None


def bill(usages: Sequence[Usage], price: Price) -> tuple[float, bool]:
    """Return the USD that are known and whether that is all: a call without both counts adds nothing and makes the bill incomplete."""
    usd, complete = 0.0, True
    for usage in usages:
        if usage is None or "inputTokens" not in usage or "outputTokens" not in usage:
            complete = False
        else:
            usd += call_usd(usage["inputTokens"], usage["outputTokens"], price)
    return usd, complete


_KNOWN = {"inputTokens": 1200, "outputTokens": 150}
_SILENT = {"inputTokens": 900, "outputTokens": 0}
_BILLS: tuple[tuple[str, tuple[Usage, ...]], ...] = (
    ("two calls with full usage", (_KNOWN, _KNOWN)),
    ("a call with usage and one where usage is None", (_KNOWN, None)),
    ("a call with usage and one that reports inputTokens only", (_KNOWN, {"inputTokens": 900})),
    ("a call with usage and one with 0 output tokens", (_KNOWN, _SILENT)),
    ("one call where usage is None", (None,)),
    ("a call where usage is None, followed by one with usage", (None, _KNOWN)),
)


def _check_bill(answer: Any) -> str | None:
    for case, usages in _BILLS:
        try:
            got = calling(answer, list(usages), _PRICE, none_ok=usages != (_KNOWN, _KNOWN))
        except NotYet as error:
            if usages == (_KNOWN, _KNOWN) or "it raised" not in str(error):
                raise
            return f"{case}: {error}; usage can be None or lack a count, and the bill must still come"
        wrong = _bill_problem(case, usages, got)
        if wrong:
            return wrong
    return None


def _bill_problem(case: str, usages: Sequence[Usage], got: Any) -> str | None:
    if got is None:
        return f"{case} returns nothing at all; give back the known part and say that it is not complete"
    if not isinstance(got, tuple | list) or len(got) != 2:
        return f"it returned {shown(got, 40)}, but must return two things: the USD known and whether the bill is complete"
    usd, complete = got
    want_usd, want_complete = bill(usages, _PRICE)
    if isinstance(usd, bool) and not isinstance(complete, bool):
        return "the two things come in the wrong order: first the USD, then whether the bill is complete"
    if not isinstance(complete, bool):
        return f"the second thing it returned is {shown(complete, 40)}, but must be True or False"
    if _SILENT in usages and not (complete and close(usd, want_usd)):
        return (
            f"{case}: 0 output tokens is a count, not a missing one; ask whether the key is there, not whether its value is true"
        )
    if usages == (None, _KNOWN) and complete:
        return f"{case}: the last call makes the bill complete again; once a count is missing, the bill stays incomplete"
    if complete and not want_complete:
        return f"{case} is called complete: a missing count was charged as zero, so the bill is too low and nobody can see it"
    if complete != want_complete:
        return f"{case} is called incomplete, but every count is there"
    if usd is None or (isinstance(usd, float) and usd != usd):
        return f"{case}: the known part is thrown away; add up what is known, the flag says that more is due"
    partial = sum(call_usd((usage or {}).get("inputTokens", 0), (usage or {}).get("outputTokens", 0), _PRICE) for usage in usages)
    if partial != want_usd and close(usd, partial):
        return (
            f"{case}: the one count of the second call is charged, but a call that lacks a count adds nothing to the known part"
        )
    if usages == (None, _KNOWN) and close(usd, 0.0):
        return f"{case}: the call after the missing one is not charged; go on with the rest of the calls"
    if not close(number(usd, "the USD"), want_usd):
        return f"{case} costs {want_usd:.8g} USD as far as known, and not {number(usd):.8g}"
    return None


def _missing_is_zero(usages: Sequence[Usage], price: Price) -> tuple[float, bool]:
    usd = sum(call_usd((usage or {}).get("inputTokens", 0), (usage or {}).get("outputTokens", 0), price) for usage in usages)
    return usd, True


def _raises_on_none(usages: Sequence[Any], price: Price) -> tuple[float, bool]:
    return sum(call_usd(usage["inputTokens"], usage["outputTokens"], price) for usage in usages), True


def _only_none_is_missing(usages: Sequence[Usage], price: Price) -> tuple[float, bool]:
    known = [usage for usage in usages if usage is not None]
    return sum(call_usd(u["inputTokens"], u.get("outputTokens", 0), price) for u in known), len(known) == len(usages)


def _zero_is_missing(usages: Sequence[Usage], price: Price) -> tuple[float, bool]:
    known = [usage for usage in usages if usage and usage.get("inputTokens") and usage.get("outputTokens")]
    return bill(known, price)[0], len(known) == len(usages)


def _stops_at_missing(usages: Sequence[Usage], price: Price) -> tuple[float, bool]:
    usd = 0.0
    for usage in usages:
        if usage is None or "inputTokens" not in usage or "outputTokens" not in usage:
            return usd, False
        usd += call_usd(usage["inputTokens"], usage["outputTokens"], price)
    return usd, True


def _flag_of_the_last(usages: Sequence[Usage], price: Price) -> tuple[float, bool]:
    usd, complete = 0.0, True
    for usage in usages:
        complete = usage is not None and "inputTokens" in usage and "outputTokens" in usage
        usd += bill([usage], price)[0]
    return usd, complete


def _throws_the_rest_away(usages: Sequence[Usage], price: Price) -> tuple[float | None, bool]:
    usd, complete = bill(usages, price)
    return (usd, True) if complete else (None, False)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        id="ex1",
        title="What one call costs",
        minutes=4,
        level="core",
        objective="Compute the cost of one call in USD from its usage and the price of each direction.",
        hints=(
            "A call has two amounts, tokens in and tokens out, and each has a price of its own.",
            "Mind the unit: what would a million tokens cost, and so what does one cost?",
            "Multiply each amount by its price, add the two products, and divide once at the end.",
        ),
        reference=call_usd,
        check=_check_call_usd,
        wrong=(
            Wrong("divides by a thousand", _per_thousand, "1,000 times too high"),
            Wrong("does not divide", _not_divided, "a million times too high"),
            Wrong("swaps the directions", _swapped, "swapped"),
            Wrong("ignores the output", _no_output, "output tokens are left out"),
            Wrong("one price for both directions", _one_price, "at the input price"),
            Wrong("the output price for both directions", _output_price_for_all, "at the output price"),
            Wrong("one blended price", _blended, "blended"),
            Wrong("divides with //", _whole_units, "has dropped the fraction"),
            Wrong("rounds the result to six digits", _rounded, "the result is rounded"),
        ),
    ),
    Exercise(
        id="ex2",
        title="Read the decision, however it came",
        minutes=6,
        level="core",
        objective="Read a decision from a Converse response, whether it came as a tool call or as text.",
        hints=(
            "The answer is a list of blocks. A block with a tool call may come first, later, or not at all.",
            "Go through all blocks and take the first tool call. Only if there is none, look at the text.",
            "Text from a model is seldom bare JSON. json_object(text), imported above, finds the object inside prose or a code fence.",
            "Which ticket this is, you know and the model repeats. Whose word should the result carry?",
        ),
        reference=read_decision,
        check=_check_read_decision,
        wrong=(
            Wrong("looks at content[0] only", _first_block_only, "not the first block"),
            Wrong("KeyError on a reply in text", _key_error_on_text, "no tool call"),
            Wrong("returns None for a reply in text", _tool_calls_only, "no tool call"),
            Wrong("json.loads on the whole text", _text_is_pure_json, "code fence"),
            Wrong("looks at the last block only", _last_block_only, "not the last block"),
            Wrong("trusts the ticket_id of the reply", _trusts_the_id, "trusts the ticket_id"),
            Wrong("answers without a decision", _answers_anyway, "let the InvalidAnswer"),
            Wrong("keeps three fields", _three_fields, "leaves out confidence, reasoning"),
        ),
    ),
    Exercise(
        id="ex3",
        title="How many more tokens",
        minutes=4,
        level="core",
        objective="Measure how many more input tokens one tier counts for the same prompts, so that you never price one tier with another's count.",
        hints=(
            "Only one of the three counts in a usage is about the prompt, which both models were sent alike.",
            "You pay for all prompts together: add up first, then compare.",
            "The result answers: how many times as many? A result above 1 means that the large model counts more.",
        ),
        reference=input_ratio,
        check=_check_input_ratio,
        wrong=(
            Wrong("upside down", _upside_down, "upside down"),
            Wrong("compares totalTokens", _all_tokens, "totalTokens"),
            Wrong("averages the ratios", _mean_of_ratios, "averages the ratios"),
            Wrong("takes the middle ratio", _middle_ratio, "a single prompt"),
            Wrong("gives a percentage", _percent_more, "percentage"),
        ),
    ),
    Exercise(
        id="ex4",
        title="What a month costs",
        minutes=3,
        level="core",
        objective="Turn the cost of one call into a monthly bill at a volume you choose.",
        hints=(
            "Go up in two steps: from one call to one day, from one day to one month of 30 days.",
            "One cheap call costs a fraction of a cent. What is left of it after rounding to cents?",
            "Nothing but two multiplications is needed; leave the rounding to whoever prints the number.",
        ),
        reference=monthly_usd,
        check=_check_monthly_usd,
        wrong=(
            Wrong("one day", _one_day, "one day"),
            Wrong("a year", _one_year, "a year"),
            Wrong("rounds one call to cents first", _whole_cents_first, "round only at the end"),
            Wrong("forgets the volume", _one_call_a_day, "calls_per_day"),
            Wrong("counts working days", _working_days, "22 working days"),
            Wrong("writes the lab's volume into the function", _fixed_volume, "whatever calls_per_day is"),
        ),
    ),
    Exercise(
        id="ex5",
        title="When usage is missing",
        minutes=5,
        level="stretch",
        objective="Bill calls of which some did not report their usage, without calling the missing part zero.",
        hints=(
            "Two questions, two results: how much is known, and is that all?",
            "A call counts as known only if both counts are there. Otherwise it adds nothing, and the bill is no longer complete.",
            "In Python 0, None and an empty dict are all false, but they do not mean the same here. Ask whether the key is there.",
        ),
        reference=bill,
        check=_check_bill,
        wrong=(
            Wrong("a missing count is zero", _missing_is_zero, "charged as zero"),
            Wrong("falls over None", _raises_on_none, "usage can be None"),
            Wrong("missing output tokens are zero", _only_none_is_missing, "inputTokens only is called complete"),
            Wrong("zero tokens are missing", _zero_is_missing, "0 output tokens is a count"),
            Wrong("stops at the first missing usage", _stops_at_missing, "go on with the rest"),
            Wrong("the last call decides the flag", _flag_of_the_last, "complete again"),
            Wrong("throws the known part away", _throws_the_rest_away, "known part is thrown away"),
        ),
    ),
)
