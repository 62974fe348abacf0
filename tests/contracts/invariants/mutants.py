"""Mutants of the contracts: each is a small patch of the committed source that one invariant must detect.

This module has those that a run of a state machine detects; ``rules_*.py`` has those that a test of the
contracts detects.
"""

from __future__ import annotations

from typing import Final

from . import mutants_beside, mutants_ledger

MUTANTS: Final = (*mutants_ledger.MUTANTS, *mutants_beside.MUTANTS)
