"""Exports of the log: the bundle that an auditor verifies, static tiles, CSV and Parquet.

An export reads a fixed prefix of the log (the size of one checkpoint) in chunks. It does not block the writer and does
not hold the whole log in memory.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import AuditError, LogCorrupt
from ledger.audit.formats.merkle import leaf_hash
from ledger.audit.formats.note import Note, VerifierKey, b64
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader, StoredEntry, checkpoint_table
from ledger.audit.log.tiles import WIDTH, tile_path
from ledger.audit.outside.anchor import stored_anchors
from ledger.audit.verify import bundle as frame
from ledger.audit.verify.acts import ACTS, acts_text
from ledger.audit.verify.leaves import CHUNK
from ledger.audit.verify.source import tar_header
from ledger.audit.verify.strict import write_json
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditTimestamp

T = TypeVar("T")

timestamp_table = table_of(AuditTimestamp)

_PAGE = 4096

MOST_HEADS = 8_192
"""The most earlier heads of a bundle, and likewise the most anchors and timestamps. Without a limit, one head a minute
would exceed what a verifier reads after four months. Every head and anchor covers all entries before it."""

COLUMNS = (
    "index", "id", "type", "time", "department", "service", "officer", "asset", "grant", "decision",
    "reasons", "purpose", "engine", "terms_hash", "plan_hash", "counts", "facts", "commitments",
)  # fmt: skip
"""The first columns of the CSV and Parquet exports; reasons, counts, facts and commitments follow as JSON text."""


class _Sink(Protocol):
    def put(self, name: str, data: bytes) -> None:
        """Write one file; names arrive in ascending order."""

    def finish(self) -> None:
        """Make the export complete and visible."""

    def abandon(self) -> None:
        """Remove what was written."""


def export_bundle(
    log: AuditLog,
    path: Path,
    *,
    checkpoint: SignedCheckpoint | None = None,
    witnesses: Iterable[VerifierKey] = (),
    acts: Callable[[int, int], Iterable[bytes]] | None = None,
    check_cancelled: Callable[[], None] = lambda: None,
) -> SignedCheckpoint:
    """Write the bundle of the log up to ``checkpoint`` (default: the latest); returns the checkpoint.

    A ``path`` ending in ``.tar`` gives one file, any other path a new directory. The bundle holds cosignatures of
    ``witnesses`` only: signatures of other keys or of unknown types could not be checked and are left out. Choose a
    cosigned checkpoint when the auditors' trust files require a quorum. ``acts(start, end)`` returns the lines of the
    acts file for the entries in this range. ``check_cancelled`` is called repeatedly; an exception that it raises ends
    the export, and the partial output is removed.
    """
    chosen = checkpoint or log.published(at_least=log.size) or log.checkpoint()
    keys = log.key_history(log.origin, chosen.size)
    witnesses = tuple(key for key in witnesses if key.checkable)
    known = [*witnesses, *(VerifierKey.parse(k["vkey"]) for k in keys)]
    last = _only(chosen, known)
    first_entry = min(log.pruned, last.size)
    history = _history(log, last, known, check_cancelled)
    documents = {
        frame.ANCHORS: write_json(spread(stored_anchors(log, last.size, last.checkpoint.origin), MOST_HEADS)),
        frame.HISTORY: write_json(history),
        frame.TIMESTAMPS: write_json(_timestamps(log, history, last)),
    }
    manifest: dict[str, Any] = {
        "format": frame.FORMAT,
        "origin": last.checkpoint.origin,
        "size": last.size,
        "root": b64(last.root),
        "first_entry": first_entry,
        "keys": keys,
        "witnesses": [str(key) for key in witnesses],
        "digests": {name: sha256(data).hexdigest() for name, data in documents.items()},
    }
    if first_entry:
        manifest["archived"] = _archived(log, last, first_entry, keys)
    signed_acts = (
        b"".join(acts(first_entry, last.size)) if acts and keys[-1]["vkey"] == str(log.signer.key) else b""
    )
    if signed_acts:  # signed with the current key, under the latest head
        text = acts_text(last.checkpoint, sha256(signed_acts).digest())
        manifest["acts"] = str(Note(text, ()).with_signature(log.signer.sign(text)))
    if signed_acts:
        documents[ACTS] = signed_acts
    sink: _Sink = _TarSink(path) if path.suffix == ".tar" else _DirectorySink(path)
    try:
        _fill(sink, log, last, documents | {frame.MANIFEST: write_json(manifest)}, check_cancelled)
    except BaseException:
        sink.abandon()
        raise
    return last


def _fill(
    sink: _Sink,
    log: AuditLog,
    last: SignedCheckpoint,
    documents: Mapping[str, bytes],
    check_cancelled: Callable[[], None],
) -> None:
    if ACTS in documents:
        sink.put(ACTS, documents[ACTS])
    sink.put(frame.ANCHORS, documents[frame.ANCHORS])
    sink.put(frame.CHECKPOINT, bytes(last.note))
    for start in range(0, last.size, CHUNK):
        check_cancelled()
        lines = [
            entry.leaf + b"\n" for entry in _run(log, start, min(start + CHUNK, last.size)) if entry.leaf
        ]
        if lines:
            sink.put(frame.entries_name(start), b"".join(lines))
    sink.put(frame.HISTORY, documents[frame.HISTORY])
    for start in range(0, last.size, CHUNK):
        check_cancelled()
        sink.put(frame.hashes_name(start), b"".join(log.leaf_hashes(start, min(CHUNK, last.size - start))))
    sink.put(frame.MANIFEST, documents[frame.MANIFEST])
    sink.put(frame.TIMESTAMPS, documents[frame.TIMESTAMPS])
    sink.finish()


def _archived(log: AuditLog, last: SignedCheckpoint, first_entry: int, keys: list[dict[str, Any]]) -> str:
    """The log's signed statement that these leaves are archived. A bundle without it does not verify."""
    if keys[-1]["vkey"] != str(log.signer.key):
        raise AuditError(
            "archived entries are vouched for by the present key, which did not sign this head",
            hint="export under a head that the present key signed",
        )
    text = frame.archive_text(log.origin, last.checkpoint.head, first_entry)
    return str(Note(text, ()).with_signature(log.signer.sign(text)))


def export_tiles(log: LogReader, path: Path, *, entries: bool = True) -> SignedCheckpoint:
    """Write a static tlog-tiles directory: ``checkpoint`` and ``tile/...``, entry bundles only with ``entries``.

    Returns the checkpoint.
    """
    signed = log.published(at_least=log.size) or log.checkpoint()
    level = 0
    while signed.size >> (8 * level):
        hashes = signed.size >> (8 * level)
        for number in range(-(-hashes // WIDTH)):
            width = min(WIDTH, hashes - number * WIDTH)
            _write(path / tile_path(level, number, width), log.tile_bytes(level, number, width))
            if level == 0 and entries and (number + 1) * WIDTH > log.pruned:
                _write(path / tile_path("entries", number, width), log.tile_bytes("entries", number, width))
        level += 1
    _write(path / "checkpoint", bytes(signed.note))
    return signed


def export_csv(log: LogReader, path: Path) -> int:
    """Write a CSV file with one line per entry; returns the number of entries.

    An apostrophe is put before cells that a spreadsheet would run as a formula.
    """
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for entry in _run(log, log.pruned, log.size):
            writer.writerow([_cell(value) for value in _columns(entry)])
            count += 1
    return count


def export_parquet(log: LogReader, path: Path) -> int:
    """Write the columns of `export_csv`, the leaf and the leaf hash as Parquet; returns the number of entries."""
    kinds = {"index": pa.int64(), "department": pa.int32()}
    schema = pa.schema(
        [(name, kinds.get(name, pa.string())) for name in COLUMNS]
        + [("leaf", pa.binary()), ("leaf_hash", pa.binary(32))]
    )
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for page in _pages(log, log.pruned, log.size):
            rows = [[*_columns(entry), entry.leaf, entry.leaf_hash] for entry in page]
            columns = [list(column) for column in zip(*rows, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))
            count += len(page)
    return count


def _columns(entry: StoredEntry) -> list[Any]:
    body = json.loads(entry.leaf)
    cells: list[Any] = [entry.index]
    for name in COLUMNS[1:]:
        value = body.get(name)
        cells.append(
            json.dumps(value, ensure_ascii=False, sort_keys=True)
            if isinstance(value, (dict, list))
            else value
        )
    return cells


def _cell(value: Any) -> Any:
    return "'" + value if isinstance(value, str) and value[:1] in "=+-@\t\r" else value


def _run(log: LogReader, start: int, end: int) -> Iterator[StoredEntry]:
    for page in _pages(log, start, end):
        yield from page


def _pages(log: LogReader, start: int, end: int) -> Iterator[list[StoredEntry]]:
    for at in range(start, end, _PAGE):
        page = log.entries(at, min(_PAGE, end - at))
        if len(page) != min(_PAGE, end - at):
            raise LogCorrupt(
                f"entries are missing between {at} and {at + _PAGE}", hint="run civic audit fsck"
            )
        for entry in page:
            if entry.leaf and leaf_hash(entry.leaf) != entry.leaf_hash:
                raise LogCorrupt(
                    f"entry {entry.index} is not what its hash says", hint="run civic audit fsck"
                )
        yield page


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of these items, in order: all of the last ``most // 2``, and evenly spaced ones before them."""
    half = most // 2
    older, newest = items[: max(0, len(items) - half)], items[max(0, len(items) - half) :]
    step = max(1, -(-len(older) // (most - half)))
    return [*older[::step], *newest]


def _history(
    log: LogReader, last: SignedCheckpoint, known: list[VerifierKey], check_cancelled: Callable[[], None]
) -> list[dict[str, Any]]:
    with log.engine.connect() as conn:
        stored = conn.execute(
            select(checkpoint_table.c.size, checkpoint_table.c.note)
            .where(checkpoint_table.c.size < last.size)
            .order_by(checkpoint_table.c.size)
        ).all()  # fmt: skip
        stamped = set(conn.execute(select(timestamp_table.c.size)).scalars())
    notes = {size: note for size, note in stored if str(note).startswith(last.checkpoint.origin + "\n")}
    kept = {
        *spread(list(notes), MOST_HEADS),
        *spread([size for size in notes if size in stamped], MOST_HEADS),
    }
    found = []
    for size in sorted(kept):
        check_cancelled()
        proof = log.consistency(size, last.size)
        signed = _only(read_checkpoint(notes[size]), known)
        found.append({"checkpoint": str(signed), "consistency": [b64(h) for h in proof]})
    return found


def _timestamps(
    log: LogReader, history: list[dict[str, Any]], last: SignedCheckpoint
) -> list[dict[str, Any]]:
    sizes = {read_checkpoint(item["checkpoint"]).size for item in history} | {last.size}
    of_this_epoch = timestamp_table.c.epoch == int(last.checkpoint.origin.rpartition("/")[2])
    with log.engine.connect() as conn:
        rows = conn.execute(
            select(timestamp_table).where(of_this_epoch).order_by(timestamp_table.c.size)
        ).mappings().all()  # fmt: skip
    return [{"size": row["size"], "token": b64(row["token"])} for row in rows if row["size"] in sizes]


def _only(signed: SignedCheckpoint, known: list[VerifierKey]) -> SignedCheckpoint:
    return SignedCheckpoint(signed.checkpoint, signed.note.only(known))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class _DirectorySink:
    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True)

    def put(self, name: str, data: bytes) -> None:
        _write(self._path / name, data)

    def finish(self) -> None:
        """Nothing to do: every file is written in its place."""

    def abandon(self) -> None:
        shutil.rmtree(self._path)


class _TarSink:
    """Writes a temporary file and renames it at the end, so that no incomplete bundle is visible."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(path.name + ".part")
        with suppress(FileNotFoundError):
            self._draft.unlink()
        self._file = self._draft.open("xb")

    def put(self, name: str, data: bytes) -> None:
        self._file.write(tar_header(name, len(data)))
        self._file.write(data)
        self._file.write(bytes(-len(data) % 512))

    def finish(self) -> None:
        self._file.write(bytes(1024))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.rename(self._path)

    def abandon(self) -> None:
        self._file.close()
        self._draft.unlink(missing_ok=True)
