"""Every seat submits every act that denies on submission: the service accepts only those that
`docs/powers.md` lists."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from eth_account import Account

from api.demo.city import City
from api.demo.participants import ENVIRONMENT, HEALTH, PLANNING
from api.sdk.acts import sign_act
from api.sdk.conditions import draft_binding, draft_condition, new_opening
from api.sdk.drafts import draft_attest_key, draft_officer, submit
from tests.e2e.test_keys_of_thieves import denying, post

POWERS = Path(__file__).parents[2] / "contracts" / "powers.json"
SEATS = ("finance", "oversight", "emergency", "bureau")
MACHINES = ("attest", "witness", "gateway")
ROWS = {
    "Revoke": "revoke a grant",
    "Revoke with terms of one's own": "revoke a grant",
    "RevokeBatch": "revoke grants in a batch",
    "Cancel": "cancel signed terms before they are sent",
    "Cancel with terms of one's own": "",
    "ReplaceGrant": "replace a grant by another that stands",
    "SuspendAsset": "suspend data as its holder",
    "SuspendAsset by the bureau": "bar data",
    "RetireAsset": "retire general data",
    "SuspendDepartment": "suspend the department",
    "RemoveServiceKey": "take away a READER key",
    "CloseCondition": "end a condition that it keeps",
}
"""The row of each act in the table of powers; an act without a row is never accepted."""


def place(department: int, act: str) -> int:
    """The role of the department in the table: 1 is the department that the act is about, 3 is not
    involved."""
    about = PLANNING.number if act in ("SuspendDepartment", "RemoveServiceKey") else ENVIRONMENT.number
    return 1 if department == about else 2 if department == PLANNING.number else 3


@pytest.fixture
def seated(city: City) -> dict[tuple[int, str], bytes]:
    """The keys of every seat of the holder and of a third department, and the grantee's keys of the demo."""
    keys = {(PLANNING.number, role): key for role, key in city.of(PLANNING).secrets.items()}
    for part in (ENVIRONMENT, HEALTH):
        keys |= {(part.number, role): key for role, key in city.of(part).secrets.items()}
        for role in (*SEATS, *MACHINES):
            key = secrets.token_bytes(32)
            address = Account.from_key(key).address
            made = draft_attest_key if role in MACHINES else draft_officer
            draft = made(part.number, address, (role,), epoch=1)
            signers = [*city.council[:2], city.of(part).secrets["admin"], key]
            assert submit(city.of(part).civic, sign_act(draft, city.trust, signers))["state"] == "recorded"
            keys[part.number, role] = key
    return keys


def test_no_seat_denies_more_than_its_powers(city: City, seated: dict[tuple[int, str], bytes]) -> None:
    table = json.loads(POWERS.read_text())
    alone = {
        row: found["alone"]
        for part in ("offices", "city", "data", "beside")
        for row, found in table[part].items()
    }
    holder, third = city.of(ENVIRONMENT), city.of(HEALTH)
    for draft in (
        draft_condition(f"{ENVIRONMENT.number}.1", "case", new_opening("case 1")),
        draft_binding(city.grants["air-planning"], f"{ENVIRONMENT.number}.1"),
    ):
        done = submit(holder.civic, sign_act(draft, city.trust, [holder.secrets["steward"]]))
        assert done["state"] == "recorded"
    taken, uncoded, refused = [], [], 0
    for number, (act, draft) in enumerate(denying(city).items(), 1):
        decoy = draft_condition(f"{HEALTH.number}.{number}", "case", new_opening(f"case {number}"))
        handed = sign_act(decoy, city.trust, [third.secrets["steward"]]).to_json()
        assert post(city, third.service, "/v1/acts?wait=0", handed).status in (200, 202)
        for (department, seat), key in seated.items():
            if f"{place(department, act)} {seat.upper()}" in alone.get(ROWS[act], ()):
                continue
            actor = next(a for a in city.actors.values() if a.part.number == department)
            for signers in [[key], [key, key]]:
                sent = sign_act(draft, city.trust, signers).to_json()
                answer = post(city, actor.service, "/v1/acts?wait=0", sent)
                if answer.status < 400:
                    taken.append((act, department, seat, len(signers), answer.body[:200]))
                elif answer.status >= 500 or answer.code in ("", "internal"):
                    uncoded.append((act, department, seat, answer.status, answer.body[:200]))
                refused += answer.status >= 400
    assert not taken, taken
    assert not uncoded, uncoded
    assert refused > 400
