"""The state of duties at the time of a call: the duties that refuse it, and the notices of a permit."""

from __future__ import annotations

from collections.abc import Iterable

from access_policy.decision.answers import DutyNotice, Reason
from access_policy.decision.evaluation import Call, elapsed
from access_policy.terms.duties import Duty, duty_key

FIRST_USE = "firstUse"
"""The value of ``wanted`` when the time of the first use is missing for a limit in elapsed time."""


def standing(
    grant: str, rule: str, duties: Iterable[Duty], call: Call
) -> tuple[tuple[DutyNotice, ...], tuple[Reason, ...]]:
    """The notices of a permit, and the reasons why these duties refuse it (empty if none does)."""
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
    """Whether the limit of the duty has passed."""
    if duty.until is not None:
        return call.now > duty.until
    if duty.within is not None:
        since = elapsed(call)
        return since is not None and since > duty.within
    return False


def unremedied(grant: str, remedies: Iterable[Duty], call: Call) -> tuple[Reason, ...]:
    """The reasons of remedies that are due and not fulfilled; they refuse every use of the grant."""
    states = call.context.duties
    return tuple(
        Reason("remedy.unfulfilled", grant, None, key, states[key], duty.action)
        for duty in remedies
        if (key := duty_key(grant, duty.uid)) in states and states[key] != "fulfilled"
    )
