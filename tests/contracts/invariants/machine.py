"""The base of the state machines: acts with a predicted outcome, replay, and a check of every word of
storage."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from contracts_harness import City, Contract, Reverted
from hypothesis.stateful import RuleBasedStateMachine, invariant

from .pending import PendingChain
from .rebuild import Rebuilt


class CityMachine(RuleBasedStateMachine):
    """A machine over one city, which is the same at the start of every example.

    ``focus`` names the rules that may run; empty means all. A mutant is tested with the few rules that
    concern it.
    """

    city: ClassVar[City]
    focus: ClassVar[frozenset[str]] = frozenset()
    always: ClassVar[tuple[str, ...]] = ()
    """Its invariants, for a script that runs rules without Hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self._undo = ExitStack()
        self.chain: PendingChain = self.city.chain  # type: ignore[assignment]
        self._undo.enter_context(self.chain.rewound())
        self.rebuilt = Rebuilt()
        self._read = 0
        self.done: list[tuple[Contract, str, tuple[Any, ...]]] = []
        self._catch_up()
        self._known = self.rebuilt.words()

    def teardown(self) -> None:
        with self._undo:
            self._compare(self.rebuilt.words())

    @property
    def now(self) -> int:
        """The time that the next act will see."""
        return self.city.now

    def attempt(self, function: str, *arguments: Any, contract: Contract | None = None) -> str:
        """Submit an act; ``ok`` or the name of the error. Every refusal has a name."""
        contract = contract or self.city.ledger
        outcome = self.submit(contract, function, *arguments)
        if outcome == "ok":
            self.done.append((contract, function, arguments))
            self._catch_up()
        return outcome

    def submit(self, contract: Contract, function: str, *arguments: Any) -> str:
        """Submit an act without recording it in the machine."""
        outcome = "ok"
        try:
            self.chain.send(contract, function, *arguments)
        except Reverted as refusal:
            outcome = refusal.name
        assert outcome != "Unknown", f"{function} failed without a named error"
        return outcome

    def expect(self, allowed: bool, function: str, *arguments: Any, contract: Contract | None = None) -> bool:
        """Submit an act whose outcome the model predicts; return whether it was done."""
        outcome = self.attempt(function, *arguments, contract=contract)
        assert (outcome == "ok") == allowed, (
            f"{function}: {outcome}, where the rules say {'yes' if allowed else 'no'}"
        )
        return allowed

    def replay_one(self, choice: random.Random) -> None:
        """Every act that was done once is refused from then on."""
        contract, function, arguments = choice.choice(self.done)
        outcome = self.attempt(function, *arguments, contract=contract)
        assert outcome != "ok", f"{function} was done twice with the same signatures"

    def words_of(self, slots: Sequence[int]) -> list[int]:
        """Words of the ledger's storage."""
        return self.chain.words(self.city.ledger, slots)

    def check(self) -> None:
        """Check every invariant now."""
        for name in ("storage_is_what_the_events_say", *self.always):
            getattr(self, name)()

    @invariant()
    def storage_is_what_the_events_say(self) -> None:
        """Invariant 13: for the changes of the last act, and for all storage at the end of the example."""
        self._compare(
            {slot: word for slot, word in self.rebuilt.words().items() if self._known.get(slot) != word}
        )

    def _compare(self, words: dict[int, int]) -> None:
        wrong = [
            f"slot {s:#x} holds {w:#x}, the events say {words[s]:#x}"
            for s, w in zip(words, self.words_of(list(words)), strict=True)
            if w != words[s]
        ]
        assert not wrong, wrong
        self._known |= words

    def _catch_up(self) -> None:
        for time, event in self.chain.history[self._read :]:
            self.rebuilt.apply([event], time)
        self._read = len(self.chain.history)


def allowed(rule: str) -> Any:
    """A precondition: the rule is in the machine's focus."""
    return lambda machine: not machine.focus or rule in machine.focus
