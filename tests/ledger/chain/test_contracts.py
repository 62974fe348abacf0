"""The facades: every act and event of the contracts is known, errors are decoded, anchors are found again."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.artifacts import eip712_messages, load
from ledger.acts.rules import RULES as AUTHORITY
from ledger.audit.formats.checkpoint import Head
from ledger.audit.formats.merkle import EMPTY_ROOT
from ledger.audit.log.search import Query
from ledger.audit.outside.anchor import AnchorUnavailable
from ledger.audit.outside.anchoring import ChainAnchor, anchored_head
from ledger.chain.calls import CONTRACTS, act_types, arrange
from ledger.chain.contracts import calldata, decode_revert, deploy
from ledger.chain.deployment import Deployment
from ledger.chain.errors import ChainFault
from ledger.chain.messages import MessageError
from ledger.chain.signers import address_of
from ledger.projection.apply import RULES as PROJECTION
from ledger.projection.entries import TYPES, WITHOUT_ENTRY

ONE, TWO, THREE = b"\x01" * 65, b"\x02" * 65, b"\x03" * 65


def test_every_message_and_every_event_of_the_contracts_is_known() -> None:
    signed = {message for contract in CONTRACTS for message in eip712_messages(contract)}
    assert set(act_types()) == signed
    assert set(AUTHORITY) == signed
    events = {i["name"] for contract in CONTRACTS for i in load(contract).abi if i["type"] == "event"}
    assert set(PROJECTION) == events
    assert set(TYPES) | WITHOUT_ENTRY == events


def test_signatures_are_assigned_to_the_functions_slots() -> None:
    seats = {"seats": [{}, {}]}
    for name, message, given, arguments, function, slots in [
        ("RegisterAsset", {}, [ONE], {}, "registerAsset", {"signature": (ONE,)}),
        ("Terms", {}, [ONE, TWO], {}, "grant", {"signatures": (ONE, TWO)}),
        ("Terms", {}, [ONE], {"chain": []}, "delegate", {"signatures": (ONE,)}),
        ("Revoke", {}, [ONE], {"t": {}}, "revokeDelegated", {"signature": (ONE,)}),
        ("AddOfficer", {}, [ONE, TWO], {}, "addOfficer", {"authority": (ONE,), "possession": (TWO,)}),
        (
            "TransferRight",
            {},
            [ONE, TWO, THREE],
            {},
            "transferRight",
            {"giver": (ONE, TWO), "taker": (THREE,)},
        ),
        ("Admission", seats, [ONE, TWO, THREE], {}, "admit", {"council": (ONE,), "possession": (TWO, THREE)}),
        ("Admission", seats, {"council": [ONE]}, {}, "proposeAdmission", {"council": (ONE,)}),
        ("Admission", seats, {"possession": [ONE, TWO]}, {}, "activate", {"possession": (ONE, TWO)}),
        (
            "Recover",
            {},
            [ONE, TWO, THREE],
            {},
            "startRecovery",
            {"signatures": (ONE, TWO), "council": (THREE,)},
        ),
        ("TreeHead", {}, [ONE, TWO], {"proof": []}, "anchor", {"signatures": (ONE, TWO)}),
    ]:
        chosen, dealt = arrange(name, message, given, arguments)  # type: ignore[arg-type]
        assert (chosen.name, dealt) == (function, slots)
    for name, given, arguments in [
        ("RegisterAsset", [ONE, TWO], {}),
        ("RegisterAsset", [], {}),
        ("ReplaceCouncil", [ONE, TWO], {}),
        ("Admission", [ONE], {}),
        ("AddOfficer", [ONE], {}),
        ("AddOfficer", {"authority": [ONE], "possession": [ONE, TWO]}, {}),
        ("Terms", {"colour": [ONE]}, {}),
        ("TreeHead", [ONE], {}),
    ]:
        with pytest.raises(MessageError):
            arrange(name, {}, given, arguments)  # type: ignore[arg-type]


def test_the_contract_s_errors_are_read_with_their_values(city: Any, tools: Any) -> None:
    granted = city.grant(tools.AIR, 9)
    city.must(granted)
    refused = city.send(granted)
    error = decode_revert(refused.revert_data)
    assert (error.name, error.args) == ("GrantExists", {"grant": tools.grant_id(granted), "status": 1})
    assert str(error) == f"GrantExists(grant={tools.grant_id(granted)}, status=1)"
    for nonsense in (b"", b"\x00", b"\xff" * 40, refused.revert_data[:5]):
        assert decode_revert(nonsense).name == "Error"
    panic = bytes.fromhex("4e487b71") + (17).to_bytes(32)
    assert decode_revert(panic).args == {"reason": "Panic(0x11)"}


def test_deployment_is_restored_from_json(city: Any) -> None:
    document = city.deployment.to_json()
    assert Deployment.from_json(document) == city.deployment
    assert city.deployment.domain_for("TreeHead").contract == document["addresses"]["AuditAnchor"].lower()


def test_a_deployment_that_the_contract_refuses_says_why(city: Any) -> None:
    with pytest.raises(ChainFault) as caught:
        deploy(
            city.chain,
            city.relayer_key,
            council=[],
            threshold=1,
            guardian="0x" + "11" * 20,
            salt="0x" + "00" * 32,
        )
    assert "CouncilInvalid" in str(caught.value)


@pytest.fixture
def anchor(city: Any, tools: Any) -> ChainAnchor:
    port = ChainAnchor(city.chain, city.deployment, city.relayer_key, tools.secret("7:machine"))
    city.must(city.act("OpenLog", {"origin": port.origin, "operator": 7, "quorum": 0}, "mayor"))
    return port


def test_the_log_s_heads_are_anchored_one_after_the_other(city: Any, anchor: ChainAnchor) -> None:
    assert anchor.latest().head == Head(0, EMPTY_ROOT)
    assert anchor.head() is None
    city.follow()
    first = city.log.checkpoint()
    reference = anchor.submit(Head(0, EMPTY_ROOT), first, [])
    assert anchor.head() == first.checkpoint.head
    city.must(city.registration(7, 13))
    city.follow()
    second = city.log.checkpoint()
    proof = city.log.consistency(first.checkpoint.size, second.checkpoint.size)
    anchor.submit(first.checkpoint.head, second, list(proof))
    found = anchored_head(city.chain, city.deployment, anchor.origin)
    assert found is not None
    assert found.head == second.checkpoint.head
    assert anchor.find(first.checkpoint.size) == reference
    # An anchorer that was killed before it knew the result submits the same head again: it is found, not sent
    # again.
    head = city.chain.head()
    assert anchor.submit(first.checkpoint.head, second, list(proof)) == anchor.find(second.checkpoint.size)
    assert city.chain.head() == head
    assert not city.log.search(Query(type_prefix="chain:log:anchored")).hits


def test_a_head_that_does_not_extend_the_anchored_one_is_refused_by_name(
    city: Any, tools: Any, anchor: ChainAnchor
) -> None:
    city.follow()
    anchor.submit(Head(0, EMPTY_ROOT), city.log.checkpoint(), [])
    city.must(city.registration(7, 13))
    city.follow()
    with pytest.raises(AnchorUnavailable, match="Inconsistent"):
        anchor.submit(Head(0, EMPTY_ROOT), city.log.checkpoint(), [])
    stranger = ChainAnchor(city.chain, city.deployment, city.relayer_key, tools.secret("stranger"))
    with pytest.raises(AnchorUnavailable):
        stranger.submit(Head(0, EMPTY_ROOT), city.log.checkpoint(), [])


def test_the_anchor_and_the_relayer_share_an_account_without_a_clash(
    city: Any, tools: Any, anchor: ChainAnchor
) -> None:
    import threading

    city.follow()
    accepted = [city.accept(city.grant(tools.AIR, 9)).id for _ in range(20)]
    with city.relayer(poll_s=0.0), city.follower(poll_s=0.0) as follower:
        errors: list[Exception] = []

        def anchor_often() -> None:
            old, proof = Head(0, EMPTY_ROOT), []
            for _ in range(4):
                new = city.log.checkpoint()
                if new.checkpoint.head == old:
                    continue
                proof = list(city.log.consistency(old.size, new.checkpoint.size)) if old.size else []
                try:
                    anchor.submit(old, new, proof)
                except AnchorUnavailable as error:
                    errors.append(error)
                    return
                old = new.checkpoint.head

        thread = threading.Thread(target=anchor_often)
        thread.start()
        states = [follower.wait(identity, 30).state for identity in accepted]
        thread.join(30)
    assert errors == []
    assert set(states) == {"recorded"}


def test_an_address_has_the_checksum_of_eip_55() -> None:
    from eth_utils.address import to_checksum_address

    for n in range(1, 40):
        address = address_of(n.to_bytes(32))
        assert address == to_checksum_address(address.lower())


def test_call_data_is_checked_before_it_is_encoded(city: Any, tools: Any) -> None:
    granted = city.grant(tools.AIR, 9)
    with pytest.raises(MessageError):
        calldata(city.deployment, "Terms", granted["message"] | {"asset": "seven"}, [ONE])
    with pytest.raises(MessageError):
        calldata(city.deployment, "Terms", granted["message"], [ONE], {"chain": [{"asset": 1}]})
