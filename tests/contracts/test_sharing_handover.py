"""The council hands over to another contract: announced, frozen, possibly vetoed, then final.

Acts that begin an asset or a grant stop at the freeze; acts that end, lift, record, correct or seat continue
here permanently.
"""

from __future__ import annotations

import pytest
from contracts_harness import (
    DAY,
    HOUR,
    NOBODY,
    ZERO,
    Chain,
    City,
    Key,
    Reverted,
    keccak,
    refused,
    struct_hash,
)

from .test_sharing_council import pause, replace, replacement, widening

BEGINS = {"register", "version", "lower class", "grant", "batch", "delegate", "break glass"}
"""The acts, of those that a pause stops, that begin only in the successor from the freeze on."""


def call_off(city: City, hand_over: bytes, *keys: Key, **members: object) -> None:
    city.joint("callOffHandOver", "CallOffHandOver", *keys, handOver=hand_over, **members)


def overseers(city: City, *departments: int) -> list[Key]:
    return [city.departments[number].oversight for number in departments]


def frozen(city: City) -> bool:
    """Whether no asset can begin here any more; the attempt is undone."""
    with city.chain.rewound():
        try:
            city.register(city.asset_id(1, 99))
        except Reverted as refusal:
            return refusal.name == "FrozenSince"
        return False


def test_hand_over_is_announced_frozen_and_completed_in_time(city: City) -> None:
    successor, freeze = city.successor(), city.now + 10 * HOUR
    hand_over = city.hand_over(successor, freezeAt=freeze, handOverAt=freeze + HOUR)
    assert city.call("handOver") == (successor, hand_over, freeze, freeze + HOUR)
    for at, stops in (
        (freeze - 1, False),
        (freeze, True),
        (freeze + HOUR, True),
        (freeze + 9000 * DAY, True),
    ):
        with city.chain.rewound():
            city.chain.now = at
            assert frozen(city) is stops, at - freeze
    city.chain.now = freeze + HOUR - 1
    with city.chain.rewound():
        call_off(city, hand_over, *city.members[:2])
        assert not frozen(city)
    city.chain.now = freeze + HOUR
    with refused("HandOverStands"):
        call_off(city, hand_over, *city.members[:2])
    with refused("HandOverStands"):
        call_off(city, hand_over, *overseers(city, 2, 3))


@pytest.mark.parametrize(
    "act",
    [
        "admit", "officer", "service key", "register", "version", "lower class", "lift", "grant", "batch", "delegate",
        "break glass", "restore",
    ],
)  # fmt: skip
@pytest.mark.parametrize("done", [False, True])
def test_the_freeze_stops_what_begins_here_and_nothing_else(city: City, act: str, done: bool) -> None:
    """Of all acts that a pause stops, seats, admissions and lifting continue, because the successor reads
    them here."""
    acts = widening(city)
    city.hand_over(city.successor())
    city.chain.travel(3 * HOUR if done else HOUR)
    if act in BEGINS:
        with refused("FrozenSince"):
            acts[act]()
    else:
        acts[act]()


def test_what_ends_records_lifts_or_corrects_goes_on_after_the_hand_over(city: City) -> None:
    one, two = city.departments[1], city.departments[2]
    asset = city.asset_id(1, 1)
    first, second, third, fourth = (city.grant(city.terms(asset, 2)) for _ in range(4))
    glass = city.message("BreakGlass", asset=asset, grantee=3, reasonHash=ZERO, until=city.now + 6 * HOUR)
    broken = city.send(
        "breakGlass", glass, city.sign("BreakGlass", glass, city.departments[3].emergency)
    ).only("GlassBroken")["grant"]
    unsent = city.terms(asset, 2, deadline=city.now + DAY)
    early = city.message("Revoke", grant=first, reason=1, deadline=city.now + DAY)
    signed = city.sign("Revoke", early, one.steward)
    city.hand_over(city.successor())
    city.chain.travel(3 * HOUR)
    city.send("revoke", early, *signed)
    city.sole("revokeBatch", "RevokeBatch", one.steward, grants=[second], reason=1)
    replaced = city.message("ReplaceGrant", grant=third, by=fourth)
    city.send("replaceGrant", replaced, *city.sign("ReplaceGrant", replaced, one.steward))
    city.use(fourth, 5, one.attest)
    correction = city.message("CorrectUses", grant=fourth, total=2)
    city.send("correctUses", correction, *city.sign("CorrectUses", correction, one.steward, two.steward))
    cancel = city.message("Cancel", grant=struct_hash("Terms", unsent))
    city.send("cancel", cancel, unsent, *city.sign("Cancel", cancel, one.steward))
    city.sole("ratify", "Ratify", two.oversight, grant=broken)
    city.suspend(asset, one.steward)
    city.sole("liftAsset", "LiftAsset", one.steward, asset=asset, by=1, reason=ZERO)
    city.joint("reclassify", "Reclassify", one.cdo, **{"asset": asset, "class": 2, "sharing": 3})
    city.joint("suspendDepartment", "SuspendDepartment", two.admin, department=2, reason=ZERO)
    city.joint("liftDepartment", "LiftDepartment", *city.members[:2], department=2, reason=ZERO)
    city.seat(city.pair(1), 1, Key("later steward"), 2)
    rotate = city.message("RotateKey", **{"from": one.steward.address, "to": Key("steward 2").address})
    city.send("rotateKey", rotate, city.sign("RotateKey", rotate, one.steward, Key("steward 2")))
    city.joint("removeOfficer", "RemoveOfficer", one.admin, officer=one.finance.address)
    pause(city)
    replace(city, replacement(city))


def test_a_successor_names_its_predecessor(city: City) -> None:
    stranger = City(city.chain, salt=keccak(b"other city")).successor()
    for other in (NOBODY, Key("nobody").address, stranger):
        with refused("SuccessorForeign"):
            city.hand_over(other)


def test_one_hand_over_at_a_time_and_one_final(city: City) -> None:
    successor, other = city.successor(), city.successor()
    hand_over = city.hand_over(successor)
    for _ in range(2):
        with refused("HandOverStands"):
            city.hand_over(other)
        city.chain.travel(3 * HOUR)
    assert city.call("handOver")[:2] == (successor, hand_over)


@pytest.mark.parametrize(
    ("freeze", "then", "delay"),
    [
        (-2, HOUR, 0),
        (0, HOUR - 1, 0),
        (0, 91 * DAY, 0),
        (DAY - 60, HOUR, DAY),
        (HOUR, HOUR, DAY),
        (HOUR, -HOUR, 0),
    ],
)
def test_the_freeze_waits_for_the_admission_delay_and_the_hand_over_for_an_hour(
    freeze: int, then: int, delay: int
) -> None:
    city = City(Chain(), admission_delay=delay)
    successor = city.successor()
    with refused("HandOverTimeInvalid"):
        city.hand_over(successor, freeze=freeze, then=then)
    city.hand_over(successor, freeze=delay, then=HOUR)


def test_a_council_alone_hands_over_and_no_smaller_number(city: City) -> None:
    successor = city.successor()
    members = {"successor": successor, "freezeAt": city.now + HOUR, "handOverAt": city.now + 3 * HOUR}
    for signers, error in (
        (city.members[:1], "CouncilQuorum"),
        (overseers(city, 1, 2), "NotCouncil"),
        ([city.guardian] * 2, "NotCouncil"),
        ([city.members[0]] * 2, "SignerRepeated"),
    ):
        with refused(error):
            city.joint("announceHandOver", "HandOver", *signers, **members)
    with refused("EpochWrong"):
        city.joint("announceHandOver", "HandOver", *city.members[:2], **members, epoch=2)


def test_two_departments_cancel_a_hand_over_and_no_single_key_can(city: City) -> None:
    """Veto: OVERSIGHT of two active departments, or the council."""
    hand_over = city.hand_over(city.successor())
    two, three = overseers(city, 2, 3)
    second = Key("another overseer of 2")
    city.seat(city.members[:2], 2, second, 16)
    for signers, error in (
        ([two], "CouncilQuorum"),
        ([two, two], "WatchersOfOne"),
        ([two, second], "WatchersOfOne"),
        ([two, city.departments[3].admin], "RoleMissing"),
        ([two, Key("stranger")], "NotInOffice"),
        ([city.members[0], two], "NotCouncil"),
        ([two, three, three], "NotCouncil"),
        ([city.guardian], "CouncilQuorum"),
    ):
        with refused(error):
            call_off(city, hand_over, *signers)
    with refused("HandOverNotAnnounced"):
        call_off(city, keccak(b"another"), two, three)
    with city.chain.rewound():
        city.joint(
            "suspendDepartment", "SuspendDepartment", city.departments[3].admin, department=3, reason=ZERO
        )
        with refused("DepartmentNotActive"):
            call_off(city, hand_over, two, three)
    city.chain.travel(HOUR + 60)
    assert frozen(city)
    call_off(city, hand_over, two, three)
    assert not frozen(city)
    assert city.call("handOver") == (NOBODY, ZERO, 0, 0)
    with refused("HandOverNotAnnounced"):
        call_off(city, hand_over, two, three)


def test_what_was_called_off_is_not_announced_again_by_the_same_signatures(city: City) -> None:
    successor = city.successor()
    message = city.message(
        "HandOver", successor=successor, freezeAt=city.now + 2 * HOUR, handOverAt=city.now + 9 * HOUR
    )
    signed = city.council("HandOver", message)
    city.send("announceHandOver", message, signed)
    call_off(city, struct_hash("HandOver", message), *overseers(city, 1, 2))
    with refused("AlreadyDone"):
        city.send("announceHandOver", message, signed)
    city.hand_over(successor)


@pytest.mark.parametrize("frozen_already", [False, True])
def test_it_ends_with_the_council_that_announced_it(city: City, frozen_already: bool) -> None:
    hand_over = city.hand_over(city.successor())
    if frozen_already:
        city.chain.travel(HOUR + 60)
    receipt = replace(city, replacement(city))
    assert receipt.only("HandOverCalledOff") == {"handOver": hand_over}
    city.chain.travel(9 * HOUR)
    assert not frozen(city)
    assert city.call("handOver")[0] == NOBODY


def test_a_council_that_follows_cannot_undo_what_is_done(city: City) -> None:
    hand_over = city.hand_over(city.successor())
    city.chain.travel(3 * HOUR)
    assert "HandOverCalledOff" not in {event.name for event in replace(city, replacement(city)).events}
    assert frozen(city)
    assert city.call("handOver")[1] == hand_over


def test_pause_and_hand_over_are_independent(city: City) -> None:
    hand_over = city.hand_over(city.successor())
    until = pause(city, 2 * HOUR)
    assert city.call("pausedUntil") == until
    assert city.call("handOver")[1] == hand_over
    city.joint("unpause", "Unpause", city.guardian)
    city.chain.travel(HOUR)
    assert frozen(city)
    call_off(city, hand_over, *city.members[:2])
    assert not frozen(city)
    with refused("PauseCooling"):
        pause(city)
