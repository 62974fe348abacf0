"""Every patch of every mutant fits the committed sources: asked in a second, before anything is compiled.

`make check` runs this, so that who changes a contract's line learns at once which mutant breaks that line.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from .broken import ALL, RULES
from .switch import misfits, patched

SAID = ("docs/decisions/0011-the-contracts-second-edition.md", "docs/contracts.md")
CONTRACTS = sorted({mutant.contract for mutant in ALL})


@pytest.mark.needs("openzeppelin")
@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_patch_matches_the_source_once(contract: str) -> None:
    assert misfits(contract, ALL) == []


@pytest.mark.needs("openzeppelin")
@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_mutant_has_its_switch(contract: str) -> None:
    """A number without a patch would select the shipped contract."""
    numbers = Counter(mutant.number for mutant in ALL if mutant.contract == contract)
    assert set(numbers.values()) == {1}
    text = "\n".join(patched(contract, ALL).values())
    switches = {int(found) for found in re.findall(r"\bmutant\((\d+)\)", text)}
    switches |= {int(found) for found in re.findall(r"eq\(sload\(0x6d7574616e74\), (\d+)\)", text)}
    assert switches == set(numbers)


def test_every_rule_is_what_the_documents_say() -> None:
    top = Path(__file__).parents[3]
    text = [" ".join((top / name).read_text("utf-8").split()) for name in SAID]
    assert [rule.rule for rule in RULES if not any(rule.rule in one for one in text)] == []
