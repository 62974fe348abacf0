"""Whose signatures each act needs, act by act: the contracts' rules over the projected seats and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.chain.client import Address
from ledger.chain.messages import Message, normalise
from ledger.ids import checksummed
from ledger.outbox.authority import (
    ADMIN,
    ATTEST,
    BARRED,
    BUREAU,
    CDO,
    CORE,
    EMERGENCY,
    FINANCE,
    GATEWAY,
    MAY_SECOND,
    OVERSIGHT,
    STEWARD,
    Bench,
    Refusal,
    grantor_of,
)

KEY_READER, KEY_AUDITOR = 1, 2


@dataclass(frozen=True, slots=True)
class Case:
    """An act, who signed each slot, and the bench that judges them."""

    bench: Bench
    message: Message
    arguments: Mapping[str, Any]
    signers: Mapping[str, tuple[Address, ...]]

    @property
    def everyone(self) -> list[Address]:
        """The signers of every slot, in order."""
        return [signer for slot in self.signers.values() for signer in slot]


def _council(case: Case) -> None:
    case.bench.council_quorum(case.everyone)


def _admission(case: Case) -> None:
    if "council" in case.signers:
        case.bench.council_quorum(case.signers["council"])
    seats = [seat["holder"] for seat in case.message["seats"]]
    _possession(case, seats)


def _possession(case: Case, incoming: list[str]) -> None:
    """Whoever comes in has signed."""
    given = case.signers.get("possession")
    if given is not None and [a.lower() for a in given] != [a.lower() for a in incoming]:
        raise Refusal("act.possession", "an address that comes in has not signed the message", "possession")


def _new_seat(member: str) -> Callable[[Case], None]:
    def rule(case: Case) -> None:
        department, signers = case.message["department"], case.signers["authority"]
        case.bench.department(department)
        if case.message["roles"] & STEWARD:
            case.bench.authority_of_two(signers, department, ADMIN, MAY_SECOND)
        else:
            case.bench.authority(signers, department, ADMIN)
        _possession(case, [case.message[member]])

    return rule


def _seat_removed(member: str) -> Callable[[Case], None]:
    def rule(case: Case) -> None:
        signers, leaving = case.signers["authority"], case.message[member].lower()
        if [s.lower() for s in signers] != [leaving]:
            department = case.bench.seat(checksummed(bytes.fromhex(leaving[2:])))["department"]
            case.bench.authority(signers, department, ADMIN)

    return rule


def _service_key(case: Case) -> None:
    department = case.message["department"]
    case.bench.department(department)
    case.bench.authority(case.signers["authority"], department, _key_giver(case.message["roles"]))


def _service_key_removed(case: Case) -> None:
    department = case.message["department"]
    roles = case.bench.service_key(department, case.message["key"])["roles"]
    case.bench.authority(case.signers["authority"], department, _key_giver(roles))


def _key_giver(roles: int) -> int:
    """Who gives and takes keys with these roles; 0, which nobody has, leaves it to the council."""
    return {KEY_READER: ADMIN, KEY_AUDITOR: OVERSIGHT}.get(roles, 0)


def _new_asset(case: Case) -> None:
    department = case.message["asset"] >> 40
    case.bench.department(department)
    case.bench.member_of(case.everyone[0], department, STEWARD)


def _by_holder(roles: int) -> Callable[[Case], None]:
    def rule(case: Case) -> None:
        holder = case.bench.asset(case.message["asset"])["holder"]
        case.bench.member_of(case.everyone[0], holder, roles)

    return rule


def _suspend_asset(case: Case) -> None:
    holder = case.bench.asset(case.message["asset"])["holder"]
    case.bench.member_or_bureau(case.everyone[0], holder, STEWARD | CDO)


def _lift_asset(case: Case) -> None:
    asset = case.bench.asset(case.message["asset"])
    if asset["status"] == BARRED:
        case.bench.anyone_with(case.everyone[0], BUREAU)
    else:
        case.bench.member_of(case.everyone[0], asset["holder"], STEWARD)


def _retire(case: Case) -> None:
    asset = case.bench.asset(case.message["asset"])
    case.bench.quorum(case.signers["signatures"], asset["holder"], _most(asset["grade"], case.everyone))


def _reclassify(case: Case) -> None:
    asset = case.bench.asset(case.message["asset"])
    if len(case.everyone) == 1:
        case.bench.member_or_bureau(case.everyone[0], asset["holder"], STEWARD | CDO)
    else:
        case.bench.quorum(case.everyone, asset["holder"], _most(asset["grade"], case.everyone))


def _transfer(case: Case) -> None:
    bench, message = case.bench, case.message
    holder = bench.holder_of(message["asset"], message["right"])
    if holder != message["from"]:
        raise Refusal("asset.holder", f"department {holder} holds the right", "from")
    bench.department(message["to"])
    bench.quorum(
        case.signers["giver"], holder, _most(bench.grade_of(message["asset"]), case.signers["giver"])
    )
    bench.member_of(case.signers["taker"][0], message["to"], STEWARD)


def _terms(case: Case) -> None:
    _quorum_over(case, [case.message])


def _grant_batch(case: Case) -> None:
    grants = case.message["grants"]
    if not grants:
        raise Refusal("act.message", "a batch holds at least one grant", "grants")
    _quorum_over(case, grants)


def _quorum_over(case: Case, grants: Sequence[Message]) -> None:
    bench = case.bench
    grantors = {grantor_of(bench, terms) for terms in grants}
    if len(grantors) != 1:
        raise Refusal("act.signer-department", "the grants of a batch are all by one department", "grants")
    for terms in grants:
        if terms["grantee"]:
            bench.department(terms["grantee"])
    grade = max(bench.grade_of(terms["asset"]) for terms in grants)
    bench.quorum(case.everyone, grantors.pop(), _most(grade, case.everyone))


def _revoke(case: Case) -> None:
    _revokes(case, [case.message["grant"]])


def _revoke_batch(case: Case) -> None:
    _revokes(case, case.message["grants"])


def _revokes(case: Case, grants: list[str]) -> None:
    delegated = "t" in case.arguments
    for grant in grants:
        row = case.bench.grant(grant)
        department = case.bench.revoker_of(row)
        if delegated and row["parent"]:
            department = int(case.bench.grant(row["parent"])["grantee"])
        case.bench.member_of(case.everyone[0], department, STEWARD | CDO)


def _cancel(case: Case) -> None:
    terms = normalise("Terms", case.arguments["t"])
    case.bench.member_of(case.everyone[0], grantor_of(case.bench, terms), STEWARD | CDO)


def _break_glass(case: Case) -> None:
    case.bench.asset(case.message["asset"])
    case.bench.member_of(case.everyone[0], case.message["grantee"], EMERGENCY)
    for signer in case.everyone[1:]:
        case.bench.anyone_with(signer, BUREAU)


def _with_role(roles: int) -> Callable[[Case], None]:
    def rule(case: Case) -> None:
        for signer in case.everyone:
            case.bench.anyone_with(signer, roles)

    return rule


def _suspend_department(case: Case) -> None:
    department = case.message["department"]
    case.bench.department(department)
    signers = case.everyone
    if len(signers) == 1 and signers[0] not in case.bench.council()[0]:
        case.bench.member_or_bureau(signers[0], department, ADMIN | CDO | OVERSIGHT)
    else:
        case.bench.council_quorum(signers)


def _guardian(case: Case) -> None:
    if case.everyone != [case.bench.guardian()]:
        raise Refusal("act.signer-role", "only the guardian may pause")


def _guardian_or_council(case: Case) -> None:
    if case.everyone != [case.bench.guardian()]:
        case.bench.council_quorum(case.everyone)


def _by_contract(case: Case) -> None:
    """Whose signatures these must be follows from more than the projection keeps: the contract says."""


def _most(grade: int, signers: Sequence[Address]) -> int:
    """The grade to judge by: a lineage may raise an asset's own, which shows in more signatures."""
    return max(grade, min(len(signers), CORE))


RULES: Mapping[str, Callable[[Case], None]] = {
    "Admission": _admission,
    "CancelAdmission": _council,
    "AddOfficer": _new_seat("officer"),
    "RemoveOfficer": _seat_removed("officer"),
    "AddAttestKey": _new_seat("key"),
    "RemoveAttestKey": _seat_removed("key"),
    "AddServiceKey": _service_key,
    "RemoveServiceKey": _service_key_removed,
    "RotateKey": _by_contract,
    "Recover": _by_contract,
    "VetoRecovery": _by_contract,
    "OverrideVeto": _council,
    "SetRecoveryKey": _by_contract,
    "SuspendDepartment": _suspend_department,
    "LiftDepartment": _council,
    "ReplaceCouncil": _by_contract,
    "Pause": _guardian,
    "Unpause": _guardian_or_council,
    "Supersede": _council,
    "RestorePrivilege": _council,
    "RegisterAsset": _new_asset,
    "DeriveAsset": _new_asset,
    "NewVersion": _by_holder(STEWARD),
    "Reclassify": _reclassify,
    "SuspendAsset": _suspend_asset,
    "LiftAsset": _lift_asset,
    "RetireAsset": _retire,
    "TransferRight": _transfer,
    "Terms": _terms,
    "GrantBatch": _grant_batch,
    "Revoke": _revoke,
    "RevokeBatch": _revoke_batch,
    "Cancel": _cancel,
    "BreakGlass": _break_glass,
    "Ratify": _with_role(OVERSIGHT),
    "Use": _with_role(ATTEST | GATEWAY),
    "UseBatch": _with_role(ATTEST | GATEWAY),
    "TreeHead": _by_contract,
    "OpenLog": _council,
    "NewEpoch": _council,
    "SetBudget": _with_role(FINANCE),
    "CommitStatement": _with_role(FINANCE),
    "Dispute": _with_role(FINANCE | OVERSIGHT),
    "CloseDispute": _with_role(FINANCE | OVERSIGHT | BUREAU),
    "Finalise": _with_role(FINANCE),
}
"""The rule for every message that a contract takes; a test holds it against the ABI."""
