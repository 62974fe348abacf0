"""State from events equals storage: every projected row equals the result of the contract's view."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from sqlalchemy import select

from contracts.artifacts import load
from ledger.chain.abi import abi_type
from ledger.chain.events import friendly
from ledger.ids import parse_asset, parse_condition
from ledger.projection.state import PROJECTED
from ledger.store.engine import reader


def ask(city: Any, contract: str, name: str, *values: Any) -> Any:
    """The result of a view: a struct or several outputs by name, or the single value."""
    (item,) = [i for i in load(contract).abi if i["type"] == "function" and i["name"] == name]
    types = [abi_type(i) for i in item["inputs"]]
    data = keccak(f"{name}({','.join(types)})".encode())[:4] + encode(types, values)
    answer = city.chain.call(city.deployment.addresses[contract], data)
    found = decode([abi_type(o) for o in item["outputs"]], answer)
    named = {o["name"]: friendly(o, v) for o, v in zip(item["outputs"], found, strict=True)}
    return named[""] if set(named) == {""} else named


def test_every_row_equals_the_contracts_view(city: Any) -> None:
    for _, document in city.life():
        city.must(document)
    operator = {"origin": "0x" + "01" * 32, "operator": 7, "quorum": 0}
    city.must(city.act("OpenLog", operator, "mayor"))
    head = {"origin": "0x" + "01" * 32, "size": 4, "root": "0x" + "02" * 32}
    city.must(city.act("TreeHead", head, "7:machine", arguments={"proof": []}))
    city.follow()
    with reader(city.engine).connect() as connection:
        rows = {name: list(connection.execute(select(t)).mappings()) for name, t in PROJECTED.items()}

    for row in rows["department"]:
        seen = ask(city, "SharingLedger", "department", row["number"])
        assert (row["standing"], row["recovery"]) == (seen["standing"], seen["recoveryKey"])
    for row in rows["seat"]:
        seen = ask(city, "SharingLedger", "officer", row["holder"])
        mine = {"department": row["department"], "roles": row["roles"], "flags": row["flags"]}
        mine |= {"notBefore": row["not_before"], "notAfter": row["not_after"]}
        assert mine == {name: seen[name] for name in mine}
    for row in rows["service_key"]:
        seen = ask(city, "SharingLedger", "serviceKey", row["department"], bytes.fromhex(row["key"][2:]))
        assert (row["hpke"], row["roles"], row["not_before"], row["not_after"], int(row["removed"])) == (
            seen["hpke"],
            seen["roles"],
            seen["notBefore"],
            seen["notAfter"],
            seen["flags"],
        )
    for row in rows["asset"]:
        seen = ask(city, "SharingLedger", "asset", int(parse_asset(row["id"])))
        assert row["grade"] == seen["ownClass"]
        assert row["sharing"] == seen["ownSharing"]
        for column in ("holder", "processor", "operator", "version", "status", "since"):
            assert row[column] == seen[column], column
    for row in rows["sharing_grant"]:
        compare_grant(row, ask(city, "SharingLedger", "grantOf", bytes.fromhex(row["id"][2:])))
    for row in rows["sharing_condition"]:
        seen = ask(city, "Conditions", "condition", parse_condition(row["id"]))
        assert (row["keeper"], row["kind"], row["state"], row["reason"] or 0) == (
            seen["keeper"],
            seen["kind"],
            seen["state"],
            seen["reason"],
        )
        assert (row["opened_at"], row["ended_at"] or 0) == (seen["openedAt"], seen["endedAt"])
    for row in rows["grant_condition"]:
        seen = ask(city, "Conditions", "conditionsOf", bytes.fromhex(row["grant"][2:]))
        assert seen["conditions"][row["place"]] == parse_condition(row["condition"])
    (council,) = rows["council"]
    seen = ask(city, "SharingLedger", "council")
    assert (json.loads(council["members"]), council["threshold"], council["guardian"], council["epoch"]) == (
        seen["members"],
        seen["threshold"],
        seen["guardian"],
        seen["epoch"],
    )
    assert council["paused_until"] == ask(city, "SharingLedger", "pausedUntil")
    assert council["hand_over_at"] == ask(city, "SharingLedger", "handOver")["handOverAt"]
    for row in rows["log_head"]:
        seen = ask(city, "AuditAnchor", "logState", bytes.fromhex(row["origin"][2:]))
        for column in ("size", "root", "time", "epoch", "operator", "quorum"):
            assert row[column] == seen[column], column
    # An empty comparison would prove nothing.
    assert {name for name, found in rows.items() if not found} <= {
        "seat_recovery",
        "admission",
        "asset_parent",
    }
    assert len(rows["sharing_grant"]) >= 8


def compare_grant(row: Mapping[Any, Any], seen: Mapping[str, Any]) -> None:
    """Every member of the slot; of a cancelled grant that is state and asset, and zeros."""
    assert (row["state"], int(parse_asset(row["asset"]))) == (seen["state"], seen["asset"])
    flags = bool(row["parent"]) | 2 * (row["kind"] == "emergency") | 4 * (row["ratified_by"] is not None)
    assert (flags, row["left"]) == (seen["flags"], seen["maxUses"])
    for column, name in {"not_before": "notBefore", "grantee": "grantee", "right": "right"}.items():
        assert row[column] == seen[name], column
    ended = row["ended_at"] if row["kind"] != "cancelled" and row["ended_at"] is not None else row["expiry"]
    assert min(row["expiry"], ended) == seen["expiry"]
    assert (row["depth"] & 127, bool(row["depth"] & 128)) == (seen["depth"], seen["mayDerive"])
    assert row["uses"] == seen["uses"]
