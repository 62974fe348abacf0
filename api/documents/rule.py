"""An act's documents, held against its message, against each other and against the catalogue: one rule for everybody.

The service asks it at hand-in, the command before anybody signs. Neither adds a rule of its own: they differ in where
their `Catalogue` has its facts from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from api.documents.datasets import entry_is_well_formed
from api.documents.facts import DocumentRefused, Finding, Papers
from api.documents.grants import grants

CHECKS: tuple[Callable[[Papers], Iterator[Finding]], ...] = (entry_is_well_formed, grants)
"""What must hold for an act, in this order."""


def must_fit(papers: Papers) -> list[Finding]:
    """The warnings about an act's documents; DocumentRefused with the first fault."""
    warnings = []
    for check in CHECKS:
        for finding in check(papers):
            if not finding.warning:
                raise DocumentRefused(finding)
            warnings.append(finding)
    return warnings
