"""Streams of the sandbox, read by the real clients: boto3's event stream and openai's server-sent events."""

from typing import Any

import openai
import pytest

PROMPT = "What is 3 + 4?"


def test_converse_stream_says_what_converse_says_and_ends_with_usage(bedrock: Any) -> None:
    """Without it a streamed answer could differ from the whole one, or its usage be lost."""
    request = {"modelId": "nvidia.nemotron-nano-3-30b", "messages": [{"role": "user", "content": [{"text": PROMPT}]}]}
    whole = bedrock.converse(**request)
    events = list(bedrock.converse_stream(**request)["stream"])
    assert [next(iter(event)) for event in (events[0], *events[-3:])] == ["messageStart", "contentBlockStop", "messageStop", "metadata"]
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
    assert text == whole["output"]["message"]["content"][0]["text"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]


@pytest.mark.parametrize("usage", [True, False])
def test_chat_chunks_say_what_the_completion_says(chat: openai.OpenAI, usage: bool) -> None:
    """Without it a streamed chat could differ from the whole one, or send usage nobody asked for."""
    request: Any = {"model": "meta/llama-3.1-8b-instruct", "messages": [{"role": "user", "content": PROMPT}]}
    whole = chat.chat.completions.create(**request)
    chunks = list(chat.chat.completions.create(**request, stream=True, stream_options={"include_usage": usage}))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.usage for chunk in chunks if chunk.usage] == ([whole.usage] if usage else [])
