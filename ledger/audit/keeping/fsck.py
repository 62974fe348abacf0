"""The operator's check of the log's database: every entry, tile, column, head and opening.

An auditor's verification does not need this check. It finds damage and its place before the service starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from ledger.audit.formats.checkpoint import read_checkpoint
from ledger.audit.formats.errors import AuditError, EventInvalid, NoteInvalid
from ledger.audit.formats.events import Event, read_event
from ledger.audit.formats.merkle import EMPTY_ROOT, fold, grow, leaf_hash, peaks
from ledger.audit.formats.note import VerifierKey
from ledger.audit.keeping.erasure import ERASED
from ledger.audit.keeping.retention import EXPIRED
from ledger.audit.log.append import NewEntry, PreparedEntry
from ledger.audit.log.heads import State, read_state, state_table
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import (
    NotReplayable,
    OpeningVault,
    VaultKeyWrong,
    must_fit,
    opening_table,
    subject_table,
)
from ledger.audit.log.reading import LogReader, checkpoint_table
from ledger.audit.log.tiles import WIDTH, build_tile, entry_table, tile_table
from ledger.audit.outside.timestamps import timestamp_table
from ledger.audit.verify.authority import Authority
from ledger.audit.verify.keychain import read_chain
from ledger.audit.verify.tokens import TimestampsUnavailable, must_be_over
from ledger.counts import counted
from ledger.store.stored import StoreDamaged

_GONE = frozenset({ERASED, EXPIRED})
_PAGE = 4096
_MOST = 100


@dataclass(frozen=True, slots=True)
class Damage:
    """One damage: a stable code, a sentence, and the index of the (first) damaged entry."""

    code: str
    message: str
    entry: int | None = None


@dataclass(slots=True)
class FsckReport:
    """The damage found (at most 100 items), and the numbers of entries and tiles checked."""

    entries: int = 0
    tiles: int = 0
    damage: list[Damage] = field(default_factory=list)
    unread: bool = False
    """Whether the state or an entry could not be read."""

    @property
    def ok(self) -> bool:
        return not self.damage

    def add(self, code: str, message: str, entry: int | None = None) -> None:
        if len(self.damage) < _MOST:
            self.damage.append(Damage(code, message, entry))


@dataclass(slots=True)
class _Edge:
    """The hashes of one level that are not in a full tile yet, and the number of full tiles before them."""

    full: int = 0
    hashes: list[bytes] = field(default_factory=list)


def fsck(
    log: LogReader,
    *,
    vault: OpeningVault | None = None,
    keys: Sequence[VerifierKey] = (),
    progress: Callable[[int, int], None] | None = None,
    openings: bool = False,
) -> FsckReport:
    """Check everything stored. With ``vault``, every stored opening is checked against its commitment.

    ``openings`` also checks that no more openings are missing than entries say were erased or have expired; use it for
    a log that was always written with a vault. ``keys`` are the keys that must have signed the heads, from a source
    outside the database; the key of an `AuditLog` is added. ``progress(done, total)`` is called as entries are checked.
    """
    report = FsckReport()
    try:
        _check(log, report, vault, keys, progress, openings)
    except StoreDamaged as damaged:
        report.unread = True
        report.add("fsck.kind", f"the log was not checked to its end: {damaged.message}")
    return report


def _check(
    log: LogReader,
    report: FsckReport,
    vault: OpeningVault | None,
    keys: Sequence[VerifierKey],
    progress: Callable[[int, int], None] | None,
    openings: bool,
) -> None:
    with log.engine.connect() as conn:
        try:
            state = read_state(conn)
        except AuditError as error:
            report.unread = True
            report.add("fsck.state", error.message)
            return
        pruned = int(conn.execute(select(state_table.c.pruned)).scalar_one())
        heads = {
            row.size: row
            for row in conn.execute(
                select(checkpoint_table.c.size, checkpoint_table.c.root, checkpoint_table.c.note)
            )
        }
        frontier: tuple[bytes, ...] = ()
        edges: list[_Edge] = []
        size, root = 0, EMPTY_ROOT
        authority, kept = Authority(), _Openings()
        for rows in _pages(conn, report, state.size):
            hashes = []
            stored_names = _names_of(conn, rows) if openings else {}
            for row in rows:
                hashes.append(bytes(row["leaf_hash"]))
                archived = row["idx"] < pruned
                event = _check_entry(conn, report, row, archived, vault)
                authority.incomplete = authority.incomplete or archived
                if event is not None:
                    kept.count(row["idx"], event, stored_names.get(row["idx"], frozenset()), report)
                    for _ in authority.watch(row["idx"], [bytes(row["leaf"])], ""):
                        pass
            at = 0
            stops = sorted(head for head in heads if size < head <= size + len(hashes))
            for stop in [*stops, size + len(hashes)]:
                growth = grow(size, frontier, hashes[at : at + stop - size])
                at, size, frontier, root = at + stop - size, growth.size, growth.frontier, growth.root
                if size in heads and bytes(heads[size].root) != root:
                    report.add("fsck.head", f"the published head of size {size} is not of this log", size)
            _check_tiles(conn, report, edges, hashes)
            report.entries = size
            if progress is not None:
                progress(size, state.size)
        for head in sorted(head for head in heads if head > state.size):
            report.add("fsck.head", f"a published head of size {head} is beyond the log", head)
        if (size, root) != (state.size, state.root):
            report.add(
                "fsck.root",
                f"{counted(size, 'entry leads', 'entries lead')} to another root than the stored head of {state.size}",
            )
        if fold(state.frontier) != state.root or len(state.frontier) != len(peaks(state.size)):
            report.add("fsck.frontier", "the stored peaks do not fold to the stored root")
        stored = int(conn.execute(select(func.count()).select_from(tile_table)).scalar_one())
        if stored != report.tiles:
            report.add(
                "fsck.tile",
                f"{counted(stored, 'tile is', 'tiles are')} stored, the entries make {report.tiles}",
            )
        beyond = conn.execute(select(func.count()).where(entry_table.c.idx >= state.size)).scalar_one()
        if beyond:
            report.add(
                "fsck.entry",
                f"{counted(beyond, 'entry stands', 'entries stand')} beyond the head",
                state.size,
            )
        _check_notes(log, keys, report, state, [row.note for row in heads.values()])
        _check_timestamps(conn, report)
        if openings:
            kept.judge(conn, report)
        for finding in authority.findings:
            report.add(finding.code, finding.message, finding.entry)


@dataclass(slots=True)
class _Openings:
    """The indexes of missing openings, and how many the log states were deleted."""

    missing: list[int] = field(default_factory=list)
    gone: int = 0

    def count(self, index: int, event: Event, stored: frozenset[str], report: FsckReport) -> None:
        """Count one entry; ``stored`` are the names of its stored openings."""
        if event.type in _GONE:
            self.gone += event.counts.get("openings", 0)
        self.missing += [index] * len(event.commitments.keys() - stored)
        foreign = sorted(name for name in stored if name.partition("/")[0] not in event.commitments)
        if foreign:
            report.add("fsck.opening", f"entry {index} does not commit to {', '.join(foreign)}", index)

    def judge(self, conn: Connection, report: FsckReport) -> None:
        """Report damage when more openings are missing than were deleted. (More rows may be deleted than an entry has
        commitments, when it concerns several persons.)"""
        if len(self.missing) > self.gone:
            some = ", ".join(str(index) for index in dict.fromkeys(self.missing[-10:]))
            report.add(
                "fsck.opening",
                f"{counted(len(self.missing), 'opening is', 'openings are')} missing, the log tells of {self.gone} that were erased or expired;"
                f" among the entries without: {some}",
                self.missing[-1],
            )
        lost = conn.execute(
            select(func.count())
            .select_from(opening_table.outerjoin(subject_table, opening_table.c.tag == subject_table.c.tag))
            .where(subject_table.c.tag.is_(None))
        ).scalar_one()
        if lost:
            report.add(
                "fsck.opening",
                f"the keys of {counted(lost, 'opening')} are missing: nothing opens what they hold",
            )


def _names_of(conn: Connection, rows: Sequence[dict[str, Any]]) -> dict[int, frozenset[str]]:
    """The names of the openings stored for these entries."""
    if not rows:
        return {}
    found: dict[int, set[str]] = {}
    query = select(opening_table.c.idx, opening_table.c.name).where(
        opening_table.c.idx >= rows[0]["idx"], opening_table.c.idx <= rows[-1]["idx"]
    )
    for index, name in conn.execute(query):
        found.setdefault(index, set()).add(name)
    return {index: frozenset(names) for index, names in found.items()}


def _pages(conn: Connection, report: FsckReport, size: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, size, _PAGE):
        end = min(start + _PAGE, size)
        rows = [
            dict(row)
            for row in conn.execute(
                select(entry_table)
                .where(entry_table.c.idx >= start, entry_table.c.idx < end)
                .order_by(entry_table.c.idx)
            ).mappings()
        ]
        present = {row["idx"] for row in rows}
        for missing in sorted(set(range(start, end)) - present)[:10]:
            report.add("fsck.entry", f"entry {missing} is missing", missing)
        yield rows


def _check_entry(
    conn: Connection, report: FsckReport, row: dict[str, Any], archived: bool, vault: OpeningVault | None
) -> Event | None:
    """The event of an entry whose leaf has the stored hash; None for a damaged or archived entry."""
    index, leaf = row["idx"], row["leaf"]
    assert isinstance(index, int)
    assert isinstance(leaf, bytes)
    if archived:
        if leaf:
            report.add("fsck.entry", f"entry {index} should be archived", index)
        return None
    if leaf_hash(leaf) != row["leaf_hash"]:
        report.add("fsck.entry", f"entry {index} was changed: it is not what its hash says", index)
        return None
    try:
        event = read_event(leaf)
        expected = PreparedEntry.of(NewEntry(event)).row(index)
    except EventInvalid as error:
        report.add("fsck.entry", f"entry {index} is not an event: {error}", index)
        return None
    for column, value in zip(entry_table.columns, expected, strict=True):
        if row[column.name] != value:
            report.add(
                "fsck.column", f"entry {index}: the column {column.name} is not what the leaf says", index
            )
    if vault is not None and event.commitments:
        try:
            must_fit(event, vault.openings(conn, index))
        except (EventInvalid, NotReplayable, VaultKeyWrong) as error:
            report.add("fsck.opening", f"entry {index}: {error.message}", index)
    return event


def _check_tiles(conn: Connection, report: FsckReport, edges: list[_Edge], hashes: list[bytes]) -> None:
    carried, level = hashes, 0
    while carried:
        if level == len(edges):
            edges.append(_Edge())
        edge = edges[level]
        edge.hashes.extend(carried)
        carried = []
        while len(edge.hashes) >= WIDTH:
            number = edge.full
            root, data = build_tile(edge.hashes[:WIDTH])
            stored = conn.execute(
                select(tile_table.c.root, tile_table.c.data).where(
                    tile_table.c.level == level, tile_table.c.n == number
                )
            ).one_or_none()
            if stored is None or (bytes(stored[0]), bytes(stored[1])) != (root, data):
                report.add(
                    "fsck.tile",
                    f"tile {number} of level {level} is {'missing' if stored is None else 'damaged'}",
                    number * WIDTH ** (level + 1),
                )
            report.tiles += 1
            edge.full += 1
            carried.append(root)
            del edge.hashes[:WIDTH]
        level += 1


def _check_timestamps(conn: Connection, report: FsckReport) -> None:
    """Check that each token covers its head. The auditor checks its signature. Skipped without the extra."""
    rows = conn.execute(
        select(timestamp_table.c.size, timestamp_table.c.token, checkpoint_table.c.note).outerjoin(
            checkpoint_table,
            (checkpoint_table.c.size == timestamp_table.c.size)
            & (checkpoint_table.c.epoch == timestamp_table.c.epoch),
        )
    )
    for size, token, note in rows:
        if note is None:
            report.add("fsck.timestamp", f"the timestamped head of size {size} is missing", size)
            continue
        try:
            must_be_over(read_checkpoint(note).note.text, bytes(token))
        except TimestampsUnavailable:
            return
        except AuditError as error:
            report.add("fsck.timestamp", f"the timestamp of the head of size {size}: {error.message}", size)


def _check_notes(
    log: LogReader, given: Sequence[VerifierKey], report: FsckReport, state: State, published: list[str]
) -> None:
    for text in [state.note, *published]:
        try:
            signed = read_checkpoint(text)
            if text is state.note and signed.checkpoint.head != state.head:
                report.add("fsck.note", "the stored checkpoint does not sign the stored head", signed.size)
            keys = list(given)
            if isinstance(log, AuditLog):
                origin = signed.checkpoint.origin
                chain = read_chain(log.key_history(origin, state.size), origin, state.size)
                keys += chain.in_force(signed.size)
            if keys and not signed.note.verified_by(keys):
                report.add(
                    "fsck.note", f"the head of size {signed.size} is not signed by the log", signed.size
                )
        except NoteInvalid as error:
            report.add("fsck.note", f"a stored checkpoint does not hold: {error}")
