"""Use is a cumulative signed total: it only grows, and only while everything above it lives."""

from __future__ import annotations

import pytest
from contracts_harness import DAY, GATEWAY, UNLIMITED, ZERO, City, Key, keccak, refused


@pytest.fixture
def granted(city: City) -> bytes:
    """A grant of 1.1 to department 2, 100 uses."""
    return city.grant(city.terms(city.asset_id(1, 1), 2))


def test_totals_only_grow_up_to_the_bound(city: City, granted: bytes) -> None:
    key = city.departments[1].attest
    event = city.use(granted, 7, key).only("Used")
    assert event == {"grant": granted, "total": 7, "logHead": keccak(b"log head")}
    for total in (0, 6, 7):
        with refused("TotalNotHigher"):
            city.use(granted, total, key)
    with refused("UsesExhausted"):
        city.use(granted, 101, key)
    city.use(granted, 100, key)
    assert city.call("grantOf", granted)["uses"] == 100


def test_a_replayed_or_late_total_changes_nothing(city: City, granted: bytes) -> None:
    key = city.departments[1].attest
    message = city.message("Use", grant=granted, total=5, logHead=ZERO)
    signature = city.sign("Use", message, key)
    city.use(granted, 9, key)
    with refused("TotalNotHigher"):
        city.send("use", message, *signature)


def test_the_holder_of_the_right_and_the_city_s_gateway_attest(city: City, granted: bytes) -> None:
    one, two = city.departments[1], city.departments[2]
    with refused("NotAttestor"):
        city.use(granted, 1, two.attest)
    for other in (one.witness, one.steward):
        with refused("RoleMissing"):
            city.use(granted, 1, other)
    with refused("NotInOffice"):
        city.use(granted, 1, Key("stranger"))
    city.use(granted, 1, one.attest)
    city.use(granted, 2, two.gateway)
    city.joint("removeAttestKey", "RemoveAttestKey", *city.members[:2], key=two.gateway.address)
    with refused("NotInOffice"):
        city.use(granted, 3, two.gateway)
    city.seat(city.members[:2], 3, Key("gateway 2"), GATEWAY)
    city.use(granted, 3, Key("gateway 2"))
    city.joint("suspendDepartment", "SuspendDepartment", city.departments[3].admin, department=3, reason=ZERO)
    with refused("DepartmentNotActive"):
        city.use(granted, 4, Key("gateway 2"))


def test_no_use_before_after_or_without_its_parties(city: City) -> None:
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)
    start = city.now + DAY
    identifier = city.grant(city.terms(asset, 2, notBefore=start, expiry=start + DAY))
    city.chain.now = start - 1
    with refused("GrantNotYet"):
        city.use(identifier, 1, one.attest)
    city.chain.now = start + 1
    city.use(identifier, 1, one.attest)
    with city.chain.rewound():
        city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=2, reason=ZERO)
        with refused("DepartmentNotActive"):
            city.use(identifier, 2, one.attest)
    with city.chain.rewound():
        city.sole("suspendAsset", "SuspendAsset", one.steward, asset=asset, reason=ZERO)
        with refused("AssetNotActive"):
            city.use(identifier, 2, one.attest)
    city.chain.now = start + DAY - 1
    city.use(identifier, 2, one.attest)
    city.chain.now = start + DAY
    with refused("GrantExpired"):
        city.use(identifier, 3, one.attest)


def test_a_batch_is_the_same_as_its_singles(city: City) -> None:
    key, asset = city.departments[1].attest, city.asset_id(1, 1)
    grants = [city.grant(city.terms(asset, grantee)) for grantee in (2, 3, 2)]
    receipt = city.sole(
        "useBatch",
        "UseBatch",
        key,
        uses=[{"grant": g, "total": i + 1} for i, g in enumerate(grants)],
        logHead=keccak(b"head"),
    )
    assert [(e.args["grant"], e.args["total"]) for e in receipt.events] == [
        (g, i + 1) for i, g in enumerate(grants)
    ]
    assert [city.call("grantOf", g)["uses"] for g in grants] == [1, 2, 3]
    with refused("TotalNotHigher"):
        city.sole(
            "useBatch",
            "UseBatch",
            key,
            uses=[{"grant": grants[0], "total": 2}, {"grant": grants[1], "total": 2}],
            logHead=ZERO,
        )
    assert city.call("grantOf", grants[0])["uses"] == 1, "all or nothing"
    with refused("BatchEmpty"):
        city.sole("useBatch", "UseBatch", key, uses=[], logHead=ZERO)
    with refused("NotAttestor"):
        city.sole(
            "useBatch",
            "UseBatch",
            city.departments[2].attest,
            uses=[{"grant": grants[0], "total": 9}],
            logHead=ZERO,
        )


def test_a_delegated_grant_is_used_under_its_whole_chain(city: City) -> None:
    one, asset = city.departments[1], city.asset_id(1, 1)
    parent = city.terms(asset, 2, depth=1, maxUses=UNLIMITED)
    top = city.grant(parent)
    child = {**parent, "grantee": 3, "depth": 0, "maxUses": 10, "parent": top}
    identifier = city.delegate(child, [parent])
    with refused("ChainNeeded"):
        city.use(identifier, 1, one.attest)
    with refused("ChainNeeded"):
        city.sole("useBatch", "UseBatch", one.attest, uses=[{"grant": identifier, "total": 1}], logHead=ZERO)

    def use(total: int, chain: list[dict[str, object]]) -> None:
        message = city.message("Use", grant=identifier, total=total, logHead=ZERO)
        city.send("useDelegated", message, chain, *city.sign("Use", message, one.attest))

    for wrong in ([], [child], [parent], [parent, child]):
        with refused("ChainWrong"):
            use(1, wrong)
    use(4, [child, parent])
    assert city.call("grantOf", identifier)["uses"] == 4
    with refused("UsesExhausted"):
        use(11, [child, parent])
    city.revoke(top, one.steward)
    with refused("GrantNotActive"):
        use(5, [child, parent])


def test_the_holder_of_a_transferred_right_attests(city: City, granted: bytes) -> None:
    one, two = city.departments[1], city.departments[2]
    message = city.message("TransferRight", **{"asset": city.asset_id(1, 1), "right": 2, "from": 1, "to": 2})
    kind = "TransferRight"
    city.send(
        "transferRight",
        message,
        city.sign(kind, message, one.steward),
        *city.sign(kind, message, two.steward),
    )
    with refused("NotAttestor"):
        city.use(granted, 1, one.attest)
    city.use(granted, 1, two.attest)
