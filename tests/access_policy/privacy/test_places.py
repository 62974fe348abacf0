"""Places at the scanning processes: several holders together do not exclude another."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from access_policy.privacy.execution import pace as pace_module
from access_policy.privacy.execution import scan as scan_module
from access_policy.privacy.execution.pace import FAIR_RATE, Pace
from access_policy.privacy.execution.places import Places
from access_policy.privacy.execution.scan import Scan
from access_policy.privacy.execution.scan_errors import Preempted, ScannerBusy
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.source import Source

from .test_pool import BIG_ROWS, EVERYTHING, big, plan_of

__all__ = ["big"]


def streaming(scanner: Scanner, source: Source, *holders: str) -> list[tuple[Scan, Pace]]:
    """Streaming scans, each waiting for its reader."""
    begun = []
    for holder in holders:
        scan, pace = scanner.scan(EVERYTHING, source, holder=holder), Pace()
        scan.stream(pace)
        pace.waits()
        begun.append((scan, pace))
    return begun


def test_holders_together_do_not_block_a_stream(big: Source) -> None:
    with Scanner([Path(big.path).parent], size=2, streams=4, stream_share=2, wait=0.3) as scanner:
        begun = streaming(scanner, big, "A", "A", "B", "B", "C")
        [gone] = [(scan, pace) for scan, pace in begun if pace.ended]
        assert (gone[0].holder, str(gone[1].ended and gone[1].ended.code)) == ("A", "reader.gave-way")
        with pytest.raises(Preempted):
            list(gone[0])
        begun += streaming(scanner, big, "D")
        assert [scan.holder for scan, pace in begun if not pace.ended] == ["A", "B", "C", "D"]
        with pytest.raises(ScannerBusy):
            streaming(scanner, big, "E")  # Each holder has one and reads it fast enough.
        with pytest.raises(ScannerBusy):
            streaming(scanner, big, "D")


def test_only_a_slow_reader_gives_way(big: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "PATIENCE_SECONDS", 0.5)
    with Scanner([Path(big.path).parent], size=2, streams=2, stream_share=1, wait=0.3) as scanner:
        begun = streaming(scanner, big, "A", "B")
        for _ in range(6):
            time.sleep(0.2)
            begun[0][1].took(FAIR_RATE)
            time.sleep(
                0.2
            )  # The time that the service needs for the next chunk is not counted as the reader's.
            begun[0][1].waits()
        streaming(scanner, big, "C")
        assert [pace.ended and pace.ended.code for _, pace in begun] == [None, "reader.too-slow"]


def test_long_scans_do_not_block_others(big: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holders of all workers continue if there is a free place, and otherwise have to retry."""
    monkeypatch.setattr(scan_module, "BUFFERING_SECONDS", 0.5)
    with Scanner([Path(big.path).parent], size=2, streams=1, stream_share=1, wait=10) as scanner:
        held = [scanner.scan(EVERYTHING, big, holder=holder) for holder in ("A", "B")]
        began = time.monotonic()
        for holder in ("C", "D"):
            with scanner.scan(plan_of({"limit": 5}), big, holder=holder) as other:
                assert sum(batch.num_rows for batch in other) == 5
        assert time.monotonic() - began < 6
        assert sum(batch.num_rows for batch in held[0]) == BIG_ROWS, "nobody needed its worker"


def test_answer_without_a_sent_byte_does_not_give_way(big: Source) -> None:
    """The call is being charged, so the use would be spent without a byte sent."""
    with Scanner([Path(big.path).parent], size=2, streams=2, stream_share=2, wait=0.3) as scanner:
        begun = []
        for _ in range(2):
            scan, pace = scanner.scan(EVERYTHING, big, holder="A"), Pace()
            scan.stream(pace)
            begun.append((scan, pace))
        with scanner.scan(EVERYTHING, big, holder="B") as other, pytest.raises(ScannerBusy):
            other.stream(Pace())
        begun[0][1].waits()
        streaming(scanner, big, "B")
        assert [bool(pace.ended) for _, pace in begun] == [True, False]


def test_released_worker_is_not_ended(big: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan ends by itself after the watchdog has selected it."""
    monkeypatch.setattr(scan_module, "BUFFERING_SECONDS", 0.0)
    with Scanner([Path(big.path).parent], size=1, streams=0, stream_share=1, wait=5) as scanner:
        scan = scanner.scan(EVERYTHING, big, holder="A")
        before = scanner.process_ids()
        moved = scan._moved

        def meanwhile() -> bool:
            could = moved()
            scan.close()
            return could

        monkeypatch.setattr(scan, "_moved", meanwhile)
        with scanner.scan(plan_of({"limit": 5}), big, holder="B") as other:
            assert sum(batch.num_rows for batch in other) == 5
        assert scanner.process_ids() == before


def test_waiting_holders_take_turns() -> None:
    places, got = Places(1, 1), list[str]()
    assert places.take("A")

    def call(holder: str) -> None:
        if places.take(holder, wait=5):
            got.append(holder)
            time.sleep(0.02)
            places.give(holder)

    with ThreadPoolExecutor(40) as callers:
        for holder in ("A", "B"):
            for _ in range(15):
                callers.submit(call, holder)
        time.sleep(0.2)
        callers.submit(call, "C")
        time.sleep(0.2)
        places.give("A")
    assert len(got) == 31
    assert "C" in got[:3]
