"""Every kind of act as an attempt: its name, its correct signers, and the call with any signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts_harness import (
    AUDITOR,
    CITY_AUDITOR,
    DAY,
    FOREVER,
    HOUR,
    READER,
    ROLES,
    ZERO,
    Contract,
    Key,
    keccak,
)

from .ready_city import DELAY, NEW, ReadyCity

Call = tuple[Contract, str, Sequence[Any]]
COUNCIL = ("council 0", "council 1")


@dataclass(frozen=True)
class Act:
    """One kind of act on department 1, or by it."""

    name: str
    kind: str
    """The type of the message that is signed."""
    call: Callable[[ReadyCity, Sequence[Key]], Call]
    """The call with these signers, in this order."""
    ways: tuple[tuple[str, ...], ...]
    """The correct lists of signers, by label."""
    prepare: Callable[[ReadyCity], None] | None = None
    """The preparation that only this act needs."""


Members = Callable[[ReadyCity], Mapping[str, Any]] | Mapping[str, Any]


def act(
    name: str,
    function: str,
    kind: str,
    members: Members,
    *ways: Sequence[str],
    contract: str = "ledger",
    shape: str = "list",
    after: Callable[[ReadyCity, Mapping[str, Any]], Sequence[Any]] | None = None,
    possession: bool = False,
    before: Callable[[ReadyCity], Sequence[Any]] | None = None,
    prepare: Callable[[ReadyCity], None] | None = None,
) -> Act:
    """``shape``: ``one`` signature, a ``list`` of them, ``each`` an argument of its own, ``joined`` in one, the ``last``
    apart from a list, or the ``first`` apart and the council's in a list. ``after`` gives the arguments between
    message and signatures, ``before`` those before the message; with ``possession`` the newcomer signs too."""

    def call(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
        given = members(prepared) if callable(members) else members
        home = prepared.contracts[contract]
        more = {"deadline": FOREVER, **given}
        # A condition has a member of that name.
        message = more if "kind" in more else prepared.city.message(kind, **more)
        signed = prepared.city.sign(kind, message, *keys, contract=home)
        shaped: list[Any] = {
            "one": signed[:1],
            "list": [signed],
            "each": signed,
            "joined": [b"".join(signed)],
            "last": [signed[:-1], signed[-1]],
            "first": [signed[0], signed[1:]],
        }[shape]
        arguments = [
            *(before(prepared) if before else ()),
            message,
            *(after(prepared, message) if after else ()),
            *shaped,
        ]
        if possession:
            arguments += prepared.city.sign(kind, message, NEW, contract=home)
        return home, function, arguments

    return Act(name, kind, call, tuple(tuple(way) for way in ways), prepare)


def seat(role: str) -> Act:
    """A seat in department 1 for the attacker's own key."""
    machine = role in ("attest", "witness", "gateway")
    kind, holder, function = (
        ("AddAttestKey", "key", "addAttestKey") if machine else ("AddOfficer", "officer", "addOfficer")
    )
    members = {
        "department": 1,
        holder: NEW.address,
        "roles": ROLES[role],
        "notBefore": 0,
        "notAfter": FOREVER,
    }
    ways: list[Sequence[str]] = [COUNCIL, (*COUNCIL, "1 admin")]
    if role in ("finance", "attest"):
        ways.append(("1 admin",))
    if role == "steward":
        ways.append(("1 admin", "1 cdo"))
    return act(f"seat {role.upper()}", function, kind, members, *ways, possession=True)


def removal(role: str) -> Act:
    """The label of the second key with this role in department 1."""
    machine = role in ("attest", "witness", "gateway")
    kind, holder, function = (
        ("RemoveAttestKey", "key", "removeAttestKey")
        if machine
        else ("RemoveOfficer", "officer", "removeOfficer")
    )
    ways: list[Sequence[str]] = [COUNCIL, (f"1 {role} b",)]
    if role in ("finance", "attest", "steward"):
        ways.append(("1 admin",))
    label = f"1 {role} b"
    return act(f"remove {role.upper()}", function, kind, lambda t: {holder: t.key(label).address}, *ways)


def service_key(name: str, roles: int, *ways: Sequence[str]) -> Act:
    members = {
        "department": 1,
        "key": keccak(b"k"),
        "hpke": ZERO,
        "roles": roles,
        "notBefore": 0,
        "notAfter": FOREVER,
    }
    return act(
        f"give {name}", "addServiceKey", "AddServiceKey", members, COUNCIL, (*COUNCIL, "1 admin"), *ways
    )


def service_key_removal(name: str, roles: int, *ways: Sequence[str]) -> Act:
    return act(
        f"take away {name}",
        "removeServiceKey",
        "RemoveServiceKey",
        lambda t: {"department": 1, "key": t.service_keys[roles]},
        COUNCIL,
        *ways,
    )


def recover(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
    message = prepared.city.message(
        "Recover", **{"department": 1, "from": prepared.key("1 admin").address, "to": NEW.address}
    )
    first, *council = prepared.city.sign("Recover", message, *keys)
    return (
        prepared.city.ledger,
        "startRecovery",
        [message, [first, *prepared.city.sign("Recover", message, NEW)], council],
    )


def rotate(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
    """The signer rotates another's seat: the ADMIN's, or the STEWARD's if the signer is the ADMIN."""
    whose = "1 steward" if keys[0] == prepared.key("1 admin") else "1 admin"
    message = prepared.city.message("RotateKey", **{"from": prepared.key(whose).address, "to": NEW.address})
    return (
        prepared.city.ledger,
        "rotateKey",
        [message, prepared.city.sign("RotateKey", message, keys[0], NEW)],
    )


def rotate_own(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
    message = prepared.city.message("RotateKey", **{"from": keys[0].address, "to": NEW.address})
    return (
        prepared.city.ledger,
        "rotateKey",
        [message, prepared.city.sign("RotateKey", message, keys[0], NEW)],
    )


def replace_council(prepared: ReadyCity, keys: Sequence[Key]) -> Call:
    message = prepared.city.message(
        "ReplaceCouncil", members=[NEW.address], threshold=1, guardian=NEW.address, epoch=2
    )
    signed = prepared.city.sign("ReplaceCouncil", message, *keys)
    return (
        prepared.city.ledger,
        "replaceCouncil",
        [message, signed, prepared.city.sign("ReplaceCouncil", message, NEW)],
    )


def hand_over(prepared: ReadyCity) -> Mapping[str, Any]:
    at = prepared.city.now + DELAY + HOUR
    return {"successor": prepared.successor, "freezeAt": at, "handOverAt": at + DAY}


def admission_cancelled(prepared: ReadyCity) -> Mapping[str, Any]:
    return {"admission": prepared.proposed}


OFFICES = (
    *(seat(role) for role in ROLES),
    *(removal(role) for role in ROLES),
    service_key("a READER key", READER, ("1 admin",)),
    service_key("an AUDITOR key", AUDITOR, ("1 oversight",)),
    service_key("a CITY_AUDITOR key", CITY_AUDITOR),
    service_key_removal("a READER key", READER, ("1 admin",)),
    service_key_removal("an AUDITOR key", AUDITOR, ("1 oversight",)),
    service_key_removal("a CITY_AUDITOR key", CITY_AUDITOR),
    act(
        "veto a seat that the council alone gives",
        "removeOfficer",
        "RemoveOfficer",
        lambda t: {"officer": t.pending.address},
        COUNCIL,
        ("1 admin",),
        ("1 recovery",),
    ),
    act(
        "veto a READER key that the council alone gives",
        "removeServiceKey",
        "RemoveServiceKey",
        lambda t: {"department": 1, "key": t.pending_key},
        COUNCIL,
        ("1 cdo",),
        ("1 recovery",),
    ),
    act(
        "suspend the department",
        "suspendDepartment",
        "SuspendDepartment",
        {"department": 1, "reason": ZERO},
        ("1 cdo",),
        ("2 bureau", "3 bureau"),
        COUNCIL,
    ),
    act(
        "lift the department", "liftDepartment", "LiftDepartment", {"department": 4, "reason": ZERO}, COUNCIL
    ),
    Act("pass its own seat on to another key", "RotateKey", rotate_own, (("1 admin",),)),
    Act("pass another's seat on", "RotateKey", rotate, ()),
    Act("start the recovery of an ADMIN", "Recover", recover, (("1 recovery", *COUNCIL),)),
    act(
        "veto the recovery of a FINANCE seat",
        "vetoRecovery",
        "VetoRecovery",
        lambda t: {"recovery": t.recoveries["finance"]},
        ("1 finance b",),
        shape="one",
        before=lambda t: [t.key("1 finance b").address],
    ),
    act(
        "override a veto",
        "overrideVeto",
        "OverrideVeto",
        lambda t: {"recovery": t.recoveries["emergency"]},
        COUNCIL,
        before=lambda t: [t.key("1 emergency b").address],
    ),
    act(
        "call a recovery off",
        "cancelRecovery",
        "CancelRecovery",
        lambda t: {"recovery": t.recoveries["finance"]},
        COUNCIL,
        before=lambda t: [t.key("1 finance b").address],
    ),
    act(
        "set the recovery key",
        "setRecoveryKey",
        "SetRecoveryKey",
        {"department": 1, "recovery": NEW.address},
        ("1 admin", *COUNCIL),
        shape="first",
    ),
)
CITY = (
    act("propose a department", "proposeAdmission", "Admission", lambda t: t.admission(10), COUNCIL),
    act("call an admission off", "cancelAdmission", "CancelAdmission", admission_cancelled, COUNCIL),
    Act("replace the council", "ReplaceCouncil", replace_council, (COUNCIL,)),
    act("pause the city", "pause", "Pause", {"duration": HOUR}, ("guardian",), shape="one"),
    act("end a pause", "unpause", "Unpause", {}, COUNCIL, ("guardian",), prepare=ReadyCity.pause),
    act("announce a hand-over of the ledger", "announceHandOver", "HandOver", hand_over, COUNCIL),
    act(
        "call a hand-over off",
        "callOffHandOver",
        "CallOffHandOver",
        lambda t: {"handOver": t.city.call("handOver")[1]},
        COUNCIL,
        ("2 oversight", "3 oversight"),
        prepare=ReadyCity.hand_over,
    ),
    act(
        "restore the break-glass privilege",
        "restorePrivilege",
        "RestorePrivilege",
        {"department": 1, "grants": []},
        COUNCIL,
    ),
)
