"""What the checks of an act's documents work with: the act, what is on record, and what they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from access_policy.terms import Agreement
from ledger.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``pointer`` is the RFC 6901 pointer into the act; ``warning``: told, not refused;
    ``grant`` is the recorded grant that it is about."""

    code: str
    detail: str
    pointer: str = ""
    member: str = ""
    grant: str = ""
    warning: bool = False

    def to_json(self) -> dict[str, str]:
        """What is told of it."""
        told = {"code": self.code, "detail": self.detail, "pointer": self.pointer, "grant": self.grant}
        return {name: value for name, value in told.items() if value}


class DocumentRefused(LedgerError):
    """A document of an act contradicts the message, another document or the catalogue."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail)
        self.code = finding.code
        self.pointer = finding.pointer
        self.member = finding.member


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset as the catalogue has it now; ``rights`` are the departments that hold, use and operate it."""

    asset: int
    rights: tuple[int, int, int]
    grade: str
    sharing: str
    status: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Holding:
    """A dataset of which one version, the present one or an earlier one, was a certain file."""

    asset: int
    grade: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A grant on record: its signed Terms (empty for an emergency) and its agreement, None where it is not at hand."""

    id: str
    grantor: int
    grantee: int
    terms: Mapping[str, Any]
    agreement: Agreement | None


class Catalogue(Protocol):
    """What the checks ask; None and empty where nothing is on record."""

    def dataset(self, asset: int) -> Entry | None:
        """A registered dataset."""

    def grant(self, grant_id: str) -> Recorded | None:
        """A recorded grant, whatever became of it."""

    def holdings(self, sha256: str) -> Sequence[Holding]:
        """Every dataset that ever named this file, whoever holds it; retired ones too."""

    def stored(self, sha256: str) -> bytes | None:
        """A document that was handed in before, by its SHA-256 in hex."""

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        """The grants over a dataset that are neither ended nor expired."""


@dataclass(frozen=True, slots=True)
class Papers:
    """An act before it is recorded: a normalised message and the documents that go with it."""

    type: str
    message: Mapping[str, Any]
    documents: Sequence[Mapping[str, Any]]
    arguments: Mapping[str, Any]
    catalogue: Catalogue

    @property
    def slots(self) -> list[tuple[Mapping[str, Any], str]]:
        """The Terms that the act signs, with their pointers; empty for an act that grants nothing."""
        if self.type == "Terms":
            return [(self.message, "/message")]
        if self.type == "GrantBatch":
            return [(terms, f"/message/grants/{n}") for n, terms in enumerate(self.message["grants"])]
        return []


@dataclass(frozen=True, slots=True)
class Granting:
    """One grant of an act: the slot that is signed and the agreement whose hash it names, with their pointers."""

    terms: Mapping[str, Any]
    at: str
    agreement: Agreement
    document_at: str
    catalogue: Catalogue

    @property
    def delegated(self) -> bool:
        """Whether it passes a right on that was granted before."""
        return int(str(self.terms["parent"]), 16) != 0

    @property
    def parent(self) -> Recorded | None:
        """The grant it passes on; None for a direct one and for a parent that is not on record."""
        return self.catalogue.grant(str(self.terms["parent"])) if self.delegated else None
