"""Who may sign what, by the projection: the contracts' rules, asked early.

The contract decides; this gives a clear answer before a transaction is spent, and it alone decides whether a
revocation denies reads before it is mined. Roles and classes are those of ``contracts/src/types/Codes.sol``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from ledger.chain.messages import Message
from ledger.ids import asset_text, parse_asset
from ledger.outbox.acts import ActRefused
from ledger.projection.rows import NO_PARENT
from ledger.store.tables.projection import (
    AssetRow,
    CouncilRow,
    DepartmentRow,
    GrantRow,
    SeatRow,
    ServiceKeyRow,
)

ADMIN, STEWARD, FINANCE, CDO, OVERSIGHT, EMERGENCY, BUREAU = (1 << n for n in range(7))
ATTEST, WITNESS, GATEWAY = (1 << n for n in range(8, 11))
ROLE_NAMES: Mapping[int, str] = {
    ADMIN: "ADMIN",
    STEWARD: "STEWARD",
    FINANCE: "FINANCE",
    CDO: "CDO",
    OVERSIGHT: "OVERSIGHT",
    EMERGENCY: "EMERGENCY",
    BUREAU: "BUREAU",
    ATTEST: "ATTEST",
    WITNESS: "WITNESS",
    GATEWAY: "GATEWAY",
}
MAY_SECOND = ADMIN | STEWARD | CDO
"""Who signs beside the ADMIN when a STEWARD is seated: a role that an ADMIN alone can give to nobody."""
GENERAL, IMPORTANT, CORE = 1, 2, 3
REMOVED_OR_ROTATED = 3
ACTIVE = 1
BARRED = 3

_seats: Table = SeatRow.__table__  # type: ignore[attr-defined]
_departments: Table = DepartmentRow.__table__  # type: ignore[attr-defined]
_councils: Table = CouncilRow.__table__  # type: ignore[attr-defined]
_assets: Table = AssetRow.__table__  # type: ignore[attr-defined]
_keys: Table = ServiceKeyRow.__table__  # type: ignore[attr-defined]
_grants: Table = GrantRow.__table__  # type: ignore[attr-defined]


class Refusal(Exception):
    """Carries an `ActRefused` out of a rule; never leaves this package."""

    def __init__(self, code: str, detail: str, member: str = "") -> None:
        super().__init__(detail)
        self.refused = ActRefused(code, detail, member)


@dataclass(frozen=True, slots=True)
class Bench:
    """The people who signed, against the seats as they stand at ``now`` (unix seconds)."""

    connection: Connection
    now: int

    # -- who they are

    def seat(self, address: str) -> Mapping[Any, Any]:
        """The seat of an officer or machine in office; refuses strangers and those out of office."""
        row = (
            self.connection.execute(select(_seats).where(_seats.c.holder == address)).mappings().one_or_none()
        )
        if row is None:
            raise Refusal("act.signer-unknown", f"{address} signed and holds no seat")
        if row["flags"] & REMOVED_OR_ROTATED or not row["not_before"] <= self.now <= row["not_after"]:
            raise Refusal("act.signer-not-in-office", f"{address} signed and is not in office")
        return row

    def council(self) -> tuple[list[str], int]:
        """Members of the council and how many of them an act needs."""
        row = self.connection.execute(select(_councils).where(_councils.c.id == 1)).mappings().one_or_none()
        return (json.loads(row["members"]), row["threshold"]) if row else ([], 0)

    def guardian(self) -> str:
        """Who may pause."""
        row = self.connection.execute(select(_councils.c.guardian).where(_councils.c.id == 1)).one_or_none()
        return row[0] if row else ""

    # -- what they may sign

    def member_of(self, address: str, department: int, roles: int) -> None:
        """An officer of this department with one of these roles at least."""
        seat = self.seat(address)
        if seat["department"] != department:
            raise Refusal(
                "act.signer-department",
                f"{address} is of department {seat['department']}, the act is department {department}'s",
            )
        self._has(address, seat, roles)

    def anyone_with(self, address: str, roles: int) -> None:
        """An officer of whatever department with one of these roles at least."""
        self._has(address, self.seat(address), roles)

    def member_or_bureau(self, address: str, department: int, roles: int) -> None:
        """An officer of this department with one of these roles, or the data bureau."""
        seat = self.seat(address)
        if not seat["roles"] & BUREAU:
            self.member_of(address, department, roles)

    def authority(self, signers: Sequence[str], department: int, roles: int) -> None:
        """One officer of the department with one of these roles, or a quorum of the council."""
        members, _ = self.council()
        if len(signers) == 1 and signers[0] not in members:
            self.member_of(signers[0], department, roles)
        else:
            self.council_quorum(signers)

    def authority_of_two(self, signers: Sequence[str], department: int, first: int, second: int) -> None:
        """Two officers of the department, of whom the one has the first role and the other one of the second roles, or a
        quorum of the council."""
        members, _ = self.council()
        if any(signer in members for signer in signers):
            self.council_quorum(signers)
            return
        if len(signers) != 2:
            raise Refusal(
                "act.quorum",
                f"{len(signers)} signed; a STEWARD is seated by an ADMIN and a second officer of the department"
                " (ADMIN, STEWARD or CDO), or by the council",
            )
        if signers[0] == signers[1]:
            raise Refusal("act.quorum", f"{signers[0]} signed twice")
        for signer, roles in zip(signers, (first, second), strict=True):
            self.member_of(signer, department, roles)

    def council_quorum(self, signers: Sequence[str]) -> None:
        """Distinct members of the council, as many as it takes."""
        members, threshold = self.council()
        for signer in signers:
            if signer not in members:
                raise Refusal("act.signer-unknown", f"{signer} signed and is not in the council")
        if len(set(signers)) < len(signers):
            raise Refusal("act.quorum", "a member of the council signed twice")
        if len(signers) < threshold:
            raise Refusal("act.quorum", f"{len(signers)} of the council signed, {threshold} are needed")

    def quorum(self, signers: Sequence[str], department: int, grade: int) -> None:
        """A steward; for important data the chief data officer too; for core data the bureau as well. In that
        order, by distinct people."""
        if len(signers) != grade:
            raise Refusal(
                "act.quorum",
                f"{len(signers)} signatures; {('general', 'important', 'core')[grade - 1]} data take {grade}",
            )
        if len(set(signers)) < len(signers):
            raise Refusal("act.quorum", "one officer signed twice where distinct officers are needed")
        self.member_of(signers[0], department, STEWARD)
        if grade >= IMPORTANT:
            self.member_of(signers[1], department, CDO)
        if grade == CORE:
            self.anyone_with(signers[2], BUREAU)

    def _has(self, address: str, seat: Mapping[Any, Any], roles: int) -> None:
        if not seat["roles"] & roles:
            wanted = " or ".join(name for bit, name in ROLE_NAMES.items() if bit & roles) or "of the council"
            raise Refusal("act.signer-role", f"{address} signed without the role {wanted}")

    # -- what they act on

    def asset(self, number: int) -> Mapping[Any, Any]:
        """A registered asset."""
        text = asset_text(number)
        row = self.connection.execute(select(_assets).where(_assets.c.id == text)).mappings().one_or_none()
        if row is None:
            raise Refusal("asset.unknown", f"asset {text} is not registered", "asset")
        return row

    def holder_of(self, number: int, right: int) -> int:
        """The department that may grant a right of an asset."""
        if right not in (1, 2, 3):
            raise Refusal("act.message", "a right is 1 (hold), 2 (use) or 3 (operate)", "right")
        return int(self.asset(number)[("holder", "processor", "operator")[right - 1]])

    def grade_of(self, number: int) -> int:
        """The asset's own grade; its lineage may ask for more, which the contract knows."""
        return int(self.asset(number)["grade"])

    def service_key(self, department: int, key: str) -> Mapping[Any, Any]:
        """A service key that has not been removed."""
        query = select(_keys).where(_keys.c.department == department, _keys.c.key == key)
        row = self.connection.execute(query).mappings().one_or_none()
        if row is None or row["removed"]:
            raise Refusal("act.key-unknown", f"department {department} has no such service key", "key")
        return row

    def grant(self, grant_id: str) -> Mapping[Any, Any]:
        """A recorded grant."""
        row = (
            self.connection.execute(select(_grants).where(_grants.c.id == grant_id)).mappings().one_or_none()
        )
        if row is None:
            raise Refusal("grant.unknown", f"there is no grant {grant_id}", "grant")
        return row

    def revoker_of(self, row: Mapping[Any, Any]) -> int:
        """The department whose officers may revoke a grant: the one that holds the right now."""
        if row["state"] != ACTIVE:
            raise Refusal("grant.not-active", f"grant {row['id']} is not active", "grant")
        return self.holder_of(parse_asset(row["asset"]), row["right"])

    def department(self, number: int) -> Mapping[Any, Any]:
        """An admitted department."""
        row = (
            self.connection.execute(select(_departments).where(_departments.c.number == number))
            .mappings()
            .one_or_none()
        )
        if row is None:
            raise Refusal("department.unknown", f"department {number} is not admitted", "department")
        return row


def grantor_of(bench: Bench, terms: Message) -> int:
    """The department that gives these terms: the holder of the right, or the grantee of the parent."""
    if terms["parent"] == NO_PARENT:
        return bench.holder_of(terms["asset"], terms["right"])
    return int(bench.grant(terms["parent"])["grantee"])
