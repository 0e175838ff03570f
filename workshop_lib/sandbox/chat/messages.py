"""The conversation of a chat completion request as turns and system text, its order checked as OpenAI checks it."""

from collections.abc import Sequence

from workshop_lib.sandbox.ask import Turn
from workshop_lib.sandbox.chat.body import Message
from workshop_lib.sandbox.chat.errors import Refusal
from workshop_lib.sandbox.conversation import Part, parts_of_chat

_SYSTEM = ("system", "developer")


def system(messages: Sequence[Message]) -> str:
    """Return the instructions: messages of role system, and of role developer, which is its newer name."""
    return "\n".join(_text(number, message) for number, message in enumerate(messages) if message.role in _SYSTEM)


def turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Return the conversation without its instructions; a tool's result is a turn of the user that comes after a tool."""
    open_calls: dict[str, None] = {}
    found: list[Turn] = []
    for number, message in enumerate(messages):
        _check(number, message, open_calls)
        text = _text(number, message)
        if message.role == "tool":
            open_calls.pop(message.tool_call_id or "")
            found.append(Turn("user", text, True, _parts(message, text)))
        elif message.role not in _SYSTEM:
            called = message.tool_calls or ()
            open_calls.update(dict.fromkeys(call.id for call in called))
            whole = "\n".join(filter(None, (text, *(call.function.arguments for call in called))))
            found.append(Turn(message.role, whole, False, _parts(message, text)))
    if open_calls:
        raise _unanswered(open_calls)
    if not found or found[-1].role != "user":
        raise Refusal(400, "The conversation must end with a user message.", param="messages")
    return tuple(found)


def mention_json(messages: Sequence[Message]) -> bool:
    """Say whether any message contains the word JSON, without which json_object is refused."""
    return any("json" in _text(number, message).lower() for number, message in enumerate(messages))


def _check(number: int, message: Message, open_calls: dict[str, None]) -> None:
    where = f"messages.{number}"
    if message.role == "tool":
        if message.tool_call_id not in open_calls:
            raise Refusal(
                400,
                "Messages with role 'tool' must answer a preceding message with 'tool_calls', by its 'tool_call_id'.",
                param=f"{where}.tool_call_id",
            )
    elif open_calls:
        raise _unanswered(open_calls)
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        raise Refusal(400, f"Invalid value for '{where}.content': it is missing.", param=f"{where}.content")
    if message.tool_calls and message.role != "assistant":
        raise Refusal(400, f"Invalid value for '{where}.tool_calls': only the assistant calls tools.", param=f"{where}.tool_calls")


def _parts(message: Message, text: str) -> tuple[Part, ...]:
    calls = [(call.id, {"name": call.function.name, "arguments": call.function.arguments}) for call in message.tool_calls or ()]
    return parts_of_chat(message.role, text, message.tool_call_id, calls)


def _unanswered(open_calls: dict[str, None]) -> Refusal:
    listed = ", ".join(open_calls)[:200]
    return Refusal(
        400,
        f"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Without one: {listed}.",
        param="messages",
    )


def _text(number: int, message: Message) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    for place, part in enumerate(message.content):
        if part.type != "text" or part.text is None:
            where = f"messages.{number}.content.{place}"
            raise Refusal(
                400, f"The sandbox reads parts of type 'text' only; '{where}' is of type '{part.type[:40]}'.", code="invalid_value", param=where
            )
    return "\n".join(part.text or "" for part in message.content)
