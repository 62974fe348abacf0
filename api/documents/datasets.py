"""What must hold for the catalogue entry of an act before it is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from access_policy.errors import PolicyError
from access_policy.privacy.fit import misfits
from access_policy.privacy.schema import AssetSchema, parse_schema
from api.documents.facts import Finding, Papers
from ledger.catalogue.metadata import GRADES, MetadataError, parse_metadata, parse_opening
from ledger.ids import asset_text
from ledger.outbox.documents import ENTRY_ACTS


def entry_is_well_formed(papers: Papers) -> Iterator[Finding]:
    """The catalogue entry goes with the act, is of its form, and its schema is one that the data plane reads."""
    if papers.type not in ENTRY_ACTS:
        return
    if not papers.documents:
        said = "the catalogue entry goes with the act, and after it the opening of its source"
        yield Finding("act.document-missing", said, "/documents", "metadata")
        return
    try:
        entry = parse_metadata(papers.documents[0]).document
    except MetadataError as refused:
        said = f"{refused.message}; {refused.hint}" if refused.hint else refused.message
        yield Finding(refused.code, said, f"/documents/0{refused.pointer}", "metadata")
        return
    yield from _source_is_sealed(entry["source"], papers.documents[1:])
    try:
        parse_schema(entry["schema"])
    except PolicyError as refused:
        yield Finding(refused.code, refused.message, f"/documents/0/schema{refused.pointer}")
    holder = papers.message["asset"] >> 40
    if papers.type != "NewVersion" and entry["contact"]["department"] != holder:
        yield Finding(
            "metadata.contact",
            f"the contact is department {entry['contact']['department']}, the dataset is department {holder}'s",
            "/documents/0/contact/department",
            warning=True,
        )


def version_says_what_is_on_record(papers: Papers) -> Iterator[Finding]:
    """Grade and sharing are changed by Reclassify alone: the entry of a new version says those on record."""
    if papers.type != "NewVersion":
        return
    current = papers.catalogue.dataset(papers.message["asset"])
    if current is None:
        return
    for member, recorded in (("grade", current.grade), ("sharing", current.sharing)):
        if (said := papers.documents[0][member]) != recorded:
            yield Finding(
                "act.metadata-differs",
                f"the metadata say {member} {said!r}, on record is {recorded!r}",
                f"/documents/0/{member}",
                "metadata",
            )


def version_keeps_live_grants(papers: Papers) -> Iterator[Finding]:
    """Live grants that fit the schema on record and not the new one can give nothing any more: whoever signs is told."""
    if papers.type != "NewVersion":
        return
    current = papers.catalogue.dataset(papers.message["asset"])
    if current is None or current.metadata["schema"] == papers.documents[0]["schema"]:
        return
    schema = parse_schema(papers.documents[0]["schema"])
    for grant in papers.catalogue.live_grants(papers.message["asset"]):
        found = [] if grant.agreement is None else [m for m in misfits(grant.agreement, schema) if m.hard]
        if found:
            yield Finding(
                "version.breaks-grant",
                f"grant {grant.id} to department {grant.grantee}: {found[0].detail}",
                "/documents/0/schema",
                grant=grant.id,
                warning=True,
            )


def file_keeps_its_grade(papers: Papers) -> Iterator[Finding]:
    """A file on record at a higher grade is not brought below it by the one signature that registering takes.

    It is registered at that grade, and lowered by Reclassify, which takes the quorum.
    """
    asked = _file_and_grade(papers)
    if asked is None:
        return
    sha256, grade, pointer = asked
    for holding in papers.catalogue.holdings(sha256):
        if holding.asset == papers.message["asset"]:
            continue
        where = f"dataset {asset_text(holding.asset)}"
        if GRADES.index(holding.grade) > grade:
            yield Finding(
                "asset.graded-higher", f"the same file is on record as {holding.grade} data: {where}", pointer
            )
        elif papers.type in ENTRY_ACTS:
            said = f"the same file is on record already: {where}, {holding.grade} data"
            yield Finding("asset.same-file", said, pointer, warning=True)


def _file_and_grade(papers: Papers) -> tuple[str, int, str] | None:
    """The file, the grade that the signatures under the act are good for, and where it stands; None for other acts."""
    message = papers.message
    if papers.type in ("RegisterAsset", "DeriveAsset"):
        return _sha256(papers), message["class"] - 1, "/message/class"
    current = (
        papers.catalogue.dataset(message["asset"]) if papers.type in ("NewVersion", "Reclassify") else None
    )
    if current is None:
        return None
    grade = GRADES.index(current.grade)
    if papers.type == "NewVersion":
        return _sha256(papers), grade, "/documents/1/sha256"
    lowered, known = message["class"] - 1 < grade, current.metadata["source"].get("sha256")
    return (known, grade, "/message/class") if lowered and known is not None else None


def _sha256(papers: Papers) -> str:
    """Of the opening that goes with the entry, which was checked before."""
    return str(papers.documents[1]["sha256"])


def _source_is_sealed(source: Mapping[str, Any], openings: Sequence[Any]) -> Iterator[Finding]:
    """The digest of a small file can be guessed: the public entry names it by a salted opening only."""
    if "opening" not in source:
        said = "the entry names its file by a salted opening, not by its digest: {format, opening}"
        yield Finding("metadata.unsalted", said, "/documents/0/source", "metadata")
        return
    if not openings:
        said = "the opening of the source goes with the act: {sha256, bytes, salt}"
        yield Finding("act.document-missing", said, "/documents", "metadata")
        return
    try:
        named = parse_opening(openings[0])
    except MetadataError as refused:
        yield Finding(refused.code, refused.message, f"/documents/1{refused.pointer}", "metadata")
        return
    if named != source["opening"]:
        said = "the opening is not the one that the entry names"
        yield Finding("metadata.opening", said, "/documents/0/source/opening", "metadata")


def schema_of(entry: Mapping[str, Any]) -> AssetSchema | None:
    """The schema of a recorded entry; None for one that this version does not read."""
    try:
        return parse_schema(entry["schema"])
    except PolicyError:
        return None
