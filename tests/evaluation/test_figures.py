"""Figures: same bytes, opaque, captioned from the data, and shown with alt text."""

import io
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from PIL import Image

from workshop_lib.evaluation.arms import summary, threshold_sweep
from workshop_lib.evaluation.figures import Picture, cost_quality_figure, figure, reliability_figure, threshold_figure
from workshop_lib.evaluation.metrics import reliability
from workshop_lib.evaluation.recorded import recorded_arms


def draw_all() -> list[Picture]:
    """Return the three figures of the recorded arms."""
    arms = recorded_arms()
    nano = arms["nano"]
    return [
        reliability_figure(reliability(nano["confidence"], nano["correct"]), "Nano", "recorded"),
        cost_quality_figure(summary(arms), "recorded"),
        threshold_figure(threshold_sweep(nano, arms["sonnet"]), "recorded"),
    ]


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """Return the three figures, drawn once."""
    return draw_all()


def test_same_data_same_bytes_whatever_the_settings(pictures: list[Picture]) -> None:
    """Without it a rebuilt notebook would differ, or a learner's matplotlib settings change it."""
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.transparent": True, "figure.dpi": 37}):
        again = draw_all()
        assert mpl.rcParams["font.size"] == 30
    assert [picture.png for picture in pictures] == [picture.png for picture in again]


def test_png_is_opaque_and_carries_no_stamp(pictures: list[Picture]) -> None:
    """Without it labels would vanish on a dark page, or the bytes name the software's version."""
    for picture in pictures:
        image = Image.open(io.BytesIO(picture.png))
        assert "Software" not in image.info
        assert image.convert("RGBA").getchannel("A").getextrema() == (255, 255)
        assert image.getpixel((1, 1))[:3] == (255, 255, 255)  # type: ignore[index]


def test_captions_are_computed_from_the_data(pictures: list[Picture]) -> None:
    """Without it a caption could go on saying what the figure no longer shows."""
    said = [picture.caption for picture in pictures]
    assert said[0] == "150 answers (recorded): mean confidence 0.94, share right 0.82, so over-confident by 0.12."
    assert "nano is cheapest at 0.105 USD per 1,000 with accuracy 0.820; sonnet is most accurate at 0.940 for 8.28 USD." in said[1]
    assert "takes the escalation rate from 0.000 to 1.000 and accuracy from 0.820 to 0.940." in said[2]


@pytest.mark.parametrize(("right", "word"), [([True] * 4, "under-confident by 0.50"), ([True, False] * 2, "neither over- nor under-confident on average")])
def test_caption_names_the_direction(right: list[bool], word: str) -> None:
    """Without it an under-confident model would be called over-confident."""
    assert word in reliability_figure(reliability([0.5] * 4, right), "t", "sandbox").caption


def test_table_under_the_figure_holds_the_drawn_numbers(pictures: list[Picture]) -> None:
    """Without it a reader who cannot see the figure would get no numbers."""
    for picture in pictures:
        assert picture.table is not None
        assert picture.text.endswith(picture.table)
    assert "0.90 to 1.00  141" in str(pictures[0].table)


def test_outside_a_notebook_it_is_bytes_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a script could not use the figures."""
    picture = figure(lambda axes: axes.plot([1, 2]), title="T", caption="C.", table=pd.DataFrame({"x": [1]}))
    assert bytes(picture).startswith(b"\x89PNG")
    picture.show()
    assert capsys.readouterr().out == "T. C.\n\nx\n-\n1\n"


def test_in_a_notebook_the_caption_is_the_alt_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a stored figure would have no alt text, or nbval nothing to compare."""
    shown: list[Any] = []
    monkeypatch.setattr("IPython.core.getipython.get_ipython", object)
    monkeypatch.setattr("IPython.display.display", lambda data, **how: shown.append((data, how)))
    figure(lambda axes: axes.plot([1, 2]), title="T", caption="C.")._ipython_display_()
    data, how = shown[0]
    assert data["text/plain"] == "C."
    assert how["metadata"] == {"image/png": {"alt": "C."}}
    assert capsys.readouterr().out == "T. C.\n"
