"""Conditions outside the chain: a grant that is bound to one stops when the condition ends, and no act about
conditions gives access."""

from __future__ import annotations

import pytest
from contracts_harness import DAY, FOREVER, HOUR, ROLES, Chain, City, Key, keccak, refused, struct_hash

from .conditioning import CONSENT, KEEPER, Conditioning
from .invariants.rebuild_beside import RebuiltConditions


@pytest.fixture
def beside(city: City) -> Conditioning:
    return Conditioning(city)


@pytest.fixture
def grant(city: City) -> bytes:
    """1 grants 1.1 to 2."""
    return city.grant(city.terms(city.asset_id(1, 1), 2))


def test_a_grant_stops_when_a_condition_it_is_bound_to_ends(beside: Conditioning, grant: bytes) -> None:
    first, second = beside.id(1), beside.id(2)
    beside.open(first)
    beside.open(second)
    beside.bind(grant, first)
    assert beside.bind(grant, second).only("ConditionBound")["place"] == 1
    assert beside.call("conditionsOf", grant) == ([first, second], [False, False])
    assert beside.call("stopped", grant) is False
    event = beside.close(second).only("ConditionEnded")
    assert (event["condition"], event["reason"]) == (second, 1)
    assert beside.call("conditionsOf", grant) == ([first, second], [False, True])
    assert beside.call("stopped", grant) is True
    assert beside.call("stoppedOf", [grant, keccak(b"another"), grant]) == [True, False, True]
    about = beside.call("condition", second)
    assert (about["keeper"], about["kind"], about["state"], about["reason"]) == (KEEPER, CONSENT, 2, 1)
    assert 0 < about["openedAt"] < about["endedAt"]


def test_the_end_is_final(beside: Conditioning, grant: bytes) -> None:
    condition = beside.id()
    beside.open(condition)
    beside.bind(grant, condition)
    beside.close(condition)
    with refused("ConditionNotOpen"):
        beside.close(condition, reason=2)
    with refused("ConditionExists"):
        beside.open(condition)
    with refused("ConditionNotOpen"):
        beside.bind(grant, condition)


def test_nothing_is_opened_bound_or_ended_that_is_not_there(beside: Conditioning, grant: bytes) -> None:
    condition = beside.id()
    with refused("ConditionNotOpen"):
        beside.close(condition)
    with refused("ConditionNotOpen"):
        beside.bind(grant, condition)
    for members, error in (
        ({"kind": 0}, "KindInvalid"),
        ({"kind": 5}, "KindInvalid"),
        ({"commitment": bytes(32)}, "CommitmentMissing"),
    ):
        with refused(error):
            beside.open(condition, **members)
    with refused("ConditionIdInvalid"):
        beside.open(KEEPER << 40)
    beside.open(condition)
    with refused("GrantNotBindable"):
        beside.bind(keccak(b"no grant"), condition)


def test_a_grant_that_ended_is_bound_to_nothing(beside: Conditioning, city: City, grant: bytes) -> None:
    beside.open(beside.id())
    city.revoke(grant, city.departments[1].steward)
    with refused("GrantNotBindable"):
        beside.bind(grant, beside.id())


def test_a_grant_has_four_conditions_at_most_and_each_once(beside: Conditioning, grant: bytes) -> None:
    for sequence in range(1, 6):
        beside.open(beside.id(sequence))
    for sequence in range(1, 5):
        beside.bind(grant, beside.id(sequence))
        with refused("AlreadyBound"):
            beside.bind(grant, beside.id(sequence))
    with refused("TooManyConditions"):
        beside.bind(grant, beside.id(5))
    beside.close(beside.id(4))
    assert beside.call("stopped", grant) is True


@pytest.mark.parametrize("department", [1, 2, KEEPER])
@pytest.mark.parametrize("role", [*ROLES, "recovery"])
def test_who_may_open_bind_and_close(
    beside: Conditioning, city: City, grant: bytes, department: int, role: str
) -> None:
    """Each key of each department: only the keeper opens and ends, and only the holder of the right binds."""
    key = city.departments[department].keys[role]
    opened, other = beside.id(1), beside.id(2)
    beside.open(opened)
    beside.open(other)
    keeps = department == KEEPER and role in ("steward", "attest")
    binds = department == 1 and role in ("steward", "cdo")
    for allowed, act in (
        (keeps, lambda: beside.open(beside.id(9), key)),
        (binds, lambda: beside.bind(grant, other, key)),
        (keeps, lambda: beside.close(opened, key)),
    ):
        if allowed:
            act()
        else:
            with pytest.raises(Exception, match=r"NotInOffice|RoleMissing|WrongDepartment"):
                act()


def test_council_and_strangers_do_nothing_here(beside: Conditioning, city: City, grant: bytes) -> None:
    beside.open(beside.id())
    for key in (*city.members, city.guardian, Key("a stranger")):
        with refused("NotInOffice"):
            beside.open(beside.id(2), key)
        with refused("NotInOffice"):
            beside.bind(grant, beside.id(), key)
        with refused("NotInOffice"):
            beside.close(beside.id(), key)


def test_an_officer_who_left_does_nothing_here(beside: Conditioning, city: City, grant: bytes) -> None:
    beside.open(beside.id())
    steward = city.departments[KEEPER].steward
    city.joint(
        "removeOfficer",
        "RemoveOfficer",
        city.departments[KEEPER].admin,
        officer=steward.address,
    )
    with refused("NotInOffice"):
        beside.close(beside.id())
    beside.close(beside.id(), city.departments[KEEPER].attest)


def test_who_takes_over_a_right_binds_and_who_gave_it_does_not(
    beside: Conditioning, city: City, grant: bytes
) -> None:
    message = city.message("TransferRight", **{"asset": city.asset_id(1, 1), "right": 2, "from": 1, "to": 3})
    city.send(
        "transferRight",
        message,
        city.sign("TransferRight", message, city.departments[1].steward),
        *city.sign("TransferRight", message, city.departments[3].steward),
    )
    beside.open(beside.id())
    with refused("WrongDepartment"):
        beside.bind(grant, beside.id())
    beside.bind(grant, beside.id(), city.departments[3].steward)


def test_pause_and_suspension_stop_no_end_and_no_binding(
    beside: Conditioning, city: City, grant: bytes
) -> None:
    beside.open(beside.id(1))
    beside.open(beside.id(2))
    for department in (1, KEEPER):
        city.joint(
            "suspendDepartment",
            "SuspendDepartment",
            *city.members[:2],
            department=department,
            reason=bytes(32),
        )
    city.sole("pause", "Pause", city.guardian, duration=HOUR)
    beside.bind(grant, beside.id(1))
    beside.close(beside.id(1))
    assert beside.call("stopped", grant) is True
    with refused("DepartmentNotActive"):
        beside.open(beside.id(3))


def test_messages_die_at_their_deadline(beside: Conditioning, city: City, grant: bytes) -> None:
    late = city.now - 1
    with refused("DeadlinePassed"):
        beside.open(beside.id(), deadline=late)
    beside.open(beside.id())
    with refused("DeadlinePassed"):
        beside.bind(grant, beside.id(), deadline=late)
    with refused("DeadlinePassed"):
        beside.close(beside.id(), deadline=late)


def test_whoever_submits_decides_nothing(beside: Conditioning, city: City, grant: bytes) -> None:
    """Any member changed, any signature moved to another message or contract: refused."""
    opened = beside.id()
    message = {"condition": opened, "kind": 1, "commitment": keccak(b"c"), "deadline": FOREVER}
    (signature,) = beside.sign("OpenCondition", message, city.departments[KEEPER].steward)
    for member, value in (("kind", 2), ("commitment", keccak(b"d")), ("deadline", FOREVER - 1)):
        with pytest.raises(Exception, match="NotInOffice"):
            beside.send("openCondition", message | {member: value}, signature)
    beside.send("openCondition", message, signature)
    bind = {"grant": grant, "condition": opened, "deadline": FOREVER}
    (signature,) = city.sign("BindCondition", bind, city.departments[1].steward)  # The ledger's domain.
    with refused("NotInOffice"):
        beside.send("bindCondition", bind, signature)
    other = Conditioning(city)
    other.open(opened)
    (signature,) = other.sign("BindCondition", bind, city.departments[1].steward)
    with refused("NotInOffice"):
        beside.send("bindCondition", bind, signature)


def test_an_end_hands_a_revoke_on_that_was_signed_before(
    beside: Conditioning, city: City, grant: bytes
) -> None:
    beside.open(beside.id())
    beside.bind(grant, beside.id())
    revoke = beside.signed_revoke(grant, city.departments[1].steward)
    city.chain.travel(HOUR)
    receipt = beside.close_and_revoke(beside.id(), revoke)
    assert receipt.only("Revoked")["grant"] == grant
    assert city.call("grantOf", grant)["state"] == 2
    assert beside.call("stopped", grant) is True


@pytest.mark.parametrize("why", ["revoked already", "late", "by nobody", "malleable"])
def test_a_condition_ends_also_where_the_ledger_takes_no_revoke(
    beside: Conditioning, city: City, grant: bytes, why: str
) -> None:
    """One act never blocks another: an attached act that fails is skipped, and an event reports it."""
    beside.open(beside.id())
    beside.bind(grant, beside.id())
    steward = city.departments[1].steward
    revoke = beside.signed_revoke(
        grant, Key("nobody") if why == "by nobody" else steward, city.now - 1 if why == "late" else FOREVER
    )
    if why == "revoked already":
        city.revoke(grant, steward)
    if why == "malleable":
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        revoke |= {"s": (order - int.from_bytes(revoke["s"])).to_bytes(32), "v": 55 - revoke["v"]}
    event = beside.close_and_revoke(beside.id(), revoke).only("RevokePassedOver")
    assert event["grant"] == grant
    assert int.from_bytes(event["why"]) != 0
    assert beside.call("stopped", grant) is True


def test_the_ledger_does_not_know_of_conditions_and_nothing_here_gives(
    beside: Conditioning, city: City, grant: bytes
) -> None:
    """The ledger's storage of the grant is the same, bound or not, ended or not."""
    before = city.call("grantOf", grant)
    beside.open(beside.id())
    beside.bind(grant, beside.id())
    beside.close(beside.id())
    assert city.call("grantOf", grant) == before
    city.chain.travel(2 * DAY)
    assert city.call("isLive", grant, []) is False


def test_a_delegated_grant_is_bound_by_who_holds_the_right(beside: Conditioning, city: City) -> None:
    parent = city.terms(city.asset_id(1, 1), 2, depth=1)
    above = city.grant(parent)
    child = {**parent, "grantee": 3, "depth": 0, "maxUses": 5, "parent": above}
    below = city.delegate(child, [parent])
    beside.open(beside.id())
    with refused("WrongDepartment"):
        beside.bind(below, beside.id(), city.departments[2].steward)
    beside.bind(above, beside.id())
    beside.close(beside.id())
    assert beside.call("stoppedOf", [below, above]) == [False, True]


def test_storage_is_what_the_events_say(beside: Conditioning, city: City, grant: bytes) -> None:
    rebuilt = RebuiltConditions()
    acts = [
        lambda: beside.open(beside.id(1)),
        lambda: beside.open(beside.id(2), kind=2),
        lambda: beside.bind(grant, beside.id(2)),
        lambda: beside.bind(grant, beside.id(1)),
        lambda: beside.close(beside.id(1), reason=3),
        lambda: beside.close_and_revoke(
            beside.id(2), beside.signed_revoke(grant, city.departments[1].steward)
        ),
    ]
    for act in acts:
        now = city.now
        rebuilt.apply([e for e in act().events if e.name != "Revoked"], now)
        for slot, word in rebuilt.words().items():
            assert int.from_bytes(city.chain.storage(beside.contract, slot)) == word, hex(slot)


def test_two_deployments_take_no_signature_of_each_other() -> None:
    chain = Chain()
    one, other = City(chain), City(chain, salt=keccak(b"other"))
    domains = {
        Conditioning(one).contract.separator,
        Conditioning(other).contract.separator,
        one.ledger.separator,
    }
    assert len(domains) == 3
    assert struct_hash("CloseCondition", {"condition": 1, "reason": 1, "deadline": 1})
