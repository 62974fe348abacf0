"""Events: their bytes follow RFC 8785, and values that would break this are refused."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import RFC_4122, UUID

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit.formats.entropy import random_block
from ledger.audit.formats.errors import EventInvalid
from ledger.audit.formats.events import MAX_INTEGER, MAX_LEAF, Event, new_event_id, read_event

TEXT = st.text(max_size=40).filter(lambda t: t.isprintable() or "\n" in t or "\x1f" in t)
NAMES = st.from_regex(r"[A-Za-z0-9_.:-]{1,20}", fullmatch=True)


def test_absent_fields_do_not_appear(make: Any) -> None:
    body = json.loads(make.event(asset=None, grant=None, counts={}, candidates=()).canonical())
    assert not {"asset", "grant", "counts", "candidates", "officer", "facts"} & body.keys()
    assert body["v"] == 1
    assert body["time"].endswith("Z")


@settings(max_examples=200, deadline=None)
@given(
    purpose=TEXT,
    reasons=st.lists(TEXT, max_size=3),
    counts=st.dictionaries(NAMES, st.integers(0, MAX_INTEGER), max_size=4),
    facts=st.dictionaries(
        NAMES, st.one_of(TEXT, st.booleans(), st.integers(-MAX_INTEGER, MAX_INTEGER)), max_size=4
    ),
)
def test_bytes_are_rfc_8785_and_read_back(purpose: str, reasons: list[str], counts: Any, facts: Any) -> None:
    event = Event(
        id=UUID(int=7),
        type="gateway:read:decided",
        time=datetime(2026, 11, 2, 8, 0, 0, 123, tzinfo=UTC),
        purpose=purpose,
        reasons=tuple(reasons),
        counts=counts,
        facts=facts,
    )
    leaf = event.canonical()
    assert leaf == rfc8785.dumps(json.loads(leaf))
    assert read_event(leaf) == event
    assert b"\n" not in leaf, "a leaf is one line of NDJSON"


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": {"rows": 1 << 53}},
        {"counts": {"rows": -1}},
        {"counts": {"rows": 1.0}},
        {"counts": {"rows": True}},
        {"counts": {"Zeilen-ü": 1}},
        {"facts": {"score": 0.5}},
        {"facts": {"big": 1 << 60}},
        {"facts": {"list": [1]}},
        {"type": "read"},
        {"type": "Gateway:read:decided"},
        {"department": 1 << 24},
        {"decision": "maybe"},
        {"asset": "7"},
        {"asset": "07.1"},
        {"grant": "0xAB"},
        {"plan_hash": "0x12"},
        {"candidates": ("0x1",)},
        {"commitments": {"id": "310101199001011234"}},
        {"purpose": "\ud800"},
        {"purpose": "x" * MAX_LEAF},
    ],
    ids=str,
)
def test_event_beyond_a_limit_is_refused(make: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(EventInvalid):
        make.event(**changes).canonical()


def test_the_time_is_utc(make: Any) -> None:
    event = make.event()
    for moment in (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8)))):
        with pytest.raises(EventInvalid, match="UTC"):
            replace(event, time=moment).canonical()


@pytest.mark.parametrize(
    "leaf",
    [b"", b"[]", b"{}", b'{"v":2}', b"\xff", b'{"v":1,"id":"x"}', b"[" * 100_000],
    ids=lambda b: str(b[:12]),
)
def test_malformed_event_is_refused(leaf: bytes) -> None:
    with pytest.raises(EventInvalid):
        read_event(leaf)


def test_another_spelling_of_an_event_is_refused(make: Any) -> None:
    leaf = make.event().canonical()
    for other in (leaf.replace(b":", b": ", 1), leaf + b" ", json.dumps(json.loads(leaf)).encode()):
        with pytest.raises(EventInvalid):
            read_event(other)


def test_new_ids_are_uuid_version_7_and_ordered_by_the_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    ids = [new_event_id() for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    assert len(set(ids)) == 2000
    assert {(i.version, i.variant) for i in ids} == {(7, RFC_4122)}
    moments = [i.int >> 80 for i in ids]
    assert moments == sorted(moments)
    assert before <= moments[0] <= moments[-1] <= after


def test_forked_process_generates_different_ids() -> None:
    random_block()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"".join(random_block() for _ in range(200)))
        os._exit(0)
    mine = {random_block() for _ in range(200)}
    os.waitpid(child, 0)
    theirs = os.read(reading, 65_536)
    assert not mine & {theirs[i : i + 16] for i in range(0, len(theirs), 16)}
