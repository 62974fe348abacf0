"""Cost pools next to the city's ledger: budgets, statements with their trees, disputes, settlement.

The trees are built here from the definition in ICostPools: a leaf is keccak256(keccak256(abi.encode(fields))), a pair
is hashed in sorted order, and pairs are taken first in, first out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from contracts_harness import FOREVER, HOUR, ZERO, City, Contract, Key, Receipt, struct_hash
from eth_abi import encode
from eth_hash.auto import keccak

OPERATOR = 1
POOL = OPERATOR << 40 | 7
SHORTEST_WINDOW = HOUR


def leaf(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Hashed twice."""
    return keccak(keccak(encode(list(types), list(values))))


def line_leaf(line: Mapping[str, Any]) -> bytes:
    """Of a ``Line``."""
    return leaf(
        ["bytes32", "uint24", "uint24", "int128"],
        [line["component"], line["debtor"], line["creditor"], line["amount"]],
    )


def pair(one: bytes, other: bytes) -> bytes:
    """Sorted, so that a proof needs no sides."""
    return keccak(min(one, other) + max(one, other))


def root_of(leaves: Sequence[bytes]) -> bytes:
    """First in, first out."""
    queue = deque(leaves)
    while len(queue) > 1:
        queue.append(pair(queue.popleft(), queue.popleft()))
    return queue[0]


def proof_of(leaves: Sequence[bytes], chosen: bytes) -> list[bytes]:
    """The siblings on the way from one leaf to the root."""
    queue, wanted, siblings = deque(leaves), chosen, []
    while len(queue) > 1:
        one, other = queue.popleft(), queue.popleft()
        queue.append(pair(one, other))
        if wanted in (one, other):
            siblings.append(other if wanted == one else one)
            wanted = queue[-1]
    return siblings


def line(debtor: int, creditor: int, amount: int, component: bytes = keccak(b"storage")) -> dict[str, Any]:
    """``debtor`` owes ``creditor``."""
    return {"component": component, "debtor": debtor, "creditor": creditor, "amount": amount}


def nets_of(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """The net amount that each party of these lines receives, by department."""
    sums: dict[int, int] = {}
    for one in lines:
        sums[one["debtor"]] = sums.get(one["debtor"], 0) - one["amount"]
        sums[one["creditor"]] = sums.get(one["creditor"], 0) + one["amount"]
    return [{"department": department, "amount": sums[department]} for department in sorted(sums)]


class Settling:
    """The CostPools of a city. Department 1 runs pool 1.7."""

    def __init__(self, city: City, code: bytes | None = None) -> None:
        self.city = city
        arguments = [city.ledger.address, SHORTEST_WINDOW]
        self.contract: Contract = city.chain.deploy("CostPools", arguments, city.salt, code)

    def budget(self, department: int, deposited: int, withdrawn: int = 0, **members: Any) -> dict[str, Any]:
        """Totals of an account."""
        message = {
            "pool": POOL,
            "department": department,
            "deposited": deposited,
            "withdrawn": withdrawn,
            "voucher": keccak(b"voucher"),
            "deadline": FOREVER,
        }
        return {**message, **members}

    def set_budget(self, message: Mapping[str, Any], signer: Key | None = None) -> Receipt:
        """Signed by the department's finance officer."""
        key = signer or self.city.departments[message["department"]].finance
        return self.send("setBudget", message, self.sign("SetBudget", message, key))

    def statement(
        self,
        lines: Sequence[Mapping[str, Any]],
        /,
        **members: Any,
    ) -> dict[str, Any]:
        """The nets of these lines."""
        nets = nets_of(lines)
        message = {
            "pool": POOL,
            "period": 202611,
            "version": 1,
            "supersedes": ZERO,
            "lineRoot": root_of([line_leaf(one) for one in lines]),
            "lines": len(lines),
            "debits": -sum(net["amount"] for net in nets if net["amount"] < 0),
            "members": len(nets),
            "window": SHORTEST_WINDOW,
            "ruleHash": keccak(b"rule"),
            "inputRoot": keccak(b"inputs"),
            "deadline": FOREVER,
        }
        return {**message, **members}

    def commit(self, statement: Mapping[str, Any], signer: Key | None = None) -> bytes:
        """By the operator's finance officer; the statement's id."""
        key = signer or self.city.departments[OPERATOR].finance
        self.send("commitStatement", statement, self.sign("CommitStatement", statement, key))
        return struct_hash("CommitStatement", statement)

    def dispute(
        self, statement: bytes, about: Mapping[str, Any], reason: bytes = keccak(b"too much")
    ) -> dict[str, Any]:
        """An objection to a line."""
        return {"statement": statement, "line": line_leaf(about), "reason": reason, "deadline": FOREVER}

    def raise_dispute(
        self,
        statement: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        about: Mapping[str, Any],
        signer: Key,
        **members: Any,
    ) -> bytes:
        """With the line's proof; the dispute's id."""
        message = {**self.dispute(struct_hash("CommitStatement", statement), about), **members}
        proof = proof_of([line_leaf(one) for one in lines], line_leaf(about))
        self.send("raiseDispute", message, statement, about, proof, self.sign("Dispute", message, signer))
        return struct_hash("Dispute", message)

    def close_dispute(
        self,
        statement: Mapping[str, Any],
        about: Mapping[str, Any],
        signer: Key,
        reason: bytes = keccak(b"too much"),
    ) -> Receipt:
        """The dispute of ``about`` for this reason ends."""
        dispute = self.dispute(struct_hash("CommitStatement", statement), about, reason)
        message = {
            "dispute": struct_hash("Dispute", dispute),
            "reason": keccak(b"heard"),
            "deadline": FOREVER,
        }
        signature = self.sign("CloseDispute", message, signer)
        return self.send("closeDispute", message, dispute, statement, about, signature)

    def object(
        self, statement: Mapping[str, Any], signer: Key, reason: bytes = keccak(b"unseen"), **members: Any
    ) -> Receipt:
        """Ask to see every line."""
        message = {
            "statement": struct_hash("CommitStatement", statement),
            "reason": reason,
            "deadline": FOREVER,
            **members,
        }
        return self.send("raiseObjection", message, statement, self.sign("Objection", message, signer))

    def show(
        self,
        statement: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        signer: Key | None = None,
        **members: Any,
    ) -> Receipt:
        """Every line on chain; by the operator's finance officer."""
        message = {"statement": struct_hash("CommitStatement", statement), "deadline": FOREVER, **members}
        key = signer or self.city.departments[OPERATOR].finance
        signature = self.sign("ShowLines", message, key)
        return self.send("showLines", message, statement, list(lines), signature)

    def finalise(
        self,
        statement: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        signer: Key | None = None,
        second: Key | None = None,
    ) -> Receipt:
        """By the operator's finance and oversight officers."""
        message = {"statement": struct_hash("CommitStatement", statement), "deadline": FOREVER}
        own = self.city.departments[OPERATOR]
        signatures = [
            self.sign("Finalise", message, key)
            for key in (signer or own.finance, second or own.keys["oversight"])
        ]
        return self.send("finalise", message, statement, list(lines), *signatures)

    def wait(self) -> None:
        """Advance the time beyond the dispute window of the last commitment."""
        self.city.chain.travel(SHORTEST_WINDOW + 2)

    def balance(self, department: int) -> int:
        """Fen in the department's account."""
        return int(self.call("account", POOL, department)["balance"])

    def sign(self, kind: str, message: Mapping[str, Any], key: Key) -> bytes:
        """For this contract."""
        return self.city.sign(kind, message, key, contract=self.contract)[0]

    def send(self, function: str, *arguments: Any) -> Receipt:
        """Submit the act; any address may."""
        return self.city.chain.send(self.contract, function, *arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a view."""
        return self.city.chain.call(self.contract, function, *arguments)
