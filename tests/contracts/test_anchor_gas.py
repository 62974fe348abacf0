"""What anchoring, settling and conditions cost: the part of contracts/gas.json that the contracts beside the ledger answer
for.

``CIVIC_WRITE_GAS=1 pytest tests/contracts/test_anchor_gas.py`` records what was measured. Signatures, time and
addresses are the same on every run, so the figures are exact: a rise fails, and so does a fall that was not recorded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from contracts_harness import City, struct_hash
from eth_hash.auto import keccak

from .anchoring import Anchoring, origin_of
from .conditioning import Conditioning
from .rfc6962 import Uniform
from .settling import POOL, Settling, line

SNAPSHOT = Path(__file__).resolve().parents[2] / "contracts" / "gas.json"
SIZE = 1_000_000
MEMBERS = 100
LINES = (50, 100, 200, 500)

PROOFS = {6: 999_424, 13: 990_080, 16: 990_000, 17: 990_008, 18: 990_004, 19: 990_002, 20: 990_001, 21: 3}
"""Hashes of the proof -> a size from which a log comes to a million entries by such a proof."""


@pytest.fixture(scope="module")
def measured(built_city: City) -> dict[str, Any]:
    """Every figure, on a city of a hundred departments."""
    with built_city.chain.rewound():
        for number in range(4, MEMBERS + 1):
            built_city.admit(number, ("admin", "finance", "attest", "witness"))
        return {**anchors(built_city), **settlements(built_city), **conditions(built_city)}


def anchors(city: City) -> dict[str, Any]:
    """A head of a million entries after 9,999 more, which is typical, and with shorter and longer proofs."""
    anchoring = Anchoring(city)
    figures: dict[str, Any] = {}
    for witnesses in ([], [2, 3, 4]):
        name = "anchor_3_witnesses" if witnesses else "anchor"
        by_length = {}
        for hashes, old in PROOFS.items():
            origin = origin_of(f"{name} from {old}")
            anchoring.open(origin, quorum=len(witnesses))
            anchoring.grow(origin, Uniform(), 0, old, witnesses)
            assert len(Uniform().proof(old, SIZE)) == hashes
            by_length[hashes] = anchoring.grow(origin, Uniform(), old, SIZE, witnesses).gas_used
        figures[name] = {
            "gas": by_length[20],
            "proof_hashes": 20,
            "signatures": 1 + len(witnesses),
            "size": SIZE,
            "previous_size": PROOFS[20],
            "by_proof_hashes": {str(hashes): gas for hashes, gas in by_length.items()},
        }
    return figures


def settlements(city: City) -> dict[str, Any]:
    """A hundred members with accounts, half paying and half receiving."""
    settling = Settling(city)
    for department in range(1, MEMBERS + 1):
        settling.set_budget(settling.budget(department, 1_000_000_00))
    lines = [line(d, d + MEMBERS // 2, 12_345_67 + d) for d in range(1, MEMBERS // 2 + 1)]
    statement = settling.statement(lines)
    message_gas = settling.send(
        "commitStatement",
        statement,
        settling.sign("CommitStatement", statement, city.departments[POOL >> 40].finance),
    ).gas_used
    settling.wait()
    receipt = settling.finalise(statement, lines)
    assert receipt.only("StatementFinal")["id"] == struct_hash("CommitStatement", statement)
    return {
        "commit_statement": message_gas,
        "finalise_100_each": receipt.gas_used // MEMBERS,
        "finalise_100_each_by_lines": by_lines(settling),
        "show_lines_100_each": shown(settling),
    }


def by_lines(settling: Settling) -> dict[str, int]:
    """The cost of a member by the number of lines of the statement: each line is hashed and added up on
    chain."""
    figures = {}
    for count in LINES:
        lines = many(count)
        statement = settling.statement(lines, period=count)
        settling.commit(statement)
        settling.wait()
        figures[str(count)] = settling.finalise(statement, lines).gas_used // MEMBERS
    return figures


def shown(settling: Settling) -> int:
    """A hundred lines put on the chain on request: the cost of one."""
    lines = many(100)
    statement = settling.statement(lines, period=1)
    settling.commit(statement)
    return settling.show(statement, lines).gas_used // 100


def many(count: int) -> list[dict[str, Any]]:
    """This many lines between a hundred members, most of them parties of equally many."""
    return [
        line(1 + i % MEMBERS, 1 + (i * 7 + 50) % MEMBERS, 12_345_67 + i, keccak(b"%d" % (i // MEMBERS)))
        for i in range(count)
    ]


def conditions(city: City) -> dict[str, Any]:
    """A first and a second binding, an end, and an end with a Revoke that was signed before."""
    beside = Conditioning(city)
    grant, other = (city.grant(city.terms(city.asset_id(1, 1), grantee)) for grantee in (2, 3))
    figures = {"open_condition": beside.open(beside.id(1)).gas_used}
    beside.open(beside.id(2))
    figures["bind_condition"] = beside.bind(grant, beside.id(1)).gas_used
    figures["bind_condition_second"] = beside.bind(grant, beside.id(2)).gas_used
    beside.bind(other, beside.id(2))
    figures["close_condition"] = beside.close(beside.id(1)).gas_used
    revoke = beside.signed_revoke(other, city.departments[1].steward)
    figures["close_condition_and_revoke"] = beside.close_and_revoke(beside.id(2), revoke).gas_used
    return figures


@pytest.mark.parametrize(
    ("name", "most"),
    [("bind_condition", 75_000), ("close_condition", 63_000), ("close_condition_and_revoke", 81_100)],
)
def test_conditions_stay_within_their_targets(measured: dict[str, Any], name: str, most: int) -> None:
    assert measured[name] <= most


@pytest.mark.parametrize("name", ["anchor", "anchor_3_witnesses"])
def test_an_anchor_costs_its_hashes_and_signatures(measured: dict[str, Any], name: str) -> None:
    """<= 30,000 + 1,800 a hash + 7,500 a signature, by a proof of 20 hashes: one anchor of two at this size has that
    many, four of five have 18 to 20. What every anchor costs whatever its proof is 51,000, of which two slots written
    are 10,000 and the look at the ledger 6,800: below 17 hashes (19 with witnesses) that is more than the formula has
    room for. ``by_proof_hashes`` says how much."""
    figure = measured[name]
    assert figure["gas"] <= 30_000 + 1_800 * figure["proof_hashes"] + 7_500 * figure["signatures"]


def test_a_settlement_costs_at_most_12500_a_member(measured: dict[str, Any]) -> None:
    assert measured["finalise_100_each"] <= 12_500


def test_the_snapshot_is_what_is_measured(measured: dict[str, Any]) -> None:
    snapshot = json.loads(SNAPSHOT.read_text("utf-8")) if SNAPSHOT.is_file() else {}
    if os.environ.get("CIVIC_WRITE_GAS"):
        SNAPSHOT.write_text(json.dumps({**snapshot, **measured}, indent=1) + "\n", "utf-8")
        return
    for name, figure in measured.items():
        assert snapshot[name] == figure, f"{name}: record it with CIVIC_WRITE_GAS=1 if it is meant"
