"""Parameters that routes share, each with its one spelling; what is spelled otherwise is refused by its own code.

Without this, ``07``, ``+7``, ``７`` and ``1_0`` would pass for numbers, and a number of seconds for a time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator

from access_policy.constraints import INSTANT
from access_policy.vocabulary import actions, purposes
from api.problems import Problem
from ledger.ids import parse_actor, parse_number, parse_uuid


def _number(value: Any) -> Any:
    return parse_number(value) if isinstance(value, str) else value


def _uuid(value: Any) -> Any:
    return parse_uuid(value) if isinstance(value, str) else value


def _instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        raise Problem("request.time", "times carry their zone, such as 2026-01-31T08:00:00Z")
    return value


def _purpose(value: Any) -> Any:
    if isinstance(value, str) and value not in purposes():
        raise Problem(
            "request.purpose",
            "the purpose is not one of the DPV 2.3 purposes, such as dpv:Marketing",
            {"pointer": "/purpose", "matches": list(purposes().close_to(value))},
        )
    return value


def _action(value: Any) -> Any:
    if isinstance(value, str) and value not in actions().concepts:
        raise Problem("request.action", "the action is not in the profile", {"pointer": "/action"})
    return value


Actor = Annotated[str, BeforeValidator(parse_actor)]
Number = Annotated[int, BeforeValidator(_number)]
Uuid = Annotated[UUID, BeforeValidator(_uuid)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
Purpose = Annotated[str, BeforeValidator(_purpose)]
Action = Annotated[str, BeforeValidator(_action)]
