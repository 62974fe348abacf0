"""Mutants of the rules of the second edition (docs/decisions/0011), each with the test of the contracts that
detects it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from contracts_harness import City, Contract

from .pending import PendingChain
from .switch import LEDGER, Broken, Patch, choose


@dataclass(frozen=True)
class Story:
    """A test of ``tests/contracts``, by module and name, with the arguments of one of its cases."""

    module: str
    test: str
    case: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        values = "-".join(str(value) for _, value in self.case)
        return f"{self.module}.{self.test}" + (f"[{values}]" if values else "")

    def play(self, city: City, monkeypatch: Any, chain: type[PendingChain] | Any) -> None:
        """Run the test on this city; a city that the test makes itself is made on ``chain``."""
        module = importlib.import_module(f"tests.contracts.test_{self.module}")
        if hasattr(module, "Chain"):
            monkeypatch.setattr(module, "Chain", chain)
        known: dict[str, Any] = {"city": city, **dict(self.case)}
        _call(module, getattr(module, f"test_{self.test}"), known)


@dataclass(frozen=True)
class Rule(Broken):
    """``rule`` is the text of docs/decisions/0011; ``story`` fails on the mutant and passes otherwise."""

    rule: str
    story: Story


def story(module: str, test: str, **case: Any) -> Story:
    """``test_<test>`` of ``test_<module>``."""
    return Story(module, test, tuple(case.items()))


def rules(contract: str, rule: str, *broken: tuple[int, str, Story, Sequence[Patch]]) -> tuple[Rule, ...]:
    """The mutants of one rule."""
    return tuple(
        Rule(number, contract, breaks, tuple(patches), rule, told) for number, breaks, told, patches in broken
    )


class BrokenChain(PendingChain):
    """Deploys a contract with its mutants in place of the shipped one, and chooses one of them."""

    def __init__(self, contract: str = "", codes: Mapping[str, bytes] | None = None, chosen: int = 0) -> None:
        super().__init__()
        self.contract, self.codes, self.chosen = contract, codes or {}, chosen

    def deploy(self, name: str, arguments: Sequence[Any], salt: bytes, code: bytes | None = None) -> Contract:
        """Deploy like the harness; ``self.contract`` is the mutated one."""
        code = code or (self.codes.get(name) if name == self.contract else None)
        made = super().deploy(name, arguments, salt, code)
        if name == self.contract:
            choose(self, made, self.chosen)
        return made

    def deploy_ledger(
        self, arguments: Sequence[Any], salt: bytes, codes: Mapping[str, bytes] | None = None
    ) -> Contract:
        """Likewise, with the ledger's parts."""
        return super().deploy_ledger(
            arguments, salt, codes or (self.codes if self.contract == LEDGER else None)
        )

    def _transact(self, request: dict[str, Any]) -> Any:
        """Logs in the form of eth-tester, because a test may read them itself."""
        receipt = super()._transact(request)
        logs = [
            {"topics": ["0x" + topic.hex() for topic in log["topics"]], "data": "0x" + log["data"].hex()}
            for log in receipt["logs"]
        ]
        return {**receipt, "logs": logs}


def _call(module: ModuleType, function: Any, known: dict[str, Any]) -> Any:
    """Call a test or fixture of the module, with the fixtures that it requests."""
    plain = inspect.unwrap(function)
    for name in inspect.signature(plain).parameters:
        if name not in known:
            known[name] = _call(module, getattr(module, name), known)
    return plain(**{name: known[name] for name in inspect.signature(plain).parameters})
