"""The Lambda functions: each reads the machine's data, walks as far as the replies go, and says what is next.

They hold no state. `classify` and `gate` make no call; `call_tier` and `judge` make exactly one, and leave retries to the state machine.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from workshop_lib import settings as settings_module
from workshop_lib.cascade import Trace
from workshop_lib.cloud.deployment import deployment, policy_of_environment
from workshop_lib.cloud.record import result_document
from workshop_lib.cloud.replay import Wanted, resume
from workshop_lib.cloud.wire import FUNCTION_ERROR, Case, Recorded, StateName, reply_document, wanted_document
from workshop_lib.errors import DataError
from workshop_lib.llm import Ask, CallError, Gateway
from workshop_lib.llm.guarding import Guarded, guardrail_of
from workshop_lib.metrics.emf import emf_lines
from workshop_lib.settings import Settings
from workshop_lib.tasks import RoutingDecision, Ticket
from workshop_lib.tasks.triage import ticket_fields

Document = dict[str, Any]


class InvalidTicket(DataError):
    """The input of an execution is no ticket; no model was asked."""


def classify(event: Mapping[str, Any], context: object) -> Document:
    """Check the ticket of `{"ticket": {...}}` and say where it starts; raise InvalidTicket, naming the field and not what it holds."""
    given = event.get("ticket")
    try:
        ticket = Ticket.model_validate(ticket_fields(given) if isinstance(given, Mapping) else {})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidTicket(f"ticket.{first['loc'][0] if first['loc'] else ''}: {first['msg']}") from None
    return _onward(Case(ticket=ticket, policy=policy_of_environment().digest))


def gate(event: Mapping[str, Any], context: object) -> Document:
    """Take the reply or the failure of the call that was next, and say what follows it."""
    case, following = _case(event), event["next"]
    made = Recorded(purpose=following["purpose"], model=following["model"], reply=event.get("reply"), failed=event.get("failed"))
    return _onward(case.model_copy(update={"calls": (*case.calls, made)}))


def call_tier(event: Mapping[str, Any], context: object) -> Document:
    """Make the call that is next, under the guardrail if there is one; a failure is raised under a name that the machine retries by."""
    return _called(event)


def judge(event: Mapping[str, Any], context: object) -> Document:
    """Have the judge score the answer at hand; a function of its own, as its role may ask the judge's model only."""
    return _called(event)


def _called(event: Mapping[str, Any]) -> Document:
    case = _case(event)
    wanted = resume(case.ticket, policy_of_environment(), case.answered(_settings().backend))
    if not isinstance(wanted, Wanted):
        raise DataError("No call is missing for this ticket; the machine asked for one all the same.")
    try:
        return reply_document(_ask()(wanted.model, wanted.request))
    except CallError as error:
        raise _failure(error) from error


def _onward(case: Case) -> Document:
    policy = policy_of_environment()
    found = resume(case.ticket, policy, case.answered(_settings().backend))
    if isinstance(found, Wanted):
        following = wanted_document(found, policy.tiers[-1], by_function=_settings().guardrail_id is not None)
        return {**case.model_dump(mode="json", exclude_none=True), "next": following}
    _emit(found)
    return {"next": {"state": _last_state(found)}, "result": result_document(found)}


def _emit(trace: Trace[RoutingDecision]) -> None:
    """Print the walk's metrics for CloudWatch to find in the log, if the deployment names where they go."""
    namespace = deployment().metrics_namespace
    if namespace is not None:
        for line in emf_lines(trace, namespace):
            print(line)  # what Lambda prints is the log


def _last_state(trace: Trace[RoutingDecision]) -> StateName:
    if trace.outcome == "error":
        return "NotAnswered"
    return "ForAPerson" if trace.answer is None or trace.review_required else "Answered"


def _case(event: Mapping[str, Any]) -> Case:
    case = Case.model_validate(event)
    policy = policy_of_environment()
    if case.policy != policy.digest:
        raise DataError(f"This ticket began under policy {case.policy}, and the deployment follows {policy.digest} now. Start it again.")
    return case


def _failure(error: CallError) -> Exception:
    """Return an exception whose class name, which is what Lambda passes on, says the kind of failure."""
    kind: type[Exception] = type(f"{FUNCTION_ERROR}{error.kind}", (RuntimeError,), {})
    return kind(error.detail)


@cache
def _settings() -> Settings:
    return settings_module.load(max_retries=0)


@cache
def _ask() -> Ask:
    settings, gateway = _settings(), Gateway(_settings())
    guardrail = guardrail_of(settings)
    if guardrail is None:
        return gateway
    screening = Gateway(settings_module.load())  # with retries: repeating the task would pay the model again for a guardrail that was throttled
    return Guarded(gateway, guardrail, screening.screen)


def forget() -> None:
    """Forget what was read from the environment, as a new deployment of the functions does."""
    for remembered in (_settings, _ask, deployment, policy_of_environment):
        remembered.cache_clear()


