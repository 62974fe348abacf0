"""Duties: what has to be done before a permission may be used, or after, and what follows when it is not.

ODRL places a duty in time by the ``event`` of using the policy: ``event lt policyUsage`` is before, ``event gt
policyUsage`` after. A duty after use names its limit by ``elapsedTime lteq P30D`` (from the use) or by
``dateTime lteq INSTANT``. A duty before use that has not been reported as fulfilled makes its permission
inactive (W3C ODRL formal-semantics draft); fail closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from access_policy.terms.constraints import (
    duration_text,
    instant_text,
    read_duration,
    read_instant,
    read_name,
    write_instant,
)
from access_policy.terms.documents import Reader
from access_policy.terms.vocabulary import duty_actions

When: TypeAlias = Literal["before", "after"]
EVENTS: dict[str, When] = {"lt": "before", "gt": "after"}
MAX_CONSEQUENCES = 3


@dataclass(frozen=True, slots=True)
class Duty:
    """One duty; ``uid`` names it within its terms. ``within`` counts from the use, ``until`` is an instant.

    ``consequences`` are owed in addition once this duty was not fulfilled (ODRL 2.2, section 2.6.4): both must
    then be done.
    """

    uid: str
    action: str
    when: When = "before"
    within: timedelta | None = None
    until: datetime | None = None
    consequences: tuple[Duty, ...] = ()

    @property
    def due(self) -> str | None:
        """The limit as ISO 8601 text: a duration from the use, or an instant."""
        if self.within is not None:
            return duration_text(self.within)
        return instant_text(self.until) if self.until is not None else None


def duty_key(grant: str, uid: str) -> str:
    """The id under which a duty's state is kept: unique over all grants."""
    return f"{grant}{uid}" if uid.startswith("#") else f"{grant}#{uid}"


def read_remedy(reader: Reader, seen: set[str]) -> Duty:
    """A duty that is owed for an infringement; as ODRL 2.2 has it, nothing follows from one that is not done."""
    if isinstance(reader.value, dict) and "consequence" in reader:
        reader["consequence"].fail("a remedy has no consequence")
    return read_duty(reader, seen)


def read_duty(reader: Reader, seen: set[str], *, depth: int = 0) -> Duty:
    """One duty; ``seen`` collects the uids of the document, which must all differ."""
    reader.members(("@type", "uid", "action", "constraint", "consequence"), required=("uid", "action"))
    if "@type" in reader and reader.value["@type"] != "Duty":
        reader["@type"].fail("a Duty belongs here")
    if depth > MAX_CONSEQUENCES:
        reader.fail(f"consequences follow one another at most {MAX_CONSEQUENCES} times")
    uid = reader["uid"].text("the duty's name, such as '#delete',")
    if len(uid) > 256 or any(c.isspace() for c in uid):
        reader["uid"].fail("a duty's name has at most 256 characters and no spaces")
    if uid in seen:
        reader["uid"].fail(f"two duties are called {uid[:80]!r}")
    seen.add(uid)
    action = read_name(reader["action"], "duty", tuple(duty_actions().concepts))
    when: When = "before"
    within: timedelta | None = None
    until: datetime | None = None
    given: set[str] = set()
    for item in reader["constraint"].items() if "constraint" in reader else ():
        operand = _limit(item)
        if operand in given:
            item.fail(f"{operand!r} is constrained twice")
        given.add(operand)
        if operand == "event":
            operator = read_name(item["operator"], "operator", tuple(EVENTS))
            when = EVENTS[operator]
            read_name(item["rightOperand"], "event", ("policyUsage",))
        elif operand == "elapsedTime":
            read_name(item["operator"], "operator", ("lteq",))
            within = read_duration(item["rightOperand"])
        else:
            read_name(item["operator"], "operator", ("lteq",))
            until = read_instant(item["rightOperand"])
    if within is not None and (when == "before" or until is not None):
        reader.fail("a limit in elapsed time belongs to a duty after use, and excludes an instant")
    consequences = tuple(
        read_duty(r, seen, depth=depth + 1)
        for r in (reader["consequence"].items() if "consequence" in reader else ())
    )
    return Duty(uid, action, when, within, until, consequences)


def _limit(item: Reader) -> str:
    item.members(
        ("leftOperand", "operator", "rightOperand", "@type"),
        required=("leftOperand", "operator", "rightOperand"),
    )
    return read_name(item["leftOperand"], "limit of a duty", ("event", "elapsedTime", "dateTime"))


def write_duty(duty: Duty) -> dict[str, object]:
    """The normal form: ``read_duty(write_duty(d)) == d``."""
    limits: list[dict[str, object]] = [
        {
            "leftOperand": "event",
            "operator": "lt" if duty.when == "before" else "gt",
            "rightOperand": {"@id": "odrl:policyUsage"},
        }
    ]
    if duty.within is not None:
        right: object = {"@type": "xsd:duration", "@value": duration_text(duty.within)}
        limits.append({"leftOperand": "elapsedTime", "operator": "lteq", "rightOperand": right})
    if duty.until is not None:
        limits.append(
            {"leftOperand": "dateTime", "operator": "lteq", "rightOperand": write_instant(duty.until)}
        )
    written: dict[str, object] = {"uid": duty.uid, "action": duty.action, "constraint": limits}
    if duty.consequences:
        written["consequence"] = [write_duty(c) for c in duty.consequences]
    return written


def with_consequences(duties: tuple[Duty, ...]) -> Iterator[Duty]:
    """Every duty and what may follow from it, in the order of the terms."""
    for duty in duties:
        yield duty
        yield from with_consequences(duty.consequences)
