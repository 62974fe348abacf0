"""The rules of docs/decisions/0011 are tested: each mutant of a rule fails the test of the contracts for that
rule."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from contracts_harness import City, Reverted, example_city

from .broken import RULES, creation_codes
from .pending import PendingChain
from .stories import BrokenChain, Rule
from .switch import LEDGER, choose

TOLD = [
    list(those) for _, those in groupby(sorted(RULES, key=lambda r: str(r.story)), lambda r: str(r.story))
]
FAILURES = (AssertionError, Reverted, pytest.fail.Exception)


@pytest.fixture(scope="session")
def broken_ledger(builds: Path) -> City:
    """``example_city`` on the ledger that holds all mutants, none of them chosen."""
    return example_city(BrokenChain(LEDGER, creation_codes(LEDGER, builds)))


@pytest.fixture(scope="session")
def shipped_ledger() -> City:
    """``example_city`` for the contracts next to it."""
    return example_city(BrokenChain())


@pytest.mark.drill
@pytest.mark.needs("solc")
@pytest.mark.parametrize("those", TOLD, ids=lambda those: str(those[0].story))
def test_broken_rule_is_detected(those: list[Rule], builds: Path, request: Any, monkeypatch: Any) -> None:
    """The test passes without a chosen mutant and fails with each of them."""
    play(those[0], 0, builds, request, monkeypatch)
    missed = []
    for rule in those:
        try:
            play(rule, rule.number, builds, request, monkeypatch)
        except FAILURES:
            continue
        missed.append(rule.breaks)
    assert missed == []


def play(rule: Rule, chosen: int, builds: Path, request: Any, monkeypatch: Any) -> None:
    """Run the rule's test on an unchanged city."""
    codes = creation_codes(rule.contract, builds)

    def chain() -> PendingChain:
        return BrokenChain(rule.contract, codes, chosen)

    city: City = request.getfixturevalue("broken_ledger" if rule.contract == LEDGER else "shipped_ledger")
    with city.chain.rewound():
        if rule.contract == LEDGER:
            choose(city.chain, city.ledger, chosen)  # type: ignore[arg-type]
        else:
            city.chain.contract, city.chain.codes, city.chain.chosen = rule.contract, codes, chosen  # type: ignore[attr-defined]
        departments = dict(city.departments)
        try:
            rule.story.play(city, monkeypatch, chain)
        finally:
            city.departments = departments
