"""Finding the JSON object in what a model wrote."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.llm import InvalidAnswer
from workshop_lib.llm.parsing import json_object

WANTED = {"answer": "4", "confidence": 5}
TEXT = json.dumps(WANTED)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"```\n{json.dumps(WANTED, indent=2)}\n```\nHope this helps!",
        f"Sure, here it is: {TEXT} That is all. {{}}",
        f"Given a set {{a, b}} and f(x) = {{x}}, I answer {TEXT}",
        f"[{TEXT}]",
        f"\ufeff{TEXT}",
    ],
)
def test_an_object_is_found_wherever_it_stands(text: str) -> None:
    """Without it a good answer in a fence or after a sentence would be invalid and escalate for nothing."""
    assert json_object(text) == WANTED


@pytest.mark.parametrize(
    "text",
    ["", "I do not know.", TEXT[:-3], "{'answer': '4'}", "[1, 2]", "null", "}{", "{" * 30_000, '{"a":' * 4_000, '{"a":[' * 3_000, '{"a": ' + "9" * 5_000 + "}", " " * 25_000 + TEXT],
    ids=lambda text: text[:12] or "empty",
)
def test_anything_else_is_an_invalid_answer(text: str) -> None:
    """Without it one odd reply would raise something no caller foresees and lose the item with its cost."""
    with pytest.raises(InvalidAnswer):
        json_object(text)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    """Without it some text nobody thought of would end a run."""
    with suppress(InvalidAnswer):
        assert isinstance(json_object(text), dict)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(alphabet="abc .,\n`", max_size=30))
def test_what_was_written_is_read_back(fields: dict[str, object], prose: str) -> None:
    """Without it braces or quotes inside strings could end the object early."""
    assert json_object(prose + json.dumps(fields) + prose) == fields


def test_two_objects_that_differ_are_no_answer() -> None:
    """Without it the first of two contradicting answers would be taken for what the model meant."""
    with pytest.raises(InvalidAnswer, match="two different JSON objects"):
        json_object('{"answer": "4"} or rather {"answer": "5"}')
    assert json_object('{"answer": "4"}, that is {"answer": "4"}') == {"answer": "4"}
