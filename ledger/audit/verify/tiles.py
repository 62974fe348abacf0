"""Verification of a log from its static tiles (C2SP tlog-tiles): a directory, or a function that fetches a path.

Every leaf of every entry bundle is hashed and compared with the hash tiles. The root is computed from the leaves and
compared with the signed checkpoint, and every hash tile above level 0 is compared with the tile computed from the
leaves. Tiles never change, so an interrupted check can continue with a folder of the tiles fetched before. Tiles from
that folder are hashed like fetched ones, and fetched again when the check fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.merkle import HASH_SIZE, root_of_hashes
from ledger.audit.verify.authority import Authority
from ledger.audit.verify.keychain import KeyChain
from ledger.audit.verify.leaves import (
    CHUNK,
    MOST_SHIFTED,
    Chunk,
    Progress,
    explain,
    read_leaves,
    split_hashes,
)
from ledger.audit.verify.resume import Resume, put
from ledger.audit.verify.source import stamp_of
from ledger.audit.verify.trust import Trust
from ledger.audit.verify.verdict import Finding, Tampered, TimestampWord, Verdict, pinned_head, tampered
from ledger.counts import counted

WIDTH = 256
MAX_TILE = WIDTH * (2 + 0xFFFF)
"""The most bytes of a tile: 256 entries of 65,535 bytes, each with a length of 2 bytes before it."""

Stamp = Callable[[Iterable[str]], str]
"""Returns a text for these files that changes whenever one of them is written."""

Fetch = Callable[[str], bytes]
"""Returns the bytes at a path such as ``tile/0/000``; raises LookupError or OSError when there are none."""


def from_directory(root: Path) -> Fetch:
    """Fetch from a static export."""

    def read(path: str) -> bytes:
        file = root / path
        if not file.is_file():  # reading a pipe or a device would block
            raise FileNotFoundError(f"there is no file {path}")
        with file.open("rb") as opened:
            data = opened.read(MAX_TILE + 1)
        if len(data) > MAX_TILE:
            raise OSError("the file is longer than a tile can be")
        return data

    return read


class TileCache:
    """Fetches tiles and stores them in a folder, so that a check can be resumed. The checkpoint is always fetched.

    ``used`` counts the tiles read from the folder. After `distrust` all tiles are fetched again.
    """

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        self._folder = folder
        self._kept = from_directory(folder)
        self._fetch = fetch
        self._fresh: set[str] | None = None
        self.used = 0

    def distrust(self) -> None:
        """Stop using tiles that were stored before this call: one of them may have made the check fail."""
        self._fresh = set()

    def __call__(self, path: str) -> bytes:
        if path == "checkpoint":
            return self._fetch(path)
        kept = self._folder / path
        if kept.is_file() and (self._fresh is None or path in self._fresh):
            self.used += 1
            return self._kept(path)
        data = self._fetch(path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        if kept.parent.resolve() != (self._folder.resolve() / path).parent:
            raise OSError("a folder of what was kept is a link to elsewhere")
        put(kept, data)
        if self._fresh is not None:
            self._fresh.add(path)
        return data


def verify_kept(
    folder: Path, fetch: Fetch, trust: Trust | None = None, progress: Progress | None = None
) -> Verdict:
    """`verify_tiles` with fetched tiles stored in a folder.

    When the check fails and tiles from the folder were used, all tiles are fetched again and the check is repeated, so
    that a damaged folder does not make the verdict *failed*.
    """
    kept = TileCache(folder, fetch)
    verdict = verify_tiles(kept, trust, progress)
    if verdict.ok or not kept.used:
        return verdict
    kept.distrust()
    return verify_tiles(kept, trust, progress)


def has_tiles(path: Path) -> bool:
    """Whether this is a directory with tiles, not a bundle."""
    return (path / "tile").is_dir()


def verify_directory(
    root: Path,
    trust: Trust | None = None,
    progress: Progress | None = None,
    *,
    resume: Path | None = None,
) -> Verdict:
    """`verify_tiles` over a static export.

    ``resume`` is a file in which the check records its progress. Entries are not hashed again as long as their tiles have
    the same length, times of change and inodes.
    """

    def stamp(paths: Iterable[str]) -> str:
        stamps = "\n".join(stamp_of(root / path) for path in paths)
        return sha256(stamps.encode()).hexdigest()

    record = Resume(resume) if resume else None
    return verify_tiles(from_directory(root), trust, progress, resume=record, stamp=stamp)


def path_of(level: int | str, number: int, width: int) -> str:
    """The path ``tile/<L>/<N>[.p/<W>]``; each group of three digits of the number is one folder."""
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(parts)}" + ("" if width == WIDTH else f".p/{width}")


def verify_tiles(
    fetch: Fetch,
    trust: Trust | None = None,
    progress: Progress | None = None,
    *,
    resume: Resume | None = None,
    stamp: Stamp | None = None,
) -> Verdict:
    """Check a whole log from its tiles. Without a trust file the checkpoint's signature cannot be checked:
    tiles name no key. ``resume`` needs ``stamp``, see `verify_directory`.

    ``progress(done, total)`` is called with ``done`` 0 and the stated size before any tile is fetched, then as leaves are
    hashed. The number of tiles follows from that size; to refuse a size, raise an error in ``progress``.
    """
    try:
        signed = _checkpoint(fetch, trust)
    except Tampered as stop:
        return Verdict("failed", "", 0, b"", 0, "anchor not checked", (stop.finding,))
    findings: list[Finding] = []
    elsewhere: list[str] = []
    remarks = [] if trust else ["the checkpoint's signature was not checked: no trust file"]
    stamped: TimestampWord = "no timestamp"
    if trust is not None and trust.timestamp_roots:
        stamped = "timestamp not checked"
        remarks.append("tiles carry no timestamps: those that the trust file asks for are in the bundle")
    hashed = 0
    pins = list(trust.pins) if trust else []
    try:
        if progress is not None:
            progress(0, signed.size)
        wanted = sorted({signed.size, *(pin.size for pin in pins)})
        chunks = _chunks(fetch, signed.size, resume, stamp)
        authority = Authority()
        reading = read_leaves(chunks, wanted, signed.size, progress, resume, authority)
        hashed = reading.hashed
        remarks += reading.remarks
        if reading.mismatch is not None:
            findings.append(
                reading.mismatch
                if reading.stored.root == signed.root
                else reading.mismatch_file or reading.mismatch
            )
        elif reading.entries.root != signed.root:
            findings.append(
                Finding("entries.rewritten", "entries and hash tiles do not lead to the signed root")
            )
        else:
            _check_upper(fetch, signed.size)
            findings += authority.findings
            remarks += authority.remarks
        for pin in pins if not findings else []:
            if pin.size > signed.size:
                findings.append(Finding("trust.rollback", f"the log ends before the pinned size {pin.size}"))
            elif reading.entries.roots.get(pin.size) != pin.root:
                findings.append(
                    Finding(
                        "trust.pin",
                        f"the first {counted(pin.size, 'entry is not that', 'entries are not those')} pinned",
                    )
                )
            elif pin.size:  # every log contains the head of size 0, so it proves nothing
                elsewhere.append(pinned_head(pin.size))
    except Tampered as stop:
        findings.append(stop.finding)
    if trust is not None:
        cosigned = signed.cosigned_by(list(trust.witnesses))
        if len(cosigned) < trust.quorum:
            findings.append(
                Finding(
                    "trust.quorum",
                    f"{len(cosigned)} of {counted(trust.quorum, 'witness', 'witnesses')} cosigned",
                )
            )
        elif cosigned:
            elsewhere.append("witnesses " + ", ".join(sorted(key.name for key in cosigned)))
    return Verdict(
        "failed" if findings else "verified" if trust else "self-consistent only",
        signed.checkpoint.origin,
        signed.size,
        signed.root,
        hashed,
        "anchor not checked",
        tuple(findings),
        tuple(elsewhere),
        tuple(remarks),
        stamped,
    )


def _checkpoint(fetch: Fetch, trust: Trust | None) -> SignedCheckpoint:
    try:
        signed = read_checkpoint(_get(fetch, "checkpoint"))
        if trust is not None:
            if signed.checkpoint.origin != trust.origin:
                raise tampered("trust.origin", f"these are tiles of {signed.checkpoint.origin}", "checkpoint")
            if not KeyChain.of(trust.log_key).signed(signed.note, signed.size):
                raise tampered("trust.key", "the pinned log key did not sign the checkpoint", "checkpoint")
            signed.cosigned_by(list(trust.witnesses))
    except NoteInvalid as error:
        raise tampered("checkpoint.signature", str(error), "checkpoint") from error
    return signed


def _get(fetch: Fetch, path: str) -> bytes:
    try:
        return fetch(path)
    except (LookupError, OSError) as error:
        raise tampered("bundle.missing", f"it cannot be had: {error}", path) from error


def _chunks(fetch: Fetch, size: int, resume: Resume | None, stamp: Stamp | None) -> Iterator[Chunk]:
    for start in range(0, size, CHUNK):
        tiles: list[tuple[int, list[bytes]]] = []
        mark = _stamped(stamp, start, size) if resume is not None and stamp is not None else ""
        for first in range(start, min(start + CHUNK, size), WIDTH):
            width = min(WIDTH, size - first)
            tiles.append((first, _hash_tile(fetch, 0, first // WIDTH, width)))
        yield Chunk(
            start,
            0,
            _leaves(fetch, tiles),
            b"".join(value for _, hashes in tiles for value in hashes),
            f"tile/entries from {start} on",
            f"tile/0 from {start} on",
            mark,
        )


def _leaves(fetch: Fetch, tiles: list[tuple[int, list[bytes]]]) -> Iterator[bytes]:
    """The entries with these hashes, fetched one entry bundle at a time."""
    for first, hashes in tiles:
        file = path_of("entries", first // WIDTH, len(hashes))
        leaves = _split_entries(_get(fetch, file), file, first)
        if len(leaves) != len(hashes):
            got = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
            raise Tampered(explain(first, got, hashes, file))
        yield from leaves


def _stamped(stamp: Stamp, start: int, size: int) -> str:
    tiles = [
        (first // WIDTH, min(WIDTH, size - first)) for first in range(start, min(start + CHUNK, size), WIDTH)
    ]
    try:
        return stamp(path_of(level, number, width) for number, width in tiles for level in (0, "entries"))
    except OSError as error:
        raise tampered("bundle.missing", f"a tile cannot be had: {error}") from error


def _hash_tile(fetch: Fetch, level: int, number: int, width: int) -> list[bytes]:
    path = path_of(level, number, width)
    data = _get(fetch, path)
    if len(data) != width * HASH_SIZE:
        raise tampered("hash.changed", f"the tile should hold {width} hashes", path)
    return split_hashes(data)


def _split_entries(data: bytes, file: str, first: int) -> list[bytes]:
    leaves: list[bytes] = []
    at = 0
    while at < len(data) and len(leaves) <= WIDTH + MOST_SHIFTED:
        length = int.from_bytes(data[at : at + 2], "big")
        leaf = data[at + 2 : at + 2 + length]
        if at + 2 + length > len(data):
            entry = first + len(leaves)
            raise tampered("entry.truncated", f"entry {entry} is cut off", file, entry)
        leaves.append(leaf)
        at += 2 + length
    return leaves


def _check_upper(fetch: Fetch, size: int) -> None:
    level = 0
    while size >> (8 * (level + 1)):
        above = size >> (8 * (level + 1))
        for first in range(0, above, WIDTH):
            width = min(WIDTH, above - first)
            tile = _hash_tile(fetch, level + 1, first // WIDTH, width)
            for offset, value in enumerate(tile):
                if root_of_hashes(_hash_tile(fetch, level, first + offset, WIDTH)) != value:
                    raise tampered(
                        "hash.changed",
                        f"the tile does not sum up tile {first + offset} of level {level}",
                        path_of(level + 1, first // WIDTH, width),
                    )
        level += 1
