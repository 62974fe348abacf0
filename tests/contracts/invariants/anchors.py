"""The anchor with honest operators, attackers with the operator's key, witnesses, and a council that opens
epochs.

Covers invariant 9, and 5, 7, 10 and 13 as far as they concern the anchor.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import Any, ClassVar

from contracts_harness import DAY, FOREVER, ZERO
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.contracts.anchoring import OPERATOR, Anchoring, origin_of
from tests.contracts.rfc6962 import Log, leaf_hash

from .machine import CityMachine, allowed
from .rebuild import at, packed
from .switch import choose

HEADS, SUCCESSORS = 0, 1
"""Positions of the mappings in AuditAnchor."""

seeds = st.integers(0, 2**32)


@dataclass
class Anchored:
    """The model's state of a log: its leaves, as far as heads were accepted."""

    leaves: list[bytes]
    quorum: int
    epoch: int = 0
    time: int = 0
    successor: bytes = ZERO
    history: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.leaves)

    @property
    def root(self) -> bytes:
        return Log(self.leaves).root(self.size)

    @property
    def word(self) -> int:
        state = 2 if self.successor != ZERO else 1
        return packed(
            (self.size, 64), (self.time, 40), (self.epoch, 32), (OPERATOR, 24), (self.quorum, 8), (state, 8)
        )


class AnchorMachine(CityMachine):
    """Department 1 operates two logs; 2 and 3 witness one of them."""

    always: ClassVar[tuple[str, ...]] = ("every_log_stands_where_its_last_head_put_it", "history_only_grows")

    code: ClassVar[bytes | None] = None
    mutant: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.anchoring = Anchoring(self.city, self.code)
        if self.code:
            choose(self.chain, self.anchoring.contract, self.mutant)
        self.logs: dict[bytes, Anchored] = {}
        self._entries = itertools.count()
        for name, quorum in (("plain", 0), ("witnessed", 1)):
            self.logs[origin_of(name)] = Anchored([], quorum, time=self.now)
            self.anchoring.open(origin_of(name), quorum=quorum)

    def fresh(self, count: int) -> list[bytes]:
        return [leaf_hash(b"%d" % next(self._entries)) for _ in range(count)]

    def act(self, allowed_: bool, function: str, *arguments: Any) -> bool:
        return self.expect(allowed_, function, *arguments, contract=self.anchoring.contract)

    def pick(self, seed: int) -> tuple[bytes, Anchored]:
        """In most cases a log that is open."""
        chosen = [one for one in self.logs.items() if one[1].successor == ZERO or seed % 5 == 0]
        return chosen[seed % len(chosen)]

    @precondition(allowed("propose"))
    @rule(
        seed=seeds,
        kept=st.sampled_from(["all", "all", "all", "fewer", "none"]),
        more=st.integers(0, 9),
        spoilt=st.sampled_from(["", "", "", "short", "long", "bit", "root"]),
        witnesses=st.sampled_from([(2,), (2, 3), (), (3, 2), (2, 2), (1,)]),
        key=st.sampled_from(["1 attest", "1 attest", "1 attest", "2 attest", "1 witness"]),
    )
    def propose(
        self, seed: int, kept: str, more: int, spoilt: str, witnesses: tuple[int, ...], key: str
    ) -> None:
        """A head by any holder of a key: extending, rolling back, forking, with the best possible proof."""
        origin, log = self.pick(seed)
        keep = {"all": log.size, "fewer": seed % (log.size + 1), "none": 0}[kept]
        leaves = log.leaves[:keep] + self.fresh(more)
        proposed = Log(leaves)
        root = proposed.root(len(leaves))
        path = proposed.proof(log.size, len(leaves)) if len(leaves) > log.size else []
        if spoilt in ("short", "bit") and not path:
            spoilt = ""
        if spoilt == "short":
            path = path[:-1]
        elif spoilt == "long":
            path = [*path, root]
        elif spoilt == "bit":
            path = [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]
        elif spoilt == "root" and log.size:
            root = leaf_hash(root)
        head = self.anchoring.head(origin, len(leaves), root)
        if spoilt == "root" and not log.size:
            spoilt = ""
        department, role = key.split()
        signed = self.anchoring.signatures(head, witnesses, self.city.departments[int(department)].keys[role])
        in_order = (
            all(a < b for a, b in itertools.pairwise((OPERATOR, *witnesses))) and len(witnesses) >= log.quorum
        )
        may = (
            log.successor == ZERO
            and keep == log.size
            and more > 0
            and not spoilt
            and in_order
            and key == "1 attest"
        )
        time = self.now
        if self.act(may, "anchor", head, path, signed):
            log.leaves, log.time = leaves, time
            log.history.append((log.size, log.root))

    @precondition(allowed("epoch"))
    @rule(
        seed=seeds,
        back=st.sampled_from([0, 0, 1, 3, -1]),
        root=st.sampled_from(["its", "its", "another"]),
        name=st.integers(0, 3),
    )
    def epoch(self, seed: int, back: int, root: str, name: int) -> None:
        """The council closes a log at a head that it confirms."""
        origin, log = self.pick(seed)
        size = max(log.size - back, 0)
        leaves = (log.leaves + self.fresh(1))[:size]
        if root == "another" and size:
            leaves = self.fresh(size)
        successor = origin_of(f"successor {name}")
        message = self.anchoring.epoch(origin, successor, size, Log(leaves).root(size), quorum=log.quorum)
        contradicts = size > log.size or (size == log.size and leaves != log.leaves)
        may = log.successor == ZERO and not contradicts and successor not in self.logs
        time = self.now
        if self.act(may, "newEpoch", message, [], self.anchoring.council("NewEpoch", message)):
            log.successor = successor
            self.logs[successor] = Anchored(leaves, log.quorum, log.epoch + 1, time)

    @precondition(allowed("open"))
    @rule(name=st.sampled_from(["plain", "third"]), signers=st.sampled_from([2, 2, 1, 0]))
    def open(self, name: str, signers: int) -> None:
        """Only a quorum of the council opens a log, and once."""
        origin = origin_of(name)
        message = {"origin": origin, "operator": OPERATOR, "quorum": 0, "epoch": 1, "deadline": FOREVER}
        signatures = self.anchoring.council("OpenLog", message)[:signers]
        time = self.now
        if self.act(origin not in self.logs and signers == 2, "openLog", message, signatures):
            self.logs[origin] = Anchored([], 0, time=time)

    @precondition(allowed("tamper_head"))
    @rule(seed=seeds, member=st.sampled_from(["size", "root", "deadline", "origin"]))
    def tamper_head(self, seed: int, member: str) -> None:
        """The relayer changes what the operator signed, with a proof that fits the change."""
        origin, log = self.pick(seed)
        leaves = log.leaves + self.fresh(3)
        head = self.anchoring.head(origin, len(leaves) - 1, Log(leaves).root(len(leaves) - 1))
        signed = self.anchoring.signatures(head, (2, 3))
        changed = {**head, "deadline": FOREVER - 1} if member == "deadline" else dict(head)
        if member in ("size", "root"):
            changed |= {"size": len(leaves), "root": Log(leaves).root(len(leaves))}
        if member == "origin":
            others = [o for o, other in self.logs.items() if o != origin and other.size == 0]
            if not others:
                return
            changed["origin"] = others[0]
        proof = [] if member == "origin" else Log(leaves).proof(log.size, changed["size"])
        self.act(False, "anchor", changed, proof, signed)

    @precondition(lambda self: self.done and allowed("replay")(self))
    @rule(seed=seeds)
    def replay(self, seed: int) -> None:
        """Invariant 5."""
        self.replay_one(random.Random(seed))

    @precondition(lambda self: self.now > self.rebuilt.guard[1] and allowed("pause")(self))
    @rule()
    def pause(self) -> None:
        """A pause does not change anchoring (invariant 10), so the model ignores it."""
        message = self.city.message("Pause", duration=DAY)
        self.expect(True, "pause", message, self.city.sign("Pause", message, self.city.guardian)[0])

    @precondition(allowed("travel"))
    @rule(seconds=st.sampled_from([1, 60, DAY]))
    def travel(self, seconds: int) -> None:
        """Time passes."""
        self.chain.travel(seconds)

    @invariant()
    def every_log_stands_where_its_last_head_put_it(self) -> None:
        """Invariants 9 and 13: word, root and successor are the model's."""
        for origin, log in self.logs.items():
            slot = at(origin, HEADS)
            found = self.chain.words(self.anchoring.contract, [slot, slot + 1, at(origin, SUCCESSORS)])
            assert found == [log.word, int.from_bytes(log.root, "big"), int.from_bytes(log.successor, "big")]

    @invariant()
    def history_only_grows(self) -> None:
        """Invariant 9, from the events alone: sizes strictly grow, and every past root is of today's leaves."""
        heads: dict[bytes, list[tuple[int, bytes]]] = {}
        for _, event in self.chain.history:
            if event.name == "Anchored" and event.args["origin"] in self.logs:
                heads.setdefault(event.args["origin"], []).append((event.args["size"], event.args["root"]))
        for origin, log in self.logs.items():
            assert heads.get(origin, []) == log.history
            assert all(one[0] < other[0] for one, other in itertools.pairwise(log.history))
            assert all(Log(log.leaves).root(size) == root for size, root in log.history[-3:])
