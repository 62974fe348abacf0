"""The effects of changed rows under a running service: the faults, what detects the change, and the page that
documents it."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import SQLModel

from api.cli.commands.audit_keeping import fsck
from ledger.errors import LedgerError
from tests.simulators.edited_rows import Database, Edit, NoSuch, Refused, edited
from tests.simulators.watched_city import WatchedCity, codes

PAGE = Path(__file__).parents[2] / "docs" / "edited-rows.md"
NOBODY = "nobody"
OWN = {"grant_charge": "fsck.charge", "grant_acceptance": "fsck.acceptance"}
LINE = re.compile(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
SETTLES_S = 60.0
LINGERS = frozenset({"chain.unreachable", "log.unavailable", "fsck.charge", "fsck.acceptance"})
"""Codes that the previous change can still cause, because the service continues a moment later."""


@dataclass(frozen=True)
class Seen:
    """``faults``: what must never happen. ``call`` and ``fsck``: the codes with which calls and fsck detect
    the change. ``mended``: the service detected it and wrote the rows again before any call."""

    edit: Edit
    faults: tuple[str, ...]
    call: frozenset[str]
    fsck: frozenset[str]
    mended: bool


def walked(watched: WatchedCity, database: Database, edit: Edit) -> Seen | None:
    """Make the change, make all calls and checks, undo it; None if there is no such change."""
    faults: list[str] = []
    call, found = frozenset[str](), frozenset[str]()
    try:
        with edited(database, edit, SQLModel.metadata.tables[edit.table]) as change:
            try:
                answers = watched.ask()
                faults += watched.broken(answers)
                call = frozenset(codes(answers, watched.right))
            except (OSError, AssertionError) as silent:  # No answer within the time limit of a call.
                faults.append(f"no answer: {silent!r}")
            try:
                found = fsck_codes(watched.city.home)
            except Exception as crash:  # noqa: BLE001 - whatever it is: fsck says what is wrong, it does not fail
                faults.append(f"fsck: {crash!r}"[:300])
    except (Refused, NoSuch):
        return None
    faults += watched.crashes()
    return Seen(edit, tuple(faults), call, found, change.mended)


def fsck_codes(home: Path) -> frozenset[str]:
    try:
        said = fsck(home).document
    except LedgerError as refused:
        return frozenset({refused.code})
    return frozenset(str(one["code"]) for one in said["damage"])


def settled(watched: WatchedCity) -> str:
    """Wait until everything is restored; return what is not after the time limit."""
    until = time.monotonic() + SETTLES_S
    while True:
        answers = watched.ask()
        left = sorted(codes(answers, watched.right)) + watched.broken(answers)
        if not left or time.monotonic() > until:
            return ", ".join(left)
        time.sleep(0.2)


# -- the page


@dataclass
class Noticed:
    """What detects changes of one table: a line of the page."""

    call: set[str] = field(default_factory=set)
    fsck: set[str] = field(default_factory=set)
    unnoticed: set[str] = field(default_factory=set)

    def take(self, seen: Seen) -> None:
        self.call |= seen.call - LINGERS
        self.fsck |= (
            seen.fsck - LINGERS if seen.fsck - LINGERS else seen.fsck & {OWN.get(seen.edit.table, "")}
        )
        if not seen.call and not seen.fsck and not seen.mended:
            self.unnoticed.add(seen.edit.column or "rows")

    def lacks(self, seen: Seen, refusals: Set[str]) -> str:
        """What was observed and is not in the line. Which code refuses a call depends on timing, so any of
        the ``refusals`` that occur in the page is accepted."""
        new = Noticed()
        new.take(seen)
        codes = (new.call - refusals) | (new.fsck - self.fsck)
        missing = (codes - LINGERS) | (new.unnoticed - self.unnoticed)
        return f"{seen.edit}: the page does not say {', '.join(sorted(missing))}" if missing else ""

    def cells(self) -> list[str]:
        return [
            ", ".join(f"`{one}`" for one in sorted(part)) or NOBODY for part in (self.call, self.fsck)
        ] + [", ".join(f"`{one}`" for one in sorted(self.unnoticed)) or "-"]


def page() -> dict[str, Noticed]:
    """The content of docs/edited-rows.md, by table."""
    found = {}
    for table, *cells in LINE.findall(PAGE.read_text()):
        call, kept, unnoticed = (set(re.findall(r"`([^`]+)`", cell)) for cell in cells)
        found[table] = Noticed(call, kept, unnoticed)
    return found


def write_page(seen: Iterable[Seen]) -> None:
    """Add the observations to the content of the page."""
    told = defaultdict(Noticed, page())
    for one in seen:
        told[one.edit.table].take(one)
    head, _, _ = PAGE.read_text().partition("| table |")
    lines = ["| table | a call | fsck | neither |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {' | '.join(told[name].cells())} |" for name in sorted(told)]
    PAGE.write_text(head + "\n".join(lines) + "\n")
