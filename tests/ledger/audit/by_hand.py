"""Bundles and receipts built by hand from the text of docs/audit.md, as an outsider would forge them.

Only json, hashlib, base64 and `cryptography`: nothing of the ledger is imported here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def h(prefix: int, data: bytes) -> bytes:
    return hashlib.sha256(bytes([prefix]) + data).digest()


def mth(hashes: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.1, over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return h(1, mth(hashes[:split]) + mth(hashes[split:]))


def subproof(m: int, hashes: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """RFC 9162, 2.1.4.1."""
    n = len(hashes)
    if m == n:
        return [] if whole else [mth(hashes)]
    split = 1 << ((n - 1).bit_length() - 1)
    if m <= split:
        return [*subproof(m, hashes[:split], whole), mth(hashes[split:])]
    return [*subproof(m - split, hashes[split:], False), mth(hashes[:split])]


def path(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """RFC 9162, 2.1.3.1."""
    if len(hashes) == 1:
        return []
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    if index < split:
        return [*path(index, hashes[:split]), mth(hashes[split:])]
    return [*path(index - split, hashes[split:]), mth(hashes[:split])]


class Key:
    """An Ed25519 key that signs notes under a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._private = Ed25519PrivateKey.generate()
        self._material = b"\x01" + self._private.public_key().public_bytes_raw()
        self._id = hashlib.sha256(name.encode() + b"\n" + self._material).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self._id.hex()}+{b64(self._material)}"

    def line(self, text: str) -> str:
        return f"— {self.name} {b64(self._id + self._private.sign(text.encode()))}\n"


def note(text: str, *keys: Key) -> str:
    return text + "\n" + "".join(key.line(text) for key in keys)


def head(origin: str, hashes: Sequence[bytes], *keys: Key) -> str:
    return note(f"{origin}\n{len(hashes)}\n{b64(mth(hashes))}\n", *keys)


def handover(origin: str, old: Key, new: Key, size: int) -> str:
    return note(f"civic-key-handover/1\n{origin}\n{size}\n{new.vkey}\n", old)


def chain(origin: str, *links: tuple[Key, int]) -> list[dict[str, Any]]:
    """Each key with the first size that it signs, handed over by its predecessor."""
    found: list[dict[str, Any]] = []
    for position, (key, size) in enumerate(links):
        signed = handover(origin, links[position - 1][0], key, size) if position else ""
        found.append({"vkey": key.vkey, "from_size": size, "handover": signed})
    return found


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


@dataclass
class Forgery:
    """A bundle under construction: its leaves, its keys and the signer of its last head. ``frame`` overrides
    manifest fields."""

    origin: str
    leaves: list[bytes]
    keys: list[dict[str, Any]]
    signers: tuple[Key, ...]
    earlier: list[tuple[int, tuple[Key, ...]]] = field(default_factory=list)
    first_entry: int = 0
    anchors: list[Any] = field(default_factory=list)
    timestamps: list[Any] = field(default_factory=list)
    frame: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "leaf-hashes").mkdir(parents=True)
        hashes = [h(0, leaf) for leaf in self.leaves]
        (folder / "leaf-hashes/000000000000.bin").write_bytes(b"".join(hashes))
        if self.first_entry < len(self.leaves):
            (folder / "entries").mkdir()
            kept = b"".join(leaf + b"\n" for leaf in self.leaves[self.first_entry :])
            (folder / "entries/000000000000.ndjson").write_bytes(kept)
        history = [
            {
                "checkpoint": head(self.origin, hashes[:size], *keys),
                "consistency": [b64(one) for one in subproof(size, hashes)] if size else [],
            }
            for size, keys in self.earlier
        ]
        documents = {
            "anchors.json": canonical(self.anchors),
            "history.json": canonical(history),
            "timestamps.json": canonical(self.timestamps),
        }
        manifest = {
            "format": "civic-audit-bundle/1",
            "origin": self.origin,
            "size": len(hashes),
            "root": b64(mth(hashes)),
            "first_entry": self.first_entry,
            "keys": self.keys,
            "witnesses": [],
            "digests": {name: hashlib.sha256(data).hexdigest() for name, data in documents.items()},
        } | self.frame
        for name, data in documents.items():
            (folder / name).write_bytes(data)
        (folder / "manifest.json").write_bytes(canonical(manifest))
        (folder / "checkpoint").write_text(head(self.origin, hashes, *self.signers))
        return folder

    def receipt(self, index: int, **extra: Any) -> str:
        """A .tlog-proof of one leaf under the last head."""
        hashes = [h(0, leaf) for leaf in self.leaves]
        said: dict[str, Any] = {"entry": self.leaves[index].decode()}
        if len(self.keys) > 1:
            said["keys"] = self.keys
        line = b64(
            json.dumps(said | extra, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        )
        proof = [b64(one) for one in path(index, hashes)]
        return "\n".join(["c2sp.org/tlog-proof@v1", f"extra {line}", f"index {index}", *proof, ""]) + (
            "\n" + head(self.origin, hashes, *self.signers)
        )


def archive_statement(origin: str, hashes: Sequence[bytes], first_entry: int, *keys: Key) -> str:
    """The note of a log about archived leaves: under this head, the leaves before this index are archived."""
    text = f"civic-log-archive/1\n{origin}\n{len(hashes)}\n{b64(mth(hashes))}\n{first_entry}\n"
    return note(text, *keys)
