"""What a task is: how an item becomes a request and a reply becomes a valid answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, StringConstraints, ValidationError

from workshop_lib.llm import InvalidAnswer, Reply, Request
from workshop_lib.llm.parsing import json_object

ItemId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:@#-]+$")]
"""An id that may travel as Converse request metadata, which refuses other characters."""

Item = TypeVar("Item", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)


def _as_it_is(item: Any, answer: Any) -> Any:
    """Return an answer that holds nothing of the item it was given to."""
    return answer


@dataclass(frozen=True)
class Task(Generic[Item, Answer]):
    """One thing asked of models: `request(item)` builds the prompt, `parse(item, reply)` validates or raises InvalidAnswer.

    `carried(item, answer)` returns an answer given to another item as one to this item, without what it says of the other; a cache needs it.
    """

    name: str
    prompt_version: str
    answer_type: type[Answer]
    item_id: Callable[[Item], str]
    request: Callable[[Item], Request]
    parse: Callable[[Item, Reply], Answer]
    carried: Callable[[Item, Answer], Answer] = _as_it_is


def payload(reply: Reply) -> Mapping[str, Any]:
    """Return the object a reply carries: the tool's arguments, or else the JSON in its text.

    Small models often answer in text although a tool is forced. Raises InvalidAnswer if the reply was cut off, filtered or holds no object.
    """
    if not reply.finished:
        raise InvalidAnswer(f"the reply ended with {reply.stop_reason}")
    return reply.tool_input if reply.tool_input is not None else json_object(reply.text)


def validate(answer_type: type[Answer], fields: Mapping[str, Any]) -> Answer:
    """Return the answer as a typed object; raise InvalidAnswer naming the first field that is wrong."""
    try:
        return answer_type.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        raise InvalidAnswer(f"{where}: {first['msg']}") from error
