"""Analysis before signing: conflicts, what a change newly permits, who can. Reads only; needs no key.

It keeps a processor busy for anybody who asks: one analysis is made at a time, and a few may wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from access_policy.analysis.review import check_document, diff_document, what_can_document, who_can_document
from access_policy.errors import TermsError
from access_policy.terms.agreement import Agreement, parse_terms
from api.calls.grants_in_force import agreements_of_asset, agreements_of_department
from api.http.described import refusals
from api.http.parameters import Action, Purpose
from api.http.spellings import Asset as AssetId
from api.http.spellings import Department as DepartmentId
from api.http.turns import NOBODY, EveryTurn
from api.v1.answers.form import Document
from api.v1.answers.policy import Check, Difference, WhatCan, WhoCan
from api.v1.dependencies import GatewayOf, TurnsOf
from ledger.ids import asset_iri, department_iri, parse_asset, parse_department

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
    """Agreements by a name of the caller's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agreements: dict[str, Document] = Field(min_length=1, max_length=20)


class DiffBody(BaseModel):
    """Two versions of an agreement; either may be absent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    old: Document | None = None
    new: Document | None = None


@router.post(
    "/check",
    summary="Are agreements well formed, free of conflicts, and is every rule of use?",
    response_model=Check,
    response_model_exclude_unset=True,
    responses=_DOCUMENTS,
)
async def post_check(body: CheckBody, turns: TurnsOf) -> dict[str, Any]:
    def check() -> dict[str, Any]:
        return check_document({name: _agreement(document) for name, document in body.agreements.items()})

    return await _in_turn(turns, check)


@router.post(
    "/diff",
    summary="What a change of terms newly permits and denies, with calls that show it",
    response_model=Difference,
    response_model_exclude_unset=True,
    responses=_DOCUMENTS,
)
async def post_diff(body: DiffBody, turns: TurnsOf) -> dict[str, Any]:
    def diff() -> dict[str, Any]:
        old, new = (None if one is None else _agreement(one) for one in (body.old, body.new))
        return diff_document(old, new)

    return await _in_turn(turns, diff)


@router.get(
    "/who-can",
    summary="Whom the grants in force let in to an asset",
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
    number = parse_asset(asset)

    def who() -> dict[str, Any]:
        now = gateway.now()
        grants = agreements_of_asset(gateway.calls.standings, number, now)
        return who_can_document(asset_iri(number), action, purpose, now, grants.agreements, grants.ancestors)

    return await _in_turn(turns, who)


@router.get(
    "/what-can",
    summary="What the grants in force open to a department",
    response_model=WhatCan,
    responses=refusals("id.invalid", *_TURN),
)
async def get_what_can(
    department: Annotated[DepartmentId, Query(max_length=80)], gateway: GatewayOf, turns: TurnsOf
) -> dict[str, Any]:
    number = parse_department(department)

    def what() -> dict[str, Any]:
        now = gateway.now()
        grants = agreements_of_department(gateway.calls.standings, number, now)
        return what_can_document(department_iri(number), grants.agreements, now, grants.ancestors)

    return await _in_turn(turns, what)


async def _in_turn(turns: EveryTurn, analysis: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    turns.analyses.take(NOBODY)
    try:
        return await turns.analyses.run(analysis)
    finally:
        turns.analyses.give(NOBODY)


def _agreement(document: dict[str, Any]) -> Agreement:
    terms = parse_terms(document)
    if not isinstance(terms, Agreement):
        raise TermsError("only an agreement permits anything; offers and requests do not")
    return terms
