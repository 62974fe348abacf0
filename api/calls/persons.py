"""The persons that a query names, and the data subjects under whose keys the record of the call is encrypted.

The record of a query that names one person is under that person's key. If it names several, each person's
literals are in a separate opening under that person's key, and the rest is under a key of the entry; an
erasure of one of them deletes the shared part and keeps the others' own openings. A query that names no
person has no data subject.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from access_policy.analysis.redecide import record
from access_policy.decision.answers import Context, Request
from access_policy.privacy.persons import person_name, persons_named
from access_policy.privacy.query import Query, predicate_comparisons
from access_policy.privacy.schema import AssetSchema, Column, parse_schema
from access_policy.terms.rows import Scalar
from api.runtime.catalogue import metadata_of
from api.runtime.errors import EntryMissingError
from ledger.audit.log.openings import Opening, commit, commit_each
from ledger.ids import asset_text
from ledger.projection.queries import asset as find_asset
from ledger.projection.queries import asset_versions

DECISION = "decision"
PERSONS = "persons"


def key_column(schema: AssetSchema) -> Column | None:
    """The column that identifies persons, if the dataset has one."""
    return None if schema.person_key is None else schema.column(schema.person_key)


def subject_name(asset: int, person: str) -> str:
    """The name under which the openings of one person in one asset are stored, found and erased."""
    return f"{asset_text(asset)}:{person}"


def subject_names(asset: int, schema: AssetSchema | None, spelled: str) -> tuple[str, ...]:
    """Every name under which a person's openings may be stored: the name of the value, and the name of this
    spelling, which earlier versions used."""
    key = None if schema is None else key_column(schema)
    names = [spelled] if key is None else [person_name(key.type, spelled), spelled]
    return tuple(dict.fromkeys(subject_name(asset, name) for name in names))


def subject_of(asset: int, schema: AssetSchema, query: Query, entry: UUID) -> str:
    """The data subject of the record of a call: the person that it names; the entry if it names several
    persons; "" if it names none."""
    persons = _named(schema, query)
    if len(persons) > 1:
        return f"entry:{entry}"
    return next((subject_name(asset, person) for person in persons), "")


def decision_openings(
    asset: int, schema: AssetSchema, query: Query, request: Request, context: Context, entry: UUID
) -> tuple[Opening, ...]:
    """The record of a decision and of its query. With several persons, each has a separate opening, and the
    record has a reference such as ``{"person": 0, "of": 0}`` in place of each of their literals."""
    persons = _named(schema, query)
    subject = subject_of(asset, schema, query, entry)
    literals: list[Any] = list(query.literals())
    openings: tuple[Opening, ...] = ()
    if len(persons) > 1:
        digests, own = commit_each(
            PERSONS, [(spelled, subject_name(asset, person)) for person, spelled in persons.items()]
        )
        openings = (commit(PERSONS, digests, subject), *own)
        literals = _referring(schema, query, list(persons))
    document = record(request, context) | {"query": {"shape": query.literal_free(), "literals": literals}}
    return (commit(DECISION, document, subject), *openings)


def subject_names_at(connection: Connection, asset: int, spelled: str) -> tuple[str, ...]:
    """`subject_names` for the schemas of all versions of the dataset, because a grant may read an earlier
    version in which the key has another type; for the spelling alone if no version is registered."""
    found: dict[str, None] = {}
    for version in asset_versions(connection, asset_text(asset)):
        try:
            schema = schema_of(connection, version.metadata_hash)
        except EntryMissingError:
            continue
        found.update(dict.fromkeys(subject_names(asset, schema, spelled)))
    return tuple(found) or subject_names(asset, None, spelled)


def schema_at(connection: Connection, asset: int) -> AssetSchema | None:
    """The schema of a dataset's current version; None if the dataset is not registered."""
    row = find_asset(connection, asset)
    return None if row is None else schema_of(connection, row.metadata_hash)


def schema_of(connection: Connection, metadata_hash: str) -> AssetSchema:
    """The schema in a catalogue entry."""
    return parse_schema(metadata_of(connection, metadata_hash)["schema"])


def _named(schema: AssetSchema, query: Query) -> dict[str, list[Scalar]]:
    key = key_column(schema)
    return {} if key is None else persons_named(query.where, key.name, key.type)


def _referring(schema: AssetSchema, query: Query, persons: list[str]) -> list[Any]:
    """The literals in reading order, with those that name a person replaced by references to their
    openings."""
    key = key_column(schema)
    assert key is not None
    assert query.where is not None
    numbers = {person: number for number, person in enumerate(persons)}
    seen = [0] * len(persons)
    found: list[Any] = []
    for column, value in predicate_comparisons(query.where):
        if column != key.name:
            found.append(value)
            continue
        number = numbers[person_name(key.type, value)]
        found.append({"person": number, "of": seen[number]})
        seen[number] += 1
    return found
