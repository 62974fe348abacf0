"""An operator's tasks for the log: check the database, retain and erase by profile, export, timestamp."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from ledger.audit.formats.checkpoint import sign_checkpoint
from ledger.audit.formats.errors import AuditError
from ledger.audit.formats.events import read_event
from ledger.audit.formats.merkle import leaf_hash
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.export import COLUMNS, export_bundle, export_csv, export_parquet, export_tiles
from ledger.audit.keeping.fsck import fsck
from ledger.audit.keeping.keys import rotate_key
from ledger.audit.keeping.retention import (
    STANDARD,
    RetentionInvalid,
    Rule,
    archivable,
    archive_leaves,
    expirable,
    expire_openings,
    profile_json,
    read_profile,
)
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import NotReplayable
from ledger.audit.log.publish import publish
from ledger.audit.log.reading import LogReader
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify import verify_bundle
from ledger.audit.verify.tiles import from_directory, verify_directory, verify_kept, verify_tiles
from ledger.store.engine import reader

WANG = "310101199001011234"


@pytest.fixture
def filled(log: AuditLog, engine: Engine, make: Any) -> AuditLog:
    """600 entries, every tenth about a person, with a published head at 300."""
    for _ in range(2):
        with engine.begin() as conn:
            some = [make.about(WANG) if i % 10 == 0 else make.entry() for i in range(300)]
            appended = log.append(conn, some)
        log.committed(appended)
        publish(log, log.checkpoint())
    return log


# -- fsck


def test_intact_database_passes_fsck(filled: AuditLog) -> None:
    seen: list[int] = []
    report = fsck(filled, vault=filled.vault, progress=lambda done, total: seen.append(done))
    assert report.ok, report.damage
    assert (report.entries, report.tiles, seen) == (600, 2, [600])


DAMAGE = {
    "an entry edited": ("UPDATE audit_entry SET leaf = leaf_hash WHERE idx = 77", "fsck.entry", 77),
    "an entry and its hash edited": (
        "UPDATE audit_entry SET leaf = (SELECT leaf FROM audit_entry WHERE idx = 5),"
        " leaf_hash = (SELECT leaf_hash FROM audit_entry WHERE idx = 5) WHERE idx = 77",
        "fsck.column",
        77,
    ),
    "an entry deleted": ("DELETE FROM audit_entry WHERE idx = 78", "fsck.entry", 78),
    "a column changed": ("UPDATE audit_entry SET decision = 'permit' WHERE idx = 79", "fsck.column", 79),
    "an entry hidden from searches": (
        "UPDATE audit_entry SET department = 99 WHERE idx = 80",
        "fsck.column",
        80,
    ),
    "a tile damaged": ("UPDATE audit_tile SET root = data WHERE n = 1", "fsck.tile", 256),
    "a tile dropped": ("DELETE FROM audit_tile WHERE n = 0", "fsck.tile", 0),
    "a published head replaced": (
        "UPDATE audit_checkpoint SET root = (SELECT leaf_hash FROM audit_entry WHERE idx = 1) WHERE size = 300",
        "fsck.head",
        300,
    ),
    "the head replaced": (
        "UPDATE audit_state SET root = (SELECT leaf_hash FROM audit_entry WHERE idx = 1)",
        "fsck.root",
        None,
    ),
    "an opening exchanged": (
        "UPDATE audit_opening SET sealed = (SELECT sealed FROM audit_opening WHERE idx = 10) WHERE idx = 20",
        "fsck.opening",
        20,
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_every_kind_of_damage_is_named(filled: AuditLog, engine: Engine, how: str) -> None:
    statement, code, entry = DAMAGE[how]
    with engine.begin() as conn:
        conn.execute(text(statement))
    report = fsck(filled, vault=filled.vault)
    assert (code, entry) in [(d.code, d.entry) for d in report.damage], report.damage


def test_a_head_signed_by_another_key_is_named(filled: AuditLog, engine: Engine) -> None:
    """An attacker who rewrote the whole database also signed it, with a key that is not the
    installation's."""
    keys = [filled.signer.key]
    assert fsck(LogReader(engine), keys=keys).ok
    other = Signer.generate(filled.origin)
    state = filled.state()
    forged = sign_checkpoint(other, state.size, state.root)
    with engine.begin() as conn:
        conn.execute(text("UPDATE audit_state SET note = :note"), {"note": str(forged)})
    assert [(d.code, d.entry) for d in fsck(LogReader(engine), keys=keys).damage] == [("fsck.note", 600)]


def test_a_signed_head_of_another_tree_is_named(filled: AuditLog, engine: Engine) -> None:
    state = filled.state()
    other = sign_checkpoint(filled.signer, state.size, bytes(32))
    with engine.begin() as conn:
        conn.execute(text("UPDATE audit_state SET note = :note"), {"note": str(other)})
    assert [(d.code, d.entry) for d in fsck(filled).damage] == [("fsck.note", 600)]


# -- retention


def test_expired_openings_are_deleted(
    filled: AuditLog, writer: GroupCommit, engine: Engine, make: Any
) -> None:
    start = make.event().time
    profile = (Rule("chain:", None), Rule("gateway:", timedelta(days=200)), Rule("", None))
    early, late = start + timedelta(days=199), start + timedelta(days=201)
    assert expire_openings(writer, engine, profile, now=early) == 0
    assert filled.size == 600, "nothing to say, nothing said"
    assert [(rule.type_prefix, some) for rule, some in expirable(engine, profile, now=early)] == [
        ("gateway:", 0)
    ]
    assert [(rule.type_prefix, some) for rule, some in expirable(engine, profile, now=late)] == [
        ("gateway:", 60)
    ]
    assert expire_openings(writer, engine, profile, now=late) == 60
    assert expirable(engine, profile, now=late)[0][1] == 0
    assert filled.receipt(600).event["type"] == "log:openings:expired"
    assert filled.vault is not None
    with reader(engine).connect() as conn, pytest.raises(NotReplayable):
        filled.vault.open(conn, 10, read_event(filled.entry(10).leaf))


def test_an_earlier_rule_of_the_profile_decides(
    filled: AuditLog, writer: GroupCommit, engine: Engine, make: Any
) -> None:
    profile = (Rule("gateway:read:", None), Rule("", timedelta(days=183)))
    late = make.event().time + timedelta(days=4000)
    assert expire_openings(writer, engine, profile, now=late) == 0


def test_openings_expire_in_short_logged_transactions(
    filled: AuditLog, writer: GroupCommit, engine: Engine, make: Any
) -> None:
    profile = (Rule("", timedelta(days=183)),)
    late = make.event().time + timedelta(days=184)
    assert expire_openings(writer, engine, profile, now=late, at_once=25) == 60
    said = [read_event(entry.leaf) for entry in filled.entries(600)]
    assert [(event.type, event.counts["openings"]) for event in said] == [
        ("log:openings:expired", some) for some in (25, 25, 10)
    ]


def test_profile_below_six_months_is_refused() -> None:
    with pytest.raises(RetentionInvalid, match="six months"):
        Rule("gateway:", None, timedelta(days=182))
    with pytest.raises(RetentionInvalid, match="six months"):
        Rule("gateway:", timedelta(days=182))
    assert all(rule.leaves is None or rule.leaves >= timedelta(days=183) for rule in STANDARD)


def test_profile_is_restored_from_json() -> None:
    assert read_profile(json.dumps(profile_json(STANDARD))) == STANDARD


RULE = {"types": "gateway:", "openings_days": 200, "leaves_days": None}
BAD_PROFILES = {
    "no JSON": "{",
    "a list": "[]",
    "of another version": json.dumps({"version": 2, "rules": [RULE]}),
    "with more than it should have": json.dumps({"version": 1, "rules": [RULE], "grace": 1}),
    "without rules": json.dumps({"version": 1, "rules": []}),
    "a rule without a member": json.dumps({"version": 1, "rules": [{"types": "gateway:"}]}),
    "a rule that is a number": json.dumps({"version": 1, "rules": [7]}),
    "a wildcard": json.dumps({"version": 1, "rules": [RULE | {"types": "gate%"}]}),
    "a type that is no text": json.dumps({"version": 1, "rules": [RULE | {"types": None}]}),
    "less than six months": json.dumps({"version": 1, "rules": [RULE | {"openings_days": 182}]}),
    "days as text": json.dumps({"version": 1, "rules": [RULE | {"openings_days": "200"}]}),
    "days as truth": json.dumps({"version": 1, "rules": [RULE | {"leaves_days": True}]}),
    "days beyond all time": json.dumps({"version": 1, "rules": [RULE | {"leaves_days": 10**12}]}),
    "a rule that never decides": json.dumps(
        {"version": 1, "rules": [RULE | {"types": ""}, RULE | {"types": "gateway:read:"}]}
    ),
}


@pytest.mark.parametrize("how", BAD_PROFILES)
def test_a_bad_profile_is_refused_with_its_code(how: str) -> None:
    with pytest.raises(RetentionInvalid) as refused:
        read_profile(BAD_PROFILES[how])
    assert refused.value.code == "audit.retention"


def test_entries_without_a_rule_are_kept(filled: AuditLog, engine: Engine, make: Any) -> None:
    late = make.event().time + timedelta(days=9000)
    profile = (Rule("chain:", timedelta(days=200), timedelta(days=200)),)
    assert archivable(filled, profile, now=late) == 0
    assert [some for _, some in expirable(engine, profile, now=late)] == [0]


def test_leaves_are_archived_in_whole_tiles_and_every_proof_still_holds(
    filled: AuditLog, writer: GroupCommit, make: Any, tmp_path: Path, trust_of: Any
) -> None:
    early = filled.checkpoint()
    profile = (Rule("gateway:", None, timedelta(days=200)), Rule("", None, None))
    late = make.event().time + timedelta(days=300)
    before = archivable(filled, profile, now=late)
    assert before == 512
    assert archivable(filled, profile, now=late - timedelta(days=290)) == 0
    leaf = filled.entry(500).leaf
    export_bundle(filled, tmp_path / "archive.tar")
    archive = verify_bundle(tmp_path / "archive.tar")
    with pytest.raises(RetentionInvalid, match="keeps entries from 0 on"):
        archive_leaves(writer, filled, 512, archive, profile, now=late - timedelta(days=290))
    assert archive_leaves(writer, filled, before, archive, profile, now=late).value == 512
    assert filled.pruned == 512
    assert filled.entry(500).leaf == b""
    assert filled.entry(500).leaf_hash == leaf_hash(leaf)
    filled.inclusion(500)
    filled.consistency(300)
    assert fsck(filled).ok
    export_bundle(filled, tmp_path / "rest")
    verdict = verify_bundle(tmp_path / "rest")
    assert verdict.ok, verdict.lines()
    assert verdict.leaves_hashed == 601 - 512
    assert "entries 0 to 511 are archived" in verdict.remarks[0]
    assert verify_bundle(tmp_path / "rest", trust_of(filled)).word == "verified in part"
    export_bundle(filled, tmp_path / "early", checkpoint=early)
    assert verify_bundle(tmp_path / "early", trust_of(filled)).word == "verified in part"
    new = rotate_key(filled, Signer.generate(filled.origin))
    export_bundle(new, tmp_path / "rotated")
    assert verify_bundle(tmp_path / "rotated", trust_of(filled)).word == "verified in part"
    with pytest.raises(AuditError, match="did not sign this head"):
        export_bundle(new, tmp_path / "before", checkpoint=early)
    with pytest.raises(LookupError, match="archived"):
        new.tile_bytes("entries", 1)
    with pytest.raises(AuditError, match=r"does not hold all|no verified"):
        archive_leaves(writer, filled, 256, verify_bundle(tmp_path / "nowhere"), STANDARD)


def test_only_entries_in_a_verified_bundle_are_archived(
    filled: AuditLog, writer: GroupCommit, tmp_path: Path
) -> None:
    heads = filled.published()
    assert heads is not None
    export_bundle(filled, tmp_path / "bundle")
    damaged = tmp_path / "bundle/entries/000000000000.ndjson"
    damaged.write_bytes(damaged.read_bytes().replace(b"permit", b"Permit", 1))
    with pytest.raises(AuditError, match="no verified bundle"):
        archive_leaves(writer, filled, 256, verify_bundle(tmp_path / "bundle"), STANDARD)
    with pytest.raises(AuditError, match="whole tiles"):
        archive_leaves(writer, filled, 100, verify_bundle(tmp_path / "bundle"), STANDARD)
    assert filled.entry(0).leaf


# -- exports


def test_csv_and_parquet_match_the_entries(filled: AuditLog, tmp_path: Path) -> None:
    assert export_csv(filled, tmp_path / "log.csv") == 600
    assert export_parquet(filled, tmp_path / "log.parquet") == 600
    with (tmp_path / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "log.parquet").to_pylist()
    for index in (0, 1, 299, 599):
        body = json.loads(filled.entry(index).leaf)
        assert rows[index]["id"] == table[index]["id"] == body["id"]
        assert json.loads(rows[index]["counts"]) == json.loads(table[index]["counts"]) == body["counts"]
        assert leaf_hash(table[index]["leaf"]) == table[index]["leaf_hash"]
    assert tuple(rows[0]) == COLUMNS


def test_no_cell_of_the_csv_is_run_as_a_formula(
    writer: GroupCommit, log: AuditLog, make: Any, tmp_path: Path
) -> None:
    writer.append(make.entry(purpose='=HYPERLINK("http://x")', service="@SUM(1)")).result()
    export_csv(log, tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["purpose"][:2], row["service"][:2]) == ("'=", "'@")


# -- static tiles


def test_static_tiles_verify_and_any_changed_byte_is_refused(
    filled: AuditLog, tmp_path: Path, trust_of: Any
) -> None:
    export_tiles(filled, tmp_path / "tiles")
    trust = trust_of(filled)
    assert verify_tiles(from_directory(tmp_path / "tiles"), trust).word == "verified"
    assert verify_tiles(from_directory(tmp_path / "tiles")).word == "self-consistent only"
    for file in sorted(path for path in (tmp_path / "tiles").rglob("*") if path.is_file()):
        original = file.read_bytes()
        step = max(1, len(original) // 40)
        for at in range(0, len(original), step):
            file.write_bytes(original[:at] + bytes([original[at] ^ 4]) + original[at + 1 :])
            assert not verify_tiles(from_directory(tmp_path / "tiles"), trust).ok, f"{file} {at}"
        file.write_bytes(original)


def test_interrupted_check_of_tiles_is_resumed(filled: AuditLog, tmp_path: Path, trust_of: Any) -> None:
    export_tiles(filled, tmp_path / "tiles")
    asked: list[str] = []

    def over_the_network(path: str) -> bytes:
        asked.append(path)
        if len(asked) == 5:
            raise OSError("the line went dead")
        return from_directory(tmp_path / "tiles")(path)

    kept = tmp_path / "kept"
    broken = verify_kept(kept, over_the_network, trust_of(filled))
    assert [f.code for f in broken.findings] == ["bundle.missing"]
    first = list(asked)
    assert verify_kept(kept, over_the_network, trust_of(filled)).ok
    assert not set(asked[5:]) & set(first[1:4]), "what was fetched is not fetched again"


def test_damaged_local_tiles_are_fetched_again(filled: AuditLog, tmp_path: Path, trust_of: Any) -> None:
    export_tiles(filled, tmp_path / "tiles")
    fetch, kept = from_directory(tmp_path / "tiles"), tmp_path / "kept"
    assert verify_kept(kept, fetch, trust_of(filled)).ok
    for path in ("tile/entries/000", "tile/0/001", "tile/0/002.p/88"):
        for spoiled in (b"", (kept / path).read_bytes()[:-1] + b"?"):
            (kept / path).write_bytes(spoiled)
            assert verify_kept(kept, fetch, trust_of(filled)).ok, path
            assert (kept / path).read_bytes() == fetch(path), "and the next check need not ask again"


def test_kept_state_does_not_hide_a_rewritten_log(filled: AuditLog, tmp_path: Path, trust_of: Any) -> None:
    export_tiles(filled, tmp_path / "tiles")
    kept = tmp_path / "kept"
    assert verify_kept(kept, from_directory(tmp_path / "tiles"), trust_of(filled)).ok
    served = tmp_path / "tiles/tile/entries/001"
    served.write_bytes(served.read_bytes().replace(b'"permit"', b'"Permit"', 1))
    (kept / "tile/entries/001").unlink()
    verdict = verify_kept(kept, from_directory(tmp_path / "tiles"), trust_of(filled))
    assert [(finding.code, finding.entry) for finding in verdict.findings] == [("entry.changed", 256)]


def test_a_check_of_a_tiles_directory_is_resumed_and_notices_what_changed_since(
    filled: AuditLog, tmp_path: Path, trust_of: Any
) -> None:
    export_tiles(filled, tmp_path / "tiles")
    record = tmp_path / "checked.json"
    first = verify_directory(tmp_path / "tiles", trust_of(filled), resume=record)
    assert (first.word, first.remarks) == ("verified", ())
    again = verify_directory(tmp_path / "tiles", trust_of(filled), resume=record)
    assert again.ok
    assert "600 of them were re-hashed in an earlier run" in again.remarks[0]
    served = tmp_path / "tiles/tile/entries/001"
    served.write_bytes(served.read_bytes().replace(b'"permit"', b'"Permit"', 1))
    changed = verify_directory(tmp_path / "tiles", trust_of(filled), resume=record)
    assert [finding.code for finding in changed.findings] == ["entry.changed"]
    served.unlink()
    gone = verify_directory(tmp_path / "tiles", trust_of(filled), resume=record)
    assert [finding.code for finding in gone.findings] == ["bundle.missing"]
