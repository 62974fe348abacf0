"""Contracts broken on purpose: each a small patch of the committed source that one invariant must catch.

Here are those that a run of a state machine notices; ``rules_*.py`` has those that a test of the contracts notices.
"""

from __future__ import annotations

from typing import Final

from . import mutants_beside, mutants_ledger

MUTANTS: Final = (*mutants_ledger.MUTANTS, *mutants_beside.MUTANTS)
