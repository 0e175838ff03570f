"""The routing demo: a ticket goes in, and every tier's answer, reason to go on and cost come out, step by step."""

from collections.abc import Callable
from textwrap import fill
from typing import TYPE_CHECKING

from pydantic import ValidationError

from workshop_lib.cascade import Policy, Step, Trace, walk
from workshop_lib.cascade.story import step_line, told, verdict
from workshop_lib.errors import DataError
from workshop_lib.lab.interactive import markup
from workshop_lib.lab.interactive.piece import WIDTH, Piece
from workshop_lib.lab.shell import explain
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

if TYPE_CHECKING:
    from ipywidgets import Widget

    from workshop_lib.lab.session import Lab

QUESTION = "For which single reason does a ticket go on here? Write one that the first tier keeps and one that escalates, and say which part of the second bill is the first tier's."
BUTTON = "Route the ticket"
_OWN = "Write my own"
SAMPLES: tuple[tuple[str, str], ...] = (
    ("Cannot sign in", "The code from my phone is refused since this morning. The clock is right, and a colleague can sign in."),
    ("Invoice twice", "Our card was charged twice for the September invoice. Please refund one of the two payments."),
    ("Everything down", "Nobody in our company can open any board, and the import that ran last night has deleted cards."),
)
"""Tickets to begin with, subject and text, made up for the course."""


class RoutingDemo(Piece):
    """The demo: `route(subject, text)` walks a ticket, `trace` is the last walk."""

    def __init__(self, lab: "Lab", policy: Policy, tickets: tuple[tuple[str, str], ...], *, interactive: bool = True) -> None:
        super().__init__(interactive=interactive)
        policy.check_learned({})  # at once, and not at the first press of a button
        self._lab = lab
        self._policy = policy
        self._tickets = tickets
        self.trace: Trace[RoutingDecision] | None = None

    def route(self, subject: str, text: str, observe: Callable[[Step[RoutingDecision], bool], None] | None = None) -> Trace[RoutingDecision]:
        """Walk one ticket and keep the trace; raise DataError for a ticket that is empty or too long."""
        self.trace = walk(TRIAGE, ticket_of(subject, text), self._policy, self._lab.ask, observe=observe)
        return self.trace

    def problem(self, trace: Trace[RoutingDecision]) -> str | None:
        """Return the line for a walk that ended without an answer because a call failed, else None."""
        error = trace.steps[-1].error
        if trace.answer is not None or error is None:
            return None
        return explain(error, self._lab.settings.backend).replace("run this cell again", "try again")

    def tell(self) -> None:
        """Print every ticket's walk."""
        print(f"Routing demo, policy {self._policy.name}: {' then '.join(self._policy.tiers)}.")
        for subject, text in self._tickets:
            print(f"\nTicket: {subject or 'no subject'}")
            try:
                trace = self.route(subject, text)
            except DataError as error:
                print(f"Problem: {error}")
                continue
            trouble = self.problem(trace)
            if trouble is not None:
                print(f"Problem: {trouble}")
                continue
            for number, line in enumerate(told(trace), start=1):
                print(f"  {number}. {line}")
            print(f"  {ending(trace)}")
        print(f"\n{fill(f'Question: {QUESTION}', WIDTH)}")
        print("For a ticket of your own: routing_demo(lab, policy, ticket=\"...\", interactive=False)")

    def panel(self) -> "Widget":
        """Return the form and what it brings."""
        import ipywidgets as widgets

        wide, style = widgets.Layout(width="95%", max_width="52em"), {"description_width": "8em"}
        names = [subject or text[:40] for subject, text in self._tickets]
        sample = widgets.Dropdown(description="Sample", options=[*((name, place) for place, name in enumerate(names)), (_OWN, -1)], layout=wide, style=style)
        subject = widgets.Text(description="Subject", value=self._tickets[0][0], layout=wide, style=style)
        body = widgets.Textarea(description="Ticket text", value=self._tickets[0][1], rows=4, layout=wide, style=style)
        button = widgets.Button(description=BUTTON, layout=widgets.Layout(width="auto"))
        costs = "" if self._lab.settings.backend == "sandbox" else "Live: every press costs money on your account."
        head = widgets.HTML(markup.page(markup.paragraph(f"policy {self._policy.name}, {' then '.join(self._policy.tiers)}. {costs}", "Routing demo:"), markup.paragraph(QUESTION, "Question:")))
        result = widgets.HTML(markup.page(markup.status("No ticket routed yet.")))

        def take_sample(change: dict[str, int]) -> None:
            chosen = ("", "") if change["new"] == -1 else self._tickets[change["new"]]
            subject.value, body.value = chosen

        def press(_: object) -> None:
            if button.disabled:  # a second press that was on its way already
                return
            button.disabled = True
            try:
                self._press(subject.value, body.value, lambda html: setattr(result, "value", html))
            finally:
                button.disabled = False

        sample.observe(take_sample, "value")
        button.on_click(press)
        return widgets.VBox([head, sample, subject, body, widgets.HBox([button], layout=widgets.Layout(padding="0 0 0 8.2em")), result])

    def _press(self, subject: str, text: str, put: Callable[[str], None]) -> None:
        lines: list[str] = []

        def observe(step: Step[RoutingDecision], goes_on: bool) -> None:
            lines.append(step_line(step))
            put(markup.page(markup.numbered(lines), markup.status("Asking the next tier ..." if goes_on else "Done.")))

        put(markup.page(markup.status(f"Asking {self._policy.tiers[0]} ...")))
        try:
            trace = self.route(subject, text, observe)
        except DataError as error:
            put(markup.page(markup.problem(str(error))))
            return
        trouble = self.problem(trace)
        if trouble is not None:
            put(markup.page(markup.problem(trouble)))
            return
        put(markup.page(markup.numbered(told(trace)), markup.status(ending(trace))))


def routing_demo(lab: "Lab", policy: Policy, *, ticket: str | tuple[str, str] | None = None, interactive: bool = True) -> RoutingDemo:
    """Show the routing demo of a policy: a form to type tickets into, or the walk of some as text.

    `ticket` is what stands in the form at first, a text or (subject, text); without it there are three samples. Live, every ticket costs money.
    Raises ValueError if the policy needs a learned model.
    """
    given = SAMPLES if ticket is None else (("", ticket) if isinstance(ticket, str) else ticket,)
    demo = RoutingDemo(lab, policy, given, interactive=interactive)
    demo.show()
    return demo


def ending(trace: Trace[RoutingDecision]) -> str:
    """Return the verdict with the time that all calls took together."""
    return f"{verdict(trace)}; {trace.latency_ms:,.0f} ms"


def ticket_of(subject: str, text: str) -> Ticket:
    """Return a ticket as it was typed; raise DataError, one line with what to do, if it is empty or too long."""
    if not text.strip():
        raise DataError("The ticket has no text. Write what the customer wrote, then try again.")
    try:
        return Ticket(id="T-1", subject=subject, body=text)
    except ValidationError as error:
        found = error.errors()[0]
        name = {"body": "text", "subject": "subject"}[str(found["loc"][0])]
        most = found.get("ctx", {}).get("max_length")
        if most is None:
            raise DataError(f"The ticket's {name} is refused: {found['msg']}. Change it and try again.") from None
        raise DataError(f"The ticket's {name} has {len(str(found['input'])):,} characters, and at most {most:,} fit. Shorten it and try again.") from None
