"""The format of a bundle: a whole log in files, as `ledger.audit.keeping.export` writes it.

``manifest.json`` names log, keys and witnesses; ``checkpoint`` is the signed head; ``entries/*.ndjson`` hold the
leaves, one a line, and ``leaf-hashes/*.bin`` their hashes, 65,536 to a file; ``history.json`` holds earlier heads
with their consistency proofs, ``anchors.json`` what the chain recorded, ``timestamps.json`` RFC 3161 tokens.
``acts.ndjson`` holds the signed acts that entries name (``ledger.audit.verify.acts``); bundles of earlier versions have none.
Where leaves were archived, ``first_entry`` is their number, and ``archived`` is the log's signed statement of it; a
bundle from which leaves were removed without the log's key has no such statement. Other files are not allowed. Every
file is bound to the signed root or to a digest in the manifest, and each field of the manifest is checked against signed
data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.audit.formats.checkpoint import Checkpoint, Head, Origin, SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.merkle import HASH_SIZE, ProofError, verify_consistency
from ledger.audit.formats.note import COSIGNATURE, ED25519, MAX_NOTE_BYTES, Note, VerifierKey, b64, unb64
from ledger.audit.verify.acts import ACTS, MAX_ACT
from ledger.audit.verify.keychain import KeyChain, read_chain
from ledger.audit.verify.leaves import CHUNK, MOST_SHIFTED, Chunk
from ledger.audit.verify.resume import Resume
from ledger.audit.verify.source import BundleFiles
from ledger.audit.verify.strict import MAX_JSON, read_json, take
from ledger.audit.verify.verdict import tampered
from ledger.counts import counted

FORMAT = "civic-audit-bundle/1"
ARCHIVE = "civic-log-archive/1"
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
_OPTIONAL: dict[str, type | tuple[type, ...]] = {"archived": str, "acts": str}
MAX_LINE = 1 << 16
"""The most bytes of a line: a leaf of at most 65,535 bytes and a line end."""


def entries_name(start: int) -> str:
    """The name of the file with the leaves from ``start`` on."""
    return f"entries/{start:012d}.ndjson"


def hashes_name(start: int) -> str:
    """The name of the file with the leaf hashes from ``start`` on."""
    return f"leaf-hashes/{start:012d}.bin"


def archive_text(origin: str, head: Head, first_entry: int) -> bytes:
    """The text that a log signs about archived leaves: under this head, those before ``first_entry`` are archived."""
    return f"{ARCHIVE}\n{origin}\n{head.size}\n{b64(head.root)}\n{first_entry}\n".encode()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was parsed except for its leaves and acts, which are read as streams."""

    files: BundleFiles
    origin: str
    size: int
    first_entry: int
    keys: KeyChain
    archived: Note | None
    acts: Note | None
    witnesses: tuple[VerifierKey, ...]
    checkpoint: SignedCheckpoint
    history: tuple[tuple[SignedCheckpoint, tuple[bytes, ...]], ...]
    anchors: tuple[dict[str, Any], ...]
    timestamps: tuple[dict[str, Any], ...]

    @property
    def heads(self) -> list[Head]:
        """Every head in the bundle, by ascending size."""
        return [signed.checkpoint.head for signed, _ in self.history] + [self.checkpoint.checkpoint.head]

    def chunks(self, resume: Resume | None = None) -> Iterator[Chunk]:
        """The leaves in chunks, with the leaf hashes of the bundle. Raises `Tampered`."""
        for start in range(0, self.size, CHUNK):
            name, count = hashes_name(start), min(CHUNK, self.size - start)
            raw = self.files.read(name)
            if len(raw) != count * HASH_SIZE:
                raise tampered("hash.changed", f"the file should hold {count} hashes", name, start)
            archived = max(0, min(self.first_entry - start, count))
            lines: Iterable[bytes] = ()
            file = entries_name(start)
            stamp = ""
            if resume is not None:
                stamp = self.files.stamp(name) + (f" {self.files.stamp(file)}" if archived < count else "")
            if archived < count:
                lines = self._lines(file, start + archived, count - archived)
            yield Chunk(start, archived, lines, raw, file, name, stamp)

    def act_lines(self) -> Iterator[bytes]:
        """The lines of the acts file."""
        rest = b""
        for block in self.files.blocks(ACTS):
            *lines, rest = (rest + block).split(b"\n")
            for line in (*lines, rest):
                if len(line) > MAX_ACT:
                    raise tampered("bundle.malformed", "a line is longer than an act can be", ACTS)
            yield from lines
        if rest:
            raise tampered("bundle.malformed", "the last line does not end", ACTS)

    def _lines(self, file: str, first: int, expected: int) -> Iterator[bytes]:
        """The leaves of a file from entry ``first`` on. Of surplus leaves at most about `MOST_SHIFTED` are read, which is
        what the diagnosis needs. Raises `Tampered`."""
        entry, rest = first, b""
        for block in self.files.blocks(file):
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
            entry += len(lines)
            if entry - first > expected + MOST_SHIFTED:
                return
            if len(rest) >= MAX_LINE:
                raise tampered(
                    "entry.changed", f"the line of entry {entry} is longer than an entry can be", file, entry
                )
        if rest:
            raise tampered("entry.changed", f"the line of entry {entry} does not end", file, entry)


def read_bundle(files: BundleFiles) -> Bundle:
    """Read a bundle without its leaves; check manifest, digests, list of files, signatures and consistency proofs.

    Raises `Tampered`.
    """
    sizes = files.sizes()
    if MANIFEST not in sizes:
        raise tampered("bundle.missing", f"{MANIFEST} is missing: this is not a bundle")
    _check_length(sizes, MANIFEST, MAX_JSON)
    manifest = _read_manifest(files.read(MANIFEST))
    size, first_entry, origin = manifest["size"], manifest["first_entry"], manifest["origin"]
    _check_names(sizes, size, first_entry, acts="acts" in manifest)
    for name in DIGESTED:
        if sha256(files.read(name)).hexdigest() != manifest["digests"][name]:
            code = {HISTORY: "checkpoint.changed", ANCHORS: "anchor.changed"}.get(name, "timestamp.changed")
            raise tampered(code, "the file is not the one the manifest names", name)
    try:
        Origin.parse(origin)
        keys = read_chain(manifest["keys"], origin, size)
    except NoteInvalid as error:
        raise tampered("key.changed", f"the log's keys do not hold: {error}", MANIFEST) from error
    witnesses = tuple(_witness(text) for text in manifest["witnesses"])
    if len(set(witnesses)) != len(witnesses):
        raise tampered("bundle.malformed", "a witness is listed twice", MANIFEST)
    checkpoint = _read_note(files.read(CHECKPOINT), CHECKPOINT, keys, witnesses)
    stated = Checkpoint(origin, size, _b64(manifest["root"], MANIFEST))
    if checkpoint.checkpoint != stated:
        raise tampered(
            "checkpoint.changed",
            "manifest and checkpoint state different origins, sizes or roots",
            CHECKPOINT,
        )
    archived = _read_archived(manifest, checkpoint.checkpoint, keys)
    return Bundle(
        files,
        origin,
        size,
        first_entry,
        keys,
        archived,
        _read_acts(manifest, size, keys),
        witnesses,
        checkpoint,
        _read_history(files.read(HISTORY), checkpoint, keys, witnesses),
        _objects(files, ANCHORS),
        _objects(files, TIMESTAMPS),
    )


def _read_manifest(data: bytes) -> dict[str, Any]:
    value = read_json(data, MANIFEST)
    more = {name: kind for name, kind in _OPTIONAL.items() if isinstance(value, dict) and name in value}
    manifest = take(value, _MANIFEST | more, MANIFEST, "the manifest")
    if manifest["format"] != FORMAT:
        raise tampered(
            "bundle.format", f"the format is {manifest['format'][:40]!r}, not {FORMAT!r}", MANIFEST
        )
    size, first_entry = manifest["size"], manifest["first_entry"]
    if not 0 <= first_entry <= size < 1 << 60:
        raise tampered("bundle.malformed", "size and first_entry contradict each other", MANIFEST)
    if "archived" in manifest and not first_entry:
        raise tampered("bundle.malformed", "a log that is there whole says that it is archived", MANIFEST)
    if set(manifest["digests"]) != set(DIGESTED):
        raise tampered("bundle.malformed", "the manifest's digests name other files", MANIFEST)
    return manifest


def _check_names(sizes: dict[str, int], size: int, first_entry: int, *, acts: bool) -> None:
    """Check that the files are exactly those that the size in the manifest requires, and none is too long."""
    starts = range(0, size, CHUNK)
    if len(starts) > len(sizes):  # before making a list of names: the stated size may be false and huge
        raise tampered(
            "bundle.missing",
            f"{counted(len(sizes), 'file')} cannot hold the hashes of {counted(size, 'entry', 'entries')}",
        )
    lengths = dict.fromkeys((MANIFEST, *DIGESTED), MAX_JSON) | {CHECKPOINT: MAX_NOTE_BYTES}
    if acts:
        lengths[ACTS] = (size + 1) * MAX_ACT
    for start in starts:
        count = min(CHUNK, size - start)
        lengths[hashes_name(start)] = count * HASH_SIZE
        kept = min(count, start + count - first_entry)
        if kept > 0:
            lengths[entries_name(start)] = kept * MAX_LINE
    for name in sorted(lengths.keys() - sizes.keys()):
        raise tampered("bundle.missing", "a file is missing", name)
    for name in sorted(sizes.keys() - lengths.keys()):
        raise tampered("bundle.extra", "a file that does not belong here", name)
    for name, most in lengths.items():
        _check_length(sizes, name, most)


def _check_length(sizes: dict[str, int], name: str, most: int) -> None:
    if sizes[name] > most:
        raise tampered("bundle.malformed", f"the file is longer than it can be ({most} bytes)", name)


def _read_archived(manifest: dict[str, Any], last: Checkpoint, keys: KeyChain) -> Note | None:
    """The log's statement that the leaves before ``first_entry`` are archived, signed by the key in force."""
    if "archived" not in manifest:
        return None
    try:
        note = Note.parse(manifest["archived"])
        right_text = note.text == archive_text(last.origin, last.head, manifest["first_entry"])
        if not right_text or len(note.signatures) != 1 or not keys.signed(note, last.size):
            raise NoteInvalid("it is not the log's, or about another head")
    except NoteInvalid as error:
        raise tampered(
            "archive.unproven", f"the log's word on archived entries: {error}", MANIFEST
        ) from error
    return note


def _read_acts(manifest: dict[str, Any], size: int, keys: KeyChain) -> Note | None:
    """The log's signed note on the acts file. Its text is compared when the file is read."""
    if "acts" not in manifest:
        return None
    try:
        note = Note.parse(manifest["acts"])
        if len(note.signatures) != 1 or not keys.signed(note, size):
            raise NoteInvalid("the log did not sign it")
    except NoteInvalid as error:
        raise tampered("acts.changed", f"the log's word on the acts: {error}", MANIFEST) from error
    return note


def _read_note(
    data: bytes, file: str, keys: KeyChain, witnesses: tuple[VerifierKey, ...]
) -> SignedCheckpoint:
    """A checkpoint with valid signatures only, all by witnesses or by keys in force at its size. Exports have no others."""
    try:
        signed = read_checkpoint(data)
        found = signed.note.verified_by([*keys.in_force(signed.size), *witnesses])
    except NoteInvalid as error:
        raise tampered("checkpoint.signature", f"the checkpoint does not hold: {error}", file) from error
    if len(found) != len(signed.note.signatures):
        raise tampered(
            "checkpoint.signature",
            "a signature is by an unknown key or by one that does not sign at this size, or stands there twice",
            file,
        )
    if not any(key.kind == ED25519 for key in found):
        raise tampered("checkpoint.signature", "the log did not sign the checkpoint", file)
    return signed


def _read_history(
    data: bytes,
    last: SignedCheckpoint,
    keys: KeyChain,
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


def _witness(text: Any) -> VerifierKey:
    try:
        key = VerifierKey.parse(_text(text, MANIFEST))
    except NoteInvalid as error:
        raise tampered("key.changed", f"a key does not hold: {error}", MANIFEST) from error
    if key.kind != COSIGNATURE:
        raise tampered("key.changed", "a witness's key is of the wrong type", MANIFEST)
    return key


def _b64(text: Any, file: str) -> bytes:
    try:
        return unb64(_text(text, file), "a hash")
    except NoteInvalid as error:
        raise tampered("bundle.malformed", str(error), file) from error


def _text(value: Any, file: str) -> str:
    if type(value) is not str:
        raise tampered("bundle.malformed", "something else where a text belongs", file)
    return value
