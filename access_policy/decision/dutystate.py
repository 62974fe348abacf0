"""The state of duties at the moment of a call: what stands in the way, and what comes with a permit."""

from __future__ import annotations

from collections.abc import Iterable

from access_policy.decision.answers import DutyNotice, Reason
from access_policy.decision.evaluation import Call, elapsed
from access_policy.terms.duties import Duty, duty_key

FIRST_USE = "firstUse"
"""What the gateway left out when a limit in elapsed time cannot be computed."""


def standing(
    grant: str, rule: str, duties: Iterable[Duty], call: Call
) -> tuple[tuple[DutyNotice, ...], tuple[Reason, ...]]:
    """The notices that go with a permit, and the reasons (none: all in order) why these duties bar it."""
    notices: list[DutyNotice] = []
    reasons: list[Reason] = []
    for duty in duties:
        _stand(grant, rule, duty, call, notices, reasons, owed=True, following=False)
    return tuple(notices), tuple(reasons)


def _stand(
    grant: str,
    rule: str,
    duty: Duty,
    call: Call,
    notices: list[DutyNotice],
    reasons: list[Reason],
    *,
    owed: bool,
    following: bool,
) -> None:
    key = duty_key(grant, duty.uid)
    state = call.context.duties.get(key)
    breached = False
    if state == "fulfilled":
        notices.append(DutyNotice(key, duty.action, duty.due, "fulfilled"))
    elif following:
        if not owed and state is None:
            return
        notices.append(DutyNotice(key, duty.action, duty.due, "unfulfilled"))
        reasons.append(Reason("consequence.unfulfilled", grant, rule, key, state, duty.action))
        breached = state is not None
    elif duty.when == "before" or state is not None:
        notices.append(DutyNotice(key, duty.action, duty.due, "unfulfilled"))
        reasons.append(Reason("duty.unfulfilled", grant, rule, key, state, duty.action))
        breached = state is not None
    elif duty.within is not None and elapsed(call) is None:
        notices.append(DutyNotice(key, duty.action, duty.due, "unfulfilled"))
        reasons.append(Reason("context.incomplete", grant, rule, key, None, FIRST_USE))
    elif is_overdue(duty, call):
        notices.append(DutyNotice(key, duty.action, duty.due, "unfulfilled"))
        reasons.append(Reason("duty.overdue", grant, rule, key, None, f"{duty.action} {duty.due}"))
        breached = True
    else:
        notices.append(DutyNotice(key, duty.action, duty.due, "pending"))
    for consequence in duty.consequences:
        _stand(grant, rule, consequence, call, notices, reasons, owed=breached, following=True)


def is_overdue(duty: Duty, call: Call) -> bool:
    """Whether its limit has passed."""
    if duty.until is not None:
        return call.now > duty.until
    if duty.within is not None:
        since = elapsed(call)
        return since is not None and since > duty.within
    return False


def unremedied(grant: str, remedies: Iterable[Duty], call: Call) -> tuple[Reason, ...]:
    """Remedies that an infringement made due and that were not done: they stop every use of the grant."""
    states = call.context.duties
    return tuple(
        Reason("remedy.unfulfilled", grant, None, key, states[key], duty.action)
        for duty in remedies
        if (key := duty_key(grant, duty.uid)) in states and states[key] != "fulfilled"
    )
