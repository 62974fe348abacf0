"""A grant is the officers' signature over its complete terms; delegation only narrows it, and its end is
final."""

from __future__ import annotations

import pytest
from contracts_harness import (
    CORE,
    DAY,
    FOREVER,
    GENERAL,
    HOUR,
    IMPORTANT,
    NOT_SHARED,
    OPERATE,
    READER,
    UNCONDITIONAL,
    UNLIMITED,
    ZERO,
    City,
    Key,
    Receipt,
    Reverted,
    keccak,
    refused,
    struct_hash,
)


def grant_id(terms: dict[str, object]) -> bytes:
    return struct_hash("Terms", terms)


# ---- Create ----------------------------------------------------------------------------------------------------


def test_a_grant_is_its_terms_and_nothing_else(city: City) -> None:
    terms = city.terms(city.asset_id(1, 1), 2, depth=3)
    event = city.send("grant", terms, city.quorum("Terms", terms, 1)).only("Granted")
    assert event == {
        **terms,
        "grant": grant_id(terms),
        "officer": city.departments[1].steward.address,
    }
    assert city.call("termsDigest", terms) == (grant_id(terms), city.ledger.digest("Terms", terms))
    stored = city.call("grantOf", grant_id(terms))
    assert (stored["state"], stored["flags"], stored["uses"], stored["live"]) == (1, 0, 0, True)
    names = ("asset", "grantee", "right", "notBefore", "expiry", "maxUses", "depth")
    assert {name: stored[name] for name in names} == {name: terms[name] for name in names}


def test_a_signature_grants_once(city: City) -> None:
    terms = city.terms(city.asset_id(1, 1), 2)
    city.grant(terms)
    with refused("GrantExists"):
        city.grant(terms)
    city.revoke(grant_id(terms), city.departments[1].steward)
    with refused("GrantExists"):
        city.grant(terms)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"right": 0}, "RightInvalid"),
        ({"right": 4}, "RightInvalid"),
        ({"maxUses": 0}, "UsesInvalid"),
        ({"grantee": 99}, "DepartmentNotActive"),
        ({"parent": keccak(b"parent")}, "ParentWrong"),
        ({"asset": 1 << 40 | 99}, "AssetUnknown"),
        ({"deadline": 5}, "DeadlinePassed"),
        ({"expiry": 5}, "WindowInvalid"),
        ({"notBefore": FOREVER, "expiry": FOREVER}, "WindowInvalid"),
        ({"grantee": 0}, "OfferInvalid"),
    ],
)
def test_invalid_terms_are_refused_with_valid_signatures(
    city: City, members: dict[str, object], error: str
) -> None:
    terms = {**city.terms(city.asset_id(1, 1), 2), **members}
    with refused(error):
        city.send("grant", terms, city.quorum("Terms", terms, 1))
    with refused(error):
        city.joint(
            "grantBatch",
            "GrantBatch",
            city.departments[1].steward,
            grants=[city.terms(city.asset_id(1, 1), 2), terms],
        )


def test_data_that_are_not_shared_are_not_granted(city: City) -> None:
    asset = city.register(city.asset_id(1, 50), sharing=NOT_SHARED)
    with refused("AssetNotShared"):
        city.grant(city.terms(asset, 2))


def test_a_member_wider_than_its_type_is_refused(city: City) -> None:
    """The hash covers the words in calldata; a word with high bits set is not a uint24."""
    terms = city.terms(city.asset_id(1, 1), 2)
    data = bytearray(city.ledger.abi.data("grant", [terms, city.quorum("Terms", terms, 1)]))
    for word in range(11):
        if word in (8, 9):
            continue
        changed = bytearray(data)
        changed[4 + 32 * word] = 1
        request = {"to": city.ledger.address, "data": "0x" + changed.hex()}
        with refused("TermsMalformed"):
            city.chain._call(city.ledger.abi, request)


# ---- Quorum ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("class_", [GENERAL, IMPORTANT, CORE])
def test_a_class_needs_its_quorum_in_order_of_distinct_people(city: City, class_: int) -> None:
    one, two = city.departments[1], city.departments[2]
    terms = city.terms(city.asset_id(1, class_), 2)
    right = [one.steward, one.cdo, two.bureau][:class_]

    def grant(*keys: Key) -> Receipt:
        return city.send("grant", terms, city.sign("Terms", terms, *keys))

    with refused("SignatureCount"):
        grant(*right[:-1])
    with refused("SignatureCount"):
        grant(*right, one.finance)
    if class_ > GENERAL:
        with refused("RoleMissing"):
            grant(*[one.cdo, one.steward, two.bureau][:class_])
        with refused("SignerRepeated"):
            grant(*[one.steward, one.steward, two.bureau][:class_])
        with refused("WrongDepartment"):
            grant(*[one.steward, two.cdo, two.bureau][:class_])
    if class_ == CORE:
        with refused("BureauNotIndependent"):
            grant(one.steward, one.cdo, one.bureau)
        with refused("RoleMissing"):
            grant(one.steward, one.cdo, one.cdo)
        with refused("RoleMissing"):
            grant(one.steward, one.cdo, two.steward)
    receipt = grant(*right)
    assert [event.args["officer"] for event in receipt.events if event.name == "CoSigned"] == [
        k.address for k in right[1:]
    ]


def test_one_person_with_two_roles_counts_once(city: City) -> None:
    one, both = city.departments[1], Key("steward and cdo")
    city.seat(city.members[:2], 1, both, 2 | 8)
    terms = city.terms(city.asset_id(1, IMPORTANT), 2)
    with refused("SignerRepeated"):
        city.send("grant", terms, city.sign("Terms", terms, both, both))
    city.send("grant", terms, city.sign("Terms", terms, one.steward, both))


# ---- Batch -----------------------------------------------------------------------------------------------------


def test_a_batch_is_the_same_as_its_singles(city: City) -> None:
    terms = [
        city.terms(city.asset_id(1, 1), grantee, right=right, depth=1)
        for grantee in (2, 3)
        for right in (1, 2, 3)
    ]
    with city.chain.rewound():
        for one in terms:
            city.grant(one)
        singles = [city.call("grantOf", grant_id(one)) for one in terms]
    receipt = city.joint("grantBatch", "GrantBatch", city.departments[1].steward, grants=terms)
    assert [city.call("grantOf", grant_id(one)) for one in terms] == singles
    assert [event.args["grant"] for event in receipt.events] == [grant_id(one) for one in terms]


def test_the_highest_class_of_a_batch_decides_its_quorum(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    terms = [city.terms(city.asset_id(1, class_), 2) for class_ in (GENERAL, CORE, IMPORTANT)]
    with refused("SignatureCount"):
        city.joint("grantBatch", "GrantBatch", one.steward, grants=terms)
    with refused("SignatureCount"):
        city.joint("grantBatch", "GrantBatch", one.steward, one.cdo, grants=terms)
    city.joint("grantBatch", "GrantBatch", one.steward, one.cdo, two.bureau, grants=terms)
    assert all(city.call("liveOf", [grant_id(one) for one in terms]))


def test_a_batch_is_all_or_nothing_and_of_one_grantor(city: City) -> None:
    one, asset = city.departments[1], city.asset_id(1, 1)
    with refused("BatchEmpty"):
        city.joint("grantBatch", "GrantBatch", one.steward, grants=[])
    other = city.register(city.asset_id(2, 1))
    with refused("NotRightHolder"):
        city.joint(
            "grantBatch", "GrantBatch", one.steward, grants=[city.terms(asset, 2), city.terms(other, 3)]
        )
    twice = city.terms(asset, 2)
    with refused("GrantExists"):
        city.joint("grantBatch", "GrantBatch", one.steward, grants=[twice, twice])
    assert city.call("grantOf", grant_id(twice))["state"] == 0


def test_a_batch_reaches_departments_of_different_words(city: City) -> None:
    """One word holds 64 departments; the batch reads another word for department 70."""
    city.admit(70, roles=("admin",))
    terms = [city.terms(city.asset_id(1, 1), grantee) for grantee in (2, 70, 3)]
    city.joint("grantBatch", "GrantBatch", city.departments[1].steward, grants=terms)
    city.grant(city.terms(city.asset_id(1, 1), 70))
    with refused("DepartmentNotActive"):
        city.joint(
            "grantBatch",
            "GrantBatch",
            city.departments[1].steward,
            grants=[city.terms(city.asset_id(1, 1), 71)],
        )


# ---- Standing offers -------------------------------------------------------------------------------------------


def test_a_standing_offer_is_unlimited_unconditional_and_final(city: City) -> None:
    asset = city.register(city.asset_id(1, 50), sharing=UNCONDITIONAL)
    for members in ({"maxUses": 100}, {"depth": 1}):
        with refused("OfferInvalid"):
            city.grant(city.terms(asset, 0, **{"maxUses": UNLIMITED, **members}))
    with refused("OfferInvalid"):
        city.grant(city.terms(city.asset_id(1, 1), 0, maxUses=UNLIMITED))
    limited = city.terms(asset, 0, maxUses=5)
    with refused("OfferInvalid"):
        city.joint(
            "grantBatch",
            "GrantBatch",
            city.departments[1].steward,
            grants=[city.terms(asset, 0, maxUses=UNLIMITED), limited],
        )
    identifier = city.grant(city.terms(asset, 0, maxUses=UNLIMITED))
    city.use(identifier, 100_000, city.departments[1].attest)
    assert city.call("access", identifier, [], 3, ZERO)["live"]


# ---- Delegate --------------------------------------------------------------------------------------------------


def counted(city: City, child: dict[str, object], chain: list[dict[str, object]], total: int) -> Receipt:
    """A delegation from a counted grant, with the total by the machine of department 1."""
    last = city.message("Use", grant=child["parent"], total=total, logHead=grant_id(child))
    return city.send(
        "delegateCounted",
        child,
        chain,
        last,
        city.quorum("Terms", child, chain[0]["grantee"]),
        *city.sign("Use", last, city.departments[1].attest),
    )


def test_a_delegation_is_deducted_from_the_total_of_now(city: City) -> None:
    """Regression: 80 of 100 uses were not yet on the chain and all 100 were delegated: 180 of 100."""
    one, parent = city.departments[1], city.terms(city.asset_id(1, 1), 2, depth=1, maxUses=100)
    top = city.grant(parent)
    child = {**parent, "grantee": 3, "depth": 0, "parent": top}
    another = {**child, "maxUses": 1}
    last = city.message("Use", grant=top, total=0, logHead=grant_id(another))
    for key, error in ((city.departments[2].attest, "NotAttestor"), (one.steward, "RoleMissing")):
        with refused(error):
            city.send(
                "delegateCounted",
                another,
                [parent],
                last,
                city.quorum("Terms", another, 2),
                *city.sign("Use", last, key),
            )
    other = city.grant(city.terms(city.asset_id(1, 1), 2))
    stray = city.message("Use", grant=other, total=1, logHead=ZERO)
    with refused("ParentWrong"):
        city.send(
            "delegateCounted",
            child,
            [parent],
            stray,
            city.quorum("Terms", child, 2),
            *city.sign("Use", stray, one.attest),
        )
    with refused("WiderThanParent"):
        counted(city, child, [parent], 80)
    receipt = counted(city, {**child, "maxUses": 20}, [parent], 80)
    assert [receipt.only("Used")["total"], receipt.only("Deducted")["maxUses"]] == [80, 80]
    assert city.call("grantOf", top)["spent"]
    assert city.call("isLive", grant_id({**child, "maxUses": 20}), [{**child, "maxUses": 20}, parent])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_department_of_a_chain_is_active(city: City, number: int) -> None:
    """Regression: a suspended department in the middle of a chain still granted through its delegations."""
    city.admit(4)
    first = city.terms(city.asset_id(1, 1), 2, depth=2, maxUses=UNLIMITED)
    second = {**first, "grantee": 3, "depth": 1, "parent": city.grant(first)}
    third = {**second, "grantee": 4, "depth": 0, "parent": city.delegate(second, [first])}
    last = city.delegate(third, [second, first])
    fourth = {**third, "salt": 5}
    assert city.call("isLive", last, [third, second, first])
    city.joint(
        "suspendDepartment",
        "SuspendDepartment",
        city.departments[number].admin,
        department=number,
        reason=ZERO,
    )
    assert not city.call("isLive", last, [third, second, first])
    with refused("DepartmentNotActive"):
        city.delegate(fourth, [second, first])


def test_the_children_of_a_replaced_grant_live_on_under_the_newer_one(city: City) -> None:
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)
    old = city.terms(asset, 2, depth=1, maxUses=UNLIMITED)
    top = city.grant(old)
    child = {**old, "grantee": 3, "depth": 0, "parent": top}
    below = city.delegate(child, [old])
    newer = city.terms(asset, 2, depth=1, maxUses=UNLIMITED)
    by = city.grant(newer)

    def replace(by: bytes, key: Key = one.steward) -> Receipt:
        return city.sole("replaceGrant", "ReplaceGrant", key, grant=top, by=by)

    dead = city.grant(newer | {"salt": 7})
    city.revoke(dead, one.steward)
    for wrong, error in (
        (dead, "GrantNotActive"),
        (city.grant(city.terms(asset, 3)), "ReplacementDiffers"),
        (city.grant(city.terms(asset, 2, right=OPERATE)), "ReplacementDiffers"),
        (keccak(b"no grant"), "GrantNotActive"),
        (top, "GrantNotActive"),
        (below, "GrantNotActive"),
    ):
        with refused(error):
            replace(wrong)
    with refused("WrongDepartment"):
        replace(by, two.steward)
    assert replace(by).only("Replaced")["by"] == by
    assert city.call("grantOf", top)["state"] == 4
    assert not city.call("isLive", top, [])
    assert city.call("isLive", below, [child, old])
    with refused("GrantNotActive"):
        city.revoke(top, one.steward)
    last = city.grant(city.terms(asset, 2, depth=1, maxUses=UNLIMITED))
    city.sole("replaceGrant", "ReplaceGrant", one.steward, grant=by, by=last)
    assert city.call("isLive", below, [child, old]), "and on under the one that replaces that one"
    with refused("GrantNotActive"):
        city.sole("replaceGrant", "ReplaceGrant", one.steward, grant=last, by=top)
    city.revoke(last, one.steward)
    assert not city.call("isLive", below, [child, old])


def test_a_delegation_narrows_and_deducts(city: City) -> None:
    asset = city.asset_id(1, 1)
    parent = city.terms(asset, 2, depth=2, maxUses=100)
    top = city.grant(parent)
    city.use(top, 30, city.departments[1].attest)
    child = city.terms(
        asset, 3, depth=1, maxUses=50, parent=top, notBefore=parent["notBefore"], expiry=parent["expiry"]
    )
    with refused("TotalNeeded"):
        city.send("delegate", child, [parent], city.quorum("Terms", child, 2))
    receipt = counted(city, child, [parent], 30)
    assert receipt.only("Deducted") == {"parent": top, "child": grant_id(child), "maxUses": 50}
    assert city.call("grantOf", top)["maxUses"] == 50
    assert city.call("grantOf", grant_id(child))["flags"] == 1
    too_many = city.terms(asset, 3, maxUses=21, parent=top, expiry=parent["expiry"])
    with refused("WiderThanParent"):
        city.delegate(too_many, [parent])
    city.delegate({**too_many, "maxUses": 20}, [parent])
    with refused("UsesExhausted"):
        city.use(top, 31, city.departments[1].attest)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"asset": 1 << 40 | 4}, 1),
        ({"right": OPERATE}, 2),
        ({"notBefore": -1}, 3),
        ({"expiry": 1}, 4),
        ({"depth": 2}, 5),
        ({"maxUses": 101}, 6),
        ({"maxUses": UNLIMITED}, 6),
        ({"depth": 128}, 7),
    ],
)
def test_no_child_is_wider_than_its_parent(city: City, members: dict[str, int], field: int) -> None:
    city.register(city.asset_id(1, 4))
    parent = city.terms(city.asset_id(1, 1), 2, depth=2)
    top = city.grant(parent)
    window = {"notBefore": parent["notBefore"], "expiry": parent["expiry"]}
    child = {**city.terms(parent["asset"], 3, depth=1, parent=top), **window}
    wider = {**child, **{name: window.get(name, 0) + value for name, value in members.items()}}
    with pytest.raises(Reverted) as caught:
        city.delegate(wider, [parent])
    assert (caught.value.name, caught.value.arguments) == ("WiderThanParent", (field,))
    city.delegate(child, [parent])


def test_delegation_needs_the_whole_live_chain(city: City) -> None:
    city.admit(4)
    asset = city.asset_id(1, 1)
    first = city.terms(asset, 2, depth=2, maxUses=UNLIMITED)
    second = {**first, "grantee": 3, "depth": 1, "parent": city.grant(first)}
    middle = city.delegate(second, [first])
    third = {**second, "grantee": 4, "depth": 0, "parent": middle}
    for chain in ([], [second], [first], [first, second], [second, first, first]):
        with refused("ChainWrong"):
            city.send("delegate", third, chain, city.quorum("Terms", third, 3))
    with refused("WrongDepartment"):
        city.send("delegate", third, [second, first], city.quorum("Terms", third, 2))
    with refused("OfferInvalid"):
        city.delegate({**third, "grantee": 0, "maxUses": UNLIMITED}, [second, first])
    with refused("ParentWrong"):
        city.delegate({**third, "parent": ZERO}, [second, first])
    last = city.delegate(third, [second, first])
    assert city.call("isLive", last, [third, second, first])
    assert not city.call("isLive", last, []), "without its ancestors nobody can tell"
    assert not city.call("isLive", last, [third, second])

    city.revoke(grant_id(first), city.departments[1].steward)
    assert not city.call("isLive", last, [third, second, first])
    with refused("GrantNotActive"):
        city.delegate({**third, "salt": 1}, [second, first])


def test_a_delegation_meets_the_quorum_of_the_asset_s_class(city: City) -> None:
    parent = city.terms(city.asset_id(1, CORE), 2, depth=1)
    child = {**parent, "grantee": 3, "depth": 0, "parent": city.grant(parent, CORE)}
    with refused("SignatureCount"):
        city.delegate(child, [parent])
    city.delegate(child, [parent], CORE)


# ---- End -------------------------------------------------------------------------------------------------------


def test_revocation_is_permanent(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    identifier = city.grant(city.terms(city.asset_id(1, 1), 2))
    for stranger in (one.admin, one.attest, one.oversight):
        with refused("RoleMissing"):
            city.revoke(identifier, stranger)
    with refused("WrongDepartment"):
        city.revoke(identifier, two.steward)
    assert city.revoke(identifier, one.cdo, 3).only("Revoked") == {
        "grant": identifier,
        "reason": 3,
        "officer": one.cdo.address,
    }
    with refused("GrantNotActive"):
        city.revoke(identifier, one.steward)
    with refused("GrantNotActive"):
        city.revoke(keccak(b"no grant"), one.steward)


def test_the_delegating_department_revokes_what_it_delegated(city: City) -> None:
    two, three = city.departments[2], city.departments[3]
    parent = city.terms(city.asset_id(1, 1), 2, depth=1)
    child = {**parent, "grantee": 3, "depth": 0, "maxUses": 5, "parent": city.grant(parent)}
    identifier = city.delegate(child, [parent])

    def revoke(terms: dict[str, object], key: Key) -> Receipt:
        message = city.message("Revoke", grant=identifier, reason=0)
        return city.send("revokeDelegated", message, terms, *city.sign("Revoke", message, key))

    with refused("WrongDepartment"):
        revoke(child, three.steward)
    with refused("ChainWrong"):
        revoke(parent, two.steward)
    with city.chain.rewound():
        city.revoke(identifier, city.departments[1].steward)
    revoke(child, two.steward)
    assert city.call("grantOf", identifier)["state"] == 2


def test_batch_of_revocations_skips_ended_and_foreign_grants(city: City) -> None:
    """Regression: one child that was revoked first kept ten others in force."""
    one, asset = city.departments[1], city.asset_id(1, 1)
    grants = [city.grant(city.terms(asset, grantee)) for grantee in (2, 3, 2)]
    other = city.register(city.asset_id(2, 1))
    foreign = city.grant(city.terms(other, 3))
    dead, unknown = city.grant(city.terms(asset, 2)), keccak(b"no grant")
    city.revoke(dead, one.steward)

    def revoke(ids: list[bytes], key: Key = one.steward) -> Receipt:
        return city.sole("revokeBatch", "RevokeBatch", key, grants=ids, reason=2)

    with refused("RoleMissing"):
        revoke(grants, one.admin)
    with refused("BatchEmpty"):
        revoke([])
    with refused("NothingDone"):
        revoke([dead, unknown, foreign])
    receipt = revoke([dead, grants[0], unknown, grants[1], foreign, grants[1], grants[2]])
    assert [e.args["grant"] for e in receipt.events if e.name == "Revoked"] == grants
    assert [(e.args["grant"], e.args["state"]) for e in receipt.events if e.name == "RevokeSkipped"] == [
        (dead, 2),
        (unknown, 0),
        (foreign, 1),
        (grants[1], 2),
    ]
    assert city.call("liveOf", [*grants, foreign]) == [False, False, False, True]


def test_signed_terms_that_were_not_sent_can_be_cancelled(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    terms = city.terms(city.asset_id(1, 1), 2)

    def cancel(unsent: dict[str, object], key: Key, grant: bytes | None = None) -> Receipt:
        message = city.message("Cancel", grant=grant or grant_id(unsent))
        return city.send("cancel", message, unsent, *city.sign("Cancel", message, key))

    with refused("WrongDepartment"):
        cancel(terms, two.steward)
    with refused("RoleMissing"):
        cancel(terms, one.admin)
    with refused("ChainWrong"):
        cancel(terms, one.steward, keccak(b"other"))
    cancel(terms, one.cdo)
    stored = city.call("grantOf", grant_id(terms))
    assert {name: value for name, value in stored.items() if value} == {"state": 3, "asset": terms["asset"]}
    with refused("GrantExists"):
        city.grant(terms)
    with refused("GrantExists"):
        cancel(terms, one.steward)
    parent = city.terms(city.asset_id(1, 1), 2, depth=1)
    child = {**parent, "grantee": 3, "depth": 0, "parent": city.grant(parent)}
    with refused("WrongDepartment"):
        cancel(child, one.steward)
    cancel(child, two.steward)
    with refused("GrantExists"):
        city.delegate(child, [parent])
    with refused("GrantExists"):
        cancel(parent, one.steward)
    # Terms that name another department's asset below an own grant can be cancelled by no department.
    foreign = {**child, "asset": city.asset_id(3, 1), "salt": 1}
    with refused("WiderThanParent"):
        cancel(foreign, two.steward)
    unsent = city.terms(city.asset_id(1, 1), 2, depth=1)
    with refused("WrongDepartment"):
        cancel({**child, "parent": grant_id(unsent)}, two.steward)


# ---- The view for gateways ------------------------------------------------------------------------------


def test_one_answer_says_whether_a_key_may_read(city: City) -> None:
    two, key = city.departments[2], keccak(b"service key")
    city.joint(
        "addServiceKey",
        "AddServiceKey",
        two.admin,
        department=2,
        key=key,
        hpke=ZERO,
        roles=READER,
        notBefore=0,
        notAfter=city.now + HOUR,
    )
    terms = city.terms(city.asset_id(1, 1), 2)
    identifier = city.grant(terms)
    moment = city.now
    answer = city.call("access", identifier, [], 2, key)
    assert answer == {
        "permitted": True,
        "live": True,
        "holderActive": True,
        "departmentActive": True,
        "keyActive": True,
        "keyRoles": READER,
        "time": moment,
        "grant": city.call("grantOf", identifier),
        "asset": city.call("asset", terms["asset"]),
    }
    assert not city.call("access", identifier, [], 3, key)["permitted"], "another department's key"
    assert not city.call("access", identifier, [], 2, ZERO)["permitted"]
    with city.chain.rewound():
        city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=2, reason=ZERO)
        assert not city.call("access", identifier, [], 2, key)["permitted"]
        assert not city.call("isLive", identifier, [])
    with city.chain.rewound():
        one = city.departments[1]
        city.joint("suspendDepartment", "SuspendDepartment", one.admin, department=1, reason=ZERO)
        answer = city.call("access", identifier, [], 2, key)
        assert (answer["permitted"], answer["live"], answer["holderActive"]) == (False, False, False)
    with city.chain.rewound():
        city.use(identifier, 100, city.departments[1].attest)
        answer = city.call("access", identifier, [], 2, key)
        assert (answer["permitted"], answer["live"], answer["grant"]["spent"]) == (False, False, True)
        assert city.call("liveOf", [identifier]) == [False]
    city.chain.travel(HOUR)
    answer = city.call("access", identifier, [], 2, key)
    assert (answer["permitted"], answer["live"], answer["keyActive"]) == (False, True, False)
    city.chain.travel(DAY)
    assert not city.call("access", identifier, [], 2, key)["live"]
