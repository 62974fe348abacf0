"""Analysis before signing: conflicts, what a change newly permits, who can. Reads only; needs no key."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from access_policy.errors import TermsError
from access_policy.review import check_document, diff_document, what_can_document, who_can_document
from access_policy.terms import Agreement, parse_terms
from api.acts.grants_in_force import agreements_of_asset, agreements_of_department
from api.v1.dependencies import GatewayOf
from api.v1.parameters import Action, Purpose
from ledger.ids import asset_iri, department_iri, parse_asset, parse_department

router = APIRouter(prefix="/policy", tags=["policy"])


class CheckBody(BaseModel):
    """Agreements by a name of the caller's."""

    model_config = ConfigDict(extra="forbid")

    agreements: dict[str, dict[str, Any]] = Field(min_length=1, max_length=20)


class DiffBody(BaseModel):
    """Two versions of an agreement; either may be absent."""

    model_config = ConfigDict(extra="forbid")

    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None


@router.post("/check", summary="Are agreements well formed, free of conflicts, and is every rule of use?")
def post_check(body: CheckBody) -> dict[str, Any]:
    return check_document({name: _agreement(document) for name, document in body.agreements.items()})


@router.post("/diff", summary="What a change of terms newly permits and denies, with calls that show it")
def post_diff(body: DiffBody) -> dict[str, Any]:
    return diff_document(
        None if body.old is None else _agreement(body.old), None if body.new is None else _agreement(body.new)
    )


@router.get("/who-can", summary="Whom the grants in force let in to an asset")
def get_who_can(
    asset: Annotated[str, Query(max_length=80)],
    purpose: Annotated[Purpose, Query(max_length=200)],
    gateway: GatewayOf,
    action: Annotated[Action, Query(max_length=40)] = "read",
) -> dict[str, Any]:
    number = parse_asset(asset)
    now = gateway.now()
    with gateway.reading.connect() as connection:
        grants = agreements_of_asset(gateway, connection, number, now)
    return who_can_document(asset_iri(number), action, purpose, now, grants.agreements, grants.ancestors)


@router.get("/what-can", summary="What the grants in force open to a department")
def get_what_can(department: Annotated[str, Query(max_length=80)], gateway: GatewayOf) -> dict[str, Any]:
    number = parse_department(department)
    now = gateway.now()
    with gateway.reading.connect() as connection:
        grants = agreements_of_department(gateway, connection, number, now)
    return what_can_document(department_iri(number), grants.agreements, now, grants.ancestors)


def _agreement(document: dict[str, Any]) -> Agreement:
    terms = parse_terms(document)
    if not isinstance(terms, Agreement):
        raise TermsError("only an agreement permits anything; offers and requests do not")
    return terms
