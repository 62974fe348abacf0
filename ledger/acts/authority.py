"""Who may sign what: the contracts' rules on signers, checked against the records before a transaction is sent.

The contract decides. This check refuses an act earlier and with a clear message, and it alone decides whether a
revocation denies reads before it is mined. Clients use it before signing (`ledger.acts.signing`). Roles and
classes are those of ``contracts/src/types/Codes.sol``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.codes import ConditionStatus, DepartmentStatus, Grade, GrantStatus, Right, Role, SeatFlag
from ledger.acts.records import Records, Row
from ledger.acts.refusal import Refusal
from ledger.chain.limits import NOTHING
from ledger.chain.messages import Message
from ledger.counts import counted
from ledger.ids import asset_text, condition_text, parse_asset

WATCHING_ROLES = Role.ADMIN | Role.CDO | Role.OVERSIGHT
"""The roles that may remove a seat or service key before its term begins."""
REMOVED_OR_ROTATED = SeatFlag.REMOVED | SeatFlag.ROTATED
EVERY_ROLE = sum(Role)

STILL_TO_SIGN = "still to sign "
"""A placeholder in a list of signers, followed by a number: an officer who has not signed yet and may be any officer that
the act needs. It is not a valid address. Only clients use it, never the service."""


def _open(address: str) -> bool:
    return address.startswith(STILL_TO_SIGN)


@dataclass(frozen=True, slots=True)
class SignerRules:
    """Checks signers against the records at the time ``now`` (unix seconds). Every check raises `Refusal`."""

    records: Records
    now: int

    # -- identity

    def seat(self, address: str) -> Row:
        """The seat of an officer or machine; refuses unknown addresses and seats that are not in office."""
        if _open(address):
            return {"department": None, "roles": EVERY_ROLE}
        row = self.any_seat(address)
        if row["flags"] & REMOVED_OR_ROTATED or not row["not_before"] <= self.now <= row["not_after"]:
            raise Refusal("act.signer-not-in-office", f"{address} signed and is not in office")
        return row

    def any_seat(self, address: str, *, signed: bool = True) -> Row:
        """The seat of an officer or machine, in office or not; refuses unknown addresses."""
        row = self.records.seat(address)
        if row is None:
            said = "signed and holds" if signed else "holds"
            raise Refusal("act.signer-unknown", f"{address} {said} no seat")
        return row

    def holder_now(self, address: str) -> str:
        """The present holder of a seat, given an earlier holder: rotation and recovery move a seat to a new address."""
        seen = {address}
        while (following := self._successor(address)) and following not in seen:
            address = following
            seen.add(address)
        return address

    def epoch(self) -> int:
        """The number of the council in office, counted from 1; 0 when there is none."""
        return self.records.council().epoch

    def council(self) -> tuple[tuple[str, ...], int]:
        """The members of the council, and the number of them that must sign."""
        found = self.records.council()
        return found.members, found.threshold

    def guardian(self) -> str:
        """The address that may pause the contracts."""
        return self.records.council().guardian

    # -- permission to sign

    def member_of(self, address: str, department: int, roles: int) -> None:
        """Require an officer of this department with at least one of these roles."""
        seat = self.seat(address)
        if seat["department"] not in (None, department):
            raise Refusal(
                "act.signer-department",
                f"{address} is of department {seat['department']}, the act is department {department}'s",
            )
        self._has(address, seat, roles)

    def this_key(self, address: str, wanted: str, what: str) -> None:
        """Require this key as the signer; ``what`` names it in the message."""
        if not _open(address) and address.lower() != wanted.lower():
            raise Refusal("act.signer-role", f"{address} signed and is not {what}")

    def anyone_with(self, address: str, roles: int) -> None:
        """Require an officer of any department with at least one of these roles."""
        self._has(address, self.seat(address), roles)

    def bureau(self, address: str, *, not_of: Sequence[int] = ()) -> int:
        """Require an officer of the data bureau in an active department outside ``not_of``; returns the department."""
        seat = self.seat(address)
        self._has(address, seat, Role.BUREAU)
        if seat["department"] is None:
            return -1
        department = int(seat["department"])
        if department in not_of:
            raise Refusal(
                "act.signer-independent",
                f"{address} signed for the data bureau and is of department {department}, whose own act it is",
            )
        if self.department(department)["standing"] != DepartmentStatus.ACTIVE:
            raise Refusal("act.signer-department", f"department {department} of {address} is suspended")
        return department

    def overseers_of_two(self, signers: Sequence[str]) -> None:
        """Require OVERSIGHT officers of two different active departments."""
        departments: set[object] = set()
        for signer in signers:
            seat = self.seat(signer)
            self._has(signer, seat, Role.OVERSIGHT)
            if seat["department"] is None:
                departments.add(signer)
                continue
            if self.department(seat["department"])["standing"] != DepartmentStatus.ACTIVE:
                raise Refusal(
                    "act.signer-department", f"department {seat['department']} of {signer} is suspended"
                )
            departments.add(seat["department"])
        if len(departments) < len(signers):
            raise Refusal("act.signer-independent", "the signers are of one department; two departments sign")

    def member_or_bureau(self, address: str, department: int, roles: int) -> None:
        """Require an officer of this department with one of these roles, or an officer of the data bureau."""
        seat = self.seat(address)
        if not seat["roles"] & Role.BUREAU:
            self.member_of(address, department, roles)

    def authority(self, signers: Sequence[str], department: int, roles: int, epoch: int) -> None:
        """Require one officer of the department with one of these roles, or a quorum of the council of this epoch,
        optionally followed by an ADMIN of the department."""
        members, _ = self.council()
        if len(signers) == 1 and signers[0] not in members:
            self.member_of(signers[0], department, roles)
        else:
            self._council_and_admin(signers, department, epoch)

    def authority_of_two(
        self, signers: Sequence[str], department: int, first: int, second: int, epoch: int
    ) -> None:
        """Require two officers of the department, one with a role of ``first`` and one with a role of ``second``, or
        the council as in `authority`."""
        members, _ = self.council()
        if any(signer in members for signer in signers):
            self._council_and_admin(signers, department, epoch)
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

    def may_remove_early(self, signers: Sequence[str], department: int, begins: int) -> bool:
        """Whether the signer may remove a seat or key of this department whose term begins after now: an officer with a
        role of `WATCHING_ROLES`, or the recovery key, which the council alone cannot change."""
        if self.now >= begins or len(signers) != 1 or signers[0] in self.council()[0]:
            return False
        if signers[0].lower() == self.department(department)["recovery"].lower():
            return True
        seat = self.seat(signers[0])
        return bool(seat["department"] == department and seat["roles"] & WATCHING_ROLES)

    def _council_and_admin(self, signers: Sequence[str], department: int, epoch: int) -> None:
        members, _ = self.council()
        if len(signers) > 1 and signers[-1] not in members:
            self.member_of(signers[-1], department, Role.ADMIN)
            signers = signers[:-1]
        self.council_quorum(signers, epoch)

    def of_this_council(self, epoch: int) -> None:
        """Require that ``epoch`` is that of the council in office."""
        if epoch != self.epoch():
            raise Refusal(
                "act.council-epoch",
                f"the message is for the council of epoch {epoch}, in office is that of epoch {self.epoch()}",
                "epoch",
            )

    def council_quorum(self, signers: Sequence[str], epoch: int) -> None:
        """Require distinct members of the council of this epoch, at least its threshold."""
        self.of_this_council(epoch)
        members, threshold = self.council()
        for signer in signers:
            if signer not in members and not _open(signer):
                raise Refusal("act.signer-unknown", f"{signer} signed and is not in the council")
        if len(set(signers)) < len(signers):
            raise Refusal("act.quorum", "a member of the council signed twice")
        if len(signers) < threshold:
            raise Refusal("act.quorum", f"{len(signers)} of the council signed, {threshold} are needed")

    def quorum(self, signers: Sequence[str], department: int, grade: int) -> None:
        """Require the signers for data of this grade, all distinct and in this order: a steward; for important data
        also the chief data officer; for core data also the data bureau of another department."""
        if len(signers) != grade:
            raise Refusal(
                "act.quorum",
                f"{counted(len(signers), 'signature')}; {('general', 'important', 'core')[grade - 1]} data take {grade}",
            )
        if len(set(signers)) < len(signers):
            raise Refusal("act.quorum", "one officer signed twice where distinct officers are needed")
        self.member_of(signers[0], department, Role.STEWARD)
        if grade >= Grade.IMPORTANT:
            self.member_of(signers[1], department, Role.CDO)
        if grade == Grade.CORE:
            self.bureau(signers[2], not_of=[department])

    def _successor(self, address: str) -> str | None:
        row = self.records.seat(address)
        return row["successor"] if row else None

    def _has(self, address: str, seat: Row, roles: int) -> None:
        if not seat["roles"] & roles:
            wanted = " or ".join(str(role.name) for role in Role if role & roles) or "of the council"
            raise Refusal("act.signer-role", f"{address} signed without the role {wanted}")

    # -- the subject of the act

    def asset(self, number: int) -> Row:
        """A registered asset."""
        row = self.records.asset(number)
        if row is None:
            raise Refusal("asset.unknown", f"asset {asset_text(number)} is not registered", "asset")
        return row

    def holder_of(self, number: int, right: int) -> int:
        """The department that may grant a right of an asset."""
        if right not in tuple(Right):
            raise Refusal("act.message", "a right is 1 (hold), 2 (use) or 3 (operate)", "right")
        return int(self.asset(number)[("holder", "processor", "operator")[right - 1]])

    def grade_of(self, number: int) -> int:
        """The asset's own grade. Its lineage may require a higher one, which only the contract knows."""
        return int(self.asset(number)["grade"])

    def service_key(self, department: int, key: str) -> Row:
        """A service key that has not been removed."""
        row = self.records.service_key(department, key)
        if row is None or row["removed"]:
            raise Refusal("act.key-unknown", f"department {department} has no such service key", "key")
        return row

    def grant(self, grant_id: str) -> Row:
        """A recorded grant."""
        row = self.records.grant(grant_id)
        if row is None:
            raise Refusal("grant.unknown", f"there is no grant {grant_id}", "grant")
        return row

    def revoker_of(self, row: Row) -> int:
        """The department whose officers may revoke a grant: the present holder of the right. Refuses an inactive grant."""
        if row["state"] != GrantStatus.ACTIVE:
            raise Refusal("grant.not-active", f"grant {row['id']} is not active", "grant")
        return self.holder_of(parse_asset(row["asset"]), row["right"])

    def open_condition(self, number: int) -> None:
        """Require that the condition is open."""
        text, status = condition_text(number), self.records.condition(number)
        if status is None:
            raise Refusal("condition.unknown", f"condition {text} is not recorded", "condition")
        if status != ConditionStatus.OPEN:
            raise Refusal("condition.ended", f"condition {text} has ended", "condition")

    def department(self, number: int) -> Row:
        """An admitted department."""
        row = self.records.department(number)
        if row is None:
            raise Refusal("department.unknown", f"department {number} is not admitted", "department")
        return row


def grantor_of(rules: SignerRules, terms: Message) -> int:
    """The department that grants these terms: the holder of the right, or the grantee of the parent grant."""
    if terms["parent"] == NOTHING:
        return rules.holder_of(terms["asset"], terms["right"])
    return int(rules.grant(terms["parent"])["grantee"])
