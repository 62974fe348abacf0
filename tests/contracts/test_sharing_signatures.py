"""The sender of a message decides nothing; a signature that is not exactly right is refused with a named
error."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from contracts_harness import (
    DAY,
    FOREVER,
    HOUR,
    ZERO,
    Chain,
    City,
    Contract,
    Key,
    Reverted,
    keccak,
    refused,
    separator,
    struct_hash,
)

from contracts.artifacts import eip712_types

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def high_s(signature: bytes) -> bytes:
    """The other signature of the same message by the same key: (r, n - s, v ^ 1)."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def acts(city: City) -> dict[str, tuple[Callable[..., object], str, dict[str, Any], list[Key]]]:
    """Every signed act: its call with given signatures, its message type, the message, the right signers."""
    one, two = city.departments[1], city.departments[2]
    asset, identifier = city.asset_id(1, 1), city.grant(city.terms(city.asset_id(1, 1), 2))
    broken = city.message("BreakGlass", asset=asset, grantee=3, reasonHash=ZERO, until=city.now + HOUR)
    city.send("breakGlass", broken, city.sign("BreakGlass", broken, city.departments[3].emergency))
    new = Key("newcomer")

    def sole(function: str) -> Callable[..., object]:
        return lambda message, signatures: city.send(function, message, signatures[0])

    def joint(function: str) -> Callable[..., object]:
        return lambda message, signatures: city.send(function, message, signatures)

    def newcomer(function: str, kind: str) -> Callable[..., object]:
        return lambda message, signatures: city.send(
            function, message, signatures, *city.sign(kind, message, new)
        )

    seat = {"department": 1, "roles": 2, "notBefore": 0, "notAfter": FOREVER}
    council = city.members[:2]
    table: dict[str, tuple[Callable[..., object], str, list[Key], dict[str, Any]]] = {
        "grant": (joint("grant"), "Terms", [one.steward], city.terms(asset, 2)),
        "grantBatch": (joint("grantBatch"), "GrantBatch", [one.steward], {"grants": [city.terms(asset, 2)]}),
        "revoke": (sole("revoke"), "Revoke", [one.steward], {"grant": identifier, "reason": 0}),
        "revokeBatch": (
            sole("revokeBatch"),
            "RevokeBatch",
            [one.steward],
            {"grants": [identifier], "reason": 0},
        ),
        "use": (sole("use"), "Use", [one.attest], {"grant": identifier, "total": 1, "logHead": ZERO}),
        "useBatch": (
            sole("useBatch"),
            "UseBatch",
            [one.attest],
            {"uses": [{"grant": identifier, "total": 1}], "logHead": ZERO},
        ),
        "registerAsset": (
            sole("registerAsset"),
            "RegisterAsset",
            [one.steward],
            {"asset": city.asset_id(1, 90), "class": 1, "sharing": 1, "metadata": ZERO},
        ),
        "deriveAsset": (
            sole("deriveAsset"),
            "DeriveAsset",
            [one.steward],
            {
                "asset": city.asset_id(1, 91),
                "class": 1,
                "sharing": 2,
                "metadata": ZERO,
                "parents": [asset],
                "under": [ZERO],
            },
        ),
        "newVersion": (
            sole("newVersion"),
            "NewVersion",
            [one.steward],
            {"asset": asset, "version": 2, "metadata": ZERO},
        ),
        "reclassify": (
            joint("reclassify"),
            "Reclassify",
            [one.steward],
            {"asset": asset, "class": 2, "sharing": 2},
        ),
        "suspendAsset": (
            sole("suspendAsset"),
            "SuspendAsset",
            [one.steward],
            {"asset": asset, "by": 1, "reason": ZERO},
        ),
        "retireAsset": (joint("retireAsset"), "RetireAsset", [one.steward, one.admin], {"asset": asset}),
        "breakGlass": (
            joint("breakGlass"),
            "BreakGlass",
            [two.emergency],
            {"asset": asset, "grantee": 2, "reasonHash": ZERO, "until": city.now + 5 * HOUR},
        ),
        "ratify": (sole("ratify"), "Ratify", [two.oversight], {"grant": struct_hash("BreakGlass", broken)}),
        "addOfficer": (
            newcomer("addOfficer", "AddOfficer"),
            "AddOfficer",
            [one.admin, one.steward],
            {**seat, "officer": new.address},
        ),
        "addAttestKey": (
            newcomer("addAttestKey", "AddAttestKey"),
            "AddAttestKey",
            [one.admin],
            {**seat, "roles": 256, "key": new.address},
        ),
        "removeOfficer": (
            joint("removeOfficer"),
            "RemoveOfficer",
            [one.admin],
            {"officer": one.finance.address},
        ),
        "removeAttestKey": (
            joint("removeAttestKey"),
            "RemoveAttestKey",
            [one.admin],
            {"key": one.attest.address},
        ),
        "addServiceKey": (
            joint("addServiceKey"),
            "AddServiceKey",
            [one.admin],
            {
                "department": 1,
                "key": keccak(b"k"),
                "hpke": ZERO,
                "roles": 1,
                "notBefore": 0,
                "notAfter": FOREVER,
            },
        ),
        "rotateKey": (
            joint("rotateKey"),
            "RotateKey",
            [one.steward, new],
            {"from": one.steward.address, "to": new.address},
        ),
        "suspendDepartment": (
            joint("suspendDepartment"),
            "SuspendDepartment",
            [one.admin],
            {"department": 1, "reason": ZERO},
        ),
        "pause": (sole("pause"), "Pause", [city.guardian], {"duration": HOUR}),
        "announceHandOver": (
            joint("announceHandOver"),
            "HandOver",
            council,
            {"successor": city.successor(), "freezeAt": city.now + HOUR, "handOverAt": city.now + 3 * HOUR},
        ),
        "cancelAdmission": (
            joint("cancelAdmission"),
            "CancelAdmission",
            council,
            {"admission": propose(city)},
        ),
    }
    return {
        name: (send, kind, members if kind == "Terms" else city.message(kind, **members), signers)
        for name, (send, kind, signers, members) in table.items()
    }


def propose(city: City) -> bytes:
    message = city.message(
        "Admission", department=77, recovery=Key("r").address, profile=ZERO, seats=[], serviceKeys=[]
    )
    city.send("proposeAdmission", message, city.council("Admission", message))
    return struct_hash("Admission", message)


NAMES = [
    "grant",
    "grantBatch",
    "revoke",
    "revokeBatch",
    "use",
    "useBatch",
    "registerAsset",
    "deriveAsset",
    "newVersion",
    "reclassify",
    "suspendAsset",
    "retireAsset",
    "breakGlass",
    "ratify",
    "addOfficer",
    "addAttestKey",
    "removeOfficer",
    "removeAttestKey",
    "addServiceKey",
    "rotateKey",
    "suspendDepartment",
    "pause",
    "announceHandOver",
    "cancelAdmission",
]
REUSED = {
    "grant": "GrantExists",
    "grantBatch": "GrantExists",
    "breakGlass": "GrantExists",
    "revoke": "GrantNotActive",
    "revokeBatch": "NothingDone",
    "use": "TotalNotHigher",
    "useBatch": "NothingDone",
    "registerAsset": "AssetExists",
    "deriveAsset": "AssetExists",
    "newVersion": "VersionWrong",
    "retireAsset": "AssetStateWrong",
    "ratify": "AlreadyRatified",
    "addOfficer": "AddressTaken",
    "addAttestKey": "AddressTaken",
    "removeOfficer": "NotInOffice",
    "removeAttestKey": "NotInOffice",
    "addServiceKey": "KeyTaken",
    "rotateKey": "NotInOffice",
    "cancelAdmission": "AdmissionUnknown",
}
"""The error of a message that was executed already; the other types record their struct hash
(AlreadyDone)."""
STRANGER = {"NotInOffice", "NotCouncil", "NotGuardian", "PossessionMissing"}


def test_table_of_signatures_is_complete(city: City) -> None:
    assert sorted(acts(city)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_act_refuses_every_wrong_signature_by_name(city: City, name: str) -> None:
    send, kind, message, signers = acts(city)[name]
    right = city.sign(kind, message, *signers)
    rest = right[1:]

    for length in (0, 64, 66):
        with refused("SignatureLength"):
            send(message, [(right[0] + b"\0")[:length], *rest])
    with refused("SignatureHighS"):
        send(message, [high_s(right[0]), *rest])
    with refused("SignatureInvalid"):
        send(message, [bytes(64) + b"\x1b", *rest])
    for v in (0, 1, 26, 29, 255):
        with refused("SignatureInvalid"):
            send(message, [right[0][:64] + bytes([v]), *rest])

    other_chain = separator("SharingLedger", city.chain.chain_id + 1, city.ledger.address, city.salt)
    other_contract = separator("SharingLedger", city.chain.chain_id, Key("elsewhere").address, city.salt)
    other_salt = separator("SharingLedger", city.chain.chain_id, city.ledger.address, keccak(b"other salt"))
    other_name = separator("AuditAnchor", city.chain.chain_id, city.ledger.address, city.salt)
    for foreign in (other_chain, other_contract, other_salt, other_name):
        there = Contract("SharingLedger", city.ledger.address, city.ledger.abi, foreign)
        with pytest.raises(Reverted) as caught:
            send(message, city.sign(kind, message, *signers, contract=there))
        assert caught.value.name in STRANGER

    with pytest.raises(Reverted) as caught:
        send(message, [Key("stranger").sign(city.ledger.digest(kind, message)), *rest])
    assert caught.value.name in STRANGER

    late = {**message, "deadline": city.now - 1}
    with refused("DeadlinePassed"):
        send(late, city.sign(kind, late, *signers))
    last = {**message, "deadline": city.now + 50}
    city.chain.now = last["deadline"] + 1
    with refused("DeadlinePassed"):
        send(last, city.sign(kind, last, *signers))

    city.chain.now = message["deadline"] - 5
    send(message, right)
    with pytest.raises(Reverted) as caught:
        send(message, right)
    assert caught.value.name == REUSED.get(name, "AlreadyDone")


@pytest.mark.parametrize(
    "name", ["grant", "revoke", "registerAsset", "use", "breakGlass", "addOfficer", "rotateKey"]
)
def test_a_removed_officer_signs_nothing(city: City, name: str) -> None:
    send, kind, message, signers = acts(city)[name]
    machine = name == "use"
    function, members = (
        ("removeAttestKey", {"key": signers[0].address})
        if machine
        else ("removeOfficer", {"officer": signers[0].address})
    )
    city.joint(function, "RemoveAttestKey" if machine else "RemoveOfficer", *city.members[:2], **members)
    with refused("NotInOffice"):
        send(message, city.sign(kind, message, *signers))


# ---- The relayer alone -----------------------------------------------------------------------------------------


def mutations(kind: str, message: dict[str, Any]) -> list[dict[str, Any]]:
    """Every member changed in turn, each within its type."""
    changed = []
    for member in eip712_types()[kind]:
        name, type_ = member["name"], member["type"]
        value = message[name]
        if type_ == "bytes32":
            others = [bytes([value[0] ^ 1]) + value[1:], value[:-1] + bytes([value[-1] ^ 1])]
        elif type_ == "address":
            others = [Key("the relayer").address]
        elif type_.startswith("uint"):
            if type_.endswith("[]"):
                changed += [{**message, name: [*value, *value]}, {**message, name: []}]
                continue
            top = (1 << int(type_[4:])) - 1
            others = [value ^ 1, top if value != top else 0, value + 1 if value < top else value - 1]
        else:
            continue
        changed += [{**message, name: other} for other in others]
    return changed


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("grantBatch", "useBatch", "revokeBatch")])
def test_no_member_of_a_signed_message_can_be_changed(city: City, name: str) -> None:
    """A holder of signed terms cannot grant other terms or widen, extend or redirect them."""
    send, kind, message, signers = acts(city)[name]
    right = city.sign(kind, message, *signers)
    for other in mutations(kind, message):
        with city.chain.rewound(), pytest.raises(Reverted):
            send(other, right)
    send(message, right)


def test_no_item_of_a_signed_batch_can_be_changed_dropped_or_doubled(city: City) -> None:
    one, asset = city.departments[1], city.asset_id(1, 1)
    terms = [city.terms(asset, 2), city.terms(asset, 3)]
    message = city.message("GrantBatch", grants=terms)
    signature = city.sign("GrantBatch", message, one.steward)
    spoilt = [[*terms, terms[0]], terms[:1], terms[::-1]]
    spoilt += [[mutant, terms[1]] for mutant in mutations("Terms", terms[0])]
    for grants in spoilt:
        with pytest.raises(Reverted):
            city.send("grantBatch", {**message, "grants": grants}, signature)
    city.send("grantBatch", message, signature)
    ids = [struct_hash("Terms", one) for one in terms]

    message = city.message("UseBatch", uses=[{"grant": i, "total": 5} for i in ids], logHead=ZERO)
    use = city.sign("UseBatch", message, one.attest)
    for uses in (
        [{"grant": ids[0], "total": 6}, message["uses"][1]],
        message["uses"][:1],
        message["uses"][::-1],
    ):
        with refused("NotInOffice"):
            city.send("useBatch", {**message, "uses": uses}, *use)

    message = city.message("RevokeBatch", grants=ids[:1], reason=0)
    revoke = city.sign("RevokeBatch", message, one.steward)
    for grants in (ids, ids[1:]):
        with refused("NotInOffice"):
            city.send("revokeBatch", {**message, "grants": grants}, *revoke)


def test_a_relayer_cannot_pass_off_one_message_as_another(city: City) -> None:
    """Cancel and Ratify have the same members; their types keep them apart."""
    terms = city.terms(city.asset_id(1, 1), 2)
    ratify = city.message("Ratify", grant=struct_hash("Terms", terms))
    signature = city.sign("Ratify", ratify, city.departments[1].steward)
    with refused("NotInOffice"):
        city.send("cancel", ratify, terms, *signature)
    batch = city.message("GrantBatch", grants=[terms])
    with refused("NotInOffice"):
        city.send("grant", terms, city.sign("GrantBatch", batch, city.departments[1].steward))


def test_random_signatures_are_refused(city: City) -> None:
    noise = random.Random(7)
    terms = city.terms(city.asset_id(1, 1), 2)
    for _ in range(60):
        signature = noise.randbytes(64) + bytes([noise.choice((27, 28))])
        with pytest.raises(Reverted) as caught:
            city.chain.call(city.ledger, "grant", terms, [signature])
        assert caught.value.name in {"NotInOffice", "SignatureInvalid", "SignatureHighS"}


def test_a_signature_list_that_points_elsewhere_finds_no_signer(city: City) -> None:
    """The offsets of ``bytes[]`` are not bounds-checked, but no offset leads to a valid signature."""
    terms = city.terms(city.asset_id(1, 1), 2)
    data = city.ledger.abi.data("grant", [terms, city.quorum("Terms", terms, 1)])
    head = 4 + 32 * 11
    assert int.from_bytes(data[head : head + 32], "big") == 32 * 12
    offset_at = 4 + 32 * 12 + 32
    for target in (0, 1, 31, 64, 10_000, 2**64, 2**255, 2**256 - 32, 2**256 - 1):
        changed = data[:offset_at] + target.to_bytes(32, "big") + data[offset_at + 32 :]
        with pytest.raises(Reverted):
            city.chain._call(city.ledger.abi, {"to": city.ledger.address, "data": "0x" + changed.hex()})


def test_two_installations_share_no_signature() -> None:
    """Same chain id, same address, same keys: only the deployment salt differs."""
    first, second = (City(Chain(), salt=keccak(text)) for text in (b"one", b"two"))
    assert first.ledger.address == second.ledger.address
    assert first.chain.chain_id == second.chain.chain_id
    for city in (first, second):
        city.admit(1)
        city.admit(2)
        city.register(city.asset_id(1, 1))
    terms = first.terms(first.asset_id(1, 1), 2)
    signatures = first.quorum("Terms", terms, 1)
    first.send("grant", terms, signatures)
    with refused("NotInOffice"):
        second.send("grant", terms, signatures)


def test_the_parts_of_the_ledger_do_nothing_by_themselves(city: City) -> None:
    """Called directly, outside the ledger, the parts have no council, no guardian and no officers."""
    part = city.call("firstPart")
    while int(part, 16):
        alone = Contract("SharingLedger", part, city.ledger.abi, city.ledger.separator)
        part = city.chain.call(alone, "nextPart")
        message = city.message("Pause", duration=HOUR)
        hand_over = city.message("HandOver", successor=part, freezeAt=city.now, handOverAt=city.now + HOUR)
        with pytest.raises(Reverted):
            city.chain.send(alone, "pause", message, *city.sign("Pause", message, city.guardian))
        with pytest.raises(Reverted):
            city.chain.send(alone, "announceHandOver", hand_over, city.council("HandOver", hand_over))
        retire = city.message("RetireAsset", asset=city.asset_id(1, 1))
        with pytest.raises(Reverted):
            city.chain.send(
                alone, "retireAsset", retire, city.sign("RetireAsset", retire, city.departments[1].steward)
            )
    assert city.call("pausedUntil") < city.now + DAY
