"""Whose signatures each act needs, act by act: the contracts' rules over the projected seats and rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from contracts.codes import MAY_SECOND, Grade, GrantStatus, Role, Stopper
from ledger.acts.authority import grantor_of
from ledger.acts.office_rules import (
    admission,
    council,
    hand_over_called_off,
    new_seat,
    recovery,
    recovery_key,
    recovery_vetoed,
    rotation,
    seat_removed,
    service_key,
    service_key_removed,
    suspend_department,
)
from ledger.acts.refusal import Refusal
from ledger.acts.under_check import ActUnderCheck
from ledger.chain.client import Address
from ledger.chain.messages import Message, normalise, record_id
from ledger.counts import counted
from ledger.ids import department_of, parse_asset


def _new_asset(case: ActUnderCheck) -> None:
    department = department_of(case.message["asset"])
    case.bench.department(department)
    case.bench.member_of(case.everyone[0], department, Role.STEWARD)


def _by_holder(roles: int) -> Callable[[ActUnderCheck], None]:
    def rule(case: ActUnderCheck) -> None:
        holder = case.bench.asset(case.message["asset"])["holder"]
        case.bench.member_of(case.everyone[0], holder, roles)

    return rule


def _stops_asset(roles: int) -> Callable[[ActUnderCheck], None]:
    """The holder and the bureau stop an asset each for itself, and let go only what they stopped."""

    def rule(case: ActUnderCheck) -> None:
        asset, signer = case.bench.asset(case.message["asset"]), case.everyone[0]
        match case.message["by"]:
            case Stopper.HOLDER:
                case.bench.member_of(signer, asset["holder"], roles)
            case Stopper.BUREAU:
                case.bench.bureau(signer)
            case _:
                raise Refusal(
                    "act.message", "an asset is stopped by 1 (its holder) or 2 (the data bureau)", "by"
                )

    return rule


def _renew_parent(case: ActUnderCheck) -> None:
    holder = case.bench.asset(case.message["asset"])["holder"]
    case.bench.asset(case.message["parent"])
    case.bench.member_of(case.everyone[0], holder, Role.STEWARD)


def _retire(case: ActUnderCheck) -> None:
    bench, signers = case.bench, case.signers["signatures"]
    asset = bench.asset(case.message["asset"])
    if asset["grade"] != Grade.GENERAL or len(signers) > Grade.IMPORTANT:
        bench.quorum(signers, asset["holder"], _most(asset["grade"], signers))
        return
    if len(signers) != 2 or signers[0] == signers[1]:
        raise Refusal(
            "act.quorum",
            "an asset is retired by a STEWARD and a second officer of its holder (ADMIN, STEWARD or CDO)",
        )
    bench.member_of(signers[0], asset["holder"], Role.STEWARD)
    bench.member_of(signers[1], asset["holder"], MAY_SECOND)


def _reclassify(case: ActUnderCheck) -> None:
    asset = case.bench.asset(case.message["asset"])
    if len(case.everyone) == 1:
        case.bench.member_or_bureau(case.everyone[0], asset["holder"], Role.STEWARD | Role.CDO)
    else:
        case.bench.quorum(case.everyone, asset["holder"], _most(asset["grade"], case.everyone))


def _transfer(case: ActUnderCheck) -> None:
    bench, message = case.bench, case.message
    holder = bench.holder_of(message["asset"], message["right"])
    if holder != message["from"]:
        raise Refusal("asset.holder", f"department {holder} holds the right", "from")
    bench.department(message["to"])
    bench.quorum(
        case.signers["giver"], holder, _most(bench.grade_of(message["asset"]), case.signers["giver"])
    )
    bench.member_of(case.signers["taker"][0], message["to"], Role.STEWARD)


def _terms(case: ActUnderCheck) -> None:
    _quorum_over(case, [case.message])


def _grant_batch(case: ActUnderCheck) -> None:
    grants = case.message["grants"]
    if not grants:
        raise Refusal("act.message", "a batch holds at least one grant", "grants")
    _quorum_over(case, grants)


def _quorum_over(case: ActUnderCheck, grants: Sequence[Message]) -> None:
    bench = case.bench
    grantors = {grantor_of(bench, terms) for terms in grants}
    if len(grantors) != 1:
        raise Refusal("act.signer-department", "the grants of a batch are all by one department", "grants")
    for terms in grants:
        if terms["grantee"]:
            bench.department(terms["grantee"])
    grade = max(bench.grade_of(terms["asset"]) for terms in grants)
    officers = case.signers["signatures"]
    bench.quorum(officers, grantors.pop(), _most(grade, officers))
    for machine in case.signers.get("useSignature", ()):
        bench.anyone_with(machine, Role.ATTEST | Role.GATEWAY)


def _revoke(case: ActUnderCheck) -> None:
    _revokes(case, case.message["grant"])


def _revoke_batch(case: ActUnderCheck) -> None:
    """What cannot be revoked is passed over; a batch of nothing else is refused."""
    refusals: list[Refusal] = []
    grants = list(dict.fromkeys(case.message["grants"]))
    for grant in grants:
        try:
            _revokes(case, grant)
        except Refusal as refusal:
            refusals.append(refusal)
    if len(refusals) == len(grants):
        raise (
            refusals[0] if refusals else Refusal("act.message", "a batch names at least one grant", "grants")
        )


def _revokes(case: ActUnderCheck, grant: str) -> None:
    row = case.bench.grant(grant)
    department = case.bench.revoker_of(row)
    if "t" in case.arguments and row["parent"]:
        department = int(case.bench.grant(row["parent"])["grantee"])
    case.bench.member_of(case.everyone[0], department, Role.STEWARD | Role.CDO)


def _replace(case: ActUnderCheck) -> None:
    old, new = case.bench.grant(case.message["grant"]), case.bench.grant(case.message["by"])
    department = case.bench.revoker_of(old)
    same = all(old[name] == new[name] for name in ("asset", "right", "grantee"))
    direct = all(row["kind"] == "terms" and row["parent"] is None for row in (old, new))
    if new["state"] != GrantStatus.ACTIVE or old["id"] == new["id"] or not same or not direct:
        raise Refusal(
            "grant.replacement",
            "a direct grant is replaced by another active one of the same right of the same asset to the same department",
            "by",
        )
    case.bench.member_of(case.everyone[0], department, Role.STEWARD | Role.CDO)


def _correct_uses(case: ActUnderCheck) -> None:
    row = case.bench.grant(case.message["grant"])
    holder = case.bench.holder_of(parse_asset(row["asset"]), row["right"])
    if case.everyone[0] == case.everyone[1]:
        raise Refusal("act.quorum", f"{case.everyone[0]} signed twice")
    case.bench.member_of(case.signers["holder"][0], holder, Role.STEWARD | Role.CDO)
    case.bench.member_of(case.signers["grantee"][0], row["grantee"], Role.STEWARD | Role.CDO)
    if case.message["total"] >= row["uses"]:
        raise Refusal(
            "grant.total",
            f"{counted(row['uses'], 'use is', 'uses are')} on record; a correction is lower",
            "total",
        )


def _cancel(case: ActUnderCheck) -> None:
    """Nobody signs the terms beside the message: they are the grant's when its id is their hash."""
    terms = normalise("Terms", case.arguments["t"])
    if record_id("Terms", terms) != case.message["grant"]:
        raise Refusal("act.message", "the terms beside the message are not those of the grant", "grant")
    case.bench.member_of(case.everyone[0], grantor_of(case.bench, terms), Role.STEWARD | Role.CDO)


def _break_glass(case: ActUnderCheck) -> None:
    case.bench.asset(case.message["asset"])
    case.bench.member_of(case.everyone[0], case.message["grantee"], Role.EMERGENCY)
    for signer in case.everyone[1:]:
        case.bench.bureau(signer, not_of=[case.message["grantee"]])


def _with_role(roles: int) -> Callable[[ActUnderCheck], None]:
    def rule(case: ActUnderCheck) -> None:
        for signer in case.everyone:
            case.bench.anyone_with(signer, roles)

    return rule


def _finalise(case: ActUnderCheck) -> None:
    """Two people of the department that runs the pool."""
    operator = department_of(normalise("CommitStatement", case.arguments["statement"])["pool"])
    finance, oversight = case.signers["finance"][0], case.signers["oversight"][0]
    case.bench.member_of(finance, operator, Role.FINANCE)
    case.bench.member_of(oversight, operator, Role.OVERSIGHT)
    if finance == oversight:
        raise Refusal(
            "act.quorum", "one officer signed twice where distinct officers are needed", "oversight"
        )


def _guardian(case: ActUnderCheck) -> None:
    if case.everyone != [case.bench.guardian()]:
        raise Refusal("act.signer-role", "only the guardian may pause")


def _guardian_or_council(case: ActUnderCheck) -> None:
    if case.everyone != [case.bench.guardian()]:
        case.bench.council_quorum(case.everyone, case.message["epoch"])


def _open_condition(case: ActUnderCheck) -> None:
    keeper = department_of(case.message["condition"])
    case.bench.department(keeper)
    case.bench.member_of(case.everyone[0], keeper, Role.STEWARD | Role.ATTEST)


def _bind_condition(case: ActUnderCheck) -> None:
    case.bench.open_condition(case.message["condition"])
    department = case.bench.revoker_of(case.bench.grant(case.message["grant"]))
    case.bench.member_of(case.everyone[0], department, Role.STEWARD | Role.CDO)


def _close_condition(case: ActUnderCheck) -> None:
    case.bench.open_condition(case.message["condition"])
    case.bench.member_of(
        case.everyone[0], department_of(case.message["condition"]), Role.STEWARD | Role.ATTEST
    )


def _by_contract(case: ActUnderCheck) -> None:
    """Whose signatures these must be follows from more than the projection keeps: the contract says."""


def _most(grade: int, signers: Sequence[Address]) -> int:
    """The grade to judge by: a lineage may raise an asset's own, which shows in more signatures."""
    return max(grade, min(len(signers), Grade.CORE))


RULES: Mapping[str, Callable[[ActUnderCheck], None]] = {
    "Admission": admission,
    "CancelAdmission": council,
    "AddOfficer": new_seat("AddOfficer"),
    "RemoveOfficer": seat_removed("officer"),
    "AddAttestKey": new_seat("AddAttestKey"),
    "RemoveAttestKey": seat_removed("key"),
    "AddServiceKey": service_key,
    "RemoveServiceKey": service_key_removed,
    "RotateKey": rotation,
    "Recover": recovery,
    "VetoRecovery": recovery_vetoed,
    "OverrideVeto": council,
    "CancelRecovery": council,
    "SetRecoveryKey": recovery_key,
    "SuspendDepartment": suspend_department,
    "LiftDepartment": council,
    "ReplaceCouncil": _by_contract,
    "Pause": _guardian,
    "Unpause": _guardian_or_council,
    "HandOver": council,
    "CallOffHandOver": hand_over_called_off,
    "RestorePrivilege": council,
    "RegisterAsset": _new_asset,
    "DeriveAsset": _new_asset,
    "RenewParent": _renew_parent,
    "NewVersion": _by_holder(Role.STEWARD),
    "Reclassify": _reclassify,
    "SuspendAsset": _stops_asset(Role.STEWARD | Role.CDO),
    "LiftAsset": _stops_asset(Role.STEWARD),
    "RetireAsset": _retire,
    "TransferRight": _transfer,
    "Terms": _terms,
    "GrantBatch": _grant_batch,
    "Revoke": _revoke,
    "RevokeBatch": _revoke_batch,
    "ReplaceGrant": _replace,
    "Cancel": _cancel,
    "BreakGlass": _break_glass,
    "Ratify": _with_role(Role.OVERSIGHT),
    "Use": _with_role(Role.ATTEST | Role.GATEWAY),
    "UseBatch": _with_role(Role.ATTEST | Role.GATEWAY),
    "CorrectUses": _correct_uses,
    "TreeHead": _by_contract,
    "OpenLog": council,
    "NewEpoch": council,
    "SetBudget": _with_role(Role.FINANCE),
    "CommitStatement": _with_role(Role.FINANCE),
    "Dispute": _with_role(Role.FINANCE | Role.OVERSIGHT),
    "CloseDispute": _with_role(Role.FINANCE | Role.OVERSIGHT | Role.BUREAU),
    "Objection": _with_role(Role.FINANCE | Role.OVERSIGHT),
    "ShowLines": _with_role(Role.FINANCE | Role.OVERSIGHT),
    "Finalise": _finalise,
    "OpenCondition": _open_condition,
    "BindCondition": _bind_condition,
    "CloseCondition": _close_condition,
}
"""The rule for every message that a contract takes; a test holds it against the ABI."""
