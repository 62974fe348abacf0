"""Cost pools: money is conserved whatever is committed, disputed, superseded or settled; shares sum to the
cost; and only the nets of the lines are settled, without an open objection or dispute.

Covers invariants 1 and 17 and the conservation of budgets, and 5, 7, 10 and 13 as far as they concern the pools.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, ClassVar

from contracts_harness import DAY, FOREVER, ZERO, struct_hash
from eth_hash.auto import keccak
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.contracts.settling import (
    OPERATOR,
    POOL,
    SHORTEST_WINDOW,
    Settling,
    line,
    line_leaf,
    nets_of,
    proof_of,
)

from .machine import CityMachine, allowed
from .rebuild import at, packed
from .rebuild_beside import ACCOUNTS, RebuiltPools
from .switch import choose

OPEN, SUPERSEDED, FINAL = 1, 2, 3
MEMBERS = (1, 2, 3)
STRANGER = 9
"""A department that was never admitted: nothing is credited to it."""
SETTLED_WITHIN = 90 * DAY

seeds = st.integers(0, 2**32)
amounts = st.integers(-50, 400)


@dataclass
class Committed:
    """The model's state of a statement."""

    message: dict[str, Any]
    lines: list[dict[str, Any]]
    until: int
    state: int = OPEN
    disputes: set[bytes] = field(default_factory=set)
    objected: bool = False
    shown: bool = False
    waits: int = 0

    @property
    def id(self) -> bytes:
        return struct_hash("CommitStatement", self.message)

    @property
    def sums(self) -> dict[int, int]:
        """The net of its lines by department."""
        return {net["department"]: net["amount"] for net in nets_of(self.lines)}


class PoolsMachine(CityMachine):
    """Departments 1 to 3 share pool 1.7."""

    always: ClassVar[tuple[str, ...]] = ("money_is_conserved", "words_are_what_the_events_say")

    code: ClassVar[bytes | None] = None
    mutant: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.settling = Settling(self.city, self.code)
        if self.code:
            choose(self.chain, self.settling.contract, self.mutant)
        self.deposited = dict.fromkeys(MEMBERS, 0)
        self.withdrawn = dict.fromkeys(MEMBERS, 0)
        self.balance = dict.fromkeys(MEMBERS, 0)
        self.suspended: set[int] = set()
        self.statements: list[Committed] = []
        self.told = RebuiltPools()
        self._told = 0
        self.budget(1, 500, 0)
        self.budget(2, 500, 0)

    def act(self, allowed_: bool, function: str, *arguments: Any) -> bool:
        return self.expect(allowed_, function, *arguments, contract=self.settling.contract)

    def sign(self, kind: str, message: dict[str, Any], department: int, role: str = "finance") -> bytes:
        return self.settling.sign(kind, message, self.city.departments[department].keys[role])

    @property
    def paused(self) -> bool:
        return self.now <= self.rebuilt.guard[0]

    @precondition(allowed("budget"))
    @rule(department=st.sampled_from(MEMBERS), more=st.integers(-5, 500), out=st.integers(-5, 300))
    def budget(self, department: int, more: int, out: int) -> None:
        """New totals of an account; older totals and overdrafts are refused. A pause stops only deposits."""
        deposited = max(self.deposited[department] + more, 0)
        withdrawn = max(self.withdrawn[department] + out, 0)
        added, taken = deposited - self.deposited[department], withdrawn - self.withdrawn[department]
        message = self.settling.budget(department, deposited, withdrawn)
        may = added >= 0 and taken >= 0 and added + taken > 0 and taken <= self.balance[department] + added
        may = may and deposited < 2**56
        may = may and (added == 0 or not (self.paused or department in self.suspended))
        if self.act(may, "setBudget", message, self.sign("SetBudget", message, department)):
            self.deposited[department], self.withdrawn[department] = deposited, withdrawn
            self.balance[department] += added - taken

    @precondition(allowed("commit"))
    @rule(
        owed=st.lists(
            st.tuples(st.sampled_from(MEMBERS), st.sampled_from((*MEMBERS, STRANGER)), amounts),
            min_size=1,
            max_size=4,
        ),
        flaw=st.sampled_from(["", "", "", "members", "debits", "version"]),
        role=st.sampled_from(["finance", "finance", "finance", "steward"]),
    )
    def commit(self, owed: list[tuple[int, int, int]], flaw: str, role: str) -> None:
        """A statement of these lines, possibly one that cannot settle. Open objections and disputes pass to
        it."""
        lines = [line(a, b, amount, keccak(b"%d" % i)) for i, (a, b, amount) in enumerate(owed)]
        standing = self.statements[-1] if self.statements else None
        version = (standing.message["version"] if standing else 0) + 1 + (flaw == "version")
        members = {"version": version, "supersedes": standing.id if standing else ZERO}
        message = self.settling.statement(lines, **members)
        if flaw in ("members", "debits"):
            message[flaw] += 1
        until = self.now + SHORTEST_WINDOW
        signature = self.sign("CommitStatement", message, OPERATOR, role)
        may = flaw != "version" and role == "finance" and not self.paused
        if self.act(may, "commitStatement", message, signature):
            following = Committed(message, lines, until)
            if standing and standing.state == OPEN:
                standing.state = SUPERSEDED
                following.disputes, standing.disputes = standing.disputes, set()
                following.objected = standing.objected
            self.statements.append(following)

    def _one_of(self, seed: int) -> Committed:
        return self.statements[-1 - seed % min(2, len(self.statements))]

    @precondition(lambda self: self.statements and allowed("object")(self))
    @rule(seed=seeds, who=st.sampled_from(MEMBERS), role=st.sampled_from(["finance", "oversight", "bureau"]))
    def object(self, seed: int, who: int, role: str) -> None:
        """A member asks to see every line."""
        statement = self._one_of(seed)
        message = {"statement": statement.id, "reason": keccak(b"unseen"), "deadline": FOREVER}
        may = (
            statement.state == OPEN
            and self.now <= statement.until
            and not statement.objected
            and not statement.shown
            and role != "bureau"
        )
        signature = self.sign("Objection", message, who, role)
        if self.act(may, "raiseObjection", message, statement.message, signature):
            statement.objected = True

    @precondition(lambda self: self.statements and allowed("show")(self))
    @rule(seed=seeds, who=st.sampled_from(MEMBERS), given=st.sampled_from(["all", "all", "fewer", "other"]))
    def show(self, seed: int, who: int, given: str) -> None:
        """Every line is put on the chain; a late one extends the dispute window."""
        statement = self._one_of(seed)
        lines = given_of(statement, given)
        message = {"statement": statement.id, "deadline": FOREVER}
        may = (
            statement.state == OPEN
            and self.now <= statement.until + SETTLED_WITHIN
            and not statement.shown
            and lines == statement.lines
        )
        until = self.now + SHORTEST_WINDOW
        signature = self.sign("ShowLines", message, who)
        if self.act(may, "showLines", message, statement.message, lines, signature):
            statement.shown, statement.until = True, max(statement.until, until)

    @precondition(lambda self: self.statements and allowed("dispute")(self))
    @rule(seed=seeds, who=st.sampled_from(MEMBERS), invented=st.booleans())
    def dispute(self, seed: int, who: int, invented: bool) -> None:
        """A department objects to a line, its own or another's, real or not."""
        statement = self._one_of(seed)
        about = statement.lines[seed % len(statement.lines)]
        proof = proof_of([line_leaf(one) for one in statement.lines], line_leaf(about))
        if invented:
            about = {**about, "amount": about["amount"] + 1}
        message = self.settling.dispute(statement.id, about, keccak(b"%d" % (seed % 3)))
        identity = struct_hash("Dispute", message)
        may = (
            statement.state == OPEN
            and self.now <= statement.until
            and not invented
            and who in (about["debtor"], about["creditor"])
            and not any(f == "raiseDispute" and a[0] == message for _, f, a in self.done)
        )
        signature = self.sign("Dispute", message, who)
        if self.act(may, "raiseDispute", message, statement.message, about, proof, signature):
            statement.disputes.add(identity)

    @precondition(lambda self: self.statements and self.statements[-1].disputes and allowed("close")(self))
    @rule(seed=seeds, who=st.sampled_from(MEMBERS), role=st.sampled_from(["finance", "bureau"]))
    def close(self, seed: int, who: int, role: str) -> None:
        """The department that raised it ends it, or a bureau officer without a stake; also under a later
        version."""
        raised = [
            a
            for _, f, a in self.done
            if f == "raiseDispute" and struct_hash("Dispute", a[0]) in self.statements[-1].disputes
        ]
        dispute, statement, about, _, signature = raised[seed % len(raised)]
        raiser = next(d for d in MEMBERS if self.sign("Dispute", dispute, d) == signature)
        message = {
            "dispute": struct_hash("Dispute", dispute),
            "reason": keccak(b"heard"),
            "deadline": FOREVER,
        }
        stakes = (OPERATOR, about["debtor"], about["creditor"], *self.suspended)
        may = who == raiser if role == "finance" else who not in stakes
        signed = self.sign("CloseDispute", message, who, role)
        waits = self.now + SHORTEST_WINDOW
        if self.act(may, "closeDispute", message, dispute, statement, about, signed):
            self.statements[-1].disputes.discard(message["dispute"])
            if role == "bureau":
                self.statements[-1].waits = waits

    @precondition(lambda self: self.statements and allowed("finalise")(self))
    @rule(
        seed=seeds,
        given=st.sampled_from(["all", "all", "all", "fewer", "other"]),
        second=st.sampled_from(["oversight", "oversight", "finance"]),
    )
    def finalise(self, seed: int, given: str, second: str = "oversight") -> None:
        """Settle the nets for all members or none: by two people, with the lines shown if requested,
        undisputed, after window and wait, within its time and every budget."""
        statement = self._one_of(seed)
        lines, sums = given_of(statement, given), statement.sums
        message = statement.message
        may = (
            statement.state == OPEN
            and max(statement.until, statement.waits) < self.now <= statement.until + SETTLED_WITHIN
            and not statement.disputes
            and (statement.shown or not statement.objected)
            and lines == statement.lines
            and second == "oversight"
            and not self.paused
            and len(sums) == message["members"]
            and -sum(amount for amount in sums.values() if amount < 0) == message["debits"]
            and sums.get(STRANGER, 0) == 0
            and all(self.balance.get(department, 0) + amount >= 0 for department, amount in sums.items())
        )
        act = {"statement": statement.id, "deadline": FOREVER}
        signed = self.sign("Finalise", act, OPERATOR), self.sign("Finalise", act, OPERATOR, second)
        if self.act(may, "finalise", act, message, lines, *signed):
            statement.state = FINAL
            for department in self.balance:
                self.balance[department] += sums.get(department, 0)

    @precondition(lambda self: self.now > self.rebuilt.guard[1] and allowed("pause")(self))
    @rule()
    def pause(self) -> None:
        """No money comes in and nothing is settled for a day; money goes out."""
        message = self.city.message("Pause", duration=DAY)
        self.expect(True, "pause", message, self.city.sign("Pause", message, self.city.guardian)[0])

    @precondition(lambda self: not self.suspended and allowed("suspend")(self))
    @rule(department=st.sampled_from((2, 3)))
    def suspend(self, department: int) -> None:
        """The council suspends a member: it can neither deposit nor arbitrate, but can object and
        withdraw."""
        message = self.city.message("SuspendDepartment", department=department, reason=ZERO)
        signatures = self.city.sign("SuspendDepartment", message, *self.city.members[:2])
        self.expect(True, "suspendDepartment", message, signatures)
        self.suspended.add(department)

    @precondition(allowed("split"))
    @rule(cost=st.integers(0, 10**6), weights=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any))
    def split(self, cost: int, weights: list[int]) -> None:
        """Invariant 1: exact, fair to a unit, nothing for nothing."""
        ties = [keccak(b"%d" % i) for i in range(len(weights))]
        shares = self.settling.call("split", cost, weights, ties)
        assert sum(shares) == cost
        for share, weight in zip(shares, weights, strict=True):
            exact = cost * weight
            assert exact // sum(weights) <= share <= -(-exact // sum(weights))

    @precondition(lambda self: self.done and allowed("replay")(self))
    @rule(seed=seeds)
    def replay(self, seed: int) -> None:
        """Invariant 5."""
        self.replay_one(random.Random(seed))

    @precondition(allowed("travel"))
    @rule(seconds=st.sampled_from([60, SHORTEST_WINDOW - 60, SHORTEST_WINDOW + 60, SETTLED_WITHIN]))
    def travel(self, seconds: int) -> None:
        """Time passes."""
        self.chain.travel(seconds)

    @invariant()
    def money_is_conserved(self) -> None:
        """Balances equal the model's, and their sum is the deposits minus the withdrawals."""
        slots = [at(POOL << 24 | department, ACCOUNTS) for department in MEMBERS]
        found = self.chain.words(self.settling.contract, slots)
        assert found == [
            packed((self.balance[d], 80), (self.deposited[d], 80), (self.withdrawn[d], 80)) for d in MEMBERS
        ]
        assert sum(word & 2**80 - 1 for word in found) == sum(self.deposited.values()) - sum(
            self.withdrawn.values()
        )

    @invariant()
    def words_are_what_the_events_say(self) -> None:
        """Invariant 13: accounts, totals, statements and disputes."""
        for now, event in self.chain.history[self._told :]:
            if hasattr(self.told, f"_{event.name}"):
                self.told.apply([event], now)
        self._told = len(self.chain.history)
        words = self.told.words()
        assert self.chain.words(self.settling.contract, list(words)) == list(words.values())


def given_of(statement: Committed, given: str) -> list[dict[str, Any]]:
    """All lines, all except one, or the same number of other lines."""
    if given == "fewer":
        return statement.lines[:-1]
    if given == "other":
        return [{**statement.lines[0], "amount": statement.lines[0]["amount"] + 1}, *statement.lines[1:]]
    return statement.lines
