"""Cost pools: money is conserved whatever is committed, disputed, superseded or settled; shares sum to the cost.

Covers invariant 1 and the conservation of budgets, and 5, 7 and 13 as far as they concern the pools.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, ClassVar

from contracts_harness import FOREVER, ZERO, struct_hash
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
from .mutants import choose
from .rebuild import at, packed

ACCOUNTS = 0
"""Position of the mapping in CostPools."""
OPEN, SUPERSEDED, FINAL = 1, 2, 3
MEMBERS = (1, 2, 3)

seeds = st.integers(0, 2**32)
amounts = st.integers(-50, 400)


@dataclass
class Committed:
    """A statement as the model has it."""

    message: dict[str, Any]
    lines: list[dict[str, Any]]
    nets: list[dict[str, int]]
    until: int
    state: int = OPEN
    disputes: set[bytes] = field(default_factory=set)

    @property
    def id(self) -> bytes:
        return struct_hash("CommitStatement", self.message)


class PoolsMachine(CityMachine):
    """Departments 1 to 3 share pool 1.7."""

    always: ClassVar[tuple[str, ...]] = ("money_is_conserved", "accounts_rebuild_from_events")

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
        self.statements: list[Committed] = []
        self.budget(1, 500, 0)
        self.budget(2, 500, 0)

    def act(self, allowed_: bool, function: str, *arguments: Any) -> bool:
        return self.expect(allowed_, function, *arguments, contract=self.settling.contract)

    def sign(self, kind: str, message: dict[str, Any], department: int, role: str = "finance") -> bytes:
        return self.settling.sign(kind, message, self.city.departments[department].keys[role])

    @precondition(allowed("budget"))
    @rule(department=st.sampled_from(MEMBERS), more=st.integers(-5, 500), out=st.integers(-5, 300))
    def budget(self, department: int, more: int, out: int) -> None:
        """New totals of an account; older ones, or more out than there is, are refused."""
        deposited = max(self.deposited[department] + more, 0)
        withdrawn = max(self.withdrawn[department] + out, 0)
        added, taken = deposited - self.deposited[department], withdrawn - self.withdrawn[department]
        message = self.settling.budget(department, deposited, withdrawn)
        may = added >= 0 and taken >= 0 and added + taken > 0 and taken <= self.balance[department] + added
        if self.act(may, "setBudget", message, self.sign("SetBudget", message, department)):
            self.deposited[department], self.withdrawn[department] = deposited, withdrawn
            self.balance[department] += added - taken

    @precondition(allowed("commit"))
    @rule(
        owed=st.lists(
            st.tuples(st.sampled_from(MEMBERS), st.sampled_from(MEMBERS), amounts), min_size=1, max_size=4
        ),
        flaw=st.sampled_from(["", "", "", "unbalanced", "debits", "version"]),
        role=st.sampled_from(["finance", "finance", "finance", "steward"]),
    )
    def commit(self, owed: list[tuple[int, int, int]], flaw: str, role: str) -> None:
        """A statement of these lines, possibly one that could never settle."""
        lines = [line(a, b, amount, keccak(b"%d" % i)) for i, (a, b, amount) in enumerate(owed)]
        nets = nets_of(lines)
        if flaw == "unbalanced":
            nets[0]["amount"] += 1
        standing = self.statements[-1] if self.statements else None
        version = (standing.message["version"] if standing else 0) + 1 + (flaw == "version")
        members = {"version": version, "supersedes": standing.id if standing else ZERO}
        if flaw == "debits":
            members["debits"] = 1 - sum(n["amount"] for n in nets if n["amount"] < 0)
        message = self.settling.statement(lines, nets, **members)
        until = self.now + SHORTEST_WINDOW
        signature = self.sign("CommitStatement", message, OPERATOR, role)
        if self.act(flaw != "version" and role == "finance", "commitStatement", message, signature):
            if standing and standing.state == OPEN:
                standing.state = SUPERSEDED
            self.statements.append(Committed(message, lines, nets, until))

    @precondition(lambda self: self.statements and allowed("dispute")(self))
    @rule(seed=seeds, who=st.sampled_from(MEMBERS), invented=st.booleans())
    def dispute(self, seed: int, who: int, invented: bool) -> None:
        """A department objects to a line, its own or another's, real or not."""
        statement = self.statements[-1 - seed % min(2, len(self.statements))]
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
        """Who raised it ends it, or a bureau officer without a stake."""
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
        stakes = (OPERATOR, about["debtor"], about["creditor"])
        may = self.statements[-1].state == OPEN and (
            who == raiser if role == "finance" else who not in stakes
        )
        signed = self.sign("CloseDispute", message, who, role)
        if self.act(may, "closeDispute", message, dispute, statement, about, signed):
            self.statements[-1].disputes.discard(message["dispute"])

    @precondition(lambda self: self.statements and allowed("finalise")(self))
    @rule(seed=seeds, given=st.sampled_from(["all", "all", "all", "fewer", "shifted"]))
    def finalise(self, seed: int, given: str) -> None:
        """For all members or for none; balanced, undisputed, after the window, within every budget."""
        statement = self.statements[-1 - seed % min(2, len(self.statements))]
        nets = [dict(net) for net in statement.nets]
        if given == "fewer":
            nets = nets[:-1]
        if given == "shifted" and len(nets) > 1:
            nets[0]["amount"] += 1
            nets[1]["amount"] -= 1
        debits = -sum(net["amount"] for net in statement.nets if net["amount"] < 0)
        may = (
            statement.state == OPEN
            and self.now > statement.until
            and not statement.disputes
            and nets == statement.nets
            and sum(net["amount"] for net in nets) == 0
            and debits == statement.message["debits"]
            and all(self.balance[net["department"]] + net["amount"] >= 0 for net in nets)
        )
        message = {"statement": statement.id, "deadline": FOREVER}
        if self.act(
            may, "finalise", message, statement.message, nets, self.sign("Finalise", message, OPERATOR)
        ):
            statement.state = FINAL
            for net in nets:
                self.balance[net["department"]] += net["amount"]

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
    @rule(seconds=st.sampled_from([60, SHORTEST_WINDOW - 60, SHORTEST_WINDOW + 60]))
    def travel(self, seconds: int) -> None:
        """Time passes."""
        self.chain.travel(seconds)

    @invariant()
    def money_is_conserved(self) -> None:
        """Balances are the model's, and all together are what was put in and not taken out."""
        slots = [at(POOL << 24 | department, ACCOUNTS) for department in MEMBERS]
        found = self.chain.words(self.settling.contract, slots)
        assert found == [
            packed((self.balance[d], 80), (self.deposited[d], 80), (self.withdrawn[d], 80)) for d in MEMBERS
        ]
        assert sum(word & 2**80 - 1 for word in found) == sum(self.deposited.values()) - sum(
            self.withdrawn.values()
        )

    @invariant()
    def accounts_rebuild_from_events(self) -> None:
        """Invariant 13."""
        balances = dict.fromkeys(MEMBERS, 0)
        for _, event in self.chain.history:
            if event.name in ("Budgeted", "Settled"):
                balances[event.args["department"]] = event.args["balance"]
        assert balances == self.balance
