"""Figures, all through one helper: readable on any background, in print and by ear, and the same bytes on every build."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from workshop_lib.evaluation.arms import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; the yellow is left out, being too pale on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "--")
DPI = 110
GREY = "#595959"


@dataclass(frozen=True)
class Picture:
    """A drawn figure: PNG bytes, a caption that doubles as alt text, and the drawn numbers as a table.

    In a notebook it shows itself as a cell's last expression or by `show()`: image, then title, caption and table as text.
    """

    png: bytes
    title: str
    caption: str
    table: str | None = None

    def __bytes__(self) -> bytes:
        """Return the PNG."""
        return self.png

    @property
    def data_uri(self) -> str:
        """Return the PNG as a data URI, for a page that stands alone."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def text(self) -> str:
        """Return what stands under the figure: title, caption and table."""
        return "\n".join([f"{self.title}. {self.caption}", *([] if self.table is None else ["", self.table])])

    def show(self) -> None:
        """Display the image with its alt text, then print the caption and the table (outside a notebook only print)."""
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        if get_ipython() is not None:  # type: ignore[no-untyped-call, unused-ignore]
            image = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.caption}
            display(image, raw=True, metadata={"image/png": {"alt": self.caption}})  # type: ignore[no-untyped-call, unused-ignore]
        print(self.text)

    def _ipython_display_(self) -> None:
        self.show()


def figure(draw: Callable[["Axes"], None], *, title: str, caption: str, table: pd.DataFrame | None = None, size: tuple[float, float] = (6.4, 4.2)) -> Picture:
    """Draw on fresh axes and return the picture; `caption` is a sentence computed from the data, `table` the drawn numbers, `size` inches.

    The face is opaque, so that a dark page does not swallow the labels. Nothing of the caller's matplotlib settings is used or changed.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    look = {"font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#E5E5E5"}
    with style.context(["default", {**look, "axes.axisbelow": True, "hatch.linewidth": 0.6}], after_reset=True):
        drawing = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
        FigureCanvasAgg(drawing)
        axes = drawing.add_subplot()
        draw(axes)
        axes.set_title(title, loc="left", fontsize=10.5)
        png = io.BytesIO()
        drawing.savefig(png, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return Picture(png.getvalue(), title, caption, None if table is None else text_table(table))


def legend_below(axes: "Axes", columns: int = 3) -> None:
    """Put the legend under the axes, where it hides nothing whatever the numbers are."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=columns, frameon=False, fontsize=9, handlelength=2.6)
