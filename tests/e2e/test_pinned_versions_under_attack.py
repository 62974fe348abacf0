"""Pinned grants under attack: switches, repeats, other grants, stops, and what delegation may not widen."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.demo.city import City, hand_in
from api.demo.participants import EDUCATION, HEALTH, PLANNING, Part
from api.sdk.drafts import draft_suspension
from tests.simulators.pinned_city import (
    AIR,
    granted,
    owner_of,
    read,
    refusal,
    renew,
    revoke,
    seen,
    used,
)


def test_a_repeat_across_the_switch_gives_the_same_bytes_and_is_not_charged_again(pinned_town: City) -> None:
    version = renew(pinned_town, "r")
    pinned, open_ = granted(pinned_town, HEALTH, version), granted(pinned_town, EDUCATION, None)
    keys = ("pinned-across-the-switch", "open-across-the-switch")
    asked = ((HEALTH, pinned, keys[0]), (EDUCATION, open_, keys[1]))
    first = [read(pinned_town, part, grant, idempotency_key=key) for part, grant, key in asked]
    renew(pinned_town, "s")
    again = read(pinned_town, HEALTH, pinned, idempotency_key=keys[0])
    assert (again.body, again.release["id"]) == (first[0].body, first[0].release["id"])
    assert used(pinned_town, pinned) == 1
    assert refusal(pinned_town, EDUCATION, open_, idempotency_key=keys[1]).code == "idempotency.changed"
    other = refusal(pinned_town, HEALTH, pinned, idempotency_key=keys[0], version=version)
    assert other.code == "idempotency.conflict"  # Another request, because it names a version.
    for grant in (pinned, open_):
        revoke(pinned_town, grant)


def test_the_pseudonyms_of_one_grant_are_its_own_whatever_version_it_reads(pinned_town: City) -> None:
    version = renew(pinned_town, "t")
    more: dict[str, Any] = {"transforms": {"district": {"type": "pseudonym"}}}
    pinned, open_ = granted(pinned_town, HEALTH, version, **more), granted(pinned_town, HEALTH, None, **more)
    before = [seen(read(pinned_town, HEALTH, g)) for g in (pinned, open_)]
    assert before[0][1].isdisjoint(before[1][1])
    renew(pinned_town, "t2")
    assert seen(read(pinned_town, HEALTH, pinned)) == before[0]
    assert seen(read(pinned_town, HEALTH, open_))[1].isdisjoint(
        before[1][1]
    )  # Another value, of another version.
    for grant in (pinned, open_):
        revoke(pinned_town, grant)


def test_pinned_grant_is_stopped_by_every_ordinary_stop(pinned_town: City) -> None:
    version = renew(pinned_town, "u")
    pinned = granted(pinned_town, HEALTH, version, max_uses=2)
    owner = owner_of(pinned_town)
    renew(pinned_town, "v")
    assert seen(read(pinned_town, HEALTH, pinned)) == (version, {"u"})
    for lift in (False, True):
        stop = draft_suspension(AIR, "data-quality", lift=lift, by="holder")
        hand_in(pinned_town, owner, stop, [owner.secrets["steward"]])
        if not lift:
            assert refusal(pinned_town, HEALTH, pinned).code in ("asset.suspended", "grant.asset-suspended")
    assert seen(read(pinned_town, HEALTH, pinned)) == (version, {"u"})
    assert refusal(pinned_town, HEALTH, pinned).code == "uses.exhausted"
    another = granted(pinned_town, HEALTH, None)
    assert seen(read(pinned_town, HEALTH, another)) == (version + 1, {"v"})
    revoke(pinned_town, pinned)
    assert refusal(pinned_town, HEALTH, pinned).code == "grant.revoked"
    assert refusal(pinned_town, HEALTH, version=version).code == "version.mismatch"
    revoke(pinned_town, another)


def test_no_read_fails_or_mixes_versions_during_several_updates(pinned_town: City) -> None:
    version = renew(pinned_town, "w")
    pinned, open_ = granted(pinned_town, HEALTH, version), granted(pinned_town, EDUCATION, None)
    found: list[tuple[str, tuple[int, set[str]]]] = []
    failed: list[Exception] = []
    over = threading.Event()

    def reading(reader: Part, grant: str, name: str) -> None:
        while not over.is_set():
            try:
                found.append((name, seen(read(pinned_town, reader, grant))))
            except Exception as error:  # noqa: BLE001 - what fails is what is asked
                failed.append(error)
                return

    threads = [
        threading.Thread(target=reading, args=(HEALTH, pinned, "pinned")),
        threading.Thread(target=reading, args=(EDUCATION, open_, "open")),
    ]
    for thread in threads:
        thread.start()
    marks = {version: "w"}
    for mark in ("x", "y"):
        marks[renew(pinned_town, mark)] = mark
    over.set()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert {told for name, told in ((n, (v, *m)) for n, (v, m) in found) if name == "pinned"} == {
        (version, "w")
    }
    assert {v for n, (v, _) in found if n == "open"} > {version}
    assert all(m == {marks[v]} for _, (v, m) in found)
    for grant in (pinned, open_):
        revoke(pinned_town, grant)


# --- a pinned read shows no cell of another version ------------------------------------------------------------------


NO_COLUMN = ("column.not-granted", "column.unknown", "version.mismatch")
"""If no grant is named, the nearest one may be that of another version, which has the column."""


@pytest.fixture(scope="module")
def layers(pinned_town: City) -> Iterator[dict[int, tuple[str, str]]]:
    """Three versions in which every district has the name of the version, each pinned by a grant: name and
    grant by version."""
    made: dict[int, tuple[str, str]] = {}
    for mark, more in (("one", "left"), ("two", ""), ("three", "right")):
        version = renew(pinned_town, mark, more=more)
        columns = ("district", "pm25", *([more] if more else []))
        made[version] = mark, granted(pinned_town, PLANNING, version, columns=columns)
    yield made
    for _, grant in made.values():
        revoke(pinned_town, grant)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_pinned_read_never_shows_a_cell_of_another_version(
    pinned_town: City, layers: Mapping[int, tuple[str, str]], data: st.DataObject
) -> None:
    version, (mark, grant) = data.draw(st.sampled_from(sorted(layers.items())))
    by = data.draw(st.sampled_from(["grant", "version", "both"]))
    columns = data.draw(st.lists(st.sampled_from(["district", "left", "right"]), unique=True))
    query: dict[str, Any] = {"columns": columns} if columns else {}
    if data.draw(st.booleans()):
        query["limit"] = data.draw(st.integers(1, 50))
    if data.draw(st.booleans()):
        other = data.draw(st.sampled_from([m for m, _ in layers.values()]))
        query["where"] = {"column": "district", "op": "eq", "value": other}
    named = {"version": version} if by != "grant" else {}
    under, own = grant if by != "version" else None, {"one": "left", "three": "right"}.get(mark)
    if not {"left", "right"}.intersection(columns) <= {own}:
        assert refusal(pinned_town, PLANNING, under, query=query, **named).code in NO_COLUMN
        return
    answer = read(pinned_town, PLANNING, under, query=query, **named)
    assert answer.release["version"] == version
    allowed = {mark, f"{mark}-new"}
    for row in answer.rows():
        assert {str(v) for name, v in row.items() if name != "pm25"} <= allowed
    if "where" in query and query["where"]["value"] != mark:
        assert answer.rows() == []
