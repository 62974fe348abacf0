"""Duties: actions required before or after the use of a permission, and their consequences when they are not fulfilled.

ODRL states the time of a duty by the ``event`` of using the policy: ``event lt policyUsage`` is before the use, ``event gt
policyUsage`` after it. A duty after use has a limit: ``elapsedTime lteq P30D`` (from the use) or ``dateTime lteq INSTANT``. A
duty before use that is not reported as fulfilled makes its permission inactive (W3C ODRL formal-semantics draft).
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
    """One duty; ``uid`` is its name within the terms. ``within`` is counted from the use, ``until`` is an instant.

    ``consequences`` are further duties when this duty was not fulfilled; both must then be done (ODRL 2.2, section 2.6.4).
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
    """The id of a duty's state, unique over all grants."""
    return f"{grant}{uid}" if uid.startswith("#") else f"{grant}#{uid}"


def read_remedy(reader: Reader, seen: set[str]) -> Duty:
    """Read a remedy (a duty after an infringement). According to ODRL 2.2, it has no consequences."""
    if isinstance(reader.value, dict) and "consequence" in reader:
        reader["consequence"].fail("a remedy has no consequence")
    return read_duty(reader, seen)


def read_duty(reader: Reader, seen: set[str], *, depth: int = 0) -> Duty:
    """Read a duty. ``seen`` collects the uids of the document, which must be different."""
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
    """All duties and their consequences, in the order of the terms."""
    for duty in duties:
        yield duty
        yield from with_consequences(duty.consequences)
