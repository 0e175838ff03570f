"""Texts as numbers: what is written out here is what scikit-learn's vectorizers compute, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from workshop_lib.sandbox.stand_ins import concepts
from workshop_lib.sandbox.stand_ins.triage import samples, training, views

_TICKETS, _PHRASES = samples()
_LEARNED = [sample.text for sample in (*_TICKETS[::8], *_PHRASES[::8])]
_READER = views.Reader.learn(_LEARNED)
_KNOWN = sorted({word for text in _LEARNED[:60] for word in text.split()})
_TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from([*_KNOWN, "\n", ". ", "don't", "Ärger", "請求", "  "]), max_size=60).map(" ".join),
)


def _vectorizers() -> dict[views.Block, object]:
    made: dict[views.Block, object] = {
        "words": CountVectorizer(preprocessor=concepts.plain, token_pattern=r"\w+", binary=True),
        "pairs": TfidfVectorizer(preprocessor=concepts.plain, token_pattern=r"\w+", ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        "stems": TfidfVectorizer(analyzer=lambda text: views._stems(concepts.plain(text)), min_df=2, sublinear_tf=True),
        "letters": TfidfVectorizer(preprocessor=concepts.plain, analyzer="char_wb", ngram_range=(3, 4), min_df=3, sublinear_tf=True),
    }
    for vectorizer in made.values():
        vectorizer.fit(_LEARNED)
    return made


_VECTORIZERS = _vectorizers()


@pytest.mark.parametrize("block", _VECTORIZERS)
def test_the_same_terms_are_learned(block: views.Block) -> None:
    """Without it a view could have another vocabulary or other weights than the ones the recipes were chosen with."""
    terms, vectorizer = _READER.terms[block], _VECTORIZERS[block]
    assert list(terms.names) == vectorizer.get_feature_names_out().tolist()
    if terms.rarity is not None:
        assert terms.rarity.tobytes() == vectorizer.idf_.tobytes()


@settings(max_examples=40)
@given(_TEXTS)
def test_a_text_is_read_to_the_last_bit_as_scikit_learn_reads_it(text: str) -> None:
    """Without it the plain reading could drift from the one it stands for, and stored outputs would change."""
    for block, vectorizer in _VECTORIZERS.items():
        expected = vectorizer.transform([text])
        ((columns, amounts),) = _READER.rows([block], text)
        assert columns.tolist() == expected.indices.tolist()
        assert amounts.tobytes() == expected.data.astype(np.float64).tobytes()
    counts = concepts.features([text])
    size = len(_READER.rarity)
    expected = normalize(csr_matrix(counts[:, :size] * _READER.rarity))
    (columns, amounts), (_, placed) = _READER.rows(["concepts", "places"], text)
    assert columns.tolist() == expected.indices.tolist()
    assert amounts.tobytes() == expected.data.astype(np.float64).tobytes()
    assert not len(placed) or (placed**2).sum() == pytest.approx(1, rel=1e-5)


@settings(max_examples=25)
@given(st.lists(_TEXTS, min_size=1, max_size=6), st.integers(1, 3), st.randoms(use_true_random=False))
def test_totals_are_those_of_a_matrix_product(texts: list[str], labels: int, random: object) -> None:
    """Without it naive Bayes could count the features of other rows than those it was given."""
    table = training.Table.of([_READER.rows(["pairs"], text)[0] for text in texts], _READER.width("pairs"))
    rows = np.arange(0, len(texts), 2)
    target = np.array([[random.choice((0.0, 1.0)) for _ in range(labels)] for _ in rows])
    assert table.totals(rows, target).tobytes() == np.asarray(table.sparse()[rows].T @ target).tobytes()
