"""``civic audit verify``: a bundle checked without server, profile and key; any changed byte is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlmodel import SQLModel

import ledger.store.tables.audit
from ledger.audit.formats.events import Event
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.export import export_bundle, export_tiles
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.store.engine import open_engine
from tests.api.cli.conftest import Run
from tests.ledger.audit.by_hand import Forgery, Key, archive_statement, b64, chain, h, mth

assert ledger.store.tables.audit


def event(number: int) -> Event:
    return Event(
        id=uuid4(),
        type="gateway:read:decided",
        time=datetime(2026, 11, 22, 8, 0, number, tzinfo=UTC),
        department=9,
        asset="7.12",
        decision="permit" if number % 2 else "deny",
        reasons=() if number % 2 else ("purpose.mismatch",),
        purpose="dpv:PublicBenefit",
    )


@pytest.fixture
def log(tmp_path: Path, log_signer: Signer) -> Iterator[AuditLog]:
    """A log of twenty decisions."""
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    SQLModel.metadata.create_all(engine)
    log = AuditLog.open(engine, log_signer)
    with engine.begin() as connection:
        appended = log.append(connection, [NewEntry(event(number)) for number in range(20)])
    log.committed(appended)
    yield log
    engine.dispose()


@pytest.fixture
def bundle(tmp_path: Path, log: AuditLog) -> Path:
    path = tmp_path / "bundle.tar"
    export_bundle(log, path)
    return path


def test_a_bundle_is_verified_against_the_installation_s_trust_file(
    run: Run, bundle: Path, trust_file: Path
) -> None:
    done = run("audit", "verify", bundle, "--trust", trust_file, "--json")
    assert done.code == 0, done.out
    assert (done.document["verdict"], done.document["leaves_hashed"]) == ("verified", 20)
    assert "Verified against the trust file" in run("audit", "verify", bundle, "--trust", trust_file).out


def test_without_a_trust_file_it_is_self_consistent_only(run: Run, bundle: Path) -> None:
    done = run("audit", "verify", bundle)
    assert done.code == 0
    assert "self-consistent only" in done.out
    assert "verified" not in done.out.lower()


def test_a_changed_entry_is_named(run: Run, tmp_path: Path, log: AuditLog) -> None:
    path = tmp_path / "bundle"
    export_bundle(log, path)
    [leaves] = (path / "entries").iterdir()
    lines = leaves.read_bytes().splitlines(keepends=True)
    lines[7] = lines[7].replace(b'"permit"', b'"denied"')
    leaves.write_bytes(b"".join(lines))
    done = run("audit", "verify", path, "--json")
    assert (done.code, done.document["verdict"]) == (1, "failed")
    assert 7 in {finding["entry"] for finding in done.document["findings"]}
    said = run("audit", "verify", path).out
    assert "FAILED" in said
    assert "First wrong entry: 7" in said


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_any_changed_byte_fails(run: Run, bundle: Path, trust_file: Path, place: float) -> None:
    content = bytearray(bundle.read_bytes())
    content[int(len(content) * place)] ^= 1
    bundle.write_bytes(content)
    assert run("audit", "verify", bundle, "--trust", trust_file, "--json").code == 1


def test_completely_forged_bundle_fails_only_against_the_trust_file(
    run: Run, tmp_path: Path, trust_file: Path, log_signer: Signer
) -> None:
    """An operator who rebuilds everything under a key of its own is consistent with itself, and with nothing else."""
    engine = open_engine(f"sqlite:///{tmp_path / 'forged.sqlite'}")
    SQLModel.metadata.create_all(engine)
    forged = AuditLog.open(engine, Signer.generate(log_signer.key.name))
    with engine.begin() as connection:
        appended = forged.append(connection, [NewEntry(event(number)) for number in range(5)])
    forged.committed(appended)
    path = tmp_path / "forged.tar"
    export_bundle(forged, path)
    engine.dispose()
    assert run("audit", "verify", path, "--json").document["verdict"] == "self-consistent only"
    refused = run("audit", "verify", path, "--trust", trust_file, "--json")
    assert (refused.code, refused.document["verdict"]) == (1, "failed")
    assert {finding["code"] for finding in refused.document["findings"]} == {"trust.key"}


def test_a_kept_checkpoint_is_matched_and_another_one_refused(
    run: Run, tmp_path: Path, log: AuditLog, bundle: Path, trust_file: Path
) -> None:
    kept = tmp_path / "kept.note"
    kept.write_text(str(log.checkpoint()))
    done = run("audit", "verify", bundle, "--trust", trust_file, "--kept", kept, "--json")
    assert done.document["held_elsewhere"] == ["the pinned head of size 20"]
    kept.write_text(str(log.checkpoint()).replace("\n20\n", "\n21\n"))
    refused = run("audit", "verify", bundle, "--trust", trust_file, "--kept", kept, "--json")
    assert (refused.code, refused.error["code"]) == (1, "audit.trust")
    assert run("audit", "verify", bundle, "--kept", kept, "--json").code == 2


def test_log_truncated_before_a_kept_receipt_is_detected(
    run: Run, tmp_path: Path, log: AuditLog, log_signer: Signer, trust_file: Path
) -> None:
    """The operator signs with the right key; only what a department kept shows that entries are missing."""
    receipt = tmp_path / "kept.tlog-proof"
    receipt.write_text(str(log.receipt(19)))
    engine = open_engine(f"sqlite:///{tmp_path / 'shorter.sqlite'}")
    SQLModel.metadata.create_all(engine)
    shorter = AuditLog.open(engine, log_signer)
    with engine.begin() as connection:
        appended = shorter.append(connection, [NewEntry(event(number)) for number in range(3)])
    shorter.committed(appended)
    path = tmp_path / "shorter.tar"
    export_bundle(shorter, path)
    engine.dispose()
    assert run("audit", "verify", path, "--trust", trust_file, "--json").code == 0
    refused = run("audit", "verify", path, "--trust", trust_file, "--kept", receipt, "--json")
    assert (refused.code, refused.document["verdict"]) == (1, "failed")
    assert {finding["code"] for finding in refused.document["findings"]} == {"trust.rollback"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}'])
def test_bad_trust_file_is_refused_with_a_code(run: Run, bundle: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "trust.json"
    path.write_text(content)
    refused = run("audit", "verify", bundle, "--trust", path, "--json")
    assert (refused.code, refused.error["code"]) == (1, "audit.trust")


def test_a_missing_bundle_or_trust_file_fails(run: Run, bundle: Path, tmp_path: Path) -> None:
    absent = run("audit", "verify", tmp_path / "nowhere", "--json")
    assert (absent.code, "verdict" in absent.document) == (2, False)
    refused = run("audit", "verify", bundle, "--trust", tmp_path / "nowhere.json", "--json")
    assert (refused.code, refused.error["code"]) == (1, "audit.trust")


def test_one_receipt_is_checked_alone(run: Run, tmp_path: Path, log: AuditLog, trust_file: Path) -> None:
    path = tmp_path / "3.tlog-proof"
    path.write_text(str(log.receipt(3)))
    done = run("audit", "receipt", "verify", path, "--trust", trust_file, "--json")
    assert (done.code, done.document["verdict"], done.document["index"]) == (0, "verified", 3)
    assert done.document["entry"]["decision"] == "permit"
    assert run("audit", "receipt", "verify", path, "--json").document["verdict"] == "self-consistent only"
    path.write_text(path.read_text().replace("index 3", "index 4"))
    assert run("audit", "receipt", "verify", path, "--trust", trust_file, "--json").code == 1


def test_the_verifier_needs_no_profile_and_no_database(
    bundle: Path, trust_file: Path, tmp_path: Path
) -> None:
    """Run as a stranger would, with nothing of the server imported."""
    import os
    import subprocess
    import sys

    program = (
        "import sys; from api.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = [m for m in ('sqlalchemy', 'web3', 'fastapi', 'duckdb', 'httpx') if m in sys.modules];"
        "print(heavy, file=sys.stderr); sys.exit(code)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIVIC_")}
    done = subprocess.run(
        [sys.executable, "-c", program, "audit", "verify", str(bundle), "--trust", str(trust_file), "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)["verdict"] == "verified"


def test_resumed_check_detects_later_changes(
    run: Run, tmp_path: Path, log: AuditLog, trust_file: Path
) -> None:
    path, notes = tmp_path / "bundle", tmp_path / "notes"
    export_bundle(log, path)
    command = ("audit", "verify", path, "--trust", trust_file, "--resume", notes, "--json")
    assert run(*command).document["remarks"] == []
    again = run(*command)
    assert (again.code, again.document["verdict"]) == (0, "verified")
    assert "20 of them were re-hashed in an earlier run" in again.document["remarks"][0]
    [leaves] = (path / "entries").iterdir()
    leaves.write_bytes(leaves.read_bytes().replace(b'"permit"', b'"Permit"', 1))
    changed = run(*command)
    assert (changed.code, changed.document["findings"][0]["entry"]) == (1, 1)


def test_an_earlier_bundle_is_compared_with_a_bundle_alone(
    run: Run, tmp_path: Path, log: AuditLog, bundle: Path
) -> None:
    export_tiles(log, tmp_path / "tiles")
    refused = run("audit", "verify", tmp_path / "tiles", "--older", bundle, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")


# -- what a stranger makes without any key

LEAVES = [b'{"entry":%d,"v":1}' % number for number in range(5)]


def pinned_by(trust_file: Path, key: Key, **more: object) -> Path:
    """The trust file with another pinned log key, and whatever else an auditor adds."""
    document = json.loads(trust_file.read_text()) | {"log_key": key.vkey} | more
    trust_file.write_text(json.dumps(document))
    return trust_file


def test_a_bundle_under_a_key_that_claims_to_lead_to_the_pinned_one_fails(
    run: Run, tmp_path: Path, trust_file: Path, log_signer: Signer
) -> None:
    origin = log_signer.key.name
    stranger, pinned = Key(origin), Key(origin)
    hashes = [h(0, leaf) for leaf in LEAVES]
    pins = [{"size": size, "root": b64(mth(hashes[:size]))} for size in range(1, 5)]
    trust = pinned_by(trust_file, pinned, pins=pins)
    forgery = Forgery(origin, LEAVES, chain(origin, (stranger, 0), (pinned, 5)), (stranger,))
    bundle, receipt = forgery.write(tmp_path / "forged"), tmp_path / "forged.tlog-proof"
    refused = run("audit", "verify", bundle, "--trust", trust, "--json")
    assert (refused.code, refused.document["verdict"]) == (1, "failed")
    assert [finding["code"] for finding in refused.document["findings"]] == ["trust.key"]
    assert (
        "claims to have handed over to the pinned one" in run("audit", "verify", bundle, "--trust", trust).out
    )
    receipt.write_text(forgery.receipt(4))
    refused = run("audit", "receipt", "verify", receipt, "--trust", trust, "--json")
    assert (refused.code, refused.document["findings"][0]["code"]) == (1, "trust.key")
    kept = run("audit", "verify", bundle, "--trust", trust, "--kept", receipt, "--json")
    assert (kept.code, kept.error["code"]) == (1, "audit.trust")
    honest = Forgery(origin, LEAVES, chain(origin, (pinned, 0), (stranger, 4)), (stranger,))
    done = run("audit", "verify", honest.write(tmp_path / "rotated"), "--trust", trust, "--json")
    assert (done.code, done.document["verdict"]) == (0, "verified")
    receipt.write_text(honest.receipt(4))
    assert run("audit", "verify", bundle, "--trust", trust, "--kept", receipt, "--json").code == 1
    done = run("audit", "verify", tmp_path / "rotated", "--trust", trust, "--kept", receipt, "--json")
    assert (done.code, done.document["held_elsewhere"][-1]) == (0, "the pinned head of size 5")


def test_archived_front_needs_the_logs_note_and_exits_with_3(
    run: Run, tmp_path: Path, trust_file: Path, log_signer: Signer
) -> None:
    origin = log_signer.key.name
    pinned = Key(origin)
    trust = pinned_by(trust_file, pinned)
    hashes = [h(0, leaf) for leaf in LEAVES]
    stripped = Forgery(origin, LEAVES, chain(origin, (pinned, 0)), (pinned,), first_entry=5)
    for given in (("--trust", trust), ()):
        refused = run("audit", "verify", stripped.write(tmp_path / "stripped"), *given, "--json")
        assert (refused.code, refused.document["verdict"]) == (1, "failed")
        assert refused.document["findings"][0]["code"] == "archive.unproven"
    said = archive_statement(origin, hashes, 5, pinned)
    archived = Forgery(origin, LEAVES, stripped.keys, (pinned,), first_entry=5, frame={"archived": said})
    done = run("audit", "verify", archived.write(tmp_path / "archived"), "--trust", trust, "--json")
    assert (done.code, done.document["verdict"], done.document["archived"]) == (3, "verified in part", 5)
    out = run("audit", "verify", tmp_path / "archived", "--trust", trust).out
    assert "5 entries before are archived and were NOT re-hashed" in out
    assert run("audit", "verify", tmp_path / "archived", "--json").code == 3


@pytest.mark.parametrize("mistyped", [("nowhere.tar",), ("nowhere/",), ("http:/example.org",)])
def test_missing_path_is_reported_without_a_verdict(mistyped: tuple[str, ...], run: Run) -> None:
    found = run("audit", "verify", *mistyped)
    assert found.code == 2
    assert "there is no file" in found.err
    assert "FAILED" not in found.out + found.err
