"""The verifier reports where the times of a log go back, and accepts entries that are only late."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.audit.keeping.export import export_bundle
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.verify import verify_bundle
from ledger.audit.verify.times import FALL_S, Times


def falls_of(log: AuditLog, make: Any, tmp_path: Path, steps: list[tuple[str, float]], **more: Any) -> Any:
    """The verdict on a log with these entries (type, seconds after the first) in this order."""
    start = make.event().time
    for kind, seconds in steps:
        event = make.event(type=kind, time=start + timedelta(seconds=seconds))
        with log.engine.begin() as conn:
            log.committed(log.append(conn, [NewEntry(event)]))
    export_bundle(log, tmp_path / "bundle")
    return verify_bundle(tmp_path / "bundle", **more)


READ, CHAIN, REQUEST = "gateway:read:decided", "chain:grant:granted", "gateway:request:granted"


def test_times_that_go_back_are_remarked(log: AuditLog, make: Any, trust_of: Any, tmp_path: Path) -> None:
    steps = [(READ, 0), (READ, 600), (READ, 47), (READ, 48), ("auditor:log:search", 700)]
    verdict = falls_of(log, make, tmp_path, steps, trust=trust_of(log))
    assert verdict.word == "verified", "what exists keeps verifying"
    [said] = [remark for remark in verdict.remarks if "times fall" in remark]
    assert "entry 2 states" in said
    assert "553 s before entry 1" in said


def test_slow_scan_and_late_block_are_not_remarked(log: AuditLog, make: Any, tmp_path: Path) -> None:
    steps = [(READ, 0), (READ, 500), (READ, 500 - FALL_S), (CHAIN, 10), (REQUEST, 10), (READ, 501)]
    assert not [said for said in falls_of(log, make, tmp_path, steps).remarks if "times fall" in said]


def test_resumed_check_repeats_the_remark(log: AuditLog, make: Any, tmp_path: Path) -> None:
    record = tmp_path / "record"
    first = falls_of(log, make, tmp_path, [(READ, 0), (READ, 600), (READ, 0)], resume=record)
    again = verify_bundle(tmp_path / "bundle", resume=record)
    assert [r for r in again.remarks if "times fall" in r] == [r for r in first.remarks if "times fall" in r]
    assert first.remarks


@given(st.lists(st.binary(max_size=300)))
def test_any_leaf_text_is_accepted_by_the_time_check(lines: list[bytes]) -> None:
    times = Times()
    assert list(times.watch(7, lines)) == lines
    assert times.remarks == []


def test_invalid_date_is_not_a_time_going_back() -> None:
    def leaf(time: str) -> bytes:
        return f'{{"department":1,"time":"{time}Z","type":"gateway:read:decided","v":1}}'.encode()

    times = Times()
    for stated in ("2026-11-02T08:00:00.000000", "2026-02-31T08:00:00.000000"):
        list(times.watch(0, [leaf(stated)]))
    assert times.falls == 0
