"""What an auditor is answered."""

from __future__ import annotations

from api.v1.answers.form import Absent, Answer, Document


class Entry(Answer):
    """An entry of the log; null once it was archived or erased."""

    index: int
    entry: Document | None


class Receipt(Answer):
    """The receipt of an entry (c2sp.org/tlog-proof@v1)."""

    index: int
    receipt: str


class CouldContain(Entry):
    """A release that could contain the person, by the filters it had."""

    filters: Document


class CannotTell(Answer):
    """What cannot be told, and why: of one release, or of the dataset as a whole (then without ``index``). ``before``: the
    entry from which on it can be told."""

    why: str
    meaning: str
    index: int | Absent = None
    entry: Document | None = None
    before: int | Absent = None


class Readers(Answer):
    """Who read one person's record."""

    named: list[Entry]
    could_contain: list[CouldContain]
    unknown: list[CannotTell]
    next: str | None


class Openings(Answer):
    """What an entry committed to, by name: each opens one commitment."""

    index: int
    disclosures: dict[str, str]
