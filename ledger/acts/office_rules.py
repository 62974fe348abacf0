"""Whose signatures the acts on departments, officers and keys need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from contracts.codes import MAY_SECOND, Role, ServiceRole
from ledger.acts.authority import WATCH
from ledger.acts.refusal import Refusal
from ledger.acts.under_check import ActUnderCheck
from ledger.chain.messages import Message
from ledger.ids import checksummed


def council(case: ActUnderCheck) -> None:
    case.bench.council_quorum(case.everyone, case.message["epoch"])


def admission(case: ActUnderCheck) -> None:
    case.bench.of_this_council(case.message["epoch"])
    if "council" in case.signers:
        case.bench.council_quorum(case.signers["council"], case.message["epoch"])
    _possession(case, "Admission")


_COMING_IN: Mapping[str, Callable[[Message], list[str]]] = {
    "Admission": lambda message: [seat["holder"] for seat in message["seats"]],
    "AddOfficer": lambda message: [message["officer"]],
    "AddAttestKey": lambda message: [message["key"]],
}


def coming_in(kind: str, message: Message) -> list[str]:
    """The addresses, in lower case, that show possession of their key behind those who decide, in the order of the message."""
    addresses = _COMING_IN.get(kind)
    return [] if addresses is None else [address.lower() for address in addresses(message)]


def _possession(case: ActUnderCheck, kind: str) -> None:
    """Whoever comes in has signed."""
    given = case.signers.get("possession")
    if given is not None and [a.lower() for a in given] != coming_in(kind, case.message):
        raise Refusal("act.possession", "an address that comes in has not signed the message", "possession")


def new_seat(kind: str) -> Callable[[ActUnderCheck], None]:
    def rule(case: ActUnderCheck) -> None:
        department, signers = case.message["department"], case.signers["authority"]
        case.bench.department(department)
        if case.message["roles"] & Role.STEWARD:
            case.bench.authority_of_two(signers, department, Role.ADMIN, MAY_SECOND, case.message["epoch"])
        else:
            case.bench.authority(signers, department, Role.ADMIN, case.message["epoch"])
        _possession(case, kind)

    return rule


def seat_removed(member: str) -> Callable[[ActUnderCheck], None]:
    def rule(case: ActUnderCheck) -> None:
        signers, bench = case.signers["authority"], case.bench
        leaving = bench.holder_now(checksummed(bytes.fromhex(case.message[member][2:])))
        if list(signers) == [leaving]:
            return
        seat = bench.any_seat(leaving, signed=False)
        if not bench.watches(signers, seat["department"], seat["not_before"]):
            bench.authority(signers, seat["department"], Role.ADMIN, case.message["epoch"])

    return rule


def recovery(case: ActUnderCheck) -> None:
    """The department's recovery key, the new address, and the council."""
    department = case.message["department"]
    first, second = _two(case.signers["signatures"])
    case.bench.this_key(
        first,
        case.bench.department(department)["recovery"],
        f"the recovery key of department {department}",
    )
    case.bench.this_key(second, case.message["to"], "the new address")
    case.bench.council_quorum(case.signers["council"], case.message["epoch"])


def recovery_vetoed(case: ActUnderCheck) -> None:
    case.bench.this_key(case.everyone[0], case.arguments["from"], "the address that the recovery replaces")


def recovery_key(case: ActUnderCheck) -> None:
    case.bench.member_of(case.signers["signature"][0], case.message["department"], Role.ADMIN)
    case.bench.council_quorum(case.signers["council"], case.message["epoch"])


def rotation(case: ActUnderCheck) -> None:
    """The old address, then the new one."""
    first, second = _two(case.everyone)
    case.bench.this_key(first, case.message["from"], "the old address")
    case.bench.this_key(second, case.message["to"], "the new address")


def _two(signers: Sequence[str]) -> tuple[str, str]:
    if len(signers) != 2:
        raise Refusal("act.quorum", f"{len(signers)} signed, the old and the new key are needed")
    return signers[0], signers[1]


def service_key(case: ActUnderCheck) -> None:
    department = case.message["department"]
    case.bench.department(department)
    signers, roles = case.signers["authority"], case.message["roles"]
    case.bench.authority(signers, department, _key_giver(roles), case.message["epoch"])


def service_key_removed(case: ActUnderCheck) -> None:
    department = case.message["department"]
    key, signers = case.bench.service_key(department, case.message["key"]), case.signers["authority"]
    if not case.bench.watches(signers, department, key["not_before"]):
        taker = 0 if key["roles"] & ServiceRole.CITY_AUDITOR else _watchman(key["roles"])
        case.bench.authority(signers, department, taker, case.message["epoch"])


def _key_giver(roles: int) -> int:
    """Who gives keys with these roles; 0, which nobody has, leaves it to the council."""
    return _watchman(roles) if roles <= ServiceRole.AUDITOR else 0


def _watchman(roles: int) -> int:
    """OVERSIGHT gives and takes what audits: who is audited does not choose the auditor."""
    return Role.OVERSIGHT if roles & ServiceRole.AUDITOR else Role.ADMIN


def hand_over_called_off(case: ActUnderCheck) -> None:
    signers, bench = case.everyone, case.bench
    if len(signers) == 2 and signers[0] not in bench.council()[0]:
        bench.overseers_of_two(signers)
    else:
        bench.council_quorum(signers, case.message["epoch"])


def suspend_department(case: ActUnderCheck) -> None:
    department = case.message["department"]
    case.bench.department(department)
    signers, bench = case.everyone, case.bench
    if signers[0] in bench.council()[0] or len(signers) > 2:
        bench.council_quorum(signers, case.message["epoch"])
    elif len(signers) == 1:
        bench.member_of(signers[0], department, WATCH)
    else:
        first = bench.bureau(signers[0], not_of=[department])
        bench.bureau(signers[1], not_of=[department, first])
