"""The words of AuditAnchor, CostPools and Conditions rebuilt from their events alone, like ``rebuild`` does
for the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from contracts_harness import Event

from .rebuild import at, number, packed

HEADS, SUCCESSORS = range(2)
"""Positions in AuditAnchor."""
ACCOUNTS, TOTALS, STATEMENTS, CURRENT, DISPUTES = range(5)
"""Positions in CostPools."""
BINDINGS, CONDITIONS = range(2)
"""Positions in Conditions."""

NO_ENTRIES = hashlib.sha256(b"").digest()
LOG_OPEN, LOG_CLOSED = 1, 2
STATEMENT_OPEN, SUPERSEDED, FINAL = 1, 2, 3
DISPUTE_OPEN, DISPUTE_CLOSED = 1, 2
CONDITION_OPEN, CONDITION_ENDED = 1, 2


class FromEvents:
    """Dispatches each event to the method of its name."""

    def apply(self, events: Iterable[Event], now: int) -> None:
        """Events of one transaction, in the block of time ``now``."""
        self.now = now
        for event in events:
            getattr(self, f"_{event.name}")(event.args)


@dataclass
class RebuiltAnchor(FromEvents):
    """The storage of an AuditAnchor according to its events."""

    heads: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    successors: dict[bytes, bytes] = field(default_factory=dict)

    def _LogOpened(self, a: dict[str, Any]) -> None:
        self.heads[a["origin"]] = {**a, "size": 0, "root": NO_ENTRIES, "epoch": 0, "state": LOG_OPEN}

    def _Anchored(self, a: dict[str, Any]) -> None:
        self.heads[a["origin"]] |= {name: a[name] for name in ("size", "root", "time")}

    def _EpochOpened(self, a: dict[str, Any]) -> None:
        opened = {"size": a["lastSize"], "root": a["lastRoot"], "state": LOG_OPEN}
        self.heads[a["newOrigin"]] = {**a, **opened}
        self.heads[a["origin"]]["state"] = LOG_CLOSED
        self.successors[a["origin"]] = a["newOrigin"]

    def words(self) -> dict[int, int]:
        """types/HeadWord.sol, the root in the next slot, and the successors."""
        words = {at(origin, SUCCESSORS): number(new) for origin, new in self.successors.items()}
        for origin, h in self.heads.items():
            words[at(origin, HEADS)] = packed(
                (h["size"], 64),
                (h["time"], 40),
                (h["epoch"], 32),
                (h["operator"], 24),
                (h["quorum"], 8),
                (h["state"], 8),
            )
            words[at(origin, HEADS) + 1] = number(h["root"])
        return words


@dataclass
class RebuiltPools(FromEvents):
    """The storage of a CostPools according to its events."""

    accounts: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    statements: dict[bytes, dict[str, int]] = field(default_factory=dict)
    current: dict[tuple[int, int], bytes] = field(default_factory=dict)
    disputes: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    def _Budgeted(self, a: dict[str, Any]) -> None:
        self.accounts[a["pool"], a["department"]] = (a["balance"], a["deposited"], a["withdrawn"])

    def _Settled(self, a: dict[str, Any]) -> None:
        key = (self.statements[a["statement"]]["pool"], a["department"])
        self.accounts[key] = (a["balance"], *self.accounts.get(key, (0, 0, 0))[1:])

    def _StatementCommitted(self, a: dict[str, Any]) -> None:
        self.statements[a["id"]] = {
            "pool": a["pool"],
            "period": a["period"],
            "state": STATEMENT_OPEN,
            "version": a["statement"]["version"],
            "time": a["time"],
            "until": a["time"] + a["statement"]["window"],
            "disputes": 0,
            "objected": 0,
            "shown": 0,
            "waits": 0,
        }
        self.current[a["pool"], a["period"]] = a["id"]

    def _StatementSuperseded(self, a: dict[str, Any]) -> None:
        self.statements[a["id"]] |= {"state": SUPERSEDED, "disputes": 0}
        self.statements[a["by"]] |= {"disputes": a["disputes"], "objected": int(a["objected"])}

    def _StatementFinal(self, a: dict[str, Any]) -> None:
        self.statements[a["id"]]["state"] = FINAL

    def _Objected(self, a: dict[str, Any]) -> None:
        self.statements[a["statement"]]["objected"] = 1

    def _LinesShown(self, a: dict[str, Any]) -> None:
        self.statements[a["statement"]] |= {"shown": 1, "until": a["until"]}

    def _DisputeRaised(self, a: dict[str, Any]) -> None:
        self.disputes[a["id"]] = (DISPUTE_OPEN, a["department"])
        self.statements[a["statement"]]["disputes"] += 1

    def _DisputeClosed(self, a: dict[str, Any]) -> None:
        self.disputes[a["id"]] = (DISPUTE_CLOSED, self.disputes[a["id"]][1])
        current = self.statements[self._current_of(a["statement"])]
        current["disputes"] -= 1
        if a["waitsUntil"]:
            current["waits"] = a["waitsUntil"]

    def _current_of(self, statement: bytes) -> bytes:
        s = self.statements[statement]
        return self.current[s["pool"], s["period"]]

    def words(self) -> dict[int, int]:
        """The structs of ICostPools, lowest member first."""
        words: dict[int, int] = {}
        totals: dict[int, tuple[int, int]] = {}
        for (pool, department), (balance, deposited, withdrawn) in self.accounts.items():
            words[at(pool << 24 | department, ACCOUNTS)] = packed(
                (balance, 80), (deposited, 80), (withdrawn, 80)
            )
            before = totals.get(pool, (0, 0))
            totals[pool] = (before[0] + deposited, before[1] + withdrawn)
        for pool, (deposited, withdrawn) in totals.items():
            words[at(pool, TOTALS)] = packed((deposited, 128), (withdrawn, 128))
        for statement, s in self.statements.items():
            words[at(statement, STATEMENTS)] = packed(
                (s["state"], 8),
                (s["version"], 32),
                (s["time"], 40),
                (s["until"], 40),
                (s["disputes"], 32),
                (s["objected"], 8),
                (s["shown"], 8),
                (s["waits"], 40),
            )
        for (pool, period), statement in self.current.items():
            words[at(pool << 32 | period, CURRENT)] = number(statement)
        for dispute, (state, department) in self.disputes.items():
            words[at(dispute, DISPUTES)] = packed((state, 8), (department, 24))
        return words


@dataclass
class RebuiltConditions(FromEvents):
    """The storage of a Conditions according to its events; the times are those of their blocks."""

    conditions: dict[int, dict[str, int]] = field(default_factory=dict)
    bindings: dict[bytes, list[int]] = field(default_factory=dict)

    def _ConditionOpened(self, a: dict[str, Any]) -> None:
        self.conditions[a["condition"]] = {
            "state": CONDITION_OPEN, "kind": a["kind"], "reason": 0, "opened": self.now, "ended": 0,
        }  # fmt: skip

    def _ConditionBound(self, a: dict[str, Any]) -> None:
        bound = self.bindings.setdefault(a["grant"], [])
        assert a["place"] == len(bound)
        bound.append(a["condition"])

    def _ConditionEnded(self, a: dict[str, Any]) -> None:
        self.conditions[a["condition"]] |= {
            "state": CONDITION_ENDED, "reason": a["reason"], "ended": self.now,
        }  # fmt: skip

    def _RevokePassedOver(self, a: dict[str, Any]) -> None:
        """Changes nothing."""

    def words(self) -> dict[int, int]:
        """types/ConditionWord.sol and types/BindingWord.sol."""
        words = {
            at(condition, CONDITIONS): packed(
                (c["state"], 8), (c["kind"], 8), (c["reason"], 8), (c["opened"], 40), (c["ended"], 40)
            )
            for condition, c in self.conditions.items()
        }
        for grant, bound in self.bindings.items():
            words[at(grant, BINDINGS)] = packed(*((condition, 64) for condition in bound))
        return words
