"""One question to several nodes at once, and what they say to it.

Each question has a thread of its own: who asks leaves as soon as enough is known, and a node that is slow answers
nobody any more. So many questions at once a node may leave open; beyond that it counts as one that does not answer.
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
"""Questions that one node may leave open."""

T = TypeVar("T")

Question: TypeAlias = Callable[[RpcChain], T]

Heard: TypeAlias = Callable[[int, object], None]
"""Takes down what a node said, also after nobody waits for it any more."""


class Answers(Generic[T]):
    """What nodes say, as it comes: pairs of a node's place and its answer or error. Ends when all have answered, or
    after ``within_s``."""

    def __init__(self, within_s: float) -> None:
        self.outstanding = 0
        self._until = time.monotonic() + within_s
        self._came: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()

    def put(self, place: int, said: T | BaseException) -> None:
        self._came.put((place, said))

    def next_within(self, seconds: float) -> tuple[int, T | ChainError] | None:
        """The next answer; None where it takes longer, or none is to come."""
        self._until = time.monotonic() + seconds
        return next(iter(self), None)

    def hurry(self, within_s: float) -> None:
        """Wait so long from now on, at most."""
        self._until = min(self._until, time.monotonic() + within_s)

    def __iter__(self) -> Iterator[tuple[int, T | ChainError]]:
        while self.outstanding:
            try:
                place, said = self._came.get(timeout=max(0.0, self._until - time.monotonic()))
            except Empty:
                return
            self.outstanding -= 1
            if isinstance(said, BaseException) and not isinstance(said, ChainError):
                raise said
            yield place, said


class Nodes:
    """The nodes of one chain, in the order in which they are configured. Thread-safe."""

    def __init__(self, nodes: Sequence[RpcChain]) -> None:
        self._nodes = tuple(nodes)
        self._free = [threading.BoundedSemaphore(OPEN_AT_ONCE) for _ in nodes]

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def needed(self) -> int:
        """More than half of them, whether they answer or not."""
        return len(self._nodes) // 2 + 1

    def ask(
        self,
        question: Question[T],
        within_s: float,
        among: Collection[int] | None = None,
        heard: Heard | None = None,
    ) -> Answers[T]:
        """Ask all nodes, or those at these places."""
        places = range(len(self._nodes)) if among is None else among
        answers: Answers[T] = Answers(within_s)
        for place in places:
            self.ask_one(place, question, answers, heard)
        return answers

    def ask_one(
        self, place: int, question: Question[T], answers: Answers[T], heard: Heard | None = None
    ) -> None:
        """Ask one node more for the same answers."""
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
            said: T | BaseException = question(self._nodes[place])
        except BaseException as failed:  # noqa: BLE001 - raised where it is waited for
            said = failed
        finally:
            self._free[place].release()
        if heard is not None:
            heard(place, said)
        answers.put(place, said)


@dataclass(slots=True)
class Tally(Generic[T]):
    """Who says what. An error that a node answers with counts as an answer; no answer is none."""

    needed: int
    alike: dict[Hashable, dict[int, T | ChainError]] = field(default_factory=dict)

    def add(self, place: int, said: T | ChainError) -> None:
        """What a node says now, in place of what it said before."""
        if isinstance(said, ChainUnreachable):
            return
        for group in self.alike.values():
            group.pop(place, None)
        self.alike.setdefault(_meaning(said), {})[place] = said

    @property
    def places(self) -> set[int]:
        """Who has answered."""
        return {place for group in self.alike.values() for place in group}

    def places_of(self, error: type[ChainError]) -> set[int]:
        """Who has answered with such an error."""
        return {
            place for group in self.alike.values() for place, said in group.items() if isinstance(said, error)
        }

    @property
    def largest(self) -> dict[int, T | ChainError]:
        """The answers of the largest group that says the same."""
        return max(self.alike.values(), key=len, default={})

    @property
    def answered(self) -> int:
        return sum(map(len, self.alike.values()))

    def answers(self) -> list[T | ChainError]:
        """In the order of the nodes."""
        found = {place: said for group in self.alike.values() for place, said in group.items()}
        return [found[place] for place in sorted(found)]

    @property
    def decided(self) -> bool:
        return len(self.largest) >= self.needed

    def result(self) -> T:
        """What more than half say; raised where it is an error."""
        found = max(self.largest.values(), key=lambda said: getattr(said, "revert_data", None) is not None)
        if isinstance(found, ChainError):
            raise found
        return found


def _meaning(said: object) -> Hashable:
    """What has to be the same for two answers to say the same. Errors have words of each node's own, and not every node
    can tell why a transaction was reverted."""
    if isinstance(said, ContractReverted):
        return said.code, said.data
    if isinstance(said, TransactionRefused):
        return TransactionRefused.code
    if isinstance(said, ChainError):
        return said.code
    if isinstance(said, Receipt):
        return replace(said, revert_data=None)
    return said if isinstance(said, Hashable) else repr(said)
