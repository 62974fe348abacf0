"""GET /v1/departments: the admitted departments with their officers and keys; public."""

from __future__ import annotations

from collections.abc import Container

import orjson
from fastapi import APIRouter
from sqlalchemy import Connection

from api.http.cursors import Cursor, Limit
from api.http.described import refusals
from api.http.problems import Problem
from api.http.spellings import Department as DepartmentId
from api.runtime.catalogue import public_document
from api.v1.answers.departments import Department, DepartmentDetail, Seat, ServiceKey
from api.v1.answers.form import Page
from api.v1.dependencies import GatewayOf
from languages.texts import in_both
from ledger.ids import department_iri, parse_department
from ledger.lost.holds import held_targets
from ledger.lost.lost_act import DEPARTMENT, KEY, SEAT
from ledger.projection import views
from ledger.projection.queries import department, departments

router = APIRouter(prefix="/departments", tags=["departments"])


@router.get("", summary="Every admitted department", responses=refusals("cursor.invalid"))
def get_departments(gateway: GatewayOf, cursor: Cursor = None, limit: Limit = 50) -> Page[Department]:
    with gateway.reading.connect() as connection:
        found = departments(connection, after=cursor, limit=limit)
        held = held_targets(connection).get(DEPARTMENT, ())
        return Page(items=[_render(connection, item, held) for item in found.items], next=found.next)


@router.get(
    "/{number}",
    summary="A department with its officers and keys",
    responses=refusals("not-found.department"),
)
def get_department(number: DepartmentId, gateway: GatewayOf) -> DepartmentDetail:
    with gateway.reading.connect() as connection:
        found = department(connection, parse_department(number))
        if found is None:
            raise Problem("not-found.department", in_both("no department has this number"))
        held = held_targets(connection)
        seats, keys = held.get(SEAT, {}), held.get(KEY, {})
        whole = _render(connection, found.department, held.get(DEPARTMENT, ()))
        return DepartmentDetail(
            **whole.model_dump(),
            officers=[_seat(seat, seats) for seat in found.officers],
            attest_keys=[_seat(seat, seats) for seat in found.attest_keys],
            service_keys=[_key(key, keys) for key in found.service_keys],
        )


def _render(connection: Connection, item: views.Department, held: Container[str]) -> Department:
    profile = public_document(connection, item.profile)
    return Department(
        id=item.number,
        iri=department_iri(item.number),
        status=item.status,
        held=str(item.number) in held,
        recovery=item.recovery,
        admitted_at=item.admitted_at.isoformat(),
        profile=orjson.loads(profile) if profile else None,
    )


def _seat(seat: views.Seat, held: Container[str]) -> Seat:
    return Seat(
        address=seat.address,
        roles=sorted(seat.roles),
        status=seat.status,
        held=seat.address in held,
        not_before=seat.not_before,
        not_after=seat.not_after,
        successor=seat.successor,
    )


def _key(key: views.ServiceKey, held: Container[str]) -> ServiceKey:
    return ServiceKey(
        key=key.key,
        hpke=key.hpke,
        roles=sorted(key.roles),
        not_before=key.not_before,
        not_after=key.not_after,
        removed=key.removed,
        held=f"{key.department}:0x{key.key}" in held,
    )
