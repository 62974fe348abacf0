"""A pending admission consists of two acts over one message: both are valid."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
from sqlalchemy import create_engine, text

from api.cli.commands.audit_keeping import fsck
from tests.simulators.governed_city import GovernedCity

DAY = 86_400
WAITING = ":activate"


def test_an_activation_that_waits_is_the_act_that_was_signed(tmp_path: Path) -> None:
    city = GovernedCity.found(tmp_path / "home", admission_delay=DAY)
    try:
        act = city.admission(7, admin=1, steward=2)
        act["message"]["deadline"] += 9 * DAY
        act = city.act(
            "Admission", act["message"], "mayor", "7:admin", "7:steward", documents=act["documents"]
        )
        answer = httpx.post(f"{city.service.url}/v1/acts", json=act, timeout=60)
        assert answer.status_code < 300, answer.text
        assert answer.json()["digest"].endswith(WAITING)
    finally:
        city.service.stop()
    assert fsck(city.home).document["damage"] == []
    engine = create_engine(f"sqlite:///{city.home / 'ledger.sqlite'}")
    with engine.begin() as connection:
        where = {"id": f"%{WAITING}"}
        signed = connection.execute(
            text("SELECT message FROM outbox_act WHERE digest LIKE :id"), where
        ).scalar_one()
        other = json.dumps(json.loads(signed) | {"department": 8})
        connection.execute(
            text("UPDATE outbox_act SET message = :other WHERE digest LIKE :id"), {"other": other} | where
        )
    engine.dispose()
    assert [one["code"] for one in fsck(city.home).document["damage"]] == ["fsck.act"]
