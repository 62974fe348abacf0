"""The types that the document checks use: the act, the recorded facts, and the findings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from access_policy.terms.agreement import Agreement
from languages.texts import Bilingual
from ledger.acts.documents import grants_of
from ledger.chain.limits import MAX_ANCESTORS, NOTHING
from ledger.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of a check. ``pointer`` is the RFC 6901 pointer into the act; ``warning``: reported without a
    refusal; ``grant`` is the recorded grant that it is about; ``detail`` has its Chinese if it is a `Bilingual`."""

    code: str
    detail: str
    pointer: str = ""
    member: str = ""
    grant: str = ""
    warning: bool = False

    def to_json(self) -> dict[str, str]:
        """The finding as JSON."""
        members = {
            "code": self.code,
            "detail": self.detail,
            "detail_zh": self.detail.zh if isinstance(self.detail, Bilingual) else "",
            "pointer": self.pointer,
            "grant": self.grant,
        }
        return {name: value for name, value in members.items() if value}


class DocumentRefused(LedgerError):
    """A document of an act contradicts the message, another document or the catalogue."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail)
        self.code = finding.code
        self.pointer = finding.pointer
        self.member = finding.member


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset in the catalogue, at its present or an earlier version. ``rights``: the departments that hold, use
    and operate it; ``spellings``: columns of its file with values in several spellings, and how many; ``kept``:
    whether the file is stored."""

    asset: int
    rights: tuple[int, int, int]
    grade: str
    sharing: str
    status: str
    metadata: Mapping[str, Any]
    spellings: Mapping[str, int] = field(default_factory=dict)
    version: int = 1
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Holding:
    """A dataset of which the present or an earlier version had a certain file."""

    asset: int
    grade: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded grant: its signed Terms (empty for an emergency) and its agreement, None if it is not stored;
    ``replaced_by`` is the grant that replaced it."""

    id: str
    grantor: int
    grantee: int
    terms: Mapping[str, Any]
    agreement: Agreement | None
    replaced_by: str | None = None


class Catalogue(Protocol):
    """The facts that the checks need; None or empty if nothing is on record."""

    def dataset(self, asset: int) -> Entry | None:
        """A registered dataset."""

    def version(self, asset: int, number: int) -> Entry | None:
        """A registered dataset at this version."""

    def grant(self, grant_id: str) -> Recorded | None:
        """A recorded grant in any state."""

    def holdings(self, files: Collection[str]) -> Sequence[Holding]:
        """Every dataset, also retired, of any holder, with a version that named one of these files (SHA-256 in hex)."""

    def stored(self, sha256: str) -> bytes | None:
        """A stored document, by its SHA-256 in hex."""

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        """The grants over a dataset that are neither ended nor expired."""


def agreements_above(catalogue: Catalogue, terms: Mapping[str, Any]) -> list[Agreement]:
    """The agreements that bind the grant of these Terms besides its own: those of the grants above it, and of the
    grants that replaced one of these. Agreements that are not stored are omitted."""
    found: dict[str, Recorded] = {}

    def take(grant_id: str) -> Recorded | None:
        known = None if grant_id in found or len(found) > MAX_ANCESTORS else catalogue.grant(grant_id)
        if known is not None:
            found[grant_id] = known
        return known

    parent = str(terms.get("parent", NOTHING))
    while parent != NOTHING and (above := take(parent)) is not None:
        newer = above.replaced_by
        while newer is not None and (known := take(newer)) is not None:
            newer = known.replaced_by
        parent = str(above.terms.get("parent", NOTHING))
    return [one.agreement for one in found.values() if one.agreement is not None]


@dataclass(frozen=True, slots=True)
class ActWithDocuments:
    """An act before it is recorded: a normalised message and its documents."""

    type: str
    message: Mapping[str, Any]
    documents: Sequence[Mapping[str, Any]]
    arguments: Mapping[str, Any]
    catalogue: Catalogue

    @property
    def slots(self) -> list[tuple[Mapping[str, Any], str]]:
        """The Terms in the act, with their pointers; empty for an act that grants nothing."""
        found = grants_of(self.type, self.message)
        return [
            (terms, "/message" if terms is self.message else f"/message/grants/{n}")
            for n, terms in enumerate(found)
        ]


@dataclass(frozen=True, slots=True)
class Granting:
    """One grant of an act: the signed slot and the agreement whose hash it names, with their pointers."""

    terms: Mapping[str, Any]
    at: str
    agreement: Agreement
    document_at: str
    catalogue: Catalogue

    @property
    def delegated(self) -> bool:
        """Whether it delegates an earlier grant."""
        return int(str(self.terms["parent"]), 16) != 0

    @property
    def parent(self) -> Recorded | None:
        """The parent grant; None for a direct grant and for a parent that is not on record."""
        return self.catalogue.grant(str(self.terms["parent"])) if self.delegated else None
