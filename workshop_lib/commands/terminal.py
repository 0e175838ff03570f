"""A ticket from the terminal, told step by step."""

from pydantic import ValidationError

from workshop_lib.backend import open_backend
from workshop_lib.cascade import Policy, documented, published, walk
from workshop_lib.cascade.story import told, verdict
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.llm import connect
from workshop_lib.tasks import TRIAGE, Ticket

_POLICIES = {"documented": documented, "published": published}


def policy_named(name: str) -> Policy:
    """Return a policy by name; raise SettingsError naming those there are."""
    if name not in _POLICIES:
        raise SettingsError(f"No policy {name!r}. Choose one of: {', '.join(_POLICIES)}.")
    return _POLICIES[name]()


def triage_one(text: str, subject: str, policy: str) -> str:
    """Return the story of one ticket's walk: every tier asked, why it went on, the decision and the bill."""
    ticket = _ticket(text, subject)
    trace = walk(TRIAGE, ticket, policy_named(policy), connect(open_backend()))
    return "\n".join([*told(trace), verdict(trace)])


def _ticket(text: str, subject: str) -> Ticket:
    if not text.strip():
        raise DataError('The ticket has no text. Give it between quotes: workshop triage "Two payments for one invoice"')
    try:
        return Ticket(id="T-1", subject=subject, body=text)
    except ValidationError as error:
        first = error.errors()[0]
        remedy = "Shorten it" if first["type"] == "string_too_long" else "Give it as UTF-8 text"
        raise DataError(f"The ticket's {first['loc'][0]} is refused: {first['msg']}. {remedy} and try again.") from None
