"""What must hold for the catalogue entry of an act before it is recorded."""

from __future__ import annotations

from collections.abc import Iterator

from access_policy.errors import PolicyError
from access_policy.privacy.schema import parse_schema
from api.documents.facts import Finding, Papers
from ledger.catalogue.metadata import parse_metadata

ENTRY_ACTS = ("RegisterAsset", "NewVersion", "DeriveAsset")


def entry_is_well_formed(papers: Papers) -> Iterator[Finding]:
    """The catalogue entry is there, of its form, and its schema is one that the data plane reads."""
    if papers.type not in ENTRY_ACTS:
        return
    if len(papers.documents) != 1:
        yield Finding(
            "act.document-missing",
            "the catalogue entry goes with the act, as its one document",
            "/documents",
            "metadata",
        )
        return
    metadata = parse_metadata(papers.documents[0])
    try:
        parse_schema(metadata.document["schema"])
    except PolicyError as refused:
        yield Finding(refused.code, refused.message, f"/documents/0/schema{refused.pointer}")
