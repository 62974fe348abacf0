"""Anchors: when, what happens when the chain disagrees, and the proof from a block hash down to the event.

The chain is py-evm. Its contract is a dozen bytes that emit the given event: the AuditAnchor contract itself
is tested with the contracts; here it is the log's side, and the bytes of headers and receipts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak
from eth_tester import EthereumTester, PyEVMBackend
from sqlmodel import SQLModel
from web3 import EthereumTesterProvider, Web3

from ledger.audit.formats.checkpoint import Head, Origin, SignedCheckpoint
from ledger.audit.formats.errors import RollbackDetected
from ledger.audit.formats.merkle import EMPTY_ROOT, ProofError, verify_consistency
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.export import export_bundle
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.outside.anchor import (
    AnchoredHead,
    Anchorer,
    AnchorReference,
    AnchorUnavailable,
    Cadence,
    anchored_receipt,
)
from ledger.audit.outside.header_proof import HeaderProofUnavailable, header_proof, prove_receipt
from ledger.audit.verify import Trust, verify_bundle
from ledger.audit.verify.anchors import EVENT, MOST_PROOF
from ledger.audit.verify.receipts import Receipt, verify_receipt
from ledger.chain.block_hashes import encode_header, encode_receipt
from ledger.store.engine import open_engine

# log2(calldata[64:], topics calldata[0:32], calldata[32:64])
EMITTER = bytes.fromhex("6040360380604060003760203560003582" + "6000a200")
DEPLOYER = (
    bytes.fromhex("60" + f"{len(EMITTER):02x}" + "600c60003960" + f"{len(EMITTER):02x}" + "6000f3") + EMITTER
)


class EvmAnchor:
    """An `AnchorPort` over a real EVM; it checks the consistency proof as the contract does."""

    def __init__(self) -> None:
        self.w3 = Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend())))
        self.sender = self.w3.eth.accounts[0]
        sent = self.w3.eth.send_transaction({"from": self.sender, "data": DEPLOYER, "gas": 200_000})
        self.address = str(self.w3.eth.get_transaction_receipt(sent)["contractAddress"])
        self.head = Head(0, EMPTY_ROOT)
        self.reachable = True
        self.company = 0
        self.submitted: list[int] = []

    def latest(self) -> AnchoredHead:
        if not self.reachable:
            raise AnchorUnavailable("the chain does not answer")
        return AnchoredHead(self.head.size, self.head.root, 0, self.w3.eth.block_number)

    def submit(self, old: Head, new: SignedCheckpoint, proof: list[bytes]) -> AnchorReference:
        if not self.reachable:
            raise AnchorUnavailable("the chain does not answer")
        assert old == self.head
        verify_consistency(old.size, new.size, old.root, new.root, proof)
        topics = keccak(EVENT.encode()) + sha256(new.checkpoint.origin.encode()).digest()
        data = topics + word(new.size) + new.root + word(0) + word(1_762_000_000) + word(7) + word(0)
        tester = self.w3.provider.ethereum_tester  # type: ignore[attr-defined]
        tester.disable_auto_mine_transactions()
        calls = [word(1) * 2 + b"before %d" % i for i in range(self.company)]
        calls += [data] + [word(2) * 2] * self.company
        for account, call in zip(self.w3.eth.accounts, calls, strict=False):
            self.w3.eth.send_transaction({"from": account, "to": self.address, "data": call, "gas": 200_000})
        tester.enable_auto_mine_transactions()
        sent = self.w3.eth.get_block("latest")["transactions"][self.company]
        receipt = self.w3.eth.get_transaction_receipt(sent)
        self.head = new.checkpoint.head
        self.submitted.append(new.size)
        return AnchorReference(
            "0x" + bytes(sent).hex(), receipt["blockNumber"], "0x" + bytes(receipt["blockHash"]).hex()
        )

    def proof_of(self, reference: AnchorReference, size: int) -> dict[str, Any]:
        block = self.block(reference.block_number)
        receipts = [self.w3.eth.get_transaction_receipt(tx) for tx in block["transactions"]]
        position = ["0x" + bytes(tx).hex() for tx in block["transactions"]].index(reference.tx_hash)
        return header_proof(block, receipts, position, 0)

    def block(self, number: int | str) -> dict[str, Any]:
        """The header as a node answers it; only eth-tester pads ``extraData`` to 32 bytes and shortens the
        bloom."""
        block = dict(self.w3.eth.get_block(number))
        return block | {"extraData": b"", "logsBloom": bytes(block["logsBloom"]).rjust(256, b"\0")}


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.fixture
def port() -> EvmAnchor:
    return EvmAnchor()


@pytest.fixture
def chained(port: EvmAnchor, tmp_path: Path) -> Iterator[AuditLog]:
    """A log whose origin names the emitter on this chain."""
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    SQLModel.metadata.create_all(engine)
    signer = Signer.generate(str(Origin(61, port.address.lower())))
    yield AuditLog.open(engine, signer, highwater=HighWaterMark(tmp_path / "mark"))
    engine.dispose()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def append(log: AuditLog, make: Any, count: int = 1) -> None:
    with log.engine.begin() as conn:
        appended = log.append(conn, [make.entry() for _ in range(count)])
    log.committed(appended)


def trust(log: AuditLog, **more: Any) -> Trust:
    origin = Origin.parse(log.origin)
    return Trust(log.origin, log.signer.key, origin.chain_id, "0x" + "00" * 20, origin.contract, **more)


# -- cadence


def test_anchor_schedule(chained: AuditLog, port: EvmAnchor, make: Any) -> None:
    clock = Clock()
    anchorer = Anchorer(chained, port, Cadence(every_s=60, every_entries=10, coalesce_s=1), clock=clock)
    assert not anchorer.due(), "nothing to anchor"
    append(chained, make)
    clock.now = 59
    assert anchorer.step() is None
    clock.now = 60
    assert anchorer.step() is not None
    append(chained, make, 9)
    assert not anchorer.due()
    append(chained, make)
    assert anchorer.due(), "ten entries"
    anchorer.step()
    append(chained, make)
    anchorer.governance_act()
    clock.now += 0.9
    append(chained, make)
    anchorer.governance_act()
    assert not anchorer.due(), "acts close together wait for each other"
    clock.now += 0.1
    anchorer.step()
    assert port.submitted == [1, 11, 13]
    clock.now += 3600
    assert not anchorer.due(), "nothing new"


def test_act_during_an_anchor_is_anchored_afterwards(chained: AuditLog, port: EvmAnchor, make: Any) -> None:
    clock = Clock()
    anchorer = Anchorer(chained, port, clock=clock)
    append(chained, make)
    anchorer.governance_act()
    clock.now = 2
    original = port.submit

    def slow(old: Head, new: SignedCheckpoint, proof: list[bytes]) -> AnchorReference:
        append(chained, make)
        anchorer.governance_act()
        return original(old, new, proof)

    port.submit = slow  # type: ignore[method-assign]
    anchorer.step()
    port.submit = original  # type: ignore[method-assign]
    clock.now = 4
    assert anchorer.step() is not None
    assert port.submitted == [1, 2]


def test_act_is_anchored_soon_after_the_chain_answers_again(
    chained: AuditLog, port: EvmAnchor, make: Any
) -> None:
    clock = Clock()
    anchorer = Anchorer(chained, port, clock=clock)
    append(chained, make)
    anchorer.governance_act()
    clock.now = 2
    port.reachable = False
    with pytest.raises(AnchorUnavailable):
        anchorer.step()
    port.reachable = True
    assert anchorer.step() is not None


def test_chain_outage_stops_releases_until_it_ends(chained: AuditLog, port: EvmAnchor, make: Any) -> None:
    clock = Clock()
    anchorer = Anchorer(chained, port, Cadence(outage_s=300), clock=clock)
    append(chained, make)
    port.reachable = False
    clock.now = 61
    with pytest.raises(AnchorUnavailable):
        anchorer.step()
    assert anchorer.releases_allowed()
    clock.now = 301
    assert not anchorer.releases_allowed()
    port.reachable = True
    assert anchorer.step() is not None
    assert anchorer.releases_allowed()


def test_a_head_that_is_refused_for_longer_than_an_outage_is_overdue(
    chained: AuditLog, port: EvmAnchor, make: Any
) -> None:
    """The chain answers, but mines nothing or refuses the head."""
    clock = Clock()
    anchorer = Anchorer(chained, port, Cadence(outage_s=300), clock=clock)
    original = port.submit

    def refuses(old: Head, new: SignedCheckpoint, proof: list[bytes]) -> AnchorReference:
        raise AnchorUnavailable("the chain refused the head: DeadlinePassed(1, 2)")

    port.submit = refuses  # type: ignore[method-assign]
    append(chained, make)
    for clock.now in range(61, 420, 60):
        with pytest.raises(AnchorUnavailable):
            anchorer.step()
        assert anchorer.releases_allowed(), "the chain is there"
        assert anchorer.overdue() == (clock.now > 361)
    port.submit = original  # type: ignore[method-assign]
    assert anchorer.step() is not None
    assert not anchorer.overdue()
    clock.now += 3_600
    assert not anchorer.overdue(), "nothing is due where nothing is new"


def test_chain_head_beyond_the_log_stops_releases_and_anchors(
    chained: AuditLog, port: EvmAnchor, make: Any
) -> None:
    append(chained, make, 3)
    anchorer = Anchorer(chained, port)
    port.head = Head(5, b"\x05" * 32)
    with pytest.raises(RollbackDetected, match="chain"):
        anchorer.anchor_now()
    assert not anchorer.releases_allowed()
    assert port.submitted == []
    port.head = Head(2, b"\x05" * 32)
    with pytest.raises(RollbackDetected):
        Anchorer(chained, port).check()


def test_releases_resume_when_log_and_chain_agree_again(
    chained: AuditLog, port: EvmAnchor, make: Any
) -> None:
    append(chained, make, 3)
    anchorer = Anchorer(chained, port)
    good, port.head = port.head, Head(2, b"\x05" * 32)
    with pytest.raises(RollbackDetected):
        anchorer.check()
    assert not anchorer.releases_allowed()
    port.head = good
    anchorer.check()
    assert anchorer.releases_allowed()


def test_chain_refuses_a_head_that_does_not_extend(chained: AuditLog, port: EvmAnchor, make: Any) -> None:
    append(chained, make, 3)
    Anchorer(chained, port).anchor_now()
    append(chained, make, 2)
    with pytest.raises(ProofError):
        port.submit(port.head, chained.checkpoint(), [b"\x00" * 32])


def test_anchorer_thread_anchors_automatically(chained: AuditLog, port: EvmAnchor, make: Any) -> None:
    import time

    anchorer = Anchorer(chained, port, Cadence(every_s=3600, coalesce_s=0.05))
    anchorer.start()
    append(chained, make)
    anchorer.governance_act()
    limit = time.monotonic() + 10
    while not port.submitted and time.monotonic() < limit:
        time.sleep(0.02)
    anchorer.close()
    assert port.submitted == [1]


def test_crash_between_chain_and_database_is_repaired(
    chained: AuditLog, port: EvmAnchor, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(chained, make, 3)
    anchorer = Anchorer(chained, port)

    def dies(*_: Any) -> None:
        raise OSError("the power went out")

    with monkeypatch.context() as broken:
        broken.setattr(anchorer, "_record", dies)
        with pytest.raises(OSError, match="power"):
            anchorer.anchor_now()
    assert port.head.size == 3
    assert anchored_receipt(chained, 0) is None
    Anchorer(chained, port).anchor_now()
    assert anchored_receipt(chained, 0) is not None


def test_a_proof_the_node_could_not_give_is_fetched_later(
    chained: AuditLog, port: EvmAnchor, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(chained, make, 3)
    anchorer = Anchorer(chained, port)
    with monkeypatch.context() as broken:
        broken.setattr(port, "proof_of", lambda *_: None)
        anchorer.anchor_now()
    receipt = anchored_receipt(chained, 0)
    assert receipt is not None
    assert receipt.anchor is None, "an anchor without proof says nothing"
    assert anchorer.complete_proofs() == 1
    again = anchored_receipt(chained, 0)
    assert again is not None
    assert again.anchor is not None
    assert verify_receipt(again, trust(chained)).ok


# -- the proof


@pytest.mark.parametrize("company", [0, 1, 4], ids=["alone", "few others", "many others"])
def test_block_hash_alone_verifies_an_anchor(
    chained: AuditLog, port: EvmAnchor, make: Any, tmp_path: Path, company: int
) -> None:
    port.company = company
    append(chained, make, 5)
    reference = Anchorer(chained, port).anchor_now()
    append(chained, make, 2)
    assert reference is not None
    export_bundle(chained, tmp_path / "bundle")
    pinned = trust(chained, blocks={reference.block_number: reference.block_hash})
    verdict = verify_bundle(tmp_path / "bundle", pinned)
    assert (verdict.word, verdict.anchor) == ("verified", "anchor checked"), verdict.lines()
    assert verdict.held_elsewhere == (f"block {reference.block_number}: the first 5 entries are on chain",)
    unpinned = verify_bundle(tmp_path / "bundle", trust(chained))
    assert unpinned.anchor == "anchor not checked"
    assert reference.block_hash in unpinned.remarks[0]
    other = verify_bundle(
        tmp_path / "bundle", trust(chained, blocks={reference.block_number: "0x" + "ab" * 32})
    )
    assert [f.code for f in other.findings] == ["anchor.fork"]


@pytest.fixture
def anchored(chained: AuditLog, port: EvmAnchor, make: Any) -> tuple[AuditLog, Receipt, Trust]:
    port.company = 3
    append(chained, make, 5)
    reference = Anchorer(chained, port).anchor_now()
    assert reference is not None
    receipt = anchored_receipt(chained, 3)
    assert receipt is not None
    assert anchored_receipt(chained, 5) is None
    return chained, receipt, trust(chained, blocks={reference.block_number: reference.block_hash})


def test_any_receipt_of_a_block_of_three_hundred_is_proved() -> None:
    import rlp

    from ledger.audit.outside.header_proof import prove_receipt
    from ledger.audit.verify.anchors import walk_trie

    receipts = [b"\x02" + bytes([i % 256]) * (1 + i % 90) for i in range(300)]
    for position in (0, 1, 15, 16, 127, 128, 129, 255, 256, 299):
        nodes, root = prove_receipt(receipts, position)
        assert walk_trie(root, rlp.encode(position), nodes) == receipts[position]
        with pytest.raises(Exception, match=r"trie|receipt"):
            walk_trie(root, rlp.encode(position + 1000), nodes)
        with pytest.raises(Exception, match="one receipt"):
            walk_trie(root, rlp.encode(position), [*nodes, nodes[-1]])
        with pytest.raises(Exception, match="missing"):
            walk_trie(root, rlp.encode(position), nodes[:-1])


def test_a_receipt_carries_its_anchor(anchored: tuple[AuditLog, Receipt, Trust]) -> None:
    _, receipt, pinned = anchored
    verdict = verify_receipt(str(receipt), pinned)
    assert (verdict.word, verdict.anchor) == ("verified", "anchor checked"), verdict.lines()


def test_any_changed_byte_of_an_anchor_proof_is_refused(anchored: tuple[AuditLog, Receipt, Trust]) -> None:
    _, receipt, pinned = anchored
    text = json.dumps(receipt.anchor)
    for at in range(len(text)):
        for replacement in ("0", "1"):
            if text[at] == replacement or not text[at].isalnum():
                continue
            try:
                anchor = json.loads(text[:at] + replacement + text[at + 1 :])
            except ValueError:
                continue
            forged = Receipt(receipt.index, receipt.leaf, receipt.proof, receipt.checkpoint, anchor)
            assert not verify_receipt(forged, pinned).ok, f"character {at} of the anchor may be anything"


def test_a_number_of_an_anchor_is_within_its_range(anchored: tuple[AuditLog, Receipt, Trust]) -> None:
    """A negative index, which counts from the end, is not the index of a log."""
    _, receipt, pinned = anchored
    assert receipt.anchor is not None
    for name in ("log", "transaction"):
        for number in (receipt.anchor["proof"][name] - 1, -1, -2, True, 1 << 32, 1 << 80, None, "0", 0.0):
            proof = receipt.anchor["proof"] | {name: number}
            anchor = receipt.anchor | {"proof": proof}
            forged = Receipt(receipt.index, receipt.leaf, receipt.proof, receipt.checkpoint, anchor)
            assert verify_receipt(str(forged), pinned).word == "failed", (name, number)
    for name in ("block_number", "size"):
        for number in (-1, True, 1 << 80, None):
            anchor = receipt.anchor | {name: number}
            forged = Receipt(receipt.index, receipt.leaf, receipt.proof, receipt.checkpoint, anchor)
            assert verify_receipt(str(forged), pinned).word == "failed", (name, number)


def test_a_header_of_lists_in_lists_is_refused(anchored: tuple[AuditLog, Receipt, Trust]) -> None:
    """An attacker can choose both header and hash; without a pinned block the proof is checked all the
    same."""
    import rlp

    _, receipt, _ = anchored
    assert receipt.anchor is not None
    deep = b"\xc0"
    for _ in range(5_000):
        deep = (
            bytes([0xC0 + len(deep)]) if len(deep) < 56 else b"\xfa" + len(deep).to_bytes(3, "big")
        ) + deep
    for header in (
        deep,
        b"",
        b"\x80",
        rlp.encode([[]] * 16),
        rlp.encode([b"\x01"] * 16),
        rlp.encode([b"x" * 17] * 16),
    ):
        anchor = receipt.anchor | {
            "block_hash": "0x" + keccak(header).hex(),
            "proof": receipt.anchor["proof"] | {"header": "0x" + header.hex()},
        }
        forged = Receipt(receipt.index, receipt.leaf, receipt.proof, receipt.checkpoint, anchor)
        assert [f.code for f in verify_receipt(forged).findings] == ["anchor.proof"]


def test_overlong_proof_is_refused_before_parsing(
    anchored: tuple[AuditLog, Receipt, Trust],
) -> None:
    """Regression: a header of a million empty lists took the verifier 34 seconds and 625 MiB, one of four
    millions minutes."""
    _, receipt, _ = anchored
    assert receipt.anchor is not None
    proof = receipt.anchor["proof"]
    header = b"\xfa" + (1 << 20).to_bytes(3, "big") + b"\xc0" * (1 << 20)
    cases: list[dict[str, Any]] = [
        {"header": "0x" + header.hex()},
        {"nodes": [*proof["nodes"], "0x" + header.hex()]},
        {"nodes": [*proof["nodes"], *["0x" + "c0" * 1000] * 200]},
    ]
    for changed in cases:
        first = bytes.fromhex(changed.get("header", proof["header"])[2:])
        anchor = receipt.anchor | {
            "block_hash": "0x" + keccak(first).hex(),
            "proof": proof | changed,
        }
        forged = Receipt(receipt.index, receipt.leaf, receipt.proof, receipt.checkpoint, anchor)
        begun = time.monotonic()
        assert [f.code for f in verify_receipt(forged).findings] == ["anchor.malformed"]
        assert time.monotonic() - begun < 10


def test_no_proof_is_made_beyond_the_verifiers_limits(port: EvmAnchor, anchored: Any) -> None:
    block = port.block("latest")
    receipts = [dict(port.w3.eth.get_transaction_receipt(tx)) for tx in block["transactions"]]
    receipts[0]["logs"] = [{"address": b"a" * 20, "topics": [], "data": bytes(MOST_PROOF)}]
    _, root = prove_receipt([encode_receipt(receipt) for receipt in receipts], 0)
    swollen = block | {"receiptsRoot": root, "hash": b""}
    swollen["hash"] = keccak(encode_header(swollen))
    with pytest.raises(HeaderProofUnavailable, match="longer"):
        header_proof(swollen, receipts, 0, 0)


def test_the_event_of_another_contract_or_log_proves_nothing(
    anchored: tuple[AuditLog, Receipt, Trust], port: EvmAnchor, make: Any
) -> None:
    log, receipt, _ = anchored
    original = port.address
    sent = port.w3.eth.send_transaction({"from": port.sender, "data": DEPLOYER, "gas": 200_000})
    port.address = str(port.w3.eth.get_transaction_receipt(sent)["contractAddress"])
    port.head = Head(0, EMPTY_ROOT)
    reference = port.submit(port.head, log.checkpoint(), [])
    assert port.address != original
    anchor = dict(receipt.anchor or {})
    anchor.update(block_number=reference.block_number, block_hash=reference.block_hash)
    anchor["proof"] = port.proof_of(reference, 5)
    forged = Receipt(receipt.index, receipt.leaf, receipt.proof, receipt.checkpoint, anchor)
    assert [f.code for f in verify_receipt(forged).findings] == ["anchor.proof"]


def test_false_answers_of_a_node_give_no_proof(anchored: Any, port: EvmAnchor) -> None:
    block = port.block("latest")
    receipts = [port.w3.eth.get_transaction_receipt(tx) for tx in block["transactions"]]
    with pytest.raises(HeaderProofUnavailable, match="receipts root"):
        header_proof(block, receipts[:-1], 0, 0)
    with pytest.raises(HeaderProofUnavailable, match="no transaction"):
        header_proof(block, receipts, len(receipts), 0)
    with pytest.raises(HeaderProofUnavailable, match="block hash"):
        header_proof(block | {"gasUsed": 1}, receipts, 0, 0)


def test_a_qbft_block_hashes_without_its_commit_seals(port: EvmAnchor) -> None:
    """Besu QBFT: extraData is [vanity, validators, vote, round, seals]; the hash is over round 0 and no seals."""
    import rlp

    block = port.block("latest")
    bare = rlp.encode([b"\0" * 32, [b"\1" * 20], [], b"", []])
    block["extraData"] = bare
    block["hash"] = keccak(encode_header(block))
    block["extraData"] = rlp.encode([b"\0" * 32, [b"\1" * 20], [], b"\0\0\0\2", [b"\3" * 65]])
    assert keccak(encode_header(block)) == block["hash"]


def test_the_event_is_the_one_of_the_contract() -> None:
    artifact = json.loads((Path(__file__).parents[3] / "contracts/artifacts/AuditAnchor.json").read_text())
    (event,) = [e for e in artifact["abi"] if e["type"] == "event" and e["name"] == "Anchored"]
    assert f"Anchored({','.join(i['type'] for i in event['inputs'])})" == EVENT
    assert [i["indexed"] for i in event["inputs"]] == [True, False, False, False, False, False, False]
