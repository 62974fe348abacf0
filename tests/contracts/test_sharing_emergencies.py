"""A break-glass act gives access for hours, to one department for itself; without ratification the privilege
is lost."""

from __future__ import annotations

import pytest
from contracts_harness import (
    CORE,
    EMERGENCY,
    GENERAL,
    HOUR,
    NOT_SHARED,
    UNCONDITIONAL,
    UNLIMITED,
    ZERO,
    City,
    Key,
    Receipt,
    keccak,
    refused,
)

WINDOW = 72 * HOUR


def break_glass(
    city: City, sequence: int = 1, *keys: Key, grantee: int = 2, hours: int = 2, **members: object
) -> dict[str, object]:
    receipt = city.joint(
        "breakGlass",
        "BreakGlass",
        *(keys or (city.departments[2].emergency,)),
        **{
            "asset": city.asset_id(1, sequence),
            "grantee": grantee,
            "reasonHash": keccak(b"flood"),
            "until": city.now + hours * HOUR,
            **members,
        },
    )
    return receipt.only("GlassBroken")


def ratify(city: City, grant: object, key: Key | None = None) -> Receipt:
    return city.sole("ratify", "Ratify", key or city.departments[3].oversight, grant=grant)


def test_emergency_grant_lasts_hours(city: City) -> None:
    one = city.departments[1]
    event = break_glass(city)
    identifier = event["grant"]
    assert event["ratifyBy"] == event["notBefore"] + WINDOW
    grant = city.call("grantOf", identifier)
    assert (grant["flags"], grant["right"], grant["grantee"], grant["maxUses"], grant["depth"]) == (
        2,
        2,
        2,
        UNLIMITED,
        0,
    )
    city.use(identifier, 3, one.attest)
    assert city.call("isLive", identifier, [])
    city.chain.now = event["expiry"]
    assert not city.call("isLive", identifier, [])


def test_limits_of_emergency_grants(city: City) -> None:
    two, three = city.departments[2], city.departments[3]
    for key in (two.steward, two.admin, two.bureau, two.oversight):
        with refused("RoleMissing"):
            break_glass(city, 1, key)
    with refused("WrongDepartment"):
        break_glass(city, 1, three.emergency)
    with refused("BreakGlassTooLong"):
        break_glass(city, hours=13)
    with refused("WindowInvalid"):
        break_glass(city, hours=0)
    with refused("AssetUnknown"):
        break_glass(city, 99)
    city.register(city.asset_id(1, 50), sharing=NOT_SHARED)
    break_glass(city, 50)
    city.suspend(city.asset_id(1, 1), city.departments[1].steward)
    with refused("AssetNotActive"):
        break_glass(city)


def test_core_data_need_the_data_bureau_even_in_an_emergency(city: City) -> None:
    two, three = city.departments[2], city.departments[3]
    with refused("SignatureCount"):
        break_glass(city, CORE)
    with refused("RoleMissing"):
        break_glass(city, CORE, two.emergency, three.steward)
    both = Key("emergency and bureau")
    city.seat(city.members[:2], 2, both, 32 | 64)
    for own in (both, two.bureau):
        with refused("BureauNotIndependent"):
            break_glass(city, CORE, both, own)
    break_glass(city, CORE, two.emergency, three.bureau)


def test_emergency_message_counts_once(city: City) -> None:
    message = city.message(
        "BreakGlass", asset=city.asset_id(1, 1), grantee=2, reasonHash=ZERO, until=city.now + HOUR
    )
    signature = city.sign("BreakGlass", message, city.departments[2].emergency)
    city.send("breakGlass", message, signature)
    with refused("GrantExists"):
        city.send("breakGlass", message, signature)


def test_another_department_s_oversight_ratifies(city: City) -> None:
    two, three = city.departments[2], city.departments[3]
    identifier = break_glass(city)["grant"]
    assert city.call("department", 2)[3] == 1
    with refused("RatifierNotIndependent"):
        ratify(city, identifier, two.oversight)
    with refused("RoleMissing"):
        ratify(city, identifier, three.steward)
    plain = city.grant(city.terms(city.asset_id(1, 1), 2))
    with refused("NotEmergency"):
        ratify(city, plain)
    assert ratify(city, identifier).only("Ratified") == {
        "grant": identifier,
        "department": 3,
        "officer": three.oversight.address,
    }
    assert city.call("grantOf", identifier)["flags"] == 2 | 4
    assert city.call("department", 2)[2:] == (True, 0)
    with refused("AlreadyRatified"):
        ratify(city, identifier)


def test_unratified_the_privilege_is_lost_until_the_council_restores_it(city: City) -> None:
    city.register(city.asset_id(1, 50))
    event = break_glass(city)
    city.chain.now = event["ratifyBy"]
    message = restoration(city, event["grant"])
    with refused("RatificationOpen"):
        city.send("restorePrivilege", message, city.council("RestorePrivilege", message))
    waiting = break_glass(city, 2)["grant"]
    city.chain.now = event["ratifyBy"] + 1
    with refused("RatifyTooLate"):
        ratify(city, event["grant"])
    with refused("PrivilegeLost"):
        break_glass(city, 50)
    assert city.call("department", 2)[2:] == (False, 2)
    break_glass(city, 1, city.departments[3].emergency, grantee=3)
    for wrong, error in ((waiting, "RatificationOpen"), (keccak(b"none"), "NotEmergency")):
        message = restoration(city, wrong, event["grant"])
        with refused(error):
            city.send("restorePrivilege", message, city.council("RestorePrivilege", message))
    message = city.message("RestorePrivilege", department=3, grants=[event["grant"]])
    with refused("NotEmergency"):
        city.send("restorePrivilege", message, city.council("RestorePrivilege", message))
    message = restoration(city, event["grant"])
    with refused("CouncilQuorum"):
        city.send("restorePrivilege", message, city.sign("RestorePrivilege", message, city.members[0]))
    city.send("restorePrivilege", message, city.council("RestorePrivilege", message))
    assert city.call("department", 2)[2:] == (True, 1), "the act that is not yet due still waits"
    break_glass(city)
    with refused("AlreadyDone"):
        city.send("restorePrivilege", message, city.council("RestorePrivilege", message))
    again = restoration(city, event["grant"])
    with refused("AlreadyRatified"):
        city.send("restorePrivilege", again, city.council("RestorePrivilege", again))


def restoration(city: City, *grants: object) -> dict[str, object]:
    return city.message("RestorePrivilege", department=2, grants=list(grants))


def test_one_act_for_an_asset_two_for_an_officer_six_for_a_department(city: City) -> None:
    """Regression: one attacker chained acts to 72 hours on one asset, and used up the department's acts with
    six of one second."""
    two = city.departments[2]
    keys = [two.emergency, Key("e2"), Key("e3"), Key("e4")]
    for key in keys[1:]:
        city.seat(city.members[:2], 2, key, EMERGENCY)
    for sequence in range(50, 58):
        city.register(city.asset_id(1, sequence))
    events = [break_glass(city, 50, keys[0]), break_glass(city, 51, keys[0])]
    with refused("ActOpen"):
        break_glass(city, 50, keys[1])
    with refused("TooManyOpenActs"):
        break_glass(city, 52, keys[0])
    for sequence, key in ((52, keys[1]), (53, keys[1]), (54, keys[2]), (55, keys[2])):
        events.append(break_glass(city, sequence, key))
    with refused("TooManyOpenActs"):
        break_glass(city, 56, keys[3])
    city.chain.now = events[0]["expiry"]
    with refused("ActOpen"):
        break_glass(city, 50, keys[3])
    ratify(city, events[0]["grant"])
    break_glass(city, 50, keys[0])
    assert city.call("department", 2)[3] == 6
    break_glass(city, 50, city.departments[3].emergency, grantee=3)


def test_a_revoked_act_still_waits_for_its_ratification(city: City) -> None:
    one = city.departments[1]
    event = break_glass(city)
    city.revoke(event["grant"], one.steward)
    with refused("ActOpen"):
        break_glass(city)
    with city.chain.rewound():
        ratify(city, event["grant"])
        break_glass(city)
    city.chain.now = event["ratifyBy"] + 1
    with refused("PrivilegeLost"):
        break_glass(city)


def test_nothing_is_derived_under_an_emergency_grant(city: City) -> None:
    """It would outlive the emergency: an access for hours must not become a permanent asset."""
    event = break_glass(city)
    members = {
        "asset": city.asset_id(2, 50),
        "class": GENERAL,
        "sharing": UNCONDITIONAL,
        "metadata": keccak(b"m"),
    }
    lineage = {"parents": [city.asset_id(1, 1)], "under": [event["grant"]]}
    for _ in range(2):
        with refused("ParentNotGranted"):
            city.sole("deriveAsset", "DeriveAsset", city.departments[2].steward, **members, **lineage)
        if city.call("grantOf", event["grant"])["flags"] == 2:
            ratify(city, event["grant"])


@pytest.mark.parametrize("depth", [0, 1])
def test_emergency_grant_cannot_be_delegated(city: City, depth: int) -> None:
    event = break_glass(city)
    child = city.terms(city.asset_id(1, 1), 3, parent=event["grant"], depth=depth, expiry=event["expiry"])
    with refused("ChainWrong"):
        city.delegate(child, [city.terms(city.asset_id(1, 1), 2)])
