"""A semantic cache in front of a cascade: a text near enough to one answered before gets that answer without a call. Off unless `cached_walk` is used."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, Protocol, TypedDict, Unpack

from workshop_lib import catalog
from workshop_lib.cascade.gate import Check, Learned, item_text
from workshop_lib.cascade.policies import Policy
from workshop_lib.cascade.trace import Step, Trace
from workshop_lib.cascade.walk import Observe, walk
from workshop_lib.llm import Ask
from workshop_lib.tasks.base import Answer, Item, Task

CACHE = "cache"
"""What stands in a trace in the place of the tier, as tier and as `model_used`, when the answer was kept and no model was asked."""


@dataclass(frozen=True)
class Hit(Generic[Answer]):
    """A kept answer, how near its text is (cosine, 0 to 1), and the item it was given to."""

    answer: Answer
    similarity: float
    item_id: str


class SemanticCache(Protocol[Answer]):
    """What keeps answers by text. One that lies on another machine and cannot be reached returns None, which is a miss, and keeps nothing."""

    def look(self, text: str, scope: str = "") -> Hit[Answer] | None:
        """Return the answer kept in this scope for the nearest text, if that is near enough; else None."""
        ...

    def keep(self, text: str, answer: Answer, scope: str = "", item_id: str = "") -> None:
        """Keep an answer for later texts of the same scope."""
        ...


class WalkOptions(TypedDict, total=False):
    """The options of `walk`, which a miss passes on."""

    deadline_s: float | None
    budget_usd: float | None
    learned: Mapping[str, Learned]
    observe: Observe | None
    clock: Callable[[], float]


def cached_walk(
    task: Task[Item, Answer],
    item: Item,
    policy: Policy,
    ask: Ask,
    cache: SemanticCache[Answer],
    *,
    tenant: str = "",
    keep_flagged: bool = False,
    **options: Unpack[WalkOptions],
) -> Trace[Answer]:
    """Return the trace of an item as `walk` does, or, if the cache holds an answer to a near text, a trace of that answer that costs nothing.

    A hit has one step, of the tier "cache", with the similarity in its check; no gate and no guardrail looks at it. Answers are shared only within
    one `cache_scope`. A walk is kept if it is `worth_keeping`.
    """
    text, scope = item_text(item), cache_scope(task, item, policy, tenant)
    hit = cache.look(text, scope)
    if hit is not None:
        check = Check(CACHE, None, hit.similarity, remark=f"near the text of {hit.item_id or 'an earlier item'}")
        step = Step(CACHE, None, task.carried(item, hit.answer), checks=(check,))
        observe = options.get("observe")
        if observe is not None:
            observe(step, False)
        return Trace(task.item_id(item), policy.name, (step,))
    trace = walk(task, item, policy, ask, **options)
    if trace.answer is not None and worth_keeping(trace, keep_flagged):
        cache.keep(text, trace.answer, scope, trace.item_id)
    return trace


def worth_keeping(trace: Trace[Any], keep_flagged: bool = False) -> bool:
    """Say whether an answer may be given to others: valid, not blocked, nothing went wrong on the way, and no person must look.

    With `keep_flagged` an answer that says itself that a person is needed is kept, and says so again; one that an earlier tier flagged and the last
    one did not never is, as the flag would be lost.
    """
    if trace.answer is None or trace.notes or trace.steps[0].tier == CACHE:
        return False
    return not trace.review_required or (keep_flagged and bool(getattr(trace.answer, "needs_human", False)))


def cache_scope(task: Task[Item, Answer], item: Item, policy: Policy, tenant: str = "") -> str:
    """Return sixteen hex digits that change with the prompt, its settings and tool, the policy, the ids of its models, and the tenant.

    So a change of any of them starts an empty cache, and no tenant is answered from another's texts.
    """
    request = task.request(item)
    tool, guardrail = request.tool, request.guardrail
    told = {
        "task": [task.name, task.prompt_version, request.system, request.max_tokens, request.temperature],
        "tool": None if tool is None else [tool.name, tool.description, dict(tool.schema)],
        "guardrail": None if guardrail is None else [guardrail.identifier, guardrail.version],
        "policy": policy.digest,
        "models": [catalog.model(tier).id for tier in policy.tiers],
        "tenant": tenant,
    }
    return sha256(json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:16]
