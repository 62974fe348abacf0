"""Conditions with honest keepers and holders, and with holders of other keys.

Covers invariants 5, 7, 8, 13 and 15 as far as they concern Conditions: an end is final, only the keeper ends
a condition, only the holder of the right binds, and a binding is never reduced.
"""

from __future__ import annotations

import random
from typing import Any, ClassVar

from contracts_harness import DAY, Key, keccak
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.contracts.conditioning import Conditioning

from .machine import CityMachine, allowed
from .rebuild_beside import RebuiltConditions
from .switch import choose

GRANTS, CONDITIONS, MOST = 2, 6, 4
seeds = st.integers(0, 2**32)
roles = st.sampled_from(["steward", "steward", "attest", "cdo", "admin", "gateway", "bureau"])


class ConditionsMachine(CityMachine):
    """Department 1 grants, 2 and 3 read; 2 and 3 keep conditions."""

    always: ClassVar[tuple[str, ...]] = ("views_and_words_are_the_models",)

    code: ClassVar[bytes | None] = None
    mutant: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.beside = Conditioning(self.city, self.code)
        if self.code:
            choose(self.chain, self.beside.contract, self.mutant)
        self.grants = [
            self.city.grant(self.city.terms(self.city.asset_id(1, 1), 2 + n)) for n in range(GRANTS)
        ]
        self.state: dict[int, str] = {}
        self.bound: dict[bytes, list[int]] = {grant: [] for grant in self.grants}
        self.ever_stopped: set[bytes] = set()
        self.left: set[str] = set()
        self.words = RebuiltConditions()
        self.heard = len(self.chain.history)
        self._catch_up()
        self._known = self.rebuilt.words()

    def key(self, department: int, role: str) -> Key:
        return self.city.departments[department].keys[role]

    def _act(self, may: bool, function: str, kind: str, key: Key, message: dict[str, Any]) -> bool:
        may = may and key.label not in self.left
        (signature,) = self.beside.sign(kind, message, key)
        return self.expect(may, function, message, signature, contract=self.beside.contract)

    @precondition(allowed("open"))
    @rule(
        keeper=st.sampled_from([2, 3]),
        number=st.integers(1, CONDITIONS // 2),
        by=st.sampled_from([2, 3]),
        role=roles,
    )
    def open(self, keeper: int, number: int, by: int, role: str) -> None:
        """Only its keeper opens a condition, and once."""
        condition = self.beside.id(number, keeper)
        message = {"condition": condition, "kind": 1, "commitment": keccak(b"x"), "deadline": self.now + DAY}
        may = by == keeper and role in ("steward", "attest") and condition not in self.state
        if self._act(may, "openCondition", "OpenCondition", self.key(by, role), message):
            self.state[condition] = "open"

    @precondition(lambda self: self.state and allowed("bind")(self))
    @rule(grant=st.integers(0, GRANTS - 1), seed=seeds, by=st.sampled_from([1, 1, 2, 3]), role=roles)
    def bind(self, grant: int, seed: int, by: int, role: str) -> None:
        """Only the holder of the right binds, only to open conditions, and at most four."""
        chosen, condition = self.grants[grant], list(self.state)[seed % len(self.state)]
        message = {"grant": chosen, "condition": condition, "deadline": self.now + DAY}
        has = self.bound[chosen]
        may = by == 1 and role in ("steward", "cdo") and self.state[condition] == "open"
        may = may and condition not in has and len(has) < MOST
        if self._act(may, "bindCondition", "BindCondition", self.key(by, role), message):
            has.append(condition)

    @precondition(lambda self: self.state and allowed("close")(self))
    @rule(seed=seeds, by=st.sampled_from([0, 0, 1, 2, 3]), role=roles)
    def close(self, seed: int, by: int, role: str) -> None:
        """Only its keeper (0) ends a condition, and once."""
        condition = list(self.state)[seed % len(self.state)]
        department = by or condition >> 40
        message = {"condition": condition, "reason": 1, "deadline": self.now + DAY}
        may = (
            department == condition >> 40
            and role in ("steward", "attest")
            and self.state[condition] == "open"
        )
        if self._act(may, "closeCondition", "CloseCondition", self.key(department, role), message):
            self.state[condition] = "ended"

    @precondition(allowed("leave"))
    @rule(department=st.sampled_from([2, 3]))
    def leave(self, department: int) -> None:
        """A keeper's steward is removed."""
        key = self.key(department, "steward")
        if key.label in self.left:
            return
        message = self.city.message("RemoveOfficer", officer=key.address)
        self.expect(True, "removeOfficer", message, self.city.sign("RemoveOfficer", message, key))
        self.left.add(key.label)

    @precondition(lambda self: self.done and allowed("replay")(self))
    @rule(seed=seeds)
    def replay(self, seed: int) -> None:
        """Invariant 5."""
        self.replay_one(random.Random(seed))

    @invariant()
    def views_and_words_are_the_models(self) -> None:
        """Invariants 8 and 13: what stopped stays stopped, and every word is what the events say."""
        for time, event in self.chain.history[self.heard :]:
            if hasattr(self.words, f"_{event.name}"):
                self.words.apply([event], time)
        self.heard = len(self.chain.history)
        for grant, has in self.bound.items():
            ended = [self.state[condition] == "ended" for condition in has]
            found = self.chain.call(self.beside.contract, "conditionsOf", grant)
            assert found == (has, ended)
            assert self.chain.call(self.beside.contract, "stopped", grant) == any(ended)
            self.ever_stopped |= {grant} if any(ended) else set()
            assert any(ended) or grant not in self.ever_stopped
        words = self.words.words()
        assert self.chain.words(self.beside.contract, list(words)) == list(words.values())
