"""The proofs about the contracts for every sequence of acts, and the findings of slither."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.needs("solc")
def test_a_grants_life_the_pools_and_the_split_are_proved() -> None:
    """No use after a revocation, bounded uses, no overflow of a pool's balance, an exact split; and the
    mutated copy of each proof is refuted."""
    z3 = Path(sys.executable).with_name("z3")
    done = subprocess.run(
        ["node", "contracts/analysis/smt.cjs"],
        cwd=ROOT,
        env={**os.environ, "Z3": str(z3)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "GrantLife (chc): 7 assertions proved, 0 not" in done.stdout
    assert "PoolBalances (chc): 4 assertions proved, 0 not" in done.stdout
    assert "SplitExact (bmc): 2 assertions proved, 0 not" in done.stdout


@pytest.mark.drill
@pytest.mark.needs("solc")
@pytest.mark.timeout(900)
def test_slither_finds_nothing_unexplained() -> None:
    done = subprocess.run(
        [sys.executable, "contracts/analysis/slither.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
