"""Who may sign what, by the records: the contracts' rules, asked early.

The contract decides; this gives a clear answer before a transaction is spent, and it alone decides whether a
revocation denies reads before it is mined. A client asks the same before anybody signs (`ledger.acts.signing`). Roles and
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

WATCH = Role.ADMIN | Role.CDO | Role.OVERSIGHT
"""Who takes a seat or service key away before it begins."""
REMOVED_OR_ROTATED = SeatFlag.REMOVED | SeatFlag.ROTATED
EVERY_ROLE = sum(Role)

STILL_TO_SIGN = "still to sign "
"""Stands in the list of signers, with a number behind it, for an officer who has not signed yet and may be whoever the act
needs. No address is spelled like this: a client asks with it, and the service never does."""


def _open(address: str) -> bool:
    return address.startswith(STILL_TO_SIGN)


@dataclass(frozen=True, slots=True)
class SignerRules:
    """The people who signed, against the seats as they stand at ``now`` (unix seconds)."""

    records: Records
    now: int

    # -- who they are

    def seat(self, address: str) -> Row:
        """The seat of an officer or machine in office; refuses strangers and those out of office."""
        if _open(address):
            return {"department": None, "roles": EVERY_ROLE}
        row = self.any_seat(address)
        if row["flags"] & REMOVED_OR_ROTATED or not row["not_before"] <= self.now <= row["not_after"]:
            raise Refusal("act.signer-not-in-office", f"{address} signed and is not in office")
        return row

    def any_seat(self, address: str, *, signed: bool = True) -> Row:
        """The seat of an officer or machine, whether or not it is in office; refuses strangers."""
        row = self.records.seat(address)
        if row is None:
            said = "signed and holds" if signed else "holds"
            raise Refusal("act.signer-unknown", f"{address} {said} no seat")
        return row

    def holder_now(self, address: str) -> str:
        """Who holds now what this address held: a seat passes on by rotation and recovery."""
        seen = {address}
        while (following := self._successor(address)) and following not in seen:
            address = following
            seen.add(address)
        return address

    def epoch(self) -> int:
        """Which council is in office, counted from 1."""
        return self.records.council().epoch

    def council(self) -> tuple[tuple[str, ...], int]:
        """Members of the council and how many of them an act needs."""
        found = self.records.council()
        return found.members, found.threshold

    def guardian(self) -> str:
        """Who may pause."""
        return self.records.council().guardian

    # -- what they may sign

    def member_of(self, address: str, department: int, roles: int) -> None:
        """An officer of this department with one of these roles at least."""
        seat = self.seat(address)
        if seat["department"] not in (None, department):
            raise Refusal(
                "act.signer-department",
                f"{address} is of department {seat['department']}, the act is department {department}'s",
            )
        self._has(address, seat, roles)

    def this_key(self, address: str, wanted: str, what: str) -> None:
        """The one key that signs; ``what`` says in words which it is."""
        if not _open(address) and address.lower() != wanted.lower():
            raise Refusal("act.signer-role", f"{address} signed and is not {what}")

    def anyone_with(self, address: str, roles: int) -> None:
        """An officer of whatever department with one of these roles at least."""
        self._has(address, self.seat(address), roles)

    def bureau(self, address: str, *, not_of: Sequence[int] = ()) -> int:
        """The data bureau of an active department that is none of these; that department."""
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
        """Officers who oversee two different active departments."""
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
        """An officer of this department with one of these roles, or the data bureau."""
        seat = self.seat(address)
        if not seat["roles"] & Role.BUREAU:
            self.member_of(address, department, roles)

    def authority(self, signers: Sequence[str], department: int, roles: int, epoch: int) -> None:
        """One officer of the department with one of these roles, or a quorum of the council of this epoch, with an ADMIN
        of the department behind it or without."""
        members, _ = self.council()
        if len(signers) == 1 and signers[0] not in members:
            self.member_of(signers[0], department, roles)
        else:
            self._council_and_admin(signers, department, epoch)

    def authority_of_two(
        self, signers: Sequence[str], department: int, first: int, second: int, epoch: int
    ) -> None:
        """Two officers of the department, of whom the one has the first role and the other one of the second roles, or
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

    def watches(self, signers: Sequence[str], department: int, begins: int) -> bool:
        """Whether one signed who takes away in this department what has not begun yet: who watches over it, or the
        recovery key, which the council alone cannot change."""
        if self.now >= begins or len(signers) != 1 or signers[0] in self.council()[0]:
            return False
        if signers[0].lower() == self.department(department)["recovery"].lower():
            return True
        seat = self.seat(signers[0])
        return bool(seat["department"] == department and seat["roles"] & WATCH)

    def _council_and_admin(self, signers: Sequence[str], department: int, epoch: int) -> None:
        members, _ = self.council()
        if len(signers) > 1 and signers[-1] not in members:
            self.member_of(signers[-1], department, Role.ADMIN)
            signers = signers[:-1]
        self.council_quorum(signers, epoch)

    def of_this_council(self, epoch: int) -> None:
        """The message names the council that is in office."""
        if epoch != self.epoch():
            raise Refusal(
                "act.council-epoch",
                f"the message is for the council of epoch {epoch}, in office is that of epoch {self.epoch()}",
                "epoch",
            )

    def council_quorum(self, signers: Sequence[str], epoch: int) -> None:
        """Distinct members of the council, as many as it takes; the message names its epoch."""
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
        """A steward; for important data the chief data officer too; for core data the bureau as well. In that
        order, by distinct people."""
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

    # -- what they act on

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
        """The asset's own grade; its lineage may ask for more, which the contract knows."""
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
        """The department whose officers may revoke a grant: the one that holds the right now."""
        if row["state"] != GrantStatus.ACTIVE:
            raise Refusal("grant.not-active", f"grant {row['id']} is not active", "grant")
        return self.holder_of(parse_asset(row["asset"]), row["right"])

    def open_condition(self, number: int) -> None:
        """A condition that is open."""
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


def grantor_of(bench: SignerRules, terms: Message) -> int:
    """The department that gives these terms: the holder of the right, or the grantee of the parent."""
    if terms["parent"] == NOTHING:
        return bench.holder_of(terms["asset"], terms["right"])
    return int(bench.grant(terms["parent"])["grantee"])
