"""Compares an act's documents with its message, with each other and with the catalogue: one rule for service and
clients.

The service applies it at hand-in, the command before signing. Neither has further rules: they differ only in the
source of their `Catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from api.documents.datasets import (
    entry_is_well_formed,
    file_keeps_its_grade,
    version_changes_columns,
    version_keeps_live_grants,
    version_says_what_is_on_record,
)
from api.documents.facts import ActWithDocuments, DocumentRefused, Finding
from api.documents.grants import grants
from ledger.acts.documents import documents_refused
from ledger.catalogue.metadata import canonical_json


def named_by_the_message(act: ActWithDocuments) -> Iterator[Finding]:
    """The message names every document once, and every document that it needs is present."""
    bodies = [canonical_json(document) for document in act.documents]
    refused = documents_refused(act.type, act.message, bodies, act.catalogue.stored)
    if refused is not None:
        pointer = f"/message/{refused.member}" if refused.member else "/documents"
        yield Finding(refused.code, refused.detail, pointer, refused.member)


CHECKS: tuple[Callable[[ActWithDocuments], Iterator[Finding]], ...] = (
    entry_is_well_formed,
    named_by_the_message,
    grants,
    version_says_what_is_on_record,
    file_keeps_its_grade,
    version_changes_columns,
    version_keeps_live_grants,
)
"""The checks of an act, in this order."""


def must_fit(act: ActWithDocuments) -> list[Finding]:
    """The warnings about an act's documents; DocumentRefused with the first fault."""
    warnings = []
    for check in CHECKS:
        for finding in check(act):
            if not finding.warning:
                raise DocumentRefused(finding)
            warnings.append(finding)
    return warnings
