"""Verifying a bundle: a whole log in files, as `ledger.audit.export` writes it.

``manifest.json`` names log, keys and witnesses; ``checkpoint`` is the signed head; ``entries/*.ndjson`` hold the
leaves, one a line, and ``leaf-hashes/*.bin`` their hashes, 65,536 to a file; ``history.json`` holds earlier heads
with their consistency proofs, ``anchors.json`` what the chain recorded, ``timestamps.json`` RFC 3161 tokens.
No other file may be there, and every file is either bound to the signed root or to a digest in the manifest,
each of whose fields is in turn checked against something signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.audit.checkpoint import Checkpoint, Head, SignedCheckpoint, read_checkpoint
from ledger.audit.errors import NoteInvalid
from ledger.audit.merkle import HASH_SIZE, ProofError, verify_consistency
from ledger.audit.note import COSIGNATURE, ED25519, Note, VerifierKey, unb64
from ledger.audit.verify.leaves import CHUNK, Chunk
from ledger.audit.verify.resume import Resume
from ledger.audit.verify.source import BundleFiles
from ledger.audit.verify.strict import read_json, take
from ledger.audit.verify.verdict import tampered

FORMAT = "civic-audit-bundle/1"
HANDOVER = "civic-key-handover/1"
MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint"
HISTORY = "history.json"
ANCHORS = "anchors.json"
TIMESTAMPS = "timestamps.json"
DIGESTED = (ANCHORS, HISTORY, TIMESTAMPS)

_MANIFEST: dict[str, type | tuple[type, ...]] = {
    "format": str, "origin": str, "size": int, "root": str, "first_entry": int,
    "keys": list, "witnesses": list, "digests": dict,
}  # fmt: skip


def entries_name(start: int) -> str:
    """The file of the leaves from ``start`` on."""
    return f"entries/{start:012d}.ndjson"


def hashes_name(start: int) -> str:
    """The file of the leaf hashes from ``start`` on."""
    return f"leaf-hashes/{start:012d}.bin"


def handover_text(origin: str, from_size: int, new_key: VerifierKey) -> bytes:
    """What a retiring key signs: the key that signs from this size on."""
    return f"{HANDOVER}\n{origin}\n{from_size}\n{new_key}\n".encode()


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of the log and the size from which on it signs."""

    key: VerifierKey
    from_size: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """The parsed frame of a bundle: everything but its leaves."""

    files: BundleFiles
    origin: str
    size: int
    first_entry: int
    keys: tuple[LogKey, ...]
    witnesses: tuple[VerifierKey, ...]
    checkpoint: SignedCheckpoint
    history: tuple[tuple[SignedCheckpoint, tuple[bytes, ...]], ...]
    anchors: tuple[dict[str, Any], ...]
    timestamps: tuple[dict[str, Any], ...]

    @property
    def heads(self) -> list[Head]:
        """Every head the bundle states, ascending."""
        return [signed.checkpoint.head for signed, _ in self.history] + [self.checkpoint.checkpoint.head]

    def chunks(self, resume: Resume | None = None) -> Iterator[Chunk]:
        """The leaves with the hashes stored beside them; files checked before are not read again."""
        for start in range(0, self.size, CHUNK):
            name, count = hashes_name(start), min(CHUNK, self.size - start)
            raw = self.files.read(name)
            if len(raw) != count * HASH_SIZE:
                raise tampered("hash.changed", f"the file should hold {count} hashes", name, start)
            archived = max(0, min(self.first_entry - start, count))
            lines: list[bytes] = []
            file = entries_name(start)
            stamp = ""
            if resume is not None:
                stamp = self.files.stamp(name) + (f" {self.files.stamp(file)}" if archived < count else "")
            if archived < count and (resume is None or resume.root_of(start, stamp) is None):
                data = self.files.read(file)
                lines = data.split(b"\n")
                if lines.pop():
                    raise tampered(
                        "entry.changed",
                        f"the line of entry {start + archived + len(lines)} does not end",
                        file,
                        start + archived + len(lines),
                    )
            yield Chunk(start, archived, lines, raw, file, name, stamp)


def read_bundle(files: BundleFiles) -> Bundle:
    """Parse and check the frame: manifest, digests, list of files, signatures, consistency proofs."""
    sizes = files.sizes()
    if MANIFEST not in sizes:
        raise tampered("bundle.missing", f"{MANIFEST} is missing: this is not a bundle")
    manifest = take(read_json(files.read(MANIFEST), MANIFEST), _MANIFEST, MANIFEST, "the manifest")
    if manifest["format"] != FORMAT:
        raise tampered("bundle.format", f"the format is {manifest['format']!r}, not {FORMAT!r}", MANIFEST)
    size, first_entry = manifest["size"], manifest["first_entry"]
    if not 0 <= first_entry <= size < 1 << 60:
        raise tampered("bundle.malformed", "size and first_entry contradict each other", MANIFEST)
    _check_names(sizes, size, first_entry)
    if set(manifest["digests"]) != set(DIGESTED):
        raise tampered("bundle.malformed", "the manifest's digests name other files", MANIFEST)
    for name in DIGESTED:
        if sha256(files.read(name)).hexdigest() != manifest["digests"][name]:
            code = {HISTORY: "checkpoint.changed", ANCHORS: "anchor.changed"}.get(name, "timestamp.changed")
            raise tampered(code, "the file is not the one the manifest names", name)
    keys = read_keys(manifest["keys"], manifest["origin"], size)
    witnesses = tuple(_vkey(text, COSIGNATURE, MANIFEST) for text in manifest["witnesses"])
    if len(set(witnesses)) != len(witnesses):
        raise tampered("bundle.malformed", "a witness is listed twice", MANIFEST)
    checkpoint = _read_note(files.read(CHECKPOINT), CHECKPOINT, keys, witnesses)
    stated = Checkpoint(manifest["origin"], size, _b64(manifest["root"], MANIFEST))
    if checkpoint.checkpoint != stated:
        raise tampered(
            "checkpoint.changed",
            "manifest and checkpoint state different origins, sizes or roots",
            CHECKPOINT,
        )
    history = _read_history(files.read(HISTORY), checkpoint, keys, witnesses)
    return Bundle(
        files,
        manifest["origin"],
        size,
        first_entry,
        keys,
        witnesses,
        checkpoint,
        history,
        _objects(files, ANCHORS),
        _objects(files, TIMESTAMPS),
    )


def _check_names(sizes: dict[str, int], size: int, first_entry: int) -> None:
    starts = range(0, size, CHUNK)
    expected = {MANIFEST, CHECKPOINT, *DIGESTED}
    expected |= {hashes_name(start) for start in starts}
    expected |= {entries_name(start) for start in starts if start + CHUNK > first_entry}
    if first_entry == size and size:
        expected -= {entries_name(starts[-1])}
    for name in sorted(expected - sizes.keys()):
        raise tampered("bundle.missing", "a file is missing", name)
    for name in sorted(sizes.keys() - expected):
        raise tampered("bundle.extra", "a file that does not belong here", name)


def read_keys(items: list[Any], origin: str, size: int) -> tuple[LogKey, ...]:
    """The keys of a log up to ``size``, each handed over by the one before it."""
    found: list[LogKey] = []
    shape: dict[str, type | tuple[type, ...]] = {"vkey": str, "from_size": int, "handover": str}
    for item in items:
        take(item, shape, MANIFEST, "a log key")
        key, from_size = _vkey(item["vkey"], ED25519, MANIFEST), item["from_size"]
        if key.name != origin:
            raise tampered("key.changed", "a log key is not named after the origin", MANIFEST)
        if not found:
            if from_size or item["handover"]:
                raise tampered("key.changed", "the first key signs from size 0 and has no handover", MANIFEST)
        else:
            if not found[-1].from_size <= from_size <= size:
                raise tampered("key.changed", "the keys are not in the order in which they signed", MANIFEST)
            _check_handover(item["handover"], found[-1].key, origin, from_size, key)
        found.append(LogKey(key, from_size))
    if not found:
        raise tampered("key.changed", "the manifest names no log key", MANIFEST)
    return tuple(found)


def _check_handover(note: str, old: VerifierKey, origin: str, from_size: int, new: VerifierKey) -> None:
    try:
        parsed = Note.parse(note)
        signed = parsed.text == handover_text(origin, from_size, new) and old in parsed.verified_by([old])
        if not signed or len(parsed.signatures) != 1:
            raise tampered("key.changed", "a key was not handed over by the one before it", MANIFEST)
    except NoteInvalid as error:
        raise tampered("key.changed", f"a handover between keys does not hold: {error}", MANIFEST) from error


def _read_note(
    data: bytes, file: str, keys: tuple[LogKey, ...], witnesses: tuple[VerifierKey, ...]
) -> SignedCheckpoint:
    """A checkpoint all of whose signatures are by known keys and hold: exports leave all others out."""
    try:
        signed = read_checkpoint(data)
        known = [item.key for item in keys if item.from_size <= signed.size]
        found = signed.note.verified_by([*known, *witnesses])
    except NoteInvalid as error:
        raise tampered("checkpoint.signature", f"the checkpoint does not hold: {error}", file) from error
    if len(found) != len(signed.note.signatures):
        raise tampered(
            "checkpoint.signature", "a signature is by an unknown key, or stands there twice", file
        )
    if not any(key.kind == ED25519 for key in found):
        raise tampered("checkpoint.signature", "the log did not sign the checkpoint", file)
    return signed


def _read_history(
    data: bytes,
    last: SignedCheckpoint,
    keys: tuple[LogKey, ...],
    witnesses: tuple[VerifierKey, ...],
) -> tuple[tuple[SignedCheckpoint, tuple[bytes, ...]], ...]:
    found: list[tuple[SignedCheckpoint, tuple[bytes, ...]]] = []
    items = read_json(data, HISTORY)
    if not isinstance(items, list):
        raise tampered("bundle.malformed", "the history is not a list", HISTORY)
    for item in items:
        take(item, {"checkpoint": str, "consistency": list}, HISTORY, "an earlier checkpoint")
        signed = _read_note(item["checkpoint"].encode(), HISTORY, keys, witnesses)
        proof = tuple(_b64(text, HISTORY) for text in item["consistency"])
        if signed.checkpoint.origin != last.checkpoint.origin or signed.size >= last.size:
            raise tampered("checkpoint.changed", "an earlier checkpoint does not precede the last", HISTORY)
        if found and found[-1][0].size >= signed.size:
            raise tampered("checkpoint.changed", "earlier checkpoints are not in order", HISTORY)
        try:
            verify_consistency(signed.size, last.size, signed.root, last.root, proof)
        except ProofError as error:
            raise tampered("proof.wrong", str(error), HISTORY) from error
        found.append((signed, proof))
    return tuple(found)


def _objects(files: BundleFiles, name: str) -> tuple[dict[str, Any], ...]:
    items = read_json(files.read(name), name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise tampered("bundle.malformed", "the file is not a list of objects", name)
    return tuple(items)


def _vkey(text: Any, kind: int, file: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(str(text))
    except NoteInvalid as error:
        raise tampered("key.changed", f"a key does not hold: {error}", file) from error
    if key.kind != kind:
        raise tampered("key.changed", "a key is of the wrong type", file)
    return key


def _b64(text: Any, file: str) -> bytes:
    try:
        return unb64(str(text), "a hash")
    except NoteInvalid as error:
        raise tampered("bundle.malformed", str(error), file) from error
