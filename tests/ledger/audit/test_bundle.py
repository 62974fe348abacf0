"""A bundle: verified completely, refused when any byte changes, and never reported as more than was checked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit.formats.checkpoint import Head, SignedCheckpoint, read_checkpoint, sign_checkpoint
from ledger.audit.formats.note import Signer
from ledger.audit.keeping import export
from ledger.audit.keeping.export import export_bundle, spread
from ledger.audit.log.log import AuditLog
from ledger.audit.log.publish import publish
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify import Trust, Verdict, compare_bundles, verify_bundle

TrustOf = Callable[..., Trust]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def cosign(signed: SignedCheckpoint, witnesses: list[Signer]) -> SignedCheckpoint:
    note = signed.note
    for witness in witnesses:
        note = note.with_signature(witness.sign(note.text, at=1_762_000_000))
    return SignedCheckpoint(signed.checkpoint, note)


@pytest.fixture
def filled(log: AuditLog, writer: GroupCommit, make, witness_signers) -> AuditLog:  # type: ignore[no-untyped-def]
    """Eleven entries, with heads of size 4 and 11 cosigned by two witnesses."""
    for _ in range(4):
        writer.append(make.entry()).result()
    publish(log, cosign(log.checkpoint(), witness_signers[:2]))
    for _ in range(7):
        writer.append(make.entry()).result()
    publish(log, cosign(log.checkpoint(), witness_signers[:2]))
    return log


@pytest.fixture
def trust(filled: AuditLog, trust_of: TrustOf, witness_signers: list[Signer]) -> Trust:
    return trust_of(
        filled,
        witnesses=tuple(w.key for w in witness_signers),
        quorum=2,
        pins=(Head(4, filled.root_at(4)),),
    )


@pytest.fixture
def bundle(filled: AuditLog, tmp_path: Path, witness_signers: list[Signer]) -> Path:
    path = tmp_path / "bundle"
    export_bundle(filled, path, witnesses=[w.key for w in witness_signers])
    return path


def names(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.findings]


def test_bundle_is_verified_with_a_trust_file(bundle: Path, trust: Trust) -> None:
    verdict = verify_bundle(bundle, trust)
    assert (verdict.word, verdict.anchor) == ("verified", "anchor not checked"), verdict.lines()
    assert verdict.size == verdict.leaves_hashed == 11
    assert verdict.held_elsewhere == (
        "witnesses witness.example/education, witness.example/health",
        "the pinned head of size 4",
    )


def test_without_one_it_is_self_consistent_only(bundle: Path) -> None:
    assert verify_bundle(bundle).lines()[0] == "self-consistent only; anchor not checked"


def test_verdict_says_when_nothing_external_was_compared(
    bundle: Path, filled: AuditLog, trust_of: TrustOf
) -> None:
    verdict = verify_bundle(bundle, trust_of(filled))
    assert verdict.word == "verified"
    assert any("nothing held elsewhere" in line for line in verdict.lines())


def test_a_trust_file_is_read_back_as_written(trust: Trust, tmp_path: Path, bundle: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(trust.to_json())
    assert Trust.load(path) == trust
    assert verify_bundle(bundle, path).word == "verified"


def test_progress_is_reported(bundle: Path) -> None:
    seen: list[tuple[int, int]] = []
    verify_bundle(bundle, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (11, 11)


@pytest.fixture
def small(  # type: ignore[no-untyped-def]
    log: AuditLog, writer: GroupCommit, make, witness_signers: list[Signer], trust_of: TrustOf, tmp_path: Path
) -> tuple[Path, Trust]:
    """The smallest bundle with every kind of file: three entries, an earlier head, a witness."""
    for _ in range(3):
        writer.append(make.entry(engine=None, terms_hash=None, plan_hash=None)).result()
        publish(log, cosign(log.checkpoint(), witness_signers[:1]))
    path = tmp_path / "small"
    witnesses = tuple(w.key for w in witness_signers[:1])
    export_bundle(log, path, witnesses=witnesses)
    return path, trust_of(log, witnesses=witnesses, quorum=1)


@pytest.mark.parametrize("with_trust", [True, False], ids=["trust", "no trust"])
def test_any_changed_byte_of_any_file_is_refused(small: tuple[Path, Trust], with_trust: bool) -> None:
    bundle, trust = small
    given = trust if with_trust else None
    assert verify_bundle(bundle, given).ok
    for file in sorted(path for path in bundle.rglob("*") if path.is_file()):
        original = file.read_bytes()
        for at in range(0, len(original), 1 if with_trust else 7):
            mask = 1 << (at % 8)
            file.write_bytes(original[:at] + bytes([original[at] ^ mask]) + original[at + 1 :])
            verdict = verify_bundle(bundle, given)
            assert not verdict.ok, f"byte {at} of {file.name} may be anything"
            assert verdict.findings[0].message
        file.write_bytes(original)
        for changed in (original + b"\n", original + b" ", original[:-1], original[1:]):
            if changed != original:
                file.write_bytes(changed)
                assert not verify_bundle(bundle, given).ok, f"{file.name} may be longer or shorter"
        file.write_bytes(original)
    assert verify_bundle(bundle, given).ok


def test_any_changed_byte_of_a_tar_bundle_is_refused(
    small: tuple[Path, Trust], log: AuditLog, tmp_path: Path
) -> None:
    trust = small[1]
    path = tmp_path / "log.tar"
    export_bundle(log, path, witnesses=trust.witnesses)
    assert verify_bundle(path, trust).word == "verified"
    original = path.read_bytes()
    with path.open("r+b") as file:
        for at in range(0, len(original), 5):
            file.seek(at)
            file.write(bytes([original[at] ^ (1 << (at % 8))]))
            file.flush()
            assert not verify_bundle(path, trust).ok, f"byte {at} may be anything"
            file.seek(at)
            file.write(original[at : at + 1])
            file.flush()
    for changed in (original + bytes(512), original[:-512], original[:-1]):
        path.write_bytes(changed)
        assert not verify_bundle(path, trust).ok


def test_files_may_be_neither_missing_nor_added(bundle: Path) -> None:
    (bundle / "README").write_text("hello")
    assert names(verify_bundle(bundle)) == ["bundle.extra"]
    (bundle / "README").unlink()
    (bundle / "history.json").unlink()
    assert names(verify_bundle(bundle)) == ["bundle.missing"]
    assert names(verify_bundle(bundle / "nowhere")) == ["bundle.missing"]


# -- tampering, naive: the entry is changed, nothing else


def rewrite(bundle: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    file = bundle / "entries/000000000000.ndjson"
    lines = file.read_bytes().split(b"\n")[:-1]
    file.write_bytes(b"".join(line + b"\n" for line in change(lines)))


def edit(lines: list[bytes]) -> list[bytes]:
    return [*lines[:6], lines[6].replace(b'"permit"', b'"deny"').replace(b"rows", b"cows"), *lines[7:]]


NAIVE = {
    "edited": (edit, "entry.changed", 6),
    "deleted": (lambda ls: ls[:3] + ls[4:], "entry.deleted", 3),
    "deleted two": (lambda ls: ls[:3] + ls[5:], "entry.deleted", 3),
    "deleted and filled up": (lambda ls: [*ls[:3], *ls[4:], b'{"v":1}'], "entry.deleted", 3),
    "swapped": (lambda ls: [*ls[:2], ls[8], *ls[3:8], ls[2], *ls[9:]], "entry.swapped", 2),
    "reordered": (lambda ls: [*ls[:2], ls[4], ls[2], ls[3], *ls[5:]], "entry.reordered", 2),
    "inserted": (lambda ls: [*ls[:5], b'{"v":1}', *ls[5:]], "entry.inserted", 5),
    "cut off": (lambda ls: ls[:9], "entry.truncated", 9),
    "added at the end": (lambda ls: [*ls, b'{"v":1}'], "entry.appended", 11),
}


@pytest.mark.parametrize("how", NAIVE)
def test_naive_tampering_is_named_with_its_entry(bundle: Path, how: str) -> None:
    change, code, entry = NAIVE[how]
    rewrite(bundle, change)
    finding = verify_bundle(bundle).findings[0]
    assert (finding.code, finding.entry, finding.file) == (code, entry, "entries/000000000000.ndjson")


def test_damaged_hash_is_distinguished_from_a_damaged_entry(bundle: Path) -> None:
    file = bundle / "leaf-hashes/000000000000.bin"
    data = bytearray(file.read_bytes())
    data[5 * 32 + 3] ^= 1
    file.write_bytes(data)
    finding = verify_bundle(bundle).findings[0]
    assert (finding.code, finding.entry) == ("hash.changed", 5)


# -- tampering by an insider who rebuilds everything, with and without the log's key


def forge(bundle: Path, tmp_path: Path, signer: Signer, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    """Rebuild a complete bundle from changed leaves, signed with ``signer``, as an insider would."""
    from ledger.audit.formats.checkpoint import sign_checkpoint
    from ledger.audit.formats.merkle import leaf_hash, root_of_hashes
    from ledger.audit.verify.bundle import DIGESTED
    from ledger.audit.verify.strict import write_json

    target = tmp_path / "forged"
    shutil.copytree(bundle, target)
    rewrite(target, change)
    leaves = (target / "entries/000000000000.ndjson").read_bytes().split(b"\n")[:-1]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    (target / "leaf-hashes/000000000000.bin").write_bytes(b"".join(hashes))
    signed = sign_checkpoint(signer, len(leaves), root_of_hashes(hashes))
    (target / "checkpoint").write_bytes(bytes(signed.note))
    (target / "history.json").write_bytes(write_json([]))
    manifest = json.loads((target / "manifest.json").read_bytes())
    from hashlib import sha256

    from ledger.audit.formats.note import b64

    manifest.update(size=len(leaves), root=b64(signed.root), witnesses=[])
    manifest["keys"] = [{"vkey": str(signer.key), "from_size": 0, "handover": ""}]
    manifest["digests"] = {name: sha256((target / name).read_bytes()).hexdigest() for name in DIGESTED}
    (target / "manifest.json").write_bytes(write_json(manifest))
    return target


@pytest.mark.parametrize("how", NAIVE)
def test_completely_forged_bundle_fails_against_the_trust_file(
    bundle: Path, tmp_path: Path, filled: AuditLog, trust: Trust, trust_of: TrustOf, how: str
) -> None:
    change = NAIVE[how][0]
    stranger = Signer.generate(filled.origin)
    forged = forge(bundle, tmp_path, stranger, change)
    assert verify_bundle(forged).word == "self-consistent only"
    assert "trust.key" in names(verify_bundle(forged, trust_of(filled)))


@pytest.mark.parametrize("how", NAIVE)
def test_forgery_with_the_log_key_is_detected_by_heads_of_others(
    bundle: Path, tmp_path: Path, filled: AuditLog, trust_of: TrustOf, witness_signers: list[Signer], how: str
) -> None:
    forged = forge(bundle, tmp_path, filled.signer, NAIVE[how][0])
    assert verify_bundle(forged, trust_of(filled)).ok, "the key alone cannot tell"
    witnessed = trust_of(filled, witnesses=tuple(w.key for w in witness_signers), quorum=2)
    assert names(verify_bundle(forged, witnessed)) == ["trust.quorum"]
    receipt = filled.receipt(10)
    pinned = trust_of(filled, pins=(receipt.signed.checkpoint.head,))
    found = names(verify_bundle(forged, pinned))
    if how != "added at the end":  # A log may grow by one.
        assert found in (["trust.pin"], ["trust.rollback"])


def test_rewriting_entries_and_hashes_but_not_the_checkpoint_is_named(bundle: Path) -> None:
    from ledger.audit.formats.merkle import leaf_hash

    rewrite(bundle, edit)
    leaves = (bundle / "entries/000000000000.ndjson").read_bytes().split(b"\n")[:-1]
    (bundle / "leaf-hashes/000000000000.bin").write_bytes(b"".join(map(leaf_hash, leaves)))
    finding = verify_bundle(bundle).findings[0]
    assert finding.code == "entries.rewritten"
    assert finding.entry == 4, "the head of size 4 still matches, the one of size 11 does not"


def test_bundle_of_another_log_is_refused(bundle: Path, trust: Trust) -> None:
    origin = trust.origin.removesuffix("/1") + "/2"
    other = Trust(
        origin=origin,
        log_key=Signer.generate(origin).key,
        chain_id=trust.chain_id,
        ledger_contract=trust.ledger_contract,
        anchor_contract=trust.anchor_contract,
    )
    assert names(verify_bundle(bundle, other)) == ["trust.origin"]


def test_rollback_to_an_older_bundle_is_refused(
    filled: AuditLog, tmp_path: Path, trust_of: TrustOf, witness_signers: list[Signer]
) -> None:
    old = filled.published()
    with filled.engine.connect() as conn:
        from sqlalchemy import select

        from ledger.audit.log.reading import checkpoint_table

        note = conn.execute(select(checkpoint_table.c.note).where(checkpoint_table.c.size == 4)).scalar_one()
    old = read_checkpoint(note)
    path = tmp_path / "yesterday"
    export_bundle(filled, path, checkpoint=old, witnesses=[w.key for w in witness_signers])
    assert verify_bundle(path, trust_of(filled)).size == 4
    newer = trust_of(filled, pins=(Head(11, filled.root),))
    finding = verify_bundle(path, newer).findings[0]
    assert (finding.code, finding.entry) == ("trust.rollback", 4)


def test_two_bundles_of_different_dates_are_compared(
    filled: AuditLog, tmp_path: Path, trust: Trust, witness_signers: list[Signer], make: Any
) -> None:
    export_bundle(filled, tmp_path / "monday")
    append(filled, make, 6)
    export_bundle(filled, tmp_path / "tuesday")
    compared = compare_bundles(tmp_path / "monday", tmp_path / "tuesday")
    assert (compared.ok, compared.held_elsewhere) == (True, ("the pinned head of size 11",))
    assert names(compare_bundles(tmp_path / "tuesday", tmp_path / "monday")) == ["trust.rollback"]
    forged = forge(tmp_path / "tuesday", tmp_path, filled.signer, edit)
    assert names(compare_bundles(tmp_path / "monday", forged)) == ["trust.pin"]
    (tmp_path / "monday/checkpoint").write_text("nothing")
    assert names(compare_bundles(tmp_path / "monday", tmp_path / "tuesday")) == ["checkpoint.signature"]


def append(log: AuditLog, make: Any, count: int) -> None:
    with log.engine.begin() as conn:
        appended = log.append(conn, [make.entry() for _ in range(count)])
    log.committed(appended)


def test_a_log_larger_than_one_file_is_verified_and_tampering_named(
    log: AuditLog, tmp_path: Path, make: Any
) -> None:
    for _ in range(17):
        append(log, make, 4100)
    publish(log, sign_checkpoint(log.signer, 66_000, log.root_at(66_000)))
    path = tmp_path / "large"
    export_bundle(log, path)
    verdict = verify_bundle(path)
    assert (verdict.ok, verdict.leaves_hashed) == (True, 69_700), verdict.lines()
    second = path / "entries/000000065536.ndjson"
    original = second.read_bytes()
    lines = original.split(b"\n")
    second.write_bytes(b"\n".join(lines[:900] + lines[901:]))
    finding = verify_bundle(path).findings[0]
    assert (finding.code, finding.entry) == ("entry.deleted", 65_536 + 900)
    second.write_bytes(original)
    first = path / "entries/000000000000.ndjson"
    moved = first.read_bytes().split(b"\n")
    del moved[40_000]
    first.write_bytes(b"\n".join([*moved[:-1], lines[0], b""]))
    second.write_bytes(b"\n".join(lines[1:]))
    finding = verify_bundle(path).findings[0]
    assert (finding.code, finding.entry) == ("entry.deleted", 40_000), "moved up across the files"


class Interrupted(Exception):
    """The auditor interrupted the check."""


def test_interrupted_check_is_resumed(log: AuditLog, tmp_path: Path, make: Any) -> None:
    for _ in range(17):
        append(log, make, 4100)
    path, record = tmp_path / "large", tmp_path / "record"
    export_bundle(log, path)

    def interrupt(done: int, total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        verify_bundle(path, progress=interrupt, resume=record)
    first = path / "entries/000000000000.ndjson"
    data = first.read_bytes()
    second = path / "entries/000000065536.ndjson"
    assert verify_bundle(path, resume=record).ok
    stat = first.stat()
    assert json.loads(record.read_text()).keys() == {"0", "65536"}
    second.write_bytes(second.read_bytes().replace(b"permit", b"Permit", 1))
    assert names(verify_bundle(path, resume=record)) == ["entry.changed"], (
        "a file written since is hashed again"
    )
    first.write_bytes(data.replace(b"permit", b"Permit", 1))
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert verify_bundle(path, resume=record).findings[0].entry == 0, "and so is one whose time was set back"
    record.write_text("{ damaged")
    assert not verify_bundle(path, resume=record).ok


@given(st.integers(0, 3_000), st.integers(2, 300))
def test_newest_heads_and_an_even_selection_are_kept(count: int, most: int) -> None:
    items = list(range(count))
    kept = spread(items, most)
    assert len(kept) <= most
    assert kept == sorted(set(kept))
    assert kept[-(most // 2) :] == items[-min(count, most // 2) :] if count >= most // 2 else kept == items
    assert not items or kept[0] == 0 or most // 2 >= count


def test_a_log_with_a_head_a_minute_is_exported_with_a_bounded_number_of_heads(  # type: ignore[no-untyped-def]
    log: AuditLog, make, tmp_path: Path, trust_of: TrustOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_HEADS", 16)
    for _ in range(60):
        append(log, make, 1)
        publish(log, log.checkpoint())
    export_bundle(log, tmp_path / "bundle")
    history = json.loads((tmp_path / "bundle" / "history.json").read_text())
    sizes = [int(item["checkpoint"].split("\n")[1]) for item in history]
    assert len(sizes) <= 16
    assert sizes[-8:] == list(range(52, 60))
    assert sizes[0] == 1
    trust = trust_of(log, pins=(Head(30, log.root_at(30)),))
    assert verify_bundle(tmp_path / "bundle", trust).word == "verified"
