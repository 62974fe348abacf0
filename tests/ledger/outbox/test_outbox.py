"""A submitted act is refused with a reason, or accepted once, sent to the contract, and recorded."""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, func, select, update

from contracts.codes import Role
from ledger import requests
from ledger.audit.log.append import NewEntry
from ledger.audit.log.search import Query
from ledger.audit.log.writer import JobResult
from ledger.chain.contracts import ContractError
from ledger.chain.errors import TransactionRefused
from ledger.chain.grants import grant_states
from ledger.chain.messages import MessageError
from ledger.chain.signers import address_of
from ledger.outbox import (
    ActError,
    ActNotifier,
    ActPending,
    PendingRevocations,
    Relayer,
    SignedAct,
    check,
    document,
    find,
    pending_callers,
    pending_revocations,
    simulate_act,
)
from ledger.outbox.check import code_of, refusal_text
from ledger.projection import queries
from ledger.projection.call_grants import candidate_grants
from ledger.projection.states import projected_states
from ledger.store.engine import reader
from ledger.store.tables.outbox import OutboxActRow, OutboxTransactionRow
from ledger.store.tables.projection import GrantRow, ProjectionCursorRow
from tests.simulators.successor import deployed, successor_code


def settle(city: Any, *identities: str) -> list[Any]:
    """Relay and follow until these acts are final; their records."""
    notifier = ActNotifier(city.engine)
    with city.relayer(notifier, poll_s=0.01), city.follower(notifier=notifier, poll_s=0.01):
        return [notifier.wait(identity, 20) for identity in identities]


def refusal(city: Any, document: dict[str, Any]) -> Any:
    with reader(city.engine).connect() as connection:
        return check(connection, city.deployment, SignedAct.from_json(document), city.moment())


def count(city: Any, row: Any) -> int:
    with reader(city.engine).connect() as connection:
        return int(connection.execute(select(func.count()).select_from(row.__table__)).scalar_one())


@pytest.fixture
def followed(city: Any) -> Any:
    city.follow()
    return city


# --------------------------------------------------------------------------- the way of an act


def test_act_is_sent_and_recorded_with_a_receipt(followed: Any, tools: Any) -> None:
    granted = followed.grant(tools.AIR, 9)
    accepted = followed.accept(granted)
    assert (accepted.state, accepted.created) == ("received", True)
    (record,) = settle(followed, accepted.id)
    assert (record.state, record.code) == ("recorded", None)
    assert record.tx_hash is not None
    receipt = followed.log.receipt(followed.log.find(record.entry_id))
    receipt.check_inclusion()
    assert receipt.event["type"] == "chain:grant:granted"
    assert receipt.event["grant"] == tools.grant_id(granted)
    assert receipt.event["facts"]["tx"] == record.tx_hash
    with reader(followed.engine).connect() as connection:
        (candidate,) = candidate_grants(connection, tools.AIR, 9, followed.moment())
        assert candidate.id == tools.grant_id(granted)
        assert candidate.agreement == tools.canonical(granted["documents"][0])
        assert document(connection, granted["message"]["termsHash"]) == candidate.agreement


def test_the_same_message_twice_is_one_act_whoever_signs_it_the_second_time(
    followed: Any, tools: Any
) -> None:
    granted = followed.grant(tools.AIR, 9)
    first = followed.accept(granted)
    again = followed.accept(granted)
    assert (again.id, again.created) == (first.id, False)
    (record,) = settle(followed, first.id)
    after = followed.accept(granted)
    assert (after.id, after.state, after.created) == (first.id, "recorded", False)
    assert record.state == "recorded"
    assert count(followed, OutboxTransactionRow) == 1
    hits = followed.log.search(Query(grant=tools.grant_id(granted))).hits
    assert len(hits) == 1


def test_many_acts_share_a_block_and_keep_their_order(followed: Any, tools: Any) -> None:
    registered = [followed.registration(7, n, title=f"Table {n}") for n in range(20, 26)]
    grants = [followed.grant(document["message"]["asset"], 9) for document in registered]
    accepted = [followed.accept(document).id for document in registered]
    head = followed.chain.head().number
    # The grants depend on registrations that wait before them, so the projection cannot know the assets yet.
    assert refusal(followed, grants[0]).code == "asset.unknown"
    records = settle(followed, *accepted)
    assert {record.state for record in records} == {"recorded"}
    accepted = [followed.accept(document).id for document in grants]
    records += settle(followed, *accepted)
    assert {record.state for record in records} == {"recorded"}
    assert followed.chain.head().number - head < len(records)
    assert [r.block for r in records] == sorted(r.block for r in records)


def test_waiting_caller_gets_the_pending_state(followed: Any, tools: Any) -> None:
    accepted = followed.accept(followed.grant(tools.AIR, 9))
    with pytest.raises(ActPending):
        ActNotifier(followed.engine).wait(accepted.id, 0.05)


def test_an_act_whose_deadline_passes_in_the_outbox_expires_without_a_transaction(
    followed: Any, tools: Any
) -> None:
    granted = followed.grant(tools.AIR, 9)
    accepted = followed.accept(granted)
    followed.clock.advance(3 * 3_600)
    followed.must(followed.registration(7, 13))
    (record,) = settle(followed, accepted.id)
    assert (record.state, record.code) == ("expired", "act.expired")
    assert count(followed, OutboxTransactionRow) == 0


def test_deadline_that_passes_after_sending_is_an_expiry(followed: Any, tools: Any) -> None:
    accepted = followed.accept(followed.grant(tools.AIR, 9))
    followed.clock.advance(3 * 3_600)  # No block contains it yet.
    (record,) = settle(followed, accepted.id)
    assert (record.state, record.code) == ("expired", "act.expired")
    assert "DeadlinePassed" in record.reason


def test_act_refused_by_the_contract_fails_and_can_be_retried(followed: Any, tools: Any) -> None:
    # Between acceptance and submission the asset is suspended on chain.
    granted = followed.grant(tools.AIR, 9)
    accepted = followed.accept(granted)
    suspended = {"asset": tools.AIR, "reason": "0x" + "00" * 32, "salt": 1}
    followed.must(followed.act("SuspendAsset", suspended, "7:cdo"))
    (record,) = settle(followed, accepted.id)
    assert (record.state, record.code) == ("failed", "act.refused")
    assert record.reason == f"AssetNotActive(asset={tools.AIR}, status=2)"
    followed.must(followed.act("LiftAsset", suspended, "7:steward"))
    again = followed.accept(granted)
    assert (again.id, again.created) == (accepted.id, True)
    (record,) = settle(followed, accepted.id)
    assert (record.state, record.code, record.reason) == ("recorded", None, None)


def test_act_overtaken_by_a_freeze_fails_with_act_frozen(followed: Any, tools: Any) -> None:
    code = successor_code(followed.deployment.addresses["SharingLedger"])
    successor = deployed(followed.chain, followed.relayer_key, code)
    freeze = followed.now() + 600
    times = {"freezeAt": freeze, "handOverAt": freeze + 3_600}
    followed.must(followed.act("HandOver", {"successor": successor, **times, "epoch": 1}, "mayor"))
    granted = followed.grant(tools.AIR, 9)
    accepted = followed.accept(granted)
    followed.clock.set(freeze)
    (record,) = settle(followed, accepted.id)
    assert (record.state, record.code) == ("failed", "act.frozen")
    assert record.reason == f"FrozenSince(freezeAt={freeze})"
    relayer = followed.relayer()
    refused = simulate_act(followed.chain, followed.deployment, SignedAct.from_json(granted), relayer.address)
    assert refused is not None
    assert refused.code == "act.frozen"


def test_pause_fails_with_act_paused_and_its_end(followed: Any, tools: Any) -> None:
    refused = ContractError("PausedUntil", {"until": 1_764_400_000})
    assert code_of(refused) == "act.paused"
    assert refusal_text(refused) == "PausedUntil(until=1764400000): 2025-11-29T07:06:40+00:00"


def test_unfit_successor_is_refused_with_the_reason(followed: Any, tools: Any) -> None:
    freeze = followed.now() + 600
    times = {"freezeAt": freeze, "handOverAt": freeze + 3_600, "epoch": 1}
    sender = followed.relayer().address
    for unfit in (
        "0x" + "1f" * 20,
        followed.deployment.addresses["AuditAnchor"],
    ):  # No contract; another one.
        act = SignedAct.from_json(followed.act("HandOver", {"successor": unfit, **times}, "mayor"))
        refused = simulate_act(followed.chain, followed.deployment, act, sender)
        assert refused is not None
        assert refused.code == "act.successor-unfit"
        assert unfit.lower() in refused.detail.lower()


def test_simulation_gives_the_contracts_error(followed: Any, tools: Any) -> None:
    relayer = followed.relayer()
    granted = followed.grant(tools.AIR, 9)
    act = SignedAct.from_json(granted)
    assert simulate_act(followed.chain, followed.deployment, act, relayer.address) is None
    followed.must(granted)
    refused = simulate_act(followed.chain, followed.deployment, act, relayer.address)
    assert refused is not None
    assert refused.code == "act.refused"
    assert refused.detail.startswith("GrantExists(")


def test_a_grant_answers_the_request_it_names(followed: Any, tools: Any) -> None:
    draft = requests.Draft(
        id=UUID(int=5),
        requester=9,
        asset=tools.AIR,
        purpose="dpv:PublicBenefit",
        legal_basis="a law",
        starts=followed.moment(),
        ends=followed.moment() + timedelta(days=1),
    )

    def submit(connection: Any) -> Any:
        step = requests.submit(connection, draft, provider=7, actor="key-9", now=followed.moment())
        return JobResult(step, [NewEntry(step.event)])

    followed.writer.submit(submit).result()
    granted = followed.grant(tools.AIR, 9, request=str(draft.id))
    settle(followed, followed.accept(granted).id)
    with reader(followed.engine).connect() as connection:
        answered = requests.find_request(connection, draft.id)
    assert answered is not None
    assert (answered.state, answered.grant_id) == ("granted", tools.grant_id(granted))
    assert len(followed.log.search(Query(type_prefix="gateway:request:granted")).hits) == 1


# --------------------------------------------------------------------------- refusals


def test_a_malformed_act_is_refused_by_its_member(followed: Any, tools: Any) -> None:
    good = followed.grant(tools.AIR, 9)
    for change, error in [
        ({"colour": "blue"}, ActError),
        ({"type": 3}, ActError),
        ({"type": "Teapot"}, MessageError),
        ({"signatures": []}, ActError),
        ({"signatures": ["0x12"]}, ActError),
        ({"documents": ["text"]}, ActError),
        ({"documents": [{"a": 2**60}]}, ActError),
        ({"arguments": {"chain": [{"asset": 1}]}}, MessageError),
        ({"arguments": {"colour": 1}}, MessageError),
        ({"request": "tomorrow"}, ActError),
        ({"message": good["message"] | {"grantee": 1 << 24}}, MessageError),
        ({"message": good["message"] | {"colour": 1}}, MessageError),
    ]:
        with pytest.raises(error):
            SignedAct.from_json(good | change)
    with pytest.raises(ActError):
        SignedAct.from_json(["not an object"])


def test_refusal_names_the_wrong_signer_or_value(followed: Any, tools: Any) -> None:
    city, air = followed, tools.AIR
    grant = city.grant(air, 9)
    high_s = bytearray(bytes.fromhex(grant["signatures"][0][2:]))
    high_s[32:64] = b"\xff" * 32
    other_asset = city.grant(air, 9)
    other_asset["documents"] = [{"@type": "Agreement", "uid": "another"}]
    nonsense = {"title": "a text"}
    bad_metadata = city.act(
        "RegisterAsset",
        {
            "asset": air + 1,
            "class": 1,
            "sharing": 1,
            "metadata": "0x" + hashlib.sha256(tools.canonical(nonsense)).hexdigest(),
        },
        "7:steward",
        documents=[nonsense],
    )
    cases = [
        (city.grant(air, 9, "nobody"), "act.signer-unknown"),
        (city.grant(air, 9, "9:steward"), "act.signer-department"),
        (city.grant(air, 9, "7:cdo"), "act.signer-role"),
        (city.grant(air, 9, "7:steward", "7:steward"), "act.quorum"),
        (city.grant(air, 88), "department.unknown"),
        (city.grant(air + 1, 9), "asset.unknown"),
        (city.grant(air, 9, deadline=city.now() - 1), "act.expired"),
        (grant | {"documents": []}, "act.document-missing"),
        (other_asset, "act.document-unnamed"),
        (grant | {"signatures": ["0x" + bytes(high_s).hex()]}, "act.signature"),
        (bad_metadata, "metadata.invalid"),
        (city.revocation("0x" + "77" * 32, "7:steward"), "grant.unknown"),
        (city.act("CancelAdmission", {"admission": "0x" + "11" * 32}, "7:admin"), "act.signer-unknown"),
    ]
    before = count(city, OutboxActRow)
    for document_, code in cases:
        refused = refusal(city, document_)
        assert refused is not None, code
        assert refused.code == code, refused
    assert count(city, OutboxActRow) == before


def test_valid_acts_are_not_refused_early(followed: Any) -> None:
    for name, document_ in followed.life():
        refused = refusal(followed, document_)
        assert refused is None, (name, refused)
        followed.must(document_)
        followed.follow()


def test_acts_signed_by_strangers_are_refused(followed: Any) -> None:
    for name, document_ in followed.life():
        strangers = [f"stranger {n}" for n in range(len(document_["signatures"]))]
        forged = document_ | {
            "signatures": followed.sign(document_["type"], document_["message"], *strangers)
        }
        assert refusal(followed, forged) is not None, name
        assert followed.send(forged).reverted, name
        followed.must(document_)
        followed.follow()


def test_metadata_must_say_what_the_message_says(followed: Any, tools: Any) -> None:
    document_ = followed.registration(7, 50)
    wrong = followed.act(
        "RegisterAsset",
        document_["message"] | {"class": 2},
        "7:steward",
        documents=document_["documents"],
    )
    refused = refusal(followed, wrong)
    assert (refused.code, refused.member) == ("act.metadata-differs", "class")


def test_an_officer_who_was_removed_may_sign_nothing_more(followed: Any, tools: Any) -> None:
    officer = followed.act("RemoveOfficer", {"officer": _address(tools, "7:steward")}, "7:admin")
    (record,) = settle(followed, followed.accept(officer).id)
    assert record.state == "recorded"
    assert refusal(followed, followed.grant(tools.AIR, 9)).code == "act.signer-not-in-office"


# --------------------------------------------------------------------------- denials before mining


def test_a_received_revocation_denies_before_it_is_mined(followed: Any, tools: Any) -> None:
    granted = followed.grant(tools.AIR, 9)
    grant = tools.grant_id(granted)
    settle(followed, followed.accept(granted).id)
    revocation = followed.accept(followed.revocation(grant, "7:steward"))
    with reader(followed.engine).connect() as connection:
        assert set(pending_revocations(connection)) == {grant}
        stored = queries.grant(connection, grant)
        assert stored is not None
        assert stored.status == "active"  # Nothing is mined.
    settle(followed, revocation.id)
    with reader(followed.engine).connect() as connection:
        assert not pending_revocations(connection)
        stored = queries.grant(connection, grant)
        assert stored is not None
        assert stored.status == "revoked"


def test_revocation_denies_while_it_cannot_be_sent(followed: Any, tools: Any) -> None:
    granted = followed.grant(tools.AIR, 9)
    grant = tools.grant_id(granted)
    settle(followed, followed.accept(granted).id)
    revocation = followed.accept(followed.revocation(grant, "7:steward"))
    poor = Relayer(
        followed.writer, followed.engine, followed.chain, followed.deployment, tools.secret("no money")
    )
    for _ in range(4):
        assert poor.step()
        assert isinstance(poor.failure, TransactionRefused)
        time.sleep(0.25)
    with reader(followed.engine).connect() as connection:
        assert set(pending_revocations(connection)) == {grant}
        record = find(connection, revocation.id)
        assert record is not None
        assert record.state == "received"
    (record,) = settle(followed, revocation.id)
    assert record.state == "recorded"


def test_expired_pending_revocation_still_denies(followed: Any, tools: Any) -> None:
    granted = followed.grant(tools.AIR, 9)
    grant = tools.grant_id(granted)
    settle(followed, followed.accept(granted).id)
    revocation = followed.accept(followed.revocation(grant, "7:steward"))
    followed.clock.advance(3 * 3_600)
    (record,) = settle(followed, revocation.id)
    assert record.state == "expired"
    with reader(followed.engine).connect() as connection:
        assert set(pending_revocations(connection)) == {grant}
    # Signed again, it takes effect on the chain.
    (record,) = settle(followed, followed.accept(followed.revocation(grant, "7:steward")).id)
    assert record.state == "recorded"


def test_cache_of_pending_revocations_follows_every_commit(followed: Any, tools: Any) -> None:
    ours, theirs = followed.grant(tools.AIR, 9), followed.grant(tools.AIR, 1)
    settle(followed, followed.accept(ours).id, followed.accept(theirs).id)
    one, other = tools.grant_id(ours), tools.grant_id(theirs)
    followed.accept(
        followed.act("SuspendAsset", {"asset": tools.AIR, "reason": "0x" + "00" * 32, "salt": 7}, "7:steward")
    )
    kept = PendingRevocations()

    def end(connection: Connection, grant: str) -> None:
        connection.execute(update(GrantRow).where(GrantRow.id == grant).values(state=2))  # type: ignore[arg-type]
        connection.execute(update(ProjectionCursorRow).values(version=ProjectionCursorRow.version + 1))

    def seen() -> frozenset[str]:
        with reader(followed.engine).connect() as connection:
            assert kept.of(connection) == pending_revocations(connection)
            return frozenset(kept.of(connection))

    assert seen() == {one, other}
    with followed.engine.connect() as undone:
        end(undone, other)
        assert set(kept.of(undone, committed=False)) == {one}
    with followed.engine.begin() as connection:
        end(connection, one)  # Under the version that was undone.
    assert seen() == {other}


def test_suspensions_and_removed_keys_deny_at_once(followed: Any, tools: Any) -> None:
    ours, theirs = followed.grant(tools.AIR, 9), followed.grant(tools.AIR, 1)
    settle(followed, followed.accept(ours).id, followed.accept(theirs).id)
    both = {tools.grant_id(ours), tools.grant_id(theirs)}
    no_reason = {"reason": "0x" + "00" * 32, "salt": 7}

    def pending() -> frozenset[str]:
        with reader(followed.engine).connect() as connection:
            return frozenset(pending_revocations(connection))

    suspended = followed.accept(followed.act("SuspendAsset", {"asset": tools.AIR, **no_reason}, "7:steward"))
    assert pending() == both
    settle(followed, suspended.id)
    assert pending() == frozenset()
    followed.accept(followed.act("SuspendDepartment", {"department": 9, **no_reason}, "9:admin"))
    assert pending() == {tools.grant_id(ours)}
    followed.accept(
        followed.act(
            "RemoveServiceKey", {"department": 7, "key": "0x" + tools.service_key(7).hex()}, "7:admin"
        )
    )
    with reader(followed.engine).connect() as connection:
        assert pending_callers(connection) == (
            frozenset({9}),
            frozenset({(7, "0x" + tools.service_key(7).hex())}),
        )
        for number in (7, 9):
            assert (
                queries.service_key(connection, number, tools.service_key(number), followed.moment()) is None
            )
        assert queries.service_key(connection, 1, tools.service_key(1), followed.moment()) is not None


def test_revocation_by_a_stranger_denies_nothing(followed: Any, tools: Any) -> None:
    granted = followed.grant(tools.AIR, 9)
    settle(followed, followed.accept(granted).id)
    for who in ("9:steward", "7:admin", "nobody", "mayor"):
        assert refusal(followed, followed.revocation(tools.grant_id(granted), who)) is not None
    for who in ("9:steward", "nobody"):
        act = followed.act("SuspendDepartment", {"department": 7, "reason": "0x" + "00" * 32, "salt": 1}, who)
        assert refusal(followed, act) is not None


def test_a_batch_of_revocations_denies_only_what_its_department_may_revoke(followed: Any, tools: Any) -> None:
    """The contract ignores the other items, and so does the denial."""
    ours = followed.grant(tools.AIR, 9)
    theirs = followed.registration(9, 1)
    settle(followed, followed.accept(ours).id, followed.accept(theirs).id)
    foreign = followed.grant(theirs["message"]["asset"], 7)
    settle(followed, followed.accept(foreign).id)
    both = {"grants": [tools.grant_id(foreign), tools.grant_id(ours)], "reason": 1}
    batch = followed.accept(followed.act("RevokeBatch", both, "7:steward"))
    with reader(followed.engine).connect() as connection:
        assert set(pending_revocations(connection)) == {tools.grant_id(ours)}
    settle(followed, batch.id)
    with reader(followed.engine).connect() as connection:
        assert queries.grant(connection, tools.grant_id(foreign)).status == "active"  # type: ignore[union-attr]
        assert queries.grant(connection, tools.grant_id(ours)).status == "revoked"  # type: ignore[union-attr]
        skipped = queries.events(connection, name="RevokeSkipped").items
    assert [event.args for event in skipped] == [{"grant": tools.grant_id(foreign), "state": 1}]
    only = followed.act("RevokeBatch", both | {"grants": both["grants"][:1]}, "7:steward")
    assert refusal(followed, only) is not None, "a batch in which nothing can be done"
    assert followed.send(only).reverted


def test_end_of_a_grant_denies_derived_data(followed: Any, tools: Any) -> None:
    may_derive = followed.grant(tools.AIR, 9, depth=128)
    settle(followed, followed.accept(may_derive).id)
    entry = tools.metadata(contact={"department": 9})
    made = followed.registration(9, 1)["message"] | {"parents": [tools.AIR]}
    derived = {**made, "under": [tools.grant_id(may_derive)], "metadata": hashed(tools, entry)}
    settle(followed, followed.accept(followed.act("DeriveAsset", derived, "9:steward", documents=[entry])).id)
    granted = followed.grant(derived["asset"], 7)
    settle(followed, followed.accept(granted).id)
    followed.accept(followed.revocation(tools.grant_id(may_derive), "7:steward"))
    with reader(followed.engine).connect() as connection:
        assert set(pending_revocations(connection)) == {tools.grant_id(may_derive), tools.grant_id(granted)}


def test_children_of_a_replaced_grant_stay_live(followed: Any, tools: Any) -> None:
    old, new = (followed.grant(tools.AIR, 9, depth=1, maxUses=2**32 - 1) for _ in range(2))
    settle(followed, followed.accept(old).id, followed.accept(new).id)
    child = followed.grant(
        tools.AIR,
        1,
        "9:steward",
        parent=tools.grant_id(old),
        expiry=old["message"]["expiry"],
        arguments={"chain": [old["message"]]},
    )
    settle(followed, followed.accept(child).id)
    chain = [child["message"], old["message"]]

    def why() -> Any:
        identity = tools.grant_id(child)
        [state] = grant_states(followed.chain, followed.deployment, [identity], {identity: chain}).values()
        with reader(followed.engine).connect() as connection:
            projected = projected_states(connection, {identity: chain}, followed.moment())[identity]
        assert state.why(followed.moment()) == projected.why(followed.moment())
        return state.why(followed.moment())

    ended = {"grant": tools.grant_id(old), "by": tools.grant_id(new)}
    for wrong in (ended | {"by": tools.grant_id(child)}, {"grant": ended["by"], "by": ended["by"]}):
        refused = refusal(followed, followed.act("ReplaceGrant", wrong, "7:steward"))
        assert refused is not None
        assert refused.code == "grant.replacement"
        assert followed.send(followed.act("ReplaceGrant", wrong, "7:steward")).reverted
    replaced = followed.accept(followed.act("ReplaceGrant", ended, "7:steward"))
    with reader(followed.engine).connect() as connection:
        assert set(pending_revocations(connection)) == {tools.grant_id(old)}
    settle(followed, replaced.id)
    assert why() is None
    followed.accept(followed.revocation(tools.grant_id(new), "7:steward"))
    with reader(followed.engine).connect() as connection:
        assert set(pending_revocations(connection)) >= {tools.grant_id(new), tools.grant_id(child)}
    settle(followed, followed.accept(followed.revocation(tools.grant_id(new), "7:steward")).id)
    assert why() == "ancestor-revoked"


def hashed(tools: Any, entry: Any) -> str:
    return "0x" + hashlib.sha256(tools.canonical(entry)).hexdigest()


# --------------------------------------------------------------------------- the relayer decides nothing


def test_the_relayer_alone_can_change_nothing(followed: Any, tools: Any) -> None:
    """With the relayer's key and all messages that officers signed: grant, widen, extend and transfer
    fail."""
    city = followed
    granted = city.grant(tools.AIR, 9, expiry=city.now() + 86_400)
    city.must(granted)
    message = granted["message"]
    forged = [
        ("grant", city.act("Terms", message | {"salt": 999}, "relayer")),
        ("widen", granted | {"message": message | {"maxUses": 2**32 - 1}}),
        ("extend", granted | {"message": message | {"expiry": message["expiry"] + 1}}),
        ("other grantee", granted | {"message": message | {"grantee": 1}}),
        ("other terms", granted | {"message": message | {"termsHash": "0x" + "99" * 32}}),
        (
            "transfer",
            city.act(
                "TransferRight",
                {"asset": tools.AIR, "right": 2, "from": 7, "to": 9, "salt": 1},
                "relayer",
                "relayer",
            ),
        ),
        ("revoke", city.revocation(tools.grant_id(granted), "relayer")),
        (
            "suspend",
            city.act("SuspendAsset", {"asset": tools.AIR, "reason": "0x" + "00" * 32, "salt": 1}, "relayer"),
        ),
    ]
    before = city.chain.logs(0, city.chain.head().number)
    for what, document_ in forged:
        assert refusal(city, document_) is not None, what
        assert city.send(document_).reverted, what
    assert city.chain.logs(0, city.chain.head().number) == before


def _address(tools: Any, name: str) -> str:
    return address_of(tools.secret(name))


def test_steward_seat_needs_a_second_officer_or_the_council(followed: Any, tools: Any) -> None:
    """The early check and the contract's, signer by signer: both refuse or both accept."""
    city, steward, finance = followed, Role.STEWARD, Role.FINANCE

    def seat(who: str, roles: int, *signers: str) -> dict[str, Any]:
        message = {
            "department": 7,
            "officer": address_of(tools.secret(who)),
            "roles": roles,
            "notBefore": 0,
            "notAfter": 2**40 - 1,
        }
        return dict(city.act("AddOfficer", message, *signers, who))

    for signers, code in (
        (("7:admin",), "act.quorum"),
        (("7:steward",), "act.quorum"),
        (("7:admin", "7:admin"), "act.quorum"),
        (("7:admin", "7:steward", "7:cdo"), "act.quorum"),
        (("7:admin", "7:oversight"), "act.signer-role"),
        (("7:admin", "7:machine"), "act.signer-role"),
        (("7:steward", "7:admin"), "act.signer-role"),
        (("7:admin", "7:thief"), "act.signer-unknown"),
        (("7:admin", "9:steward"), "act.signer-department"),
        (("9:admin", "7:steward"), "act.signer-department"),
        ((city.council[0], "7:cdo"), "act.signer-role"),
    ):
        document_ = seat("7:thief", steward, *signers)
        refused = refusal(city, document_)
        assert refused is not None, signers
        assert refused.code == code, (signers, refused)
        assert city.send(document_).reverted, signers
    for number, (roles, signers) in enumerate(
        (
            (steward, ("7:admin", "7:steward")),
            (steward | finance, ("7:admin", "7:cdo")),
            (steward, tuple(city.council)),
            (steward, (*city.council, "7:admin")),
            (finance, ("7:admin",)),
        )
    ):
        document_ = seat(f"7:new-{number}", roles, *signers)
        assert refusal(city, document_) is None, signers
        city.must(document_)
        city.follow()
