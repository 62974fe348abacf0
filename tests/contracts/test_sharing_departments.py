"""Departments are admitted by the council and the newcomers' own keys; officers and keys come, pass on and go."""

from __future__ import annotations

import pytest
from contracts_harness import (
    ADMIN,
    ATTEST,
    AUDITOR,
    BUREAU,
    CDO,
    CITY_AUDITOR,
    DAY,
    FINANCE,
    FOREVER,
    HOUR,
    READER,
    STEWARD,
    WITNESS,
    Chain,
    City,
    Key,
    keccak,
    refused,
    struct_hash,
)

ED25519, X25519 = keccak(b"service key"), keccak(b"hpke key")


def admission(city: City, number: int = 9, **members: object) -> tuple[dict[str, object], Key]:
    admin = Key(f"{number} admin")
    seat = {"holder": admin.address, "roles": ADMIN, "notBefore": 0, "notAfter": FOREVER}
    message = city.message(
        "Admission",
        **{
            "department": number,
            "recovery": Key("recovery").address,
            "profile": keccak(b"profile"),
            "seats": [seat],
            "serviceKeys": [],
            **members,
        },
    )
    return message, admin


def service_key(
    city: City, roles: int, *authority: Key, department: int = 1, key: bytes = ED25519, **members: object
) -> None:
    city.joint(
        "addServiceKey",
        "AddServiceKey",
        *authority,
        **{
            "department": department,
            "key": key,
            "hpke": X25519,
            "roles": roles,
            "notBefore": 0,
            "notAfter": FOREVER,
            **members,
        },
    )


# ---- Admission -------------------------------------------------------------------------------------------------


def test_an_admitted_department_stands_with_its_seats_and_keys(city: City) -> None:
    key = {"key": ED25519, "hpke": X25519, "roles": READER, "notBefore": 5, "notAfter": FOREVER}
    department = city.admit(9, service_keys=[key])
    assert city.call("department", 9) == (1, department.recovery.address, True, 0)
    assert city.call("officer", department.steward.address) == (9, STEWARD, 0, FOREVER, 0, True)
    assert city.call("attestKey", department.attest.address) == (9, ATTEST, True)
    assert city.call("attestKey", department.admin.address) == (9, 0, False), "an officer is no attest key"
    assert city.call("serviceKey", 9, ED25519) == (X25519, READER, 5, FOREVER, 0, True)


def test_admission_needs_a_quorum_of_the_council(city: City) -> None:
    message, admin = admission(city)
    possession = city.sign("Admission", message, admin)
    with refused("CouncilQuorum"):
        city.send("admit", message, city.sign("Admission", message, city.members[0]), possession)
    with refused("SignerRepeated"):
        city.send(
            "admit", message, city.sign("Admission", message, city.members[0], city.members[0]), possession
        )
    with refused("NotCouncil"):
        city.send("admit", message, city.sign("Admission", message, city.members[0], admin), possession)
    city.send("admit", message, city.sign("Admission", message, city.members[2], city.members[0]), possession)


def test_nobody_is_seated_without_its_own_signature(city: City) -> None:
    message, _ = admission(city)
    council = city.council("Admission", message)
    with refused("PossessionMissing"):
        city.send("admit", message, council, city.sign("Admission", message, Key("somebody else")))
    with refused("SignatureCount"):
        city.send("admit", message, council, [])


def test_a_department_begins_with_an_admin_and_a_recovery_key_and_only_once(city: City) -> None:
    message, admin = admission(
        city,
        seats=[{"holder": Key("9 admin").address, "roles": STEWARD, "notBefore": 0, "notAfter": FOREVER}],
    )
    with refused("AdmissionIncomplete"):
        city.send(
            "admit", message, city.council("Admission", message), city.sign("Admission", message, admin)
        )
    message, admin = admission(city, recovery="0x" + "00" * 20)
    with refused("AdmissionIncomplete"):
        city.send(
            "admit", message, city.council("Admission", message), city.sign("Admission", message, admin)
        )
    for number in (0, 1):
        message, admin = admission(city, number)
        with refused("DepartmentExists"):
            city.send(
                "admit", message, city.council("Admission", message), city.sign("Admission", message, admin)
            )


def test_the_admission_delay_holds_and_the_council_may_call_it_off() -> None:
    city = City(Chain(), admission_delay=DAY)
    message, admin = admission(city, deadline=city.now + 10 * DAY)
    council, possession = city.council("Admission", message), city.sign("Admission", message, admin)
    with refused("AdmissionNotReady"):
        city.send("admit", message, council, possession)
    identifier = struct_hash("Admission", message)
    with refused("AdmissionUnknown"):
        city.send("activate", message, possession)
    proposed = city.send("proposeAdmission", message, council).only("AdmissionProposed")
    assert proposed["admission"] == identifier
    assert city.call("admission", identifier) == proposed["readyAt"]
    with refused("AlreadyDone"):
        city.send("proposeAdmission", message, council)
    city.chain.travel(DAY - 10)
    with refused("AdmissionNotReady"):
        city.send("activate", message, possession)
    with city.chain.rewound():
        city.joint("cancelAdmission", "CancelAdmission", *city.members[:2], admission=identifier)
        city.chain.travel(DAY)
        with refused("AdmissionUnknown"):
            city.send("activate", message, possession)
    city.chain.travel(20)
    city.send("activate", message, possession)
    with refused("AdmissionUnknown"):
        city.send("activate", message, possession)


# ---- Officers and attest keys ----------------------------------------------------------------------------------


def test_an_admin_seats_a_steward_who_may_act_at_once(city: City) -> None:
    steward = Key("new steward")
    event = city.seat(city.pair(1), 1, steward, STEWARD | FINANCE).only("OfficerAdded")
    assert event == {
        "officer": steward.address,
        "department": 1,
        "roles": STEWARD | FINANCE,
        "notBefore": 0,
        "notAfter": FOREVER,
    }
    message = city.message(
        "RegisterAsset", **{"asset": city.asset_id(1, 50), "class": 1, "sharing": 1, "metadata": keccak(b"m")}
    )
    city.send("registerAsset", message, *city.sign("RegisterAsset", message, steward))


def test_one_key_alone_seats_nobody_who_grants(city: City) -> None:
    """A stolen ADMIN key with a key of the thief's own: the way to a general-grade grant without any other person."""
    one, two = city.departments[1], city.departments[2]
    thief = Key("thief")
    for roles in (STEWARD, STEWARD | FINANCE):
        with refused("CouncilQuorum"):
            city.seat([one.admin], 1, thief, roles)
        with refused("SignerRepeated"):
            city.seat([one.admin, one.admin], 1, thief, roles)
        with refused("NotInOffice"):
            city.seat([one.admin, thief], 1, thief, roles)
        with refused("NotCouncil"):
            city.seat([one.admin, one.steward, one.cdo], 1, thief, roles)
        with refused("NotInOffice"):
            city.seat([one.admin, city.members[0]], 1, thief, roles)
        with refused("NotCouncil"):
            city.seat([city.members[0], one.admin], 1, thief, roles)
        with refused("WrongDepartment"):
            city.seat([one.admin, two.steward], 1, thief, roles)
        with refused("RoleMissing"):
            city.seat([one.steward, one.admin], 1, thief, roles)
    for role in ("finance", "oversight", "emergency", "bureau", "attest"):
        with refused("RoleMissing"):
            city.seat([one.admin, one.keys[role]], 1, thief, STEWARD)
    for roles in (STEWARD | CDO, STEWARD | ADMIN):
        with refused("RolesNotGivable"):
            city.seat(city.pair(1), 1, thief, roles)
    with refused("NotCouncil"):
        city.seat(city.pair(1), 1, thief, FINANCE)
    assert not city.call("officer", thief.address)[5]


def test_what_an_admin_alone_gives_does_not_second_it(city: City) -> None:
    """The thief's FINANCE clerk and attest key are seated by the stolen key alone, and then sign beside it in vain."""
    one = city.departments[1]
    clerk, machine = Key("clerk"), Key("machine")
    city.seat([one.admin], 1, clerk, FINANCE)
    city.seat([one.admin], 1, machine, ATTEST)
    for second in (clerk, machine):
        with refused("RoleMissing"):
            city.seat([one.admin, second], 1, Key("thief"), STEWARD)


@pytest.mark.parametrize("second", ["steward", "cdo", "another admin"])
def test_a_second_officer_or_the_council_seats_a_steward(city: City, second: str) -> None:
    one, other = city.departments[1], Key("other admin")
    city.seat(city.members[:2], 1, other, ADMIN)
    key = {"steward": one.steward, "cdo": one.cdo, "another admin": other}[second]
    city.seat([one.admin, key], 1, Key("new"), STEWARD)
    city.seat(city.members[:2], 1, Key("by the council"), STEWARD)
    assert city.call("requireOfficer", Key("new").address, STEWARD) == 1
    city.joint("removeOfficer", "RemoveOfficer", key, officer=key.address)
    with refused("NotInOffice"):
        city.seat([one.admin, key], 1, Key("later"), STEWARD)


def test_an_address_has_one_place_for_ever(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    with refused("AddressTaken"):
        city.seat(city.pair(1), 1, two.steward, STEWARD)
    with refused("AddressTaken"):
        city.seat(city.pair(1), 1, city.members[0], STEWARD)
    gone = Key("gone")
    city.seat(city.pair(1), 1, gone, STEWARD)
    city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=gone.address)
    with refused("AddressTaken"):
        city.seat(city.pair(1), 1, gone, STEWARD)


def test_a_seat_has_people_s_or_machine_s_roles_and_a_term(city: City) -> None:
    one = city.departments[1]
    with refused("RolesInvalid"):
        city.seat([one.admin], 1, Key("x"), 0)
    with refused("RolesInvalid"):
        city.seat(city.pair(1), 1, Key("x"), ATTEST | STEWARD)
    with refused("RolesInvalid"):
        city.seat(city.members[:2], 1, Key("x"), 1 << 12)
    with refused("RolesInvalid"):
        message, admin = admission(
            city,
            seats=[
                {
                    "holder": Key("9 admin").address,
                    "roles": ADMIN | ATTEST,
                    "notBefore": 0,
                    "notAfter": FOREVER,
                }
            ],
        )
        city.send(
            "admit", message, city.council("Admission", message), city.sign("Admission", message, admin)
        )
    with refused("TermInvalid"):
        city.seat(city.pair(1), 1, Key("x"), STEWARD, notBefore=10, notAfter=9)
    with refused("TermInvalid"):
        city.seat(city.pair(1), 1, Key("x"), STEWARD, notAfter=city.now - 1)


@pytest.mark.parametrize(
    ("begins", "ends", "serves"), [(0, 0, True), (1, 9, False), (-9, -1, False), (-5, 5, True)]
)
def test_an_officer_serves_within_the_term_only(city: City, begins: int, ends: int, serves: bool) -> None:
    """Both ends count: the seat serves from notBefore to notAfter."""
    steward = Key("term")
    moment = city.now + 100
    city.seat(city.pair(1), 1, steward, STEWARD, notBefore=moment + begins, notAfter=moment + ends)
    city.chain.now = moment
    assert city.call("officer", steward.address)[5] is serves
    message = city.message(
        "RegisterAsset", **{"asset": city.asset_id(1, 50), "class": 1, "sharing": 1, "metadata": keccak(b"m")}
    )
    signature = city.sign("RegisterAsset", message, steward)
    if serves:
        city.send("registerAsset", message, *signature)
    else:
        with refused("NotInOffice"):
            city.send("registerAsset", message, *signature)


def test_removal_is_by_the_admin_by_itself_or_by_the_council(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    with refused("WrongDepartment"):
        city.joint("removeOfficer", "RemoveOfficer", two.admin, officer=one.steward.address)
    with refused("RolesNotGivable"):
        city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=one.oversight.address)
    with refused("NotInOffice"):
        city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=one.attest.address)
    for signers, officer in (
        ([one.admin], one.steward),
        ([one.cdo], one.cdo),
        (city.members[1:], one.oversight),
    ):
        assert city.joint("removeOfficer", "RemoveOfficer", *signers, officer=officer.address).only(
            "OfficerRemoved"
        )
        assert not city.call("officer", officer.address)[5]
        with refused("NotInOffice"):
            city.joint("removeOfficer", "RemoveOfficer", *city.members[:2], officer=officer.address)


def test_an_attest_key_comes_and_goes(city: City) -> None:
    one, key = city.departments[1], Key("machine")
    city.seat([one.admin], 1, key, ATTEST, notAfter=city.now + DAY)
    assert city.call("attestKey", key.address) == (1, ATTEST, True)
    with refused("NotInOffice"):
        city.joint("removeAttestKey", "RemoveAttestKey", one.admin, key=one.steward.address)
    city.joint("removeAttestKey", "RemoveAttestKey", one.admin, key=key.address)
    assert city.call("attestKey", key.address) == (1, ATTEST, False)
    city.seat(city.members[:2], 1, Key("witness"), WITNESS)
    assert city.call("attestKey", Key("witness").address) == (1, WITNESS, True)


# ---- Service keys ----------------------------------------------------------------------------------------------


def test_a_service_key_is_given_by_whom_its_role_allows_and_never_comes_back(city: City) -> None:
    one = city.departments[1]
    service_key(city, READER, one.admin)
    with refused("KeyTaken"):
        service_key(city, READER, one.admin)
    service_key(city, READER, city.departments[2].admin, department=2)
    assert city.call("serviceKey", 1, ED25519)[5]
    city.joint("removeServiceKey", "RemoveServiceKey", one.admin, department=1, key=ED25519)
    assert city.call("serviceKey", 1, ED25519) == (X25519, READER, 0, FOREVER, 1, False)
    assert city.call("serviceKey", 2, ED25519)[5], "the same key of another department stands on its own"
    with refused("KeyTaken"):
        service_key(city, READER, one.admin)
    with refused("KeyUnknown"):
        city.joint("removeServiceKey", "RemoveServiceKey", one.admin, department=1, key=ED25519)


def test_auditor_keys_are_not_the_admin_s_to_give(city: City) -> None:
    one = city.departments[1]
    with refused("RoleMissing"):
        service_key(city, AUDITOR, one.admin)
    with refused("RolesNotGivable"):
        service_key(city, READER | AUDITOR, one.admin)
    with refused("RolesNotGivable"):
        service_key(city, CITY_AUDITOR, one.admin)
    with refused("RoleMissing"):
        service_key(city, READER, one.oversight)
    service_key(city, AUDITOR, one.oversight)
    service_key(city, CITY_AUDITOR, *city.members[:2], key=keccak(b"auditor"))
    with refused("RoleMissing"):
        city.joint("removeServiceKey", "RemoveServiceKey", one.admin, department=1, key=ED25519)
    with refused("RolesInvalid"):
        service_key(city, 8, *city.members[:2], key=keccak(b"other"))
    with refused("TermInvalid"):
        service_key(city, READER, one.admin, key=keccak(b"other"), notAfter=city.now - 1)


# ---- Rotation and recovery -------------------------------------------------------------------------------------


def rotate(city: City, old: Key, new: Key, *signers: Key) -> dict[str, object]:
    message = city.message("RotateKey", **{"from": old.address, "to": new.address})
    return city.send("rotateKey", message, city.sign("RotateKey", message, *(signers or (old, new)))).only(
        "SeatRotated"
    )


def test_rotation_passes_the_seat_on_at_once_and_kills_the_old_key(city: City) -> None:
    one, new = city.departments[1], Key("new steward")
    terms = city.terms(city.asset_id(1, 1), 2)
    identifier = city.grant(terms)
    event = rotate(city, one.steward, new)
    assert (event["from"], event["to"], event["department"], event["roles"]) == (
        one.steward.address,
        new.address,
        1,
        STEWARD,
    )
    assert city.call("grantOf", identifier)["live"], "a grant binds to the department's number and survives"
    with refused("NotInOffice"):
        city.revoke(identifier, one.steward)
    city.revoke(identifier, new)
    with refused("AddressTaken"):
        rotate(city, new, one.steward)
    with refused("NotInOffice"):
        rotate(city, one.steward, Key("third"))


def test_rotation_needs_both_keys(city: City) -> None:
    one, new = city.departments[1], Key("new")
    with refused("PossessionMissing"):
        rotate(city, one.steward, new, one.steward, one.steward)
    with refused("PossessionMissing"):
        rotate(city, one.steward, new, new, new)
    with refused("SignatureCount"):
        rotate(city, one.steward, new, one.steward)


def recovery(
    city: City, old: Key, new: Key, *, by: Key | None = None, **members: object
) -> tuple[bytes, dict[str, object]]:
    one = city.departments[1]
    message = city.message("Recover", **{"department": 1, "from": old.address, "to": new.address, **members})
    signatures = city.sign("Recover", message, by or one.recovery, new)
    receipt = city.send("startRecovery", message, signatures, city.council("Recover", message))
    return struct_hash("Recover", message), receipt.only("RecoveryStarted")


def test_a_lost_seat_is_recovered_after_72_hours(city: City) -> None:
    one, new = city.departments[1], Key("found again")
    with refused("RecoverySignerWrong"):
        recovery(city, one.admin, new, by=one.admin)
    with refused("WrongDepartment"):
        recovery(city, city.departments[2].admin, new)
    identifier, event = recovery(city, one.admin, new)
    assert city.call("recovery", one.admin.address) == (new.address, event["readyAt"], False, identifier)
    with refused("RecoveryPending"):
        recovery(city, one.admin, Key("another"))
    with refused("RecoveryPending"):
        rotate(city, one.admin, Key("escape"))
    city.chain.now = event["readyAt"] - 1
    with refused("RecoveryNotReady"):
        city.send("finishRecovery", one.admin.address)
    city.chain.now = event["readyAt"]
    assert city.send("finishRecovery", one.admin.address).only("SeatRotated")["to"] == new.address
    assert city.call("requireOfficer", new.address, ADMIN) == 1
    assert not city.call("officer", one.admin.address)[5]
    with refused("RecoveryNotPending"):
        city.send("finishRecovery", one.admin.address)


def test_the_old_key_vetoes_once_and_the_council_overrides(city: City) -> None:
    one = city.departments[1]
    old = one.admin

    def veto(identifier: bytes, key: Key) -> None:
        message = city.message("VetoRecovery", recovery=identifier)
        city.send("vetoRecovery", old.address, message, *city.sign("VetoRecovery", message, key))

    first, event = recovery(city, old, Key("first"))
    with refused("PossessionMissing"):
        veto(first, one.steward)
    with refused("RecoveryNotPending"):
        veto(keccak(b"another recovery"), old)
    veto(first, old)
    city.chain.now = event["readyAt"]
    with refused("RecoveryNotPending"):
        city.send("finishRecovery", old.address)
    with city.chain.rewound():
        message = city.message("OverrideVeto", recovery=first)
        council = city.council("OverrideVeto", message)
        city.send("overrideVeto", old.address, message, council)
        with refused("RecoveryNotPending"):
            city.send("overrideVeto", old.address, message, council)
        with refused("VetoAlreadySpent"):
            veto(first, old)
        city.send("finishRecovery", old.address)
    second, event = recovery(city, old, Key("second"))
    with refused("VetoAlreadySpent"):
        veto(second, old)
    city.chain.now = event["readyAt"]
    city.send("finishRecovery", old.address)


def test_a_recovery_that_nobody_finishes_is_void_after_its_window(city: City) -> None:
    one = city.departments[1]
    _, event = recovery(city, one.admin, Key("late"))
    city.chain.now = event["readyAt"] + 7 * DAY + 1
    with refused("RecoveryNotPending"):
        city.send("finishRecovery", one.admin.address)
    rotate(city, one.admin, Key("free again"))


def test_a_removed_officer_is_not_recovered(city: City) -> None:
    one = city.departments[1]
    _, event = recovery(city, one.steward, Key("late"))
    city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=one.steward.address)
    city.chain.now = event["readyAt"]
    with refused("NotInOffice"):
        city.send("finishRecovery", one.steward.address)
    with refused("NotInOffice"):
        recovery(city, one.steward, Key("other"))


def test_the_recovery_key_changes_by_admin_and_council_together(city: City) -> None:
    one, new = city.departments[1], Key("new recovery")
    message = city.message("SetRecoveryKey", department=1, recovery=new.address)
    council = city.council("SetRecoveryKey", message)
    with refused("RoleMissing"):
        city.send("setRecoveryKey", message, *city.sign("SetRecoveryKey", message, one.steward), council)
    signature = city.sign("SetRecoveryKey", message, one.admin)
    with refused("CouncilQuorum"):
        city.send("setRecoveryKey", message, *signature, council[:1])
    city.send("setRecoveryKey", message, *signature, council)
    assert city.call("department", 1)[1] == new.address
    with refused("AlreadyDone"):
        city.send("setRecoveryKey", message, *signature, council)


# ---- Suspension ------------------------------------------------------------------------------------------------


def test_a_department_is_suspended_at_once_and_lifted_by_the_council_alone(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    identifier = city.grant(city.terms(city.asset_id(1, 1), 2))
    reason = keccak(b"a stolen key")
    for signers in ([one.admin], [one.cdo], [one.oversight], [two.bureau], city.members[:2]):
        with city.chain.rewound():
            assert city.joint(
                "suspendDepartment", "SuspendDepartment", *signers, department=1, reason=reason
            ).only("DepartmentSuspended")
            assert city.call("department", 1)[0] == 2
    with refused("RoleMissing"):
        city.joint("suspendDepartment", "SuspendDepartment", one.steward, department=1, reason=reason)
    with refused("RoleMissing"):
        city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=1, reason=reason)

    message = city.message("SuspendDepartment", department=1, reason=reason)
    signature = city.sign("SuspendDepartment", message, one.admin)
    city.send("suspendDepartment", message, signature)
    assert not city.call("officer", one.steward.address)[5]
    assert not city.call("attestKey", one.attest.address)[2]
    for blocked in (
        lambda: city.grant(city.terms(city.asset_id(1, 1), 2)),
        lambda: city.register(city.asset_id(1, 50)),
        lambda: city.use(identifier, 1, one.attest),
        lambda: city.seat(city.pair(1), 1, Key("x"), STEWARD),
        lambda: service_key(city, READER, one.admin),
        lambda: rotate(city, one.admin, Key("escape")),
    ):
        with refused("DepartmentNotActive"):
            blocked()
    city.revoke(identifier, one.steward)
    with refused("NotCouncil"):
        city.joint("liftDepartment", "LiftDepartment", one.admin, one.cdo, department=1, reason=reason)
    city.joint("liftDepartment", "LiftDepartment", *city.members[:2], department=1, reason=reason)
    with refused("AlreadyDone"):
        city.send("suspendDepartment", message, signature)
    with refused("DepartmentNotSuspended"):
        city.joint("liftDepartment", "LiftDepartment", *city.members[:2], department=1, reason=reason)
    city.register(city.asset_id(1, 50))


def test_what_other_contracts_ask(city: City) -> None:
    one = city.departments[1]
    assert city.call("requireOfficer", one.finance.address, FINANCE) == 1
    with refused("RoleMissing"):
        city.call("requireOfficer", one.finance.address, STEWARD)
    with refused("NotInOffice"):
        city.call("requireOfficer", Key("stranger").address, FINANCE)
    digest = keccak(b"a digest of another contract")
    city.call("checkCouncil", digest, [key.sign(digest) for key in city.members])
    with refused("CouncilQuorum"):
        city.call("checkCouncil", digest, [city.members[0].sign(digest)])
    assert city.call("salt") == city.salt
    assert city.call("domainSeparator") == city.ledger.separator
    with refused("RoleMissing"):
        city.call("requireOfficer", one.cdo.address, CDO | BUREAU)
    city.joint("suspendDepartment", "SuspendDepartment", one.admin, department=1, reason=bytes(32))
    with refused("DepartmentNotActive"):
        city.call("requireOfficer", one.finance.address, FINANCE)
    city.chain.travel(HOUR)
