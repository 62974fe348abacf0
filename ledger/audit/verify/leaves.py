"""Hashing of every leaf as a stream, and diagnosis of the first wrong one.

Leaves are read in chunks of 65,536, with the leaf hashes of the bundle. Only one root per chunk is kept, so memory does
not grow with the log.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.audit.formats.checkpoint import Head
from ledger.audit.formats.merkle import EMPTY_ROOT, HASH_SIZE, fold, node_hash, parents, peaks
from ledger.audit.verify.authority import Authority
from ledger.audit.verify.resume import Resume
from ledger.audit.verify.times import Times
from ledger.audit.verify.verdict import Finding, tampered
from ledger.counts import counted

CHUNK = 1 << 16
MOST_SHIFTED = 64
"""The longest run of deleted or inserted entries that is distinguished from changed entries."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to 65,536 consecutive leaves from ``start`` on.

    The first ``archived`` leaves of the chunk are missing. ``lines`` are the others and can be iterated once. ``stored``
    are the leaf hashes of the bundle, 32 bytes each. ``stamp`` changes when one of the two files is written; it is empty
    when the check cannot be resumed.
    """

    start: int
    archived: int
    lines: Iterable[bytes]
    stored: bytes
    entries_file: str
    hashes_file: str
    stamp: str = ""


@dataclass(slots=True)
class Tree:
    """A tree that is built chunk by chunk. It records its roots at the sizes ``wanted``, which must be ascending."""

    wanted: Sequence[int]
    size: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)
    _tops: list[tuple[int, bytes]] = field(default_factory=list)
    _partial: bytes | None = None

    def __post_init__(self) -> None:
        if 0 in self.wanted:
            self.roots[0] = EMPTY_ROOT

    def copy(self) -> Tree:
        """A copy, to continue with other leaves."""
        return Tree(self.wanted, self.size, dict(self.roots), list(self._tops), self._partial)

    def add(self, hashes: Sequence[bytes]) -> bytes:
        """Add the leaf hashes of the next chunk; returns the chunk's root. Only the last may be shorter than 65,536."""
        if not hashes:
            return EMPTY_ROOT
        rows: list[Sequence[bytes]] = [hashes]
        while len(rows[-1]) > 1:
            rows.append(parents(rows[-1]))
        begin, self.size = self.size, self.size + len(hashes)
        before = [value for _, value in self._tops]
        for size in self.wanted[bisect_right(self.wanted, begin) : bisect_right(self.wanted, self.size)]:
            inside = [rows[level][index] for level, index in peaks(size - begin)]
            self.roots[size] = fold(before + inside)
        if len(hashes) < CHUNK:
            self._partial = rows[-1][0]
            return rows[-1][0]
        level, value = 0, rows[-1][0]
        while self._tops and self._tops[-1][0] == level:
            level, value = level + 1, node_hash(self._tops.pop()[1], value)
        self._tops.append((level, value))
        return rows[-1][0]

    @property
    def root(self) -> bytes:
        return fold([value for _, value in self._tops] + ([self._partial] if self._partial else []))


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading all chunks: the tree of the leaves, the tree of the stored hashes, the first mismatch."""

    entries: Tree
    stored: Tree
    hashed: int
    mismatch: Finding | None
    mismatch_file: Finding | None
    resumed: int = 0
    """How many of the ``hashed`` leaves were hashed by an earlier, interrupted run."""
    times: Times = field(default_factory=Times)

    @property
    def remarks(self) -> list[str]:
        """Remarks for the verdict."""
        found = self.times.remarks
        if self.resumed:
            found.append(f"{self.resumed} of them were re-hashed in an earlier run of this check")
        return found


def read_leaves(
    chunks: Iterator[Chunk],
    wanted: Sequence[int],
    total: int,
    progress: Progress | None,
    resume: Resume | None = None,
    authority: Authority | None = None,
) -> Reading:
    """Hash every leaf, and build the tree of the leaves and that of the stored hashes.

    As long as they agree, one tree serves for both. With ``resume``, leaves of files that an earlier run checked and that
    did not change are not hashed again. ``authority`` reads every leaf, including these.
    """
    entries = stored = Tree(wanted)
    hashed = resumed = 0
    mismatch: Finding | None = None
    damaged: Finding | None = None
    hasher = sha256
    times = Times()
    for chunk in chunks:
        skipped = chunk.archived * HASH_SIZE
        before, falls = resume.root_of(chunk.start, chunk.stamp) if resume else None, times.falls
        lines: Iterable[bytes] = times.watch(chunk.start + chunk.archived, chunk.lines)
        if authority is not None:
            authority.incomplete = authority.incomplete or bool(chunk.archived)
            lines = authority.watch(chunk.start + chunk.archived, lines, chunk.entries_file)
        if before is not None:
            for _ in lines:
                pass
            hashes = split_hashes(chunk.stored[skipped:])
            resumed += len(hashes)
        else:
            hashes = [hasher(b"\x00" + line).digest() for line in lines]
        hashed += len(hashes)
        agree = b"".join(hashes) == chunk.stored[skipped:]
        if not agree and mismatch is None:
            first = chunk.start + chunk.archived
            mismatch = explain(first, hashes, split_hashes(chunk.stored[skipped:]), chunk.entries_file)
            at = mismatch.entry if mismatch.entry is not None else first
            damaged = Finding(
                "hash.changed", f"the stored hash of entry {at} was changed", chunk.hashes_file, at
            )
            stored = entries.copy()
        if stored is not entries:
            stored.add(split_hashes(chunk.stored))
        root = entries.add(hashes if not skipped else [*split_hashes(chunk.stored[:skipped]), *hashes]).hex()
        if before is not None and before != root:
            raise tampered("hash.changed", "the hashes changed since they were checked", chunk.hashes_file)
        # A chunk with a remark about times is not recorded: the next run must make the remark again.
        if resume and agree and before is None and times.falls == falls:
            resume.done(chunk.start, chunk.stamp, root)
        if progress is not None:
            progress(entries.size, total)
    return Reading(entries, stored, hashed, mismatch, damaged, resumed, times)


def explain(first: int, got: list[bytes], expected: list[bytes], file: str) -> Finding:
    """The finding about leaf hashes from entry ``first`` on that differ from the expected ones."""
    same = next((i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), None)
    if same is None:
        at = min(len(got), len(expected))
        if len(got) < len(expected):
            return Finding(
                "entry.truncated", f"entries from {first + at} on are missing: cut off", file, first + at
            )
        return Finding("entry.appended", f"entry {first + at} and later were added", file, first + at)
    at = first + same
    tail_got, tail_expected = got[same:], expected[same:]
    for shift in range(1, min(len(tail_expected), MOST_SHIFTED)):
        moved = tail_expected[shift:]
        if moved and tail_got[: len(moved)] == moved:
            what = f"entry {at} was" if shift == 1 else f"entries {at} to {at + shift - 1} were"
            return Finding("entry.deleted", f"{what} deleted; later ones moved up", file, at)
    for shift in range(1, min(len(tail_got), MOST_SHIFTED)):
        moved = tail_got[shift:]
        if moved and tail_expected[: len(moved)] == moved:
            return Finding("entry.inserted", f"{shift} not logged inserted as entry {at}", file, at)
    wrong = [i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b]
    if len(wrong) == 2 and [got[i] for i in wrong] == [expected[i] for i in reversed(wrong)]:
        other = first + wrong[1]
        return Finding("entry.swapped", f"entries {at} and {other} were exchanged", file, at)
    if len(got) == len(expected) and sorted(got[i] for i in wrong) == sorted(expected[i] for i in wrong):
        return Finding(
            "entry.reordered",
            f"{counted(len(wrong), 'entry', 'entries')} from {at} on were reordered",
            file,
            at,
        )
    more = f", and {counted(len(wrong) - 1, 'later one')}" if len(wrong) > 1 else ""
    return Finding("entry.changed", f"entry {at} was changed{more}", file, at)


def split_hashes(data: bytes) -> list[bytes]:
    """Split bytes into consecutive hashes of 32 bytes."""
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]


def first_departure(tree: Tree, heads: Sequence[Head]) -> tuple[int, int | None]:
    """Where a tree departs from the history of ``heads``: (the last size with the same root, the first with another)."""
    equal, different = 0, None
    for head in sorted(heads, key=lambda head: head.size):
        if tree.roots.get(head.size) == head.root:
            equal = head.size
        else:
            different = head.size
            break
    return equal, different
