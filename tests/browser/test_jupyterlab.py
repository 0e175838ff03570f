"""The labs in JupyterLab, as a learner has them: run, solve, ask for hints, and use the widgets."""

from collections.abc import Callable

import pytest
from jupyter import Jupyter, code_cell, open_notebook, rewrite, run_all, run_cell, take_theme
from playwright.sync_api import Locator, Page, expect

from workshop_lib.lab.shell import STOPPED
from workshop_lib.paths import ROOT

LAB = "01_call_tiers/lab.ipynb"
ERRORS = ".jp-Notebook [data-mime-type='application/vnd.jupyter.error']"
SETUP = """
from types import SimpleNamespace

from workshop_lib.cascade import documented
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.lab import open_lab
from workshop_lib.lab.interactive import bulk_table, routing_demo, threshold_explorer
from workshop_lib.llm import CallError

lab = open_lab("03_cascade", seed=0)
tickets = [entry.ticket for entry in load_tickets("calibration")][:40]
real = recorded_arms()


def nobody(model, request):
    raise CallError("unreachable", model, "refused.")
"""
WIDGETS = (
    SETUP.strip(),
    "demo = routing_demo(lab, documented())",
    "threshold_explorer(real['nano'], real['sonnet'], split='recorded', threshold=0.9, epsilon=0.25)",
    "table = bulk_table(lab, tickets, documented())",
    "routing_demo(SimpleNamespace(ask=nobody, settings=lab.settings), documented(), ticket='without a sandbox')",
    "routing_demo(lab, documented(), ticket='Nobody can sign in since noon.', interactive=False)",
)


def solution(exercise: str) -> str:
    """Return what the solution of the lab's source says for an exercise."""
    source = (ROOT / "notebooks" / LAB).with_name("source.py").read_text(encoding="utf-8")
    cell = source.split(f'# %% id="{exercise}" tags=["exercise"]\n')[1].split("# %%")[0]
    return "\n".join(line for line in cell.splitlines() if line.strip() not in ("# <solution>", "# </solution>"))


def outputs(cell: Locator) -> Locator:
    """Return where a cell's outputs stand."""
    return cell.locator(".jp-OutputArea-child")


def test_a_lab_runs_and_an_exercise_is_solved_with_hints(page: Page, lab: Jupyter, shot: Callable[..., None]) -> None:
    """Without it a lab could run in a test's kernel and fail in the place where people open it."""
    open_notebook(page, lab, LAB)
    run_all(page)
    expect(page.locator(ERRORS)).to_have_count(0)
    check = code_cell(page, 'lab.check("ex1"')
    expect(outputs(check)).to_contain_text("Exercise 1: not attempted yet")

    exercise = page.locator(".jp-Notebook .jp-CodeCell").nth(page.locator(".jp-Notebook .jp-CodeCell").all_inner_texts().index(check.inner_text()) - 1)
    rewrite(page, exercise, 'lab.hint("ex1")')
    for number in (1, 2):
        run_cell(page, exercise)
        expect(outputs(exercise)).to_contain_text(f"Hint {number} of ")

    rewrite(page, exercise, solution("ex1"))
    run_cell(page, exercise)
    run_cell(page, check)
    expect(outputs(check)).to_have_text("Exercise 1: correct.\n")
    shot(page, "lab-solved-light")

    answer = page.locator(".jp-Notebook .jp-RenderedMarkdown details").first
    expect(answer).not_to_have_attribute("open", "")
    answer.locator("summary").click()
    expect(answer).to_have_attribute("open", "")
    shot(answer, "recall-unfolded")


@pytest.fixture(scope="module")
def cell(page: Page, lab: Jupyter) -> Callable[[int], Locator]:
    """Give the cells of a notebook with every widget, which has run once."""
    lab.write("widgets.ipynb", WIDGETS)
    open_notebook(page, lab, "widgets.ipynb")
    run_all(page)
    expect(page.locator(ERRORS)).to_have_count(0)
    return page.locator(".jp-Notebook .jp-CodeCell").nth


def test_the_routing_demo_answers_by_mouse_and_keyboard(page: Page, cell: Callable[[int], Locator], shot: Callable[..., None]) -> None:
    """Without it the demo could show nothing, another ticket's walk, or a traceback."""
    demo = cell(1)
    button = demo.get_by_role("button", name="Route the ticket")
    button.click()
    expect(outputs(demo)).to_contain_text("final: auth P2 by sonnet")
    shot(demo, "routing-light")
    demo.get_by_label("Sample").select_option("Invoice twice")
    expect(demo.get_by_label("Ticket text")).to_have_value("Our card was charged twice for the September invoice. Please refund one of the two payments.")
    demo.get_by_label("Ticket text").fill("")
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(demo.get_by_role("alert")).to_contain_text("The ticket has no text.")
    demo.get_by_label("Ticket text").fill("x" * 20_001)
    button.click()
    expect(demo.get_by_role("alert")).to_contain_text("at most 20,000 fit")
    demo.get_by_label("Ticket text").fill("Please add a dark mode.")
    button.click()
    expect(outputs(demo)).to_contain_text("final: feature_request")

    stopped = cell(4)
    stopped.get_by_role("button", name="Route the ticket").click()
    expect(stopped.get_by_role("alert")).to_contain_text(STOPPED.partition(",")[0])
    asked_for_text = cell(5)
    expect(outputs(asked_for_text)).to_contain_text("Ticket: no subject")
    expect(asked_for_text.locator("button")).to_have_count(0)


def test_the_explorer_follows_slider_and_field(page: Page, cell: Callable[[int], Locator], shot: Callable[..., None]) -> None:
    """Without it a slider could move while its numbers stand still."""
    explorer = cell(2)
    reading = explorer.get_by_role("status")
    expect(reading).to_contain_text("Escalate below 0.9:")
    explorer.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    expect(reading).to_contain_text("Escalate below 0.91:")
    expect(explorer.get_by_label("As a number")).to_have_value("0.91")
    explorer.get_by_label("As a number").fill("0.95")
    page.keyboard.press("Enter")
    expect(reading).to_contain_text("Escalate below 0.95:")
    expect(explorer.get_by_role("img", name="Escalate below 0.95:")).to_be_visible()
    expect(outputs(explorer)).to_contain_text("No threshold is shown")
    explorer.get_by_label("Error you tolerate").fill("0.35")
    page.keyboard.press("Enter")
    expect(outputs(explorer)).to_contain_text("Accept from confidence 0.78")
    shot(explorer, "explorer-light")


def test_the_table_runs_while_the_kernel_stays_free(page: Page, cell: Callable[[int], Locator], shot: Callable[..., None]) -> None:
    """Without it a run of the pile could freeze the notebook, or end with rows still waiting."""
    table = cell(3)
    table.get_by_label("Tickets at once").fill("4")
    page.keyboard.press("Enter")
    table.get_by_role("button", name="Run the pile").click()
    expect(table.get_by_role("status")).to_contain_text("Done. 40 of 40 tickets finished, 16 escalated, 0 failed")
    expect(table.get_by_role("progressbar", name="Finished")).to_have_attribute("value", "40")
    expect(table.get_by_role("row")).to_have_count(41)
    expect(table.get_by_role("button", name="Run the pile")).to_be_enabled()
    shot(table, "bulk-light")
    expect(page.locator(ERRORS)).to_have_count(0)


SLIDER = {"aria-input-field-name": ".noUi-handle"}
"""The slider of ipywidgets gives its handle no name; the explorer therefore has the same control as a labelled field."""


def test_widgets_have_names_and_contrast_in_both_themes(page: Page, cell: Callable[[int], Locator], audit: Callable[..., list[str]], shot: Callable[..., None]) -> None:
    """Without it a control could lose its label, or text its contrast in the theme that the author does not use."""
    cell(3).scroll_into_view_if_needed()
    found: list[str] = []
    for theme in ("Light", "Dark"):
        take_theme(page, theme)
        shot(page, f"widgets-{theme.lower()}")
        found += audit(page, theme, include=[".jp-OutputArea-output .widget-vbox"], skip=SLIDER)
    assert found == []
