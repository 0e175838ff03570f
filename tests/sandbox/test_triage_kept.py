"""What was trained is kept for the next start, and a start never depends on it."""

from pathlib import Path

import numpy as np
import pytest

from workshop_lib import paths
from workshop_lib.sandbox.stand_ins import triage
from workshop_lib.sandbox.stand_ins.triage import kept
from workshop_lib.sandbox.stand_ins.triage.views import Reader

TEXTS = ("Charged twice\nPlease refund one of the two payments.", "", "請求 \ud800", "The API answers 500 since 10:30.")


@pytest.fixture(scope="module")
def models() -> dict[triage.Capacity, kept.Model]:
    """Give models of every capacity's shape; what they weigh is drawn, so that nothing has to be trained."""
    tickets, phrases = triage.samples()
    reader = Reader.learn([sample.text for sample in (*tickets[:60], *phrases[:60])])
    random = np.random.default_rng(0)
    made: dict[triage.Capacity, kept.Model] = {}
    for capacity, recipe in triage.RECIPES.items():
        size = sum(reader.width(block) for block in recipe.blocks)
        made[capacity] = kept.Model(reader, recipe.blocks, random.normal(size=(size, kept.WIDTH)), random.normal(size=kept.WIDTH), recipe.by_sentence)
    return made


@pytest.fixture
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder that this process now keeps its models in, with nothing remembered, before and after."""
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    remembered = (triage._all, triage._smallest, triage._remembered)
    for cached in remembered:
        cached.cache_clear()
    yield tmp_path / "state"
    for cached in remembered:
        cached.cache_clear()


def test_kept_models_answer_as_the_trained_ones(models, tmp_path) -> None:
    """Without it a second start could answer otherwise than the first."""
    path = kept.file(tmp_path)
    assert kept.save(models, path)
    again = kept.load(path)
    assert again is not None
    for capacity, model in models.items():
        assert again[capacity].table.tobytes() == model.table.tobytes()
        assert [again[capacity].opinion(text) for text in TEXTS] == [model.opinion(text) for text in TEXTS]
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_damaged_file_counts_as_none(models, tmp_path) -> None:
    """Without it a start after a power cut could end in a traceback, or answer from half a table."""
    path = kept.file(tmp_path)
    kept.save(models, path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(damaged)
        assert kept.load(path) is None
    assert kept.load(tmp_path / "absent.npz") is None
    np.savez(path, rarity=np.zeros(3))
    assert kept.load(path) is None


def test_models_of_other_shapes_are_refused(models, tmp_path) -> None:
    """Without it a table could be read with the offsets of another one."""
    path = kept.file(tmp_path)
    small = models["small"]
    kept.save({**models, "small": kept.Model(small.reader, small.blocks, small.table[:-1], small.start, 0.0)}, path)
    assert kept.load(path) is None


def test_a_folder_that_cannot_be_written_is_no_obstacle(models, tmp_path) -> None:
    """Without it a checkout on a read-only disk could not start a sandbox."""
    (tmp_path / "file").write_text("")
    assert not kept.save(models, kept.file(tmp_path / "file"))


def test_what_is_kept_goes_with_the_training_files(models, tmp_path, monkeypatch) -> None:
    """Without it changed training tickets would go on being answered from the old ones, and old tables would pile up."""
    (tmp_path / "tickets").mkdir()
    before = kept.file(tmp_path)
    kept.save(models, before)
    monkeypatch.setattr(kept, "DATA", tmp_path)
    after = kept.file(tmp_path)
    assert after != before
    kept.save(models, after)
    assert list(tmp_path.glob("stand-ins-*")) == [after]


def test_a_first_start_trains_the_smallest_and_leaves_the_rest_to_another_process(models, forgetful, monkeypatch) -> None:
    """Without it a first start would take seconds, or a stronger model would be trained twice."""
    trained: list[str] = []
    monkeypatch.setattr(triage, "learn", lambda: trained.append("here"))
    monkeypatch.setattr(triage, "_learn_apart", lambda: kept.save(models, kept.file(forgetful)))
    triage.warm_up()
    assert max(triage.opinion(TEXTS[0], "small").category.items(), key=lambda pair: pair[1])[0] == "billing"
    assert triage.opinion(TEXTS[0], "large") == models["large"].opinion(TEXTS[0])
    assert not trained


def test_what_no_process_kept_is_trained_here(models, forgetful, monkeypatch) -> None:
    """Without it a failed training process would leave the stronger models without an answer."""
    monkeypatch.setattr(triage, "learn", lambda: models)
    monkeypatch.setattr(triage, "_learn_apart", lambda: None)
    triage.warm_up()
    assert triage.opinion(TEXTS[0], "judge") == models["judge"].opinion(TEXTS[0])


def test_the_smallest_is_the_same_whichever_way_it_is_trained() -> None:
    """Without it the first start and the next could give different answers."""
    tickets, phrases = triage.samples()
    alone = triage.train(triage.RECIPES["small"], triage.Material.of(tickets, phrases, words_only=True))
    assert triage._all()["small"].table.tobytes() == alone.table.tobytes()
    assert triage._all()["small"].start.tobytes() == alone.start.tobytes()
