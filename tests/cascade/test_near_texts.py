"""The cache inside the process: nearness, bounds, age and scope."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from workshop_lib.cascade import TextCache, TextVectors

WORDS = ("invoice", "login", "board", "export", "slow", "crash", "password", "refund", "team", "sync", "calendar", "webhook", "token", "import", "theme", "mobile")
VECTORS = TextVectors.fit([" ".join(WORDS[at : at + 4]) for at in range(len(WORDS))])


def texts(n: int, seed: int = 0) -> list[str]:
    """Return texts of five words, many of which are near each other."""
    rng = random.Random(seed)
    return [" ".join(rng.choice(WORDS) for _ in range(5)) for _ in range(n)]


def cache(threshold: float = 0.5, **options: object) -> TextCache[int]:  # type: ignore[type-var]
    """Return an empty cache whose answers are numbers."""
    return TextCache(VECTORS, threshold=threshold, **options)  # type: ignore[arg-type]


def test_the_nearest_text_answers() -> None:
    """Without it a cache would give the first answer above the threshold, or one from a block it forgot to search."""
    kept, asked, found = texts(40), texts(20, seed=1), cache(0.2)
    for number, text in enumerate(kept):
        found.keep(text, number, item_id=str(number))
    table = (VECTORS.rows(asked) @ VECTORS.rows(kept).T).toarray().round(6).tolist()
    for text, cosines in zip(asked, table, strict=True):
        hit = found.look(text)
        if max(cosines) < 0.2:
            assert hit is None
        else:
            assert hit is not None
            assert (hit.answer, hit.item_id) == (cosines.index(max(cosines)), str(hit.answer))
            assert hit.similarity == pytest.approx(max(cosines), abs=2e-6)


def test_the_same_text_is_nearest_to_itself_and_the_threshold_counts_as_near() -> None:
    """Without it a threshold of 1, exact repetitions only, would find nothing."""
    found = cache(1.0)
    found.keep("you charged us twice", 1)
    hit = found.look("You charged us TWICE")
    assert hit is not None
    assert hit.similarity == 1
    assert found.look("you charged us") is None


def test_words_that_were_never_seen_count() -> None:
    """Without it two texts that differ only in unknown words, such as error codes or Japanese, would be the same text."""
    assert VECTORS.similarity("E4711 qwxz", "E9999 vbnm") < 0.3
    assert VECTORS.similarity("パスキーを追加", "請求書を再発行") < 0.3
    assert VECTORS.similarity("3 users", "5 users") < 1


def test_at_most_so_many_are_kept_and_the_unused_go_first() -> None:
    """Without it memory would grow with traffic, or the answer in use be the one that goes."""
    found, distinct = cache(0.95, size=3), WORDS[:4]
    for number in range(3):
        found.keep(distinct[number], number)
    assert found.look(distinct[0]) is not None
    found.keep(distinct[3], 3)
    assert [found.look(word) is not None for word in distinct] == [True, False, True, True]
    for number, text in enumerate(texts(60)):
        found.keep(text, number)
        assert len(found) <= 3
    assert sum(len(block.numbers) for block in found._blocks) < 20, "rows of answers that went must go too"


def test_answers_age() -> None:
    """Without it what was true during yesterday's outage would be said today."""
    now = [0.0]
    found = cache(0.9, max_age_s=60, clock=lambda: now[0])
    found.keep("the boards are slow", 1)
    now[0] = 60
    assert found.look("the boards are slow") is not None
    now[0] = 60.1
    assert found.look("the boards are slow") is None


def test_a_nearer_text_of_another_scope_does_not_hide_one_of_this() -> None:
    """Without it one tenant's texts would take away another's hits."""
    found = cache(0.2)
    found.keep("slow boards on monday", 1, "a")
    found.keep("slow boards on tuesday", 2, "b")
    hit = found.look("slow boards on tuesday", "a")
    assert hit is not None
    assert hit.answer == 1
    assert found.look("slow boards on tuesday", "c") is None


def test_a_text_without_a_word_is_never_a_hit() -> None:
    """Without it empty tickets would all get the answer to the first one."""
    found = cache(0.1)
    for text in ("", "...", "  "):
        found.keep(text, 1)
        assert found.look(text) is None
    assert len(found) == 0


def test_it_can_be_emptied() -> None:
    """Without it an operator who finds a wrong answer in it would have to restart."""
    found = cache(0.5)
    found.keep("refund", 1)
    found.clear()
    assert (found.look("refund"), len(found)) == (None, 0)


def test_an_item_can_be_forgotten() -> None:
    """Without it a ticket that must be deleted would live on in the cache, as a vector and an answer."""
    found = cache(0.5)
    for number, text in enumerate(WORDS[:5]):
        found.keep(text, number, item_id=f"T-{number}")
    assert (found.forget("T-2"), found.forget("T-2"), len(found)) == (1, 0, 4)
    assert [found.look(word) is not None for word in WORDS[:5]] == [True, True, False, True, True]
    assert sum(len(block.numbers) for block in found._blocks) == sum(block.rows.shape[0] for block in found._blocks) == 4
    found.keep(WORDS[2], 9)
    hit = found.look(WORDS[2])
    assert hit is not None
    assert hit.answer == 9


def test_threads_may_share_it() -> None:
    """Without it a bulk run could lose answers or fail in the middle of a merge."""
    found, many = cache(0.999, size=1000), [f"{text} {number}" for number, text in enumerate(texts(60))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: (found.look(pair[1]), found.keep(pair[1], pair[0])), enumerate(many)))
    assert len(found) == 60
    assert [hit.answer for text in many if (hit := found.look(text))] == list(range(60))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"threshold": 0}, "threshold"), ({"threshold": 1.1}, "got 1.1"), ({"size": 0}, "size must be at least 1"), ({"max_age_s": 0}, "max_age_s")],
)
def test_wrong_numbers_are_refused(options: dict[str, float], said: str) -> None:
    """Without it a threshold of 0 would answer every ticket with the first one's answer."""
    with pytest.raises(ValueError, match=said):
        cache(**options)
    with pytest.raises(ValueError, match="need texts"):
        TextVectors.fit([])
