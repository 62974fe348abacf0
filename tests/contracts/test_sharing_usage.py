"""Use is a cumulative signed total. It limits no access, and no act that stops access loses a record of
use."""

from __future__ import annotations

import pytest
from contracts_harness import (
    ATTEST,
    DAY,
    GATEWAY,
    HOUR,
    UNLIMITED,
    ZERO,
    City,
    Key,
    Receipt,
    keccak,
    refused,
    struct_hash,
)

GRACE = 72 * HOUR


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


def test_a_use_made_in_time_is_recorded_within_the_grace(city: City) -> None:
    """Not before the first second of the grant, and until 72 hours after its last."""
    one, asset = city.departments[1], city.asset_id(1, 1)
    start = city.now + DAY
    identifier = city.grant(city.terms(asset, 2, notBefore=start, expiry=start + DAY))
    city.chain.now = start - 1
    with refused("GrantNotYet"):
        city.use(identifier, 1, one.attest)
    city.chain.now = start + 1
    city.use(identifier, 1, one.attest)
    city.chain.now = start + DAY + GRACE - 1
    city.use(identifier, 2, one.attest)
    city.chain.now = start + DAY + GRACE
    with refused("GrantExpired"):
        city.use(identifier, 3, one.attest)


@pytest.mark.parametrize("stop", ["department", "asset", "revocation", "asset retired"])
def test_use_before_a_stop_is_still_recorded(city: City, granted: bytes, stop: str) -> None:
    one, two, asset = city.departments[1], city.departments[2], city.asset_id(1, 1)
    if stop == "department":
        city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=2, reason=ZERO)
    elif stop == "asset":
        city.suspend(asset, one.steward)
    elif stop == "asset retired":
        city.joint("retireAsset", "RetireAsset", one.steward, one.admin, asset=asset)
    else:
        city.revoke(granted, one.steward)
    assert not city.call("isLive", granted, [])
    city.use(granted, 2, one.attest)
    assert city.call("grantOf", granted)["uses"] == 2
    assert not city.call("isLive", granted, [])


def test_a_revocation_ends_the_time_for_recording_too(city: City) -> None:
    one = city.departments[1]
    identifier = city.grant(city.terms(city.asset_id(1, 1), 2, expiry=city.now + 365 * DAY))
    moment = city.now
    city.revoke(identifier, one.steward)
    assert city.call("grantOf", identifier)["expiry"] == moment
    city.chain.now = moment + GRACE
    with refused("GrantExpired"):
        city.use(identifier, 1, one.attest)


def test_use_without_a_grant_is_refused(city: City) -> None:
    one, terms = city.departments[1], city.terms(city.asset_id(1, 1), 2)
    with refused("GrantNotActive"):
        city.use(keccak(b"no grant"), 1, one.attest)
    cancel = city.message("Cancel", grant=struct_hash("Terms", terms))
    city.send("cancel", cancel, terms, *city.sign("Cancel", cancel, one.steward))
    with refused("GrantNotActive"):
        city.use(struct_hash("Terms", terms), 1, one.attest)


def batch(city: City, key: Key, *uses: tuple[bytes, int]) -> Receipt:
    return city.sole(
        "useBatch",
        "UseBatch",
        key,
        uses=[{"grant": grant, "total": total} for grant, total in uses],
        logHead=keccak(b"head"),
    )


def test_a_batch_is_the_same_as_its_singles(city: City) -> None:
    key, asset = city.departments[1].attest, city.asset_id(1, 1)
    grants = [city.grant(city.terms(asset, grantee)) for grantee in (2, 3, 2)]
    receipt = batch(city, key, *((grant, i + 1) for i, grant in enumerate(grants)))
    assert [(e.args["grant"], e.args["total"]) for e in receipt.events] == [
        (g, i + 1) for i, g in enumerate(grants)
    ]
    assert [city.call("grantOf", g)["uses"] for g in grants] == [1, 2, 3]
    with refused("BatchEmpty"):
        batch(city, key)


def test_batch_of_uses_skips_invalid_totals_with_a_reason(city: City) -> None:
    """Regression: one ended item stopped every later batch of the city."""
    one, asset = city.departments[1], city.asset_id(1, 1)
    good, stale, small, large = (
        city.grant(city.terms(asset, 2, **more)) for more in ({}, {}, {"maxUses": 3}, {"maxUses": UNLIMITED})
    )
    later = city.grant(city.terms(asset, 2, notBefore=city.now + DAY, expiry=city.now + 2 * DAY))
    over = city.grant(city.terms(asset, 2, expiry=city.now + 10))
    foreign = city.grant(city.terms(city.register(city.asset_id(3, 1)), 2))
    city.use(stale, 5, one.attest)
    unknown = keccak(b"no grant")
    with city.chain.rewound():
        city.chain.travel(GRACE + 60)
        assert batch(city, one.attest, (over, 1), (later, 1)).only("UseSkipped")["why"] == 3
    wrong = (
        (unknown, 1, 1),
        (later, 1, 2),
        (stale, 5, 4),
        (small, 4, 5),
        (large, 100_001, 6),
        (foreign, 1, 7),
    )
    receipt = batch(city, one.attest, *((g, total) for g, total, _ in wrong), (good, 7))
    skipped = [e.args for e in receipt.events if e.name == "UseSkipped"]
    assert skipped == [{"grant": g, "total": total, "why": why} for g, total, why in wrong]
    assert receipt.only("Used")["grant"] == good
    assert city.call("grantOf", good)["uses"] == 7
    with refused("NothingDone"):
        batch(city, one.attest, *((g, total) for g, total, _ in wrong))


@pytest.mark.parametrize("key", ["steward", "witness", "suspended"])
def test_a_batch_needs_an_attest_key_in_office(city: City, granted: bytes, key: str) -> None:
    one = city.departments[1]
    if key == "suspended":
        city.joint("suspendDepartment", "SuspendDepartment", one.admin, department=1, reason=ZERO)
        with refused("DepartmentNotActive"):
            batch(city, one.attest, (granted, 1))
        return
    with refused("RoleMissing"):
        batch(city, one.keys[key], (granted, 1))


def test_false_totals_grow_in_bounded_steps_and_can_be_corrected(city: City) -> None:
    """Regression: totals of 2^32-1 spent four grants finally for 77,000 gas."""
    one, two = city.departments[1], city.departments[2]
    identifier = city.grant(city.terms(city.asset_id(1, 1), 2, maxUses=UNLIMITED))
    with refused("StepTooLarge"):
        city.use(identifier, UNLIMITED - 1, one.attest)
    city.use(identifier, 100_000, one.attest)
    with refused("StepTooLarge"):
        city.use(identifier, 200_001, one.attest)

    def correct(total: int, holder: Key, grantee: Key, grant: bytes = identifier) -> Receipt:
        message = city.message("CorrectUses", grant=grant, total=total)
        kind = "CorrectUses"
        return city.send(
            "correctUses", message, *city.sign(kind, message, holder), *city.sign(kind, message, grantee)
        )

    for holder, grantee, error in (
        (one.steward, one.cdo, "WrongDepartment"),
        (two.steward, two.cdo, "WrongDepartment"),
        (one.attest, two.steward, "RoleMissing"),
        (one.steward, two.attest, "RoleMissing"),
    ):
        with refused(error):
            correct(5, holder, grantee)
    own = city.grant(city.terms(city.asset_id(1, 1), 1))
    city.use(own, 9, one.attest)
    with refused("SignerRepeated"):
        correct(5, one.steward, one.steward, own)
    with city.chain.rewound():
        city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=2, reason=ZERO)
        with refused("DepartmentNotActive"):
            correct(5, one.steward, two.steward)
    for total in (100_000, 100_001):
        with refused("CorrectionNotLower"):
            correct(total, one.steward, two.steward)
    assert correct(5, one.steward, two.cdo).only("UsesCorrected")["total"] == 5
    assert city.call("grantOf", identifier)["uses"] == 5
    city.use(identifier, 6, one.attest)


@pytest.mark.parametrize("function", ["use", "useBatch"])
def test_a_wrong_total_is_not_sent_again_once_its_key_is_removed(city: City, function: str) -> None:
    """An attacker signs a deadline years ahead. The office of the key is checked each time, so the signature
    ends with the office."""
    one, two = city.departments[1], city.departments[2]
    granted = city.grant(city.terms(city.asset_id(1, 1), 2, maxUses=UNLIMITED))
    about: dict[str, object] = {"logHead": ZERO, "deadline": city.now + 5 * 365 * DAY}
    if function == "use":
        message = city.message("Use", grant=granted, total=90_000, **about)
        signature = city.sign("Use", message, one.attest)
    else:
        uses = [{"grant": granted, "total": 90_000}]
        message = city.message("UseBatch", uses=uses, **about)
        signature = city.sign("UseBatch", message, one.attest)

    def correct() -> None:
        correction = city.message("CorrectUses", grant=granted, total=5)
        signatures = [city.sign("CorrectUses", correction, key)[0] for key in (one.steward, two.steward)]
        city.send("correctUses", correction, *signatures)

    city.send(function, message, *signature)
    with city.chain.rewound():
        correct()
        city.send(function, message, *signature)
        assert city.call("grantOf", granted)["uses"] == 90_000
    city.joint("removeAttestKey", "RemoveAttestKey", one.admin, key=one.attest.address)
    correct()
    with refused("NotInOffice"):
        city.send(function, message, *signature)
    with refused("AddressTaken"):  # The key cannot get the office again either.
        city.seat([one.admin], 1, one.attest, ATTEST)
    assert city.call("grantOf", granted)["uses"] == 5


def test_a_delegated_grant_is_recorded_like_any_other(city: City) -> None:
    """Its ancestors decide about reads; a record does not require their terms."""
    one, asset = city.departments[1], city.asset_id(1, 1)
    parent = city.terms(asset, 2, depth=1, maxUses=UNLIMITED)
    top = city.grant(parent)
    child = {**parent, "grantee": 3, "depth": 0, "maxUses": 10, "parent": top}
    identifier = city.delegate(child, [parent])
    batch(city, one.attest, (identifier, 4))
    assert city.call("grantOf", identifier)["uses"] == 4
    with refused("UsesExhausted"):
        city.use(identifier, 11, one.attest)
    city.revoke(top, one.steward)
    assert not city.call("isLive", identifier, [child, parent])
    city.use(identifier, 5, one.attest)


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
