"""The probability a model gave to its own label, from the log-probabilities of the tokens it is written with."""

import json
import math
import re

from workshop_lib.llm import Reply


def label_probability(reply: Reply, field: str, label: object) -> float | None:
    """Return the product of the probabilities of the tokens that spell a field's value in a reply's JSON; None if it is not found.

    A token that spells more than the value (a quote, a comma) counts whole. The first spelling of the field with that value counts.
    """
    if not reply.logprobs:
        return None
    text = "".join(token.token for token in reply.logprobs)  # not reply.text: a server may cut a code fence from that and not from this
    found = re.search(rf'"{re.escape(field)}"\s*:\s*({re.escape(json.dumps(label))})', text)
    if found is None:
        return None
    begin, end = (found.start(1) + 1, found.end(1) - 1) if isinstance(label, str) else found.span(1)
    total, at = 0.0, 0
    for token in reply.logprobs:
        if at < end and at + len(token.token) > begin:
            total += token.logprob
        at += len(token.token)
    return min(1.0, math.exp(total))
