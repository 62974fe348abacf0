"""Answers to auditors."""

from __future__ import annotations

from api.v1.answers.form import Absent, Answer, Document


class Entry(Answer):
    """An entry of the log; null after it was archived or erased."""

    index: int
    entry: Document | None


class Receipt(Answer):
    """The receipt of an entry (c2sp.org/tlog-proof@v1)."""

    index: int
    receipt: str


class CouldContain(Entry):
    """A release that could contain the person according to its filters."""

    filters: Document


class CannotTell(Answer):
    """A release, or the dataset as a whole (then without ``index``), that cannot be judged, and the reason.
    ``before``: the first entry that can be judged."""

    why: str
    meaning: str
    index: int | Absent = None
    entry: Document | None = None
    before: int | Absent = None


class Readers(Answer):
    """The readers of one person's record."""

    named: list[Entry]
    could_contain: list[CouldContain]
    unknown: list[CannotTell]
    next: str | None


class Openings(Answer):
    """The disclosures of an entry by name; each opens one commitment."""

    index: int
    disclosures: dict[str, str]
