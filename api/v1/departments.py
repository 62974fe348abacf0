"""GET /v1/departments: who takes part, with officers and keys; public."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import orjson
from fastapi import APIRouter
from sqlalchemy import Connection

from api.catalogue import public_document
from api.cursors import Cursor, Limit, page
from api.problems import Problem
from api.v1.dependencies import GatewayOf
from ledger.ids import department_iri, parse_department
from ledger.outbox.holds import DEPARTMENT, KEY, SEAT, held_targets
from ledger.projection.queries import Department, Seat, ServiceKey, department, departments

router = APIRouter(prefix="/departments", tags=["departments"])


@router.get("", summary="Every admitted department")
def get_departments(gateway: GatewayOf, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        found = departments(connection, after=cursor, limit=limit)
        return page(found.items, found.next, lambda item: _render(connection, item))


@router.get("/{number}", summary="A department with its officers and keys")
def get_department(number: str, gateway: GatewayOf) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        found = department(connection, parse_department(number))
        if found is None:
            raise Problem("not-found.department", "no department has this number")
        held = held_targets(connection)
        seats, keys = held.get(SEAT, {}), held.get(KEY, {})
        return _render(connection, found.department) | {
            "officers": [_seat(seat, seats) for seat in found.officers],
            "attest_keys": [_seat(seat, seats) for seat in found.attest_keys],
            "service_keys": [_key(key, keys) for key in found.service_keys],
        }


def _render(connection: Connection, item: Department) -> dict[str, Any]:
    profile = public_document(connection, item.profile)
    return {
        "id": item.number,
        "iri": department_iri(item.number),
        "status": item.status,
        "held": str(item.number) in held_targets(connection).get(DEPARTMENT, ()),
        "recovery": item.recovery,
        "admitted_at": item.admitted_at.isoformat(),
        "profile": orjson.loads(profile) if profile else None,
    }


def _seat(seat: Seat, held: Container[str]) -> dict[str, Any]:
    return {
        "address": seat.address,
        "roles": sorted(seat.roles),
        "status": seat.status,
        "held": seat.address in held,
        "not_before": seat.not_before,
        "not_after": seat.not_after,
        "successor": seat.successor,
    }


def _key(key: ServiceKey, held: Container[str]) -> dict[str, Any]:
    return {
        "key": key.key,
        "hpke": key.hpke,
        "roles": sorted(key.roles),
        "not_before": key.not_before,
        "not_after": key.not_after,
        "removed": key.removed,
        "held": f"{key.department}:0x{key.key}" in held,
    }
