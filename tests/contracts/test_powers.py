"""Nobody obtains more than the table: each key, each pair of keys, the council, and how much and how soon.

``CIVIC_WRITE_POWERS=1`` records what was found in ``contracts/powers.json``; ``python -m docs.powers`` makes the page of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from contracts.artifacts import eip712_messages

from .powers.acts import CITY, OFFICES
from .powers.data_acts import ACTS, BESIDE, DATA
from .powers.limits import limits
from .powers.ready_city import ReadyCity
from .powers.tried import table

CONTRACTS = ("SharingLedger", "AuditAnchor", "CostPools", "Conditions")
RECORD = Path(__file__).parents[2] / "contracts" / "powers.json"


@pytest.fixture(scope="module")
def prepared() -> ReadyCity:
    return ReadyCity()


def test_every_message_is_tried() -> None:
    every = {name for contract in CONTRACTS for name in eip712_messages(contract)}
    assert {act.kind for act in ACTS} == every


PARTS = {"offices": OFFICES, "city": CITY, "data": DATA, "beside": BESIDE, "limits": ()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
def test_no_key_obtains_more_than_the_table(prepared: ReadyCity, part: str) -> None:
    """Not less either: an office without one of its acts could not do its work."""
    found: dict[str, Any] = table(prepared, PARTS[part]) or limits(prepared)
    recorded = json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() else {}
    if os.environ.get("CIVIC_WRITE_POWERS") == "1":
        RECORD.write_text(json.dumps({**recorded, part: found}, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return
    differ = {
        name: (recorded[part].get(name), found.get(name))
        for name in recorded[part] | found
        if recorded[part].get(name) != found.get(name)
    }
    assert not differ, "recorded, found: CIVIC_WRITE_POWERS=1 records it, after somebody has judged it"
