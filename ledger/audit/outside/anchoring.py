"""The implementation of `AnchorPort` over the AuditAnchor contract."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from eth_abi.abi import decode
from eth_hash.auto import keccak

from ledger.audit.formats.checkpoint import Head, Origin, SignedCheckpoint
from ledger.audit.formats.merkle import EMPTY_ROOT
from ledger.audit.outside.anchor import AnchoredHead, AnchorReference, AnchorUnavailable
from ledger.audit.outside.header_proof import header_proof
from ledger.audit.verify.anchors import EVENT
from ledger.chain.client import ChainClient, Fees, Hash32, Receipt
from ledger.chain.contracts import calldata, decode_revert
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.errors import ChainError, ContractReverted
from ledger.chain.events import Event, EventDecoder
from ledger.chain.limits import MOST_FEE
from ledger.chain.reached import Reached
from ledger.chain.sending import sending
from ledger.chain.signers import sign_digest
from ledger.chain.transactions import address_of, fees_of, sign_transaction
from ledger.clock import Clock, WallClock

T = TypeVar("T")

DEADLINE_S = 3_600
GAS = 200_000
GAS_PER_HASH = 4_000
GAS_PER_SIGNATURE = 20_000
RANGE = 1_000

_STATE = keccak(b"logState(bytes32)")[:4]
_ANCHORED = "0x" + keccak(EVENT.encode()).hex()
_STATE_TYPES = ("uint64", "bytes32", "uint40", "uint32", "uint24", "uint8", "bool", "bytes32")

Cosigners = Callable[[bytes], Sequence[bytes]]
"""Takes the digest of a head and returns the witnesses' signatures over it, by ascending department."""


class ChainAnchor:
    """One log in the AuditAnchor contract (an `ledger.audit.outside.anchor.AnchorPort`).

    ``relayer_secret`` is the key that pays for transactions and has no authority. ``attest_secret`` is the attest key
    of the department that operates the log. ``epoch`` is that of the origin, from 1; the contract counts from 0.
    ``most_fee`` is in wei per unit of gas.
    """

    def __init__(
        self,
        client: ChainClient,
        deployment: Deployment,
        relayer_secret: bytes,
        attest_secret: bytes,
        *,
        epoch: int = 1,
        witnesses: Cosigners | None = None,
        timeout_s: float = 30.0,
        most_fee: int = MOST_FEE,
        clock: Clock | None = None,
        reached: Reached | None = None,
    ) -> None:
        self._client = client
        self._deployment = deployment
        self._relayer_secret = relayer_secret
        self._relayer = address_of(relayer_secret)
        self._attest_secret = attest_secret
        self._witnesses = witnesses
        self._timeout_s = timeout_s
        self._most_fee = most_fee
        self._unmined: tuple[int, bytes] | None = None
        self._clock = clock or WallClock()
        self._reached_block = reached or Reached(deployment.block)
        self._address = deployment.addresses["AuditAnchor"]
        self.origin: Hash32 = origin_hash(
            str(Origin(deployment.chain_id, deployment.addresses["AuditAnchor"].lower(), epoch))
        )

    # -- AnchorPort

    def latest(self) -> AnchoredHead:
        """The anchored head; size 0 and the root of the empty tree when the contract does not know the log yet."""

        def ask() -> AnchoredHead:
            found = anchored_head(self._client, self._deployment, self.origin)
            return found or AnchoredHead(0, EMPTY_ROOT, 0, self._client.head().number)

        return self._reached(ask)

    def head(self) -> Head | None:
        """The anchored head for `AuditLog.open`; None before the first anchor."""
        latest = self.latest()
        return latest.head if latest.size else None

    def submit(self, old: Head, new: SignedCheckpoint, proof: list[bytes]) -> AnchorReference:
        """Anchor ``new`` and return after it was mined. A head that is already on chain is looked up, not sent again.

        Raises `AnchorUnavailable`, with the contract's error when the contract refuses the head.
        """
        head = new.checkpoint.head

        def send() -> AnchorReference:
            self._reached_block.head_of(self._client)
            if self.latest().head == head and head.size:
                found = self.find(head.size)
                if found is not None:
                    return found
            if anchored_head(self._client, self._deployment, self.origin) is None:
                raise AnchorUnavailable(
                    "the council has not opened this log on the chain yet",
                    hint="the council opens it with: civic audit open",
                )
            receipt = self._send(head, proof)
            if receipt.reverted:
                refused = decode_revert(receipt.revert_data or b"")
                if refused.name == "NotOperator" and not refused.args["department"]:
                    raise AnchorUnavailable(
                        f"department {refused.args['operator']}, which operates this log, is not admitted yet",
                        hint="heads are anchored from its admission on",
                    )
                raise AnchorUnavailable(f"the chain refused the head: {refused}")
            return AnchorReference(receipt.tx_hash, receipt.block_number, receipt.block_hash)

        return self._reached(send)

    def proof_of(self, reference: AnchorReference, size: int) -> dict[str, Any] | None:
        """The proof from the block header to the event that recorded the head of this size; None without one."""
        evidence = self._reached(lambda: self._client.evidence(reference.block_number))
        for position, receipt in enumerate(evidence.receipts):
            if str(receipt["transactionHash"]).lower() != reference.tx_hash.lower():
                continue
            for at, log in enumerate(receipt["logs"]):
                topics = [str(topic).lower() for topic in log["topics"]]
                mine = str(log["address"]).lower() == self._address.lower()
                if mine and topics[:2] == [_ANCHORED, self.origin]:
                    return header_proof(evidence.block, evidence.receipts, position, at)
        return None

    # -- beyond the port

    def find(self, size: int) -> AnchorReference | None:
        """The transaction that anchored the head of this size; None without one. The newest blocks are searched first."""
        event = self._find(lambda event: event.args["size"] == size)
        return None if event is None else AnchorReference(event.tx_hash, event.block_number, event.block_hash)

    def _find(self, wanted: Callable[[Event], bool]) -> Event | None:
        decoder = EventDecoder(self._deployment.addresses)
        last = self._client.head().number
        while last >= self._deployment.block:
            first = max(self._deployment.block, last - RANGE + 1)
            for log in reversed(self._client.logs(first, last, [self._address])):
                event = decoder.decode(log, 0)
                if event.name == "Anchored" and event.args["origin"] == self.origin and wanted(event):
                    return event
            last = first - 1
        return None

    def _send(self, head: Head, proof: Sequence[bytes]) -> Receipt:
        message = {
            "origin": self.origin,
            "size": head.size,
            "root": "0x" + head.root.hex(),
            "deadline": max(int(self._clock.now()), self._client.head().timestamp) + DEADLINE_S,
        }
        digest = act_digest(self._deployment, "TreeHead", message)
        signatures = [sign_digest(self._attest_secret, digest)]
        if self._witnesses is not None:
            signatures += self._witnesses(digest)
        arguments = {"proof": ["0x" + node.hex() for node in proof]}
        call = calldata(self._deployment, "TreeHead", message, signatures, arguments)
        gas = GAS + GAS_PER_HASH * len(proof) + GAS_PER_SIGNATURE * len(signatures)
        with sending(self._client.chain_id, self._relayer):
            nonce, fees = self._next()
            raw = sign_transaction(
                self._relayer_secret, self._client.chain_id, nonce, call.to, call.data, gas, fees
            )
            sent = self._client.send(raw)
            self._unmined = nonce, raw
        receipt = self._client.wait(sent, self._timeout_s)
        self._unmined = None
        return receipt

    def _next(self) -> tuple[int, Fees]:
        """Nonce and fees of the next anchor. It replaces an anchor that is not mined yet, so that none wait behind it."""
        fees = self._client.fees()
        if self._unmined is not None:
            nonce, raw = self._unmined
            if self._client.mined_nonce(self._relayer) <= nonce:
                return nonce, fees_of(raw).raised(fees).at_most(self._most_fee)
        return self._client.nonce(self._relayer), fees.at_most(self._most_fee)

    @staticmethod
    def _reached(ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ChainError as error:
            raise AnchorUnavailable(str(error), hint=error.hint) from error


def origin_hash(origin: str) -> Hash32:
    """The identifier of a log in the contract: SHA-256 of the origin line of its checkpoints."""
    return "0x" + hashlib.sha256(origin.encode()).hexdigest()


def epoch_proven(client: ChainClient, deployment: Deployment, origin: Hash32) -> bool | None:
    """Whether the contract verified a proof that the first head of this log was part of the previous epoch's log.

    None for a log that no NewEpoch opened.
    """
    decoder, last = EventDecoder(deployment.addresses), client.head().number
    while last >= deployment.block:
        first = max(deployment.block, last - RANGE + 1)
        for log in reversed(client.logs(first, last, [deployment.addresses["AuditAnchor"]])):
            event = decoder.decode(log, 0)
            if event.name == "EpochOpened" and event.args["newOrigin"] == origin:
                return bool(event.args["proven"])
        last = first - 1
    return None


def anchored_head(client: ChainClient, deployment: Deployment, origin: Hash32) -> AnchoredHead | None:
    """The anchored head of a log, given the hash of its origin; None when the contract does not know the log.

    Raises `ChainWentBack` when the newest block is older than the contracts.
    """
    block = Reached(deployment.block).head_of(client).number
    try:
        answer = client.call(deployment.addresses["AuditAnchor"], _STATE + bytes.fromhex(origin[2:]), block)
    except ContractReverted as refusal:
        if decode_revert(refusal.data).name == "LogUnknown":
            return None
        raise
    size, root, _, epoch, *_ = decode(_STATE_TYPES, answer)
    return AnchoredHead(size, root, epoch, block)
