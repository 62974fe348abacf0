"""Checks of an act's catalogue entry before it is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from access_policy.errors import PolicyError
from access_policy.explain.phrases import PHRASES
from access_policy.privacy.fit import Misfit, misfits
from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.terms.slots import lasting_pins
from api.documents.facts import ActWithDocuments, Finding, agreements_above
from languages.texts import N_, Bilingual, bilingual, in_both, listed, translated
from ledger.acts.documents import ENTRY_ACTS
from ledger.acts.wording import value_text
from ledger.audit.formats.source_parts import PARTS_FORMAT, in_parts, signed_files
from ledger.catalogue.metadata import GRADES, MetadataError, parse_metadata, parse_opening
from ledger.ids import asset_text, department_of


def entry_is_well_formed(act: ActWithDocuments) -> Iterator[Finding]:
    """The act includes the catalogue entry, the entry has the required form, and the data plane can read its schema."""
    if act.type not in ENTRY_ACTS:
        return
    if not act.documents:
        said = in_both("the catalogue entry goes with the act, and after it the opening of its source")
        yield Finding("act.document-missing", said, "/documents", "metadata")
        return
    try:
        entry = parse_metadata(act.documents[0]).document
    except MetadataError as refused:
        why = f"{refused.message}; {refused.hint}" if refused.hint else refused.message
        yield Finding(refused.code, why, f"/documents/0{refused.pointer}", "metadata")
        return
    yield from _source_is_sealed(entry["source"], act.documents[1:])
    yield from _parts_are_appended(act, entry["source"])
    try:
        parse_schema(entry["schema"])
    except PolicyError as refused:
        yield Finding(refused.code, refused.message, f"/documents/0/schema{refused.pointer}")
    holder = department_of(act.message["asset"])
    if act.type != "NewVersion" and entry["contact"]["department"] != holder:
        yield Finding(
            "metadata.contact",
            in_both(
                "the contact is department {department}, the dataset is department {holder}'s",
                department=entry["contact"]["department"],
                holder=holder,
            ),
            "/documents/0/contact/department",
            warning=True,
        )


def version_says_what_is_on_record(act: ActWithDocuments) -> Iterator[Finding]:
    """Only Reclassify changes grade and sharing: the entry of a new version states the recorded ones."""
    if act.type != "NewVersion":
        return
    current = act.catalogue.dataset(act.message["asset"])
    if current is None:
        return
    for member, recorded in (("grade", current.grade), ("sharing", current.sharing)):
        if (said := act.documents[0][member]) != recorded:
            yield Finding(
                "act.metadata-differs",
                in_both(
                    "the metadata say {member} {said!r}, on record is {recorded!r}",
                    member=member,
                    said=said,
                    recorded=recorded,
                ),
                f"/documents/0/{member}",
                "metadata",
            )


def version_keeps_live_grants(act: ActWithDocuments) -> Iterator[Finding]:
    """Warn the signer of live grants that fit the recorded schema and not the new one, because they can give
    nothing any more. Also name the grants that pin a version, which continue to read it, and whose file is kept."""
    if act.type != "NewVersion":
        return
    current = act.catalogue.dataset(act.message["asset"])
    if current is None:
        return
    schema = parse_schema(act.documents[0]["schema"])
    same = current.metadata["schema"] == act.documents[0]["schema"]
    for grant in act.catalogue.live_grants(act.message["asset"]):
        if grant.agreement is None:
            continue
        pins = lasting_pins(grant.agreement, ())
        above = agreements_above(act.catalogue, grant.terms) if pins else ()
        lasting = lasting_pins(grant.agreement, above)
        ending = current.version in pins - lasting
        found = [] if same else misfits(grant.agreement, schema, earlier=dict.fromkeys(pins))
        broken = [_words(one) for one in found if one.hard]
        if ending:
            broken = [
                in_both(
                    "it reads version {version} while that is the current one: a grant above does not pin it",
                    version=current.version,
                )
            ]
        if broken:
            yield Finding(
                "version.breaks-grant",
                in_both(
                    "grant {grant} to department {department}: {why}",
                    grant=grant.id,
                    department=grant.grantee,
                    why=broken[0],
                ),
                "/documents/0/schema",
                grant=grant.id,
                warning=True,
            )
        if lasting:
            yield Finding(
                "version.pinned-grant",
                in_both(
                    "grant {grant} to department {department} goes on reading version {numbers}; its file is kept meanwhile",
                    grant=grant.id,
                    department=grant.grantee,
                    numbers=listed([str(one) for one in sorted(lasting)]),
                ),
                "/documents/0",
                grant=grant.id,
                warning=True,
            )


def _words(misfit: Misfit) -> str:
    """The misfit in words; if it has no Chinese of its own, the Chinese text of its code."""
    if isinstance(misfit.detail, Bilingual) or misfit.code not in PHRASES:
        return misfit.detail
    return bilingual(misfit.detail, translated(PHRASES[misfit.code][1], "zh").rstrip(translated(".", "zh")))


def version_changes_columns(act: ActWithDocuments) -> Iterator[Finding]:
    """Tell the signer which columns are added, removed, or change their type or class with a new version."""
    if act.type != "NewVersion":
        return
    current = act.catalogue.dataset(act.message["asset"])
    if current is None:
        return
    for one in column_changes(current.metadata["schema"], act.documents[0]["schema"]):
        yield Finding("version.columns", one.words, "/documents/0/schema/fields", warning=True)


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """The change of a column by a new version: it ``comes``, ``goes``, or its ``type`` or ``class`` differs."""

    column: str
    what: Literal["comes", "goes", "type", "class"]
    before: str | None = None
    after: str | None = None

    @property
    def words(self) -> Bilingual:
        """The change in words."""
        return in_both(_CHANGES[self.what], column=self.column, before=self.before, after=self.after)


_CHANGES = {
    "comes": N_("column {column} comes"),
    "goes": N_("column {column} goes"),
    "type": N_("column {column}: type {before} -> {after}"),
    "class": N_("column {column}: class {before} -> {after}"),
}


def column_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[ColumnChange]:
    """The differences between the recorded schema and the schema of a new version."""
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    yield from (ColumnChange(name, "goes") for name in before if name not in after)
    yield from (ColumnChange(name, "comes") for name in after if name not in before)
    members: tuple[tuple[Literal["type", "class"], str | None], ...] = (("type", None), ("class", "plain"))
    for name, field in after.items():
        for member, default in members:
            if name in before and before[name].get(member, default) != field.get(member, default):
                yield ColumnChange(
                    name, member, before[name].get(member, default), field.get(member, default)
                )


def file_keeps_its_grade(act: ActWithDocuments) -> Iterator[Finding]:
    """Registering takes one signature, so it cannot lower the grade of a file that is recorded at a higher grade.

    The file is registered at that grade, and lowered by Reclassify, which needs the quorum.
    """
    asked = _file_and_grade(act)
    if asked is None:
        return
    files, grade, pointer = asked
    for holding in act.catalogue.holdings(files):
        if holding.asset == act.message["asset"]:
            continue
        where = in_both("dataset {asset}", asset=asset_text(holding.asset))
        words = bilingual(
            holding.grade, value_text("RegisterAsset", "class", GRADES.index(holding.grade) + 1, "zh")
        )
        if GRADES.index(holding.grade) > grade:
            yield Finding(
                "asset.graded-higher",
                in_both("the same file is on record as {grade} data: {where}", grade=words, where=where),
                pointer,
            )
        elif act.type in ENTRY_ACTS:
            said = in_both(
                "the same file is on record already: {where}, {grade} data", where=where, grade=words
            )
            yield Finding("asset.same-file", said, pointer, warning=True)


def _file_and_grade(act: ActWithDocuments) -> tuple[frozenset[str], int, str] | None:
    """The digests of the file or its parts, the grade that the act's signatures permit, and the JSON pointer of the
    source; None for other acts."""
    message = act.message
    if act.type in ("RegisterAsset", "DeriveAsset"):
        return _digests(act.documents[1]), message["class"] - 1, "/message/class"
    current = act.catalogue.dataset(message["asset"]) if act.type in ("NewVersion", "Reclassify") else None
    if current is None:
        return None
    grade = GRADES.index(current.grade)
    if act.type == "NewVersion":
        opening = act.documents[1]
        return _digests(opening), grade, "/documents/1/parts" if in_parts(opening) else "/documents/1/sha256"
    lowered, known = message["class"] - 1 < grade, _digests(current.metadata["source"])
    return (known, grade, "/message/class") if lowered and known else None


def _digests(source: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(one.sha256 for one in signed_files(source))


def _source_is_sealed(source: Mapping[str, Any], openings: Sequence[Any]) -> Iterator[Finding]:
    """The public entry names the digest only by a salted opening, because the digest of a small file can be guessed."""
    if "opening" not in source:
        said = in_both("the entry names its file by a salted opening, not by its digest: {format, opening}")
        yield Finding("metadata.unsalted", said, "/documents/0/source", "metadata")
        return
    if not openings:
        said = in_both("the opening of the source goes with the act: {sha256, bytes, salt}")
        yield Finding("act.document-missing", said, "/documents", "metadata")
        return
    try:
        named = parse_opening(openings[0])
    except MetadataError as refused:
        yield Finding(refused.code, refused.message, f"/documents/1{refused.pointer}", "metadata")
        return
    if named != source["opening"]:
        said = in_both("the opening is not the one that the entry names")
        yield Finding("metadata.opening", said, "/documents/0/source/opening", "metadata")


def _parts_are_appended(act: ActWithDocuments, source: Mapping[str, Any]) -> Iterator[Finding]:
    """Only Parquet files can be parts of a table, and a registration has one file: parts come with later versions,
    which wait for all of them."""
    if len(act.documents) < 2 or not in_parts(act.documents[1]):
        return
    if source["format"] != PARTS_FORMAT:
        said = in_both("only {parts_format} files are parts of a table", parts_format=PARTS_FORMAT)
        yield Finding("parts.format", said, "/documents/0/source/format", "metadata")
    if act.type != "NewVersion":
        said = in_both("a dataset is registered with one file; parts are appended to it")
        yield Finding("parts.registered", said, "/documents/1/parts", "metadata")


def schema_of(entry: Mapping[str, Any]) -> AssetSchema | None:
    """The schema of a recorded entry; None if this version cannot read it."""
    try:
        return parse_schema(entry["schema"])
    except PolicyError:
        return None
