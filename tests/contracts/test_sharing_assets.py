"""Assets: registered, versioned, graded, derived, stopped; each of three rights has one holder."""

from __future__ import annotations

import pytest
from contracts_harness import (
    CONDITIONAL,
    CORE,
    DAY,
    GENERAL,
    HOLD,
    IMPORTANT,
    NOT_SHARED,
    OPERATE,
    UNCONDITIONAL,
    UNLIMITED,
    USE,
    ZERO,
    City,
    Key,
    Receipt,
    keccak,
    refused,
)

HOLDER, BUREAU = 1, 2
MAY_DERIVE = 128
REASON = keccak(b"reason")


def register(city: City, asset: int, signer: Key, **members: int) -> Receipt:
    return city.sole(
        "registerAsset",
        "RegisterAsset",
        signer,
        **{"asset": asset, "class": GENERAL, "sharing": CONDITIONAL, "metadata": keccak(b"m"), **members},
    )


def derive(
    city: City,
    asset: int,
    parents: list[int],
    under: list[bytes] | None = None,
    class_: int = GENERAL,
    sharing: int = CONDITIONAL,
) -> int:
    city.sole(
        "deriveAsset",
        "DeriveAsset",
        city.departments[asset >> 40].steward,
        **{
            "asset": asset,
            "class": class_,
            "sharing": sharing,
            "metadata": keccak(b"derived"),
            "parents": parents,
            "under": under if under is not None else [ZERO] * len(parents),
        },
    )
    return asset


def reclassify(city: City, asset: int, class_: int, sharing: int, *keys: Key) -> Receipt:
    return city.joint(
        "reclassify", "Reclassify", *keys, **{"asset": asset, "class": class_, "sharing": sharing}
    )


def suspend(city: City, asset: int, key: Key, by: int = HOLDER) -> Receipt:
    return city.sole("suspendAsset", "SuspendAsset", key, asset=asset, by=by, reason=REASON)


def lift(city: City, asset: int, key: Key, by: int = HOLDER) -> Receipt:
    return city.sole("liftAsset", "LiftAsset", key, asset=asset, by=by, reason=REASON)


# ---- Register and version --------------------------------------------------------------------------------------


def test_a_registered_asset_is_its_department_s_in_every_right(city: City) -> None:
    asset = city.asset_id(1, 50)
    moment = city.now
    event = register(city, asset, city.departments[1].steward).only("AssetRegistered")
    assert event == {
        "asset": asset,
        "class": GENERAL,
        "sharing": CONDITIONAL,
        "metadata": keccak(b"m"),
        "officer": city.departments[1].steward.address,
    }
    view = city.call("asset", asset)
    assert (view["holder"], view["processor"], view["operator"]) == (1, 1, 1)
    assert (view["class"], view["ownClass"], view["sharing"], view["version"], view["status"]) == (
        1,
        1,
        2,
        1,
        1,
    )
    assert (view["since"], view["quorum"], view["alive"]) == (moment, 2, True)


@pytest.mark.parametrize(
    ("asset", "members", "error"),
    [
        ((1, 0), {}, "AssetIdInvalid"),
        ((1, 1), {}, "AssetExists"),
        ((2, 50), {}, "WrongDepartment"),
        ((1, 50), {"class": 0}, "ClassInvalid"),
        ((1, 50), {"class": 4}, "ClassInvalid"),
        ((1, 50), {"sharing": 0}, "SharingInvalid"),
        ((1, 50), {"sharing": 4}, "SharingInvalid"),
    ],
)
def test_what_cannot_be_registered(
    city: City, asset: tuple[int, int], members: dict[str, int], error: str
) -> None:
    with refused(error):
        register(city, city.asset_id(*asset), city.departments[1].steward, **members)


def test_only_a_steward_registers_and_versions(city: City) -> None:
    one = city.departments[1]
    for key in (one.admin, one.cdo, one.attest):
        with refused("RoleMissing"):
            register(city, city.asset_id(1, 50), key)
        with refused("RoleMissing"):
            city.sole("newVersion", "NewVersion", key, asset=city.asset_id(1, 1), version=2, metadata=ZERO)


def test_versions_follow_one_another(city: City) -> None:
    steward, asset = city.departments[1].steward, city.asset_id(1, 1)
    for wrong in (1, 3):
        with refused("VersionWrong"):
            city.sole("newVersion", "NewVersion", steward, asset=asset, version=wrong, metadata=ZERO)
    city.sole("newVersion", "NewVersion", steward, asset=asset, version=2, metadata=ZERO)
    assert city.call("asset", asset)["version"] == 2
    with refused("AssetUnknown"):
        city.sole("newVersion", "NewVersion", steward, asset=city.asset_id(1, 99), version=2, metadata=ZERO)
    suspend(city, asset, steward)
    with refused("AssetNotActive"):
        city.sole("newVersion", "NewVersion", steward, asset=asset, version=3, metadata=ZERO)


# ---- Grades ----------------------------------------------------------------------------------------------------


def test_one_signature_raises_a_grade_and_the_quorum_lowers_it(city: City) -> None:
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)
    for key in (one.steward, one.cdo, two.bureau):
        with city.chain.rewound():
            reclassify(city, asset, IMPORTANT, NOT_SHARED, key)
    for stranger in (one.admin, two.steward):
        with refused("RoleMissing"):
            reclassify(city, asset, IMPORTANT, NOT_SHARED, stranger)
    reclassify(city, asset, CORE, CONDITIONAL, one.steward)
    assert city.call("asset", asset)["quorum"] == 2 | 8 | 64
    with refused("SignatureCount"):
        reclassify(city, asset, GENERAL, CONDITIONAL, one.steward)
    with refused("SignatureCount"):
        reclassify(city, asset, CORE, UNCONDITIONAL, one.steward, one.cdo)
    reclassify(city, asset, GENERAL, UNCONDITIONAL, one.steward, one.cdo, two.bureau)
    assert city.call("asset", asset)["class"] == GENERAL


def test_a_reclassification_counts_once(city: City) -> None:
    one, asset = city.departments[1], city.asset_id(1, 1)
    message = city.message("Reclassify", **{"asset": asset, "class": IMPORTANT, "sharing": CONDITIONAL})
    signature = city.sign("Reclassify", message, one.steward)
    city.send("reclassify", message, signature)
    reclassify(city, asset, GENERAL, CONDITIONAL, one.steward, one.cdo)
    with refused("AlreadyDone"):
        city.send("reclassify", message, signature)


# ---- Derive ----------------------------------------------------------------------------------------------------


def test_a_derived_asset_names_its_parents_and_takes_the_higher_grade(city: City) -> None:
    general, important = city.asset_id(1, 1), city.asset_id(1, 2)
    with refused("ClassBelowParents"):
        derive(city, city.asset_id(1, 50), [general, important])
    child = derive(city, city.asset_id(1, 50), [general, important], class_=IMPORTANT)
    assert city.call("parentsOf", child) == ([general, important], [ZERO, ZERO])
    reclassify(city, general, CORE, CONDITIONAL, city.departments[1].steward)
    view = city.call("asset", child)
    assert (view["ownClass"], view["class"], view["parents"], view["lineage"]) == (IMPORTANT, CORE, 2, 1)
    terms = city.terms(child, 2)
    with refused("SignatureCount"):
        city.grant(terms, IMPORTANT)
    city.grant(terms, CORE)


def test_a_stopped_parent_stops_its_children(city: City) -> None:
    one, parent = city.departments[1], city.asset_id(1, 1)
    child = derive(city, city.asset_id(1, 50), [parent])
    grandchild = derive(city, city.asset_id(1, 51), [child])
    identifier = city.grant(city.terms(grandchild, 2))
    suspend(city, parent, one.steward)
    assert not city.call("asset", grandchild)["alive"]
    assert not city.call("isLive", identifier, [])
    with refused("AssetNotActive"):
        city.grant(city.terms(grandchild, 2))
    lift(city, parent, one.steward)
    assert city.call("isLive", identifier, [])


def test_another_department_derives_under_a_live_grant_only(city: City) -> None:
    one, parent, child = city.departments[1], city.asset_id(1, 1), city.asset_id(2, 50)
    with refused("ParentNotGranted"):
        derive(city, child, [parent])
    held = city.grant(city.terms(parent, 2, right=HOLD, depth=MAY_DERIVE))
    elsewhere = city.grant(city.terms(parent, 3, depth=MAY_DERIVE))
    later = city.grant(
        city.terms(parent, 2, notBefore=city.now + DAY, expiry=city.now + 2 * DAY, depth=MAY_DERIVE)
    )
    reading = city.grant(city.terms(parent, 2, depth=3))
    spent = city.grant(city.terms(parent, 2, maxUses=1, depth=MAY_DERIVE))
    city.use(spent, 1, one.attest)
    for wrong in (held, elsewhere, later, reading, spent, keccak(b"no grant")):
        with refused("ParentNotGranted"):
            derive(city, child, [parent], [wrong])
    identifier = city.grant(city.terms(parent, 2, depth=MAY_DERIVE))
    view = city.call("grantOf", identifier)
    assert (view["depth"], view["mayDerive"]) == (0, True)
    with city.chain.rewound():
        city.joint("suspendDepartment", "SuspendDepartment", one.admin, department=1, reason=REASON)
        with refused("DepartmentNotActive"):
            derive(city, child, [parent], [identifier])
    derive(city, child, [parent], [identifier])
    assert city.call("asset", child)["alive"]
    city.revoke(identifier, one.steward)
    assert not city.call("asset", child)["alive"]
    with refused("AssetNotActive"):
        city.grant(city.terms(child, 3))


def test_a_lineage_is_bounded(city: City) -> None:
    asset = city.asset_id(1, 1)
    with refused("ParentsInvalid"):
        derive(city, city.asset_id(1, 50), [])
    with refused("ParentsInvalid"):
        derive(city, city.asset_id(1, 50), [asset], [])
    with refused("ParentsInvalid"):
        derive(city, city.asset_id(1, 50), list(range(asset, asset + 9)))
    for parents in ([asset, asset], [city.asset_id(1, 2), asset]):
        with refused("ParentOrder"):
            derive(city, city.asset_id(1, 50), parents, class_=IMPORTANT)
    with refused("AssetUnknown"):
        derive(city, city.asset_id(1, 50), [city.asset_id(1, 99)])
    for step in range(4):
        asset = derive(city, city.asset_id(1, 60 + step), [asset])
    with refused("LineageTooDeep"):
        derive(city, city.asset_id(1, 70), [asset])


def test_overlarge_lineage_is_refused(city: City) -> None:
    """Regression: with the same parents in every step a grant cost 6.2 million gas, and views failed."""
    step = [city.asset_id(1, n) for n in range(100, 108)]
    for asset in step:
        city.register(asset)
    following: list[int] = []
    for n in range(7):
        following.append(derive(city, city.asset_id(1, 110 + n), step))
    assert city.call("asset", following[0])["lineage"] == 1
    child = derive(city, city.asset_id(1, 120), following)
    with refused("LineageTooLarge"):
        derive(city, city.asset_id(1, 121), [*following, child])
    identifier = city.terms(child, 2)
    receipt = city.send("grant", identifier, city.quorum("Terms", identifier, 1))
    assert receipt.gas_used < 600_000


def test_a_derived_asset_is_shared_no_more_widely_than_its_parents(city: City) -> None:
    """Regression: an unconditional asset was derived from a conditional grant and offered to all departments
    without end."""
    parent = city.register(city.asset_id(1, 50), sharing=UNCONDITIONAL)
    with refused("SharingWiderThanParents"):
        derive(city, city.asset_id(1, 60), [city.asset_id(1, 1)], sharing=UNCONDITIONAL)
    child = derive(city, city.asset_id(1, 61), [parent], sharing=UNCONDITIONAL)
    offer = city.terms(child, 0, maxUses=UNLIMITED)
    with city.chain.rewound():
        city.grant(offer)
    reclassify(city, parent, GENERAL, NOT_SHARED, city.departments[1].steward)
    view = city.call("asset", child)
    assert (view["sharing"], view["ownSharing"]) == (NOT_SHARED, UNCONDITIONAL)
    with refused("AssetNotShared"):
        city.grant(offer)
    reclassify(city, parent, GENERAL, CONDITIONAL, city.departments[1].steward)
    with refused("OfferInvalid"):
        city.grant(offer)


def test_derived_asset_ends_with_its_grant_unless_renewed(city: City) -> None:
    parent, child = city.asset_id(1, 1), city.asset_id(2, 50)
    first = city.grant(city.terms(parent, 2, depth=MAY_DERIVE))
    derive(city, child, [parent], [first])
    second = city.grant(city.terms(parent, 2, depth=MAY_DERIVE, expiry=city.now + 9 * DAY))
    plain = city.grant(city.terms(parent, 2, expiry=city.now + 9 * DAY))
    city.chain.travel(DAY)
    assert not city.call("asset", child)["alive"]

    def renew(under: bytes, key: Key, parent: int = parent) -> Receipt:
        return city.sole("renewParent", "RenewParent", key, asset=child, parent=parent, under=under)

    for wrong in (first, plain, ZERO):
        with refused("ParentNotGranted"):
            renew(wrong, city.departments[2].steward)
    with refused("WrongDepartment"):
        renew(second, city.departments[1].steward)
    with refused("RoleMissing"):
        renew(second, city.departments[2].cdo)
    other = city.register(city.asset_id(1, 70))
    there = city.grant(city.terms(other, 2, depth=MAY_DERIVE))
    with refused("ParentsInvalid"):
        renew(there, city.departments[2].steward, other)
    with city.chain.rewound():
        suspend(city, parent, city.departments[1].steward)
        with refused("AssetNotActive"):
            renew(second, city.departments[2].steward)
    assert renew(second, city.departments[2].steward).only("ParentRenewed")["under"] == second
    assert city.call("asset", child)["alive"]
    assert city.call("parentsOf", child) == ([parent], [second])


# ---- Stop ------------------------------------------------------------------------------------------------------


def test_the_holder_suspends_and_lifts(city: City) -> None:
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)
    with refused("RoleMissing"):
        suspend(city, asset, one.admin)
    for stranger in (two.steward, two.cdo):
        with refused("WrongDepartment"):
            suspend(city, asset, stranger)
    with refused("StopperInvalid"):
        suspend(city, asset, one.steward, 3)
    assert suspend(city, asset, one.cdo).only("AssetSuspended")["status"] == 2
    with refused("AssetStateWrong"):
        suspend(city, asset, one.steward)
    with refused("WrongDepartment"):
        lift(city, asset, two.steward)
    assert lift(city, asset, one.steward).only("AssetLifted")["status"] == 1
    with refused("AssetStateWrong"):
        lift(city, asset, one.steward)


@pytest.mark.parametrize("first", [HOLDER, BUREAU])
def test_holder_and_bureau_stop_an_asset_each_for_itself(city: City, first: int) -> None:
    """Regression: the holder suspended, the bureau barred, and the same bureau key lifted both."""
    asset, keys = (
        city.asset_id(1, 1),
        {HOLDER: city.departments[1].steward, BUREAU: city.departments[2].bureau},
    )
    second = HOLDER + BUREAU - first
    suspend(city, asset, keys[first], first)
    assert suspend(city, asset, keys[second], second).only("AssetSuspended")["status"] == 5
    for by in (HOLDER, BUREAU):
        with city.chain.rewound():
            other = HOLDER + BUREAU - by
            status = lift(city, asset, keys[by], by).only("AssetLifted")["status"]
            assert status == {HOLDER: 3, BUREAU: 2}[by]
            assert not city.call("asset", asset)["alive"]
            with refused("AssetStateWrong"):
                lift(city, asset, keys[by], by)
            lift(city, asset, keys[other], other)
            assert city.call("asset", asset)["alive"]


def test_an_officer_of_the_holder_with_the_bureau_s_role_bars_too(city: City) -> None:
    asset, both = city.asset_id(1, 1), Key("cdo and bureau")
    city.seat(city.members[:2], 1, both, 8 | 64)
    assert suspend(city, asset, both, BUREAU).only("AssetSuspended")["status"] == 3
    assert suspend(city, asset, both, HOLDER).only("AssetSuspended")["status"] == 5


def test_a_suspension_counts_once(city: City) -> None:
    one, asset = city.departments[1], city.asset_id(1, 1)
    message = city.message("SuspendAsset", asset=asset, by=HOLDER, reason=REASON)
    signature = city.sign("SuspendAsset", message, one.steward)
    city.send("suspendAsset", message, *signature)
    lift(city, asset, one.steward)
    with refused("AlreadyDone"):
        city.send("suspendAsset", message, *signature)


def test_a_retired_asset_stays_retired(city: City) -> None:
    one, asset = city.departments[1], city.asset_id(1, 2)
    identifier = city.grant(city.terms(asset, 2), IMPORTANT)
    with refused("SignatureCount"):
        city.joint("retireAsset", "RetireAsset", one.steward, asset=asset)
    city.joint("retireAsset", "RetireAsset", one.steward, one.cdo, asset=asset)
    for act in (
        lambda: city.joint("retireAsset", "RetireAsset", one.steward, one.cdo, asset=asset),
        lambda: suspend(city, asset, one.steward),
        lambda: suspend(city, asset, city.departments[2].bureau, BUREAU),
        lambda: lift(city, asset, one.steward),
        lambda: reclassify(city, asset, CORE, CONDITIONAL, one.steward),
    ):
        with refused("AssetStateWrong"):
            act()
    assert not city.call("isLive", identifier, [])
    city.revoke(identifier, one.steward)


def test_nobody_retires_an_asset_alone_or_in_a_pause(city: City) -> None:
    """Regression: one STEWARD retired it finally, with the assets that other departments had derived from
    it."""
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)

    def retire(*keys: Key) -> Receipt:
        return city.joint("retireAsset", "RetireAsset", *keys, asset=asset)

    with refused("SignatureCount"):
        retire(one.steward)
    with refused("SignerRepeated"):
        retire(one.steward, one.steward)
    with refused("WrongDepartment"):
        retire(one.steward, two.steward)
    with refused("RoleMissing"):
        retire(one.steward, one.finance)
    with city.chain.rewound():
        city.sole("pause", "Pause", city.guardian, duration=60)
        with refused("PausedUntil"):
            retire(one.steward, one.cdo)
    for second in (one.admin, one.cdo):
        with city.chain.rewound():
            retire(one.steward, second)


# ---- Transfer --------------------------------------------------------------------------------------------------


def transfer(city: City, asset: int, right: int, giver: list[Key], taker: Key, **members: int) -> Receipt:
    message = city.message("TransferRight", **{"asset": asset, "right": right, "from": 1, "to": 2, **members})
    kind = "TransferRight"
    return city.send(
        "transferRight", message, city.sign(kind, message, *giver), *city.sign(kind, message, taker)
    )


@pytest.mark.parametrize(("right", "field"), [(HOLD, "holder"), (USE, "processor"), (OPERATE, "operator")])
def test_transfer_moves_one_right_only(city: City, right: int, field: str) -> None:
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)
    held = city.grant(city.terms(asset, 3, right=right))
    transfer(city, asset, right, [one.steward], two.steward)
    view = city.call("asset", asset)
    assert {name: view[name] for name in ("holder", "processor", "operator")} == {
        "holder": 1,
        "processor": 1,
        "operator": 1,
        field: 2,
    }
    terms = city.terms(asset, 3, right=right)
    with refused("WrongDepartment"):
        city.grant(terms)
    city.send("grant", terms, city.quorum("Terms", terms, 2))
    with refused("WrongDepartment"):
        city.revoke(held, one.steward)
    city.revoke(held, two.steward)


def test_a_transfer_needs_giver_and_taker(city: City) -> None:
    one, two, three, asset = (
        city.departments[1],
        city.departments[2],
        city.departments[3],
        city.asset_id(1, 1),
    )
    with refused("WrongDepartment"):
        transfer(city, asset, USE, [two.steward], two.steward)
    with refused("WrongDepartment"):
        transfer(city, asset, USE, [one.steward], three.steward)
    with refused("RoleMissing"):
        transfer(city, asset, USE, [one.steward], two.cdo)
    with refused("SignatureCount"):
        transfer(city, city.asset_id(1, 3), USE, [one.steward, one.cdo], two.steward)
    with refused("NotRightHolder"):
        transfer(city, asset, USE, [two.steward], three.steward, **{"from": 2, "to": 3})
    with refused("NotRightHolder"):
        transfer(city, asset, USE, [one.steward], one.steward, to=1)
    for right in (0, 4):
        with refused("RightInvalid"):
            transfer(city, asset, right, [one.steward], two.steward)
    city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=2, reason=REASON)
    with refused("DepartmentNotActive"):
        transfer(city, asset, USE, [one.steward], two.steward)


def test_a_transfer_counts_once_even_after_the_way_back(city: City) -> None:
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)
    message = city.message("TransferRight", **{"asset": asset, "right": USE, "from": 1, "to": 2})
    signatures = (
        city.sign("TransferRight", message, one.steward),
        *city.sign("TransferRight", message, two.steward),
    )
    city.send("transferRight", message, *signatures)
    transfer(city, asset, USE, [two.steward], one.steward, **{"from": 2, "to": 1})
    with refused("AlreadyDone"):
        city.send("transferRight", message, *signatures)
