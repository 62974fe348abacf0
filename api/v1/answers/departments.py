"""Departments with their officers and keys."""

from __future__ import annotations

from typing import Annotated

from api.http.spellings import Address, Key, Moment, one_of
from api.v1.answers.form import Answer, Document
from contracts.codes import DepartmentStatus, Role, ServiceRole


class Department(Answer):
    """A department. ``profile``: its profile document; null if the service does not have it."""

    id: int
    iri: str
    status: Annotated[str, one_of(DepartmentStatus)]
    held: bool
    recovery: Address
    admitted_at: Moment
    profile: Document | None


class Seat(Answer):
    """An officer or an attest key; times in unix seconds."""

    address: Address
    roles: list[Annotated[str, one_of(Role)]]
    status: Annotated[str, one_of(("active", "removed", "rotated"))]
    held: bool
    not_before: int
    not_after: int
    successor: str | None


class ServiceKey(Answer):
    """A key of a department's machines for calls: Ed25519, and HPKE for sealed answers."""

    key: Key
    hpke: Key
    roles: list[Annotated[str, one_of(ServiceRole)]]
    not_before: int
    not_after: int
    removed: bool
    held: bool


class DepartmentDetail(Department):
    """A department with its officers, attest keys and service keys."""

    officers: list[Seat]
    attest_keys: list[Seat]
    service_keys: list[ServiceKey]
