"""The interactive parts of the labs: the same numbers as widgets and as text, and a clear line where something is wrong."""

import threading
from collections.abc import Callable
from html import escape
from types import SimpleNamespace
from typing import Any

import ipywidgets
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from workshop_lib.cascade import Policy, documented, single
from workshop_lib.cascade.story import told
from workshop_lib.evaluation.arms import frame, run_arm
from workshop_lib.evaluation.recorded import recorded_arms, recorded_ask, recorded_labels
from workshop_lib.evaluation.thresholds import guaranteed_threshold
from workshop_lib.lab.interactive import bulk_table, routing_demo, switch, threshold_explorer
from workshop_lib.lab.interactive.bulk_table import BulkTable
from workshop_lib.lab.interactive.routing import RoutingDemo
from workshop_lib.lab.shell import STOPPED
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import Ticket

INJECTION = "<img src=x onerror=alert(1)>"
TICKETS = tuple(Ticket(id=f"T-{number}", subject="", body=f"Ticket number {number}.") for number in range(12))


def scripted(model: str, request: Request) -> Reply:
    """Answer as a model that is unsure of every ticket whose number begins with 1, so that those escalate."""
    sure = 0.5 if model == "nano" and "number 1" in request.prompt else 0.9
    said = {"category": "billing", "priority": "P3", "confidence": sure, "reasoning": "r", "needs_human": False}
    return Reply(model, "", said, Usage(1, 1), Cost(0.001 if model == "nano" else 0.1), 10.0, "tool_use", source="test")


def gone(model: str, request: Request) -> Reply:
    """Answer as a sandbox that has stopped."""
    raise CallError("unreachable", model, "nobody there.")


def a_lab(ask: Callable[[str, Request], Reply] = scripted) -> Any:
    """Return what a lab is to these parts."""
    return SimpleNamespace(ask=ask, settings=SimpleNamespace(backend="sandbox"))


def widget(panel: Any, kind: type, description: str = "") -> Any:
    """Return the widget of a kind and description in a panel; of HTML the last, which holds the result."""
    found = [child for child in inside(panel) if type(child) is kind and (not description or child.description == description)]
    return found[-1]


def inside(panel: Any) -> list[Any]:
    """Return every widget of a panel."""
    return [child for part in panel.children for child in ([part] if not hasattr(part, "children") else inside(part))]


def result(panel: Any) -> str:
    """Return the HTML of the panel's result."""
    return str(widget(panel, ipywidgets.HTML).value)


@pytest.mark.parametrize(
    ("content", "static", "asked", "wanted"),
    [
        ({"allow_stdin": True}, "", True, True),
        ({"allow_stdin": True}, "0", True, True),
        ({"allow_stdin": True}, "1", True, False),
        ({"allow_stdin": True}, "", False, False),
        ({"allow_stdin": False}, "", True, False),
        ({}, "", True, False),
    ],
)
def test_one_switch_decides(monkeypatch: pytest.MonkeyPatch, content: dict[str, bool], static: str, asked: bool, wanted: bool) -> None:
    """Without it a build, papermill or nbval could store a widget that nobody can use, or a learner get text for no reason."""
    kernel = SimpleNamespace(get_parent=lambda channel: {"content": content})
    monkeypatch.setattr(switch, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    monkeypatch.setenv("WORKSHOP_STATIC", static)
    assert switch.widgets_wanted(asked) is wanted


def test_outside_a_notebook_there_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a script or a terminal would fail for want of a kernel."""
    assert not switch.widgets_wanted()
    demo = routing_demo(a_lab(), documented(), ticket="Ticket number 1.")
    printed = capsys.readouterr().out
    assert demo.trace is not None
    assert all(line in printed for line in told(demo.trace))


def test_the_demo_says_the_same_as_widget_and_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it those who read the text would learn less than those who press the button."""
    demo = routing_demo(a_lab(), documented(), ticket=("S", "Ticket number 1."), interactive=False)
    printed = capsys.readouterr().out
    panel = demo.panel()
    widget(panel, ipywidgets.Button).click()
    assert demo.trace is not None
    for line in told(demo.trace):
        assert f"{line}\n" in printed
        assert f"<li>{escape(line)}</li>" in result(panel)
    assert "escalates: confidence 0.5 &lt; 0.7" in result(panel)
    assert "0.101000 USD; source: test" in printed
    assert not widget(panel, ipywidgets.Button).disabled


def test_steps_appear_as_they_happen() -> None:
    """Without it a person would stare at an empty box while the strong tier thinks."""
    seen: list[str] = []

    def watched(model: str, request: Request) -> Reply:
        if model == "sonnet":
            seen.append(result(panel))
        return scripted(model, request)

    demo = RoutingDemo(a_lab(watched), documented(), (("", "Ticket number 1."),))
    panel = demo.panel()
    widget(panel, ipywidgets.Button).click()
    [before] = seen
    assert "nano: billing P3" in before
    assert "Asking the next tier" in before


@pytest.mark.parametrize(
    ("subject", "text", "line"),
    [
        ("", "  ", "has no text. Write what the customer wrote"),
        ("", "x" * 20_001, "text has 20,001 characters, and at most 20,000 fit"),
        ("s" * 501, "t", "subject has 501 characters, and at most 500 fit"),
    ],
)
def test_a_ticket_that_cannot_be_sent_gets_a_line(capsys: pytest.CaptureFixture[str], subject: str, text: str, line: str) -> None:
    """Without it an empty or endless ticket would end in a traceback, or in nothing at all."""
    demo = routing_demo(a_lab(gone), documented(), ticket=(subject, text), interactive=False)
    assert line in capsys.readouterr().out
    panel = demo.panel()
    widget(panel, ipywidgets.Button).click()
    assert line in result(panel)
    assert 'role="alert"' in result(panel)


def test_a_stopped_sandbox_is_told_and_the_button_works_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a learner whose sandbox died would see two unexplained failures and a dead button."""
    lab = a_lab(gone)
    demo = routing_demo(lab, documented(), ticket="Ticket number 2.", interactive=False)
    said = STOPPED.replace("run this cell again", "try again")
    assert f"Problem: {said}" in capsys.readouterr().out
    panel = demo.panel()
    button = widget(panel, ipywidgets.Button)
    button.click()
    assert said in result(panel)
    lab.ask = scripted  # as after lab.reconnect()
    button.click()
    assert "final: billing P3 by nano" in result(panel)


def test_samples_fill_the_form_and_one_can_write_ones_own() -> None:
    """Without it a sample would be shown and another one routed."""
    demo = RoutingDemo(a_lab(), documented(), (("A", "first"), ("B", "second")))
    panel = demo.panel()
    sample, subject, body = (widget(panel, kind) for kind in (ipywidgets.Dropdown, ipywidgets.Text, ipywidgets.Textarea))
    assert (subject.value, body.value) == ("A", "first")
    sample.value = 1
    assert (subject.value, body.value) == ("B", "second")
    sample.value = -1
    assert (subject.value, body.value) == ("", "")


def test_what_models_say_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a reply, or the message of an error, could run a script in the notebook."""

    def broken(model: str, request: Request) -> Reply:
        raise CallError("validation", model, INJECTION)

    for ask in (broken, lambda model, request: Reply(model, INJECTION, None, Usage(1, 1), Cost(0.1), 1.0, "end_turn", source=INJECTION)):
        panel = RoutingDemo(a_lab(ask), documented(), (("", "t"),)).panel()
        widget(panel, ipywidgets.Button).click()
        assert "&lt;img" in result(panel)
        assert "<img" not in result(panel)


@pytest.fixture(scope="module")
def arms() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the recorded arms of the two models alone."""
    real = recorded_arms()
    return real["nano"], real["sonnet"]


def test_a_threshold_comes_to_what_walking_with_it_does(arms: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Without it the slider could show a bill and answers that no cascade has."""
    from workshop_lib.cascade import ConfidenceGate

    explorer = threshold_explorer(*arms, split="calibration", interactive=False)
    labels = recorded_labels()
    for threshold in (0.5, 0.96):
        policy = Policy(name="t", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=threshold),))
        walked = frame(run_arm_recorded(policy, labels), labels)
        row = explorer.at(threshold)
        assert row["right"] == walked["correct"].sum()
        assert row["escalated"] == walked["escalated"].sum()
        assert row["usd_per_1000"] == pytest.approx(1000 * walked["cost_usd"].mean())
        kept = arms[0][arms[0]["confidence"] >= threshold]
        assert (row["kept"], row["kept_wrong"]) == (len(kept), int((~kept["correct"]).sum()))


def run_arm_recorded(policy: Policy, labels: Any) -> Any:
    """Walk the recorded tickets through a policy."""
    from workshop_lib.tasks import TRIAGE

    return run_arm(TRIAGE, [entry.ticket for entry in labels], policy, recorded_ask)


def test_slider_and_number_move_together_and_move_everything(arms: tuple[pd.DataFrame, pd.DataFrame], capsys: pytest.CaptureFixture[str]) -> None:
    """Without it the keyboard's way to a threshold could show another one than the mouse's, or numbers of the last one."""
    explorer = threshold_explorer(*arms, split="calibration", threshold=0.9, interactive=False)
    assert escape(explorer.reading(0.9)) in escape(capsys.readouterr().out)
    panel = explorer.panel()
    slider, number = widget(panel, ipywidgets.SelectionSlider), widget(panel, ipywidgets.BoundedFloatText, "As a number")
    for control, other, at in ((slider, number, 0.95), (number, slider, 0.6)):
        control.value = at
        assert other.value == at == explorer.threshold
        assert escape(explorer.reading(at)) in result(panel)
        assert f'alt="{escape(explorer.reading(at))}"' in result(panel)
    number.value = 0.777
    assert slider.value == 0.78


def test_the_promise_follows_the_tolerated_error_and_not_the_slider(arms: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Without it a learner could slide to a lucky threshold and take its bound for a promise."""
    sonnet = arms[1]
    explorer = threshold_explorer(sonnet, sonnet, split="calibration", interactive=False)
    panel = explorer.panel()
    before = explorer.promise(0.1).sentence
    assert escape(before) in result(panel)
    widget(panel, ipywidgets.SelectionSlider).value = 0.5
    assert escape(before) in result(panel)
    widget(panel, ipywidgets.BoundedFloatText, "Error you tolerate").value = 0.2
    after = guaranteed_threshold(sonnet["confidence"], sonnet["correct"], epsilon=0.2, delta=0.05, families=sonnet["family"]).sentence
    assert before != after
    assert escape(after) in result(panel)


def test_ratings_from_one_to_five_have_their_own_thresholds(arms: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Without it the questions of lab 02 would have a slider from 0 to 1 that does nothing."""
    rated = [arm.assign(confidence=(1 + 4 * arm["confidence"]).round()) for arm in arms]
    explorer = threshold_explorer(*rated, split="calibration", interactive=False)
    assert explorer.thresholds == (1, 2, 3, 4, 5, 6)
    assert explorer.threshold == 4
    assert explorer.at(6)["escalated"] == 150
    assert explorer.promise(0.5).threshold in (1, 2, 3, 4, 5)


def test_the_explorer_refuses_what_it_must_not_show(arms: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Without it a threshold would be picked on the test split, or an empty arm end in a traceback of numpy's."""
    with pytest.raises(ValueError, match="test"):
        threshold_explorer(*arms, split="test")
    with pytest.raises(ValueError, match="at least one item"):
        threshold_explorer(arms[0].head(0), arms[1].head(0), split="calibration")
    with pytest.raises(ValueError, match="different items"):
        threshold_explorer(arms[0], arms[1].head(10), split="calibration")


def test_the_table_holds_every_ticket_and_its_whole_bill(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a ticket could be lost between the rows, or the cheap tier's call not be charged."""
    table = bulk_table(a_lab(), TICKETS, documented(), concurrency=4, interactive=False)
    rows = table.frame
    assert rows["ticket"].tolist() == [ticket.id for ticket in TICKETS]
    assert sorted(rows["finished"]) == list(range(1, 13))
    raised = rows[rows["calls"] == 2]
    assert raised["ticket"].tolist() == ["T-1", "T-10", "T-11"]
    assert rows["usd"].sum() == pytest.approx(12 * 0.001 + 3 * 0.1)
    assert "12 of 12 tickets finished, 3 escalated, 0 failed, 0.312000 USD" in capsys.readouterr().out


def finished(panel: Any) -> None:
    """Wait for the threads of a table's run."""
    for thread in threading.enumerate():
        if thread.name.startswith("bulk-table"):
            thread.join(30)
    assert not widget(panel, ipywidgets.Button, "Run the pile").disabled


def test_the_live_table_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it the rows and bars could end at other numbers than the text."""
    table = BulkTable(a_lab(), TICKETS, documented(), 4)
    table.tell()
    summary = table.summary()
    assert summary in capsys.readouterr().out
    panel = table.panel()
    widget(panel, ipywidgets.BoundedIntText).value = 2
    widget(panel, ipywidgets.Button, "Run the pile").click()
    finished(panel)
    assert f"Done. {summary}" in result(panel)
    assert 'max="12" value="12"' in result(panel)
    assert result(panel).count("done by nano") == 9


def test_stop_begins_no_further_ticket_and_charges_what_was_in_work() -> None:
    """Without it Stop would go on spending, or leave out calls that were paid for."""
    reached, go = threading.Semaphore(0), threading.Event()

    def held(model: str, request: Request) -> Reply:
        reached.release()
        assert go.wait(30)
        return scripted("sonnet", request)

    table = BulkTable(a_lab(held), TICKETS, single("nano"), 2)
    panel = table.panel()
    widget(panel, ipywidgets.Button, "Run the pile").click()
    for _ in range(2):
        assert reached.acquire(timeout=30)
    assert "asking nano" in {row.state for row in table.rows}
    widget(panel, ipywidgets.Button, "Stop").click()
    go.set()
    finished(panel)
    done = [row for row in table.rows if row.place]
    assert 2 <= len(done) < len(TICKETS)
    assert sum(row.cost.usd for row in done) == pytest.approx(0.1 * sum(row.calls for row in done))
    assert {row.state for row in table.rows if not row.place} == {"not begun"}
    assert "Stopped." in result(panel)


def test_a_pile_without_a_sandbox_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a thousand tickets would fail one by one, each in silence."""
    lab = a_lab(gone)
    table = bulk_table(lab, TICKETS, documented(), concurrency=1, interactive=False)
    assert capsys.readouterr().out.count("Problem: The sandbox has stopped. Run lab.reconnect()") == 1
    assert sum(row.place is not None for row in table.rows) < len(TICKETS)
    panel = table.panel()
    widget(panel, ipywidgets.Button, "Run the pile").click()
    finished(panel)
    assert 'role="alert"' in result(panel)
    lab.ask = scripted
    table.run()
    assert table.trouble is None
    assert "12 of 12 tickets finished" in table.summary()


def test_a_ticket_that_breaks_the_work_costs_only_itself() -> None:
    """Without it one unforeseen error would leave its row in work for ever."""

    def odd(model: str, request: Request) -> Reply:
        if "number 3." in request.prompt:
            raise KeyError("odd")
        return scripted(model, request)

    table = bulk_table(a_lab(odd), TICKETS, documented(), interactive=False)
    assert [row.ticket_id for row in table.rows if row.failed] == ["T-3"]
    assert all(row.place for row in table.rows)


@pytest.mark.parametrize(("tickets", "concurrency", "says"), [((), 8, "at least one"), (TICKETS[:1] * 2, 8, "same id"), (TICKETS, 0, "from 1 to 64"), (TICKETS, 65, "got 65")])
def test_the_table_refuses_what_it_cannot_show(tickets: tuple[Ticket, ...], concurrency: int, says: str) -> None:
    """Without it a slip in the call would show an empty table, or start no worker and wait for ever."""
    with pytest.raises(ValueError, match=says):
        bulk_table(a_lab(), tickets, documented(), concurrency=concurrency)


CELLS = """
from workshop_lib.cascade import documented
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.evaluation.recorded import recorded_arms, recorded_ask
from workshop_lib.lab.interactive import bulk_table, routing_demo, threshold_explorer
from types import SimpleNamespace
tickets = [entry.ticket for entry in load_tickets("calibration")][:4]
lab = SimpleNamespace(ask=None, settings=SimpleNamespace(backend="sandbox"))
---
demo = routing_demo(lab, documented(), ticket=" ")
---
routing_demo(lab, documented(), ticket=" ")
---
demo
---
threshold_explorer(*[recorded_arms()[tier] for tier in ("nano", "sonnet")], split="calibration")
---
bulk_table(lab, tickets, documented())
"""


@pytest.mark.slow
def test_an_executed_notebook_stores_no_widget() -> None:
    """Without it a built notebook would hold widgets that nobody who reads it can use, and nbval would compare their random ids."""
    notebook = new_notebook(cells=[new_code_cell(text.strip()) for text in CELLS.split("---")])
    NotebookClient(notebook, timeout=180, extra_arguments=["--IPKernelApp.log_level=50"]).execute()
    kinds = {kind for cell in notebook.cells for output in cell.outputs for kind in output.get("data", {})}
    assert kinds == {"image/png", "text/plain"}
    assert "widgets" not in notebook.metadata
    told = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    for cell in told[1:4]:  # shown once where it is made, with or without a name, and again where it is named
        assert cell.count("Problem: The ticket has no text.") == 1
    assert "What one threshold moves" in told[4]
    assert "4 of 4 tickets finished, 0 escalated, 4 failed" in told[5]

