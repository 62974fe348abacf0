"""Parameters that routes share, each with its canonical spelling; another spelling is refused by its own code.

Without this, ``07``, ``+7``, ``７`` and ``1_0`` would pass for numbers, and a number of seconds for a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from annotated_types import Ge, Le, Lt
from pydantic import AwareDatetime, BeforeValidator, WithJsonSchema

from access_policy.terms.constraints import INSTANT, MAX_VERSION
from access_policy.terms.vocabulary import actions, purposes
from api.http import spellings
from api.http.problems import Problem
from languages.texts import in_both
from ledger.ids import parse_actor, parse_number, parse_uuid


def _number(value: Any) -> Any:
    return parse_number(value) if isinstance(value, str) else value


def _uuid(value: Any) -> Any:
    return parse_uuid(value) if isinstance(value, str) else value


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        raise Problem("request.time", in_both("times carry their zone, such as 2026-01-31T08:00:00Z"))
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem("request.time", in_both("there is no such time")) from None


def _purpose(value: Any) -> Any:
    if isinstance(value, str) and value not in purposes():
        raise Problem(
            "request.purpose",
            in_both("the purpose is not one of the DPV 2.3 purposes, such as dpv:Marketing"),
            {"pointer": "/purpose", "matches": list(purposes().close_to(value))},
        )
    return value


def _action(value: Any) -> Any:
    if isinstance(value, str) and value not in actions().concepts:
        raise Problem("request.action", in_both("the action is not in the profile"), {"pointer": "/action"})
    return value


Actor = Annotated[spellings.Actor, BeforeValidator(parse_actor)]
NUMBER = BeforeValidator(_number)
DepartmentNumber = Annotated[int, Ge(1), Lt(1 << 24), NUMBER]
AnyDepartment = Annotated[int, Ge(0), Lt(1 << 24), NUMBER]
"""0 means every department."""
Size = Annotated[int, Ge(0), Lt(1 << 62), NUMBER]
VersionNumber = Annotated[int, Ge(1), Le(MAX_VERSION)]
"""The version of a dataset, in a body."""
Version = Annotated[VersionNumber, NUMBER]
Uuid = Annotated[
    UUID,
    BeforeValidator(_uuid),
    WithJsonSchema(
        {"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
    ),
]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), spellings.Time]
Purpose = Annotated[
    str,
    BeforeValidator(_purpose),
    spellings.spelled("dpv:[A-Za-z]+", "dpv:FraudPreventionAndDetection", "a purpose of DPV 2.3", 200),
]
Action = Annotated[str, BeforeValidator(_action), spellings.one_of(actions().concepts)]
