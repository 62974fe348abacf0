"""The signatures that acts on departments, officers and keys need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from contracts.codes import MAY_SECOND, Role, ServiceRole
from ledger.acts.authority import WATCHING_ROLES
from ledger.acts.refusal import Refusal
from ledger.acts.under_check import ActUnderCheck
from ledger.chain.messages import Message
from ledger.ids import checksummed


def council(act: ActUnderCheck) -> None:
    act.rules.council_quorum(act.everyone, act.message["epoch"])


def admission(act: ActUnderCheck) -> None:
    act.rules.of_this_council(act.message["epoch"])
    if "council" in act.signers:
        act.rules.council_quorum(act.signers["council"], act.message["epoch"])
    _possession(act, "Admission")


_NEW_HOLDERS: Mapping[str, Callable[[Message], list[str]]] = {
    "Admission": lambda message: [seat["holder"] for seat in message["seats"]],
    "AddOfficer": lambda message: [message["officer"]],
    "AddAttestKey": lambda message: [message["key"]],
}


def new_holders(kind: str, message: Message) -> list[str]:
    """The new holders of a message, who prove possession of their keys with signatures after those of the deciding
    officers: addresses in lower case, in the order of the message."""
    addresses = _NEW_HOLDERS.get(kind)
    return [] if addresses is None else [address.lower() for address in addresses(message)]


def _possession(act: ActUnderCheck, kind: str) -> None:
    """Require the signatures of the new holders."""
    given = act.signers.get("possession")
    if given is not None and [a.lower() for a in given] != new_holders(kind, act.message):
        raise Refusal("act.possession", "an address that comes in has not signed the message", "possession")


def new_seat(kind: str) -> Callable[[ActUnderCheck], None]:
    def rule(act: ActUnderCheck) -> None:
        department, signers = act.message["department"], act.signers["authority"]
        act.rules.department(department)
        if act.message["roles"] & Role.STEWARD:
            act.rules.authority_of_two(signers, department, Role.ADMIN, MAY_SECOND, act.message["epoch"])
        else:
            act.rules.authority(signers, department, Role.ADMIN, act.message["epoch"])
        _possession(act, kind)

    return rule


def seat_removed(member: str) -> Callable[[ActUnderCheck], None]:
    def rule(act: ActUnderCheck) -> None:
        signers, rules = act.signers["authority"], act.rules
        leaving = rules.holder_now(checksummed(bytes.fromhex(act.message[member][2:])))
        if list(signers) == [leaving]:
            return
        seat = rules.any_seat(leaving, signed=False)
        if not rules.may_remove_early(signers, seat["department"], seat["not_before"]):
            rules.authority(signers, seat["department"], Role.ADMIN, act.message["epoch"])

    return rule


def recovery(act: ActUnderCheck) -> None:
    """Require the department's recovery key, the new address, and the council."""
    department = act.message["department"]
    first, second = _two(act.signers["signatures"])
    act.rules.this_key(
        first,
        act.rules.department(department)["recovery"],
        f"the recovery key of department {department}",
    )
    act.rules.this_key(second, act.message["to"], "the new address")
    act.rules.council_quorum(act.signers["council"], act.message["epoch"])


def recovery_vetoed(act: ActUnderCheck) -> None:
    act.rules.this_key(act.everyone[0], act.arguments["from"], "the address that the recovery replaces")


def recovery_key(act: ActUnderCheck) -> None:
    act.rules.member_of(act.signers["signature"][0], act.message["department"], Role.ADMIN)
    act.rules.council_quorum(act.signers["council"], act.message["epoch"])


def rotation(act: ActUnderCheck) -> None:
    """Require the old address, then the new one."""
    first, second = _two(act.everyone)
    act.rules.this_key(first, act.message["from"], "the old address")
    act.rules.this_key(second, act.message["to"], "the new address")


def _two(signers: Sequence[str]) -> tuple[str, str]:
    if len(signers) != 2:
        raise Refusal("act.quorum", f"{len(signers)} signed, the old and the new key are needed")
    return signers[0], signers[1]


def service_key(act: ActUnderCheck) -> None:
    department = act.message["department"]
    act.rules.department(department)
    signers, roles = act.signers["authority"], act.message["roles"]
    act.rules.authority(signers, department, _roles_to_add_keys(roles), act.message["epoch"])


def service_key_removed(act: ActUnderCheck) -> None:
    department = act.message["department"]
    key, signers = act.rules.service_key(department, act.message["key"]), act.signers["authority"]
    if not act.rules.may_remove_early(signers, department, key["not_before"]):
        taker = 0 if key["roles"] & ServiceRole.CITY_AUDITOR else _manager_of_keys(key["roles"])
        act.rules.authority(signers, department, taker, act.message["epoch"])


def _roles_to_add_keys(roles: int) -> int:
    """The roles that may add keys with these roles; 0, which no officer has, leaves it to the council."""
    return _manager_of_keys(roles) if roles <= ServiceRole.AUDITOR else 0


def _manager_of_keys(roles: int) -> int:
    """The roles that may add or remove keys with these roles. OVERSIGHT manages auditors' keys, so that an audited
    department does not choose its auditor."""
    return Role.OVERSIGHT if roles & ServiceRole.AUDITOR else Role.ADMIN


def hand_over_called_off(act: ActUnderCheck) -> None:
    signers, rules = act.everyone, act.rules
    if len(signers) == 2 and signers[0] not in rules.council()[0]:
        rules.overseers_of_two(signers)
    else:
        rules.council_quorum(signers, act.message["epoch"])


def suspend_department(act: ActUnderCheck) -> None:
    department = act.message["department"]
    act.rules.department(department)
    signers, rules = act.everyone, act.rules
    if signers[0] in rules.council()[0] or len(signers) > 2:
        rules.council_quorum(signers, act.message["epoch"])
    elif len(signers) == 1:
        rules.member_of(signers[0], department, WATCHING_ROLES)
    else:
        first = rules.bureau(signers[0], not_of=[department])
        rules.bureau(signers[1], not_of=[department, first])
