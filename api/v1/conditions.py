"""GET /v1/conditions: the conditions that grants depend on outside the chain, as salted hashes only;
public."""

from __future__ import annotations

from collections.abc import Container

from fastapi import APIRouter

from api.http.cursors import Cursor, Limit
from api.http.described import refusals
from api.http.parameters import DepartmentNumber
from api.http.problems import Problem
from api.http.spellings import Condition as ConditionId
from api.v1.answers.conditions import Condition, ConditionDetail
from api.v1.answers.form import Page
from api.v1.dependencies import GatewayOf
from languages.texts import in_both
from ledger.ids import parse_condition
from ledger.lost.holds import held_targets
from ledger.lost.lost_act import CONDITION
from ledger.projection import views
from ledger.projection.conditions import bound_to, condition, conditions

router = APIRouter(prefix="/conditions", tags=["conditions"])


@router.get("", summary="Every condition, by its keeper", responses=refusals("cursor.invalid"))
def get_conditions(
    gateway: GatewayOf,
    keeper: DepartmentNumber | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Condition]:
    with gateway.reading.connect() as connection:
        found = conditions(connection, keeper=keeper, after=cursor, limit=limit)
        held = held_targets(connection).get(CONDITION, ())
        return Page(items=[_render(item, held) for item in found.items], next=found.next)


@router.get(
    "/{number}",
    summary="One condition with the grants that are bound to it",
    responses=refusals("not-found.condition"),
)
def get_condition(number: ConditionId, gateway: GatewayOf) -> ConditionDetail:
    with gateway.reading.connect() as connection:
        found = condition(connection, parse_condition(number))
        if found is None:
            raise Problem("not-found.condition", in_both("no such condition is recorded"))
        held = held_targets(connection).get(CONDITION, ())
        whole = _render(found, held)
        return ConditionDetail(**whole.model_dump(), grants=bound_to(connection, [found.id]))


def _render(item: views.Condition, held: Container[str]) -> Condition:
    return Condition(
        id=item.id,
        keeper=item.keeper,
        kind=item.kind,
        status=item.status,
        held=item.id in held,
        commitment=item.commitment,
        opened_at=item.opened_at.isoformat(),
        officer=item.officer,
        ended_at=item.ended_at.isoformat() if item.ended_at else None,
        ended_by=item.ended_by,
        reason=item.reason,
    )
