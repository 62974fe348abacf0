"""A hand-over rehearsed: live grants, signatures, disputes and suspensions in flight, and what each contract says after.

The second edition reads the first live and takes grants over on first touch: nothing that narrows in the first is missed.
"""

from __future__ import annotations

import pytest
from contracts_harness import (
    CORE,
    DAY,
    GENERAL,
    HOUR,
    IMPORTANT,
    UNLIMITED,
    ZERO,
    City,
    Key,
    Reverted,
    refused,
    struct_hash,
)

from contracts import build
from ledger.chain.calls import CONTRACTS as DEPLOYED

from .second_edition import SecondEdition, artifact, hash_of
from .settling import Settling, line
from .test_sharing_council import pause, replace, replacement


@pytest.fixture
def second(city: City) -> SecondEdition:
    return SecondEdition(city)


def hand_over(second: SecondEdition, **members: object) -> None:
    """A hand-over that is announced, frozen, done and begun in the successor."""
    second.city.hand_over(second.address, **members)
    second.city.chain.travel(3 * HOUR)
    second.send("begin")


def granted(city: City, **members: object) -> bytes:
    return city.grant(city.terms(city.asset_id(1, 1), 2, **members))


def test_a_city_hands_over_with_everything_in_flight(city: City, second: SecondEdition) -> None:
    """The complete hand-over in one test."""
    one, two = city.departments[1], city.departments[2]
    settling = Settling(city)
    for department in (1, 2, 3):
        settling.set_budget(settling.budget(department, 1000_00))
    lines = [line(2, 1, 300_00), line(3, 1, 200_00)]
    statement = settling.statement(lines, window=2 * HOUR)
    settling.commit(statement)
    plain, revoked, delegated = granted(city), granted(city), city.terms(city.asset_id(1, 1), 2, depth=1)
    parent = city.grant(delegated)
    child_terms = city.terms(
        city.asset_id(1, 1), 3, parent=parent, maxUses=10, notBefore=delegated["notBefore"]
    )
    child_terms["expiry"] = delegated["expiry"]
    child = city.delegate(child_terms, [delegated])
    other = city.register(city.asset_id(1, 9))
    stopped = city.grant(city.terms(other, 2))
    city.suspend(other, one.steward)
    city.use(plain, 5, one.attest)
    # Signed before the hand-over, mined after it.
    late = city.message("Revoke", grant=revoked, reason=1, deadline=city.now + DAY)
    signed = city.sign("Revoke", late, one.steward)
    late_use = city.message("Use", grant=plain, total=8, logHead=ZERO, deadline=city.now + DAY)
    signed_use = city.sign("Use", late_use, one.attest)
    never_sent = city.terms(city.asset_id(1, 1), 3, deadline=city.now + DAY)
    quorum = city.quorum("Terms", never_sent, 1)

    hand_over(second)
    with refused("FrozenSince"):
        city.send("grant", never_sent, quorum)
    second.send("adoptBatch", [plain, revoked, parent, child, stopped])
    assert [second.live(one) for one in (plain, revoked, parent, stopped)] == [True, True, True, False]
    assert second.live(child, [child_terms, delegated])
    assert not second.live(child)
    assert not second.live(child, [child_terms])

    city.send("revoke", late, *signed)
    assert not second.live(revoked), "a revocation from before the hand-over counts in the second"
    with refused("GrantNotActive"):
        second.prolong(revoked)
    city.send("use", late_use, *signed_use)
    assert second.uses(plain) == 8
    with refused("TotalNotHigher"):
        second.use(plain, 8, one.attest)
    second.use(plain, 9, one.attest)
    assert (second.uses(plain), city.call("grantOf", plain)["uses"]) == (9, 8)
    city.sole("liftAsset", "LiftAsset", one.steward, asset=other, by=1, reason=ZERO)
    assert second.live(stopped)
    second.prolong(plain)
    city.chain.travel(2 * DAY)
    assert second.live(plain), "longer than its terms in the first"
    assert not city.call("isLive", plain, [])
    city.revoke(plain, one.cdo)
    assert not second.live(plain), "also what was prolonged is ended in the first"

    settling.set_budget(settling.budget(3, 1000_00, 700_00))
    settling.finalise(statement, lines)
    assert [settling.balance(n) for n in (1, 2, 3)] == [1500_00, 700_00, 100_00]
    settling.set_budget(settling.budget(2, 1000_00, 700_00))
    with refused("WrongDepartment"):
        second.revoke(parent, two.steward)
    second.revoke(parent, one.steward)
    assert not second.live(child, [child_terms, delegated])


def test_a_dispute_that_was_open_at_the_hand_over_is_closed_and_settled_after_it(
    city: City, second: SecondEdition
) -> None:
    settling = Settling(city)
    for department in (1, 2, 3):
        settling.set_budget(settling.budget(department, 1000_00))
    lines = [line(2, 1, 300_00), line(3, 1, 200_00)]
    statement = settling.statement(lines, window=5 * HOUR)
    settling.commit(statement)
    settling.raise_dispute(statement, lines, lines[0], city.departments[2].finance)
    hand_over(second)
    city.chain.travel(5 * HOUR)
    with pytest.raises(Reverted):
        settling.finalise(statement, lines)
    settling.close_dispute(statement, lines[0], city.departments[2].finance)
    settling.finalise(statement, lines)
    assert settling.balance(1) == 1500_00


# ---- who may begin, and when -----------------------------------------------------------------------------------


def test_successor_does_nothing_before_the_hand_over(city: City, second: SecondEdition) -> None:
    one = granted(city)
    for _ in range(3):
        with refused("NotBegun"):
            second.send("begin")
        with refused("NotBegun"):
            second.send("adopt", one)
        with refused("NotBegun"):
            second.send("adoptBatch", [one])
        if city.call("handOver")[3] == 0:
            freeze = city.now + HOUR
            city.hand_over(second.address, freezeAt=freeze, handOverAt=freeze + HOUR)
        else:
            city.chain.now = freeze + HOUR - 1
    city.chain.now = freeze + HOUR
    second.send("begin")
    second.send("adopt", one)


def test_cancelled_hand_over_keeps_the_first_edition(city: City, second: SecondEdition) -> None:
    announced = city.hand_over(second.address)
    city.chain.travel(HOUR + 60)
    city.joint(
        "callOffHandOver",
        "CallOffHandOver",
        city.departments[2].oversight,
        city.departments[3].oversight,
        handOver=announced,
    )
    city.chain.travel(9 * HOUR)
    with refused("NotBegun"):
        second.send("begin")
    assert city.call("isLive", granted(city), [])


def test_only_one_of_two_successors_begins(city: City, second: SecondEdition) -> None:
    """The first hand-over was cancelled for the other."""
    other = SecondEdition(city)
    announced = city.hand_over(other.address)
    with refused("HandOverStands"):
        city.hand_over(second.address)
    city.joint("callOffHandOver", "CallOffHandOver", *city.members[:2], handOver=announced)
    hand_over(second)
    with refused("NotBegun"):
        other.send("begin")


def test_replaced_council_announces_the_hand_over_again(city: City, second: SecondEdition) -> None:
    city.hand_over(second.address)
    city.chain.travel(HOUR + 60)
    replace(
        city,
        replacement(city, threshold=2, members=[key.address for key in city.members]),
        incoming=city.members[:2],
    )
    city.chain.travel(3 * HOUR)
    with refused("NotBegun"):
        second.send("begin")
    granted(city)
    hand_over(second, epoch=2)


# ---- adoption --------------------------------------------------------------------------------------------------


def test_order_of_adoption_has_no_effect(city: City, second: SecondEdition) -> None:
    """Alone, twice, in batches, in any order, by any sender, or by the act itself: the result is the same
    word."""
    one = city.departments[1]
    grants = [granted(city) for _ in range(4)]
    gone, cancelled = granted(city), city.terms(city.asset_id(1, 1), 2)
    city.revoke(gone, one.steward)
    cancel = city.message("Cancel", grant=struct_hash("Terms", cancelled))
    city.send("cancel", cancel, cancelled, *city.sign("Cancel", cancel, one.steward))
    hand_over(second)
    second.send("adopt", grants[0])
    second.send("adopt", grants[0])
    dead = [gone, struct_hash("Terms", cancelled), b"\x11" * 32]
    receipt = second.send("adoptBatch", [*grants[:2], *dead, grants[0], grants[2], grants[2]])
    assert [(event.name, event.args["grant"]) for event in receipt.events] == [
        ("Adopted", grants[1]),
        *[("AdoptSkipped", one) for one in dead],
        ("Adopted", grants[2]),
    ]
    for one_dead in dead:
        with refused("GrantNotActive"):
            second.send("adopt", one_dead)
    second.prolong(grants[3])
    assert all(second.adopted(grant) for grant in grants)
    assert [second.live(grant) for grant in (*grants, gone)] == [True] * 4 + [False]


@pytest.mark.parametrize("first", ["adopted", "revoked"])
def test_an_officer_revokes_in_the_first_before_or_after_adoption(
    city: City, second: SecondEdition, first: str
) -> None:
    grant = granted(city)
    hand_over(second)
    if first == "adopted":
        second.send("adopt", grant)
        second.prolong(grant)
        assert second.live(grant)
    city.revoke(grant, city.departments[1].steward)
    assert not second.live(grant)
    for act in (lambda: second.prolong(grant), lambda: second.revoke(grant, city.departments[1].steward)):
        with refused("GrantNotActive"):
            act()


def test_what_is_removed_suspended_or_paused_in_the_first_stops_the_second(
    city: City, second: SecondEdition
) -> None:
    one = city.departments[1]
    grant = granted(city)
    hand_over(second)
    second.send("adopt", grant)
    with city.chain.rewound():
        city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=one.steward.address)
        with refused("NotInOffice"):
            second.prolong(grant)
    with city.chain.rewound():
        new = Key("steward after")
        rotate = city.message("RotateKey", **{"from": one.steward.address, "to": new.address})
        city.send("rotateKey", rotate, city.sign("RotateKey", rotate, one.steward, new))
        with refused("NotInOffice"):
            second.prolong(grant)
        second.prolong(grant, new)
    with city.chain.rewound():
        pause(city)
        with refused("Paused"):
            second.prolong(grant)
        second.revoke(grant, one.steward)
    for department in (1, 2):
        with city.chain.rewound():
            admin = city.departments[department].admin
            city.joint("suspendDepartment", "SuspendDepartment", admin, department=department, reason=ZERO)
            assert not second.live(grant)
            with refused("DepartmentNotActive"):
                second.prolong(grant)
    with city.chain.rewound():
        city.joint(
            "reclassify", "Reclassify", one.cdo, **{"asset": city.asset_id(1, 1), "class": 2, "sharing": 2}
        )
        with refused("SignatureCount"):
            second.prolong(grant)
        second.prolong(grant, one.steward, one.cdo)


# ---- signatures ------------------------------------------------------------------------------------------------


def test_no_signature_of_one_edition_counts_in_the_other(city: City, second: SecondEdition) -> None:
    """The same keys, types and grant ids; the domain has another version and another address."""
    one = city.departments[1]
    grant = granted(city)
    terms = city.terms(city.asset_id(1, 1), 3, deadline=city.now + DAY)
    hand_over(second)
    assert hash_of("Terms", terms) == struct_hash("Terms", terms)
    with refused("NotInOffice"):
        second.send("grant", terms, city.quorum("Terms", terms, 1))
    revocation = city.message("Revoke", grant=grant, reason=0)
    with refused("NotInOffice"):
        second.send("revoke", revocation, *city.sign("Revoke", revocation, one.steward))
    with refused("NotInOffice"):
        city.send("revoke", revocation, *second.sign("Revoke", revocation, one.steward))
    use = city.message("Use", grant=grant, total=3, logHead=ZERO)
    with refused("NotInOffice"):
        second.send("use", use, *city.sign("Use", use, one.attest))
    with refused("NotInOffice"):
        city.send("use", use, *second.sign("Use", use, one.attest))
    prolongation = second.prolongation(grant)
    signed = second.sign("Prolong", prolongation, one.steward)
    second.send("prolong", prolongation, signed)
    with refused("NotLonger"):
        second.send("prolong", prolongation, signed)


def test_terms_are_granted_in_one_edition_at_most(city: City, second: SecondEdition) -> None:
    one = city.departments[1]
    there = city.terms(city.asset_id(1, 1), 2, deadline=city.now + DAY)
    city.grant(there)
    withdrawn = city.terms(city.asset_id(1, 1), 2, deadline=city.now + DAY)
    new = city.terms(city.asset_id(1, 1), 2, deadline=city.now + DAY)
    hand_over(second)
    cancel = city.message("Cancel", grant=struct_hash("Terms", withdrawn))
    city.send("cancel", cancel, withdrawn, *city.sign("Cancel", cancel, one.steward))
    for terms in (there, withdrawn):
        with refused("GrantExists"):
            second.send("grant", terms, second.sign("Terms", terms, one.steward))
    second.send("grant", new, second.sign("Terms", new, one.steward))
    assert second.live(struct_hash("Terms", new))
    with refused("GrantExists"):
        second.send("grant", new, second.sign("Terms", new, one.steward))
    cancel = city.message("Cancel", grant=struct_hash("Terms", new))
    city.send("cancel", cancel, new, *city.sign("Cancel", cancel, one.steward))
    assert not second.live(struct_hash("Terms", new)), "cancelled in the first, which never had it"


def test_prolonging_needs_the_quorum_and_a_live_direct_grant(city: City, second: SecondEdition) -> None:
    one, two = city.departments[1], city.departments[2]
    by_class = {
        class_: city.grant(city.terms(city.asset_id(1, class_), 2), class_)
        for class_ in (GENERAL, IMPORTANT, CORE)
    }
    parent_terms = city.terms(city.asset_id(1, 1), 2, depth=1, maxUses=UNLIMITED)
    parent = city.grant(parent_terms)
    child_terms = {**parent_terms, "grantee": 3, "depth": 0, "maxUses": 5, "parent": parent}
    child = city.delegate(child_terms, [parent_terms])
    ended = granted(city, expiry=city.now + 2 * HOUR)
    hand_over(second)
    quorum = [one.steward, one.cdo, two.bureau]
    for class_, grant in by_class.items():
        for number in range(1, 4):
            if number != class_:
                with refused("SignatureCount"):
                    second.prolong(grant, *quorum[:number])
        second.prolong(grant, *quorum[:class_])
    with refused("SignerRepeated"):
        second.prolong(by_class[IMPORTANT], one.steward, one.steward, maxUses=300)
    with refused("BureauNotIndependent"):
        second.prolong(by_class[CORE], one.steward, one.cdo, one.bureau, maxUses=300)
    with refused("NotProlongable"):
        second.prolong(child)
    with refused("GrantExpired"):
        second.prolong(ended)
    with refused("NotLonger"):
        second.prolong(by_class[GENERAL], maxUses=1)


def test_a_total_that_is_corrected_in_the_first_is_corrected_in_the_second(
    city: City, second: SecondEdition
) -> None:
    one, two = city.departments[1], city.departments[2]
    grant = granted(city)
    city.use(grant, 100, one.attest)
    hand_over(second)
    second.send("adopt", grant)
    assert not second.live(grant), "spent"
    correction = city.message("CorrectUses", grant=grant, total=10)
    city.send("correctUses", correction, *city.sign("CorrectUses", correction, one.steward, two.steward))
    assert second.live(grant)
    assert second.uses(grant) == 10


def test_the_second_edition_is_not_deployed_with_a_city() -> None:
    assert not set(build.REHEARSED) & (set(build.CONTRACTS) | set(DEPLOYED))
    assert artifact()["eip712"]["domain"]["version"] == "3"
