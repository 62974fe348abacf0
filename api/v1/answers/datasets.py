"""Answers about the catalogue and its files."""

from __future__ import annotations

from typing import Annotated, Literal

from api.http.spellings import Asset, Hash, Key, Moment, one_of
from api.v1.answers.form import Absent, Answer, Document
from contracts.codes import AssetStatus, Grade, Sharing


class Spelling(Answer):
    """The number of values of a column that occur in several spellings."""

    column: str
    values: int


class Dataset(Answer):
    """A registered dataset with its catalogue entry. ``held``: an act that denied it was lost, and the
    service still denies it."""

    id: Asset
    iri: str
    department: int
    holder: int
    processor: int
    operator: int
    grade: Annotated[str, one_of(Grade)]
    sharing: Annotated[str, one_of(Sharing)]
    version: int
    status: Annotated[str, one_of(AssetStatus)]
    held: bool
    metadata_hash: Hash
    since: Moment
    versioned_at: Moment
    readable: bool
    spellings: list[Spelling]
    metadata: Document


class Parent(Answer):
    """A dataset from which this one was derived, and the grant for it."""

    asset: Asset
    under: Hash | None


class DatasetDetail(Dataset):
    """One version of a dataset; ``current`` is the newest one."""

    current: int
    parents: list[Parent]


class Part(Answer):
    """One file of a dataset that consists of several."""

    sha256: Key
    bytes: int


class _Source(Answer):
    """The file of a version, or its parts; with ``salt`` if the entry has only a commitment to it."""

    format: Literal["csv", "parquet"]
    sha256: Key | Absent = None
    bytes: int | Absent = None
    parts: list[Part] | Absent = None
    salt: str | Absent = None


class AwaitedSource(_Source):
    """A new version whose file is awaited, and its act."""

    version: int
    act: Hash
    missing: list[Key] | Absent = None


class Source(_Source):
    """The file of the version in force."""

    id: Asset
    version: int
    metadata_hash: Hash
    rows: int | Absent = None
    awaited: list[AwaitedSource] | Absent = None


class Count(Answer):
    """The number of cells of a column with a defect."""

    column: str
    kind: str
    count: int


class Defect(Answer):
    """The position of a defect."""

    kind: str
    row: int | None
    column: str | None


class Quality(Answer):
    """The defects found in a file, without any of its values."""

    rows: int
    readable: bool
    counts: list[Count]
    defects: list[Defect]
    spellings: list[Spelling] | Absent = None


class Received(Answer):
    """A file that was stored. ``missing``: the number of parts that are still awaited."""

    asset: Asset
    version: int
    act: Hash | Absent = None
    sha256: Key
    bytes: int
    missing: int | Absent = None
    quality: Quality
    receipt: str
    call: str
