"""Analyses before signing: conflicts, what a change newly permits, and who can read. They only read and need
no key.

An analysis uses a processor and is open to everyone, so one runs at a time and a few may wait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.calls.analyses import checked, compared
from api.http.described import refusals
from api.http.parameters import Action, Purpose
from api.http.spellings import Asset as AssetId
from api.http.spellings import Department as DepartmentId
from api.http.turns import NOBODY, EveryTurn
from api.v1.answers.form import Document
from api.v1.answers.policy import Check, Difference, WhatCan, WhoCan
from api.v1.dependencies import GatewayOf, TurnsOf
from ledger.ids import parse_asset, parse_department

router = APIRouter(prefix="/policy", tags=["policy"])

_TURN = ("call.too-many", "service.busy")
_DOCUMENTS = refusals(
    *(
        f"{family}."
        for family in ("terms", "transform", "column", "purpose", "constraint", "duty", "predicate")
    ),
    *("terms.invalid", "transform.invalid", "id.invalid", "policy.conflict", "query.invalid", *_TURN),
)


class CheckBody(BaseModel):
    """Agreements by names that the caller chooses."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agreements: dict[str, Document] = Field(min_length=1, max_length=20)


class DiffBody(BaseModel):
    """Two versions of an agreement; either may be absent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    old: Document | None = None
    new: Document | None = None


@router.post(
    "/check",
    summary="Check that agreements are well formed and free of conflicts, and that every rule has an effect",
    response_model=Check,
    response_model_exclude_unset=True,
    responses=_DOCUMENTS,
)
async def post_check(body: CheckBody, turns: TurnsOf) -> dict[str, Any]:
    return await _in_turn(turns, partial(checked, body.agreements))


@router.post(
    "/diff",
    summary="What a change of terms newly permits and denies, with example calls",
    response_model=Difference,
    response_model_exclude_unset=True,
    responses=_DOCUMENTS,
)
async def post_diff(body: DiffBody, turns: TurnsOf) -> dict[str, Any]:
    return await _in_turn(turns, partial(compared, body.old, body.new))


@router.get(
    "/who-can",
    summary="The departments that the grants in force permit to use a dataset",
    response_model=WhoCan,
    responses=refusals("id.invalid", "request.purpose", "request.action", *_TURN),
)
async def get_who_can(
    asset: Annotated[AssetId, Query(max_length=80)],
    purpose: Annotated[Purpose, Query(max_length=200)],
    gateway: GatewayOf,
    turns: TurnsOf,
    action: Annotated[Action, Query(max_length=40)] = "read",
) -> dict[str, Any]:
    asked = partial(gateway.calls.access.who_can, parse_asset(asset), action, purpose)
    return await _in_turn(turns, asked)


@router.get(
    "/what-can",
    summary="The datasets that the grants in force permit a department to use",
    response_model=WhatCan,
    responses=refusals("id.invalid", *_TURN),
)
async def get_what_can(
    department: Annotated[DepartmentId, Query(max_length=80)], gateway: GatewayOf, turns: TurnsOf
) -> dict[str, Any]:
    return await _in_turn(turns, partial(gateway.calls.access.what_can, parse_department(department)))


async def _in_turn(turns: EveryTurn, analysis: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    turns.analyses.take(NOBODY)
    try:
        return await turns.analyses.run(analysis)
    finally:
        turns.analyses.give(NOBODY)
