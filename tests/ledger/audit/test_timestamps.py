"""RFC 3161 timestamps of heads: requested, checked, stored, exported in bundles and verified against pinned
authorities."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select, text

from ledger.audit.keeping.export import export_bundle
from ledger.audit.keeping.fsck import fsck
from ledger.audit.log.log import AuditLog
from ledger.audit.outside.timestamps import (
    Stamper,
    TimestampInvalid,
    check_token,
    latest_stamp,
    stamp,
    timestamp_table,
)
from ledger.audit.verify import Trust, TrustInvalid, verify_bundle
from ledger.audit.verify.strict import write_json
from tests.simulators.timestamp_authority import TimestampAuthority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority(tmp_path_factory.mktemp("clock") / "tsa")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority(tmp_path_factory.mktemp("clock") / "other")


Grow = Callable[[int], None]


@pytest.fixture
def grow(log: AuditLog, make: Any) -> Grow:
    def more(count: int) -> None:
        with log.engine.begin() as conn:
            appended = log.append(conn, [make.entry() for _ in range(count)])
        log.committed(appended)

    return more


@pytest.fixture
def stamped(log: AuditLog, grow: Grow, authority: TimestampAuthority, tmp_path: Path) -> Path:
    """A bundle of 50 entries whose heads of size 20 and 40 were timestamped."""
    for size in (20, 20, 10):
        grow(size)
        if log.size < 50:
            stamp(log, log.checkpoint(), authority.answer, [authority.root])
    export_bundle(log, tmp_path / "bundle")
    return tmp_path / "bundle"


def rewrite(bundle: Path, tokens: Any) -> None:
    """Replace the tokens as an operator could, and adjust the manifest's digest."""
    data = write_json(tokens)
    (bundle / "timestamps.json").write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["digests"]["timestamps.json"] = hashlib.sha256(data).hexdigest()
    (bundle / "manifest.json").write_bytes(write_json(manifest))


def tokens_of(bundle: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((bundle / "timestamps.json").read_bytes())
    return found


def test_a_head_is_timestamped_and_the_token_kept(
    log: AuditLog, grow: Grow, authority: TimestampAuthority
) -> None:
    grow(5)
    signed = log.checkpoint()
    moment = stamp(log, signed, authority.answer, [authority.root])
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=5)
    with log.engine.connect() as conn:
        token = bytes(conn.execute(select(timestamp_table.c.token)).scalar_one())
    assert check_token(signed.note.text, token, [authority.root]) == moment
    for other, spoiled in (
        (signed.note.text + b"x", token),
        (signed.note.text, token[:-9]),
        (signed.note.text, token + b"\0"),
        (signed.note.text, b""),
    ):
        with pytest.raises(TimestampInvalid):
            check_token(other, spoiled, [authority.root])
    with pytest.raises(TimestampInvalid, match="no trusted certificate"):
        check_token(signed.note.text, token, [])


def test_any_changed_byte_of_a_token_is_refused(
    log: AuditLog, grow: Grow, authority: TimestampAuthority
) -> None:
    """Some bytes of DER are not signed (status, the unused certificates); a change of them changes no time
    and no head."""
    grow(5)
    signed = log.checkpoint()
    moment = stamp(log, signed, authority.answer, [authority.root])
    with log.engine.connect() as conn:
        token = bytes(conn.execute(select(timestamp_table.c.token)).scalar_one())
    passed = 0
    for at in range(0, len(token), 7):
        spoiled = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        try:
            assert check_token(signed.note.text, spoiled, [authority.root]) == moment
            passed += 1
        except TimestampInvalid:
            continue
    assert passed < 8


def test_untrusted_timestamp_service_is_refused(
    log: AuditLog, grow: Grow, authority: TimestampAuthority, stranger: TimestampAuthority
) -> None:
    grow(5)
    with pytest.raises(TimestampInvalid):
        stamp(log, log.checkpoint(), authority.answer, [stranger.root])
    with log.engine.connect() as conn:
        assert conn.execute(select(timestamp_table)).first() is None
    assert log.published() is None, "a head without its timestamp is not published"


def test_an_old_answer_to_the_same_question_is_refused(
    log: AuditLog, grow: Grow, authority: TimestampAuthority
) -> None:
    """An attacker between the city and its timestamp authority cannot make a head look older than it is."""
    grow(5)
    kept: list[bytes] = []

    def overheard(request: bytes) -> bytes:
        kept.append(authority.answer(request))
        return kept[-1]

    stamp(log, log.checkpoint(), overheard, [authority.root])
    with log.engine.begin() as conn:
        conn.execute(text("DELETE FROM audit_timestamp"))
    with pytest.raises(TimestampInvalid, match="Nonce mismatch"):
        stamp(log, log.checkpoint(), lambda _: kept[0], [authority.root])
    assert latest_stamp(log) is None


def test_heads_are_stamped_when_they_are_due_and_grew(
    log: AuditLog, grow: Grow, authority: TimestampAuthority
) -> None:
    asked: list[bytes] = []

    def post(request: bytes) -> bytes:
        asked.append(request)
        return authority.answer(request)

    stamper = Stamper(log, post, [authority.root], every_s=3600)
    assert stamper.step() is None, "an empty log has nothing to stamp"
    grow(5)
    first = stamper.step()
    assert first is not None
    assert (first.size, latest_stamp(log)) == (5, first)
    grow(3)
    assert stamper.step(now=first.time + timedelta(seconds=3599)) is None
    again = Stamper(log, post, [authority.root], every_s=3600)
    assert again.step(now=first.time + timedelta(seconds=3599)) is None, "a restart does not make it due"
    second = again.step(now=first.time + timedelta(seconds=3601))
    assert second is not None
    assert second.size == 8
    assert again.step(now=second.time + timedelta(days=9)) is None, "nothing was appended"
    assert len(asked) == 2
    grow(1)
    assert again.step(now=second.time - timedelta(days=1)) is not None, "a clock set back does not stop it"


def test_timestamps_are_checked_with_the_pinned_service(
    log: AuditLog, stamped: Path, authority: TimestampAuthority, stranger: TimestampAuthority, trust_of: Any
) -> None:
    verdict = verify_bundle(stamped, trust_of(log, timestamp_roots=(authority.root,)))
    assert (verdict.word, verdict.timestamp) == ("verified", "timestamp checked"), verdict.lines()
    assert verdict.lines()[0] == "verified; anchor not checked; timestamp checked"
    assert "over the first 40 entries" in verdict.held_elsewhere[0]
    assert verdict.held_elsewhere[1] == "1 earlier timestamps"
    both = verify_bundle(stamped, trust_of(log, timestamp_roots=(stranger.root, authority.root)))
    assert both.timestamp == "timestamp checked"
    other = verify_bundle(stamped, trust_of(log, timestamp_roots=(stranger.root,)))
    assert [finding.code for finding in other.findings] == ["trust.timestamp"]
    for unpinned in (verify_bundle(stamped, trust_of(log)), verify_bundle(stamped)):
        assert (unpinned.ok, unpinned.timestamp) == (True, "timestamp not checked")
        assert "2 RFC 3161 timestamps present, not checked" in unpinned.remarks[-1]
        assert not unpinned.held_elsewhere


def test_exchanged_missing_or_repeated_tokens_are_detected(
    log: AuditLog, stamped: Path, authority: TimestampAuthority, trust_of: Any
) -> None:
    pinned = trust_of(log, timestamp_roots=(authority.root,))
    first, second = tokens_of(stamped)
    exchanged = [{**first, "token": second["token"]}, {**second, "token": first["token"]}]
    cases: list[tuple[Any, str, str | None]] = [
        (exchanged, "trust.timestamp", "timestamp.changed"),
        ([], "trust.timestamp", None),
        ([first, first], "timestamp.changed", "timestamp.changed"),
        ([second, first], "timestamp.changed", "timestamp.changed"),
        ([{**first, "size": 21}], "timestamp.changed", "timestamp.changed"),
        ([{**first, "token": "AAAA"}], "trust.timestamp", "timestamp.changed"),
        ([{**first, "note": "x"}], "bundle.malformed", "bundle.malformed"),
        ({"size": 20}, "bundle.malformed", "bundle.malformed"),
    ]
    for tokens, with_trust, without in cases:
        rewrite(stamped, tokens)
        assert [finding.code for finding in verify_bundle(stamped, pinned).findings] == [with_trust], tokens
        alone = [finding.code for finding in verify_bundle(stamped).findings]
        assert alone == ([without] if without else []), tokens


def test_fsck_names_a_token_over_another_head(log: AuditLog, stamped: Path) -> None:
    assert fsck(log).ok
    with log.engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE audit_timestamp SET token = (SELECT token FROM audit_timestamp WHERE size = 40)"
                " WHERE size = 20"
            )
        )
    assert [(d.code, d.entry) for d in fsck(log).damage] == [("fsck.timestamp", 20)]
    with log.engine.begin() as conn:
        conn.execute(text("DELETE FROM audit_checkpoint WHERE size = 40"))
    assert ("fsck.timestamp", 40) in [(d.code, d.entry) for d in fsck(log).damage]


def test_without_the_extra_timestamps_are_not_checked(
    log: AuditLog,
    stamped: Path,
    authority: TimestampAuthority,
    trust_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    verdict = verify_bundle(stamped, trust_of(log, timestamp_roots=(authority.root,)))
    assert (verdict.word, verdict.timestamp) == ("verified", "timestamp not checked")
    assert "install civicledger[timestamps]" in verdict.remarks[-1]
    assert not verdict.held_elsewhere


def test_a_trust_file_keeps_its_timestamp_services(
    log: AuditLog, authority: TimestampAuthority, trust_of: Any
) -> None:
    trust = trust_of(log, timestamp_roots=(authority.root,))
    assert Trust.parse(trust.to_json()) == trust
    document = json.loads(trust.to_json())
    assert document["timestamp_roots"] == [authority.root.public_bytes(Encoding.PEM).decode()]
    nonsense = base64.b64encode(b"nonsense").decode()
    for bad in ("x", [7], ["x"], [f"-----BEGIN CERTIFICATE-----\n{nonsense}\n-----END CERTIFICATE-----\n"]):
        with pytest.raises(TrustInvalid):
            Trust.parse(json.dumps(document | {"timestamp_roots": bad}))
