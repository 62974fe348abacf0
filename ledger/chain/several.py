"""Several nodes of one chain: an answer is accepted when more than half of all configured nodes give it.

The head is the highest block that a majority has, with the same hash. State is the answer of a majority after that block.
Blocks and their events are proven by hashes, so one node is enough for them when a majority has the last block. Without a
majority `NodesDisagree` is raised. Fewer than half of the nodes may lie, be late or be unreachable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from ledger.chain.client import (
    NOBODY,
    Address,
    Agreement,
    BlockEvidence,
    BlockRef,
    ChainClient,
    Fees,
    Log,
    Receipt,
    Segment,
    TxHash,
)
from ledger.chain.errors import (
    ChainError,
    ChainUnproven,
    ChainUnreachable,
    NodesDisagree,
    UnknownBlock,
    WrongChain,
)
from ledger.chain.node_urls import node_urls
from ledger.chain.rpc import RpcChain, wait_for
from ledger.chain.votes import Answers, Nodes, Question, Tally

WITHIN_S = 12.0
"""The longest time for a majority, in seconds."""

GRACE_S = 0.5
"""How long the other nodes are waited for after a majority has answered, when they could change the result (seconds)."""

PATIENCE_S = 5.0
"""When a single node is asked: the seconds before another node is asked too."""

BEHIND_S, AGAIN_S = 1.0, 0.2
"""A node that does not have the block yet and is needed for a majority is asked again for `BEHIND_S` seconds, every
`AGAIN_S` seconds."""

STEPS_BACK = 16
"""How many blocks below the highest possible common block the common block is searched for."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


def open_nodes(urls: str, chain_id: int) -> ChainClient:
    """The client for the nodes of a setting. Raises `WrongChain` when one of several nodes that answer is on another
    chain."""
    each = node_urls(urls)
    if len(each) == 1:
        return RpcChain(each[0], chain_id)
    several = SeveralNodes([RpcChain(url, chain_id) for url in each])
    several.must_be_one_chain()
    return several


def discover_nodes(urls: str) -> ChainClient:
    """`open_nodes` for the setup, when no chain id is configured yet: it is that of the first node that answers."""
    *first, last = node_urls(urls)
    for url in first:
        try:
            return open_nodes(urls, RpcChain.discover(url).chain_id)
        except ChainUnreachable:
            continue
    found = RpcChain.discover(last)
    return open_nodes(urls, found.chain_id) if first else found


class SeveralNodes:
    """A `ChainClient` over two or more nodes. Thread-safe."""

    def __init__(self, nodes: Sequence[RpcChain]) -> None:
        self._nodes = Nodes(nodes)
        self._needed = self._nodes.needed
        self._chain_id = nodes[0].chain_id
        self._lock = threading.Lock()
        self._head: BlockRef | None = None
        self._agreeing: frozenset[int] = frozenset()
        self._statuses: dict[int, BlockRef | str] = {}  # the last head of each node, or the code of its error
        self._last: set[int] = (
            set()
        )  # nodes that failed or were late as a single node; they are asked after the others

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def never_behind(self) -> bool:
        return False

    @property
    def agreement(self) -> Agreement:
        """The agreement at the last query of the head. Nodes that answered later are counted too."""
        with self._lock:
            later = {place for place, status in self._statuses.items() if status == self._head}
            return Agreement(len(self._nodes), self._needed, len(later | self._agreeing))

    def must_be_one_chain(self) -> None:
        """Raise `WrongChain` when a node that answers in time is on another chain. Later answers are ignored."""
        answers = self._nodes.ask(lambda node: node.head(), WITHIN_S)
        for answered, (place, answer) in enumerate(answers, start=1):
            if isinstance(answer, WrongChain):
                raise WrongChain(f"node {place + 1}: {answer.message}", hint=answer.hint)
            if answered >= self._needed:
                answers.hurry(GRACE_S)

    # -- blocks

    def head(self) -> BlockRef:
        heads: dict[int, BlockRef] = {}
        answers = self._nodes.ask(lambda node: node.head(), WITHIN_S, heard=self._note)
        for place, answer in answers:
            if isinstance(answer, BlockRef):
                heads[place] = answer
            if self._is_settled(heads.values()):
                break
            if len(heads) >= self._needed:
                answers.hurry(GRACE_S)
        common = self._highest_common(heads)
        found = next(iter(common.values())) if len(common) >= self._needed else None
        with self._lock:
            self._head, self._agreeing = found, frozenset(common)
        if found is None:
            raise self._no_majority(len(heads), len(common))
        return found

    def block(self, number: int) -> BlockRef:
        return self._voted(_block_at(number))

    def evidence(self, number: int) -> BlockEvidence:
        block = self.block(number)

        def read(node: RpcChain) -> BlockEvidence:
            found = node.evidence(number)
            if str(found.block["hash"]).lower() != block.hash:
                raise ChainUnproven(f"this is not the block {number} that the other nodes have")
            return found

        return self._of_one(read)

    def segment(self, first: int, last: int, addresses: Collection[Address] | None = None) -> Segment:
        if last < first:
            return Segment((), ())
        end = self.block(last)

        def read(node: RpcChain) -> Segment:
            found = node.segment(first, last, addresses)
            if found.blocks[-1] != end:
                raise ChainUnproven(f"this is not the block {last} that the other nodes have")
            return found

        return self._of_one(read)

    def logs(self, from_block: int, to_block: int, addresses: Collection[Address] | None = None) -> list[Log]:
        if addresses is not None and not addresses:
            return []
        return list(self.segment(from_block, to_block, addresses).logs)

    # -- state

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address = NOBODY) -> bytes:
        at = self._at(block)
        return self._voted(lambda node: node.call(to, data, at, sender=sender))

    def storage(self, address: Address, slot: int, block: int | None = None) -> bytes:
        at = self._at(block)
        return self._voted(lambda node: node.storage(address, slot, at))

    def balance(self, address: Address, block: int | None = None) -> int:
        at = self._at(block)
        return self._voted(lambda node: node.balance(address, at))

    def code(self, address: Address, block: int | None = None) -> bytes:
        at = self._at(block)
        return self._voted(lambda node: node.code(address, at))

    # -- transactions

    def send(self, raw_signed_tx: bytes) -> TxHash:
        """Send to all nodes. It succeeds when a majority accepts, or one node while too few nodes answer."""
        tally: Tally[TxHash] = Tally(self._needed)
        for place, answer in self._nodes.ask(lambda node: node.send(raw_signed_tx), WITHIN_S):
            tally.add(place, answer)
            if tally.decided:
                return tally.result()
        for answer in tally.answers():
            if isinstance(answer, str):
                return answer
        raise self._no_majority(tally.answered, len(tally.largest))

    def receipt(self, tx_hash: TxHash) -> Receipt | None:
        """The receipt; None also while no majority knows it."""
        tally = self._count(lambda node: node.receipt(tx_hash))
        if not tally.decided and tally.answered >= self._needed:
            return None
        return self._result(tally)

    def wait(self, tx_hash: TxHash, timeout: float = 30.0) -> Receipt:
        return wait_for(self.receipt, tx_hash, timeout)

    def nonce(self, address: Address) -> int:
        return self._middle(lambda node: node.nonce(address), lambda found: found)

    def mined_nonce(self, address: Address) -> int:
        return self._middle(lambda node: node.mined_nonce(address), lambda found: found)

    def fees(self) -> Fees:
        return self._middle(lambda node: node.fees(), lambda found: found.max_fee)

    def estimate_gas(
        self, to: Address | None, data: bytes, *, sender: Address = NOBODY, value: int = 0
    ) -> int:
        return self._middle(
            lambda node: node.estimate_gas(to, data, sender=sender, value=value), lambda found: found
        )

    # -- inside

    def _at(self, block: int | None) -> int:
        return self.head().number if block is None else block

    def _is_settled(self, heads: Collection[BlockRef]) -> bool:
        """Whether the missing answers cannot give a higher block a majority."""
        if len(heads) < self._needed:
            return False
        newest = max(heads, key=lambda head: head.number)
        return sum(head == newest for head in heads) >= self._needed

    def _highest_common(self, heads: Mapping[int, BlockRef]) -> dict[int, BlockRef]:
        """The highest block that a majority has, by the places of its nodes. Without one, the largest group of nodes at the
        highest block number that a majority could have."""
        if len(heads) < self._needed:
            return _largest(heads)
        found, silent = self._common(heads, GRACE_S)
        if silent and len(found) < self._needed:
            found, _ = self._common(heads, WITHIN_S)
        return found

    def _common(self, heads: Mapping[int, BlockRef], within_s: float) -> tuple[dict[int, BlockRef], set[int]]:
        """`_highest_common`, and the places of the nodes that did not answer in time for a block below their head; these are
        not asked for further blocks."""
        largest: dict[int, BlockRef] = {}
        silent: set[int] = set()
        highest = sorted((head.number for head in heads.values()), reverse=True)[self._needed - 1]
        for number in range(highest, max(highest - STEPS_BACK, -1), -1):
            have = {place: head for place, head in heads.items() if head.number == number}
            above = {place for place, head in heads.items() if head.number > number} - silent
            if len(_largest(have)) < self._needed:
                waited = set(above)
                for place, answer in self._nodes.ask(_block_at(number), within_s, above):
                    waited.discard(place)
                    if isinstance(answer, BlockRef):
                        have[place] = answer
                    if len(_largest(have)) >= self._needed:
                        break
                else:
                    silent |= waited
            if len(_largest(have)) >= self._needed:
                return _largest(have), silent
            largest = _largest(have) if number == highest else largest
        return largest, silent

    def _count(self, question: Question[T]) -> Tally[T]:
        """Collect the nodes' answers until a majority is found. While others are slow, nodes that answered or that do not
        have the block yet are asked again, because healthy nodes may differ by one block."""
        tally: Tally[T] = Tally(self._needed)
        answers, waiting = self._nodes.ask(question, WITHIN_S), set(range(len(self._nodes)))
        began = time.monotonic()
        while waiting and (left := began + WITHIN_S - time.monotonic()) > 0:
            came = answers.next_within(min(left, GRACE_S) if tally.answered >= self._needed else left)
            if came is None:
                again = tally.places - waiting
            else:
                tally.add(*came)
                waiting.discard(came[0])
                if tally.decided:
                    break
                if len(tally.largest) + len(waiting) >= self._needed:
                    continue
                again = tally.places_of(UnknownBlock) - waiting
                if not again or time.monotonic() - began > BEHIND_S:
                    break
                time.sleep(AGAIN_S)
            for place in again:
                self._nodes.ask_one(place, question, answers)
            waiting |= again
        return tally

    def _voted(self, question: Question[T]) -> T:
        return self._result(self._count(question))

    def _result(self, tally: Tally[T]) -> T:
        if not tally.decided:
            raise self._no_majority(tally.answered, len(tally.largest))
        return tally.result()

    def _middle(self, question: Question[T], rank: Callable[[T], int]) -> T:
        """The median of the nodes' answers (the lower of two). Honest nodes may differ in it, and a lying minority cannot move
        it beyond the answers of honest nodes."""
        tally: Tally[T] = Tally(self._needed)
        answers = self._nodes.ask(question, WITHIN_S)
        for place, answer in answers:
            tally.add(place, answer)
            if tally.answered >= self._needed:
                answers.hurry(GRACE_S)
        found = sorted(
            (answer for answer in tally.answers() if not isinstance(answer, ChainError)),
            key=rank,
        )
        if len(found) < self._needed:
            return self._result(tally)
        return found[(len(found) - 1) // 2]

    def _of_one(self, question: Question[T]) -> T:
        """The answer of one node that has the head, or of another one if it fails or takes longer than `PATIENCE_S`."""
        with self._lock:
            having = sorted(
                range(len(self._nodes)), key=lambda place: (place not in self._agreeing, place in self._last)
            )
        answers: Answers[T] = Answers(PATIENCE_S)
        failed: ChainError | None = None
        asked = -1
        while having or answers.outstanding:
            if having:
                asked = having.pop(0)
                self._nodes.ask_one(asked, question, answers)
            came = answers.next_within(PATIENCE_S)
            if came is None:
                self._last.add(asked)
                continue
            place, answer = came
            if not isinstance(answer, ChainError):
                self._last.discard(place)
                return answer
            self._last.add(place)
            _log.warning("node %d: %s", place + 1, answer)
            failed = failed or answer
        raise failed or ChainUnreachable("no node answers")

    def _note(self, place: int, answer: object) -> None:
        """Record a node's answer about its head, and write a log line when the node fails or recovers."""
        status = answer if isinstance(answer, BlockRef) else getattr(answer, "code", "service.failed")
        with self._lock:
            before = self._statuses.get(place)
            self._statuses[place] = status
        if isinstance(status, str) and status != before:
            _log.warning("node %d of %d: %s [%s]", place + 1, len(self._nodes), answer, status)
        elif isinstance(status, BlockRef) and isinstance(before, str):
            _log.warning("node %d of %d answers again", place + 1, len(self._nodes))

    def _no_majority(self, answered: int, alike: int) -> ChainUnreachable:
        nodes = len(self._nodes)
        if not answered:
            return ChainUnreachable(
                f"none of the {nodes} nodes answers", hint="are the nodes running, and CIVIC_RPC_URL right?"
            )
        return NodesDisagree(
            f"{answered} of {nodes} nodes answer, {alike} say the same, {self._needed} are needed",
            hint="look at the nodes of CIVIC_RPC_URL: those that are out of reach, behind or on a fork",
        )


def _block_at(number: int) -> Question[BlockRef]:
    return lambda node: node.block(number)


def _largest(status: Mapping[int, BlockRef]) -> dict[int, BlockRef]:
    """The largest group of nodes with the same block."""
    groups: dict[BlockRef, dict[int, BlockRef]] = {}
    for place, block in status.items():
        groups.setdefault(block, {})[place] = block
    return max(groups.values(), key=len, default={})
