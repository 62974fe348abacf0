"""One request to several nodes in parallel, and the counting of their answers.

Each request runs on its own thread. The caller returns as soon as enough answers have arrived, and later answers are
ignored. A node with `OPEN_AT_ONCE` unanswered requests is treated as unreachable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Generic, TypeAlias, TypeVar

from ledger.chain.client import Receipt
from ledger.chain.errors import ChainError, ChainUnreachable, ContractReverted, TransactionRefused
from ledger.chain.rpc import RpcChain

OPEN_AT_ONCE = 64
"""The most unanswered requests of one node."""

T = TypeVar("T")

Question: TypeAlias = Callable[[RpcChain], T]

Heard: TypeAlias = Callable[[int, object], None]
"""Called with a node's place and its answer or error, also after the caller has returned."""


class Answers(Generic[T]):
    """Iterates over the nodes' answers in the order of arrival: pairs of a node's place and its answer or error.

    It ends when all nodes have answered, or after ``within_s`` seconds.
    """

    def __init__(self, within_s: float) -> None:
        self.outstanding = 0
        self._until = time.monotonic() + within_s
        self._came: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()

    def put(self, place: int, answer: T | BaseException) -> None:
        self._came.put((place, answer))

    def next_within(self, seconds: float) -> tuple[int, T | ChainError] | None:
        """The next answer; None when it takes longer than ``seconds``, or all nodes have answered."""
        self._until = time.monotonic() + seconds
        return next(iter(self), None)

    def hurry(self, within_s: float) -> None:
        """Limit the waiting time to ``within_s`` seconds from now."""
        self._until = min(self._until, time.monotonic() + within_s)

    def __iter__(self) -> Iterator[tuple[int, T | ChainError]]:
        while self.outstanding:
            try:
                place, answer = self._came.get(timeout=max(0.0, self._until - time.monotonic()))
            except Empty:
                return
            self.outstanding -= 1
            if isinstance(answer, BaseException) and not isinstance(answer, ChainError):
                raise answer
            yield place, answer


class Nodes:
    """The nodes of one chain, in the order in which they are configured. Thread-safe."""

    def __init__(self, nodes: Sequence[RpcChain]) -> None:
        self._nodes = tuple(nodes)
        self._free = [threading.BoundedSemaphore(OPEN_AT_ONCE) for _ in nodes]

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def needed(self) -> int:
        """The number of nodes of a majority, of all configured nodes."""
        return len(self._nodes) // 2 + 1

    def ask(
        self,
        question: Question[T],
        within_s: float,
        among: Collection[int] | None = None,
        heard: Heard | None = None,
    ) -> Answers[T]:
        """Ask all nodes, or only those at the places ``among``."""
        places = range(len(self._nodes)) if among is None else among
        answers: Answers[T] = Answers(within_s)
        for place in places:
            self.ask_one(place, question, answers, heard)
        return answers

    def ask_one(
        self, place: int, question: Question[T], answers: Answers[T], heard: Heard | None = None
    ) -> None:
        """Ask one more node; its answer is added to ``answers``."""
        answers.outstanding += 1
        if not self._free[place].acquire(blocking=False):
            answers.put(place, ChainUnreachable(f"node {place + 1} answers nothing any more"))
            return
        threading.Thread(
            target=self._answer,
            args=(place, question, answers, heard),
            name=f"node-{place + 1}",
            daemon=True,
        ).start()

    def _answer(self, place: int, question: Question[T], answers: Answers[T], heard: Heard | None) -> None:
        try:
            answer: T | BaseException = question(self._nodes[place])
        except BaseException as failed:  # noqa: BLE001 - raised in the thread that waits for it
            answer = failed
        finally:
            self._free[place].release()
        if heard is not None:
            heard(place, answer)
        answers.put(place, answer)


@dataclass(slots=True)
class Tally(Generic[T]):
    """Counts equal answers. An error that a node returns is an answer; a missing answer is not counted."""

    needed: int
    alike: dict[Hashable, dict[int, T | ChainError]] = field(default_factory=dict)

    def add(self, place: int, answer: T | ChainError) -> None:
        """Add a node's answer; it replaces an earlier one of the node."""
        if isinstance(answer, ChainUnreachable):
            return
        for group in self.alike.values():
            group.pop(place, None)
        self.alike.setdefault(_meaning(answer), {})[place] = answer

    @property
    def places(self) -> set[int]:
        """The places of the nodes that have answered."""
        return {place for group in self.alike.values() for place in group}

    def places_of(self, error: type[ChainError]) -> set[int]:
        """The places of the nodes that have answered with such an error."""
        return {
            place
            for group in self.alike.values()
            for place, answer in group.items()
            if isinstance(answer, error)
        }

    @property
    def largest(self) -> dict[int, T | ChainError]:
        """The answers of the largest group with equal answers, by place."""
        return max(self.alike.values(), key=len, default={})

    @property
    def answered(self) -> int:
        return sum(map(len, self.alike.values()))

    def answers(self) -> list[T | ChainError]:
        """All answers, in the order of the nodes."""
        found = {place: answer for group in self.alike.values() for place, answer in group.items()}
        return [found[place] for place in sorted(found)]

    @property
    def decided(self) -> bool:
        return len(self.largest) >= self.needed

    def result(self) -> T:
        """The answer of the majority; raised if it is an error."""
        found = max(
            self.largest.values(), key=lambda answer: getattr(answer, "revert_data", None) is not None
        )
        if isinstance(found, ChainError):
            raise found
        return found


def _meaning(answer: object) -> Hashable:
    """The part of an answer that is compared. Texts of errors differ between nodes, and some nodes give no revert data."""
    if isinstance(answer, ContractReverted):
        return answer.code, answer.data
    if isinstance(answer, TransactionRefused):
        return TransactionRefused.code
    if isinstance(answer, ChainError):
        return answer.code
    if isinstance(answer, Receipt):
        return replace(answer, revert_data=None)
    return answer if isinstance(answer, Hashable) else repr(answer)
