"""An independent check: code that shares nothing with the product verifies a bundle.

Written only from the text of RFC 9162 (2.1) and the C2SP pages on signed notes, checkpoints and proofs. It uses the
standard library and `cryptography`, and reads files; the class below imports nothing of the ledger.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Stranger:
    """RFC 9162, section 2.1, word by word."""

    @staticmethod
    def h(prefix: int, data: bytes) -> bytes:
        return hashlib.sha256(bytes([prefix]) + data).digest()

    def mth(self, entries: list[bytes]) -> bytes:
        """2.1.1: iterative, with a stack of (count, hash), because the recursion would copy lists."""
        if not entries:
            return hashlib.sha256(b"").digest()
        stack: list[tuple[int, bytes]] = []
        for entry in entries:
            count, value = 1, self.h(0, entry)
            while stack and stack[-1][0] == count:
                left = stack.pop()[1]
                count, value = count * 2, self.h(1, left + value)
            stack.append((count, value))
        value = stack.pop()[1]
        while stack:
            value = self.h(1, stack.pop()[1] + value)
        return value

    def included(self, entry: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
        """2.1.3.2: 'compare leaf_index against tree_size ... set fn and sn ... set r to hash'."""
        if index >= size:
            return False
        fn, sn, r = index, size - 1, self.h(0, entry)
        for p in path:
            if sn == 0:
                return False
            if fn % 2 == 1 or fn == sn:
                r = self.h(1, p + r)
                if fn % 2 == 0:
                    while fn % 2 == 0 and fn != 0:
                        fn //= 2
                        sn //= 2
            else:
                r = self.h(1, r + p)
            fn //= 2
            sn //= 2
        return sn == 0 and r == root

    def consistent(
        self, first: int, second: int, proof: list[bytes], first_hash: bytes, second_hash: bytes
    ) -> bool:
        """2.1.4.2."""
        if first == second:
            return not proof and first_hash == second_hash
        if not proof:
            return first == 0
        if first & (first - 1) == 0:
            proof = [first_hash, *proof]
        fn, sn = first - 1, second - 1
        while fn % 2 == 1:
            fn //= 2
            sn //= 2
        fr = sr = proof[0]
        for c in proof[1:]:
            if sn == 0:
                return False
            if fn % 2 == 1 or fn == sn:
                fr, sr = self.h(1, c + fr), self.h(1, c + sr)
                if fn % 2 == 0:
                    while fn % 2 == 0 and fn != 0:
                        fn //= 2
                        sn //= 2
            else:
                sr = self.h(1, sr + c)
            fn //= 2
            sn //= 2
        return fr == first_hash and sr == second_hash and sn == 0

    def checkpoint(self, note: str, vkey: str, witnesses: list[str]) -> tuple[str, int, bytes, int]:
        """(origin, size, root, number of witnesses that cosigned); raises if the log's signature is
        invalid."""
        text, _, signatures = note.rpartition("\n\n")
        body = (text + "\n").encode()
        origin, size, root = text.split("\n")
        found: dict[str, bool] = {}
        for key in [vkey, *witnesses]:
            name, key_id, encoded = key.split("+", 2)
            material = base64.b64decode(encoded)
            assert hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() == key_id
            for line in signatures.splitlines():
                dash, signer, blob = line.split(" ")
                raw = base64.b64decode(blob)
                if (dash, signer, raw[:4].hex()) != ("—", name, key_id):
                    continue
                public = Ed25519PublicKey.from_public_bytes(material[1:])
                if material[0] == 1:
                    public.verify(raw[4:], body)
                else:
                    stamp = int.from_bytes(raw[4:12], "big")
                    public.verify(raw[12:], f"cosignature/v1\ntime {stamp}\n".encode() + body)
                found[key] = True
        if vkey not in found:
            raise InvalidSignature
        return origin, int(size), base64.b64decode(root), len(found) - 1

    def bundle(self, folder: Path) -> int:
        """Check a bundle; return its number of entries. Raises AssertionError or InvalidSignature."""
        manifest = json.loads((folder / "manifest.json").read_text())
        vkey, witnesses = manifest["keys"][-1]["vkey"], manifest["witnesses"]
        origin, size, root, cosigned = self.checkpoint((folder / "checkpoint").read_text(), vkey, witnesses)
        entries = b"".join(p.read_bytes() for p in sorted((folder / "entries").iterdir())).split(b"\n")[:-1]
        assert len(entries) == size == manifest["size"]
        assert self.mth(entries) == root
        assert origin == manifest["origin"]
        assert cosigned == len(witnesses)
        for earlier in json.loads((folder / "history.json").read_text()):
            _, old, old_root, _ = self.checkpoint(earlier["checkpoint"], vkey, witnesses)
            proof = [base64.b64decode(text) for text in earlier["consistency"]]
            assert self.mth(entries[:old]) == old_root
            assert self.consistent(old, size, proof, old_root, root)
        return size

    def receipt(self, text: str, vkey: str) -> dict[str, Any]:
        """Check a .tlog-proof; return its entry."""
        head, _, note = text.partition("\n\n")
        lines = head.split("\n")
        assert lines[0] == "c2sp.org/tlog-proof@v1"
        extra = json.loads(base64.b64decode(lines[1].removeprefix("extra ")))
        index = int(lines[2].removeprefix("index "))
        path = [base64.b64decode(line) for line in lines[3:]]
        _, size, root, _ = self.checkpoint(note, vkey, [])
        assert self.included(extra["entry"].encode(), index, size, path, root)
        entry: dict[str, Any] = json.loads(extra["entry"])
        return entry


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def exported(log: Any, make: Any, witness_signers: Any, tmp_path: Path) -> Path:
    """A bundle of 300 entries with heads published at 1, 130 and 300, two of them cosigned."""
    from ledger.audit.formats.checkpoint import SignedCheckpoint
    from ledger.audit.keeping.export import export_bundle
    from ledger.audit.log.publish import publish

    for count in (1, 129, 170):
        with log.engine.begin() as conn:
            appended = log.append(conn, [make.entry() for _ in range(count)])
        log.committed(appended)
        signed = log.checkpoint()
        note = signed.note
        for witness in witness_signers[:2]:
            note = note.with_signature(witness.sign(note.text, at=1_762_000_000))
        publish(log, SignedCheckpoint(signed.checkpoint, note))
    export_bundle(log, tmp_path / "bundle", witnesses=[w.key for w in witness_signers[:2]])
    return tmp_path / "bundle"


def test_independent_verifier_accepts_our_bundle(exported: Path) -> None:
    assert Stranger().bundle(exported) == 300


def test_independent_verifier_detects_the_same_changes(exported: Path) -> None:
    file = exported / "entries/000000000000.ndjson"
    original = file.read_bytes()
    for changed in (
        original.replace(b"permit", b"deny", 1),
        original[:-1],
        original + b"{}\n",
        original[700:],
    ):
        file.write_bytes(changed)
        with pytest.raises(AssertionError):
            Stranger().bundle(exported)
    file.write_bytes(original)
    note = exported / "checkpoint"
    note.write_text(note.read_text().replace("\n300\n", "\n301\n"))
    with pytest.raises(InvalidSignature):
        Stranger().bundle(exported)


def test_independent_verifier_accepts_our_receipts(exported: Path, log: Any) -> None:
    for index in (0, 1, 128, 129, 255, 256, 299):
        assert Stranger().receipt(str(log.receipt(index)), str(log.signer.key)) == log.receipt(index).event


def test_independent_verifier_agrees_on_all_proofs_of_small_trees() -> None:
    from ledger.audit.formats.merkle import ProofError, consistency_proof, inclusion_proof, verify_inclusion

    stranger = Stranger()
    leaves = [b"%d" % i for i in range(40)]

    def node(level: int, index: int) -> bytes:
        return stranger.mth(leaves[index << level : (index + 1) << level])

    for size in range(1, 40):
        root = stranger.mth(leaves[:size])
        for index in range(size):
            path = inclusion_proof(index, size, node)
            assert stranger.included(leaves[index], index, size, path, root)
            for other in range(size):
                ours = True
                try:
                    verify_inclusion(root, size, other, stranger.h(0, leaves[index]), path)
                except ProofError:
                    ours = False
                assert ours == stranger.included(leaves[index], other, size, path, root) == (other == index)
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, node)
            assert stranger.consistent(old, size, proof, stranger.mth(leaves[:old]), root)


def test_independent_verifier_imports_nothing_of_ours() -> None:
    source = Path(__file__).read_text().partition("class Stranger")[2].partition("\n@pytest.fixture")[0]
    assert "ledger" not in source.replace("ledger is imported", "")
