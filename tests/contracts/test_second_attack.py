"""The findings of the second attack on the contracts: orders of arrival and pairs of keys that a rule had not
considered."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from contracts_harness import (
    DAY,
    FOREVER,
    HOUR,
    READER,
    STEWARD,
    ZERO,
    City,
    Contract,
    Key,
    Reverted,
    atom,
    keccak,
    refused,
    struct_hash,
    type_hash,
)

from contracts.artifacts import eip712_types

from .invariants.pending import PendingChain as Chain
from .powers.acts import Act
from .powers.data_acts import ACTS
from .powers.ready_city import ReadyCity
from .powers.tried import ready


def break_glass(city: City, asset: int, key: Key) -> bytes:
    """One hour of an asset of department 1, for department 2."""
    message = city.message(
        "BreakGlass", asset=asset, grantee=2, reasonHash=keccak(b"flood"), until=city.now + HOUR
    )
    city.send("breakGlass", message, city.sign("BreakGlass", message, key))
    return struct_hash("BreakGlass", message)


def rotate(city: City, old: Key, new: Key) -> None:
    city.joint("rotateKey", "RotateKey", old, new, **{"from": old.address, "to": new.address})


# ---- Break-glass -----------------------------------------------------------------------------------------------


def test_a_rotation_gives_no_fresh_break_glass_acts(city: City) -> None:
    """At most two acts of one officer are pending, under any of its keys: an attacker must not use all six of
    the department."""
    assets = [city.register(city.asset_id(1, 60 + i)) for i in range(4)]
    first, second, third = city.departments[2].emergency, Key("next"), Key("the one after")
    glass = [break_glass(city, asset, first) for asset in assets[:2]]
    rotate(city, first, second)
    with refused("TooManyOpenActs"):
        break_glass(city, assets[2], second)
    rotate(city, second, third)
    with refused("TooManyOpenActs"):
        break_glass(city, assets[2], third)
    city.sole("ratify", "Ratify", city.departments[3].oversight, grant=glass[0])
    break_glass(city, assets[2], third)
    with refused("TooManyOpenActs"):
        break_glass(city, assets[3], third)


def test_a_recovered_seat_keeps_its_open_acts(city: City) -> None:
    keys = city.departments[2]
    assets = [city.register(city.asset_id(1, 60 + i)) for i in range(3)]
    heir = Key("heir")
    message = city.message("Recover", **{"department": 2, "from": keys.emergency.address, "to": heir.address})
    city.send(
        "startRecovery",
        message,
        city.sign("Recover", message, keys.recovery, heir),
        city.council("Recover", message),
    )
    city.chain.travel(71 * HOUR)
    for asset in assets[:2]:
        break_glass(city, asset, keys.emergency)
    city.chain.travel(2 * HOUR)
    city.send("finishRecovery", keys.emergency.address)
    with refused("TooManyOpenActs"):
        break_glass(city, assets[2], heir)


# ---- Delegation from a counted grant ---------------------------------------------------------------------------


def test_total_signed_for_one_delegation_is_invalid_for_another(city: City) -> None:
    """The total of five is on the chain with its signature; ninety more uses are not recorded yet."""
    parent = city.terms(city.asset_id(1, 1), 2, depth=1, maxUses=100)
    grant = city.grant(parent)
    one, two = city.departments[1], city.departments[2]
    child = city.terms(parent["asset"], 3, maxUses=1, parent=grant, expiry=parent["expiry"])
    total = city.message("Use", grant=grant, total=5, logHead=struct_hash("Terms", child))
    signed = city.sign("Use", total, one.attest)
    city.send("delegateCounted", child, [parent], total, city.sign("Terms", child, two.steward), *signed)
    another = city.terms(parent["asset"], 3, maxUses=90, parent=grant, expiry=parent["expiry"])
    with refused("TotalForeign"):
        city.send(
            "delegateCounted", another, [parent], total, city.sign("Terms", another, two.steward), *signed
        )


def test_a_recorded_total_serves_no_delegation(city: City) -> None:
    """An hourly record that is public on the chain does not include the uses since."""
    parent = city.terms(city.asset_id(1, 1), 2, depth=1, maxUses=100)
    grant = city.grant(parent)
    one, two = city.departments[1], city.departments[2]
    recorded = city.message("Use", grant=grant, total=5, logHead=keccak(b"head"))
    signed = city.sign("Use", recorded, one.attest)
    city.send("use", recorded, *signed)
    child = city.terms(parent["asset"], 3, maxUses=90, parent=grant, expiry=parent["expiry"])
    with refused("TotalForeign"):
        city.send(
            "delegateCounted", child, [parent], recorded, city.sign("Terms", child, two.steward), *signed
        )


# ---- The council and the oversight of a department -------------------------------------------------------------


@pytest.fixture
def delayed() -> City:
    """Department 1 was admitted; seats that the council alone gives begin after a day."""
    city = City(Chain(), admission_delay=DAY)
    city.admit(1)
    return city


@pytest.mark.parametrize("what", ["seat", "key"])
def test_removing_the_officers_does_not_prevent_a_veto(delayed: City, what: str) -> None:
    """The council removes ADMIN, CDO and OVERSIGHT at once; the recovery key remains as the department's
    protection."""
    one, council = delayed.departments[1], delayed.members[:2]
    for role in ("admin", "cdo", "oversight"):
        delayed.joint("removeOfficer", "RemoveOfficer", *council, officer=one.keys[role].address)
    thief, key = Key("thief"), keccak(b"reader")
    if what == "seat":
        delayed.seat(council, 1, thief, STEWARD)
        kind, members = "RemoveOfficer", {"officer": thief.address}
    else:
        term = {"notBefore": 0, "notAfter": FOREVER}
        delayed.joint(
            "addServiceKey", "AddServiceKey", *council, department=1, key=key, hpke=ZERO, roles=READER, **term
        )
        kind, members = "RemoveServiceKey", {"department": 1, "key": key}
    function = kind[0].lower() + kind[1:]
    for stranger in (one.admin, one.steward, Key("thief"), Key("2 recovery")):
        if stranger.address != members.get("officer"):
            with pytest.raises(Reverted):
                delayed.joint(function, kind, stranger, **members)
    with delayed.chain.rewound():
        delayed.chain.travel(DAY + 1)
        with pytest.raises(Reverted):
            delayed.joint(function, kind, one.recovery, **members)
    delayed.joint(function, kind, one.recovery, **members)


def test_the_council_does_not_change_the_key_that_objects(delayed: City) -> None:
    """Alone it cannot: an ADMIN signs the change too."""
    message = delayed.message("SetRecoveryKey", department=1, recovery=Key("thief").address)
    council = delayed.council("SetRecoveryKey", message)
    with refused("NotInOffice"):
        delayed.send("setRecoveryKey", message, council[0], council)


def test_a_ratified_act_is_not_restored_in_the_place_of_one_that_waits() -> None:
    """Two acts in the same second on one asset are due in the same second: the council names the pending
    one."""
    city = City(Chain())
    for number in (1, 2, 3):
        city.admit(number)
    asset, emergency = city.register(city.asset_id(1, 1)), city.departments[2].emergency
    second = city.now
    first = break_glass(city, asset, emergency)
    city.chain.now = second
    city.sole("ratify", "Ratify", city.departments[3].oversight, grant=first)
    city.chain.now = second
    other = break_glass(city, asset, emergency)
    city.chain.travel(73 * HOUR)
    with refused("AlreadyRatified"):
        city.joint("restorePrivilege", "RestorePrivilege", *city.members[:2], department=2, grants=[first])
    city.joint("restorePrivilege", "RestorePrivilege", *city.members[:2], department=2, grants=[other])


# ---- Members wider than their type -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared() -> ReadyCity:
    return ReadyCity(Chain())


def flat(members: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the message is in calldata in its hashed form."""
    return not any("[" in one["type"] or one["type"] == "string" for one in members)


def width(kind: str) -> int:
    """Bits of a value."""
    return 160 if kind == "address" else 256 if kind == "bytes32" else int(kind.removeprefix("uint"))


KINDS = sorted({act.kind for act in ACTS if flat(eip712_types()[act.kind])})


@pytest.mark.parametrize("kind", KINDS)
def test_no_member_is_wider_than_its_type(prepared: ReadyCity, kind: str) -> None:
    """The hash covers the words in calldata: with high bits set they are not a valid act, even if the right
    officers sign them."""
    members = eip712_types()[kind]
    for act in (act for act in ACTS if act.kind == kind):
        with ready(prepared, act):
            for way, (place, member) in itertools.product(act.ways, enumerate(members)):
                for bit in {width(member["type"]), 255} if width(member["type"]) < 256 else ():
                    assert not takes_dirty(prepared, act, way, place, bit), (act.name, way, member["name"])


def takes_dirty(prepared: ReadyCity, act: Act, way: Sequence[str], place: int, bit: int) -> bool:
    """Whether the act is done with this bit set in this member, signed in the form in which it is sent."""
    members, whole = eip712_types()[act.kind], prepared.city.sign

    def sign(
        kind: str, message: Mapping[str, Any], *keys: Key, contract: Contract | None = None
    ) -> list[bytes]:
        if kind != act.kind:
            return whole(kind, message, *keys, contract=contract)
        words = [atom(one["type"], message[one["name"]]) for one in members]
        words[place] = dirty(words[place], bit)
        home = contract or prepared.city.ledger
        digest = keccak(b"\x19\x01" + home.separator + keccak(type_hash(kind) + b"".join(words)))
        return [key.sign(digest) for key in keys]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared.city, "sign", sign)
        contract, function, arguments = act.call(prepared, [prepared.key(label) for label in way])
    data = contract.abi.data(function, arguments)
    before = next(i for i, one in enumerate(arguments) if isinstance(one, dict))
    at = 4 + 32 * (before + place)
    data = data[:at] + dirty(data[at : at + 32], bit) + data[at + 32 :]
    try:
        prepared.chain._call(contract.abi, {"to": contract.address, "data": "0x" + data.hex()})
    except Reverted:
        return False
    return True


def dirty(word: bytes, bit: int) -> bytes:
    return (int.from_bytes(word, "big") | 1 << bit).to_bytes(32, "big")
