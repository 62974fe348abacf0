"""The signatures that each type of act needs: the contracts' rules, applied to the records."""

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


def _new_asset(act: ActUnderCheck) -> None:
    department = department_of(act.message["asset"])
    act.rules.department(department)
    act.rules.member_of(act.everyone[0], department, Role.STEWARD)


def _by_holder(roles: int) -> Callable[[ActUnderCheck], None]:
    def rule(act: ActUnderCheck) -> None:
        holder = act.rules.asset(act.message["asset"])["holder"]
        act.rules.member_of(act.everyone[0], holder, roles)

    return rule


def _stops_asset(roles: int) -> Callable[[ActUnderCheck], None]:
    """The holder and the data bureau may each suspend an asset, and each lifts only its own suspension."""

    def rule(act: ActUnderCheck) -> None:
        asset, signer = act.rules.asset(act.message["asset"]), act.everyone[0]
        match act.message["by"]:
            case Stopper.HOLDER:
                act.rules.member_of(signer, asset["holder"], roles)
            case Stopper.BUREAU:
                act.rules.bureau(signer)
            case _:
                raise Refusal(
                    "act.message", "an asset is stopped by 1 (its holder) or 2 (the data bureau)", "by"
                )

    return rule


def _renew_parent(act: ActUnderCheck) -> None:
    holder = act.rules.asset(act.message["asset"])["holder"]
    act.rules.asset(act.message["parent"])
    act.rules.member_of(act.everyone[0], holder, Role.STEWARD)


def _retire(act: ActUnderCheck) -> None:
    rules, signers = act.rules, act.signers["signatures"]
    asset = rules.asset(act.message["asset"])
    if asset["grade"] != Grade.GENERAL or len(signers) > Grade.IMPORTANT:
        rules.quorum(signers, asset["holder"], _most(asset["grade"], signers))
        return
    if len(signers) != 2 or signers[0] == signers[1]:
        raise Refusal(
            "act.quorum",
            "an asset is retired by a STEWARD and a second officer of its holder (ADMIN, STEWARD or CDO)",
        )
    rules.member_of(signers[0], asset["holder"], Role.STEWARD)
    rules.member_of(signers[1], asset["holder"], MAY_SECOND)


def _reclassify(act: ActUnderCheck) -> None:
    asset = act.rules.asset(act.message["asset"])
    if len(act.everyone) == 1:
        act.rules.member_or_bureau(act.everyone[0], asset["holder"], Role.STEWARD | Role.CDO)
    else:
        act.rules.quorum(act.everyone, asset["holder"], _most(asset["grade"], act.everyone))


def _transfer(act: ActUnderCheck) -> None:
    rules, message = act.rules, act.message
    holder = rules.holder_of(message["asset"], message["right"])
    if holder != message["from"]:
        raise Refusal("asset.holder", f"department {holder} holds the right", "from")
    rules.department(message["to"])
    rules.quorum(act.signers["giver"], holder, _most(rules.grade_of(message["asset"]), act.signers["giver"]))
    rules.member_of(act.signers["taker"][0], message["to"], Role.STEWARD)


def _terms(act: ActUnderCheck) -> None:
    _quorum_over(act, [act.message])


def _grant_batch(act: ActUnderCheck) -> None:
    grants = act.message["grants"]
    if not grants:
        raise Refusal("act.message", "a batch holds at least one grant", "grants")
    _quorum_over(act, grants)


def _quorum_over(act: ActUnderCheck, grants: Sequence[Message]) -> None:
    rules = act.rules
    grantors = {grantor_of(rules, terms) for terms in grants}
    if len(grantors) != 1:
        raise Refusal("act.signer-department", "the grants of a batch are all by one department", "grants")
    for terms in grants:
        if terms["grantee"]:
            rules.department(terms["grantee"])
    grade = max(rules.grade_of(terms["asset"]) for terms in grants)
    officers = act.signers["signatures"]
    rules.quorum(officers, grantors.pop(), _most(grade, officers))
    for machine in act.signers.get("useSignature", ()):
        rules.anyone_with(machine, Role.ATTEST | Role.GATEWAY)


def _revoke(act: ActUnderCheck) -> None:
    _revokes(act, act.message["grant"])


def _revoke_batch(act: ActUnderCheck) -> None:
    """The contract skips grants that cannot be revoked; a batch without any other grant is refused."""
    refusals: list[Refusal] = []
    grants = list(dict.fromkeys(act.message["grants"]))
    for grant in grants:
        try:
            _revokes(act, grant)
        except Refusal as refusal:
            refusals.append(refusal)
    if len(refusals) == len(grants):
        raise (
            refusals[0] if refusals else Refusal("act.message", "a batch names at least one grant", "grants")
        )


def _revokes(act: ActUnderCheck, grant: str) -> None:
    row = act.rules.grant(grant)
    department = act.rules.revoker_of(row)
    if "t" in act.arguments and row["parent"]:
        department = int(act.rules.grant(row["parent"])["grantee"])
    act.rules.member_of(act.everyone[0], department, Role.STEWARD | Role.CDO)


def _replace(act: ActUnderCheck) -> None:
    old, new = act.rules.grant(act.message["grant"]), act.rules.grant(act.message["by"])
    department = act.rules.revoker_of(old)
    same = all(old[name] == new[name] for name in ("asset", "right", "grantee"))
    direct = all(row["kind"] == "terms" and row["parent"] is None for row in (old, new))
    if new["state"] != GrantStatus.ACTIVE or old["id"] == new["id"] or not same or not direct:
        raise Refusal(
            "grant.replacement",
            "a direct grant is replaced by another active one of the same right of the same asset to the same department",
            "by",
        )
    act.rules.member_of(act.everyone[0], department, Role.STEWARD | Role.CDO)


def _correct_uses(act: ActUnderCheck) -> None:
    row = act.rules.grant(act.message["grant"])
    holder = act.rules.holder_of(parse_asset(row["asset"]), row["right"])
    if act.everyone[0] == act.everyone[1]:
        raise Refusal("act.quorum", f"{act.everyone[0]} signed twice")
    act.rules.member_of(act.signers["holder"][0], holder, Role.STEWARD | Role.CDO)
    act.rules.member_of(act.signers["grantee"][0], row["grantee"], Role.STEWARD | Role.CDO)
    if act.message["total"] >= row["uses"]:
        raise Refusal(
            "grant.total",
            f"{counted(row['uses'], 'use is', 'uses are')} on record; a correction is lower",
            "total",
        )


def _cancel(act: ActUnderCheck) -> None:
    """The terms in the arguments are not signed: they are those of the grant when their hash is its id."""
    terms = normalise("Terms", act.arguments["t"])
    if record_id("Terms", terms) != act.message["grant"]:
        raise Refusal("act.message", "the terms beside the message are not those of the grant", "grant")
    act.rules.member_of(act.everyone[0], grantor_of(act.rules, terms), Role.STEWARD | Role.CDO)


def _break_glass(act: ActUnderCheck) -> None:
    act.rules.asset(act.message["asset"])
    act.rules.member_of(act.everyone[0], act.message["grantee"], Role.EMERGENCY)
    for signer in act.everyone[1:]:
        act.rules.bureau(signer, not_of=[act.message["grantee"]])


def _with_role(roles: int) -> Callable[[ActUnderCheck], None]:
    def rule(act: ActUnderCheck) -> None:
        for signer in act.everyone:
            act.rules.anyone_with(signer, roles)

    return rule


def _finalise(act: ActUnderCheck) -> None:
    """Require two officers of the department that manages the cost pool."""
    operator = department_of(normalise("CommitStatement", act.arguments["statement"])["pool"])
    finance, oversight = act.signers["finance"][0], act.signers["oversight"][0]
    act.rules.member_of(finance, operator, Role.FINANCE)
    act.rules.member_of(oversight, operator, Role.OVERSIGHT)
    if finance == oversight:
        raise Refusal(
            "act.quorum", "one officer signed twice where distinct officers are needed", "oversight"
        )


def _guardian(act: ActUnderCheck) -> None:
    if act.everyone != [act.rules.guardian()]:
        raise Refusal("act.signer-role", "only the guardian may pause")


def _guardian_or_council(act: ActUnderCheck) -> None:
    if act.everyone != [act.rules.guardian()]:
        act.rules.council_quorum(act.everyone, act.message["epoch"])


def _open_condition(act: ActUnderCheck) -> None:
    keeper = department_of(act.message["condition"])
    act.rules.department(keeper)
    act.rules.member_of(act.everyone[0], keeper, Role.STEWARD | Role.ATTEST)


def _bind_condition(act: ActUnderCheck) -> None:
    act.rules.open_condition(act.message["condition"])
    department = act.rules.revoker_of(act.rules.grant(act.message["grant"]))
    act.rules.member_of(act.everyone[0], department, Role.STEWARD | Role.CDO)


def _close_condition(act: ActUnderCheck) -> None:
    act.rules.open_condition(act.message["condition"])
    act.rules.member_of(act.everyone[0], department_of(act.message["condition"]), Role.STEWARD | Role.ATTEST)


def _by_contract(act: ActUnderCheck) -> None:
    """No check: the required signers depend on data that the projection does not hold. The contract checks them."""


def _most(grade: int, signers: Sequence[Address]) -> int:
    """The grade to check against. A lineage may require a higher grade than the asset's own; the number of signatures
    then shows it."""
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
"""The rule for every type of message that a contract accepts; a test compares it with the ABI."""
