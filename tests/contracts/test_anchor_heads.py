"""Heads only grow, with the signatures of the operator and the witnesses, and each refusal has its reason."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from contracts_harness import ATTEST, DAY, FOREVER, City, Key

from .anchoring import OPERATOR, Anchoring, origin_of
from .refusals import refused
from .rfc6962 import entries

ORIGIN = origin_of("civic.example/log")
EMPTY = hashlib.sha256(b"").digest()
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
LOG = entries(20)
FORGED = entries(20, salt=b"forged")


@pytest.fixture
def anchoring(city: City) -> Anchoring:
    anchoring = Anchoring(city)
    anchoring.open(ORIGIN)
    return anchoring


@pytest.fixture
def at_twelve(anchoring: Anchoring) -> Anchoring:
    """The log has 12 entries."""
    anchoring.grow(ORIGIN, LOG, 0, 12)
    return anchoring


# ---- forward ---------------------------------------------------------------------------------------------------


def test_a_log_opens_empty(anchoring: Anchoring) -> None:
    state = anchoring.call("logState", ORIGIN)
    assert (state["size"], state["root"], state["epoch"]) == (0, EMPTY, 0)
    assert (state["operator"], state["quorum"], state["open"], state["successor"]) == (
        OPERATOR,
        0,
        True,
        bytes(32),
    )


def test_a_head_is_anchored_and_its_event_is_the_history(at_twelve: Anchoring) -> None:
    at_twelve.city.chain.travel(DAY)
    now = at_twelve.city.now
    event = at_twelve.grow(ORIGIN, LOG, 12, 13).only("Anchored")
    key = at_twelve.city.departments[OPERATOR].attest.address
    assert event == {
        "origin": ORIGIN,
        "size": 13,
        "root": LOG.root(13),
        "epoch": 0,
        "time": now,
        "key": key,
        "witnesses": 0,
    }
    state = at_twelve.call("logState", ORIGIN)
    assert (state["size"], state["root"], state["time"]) == (13, LOG.root(13), now)


def test_several_logs_do_not_touch_each_other(at_twelve: Anchoring) -> None:
    other = origin_of("civic.example/other")
    at_twelve.open(other)
    at_twelve.grow(other, FORGED, 0, 5)
    unknown = origin_of("never opened")
    states = at_twelve.call("logStates", [ORIGIN, other, unknown])
    assert [(s["size"], s["operator"]) for s in states] == [(12, OPERATOR), (5, OPERATOR), (0, 0)]
    with refused("LogUnknown", unknown):
        at_twelve.call("logState", unknown)


# ---- never back, never aside -----------------------------------------------------------------------------------


def test_a_rollback_is_refused(at_twelve: Anchoring) -> None:
    with refused("RolledBack", ORIGIN, 11, 12):
        at_twelve.anchor(at_twelve.head(ORIGIN, 11, LOG.root(11)), LOG.proof(11, 12))


def test_a_fork_of_the_same_size_is_refused(at_twelve: Anchoring) -> None:
    with refused("Forked", ORIGIN, 12, FORGED.root(12), LOG.root(12)):
        at_twelve.anchor(at_twelve.head(ORIGIN, 12, FORGED.root(12)))


def test_the_same_head_again_is_refused_as_done(at_twelve: Anchoring) -> None:
    with refused("AlreadyAnchored", ORIGIN, 12):
        at_twelve.anchor(at_twelve.head(ORIGIN, 12, LOG.root(12)))


def test_a_longer_fork_is_refused_with_any_proof(at_twelve: Anchoring) -> None:
    """A stolen operator's key can sign any head, but there is no proof for it."""
    head = at_twelve.head(ORIGIN, 19, FORGED.root(19))
    for proof in (FORGED.proof(12, 19), LOG.proof(12, 19), [], [FORGED.root(12)]):
        with refused("Inconsistent", ORIGIN, 12, 19):
            at_twelve.anchor(head, proof)


def test_the_first_head_needs_no_proof_and_takes_none(anchoring: Anchoring) -> None:
    with refused("Inconsistent", ORIGIN, 0, 5):
        anchoring.anchor(anchoring.head(ORIGIN, 5, LOG.root(5)), [LOG.root(5)])
    anchoring.grow(ORIGIN, LOG, 0, 5)


def test_a_head_of_size_zero_is_the_opening_or_a_fork(anchoring: Anchoring) -> None:
    with refused("AlreadyAnchored", ORIGIN, 0):
        anchoring.anchor(anchoring.head(ORIGIN, 0, EMPTY))
    with refused("Forked", ORIGIN, 0, bytes(32), EMPTY):
        anchoring.anchor(anchoring.head(ORIGIN, 0, bytes(32)))


# ---- who signs -------------------------------------------------------------------------------------------------


def test_only_an_attest_key_of_the_operator_signs(anchoring: Anchoring) -> None:
    departments = anchoring.city.departments
    head = anchoring.head(ORIGIN, 3, LOG.root(3))
    for key, department in (
        (departments[2].attest, 2),
        (departments[OPERATOR].witness, OPERATOR),
        (departments[OPERATOR].admin, OPERATOR),
        (departments[OPERATOR].gateway, OPERATOR),
        (Key("nobody"), 0),
    ):
        with refused("NotOperator", ORIGIN, key.address, department, OPERATOR):
            anchoring.anchor(head, operator=key)


def test_a_removed_key_is_refused(at_twelve: Anchoring) -> None:
    city = at_twelve.city
    key = city.departments[OPERATOR].attest
    message = city.message("RemoveAttestKey", key=key.address)
    city.send(
        "removeAttestKey", message, city.sign("RemoveAttestKey", message, city.departments[OPERATOR].admin)
    )
    with refused("NotOperator", ORIGIN, key.address, OPERATOR, OPERATOR):
        at_twelve.grow(ORIGIN, LOG, 12, 13)


def test_a_rotated_key_signs_on_and_the_old_one_does_not(at_twelve: Anchoring) -> None:
    city = at_twelve.city
    old, new = city.departments[OPERATOR].attest, Key("new attest key")
    message = city.message("RotateKey", **{"from": old.address, "to": new.address})
    city.send("rotateKey", message, city.sign("RotateKey", message, old, new))
    head = at_twelve.head(ORIGIN, 13, LOG.root(13))
    with refused("NotOperator", ORIGIN, old.address, OPERATOR, OPERATOR):
        at_twelve.anchor(head, LOG.proof(12, 13))
    at_twelve.anchor(head, LOG.proof(12, 13), operator=new)


def test_a_pause_does_not_stop_an_anchor(at_twelve: Anchoring) -> None:
    city = at_twelve.city
    message = city.message("Pause", duration=DAY)
    city.send("pause", message, *city.sign("Pause", message, city.guardian))
    at_twelve.grow(ORIGIN, LOG, 12, 13)
    closing = at_twelve.epoch(ORIGIN, origin_of("next"), 13, LOG.root(13))
    at_twelve.send("newEpoch", closing, [], at_twelve.council("NewEpoch", closing))


@pytest.mark.parametrize("member", ["origin", "size", "root", "deadline"])
def test_the_relayer_changes_nothing_of_a_head(at_twelve: Anchoring, member: str) -> None:
    """The signature covers every member: after a change the signer is another one, or an earlier check
    fails."""
    other = origin_of("civic.example/other")
    at_twelve.open(other)
    head = at_twelve.head(ORIGIN, 14, LOG.root(14))
    signature = at_twelve.signatures(head)
    altered = {"origin": other, "size": 15, "root": LOG.root(15), "deadline": FOREVER - 1}
    changed = {**head, member: altered[member]}
    proof = [] if member == "origin" else LOG.proof(12, changed["size"])
    if member in ("size", "root"):
        changed |= {"size": 15, "root": LOG.root(15)}
        proof = LOG.proof(12, 15)
    with refused("NotOperator"):
        at_twelve.send("anchor", changed, proof, signature)


def test_a_head_dies_at_its_deadline(anchoring: Anchoring) -> None:
    head = anchoring.head(ORIGIN, 3, LOG.root(3), deadline=anchoring.city.now + 60)
    anchoring.city.chain.travel(61)
    with refused("DeadlinePassed"):
        anchoring.anchor(head)


@pytest.mark.parametrize("length", [0, 1, 64, 66, 129, 131])
def test_signatures_of_a_wrong_length(anchoring: Anchoring, length: int) -> None:
    head = anchoring.head(ORIGIN, 3, LOG.root(3))
    signature = (anchoring.signatures(head) * 3)[:length]
    with refused("SignatureLength", length, 65):
        anchoring.send("anchor", head, [], signature)


def test_a_malleable_signature(anchoring: Anchoring) -> None:
    head = anchoring.head(ORIGIN, 3, LOG.root(3))
    signature = anchoring.signatures(head)
    high = ORDER - int.from_bytes(signature[32:64], "big")
    with refused("SignatureHighS"):
        anchoring.send(
            "anchor", head, [], signature[:32] + high.to_bytes(32, "big") + bytes([55 - signature[64]])
        )


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_a_signature_that_recovers_to_nobody(anchoring: Anchoring, v: int) -> None:
    head = anchoring.head(ORIGIN, 3, LOG.root(3))
    with refused("SignatureInvalid"):
        anchoring.send("anchor", head, [], anchoring.signatures(head)[:64] + bytes([v]))


def test_a_signature_for_another_contract_or_deployment(anchoring: Anchoring) -> None:
    """A head of one anchor is refused by a second anchor, and under another salt or chain id."""
    city = anchoring.city
    twin = Anchoring(city)
    twin.open(ORIGIN)
    head = anchoring.head(ORIGIN, 3, LOG.root(3))
    with refused("NotOperator"):
        twin.send("anchor", head, [], anchoring.signatures(head))
    twin.send("anchor", head, [], twin.signatures(head))


# ---- witnesses -------------------------------------------------------------------------------------------------


@pytest.fixture
def witnessed(anchoring: Anchoring) -> tuple[Anchoring, bytes]:
    """A log that requires two witnesses; departments 2 to 5 have witness keys."""
    for number in (4, 5):
        anchoring.city.admit(number)
    origin = origin_of("civic.example/witnessed")
    anchoring.open(origin, quorum=2)
    return anchoring, origin


def test_a_quorum_of_witnesses_and_who_they_were(witnessed: tuple[Anchoring, bytes]) -> None:
    anchoring, origin = witnessed
    event = anchoring.grow(origin, LOG, 0, 4, witnesses=[2, 5]).only("Anchored")
    assert departments_in(event["witnesses"]) == [2, 5]
    event = anchoring.grow(origin, LOG, 4, 9, witnesses=[2, 3, 4, 5]).only("Anchored")
    assert departments_in(event["witnesses"]) == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("witnesses", "error"),
    [
        ([], "TooFewWitnesses"),
        ([2], "TooFewWitnesses"),
        ([2, 2], "WitnessOrder"),
        ([3, 2], "WitnessOrder"),
        ([2, 3, 3], "WitnessOrder"),
        ([1, 2], "WitnessIsOperator"),
    ],
)
def test_witnesses_that_do_not_make_a_quorum(
    witnessed: tuple[Anchoring, bytes], witnesses: list[int], error: str
) -> None:
    anchoring, origin = witnessed
    with refused(error):
        anchoring.grow(origin, LOG, 0, 4, witnesses=witnesses)


def test_a_witness_needs_its_role(witnessed: tuple[Anchoring, bytes]) -> None:
    """An attest key of another department is not a witness, because only the council gives WITNESS."""
    anchoring, origin = witnessed
    head = anchoring.head(origin, 4, LOG.root(4))
    departments = anchoring.city.departments
    keys = [departments[OPERATOR].attest, departments[2].witness, departments[3].attest]
    signatures = b"".join(anchoring.city.sign("TreeHead", head, *keys, contract=anchoring.contract))
    with refused("NotWitness", departments[3].attest.address, 3, ATTEST):
        anchoring.send("anchor", head, [], signatures)


def test_no_more_witnesses_than_one_word_holds(witnessed: tuple[Anchoring, bytes]) -> None:
    anchoring, origin = witnessed
    head = anchoring.head(origin, 4, LOG.root(4))
    with refused("TooManyWitnesses", origin, 11, 10):
        anchoring.send("anchor", head, [], anchoring.signatures(head) * 12)
    with refused("TooManyWitnesses", origin_of("eleven"), 11, 10):
        anchoring.open(origin_of("eleven"), quorum=11)


# ---- the council -----------------------------------------------------------------------------------------------


def test_only_the_council_opens_a_log_and_once(anchoring: Anchoring) -> None:
    city = anchoring.city
    message = {"origin": origin_of("new"), "operator": 2, "quorum": 0, "epoch": 1, "deadline": FOREVER}
    with refused("CouncilQuorum", 1, 2):
        anchoring.send("openLog", message, anchoring.council("OpenLog", message)[:1])
    admins = city.sign(
        "OpenLog", message, city.departments[1].admin, city.departments[2].admin, contract=anchoring.contract
    )
    with refused("NotCouncil", city.departments[1].admin.address):
        anchoring.send("openLog", message, admins)
    with refused("LogExists", ORIGIN):
        anchoring.open(ORIGIN)
    with refused("OriginMissing"):
        anchoring.open(bytes(32))
    with refused("OperatorMissing"):
        anchoring.open(origin_of("new"), operator=0)
    with refused("DeadlinePassed"):
        anchoring.send("openLog", {**message, "deadline": 1}, [])


def test_a_new_epoch_continues_from_the_head_the_council_vouches_for(at_twelve: Anchoring) -> None:
    """An attacker extended the log; the council drops the entries after the tenth."""
    successor = origin_of("civic.example/log/2")
    closing = at_twelve.epoch(ORIGIN, successor, 10, LOG.root(10), quorum=1, reason="key stolen on Sunday")
    event = at_twelve.send("newEpoch", closing, [], at_twelve.council("NewEpoch", closing)).only(
        "EpochOpened"
    )
    assert (event["origin"], event["newOrigin"], event["epoch"]) == (ORIGIN, successor, 1)
    assert (event["abandonedSize"], event["abandonedRoot"], event["lastSize"]) == (12, LOG.root(12), 10)
    assert event["reason"] == "key stolen on Sunday"

    with refused("LogClosed", ORIGIN, successor):
        at_twelve.grow(ORIGIN, LOG, 12, 13)
    with refused("LogClosed", ORIGIN, successor):
        at_twelve.send("newEpoch", closing, [], at_twelve.council("NewEpoch", closing))
    with refused("Inconsistent", successor, 10, 14):
        at_twelve.anchor(at_twelve.head(successor, 14, FORGED.root(14)), FORGED.proof(10, 14), [2])
    at_twelve.grow(successor, LOG, 10, 14, witnesses=[2])
    origin, state = at_twelve.call("currentLog", ORIGIN)
    assert (origin, state["size"], state["epoch"], state["open"]) == (successor, 14, 1, True)
    assert at_twelve.call("logState", ORIGIN)["successor"] == successor


def test_what_a_new_epoch_may_not_say(at_twelve: Anchoring) -> None:
    new = origin_of("civic.example/log/2")
    for closing, error, values in (
        (at_twelve.epoch(ORIGIN, new, 13, LOG.root(13)), "EpochBeyondHead", (ORIGIN, 13, 12)),
        (
            at_twelve.epoch(ORIGIN, new, 12, FORGED.root(12)),
            "Forked",
            (ORIGIN, 12, FORGED.root(12), LOG.root(12)),
        ),
        (at_twelve.epoch(ORIGIN, new, 0, bytes(32)), "Forked", (ORIGIN, 0, bytes(32), EMPTY)),
        (at_twelve.epoch(ORIGIN, ORIGIN, 12, LOG.root(12)), "LogExists", (ORIGIN,)),
        (at_twelve.epoch(new, ORIGIN, 12, LOG.root(12)), "LogUnknown", (new,)),
        (at_twelve.epoch(ORIGIN, new, 12, LOG.root(12), deadline=1), "DeadlinePassed", None),
        (at_twelve.epoch(ORIGIN, new, 12, LOG.root(12), quorum=11), "TooManyWitnesses", (new, 11, 10)),
    ):
        with refused(error, *(values or ())):
            at_twelve.send("newEpoch", closing, [], at_twelve.council("NewEpoch", closing))


@pytest.mark.parametrize(
    "member", ["lastSize", "lastRoot", "newOrigin", "operator", "quorum", "reason", "deadline"]
)
def test_the_relayer_changes_nothing_of_a_new_epoch(at_twelve: Anchoring, member: str) -> None:
    closing = at_twelve.epoch(ORIGIN, origin_of("next"), 10, LOG.root(10))
    signatures = at_twelve.council("NewEpoch", closing)
    altered: dict[str, Any] = {
        "lastSize": 9,
        "lastRoot": LOG.root(9),
        "newOrigin": origin_of("the thief's"),
        "operator": 2,
        "quorum": 1,
        "reason": "nothing to see",
        "deadline": FOREVER - 1,
    }
    with refused("NotCouncil"):
        at_twelve.send("newEpoch", {**closing, member: altered[member]}, [], signatures)


# ---- views -----------------------------------------------------------------------------------------------------


def test_a_light_client_follows_epochs_and_checks_its_checkpoint(at_twelve: Anchoring) -> None:
    assert at_twelve.call("isConsistent", ORIGIN, 8, LOG.root(8), LOG.proof(8, 12))
    assert not at_twelve.call("isConsistent", ORIGIN, 8, FORGED.root(8), LOG.proof(8, 12))
    unknown = origin_of("never opened")
    for view in (("currentLog", unknown), ("isConsistent", unknown, 1, EMPTY, [])):
        with refused("LogUnknown", unknown):
            at_twelve.call(*view)


def departments_in(word: int) -> list[int]:
    """24 bits each, the last one lowest."""
    found = []
    while word:
        found.append(word & 0xFFFFFF)
        word >>= 24
    return found[::-1]


def test_a_suspended_operator_goes_on_anchoring(at_twelve: Anchoring, city: City) -> None:
    """A suspension of the operator's department by a bureau does not stop the log; the removal of the key
    does."""
    city.joint("suspendDepartment", "SuspendDepartment", *city.members[:2], department=1, reason=bytes(32))
    at_twelve.grow(ORIGIN, LOG, 12, 13)
    attest = city.departments[1].attest
    city.joint("removeAttestKey", "RemoveAttestKey", attest, key=attest.address)
    with refused("NotOperator"):
        at_twelve.grow(ORIGIN, LOG, 13, 14)


def test_a_suspended_witness_counts_for_nothing(at_twelve: Anchoring, city: City) -> None:
    city.joint("suspendDepartment", "SuspendDepartment", *city.members[:2], department=2, reason=bytes(32))
    with refused("NotWitness"):
        at_twelve.grow(ORIGIN, LOG, 12, 13, witnesses=(2,))


def test_a_log_grows_by_no_more_than_a_log_can(at_twelve: Anchoring) -> None:
    """Regression: a stolen key anchored size 2^64-1, and the log could never be anchored again."""
    for origin, old in ((origin_of("empty"), 0), (ORIGIN, 12)):
        if not old:
            at_twelve.open(origin)
        with refused("GrowsTooMuch"):
            at_twelve.anchor(at_twelve.head(origin, old + 2**32 + 1, b"1" * 32))
        with refused("GrowsTooMuch"):
            at_twelve.anchor(at_twelve.head(origin, 2**64 - 1, b"1" * 32))
    at_twelve.anchor(at_twelve.head(origin_of("empty"), 2**32, b"1" * 32))


def test_a_new_epoch_says_whether_its_head_was_proven(at_twelve: Anchoring) -> None:
    proof = LOG.proof(10, 12)
    for number, (size, given, proven) in enumerate(
        ((10, [], False), (10, proof, True), (12, [], True), (0, [], True))
    ):
        with at_twelve.city.chain.rewound():
            closing = at_twelve.epoch(ORIGIN, origin_of(f"next {number}"), size, LOG.root(size))
            signed = at_twelve.council("NewEpoch", closing)
            event = at_twelve.send("newEpoch", closing, given, signed).only("EpochOpened")
            assert event["proven"] is proven


def test_a_wrong_proof_of_a_new_epoch_is_refused(at_twelve: Anchoring) -> None:
    proof = LOG.proof(10, 12)
    wrong = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
    for size, root, given in (
        (10, LOG.root(10), wrong),
        (10, LOG.root(10), proof[:-1] or [bytes(32)]),
        (10, LOG.root(10), [*proof, bytes(32)]),
        (10, FORGED.root(10), proof),
        (12, LOG.root(12), proof),
        (0, EMPTY, proof),
    ):
        closing = at_twelve.epoch(ORIGIN, origin_of("next"), size, root)
        with refused("Inconsistent"):
            at_twelve.send("newEpoch", closing, given, at_twelve.council("NewEpoch", closing))
