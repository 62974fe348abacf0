"""Whose data a call is about: which persons its query names, and under whose keys the record of the call is kept.

A query that names one person is kept under that person's key. One that names several keeps each person's literals in an
opening of its own, under that person's key, and the rest under a key of the entry; erasing one of them takes what is
said of all, and leaves the others' own. A query that names nobody is nobody's.
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
    """The column that tells persons apart, if the dataset has one."""
    return None if schema.person_key is None else schema.column(schema.person_key)


def subject_name(asset: int, person: str) -> str:
    """Under which name the openings of one person of one asset are kept, found and erased."""
    return f"{asset_text(asset)}:{person}"


def subject_names(asset: int, schema: AssetSchema | None, spelled: str) -> tuple[str, ...]:
    """Every name under which a person's openings may be: that of the value, and that of this spelling, which is how
    entries before this rule were kept."""
    key = None if schema is None else key_column(schema)
    names = [spelled] if key is None else [person_name(key.type, spelled), spelled]
    return tuple(dict.fromkeys(subject_name(asset, name) for name in names))


def subject_of(asset: int, schema: AssetSchema, query: Query, entry: UUID) -> str:
    """Under whose key all that is said of a call is kept: the person it names, the entry where it names several
    persons; "" for nobody's."""
    persons = _named(schema, query)
    if len(persons) > 1:
        return f"entry:{entry}"
    return next((subject_name(asset, person) for person in persons), "")


def decision_openings(
    asset: int, schema: AssetSchema, query: Query, request: Request, context: Context, entry: UUID
) -> tuple[Opening, ...]:
    """The record of a decision and of its query. Of several persons each has an opening of its own, and where the
    query compares with one of their values the record says ``{"person": 0, "of": 0}``."""
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
    """`subject_names` by the schema of every version of the dataset, since a grant may read an earlier one and the key may
    have had another type there; by the spelling alone where none is registered."""
    found: dict[str, None] = {}
    for version in asset_versions(connection, asset_text(asset)):
        try:
            schema = schema_of(connection, version.metadata_hash)
        except EntryMissingError:
            continue
        found.update(dict.fromkeys(subject_names(asset, schema, spelled)))
    return tuple(found) or subject_names(asset, None, spelled)


def schema_at(connection: Connection, asset: int) -> AssetSchema | None:
    """The schema of a dataset's present version; None when it is not registered."""
    row = find_asset(connection, asset)
    return None if row is None else schema_of(connection, row.metadata_hash)


def schema_of(connection: Connection, metadata_hash: str) -> AssetSchema:
    """The schema of the version that a catalogue entry describes."""
    return parse_schema(metadata_of(connection, metadata_hash)["schema"])


def _named(schema: AssetSchema, query: Query) -> dict[str, list[Scalar]]:
    key = key_column(schema)
    return {} if key is None else persons_named(query.where, key.name, key.type)


def _referring(schema: AssetSchema, query: Query, persons: list[str]) -> list[Any]:
    """The literals in reading order, with those that name a person replaced by where they are kept."""
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
