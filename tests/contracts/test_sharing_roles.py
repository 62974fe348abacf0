"""What each key alone can never obtain: no role gives itself, or another, more than it may give.

Every act that ends in more authority, more access or less control is tried with each key alone, the newcomer's own
signature always at hand. The table says which roles open it alone; all others must be refused.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contracts_harness import (
    ADMIN,
    ATTEST,
    AUDITOR,
    BUREAU,
    CDO,
    CITY_AUDITOR,
    CORE,
    EMERGENCY,
    FINANCE,
    FOREVER,
    GATEWAY,
    GENERAL,
    HOUR,
    IMPORTANT,
    OVERSIGHT,
    READER,
    ROLES,
    STEWARD,
    WITNESS,
    ZERO,
    City,
    Key,
    Reverted,
    keccak,
)

Attempt = Callable[[City, Key], object]
NEW = Key("newcomer")


def seat(roles: int) -> Attempt:
    return lambda city, key: city.seat([key], 1, NEW, roles)


def service_key(roles: int) -> Attempt:
    return lambda city, key: city.joint(
        "addServiceKey",
        "AddServiceKey",
        key,
        department=1,
        key=keccak(b"k"),
        hpke=ZERO,
        roles=roles,
        notBefore=0,
        notAfter=FOREVER,
    )


def grant(class_: int) -> Attempt:
    def attempt(city: City, key: Key) -> object:
        """The single key signs in every position of the quorum."""
        terms = city.terms(city.asset_id(1, class_), 2)
        return city.send("grant", terms, city.sign("Terms", terms, *[key] * class_))

    return attempt


def transfer(city: City, key: Key) -> object:
    message = city.message("TransferRight", **{"asset": city.asset_id(1, 1), "right": 1, "from": 1, "to": 2})
    return city.send(
        "transferRight",
        message,
        city.sign("TransferRight", message, key),
        *city.sign("TransferRight", message, key),
    )


def rotate_another(city: City, key: Key) -> object:
    other = city.departments[1].admin if key.label != "1 admin" else city.departments[1].steward
    return city.joint("rotateKey", "RotateKey", key, NEW, **{"from": other.address, "to": NEW.address})


def recover(city: City, key: Key) -> object:
    message = city.message(
        "Recover", **{"department": 1, "from": city.departments[1].admin.address, "to": NEW.address}
    )
    return city.send(
        "startRecovery",
        message,
        city.sign("Recover", message, key, NEW),
        city.sign("Recover", message, key, key),
    )


def set_recovery(city: City, key: Key) -> object:
    message = city.message("SetRecoveryKey", department=1, recovery=NEW.address)
    signature = city.sign("SetRecoveryKey", message, key)
    return city.send("setRecoveryKey", message, *signature, signature * 2)


def admit(city: City, key: Key) -> object:
    seat_ = {"holder": NEW.address, "roles": ADMIN, "notBefore": 0, "notAfter": FOREVER}
    message = city.message(
        "Admission", department=9, recovery=NEW.address, profile=ZERO, seats=[seat_], serviceKeys=[]
    )
    return city.send(
        "admit", message, city.sign("Admission", message, key, key), city.sign("Admission", message, NEW)
    )


def replace_council(city: City, key: Key) -> object:
    message = city.message(
        "ReplaceCouncil", members=[NEW.address], threshold=1, guardian=NEW.address, epoch=2
    )
    kind = "ReplaceCouncil"
    return city.send(
        "replaceCouncil", message, city.sign(kind, message, key, key), city.sign(kind, message, NEW)
    )


def ratify_own(city: City, key: Key) -> object:
    one = city.departments[1]
    message = city.message(
        "BreakGlass", asset=city.asset_id(1, 1), grantee=1, reasonHash=ZERO, until=city.now + HOUR
    )
    broken = city.send("breakGlass", message, city.sign("BreakGlass", message, one.emergency)).only(
        "GlassBroken"
    )
    return city.sole("ratify", "Ratify", key, grant=broken["grant"])


def lift_department(city: City, key: Key) -> object:
    city.joint("suspendDepartment", "SuspendDepartment", *city.members[:2], department=1, reason=ZERO)
    return city.joint("liftDepartment", "LiftDepartment", key, key, department=1, reason=ZERO)


def lift_barred(city: City, key: Key) -> object:
    city.sole(
        "suspendAsset",
        "SuspendAsset",
        city.departments[2].bureau,
        asset=city.asset_id(1, 1),
        by=2,
        reason=ZERO,
    )
    return city.sole("liftAsset", "LiftAsset", key, asset=city.asset_id(1, 1), by=2, reason=ZERO)


def break_glass(class_: int) -> Attempt:
    def attempt(city: City, key: Key) -> object:
        return city.joint(
            "breakGlass",
            "BreakGlass",
            *[key] * (2 if class_ == CORE else 1),
            asset=city.asset_id(1, class_),
            grantee=1,
            reasonHash=ZERO,
            until=city.now + HOUR,
        )

    return attempt


def lower(city: City, key: Key) -> object:
    return city.joint(
        "reclassify",
        "Reclassify",
        key,
        key,
        **{"asset": city.asset_id(1, IMPORTANT), "class": 1, "sharing": 1},
    )


def remove(role: str) -> Attempt:
    def attempt(city: City, key: Key) -> object:
        return city.joint(
            "removeOfficer", "RemoveOfficer", key, officer=city.departments[1].keys[role].address
        )

    return attempt


def use(city: City, key: Key) -> object:
    return city.use(city.grant(city.terms(city.asset_id(1, 1), 2)), 1, key)


ATTEMPTS: dict[str, tuple[Attempt, set[str]]] = {
    **{
        f"seat {name}": (seat(role), {"admin"} if role & (FINANCE | ATTEST) else set())
        for name, role in ROLES.items()
    },
    "seat steward and cdo": (seat(STEWARD | CDO), set()),
    "seat attest and gateway": (seat(ATTEST | GATEWAY), set()),
    "reader key": (service_key(READER), {"admin"}),
    "auditor key": (service_key(AUDITOR), {"oversight"}),
    "city auditor key": (service_key(CITY_AUDITOR), set()),
    "reader and auditor key": (service_key(READER | AUDITOR), set()),
    "grant general": (grant(GENERAL), {"steward"}),
    "grant important": (grant(IMPORTANT), set()),
    "grant core": (grant(CORE), set()),
    "transfer": (transfer, set()),
    "lower a grade": (lower, set()),
    "break glass": (break_glass(GENERAL), {"emergency"}),
    "break glass on core": (break_glass(CORE), set()),
    "ratify one's own": (ratify_own, set()),
    "rotate another": (rotate_another, set()),
    "recover": (recover, set()),
    "recovery key": (set_recovery, set()),
    "admit": (admit, set()),
    "replace the council": (replace_council, set()),
    "pause": (lambda city, key: city.sole("pause", "Pause", key, duration=HOUR), set()),
    "hand over": (
        lambda city, key: city.joint(
            "announceHandOver",
            "HandOver",
            key,
            key,
            successor=city.successor(),
            freezeAt=city.now + HOUR,
            handOverAt=city.now + 3 * HOUR,
        ),
        set(),
    ),
    "call a hand-over off": (
        lambda city, key: city.joint(
            "callOffHandOver", "CallOffHandOver", key, key, handOver=city.hand_over(city.successor())
        ),
        set(),
    ),
    "restore the privilege": (
        lambda city, key: city.joint(
            "restorePrivilege", "RestorePrivilege", key, key, department=1, grants=[]
        ),
        set(),
    ),
    "lift a department": (lift_department, set()),
    "lift a barred asset": (lift_barred, {"bureau"}),
    "remove an admin": (remove("admin"), {"admin"}),
    "remove a cdo": (remove("cdo"), {"cdo"}),
    "remove an oversight": (remove("oversight"), {"oversight"}),
    "remove a bureau": (remove("bureau"), {"bureau"}),
    "attest use": (use, {"attest", "gateway"}),
}
"""Attempt -> the roles that succeed alone. To remove oneself is to leave the office."""


def obtained(city: City, key: Key) -> set[str]:
    """What a key obtains alone; each attempt is undone."""
    names = set()
    for name, (attempt, _) in ATTEMPTS.items():
        with city.chain.rewound():
            try:
                attempt(city, key)
            except Reverted:
                continue
            names.add(name)
    return names


@pytest.mark.parametrize("role", [*ROLES, "recovery"])
def test_what_one_key_alone_can_never_obtain(city: City, role: str) -> None:
    allowed = {name for name, (_, alone) in ATTEMPTS.items() if role in alone}
    assert obtained(city, city.departments[1].keys[role]) == allowed


def test_key_without_a_seat_obtains_nothing(city: City) -> None:
    assert obtained(city, city.members[0]) == set()
    assert obtained(city, city.guardian) == {"pause"}
    assert obtained(city, Key("relayer")) == set()


@pytest.mark.parametrize("role", ROLES)
def test_another_department_s_keys_obtain_nothing_here(city: City, role: str) -> None:
    """Exceptions: the bureau lifts its bar, the gateway attests for the city, and oversight ratifies."""
    allowed = {
        "bureau": {"lift a barred asset"},
        "gateway": {"attest use"},
        "oversight": {"ratify one's own"},
    }
    assert obtained(city, city.departments[2].keys[role]) == allowed.get(role, set())


def test_the_roles_are_the_ones_of_the_design() -> None:
    assert list(ROLES.values()) == [
        ADMIN,
        STEWARD,
        FINANCE,
        CDO,
        OVERSIGHT,
        EMERGENCY,
        BUREAU,
        ATTEST,
        WITNESS,
        GATEWAY,
    ]
