"""What the interactive parts share: a widget or text, shown once in the cell that makes it, and again where a later cell names it."""

from typing import TYPE_CHECKING

from IPython.core.getipython import get_ipython

from workshop_lib.lab.interactive.switch import widgets_wanted

if TYPE_CHECKING:
    from ipywidgets import Widget


WIDTH = 110
"""Letters in a line of printed prose; a stored output is read on narrow pages, too."""


class Piece:
    """A part of a lab with two faces: `panel` makes widgets, `tell` prints and draws the same numbers."""

    def __init__(self, *, interactive: bool = True) -> None:
        self._interactive = interactive
        self._shown_in: object = None

    def panel(self) -> "Widget":
        """Return the widgets."""
        raise NotImplementedError

    def tell(self) -> None:
        """Print the text, and show the figure if there is one."""
        raise NotImplementedError

    def show(self) -> None:
        """Show the widgets, or the text where there can be none."""
        self._shown_in = _cell()
        if widgets_wanted(self._interactive):
            from IPython.display import display

            display(self.panel())  # type: ignore[no-untyped-call, unused-ignore]
        else:
            self.tell()

    def _ipython_display_(self) -> None:
        if self._shown_in is None or self._shown_in != _cell():  # the cell that makes it has shown it already
            self.show()


def _cell() -> object:
    """Return the number of the running cell, or None outside IPython."""
    return getattr(get_ipython(), "execution_count", None)  # type: ignore[no-untyped-call, unused-ignore]
