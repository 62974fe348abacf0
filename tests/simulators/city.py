"""A city whose service can be stopped, killed, restored and started again."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from api.demo.city import Actor, City, found_city
from api.demo.governing import admit, register, share
from api.demo.narrator import Narrator
from api.demo.participants import CITY, PASSPHRASE, load_department
from api.demo.process import ServiceProcess
from api.protocol.keystore import open_secp256k1
from api.protocol.trust import Trust
from api.sdk.drafts import ActDraft, sign_act, submit
from ledger.ids import asset_text

TIDY = {"CIVIC_RETENTION_EVERY_S": "1"}
"""The service checks for unneeded files every second."""


def silent() -> Narrator:
    """A narrator without output."""
    return Narrator(Console(file=io.StringIO()), steps=9)


def founded_home(home: Path, rpc_url: str = "") -> Path:
    """A home with all registrations and grants of the demo; its service is stopped."""
    city = found_city(home, rpc_url)
    try:
        for chapter in (admit, register, share):
            chapter(silent(), city)
    finally:
        city.service.stop()
    (home / "story.json").write_text(json.dumps({"assets": city.assets, "grants": city.grants}))
    return home


def open_city(home: Path, **environment: str) -> City:
    """Start the service of a founded home and connect all clients to it."""
    story = json.loads((home / "story.json").read_text())
    actors = {part.number: load_department(part, home / "departments") for part in CITY}
    members = sorted((home / "departments" / "council" / "keys").glob("member-*.json"))
    council = [open_secp256k1(path, PASSPHRASE) for path in members]
    service = ServiceProcess(home, environment=environment)
    city = City(
        home, Trust.read(home / "trust.json"), service, actors, council, story["assets"], story["grants"]
    )
    reconnect(city)
    return city


def take_version(city: City, owner: Actor, draft: ActDraft, file: Path) -> None:
    """The owner's steward signs a new version, its file is uploaded, and it is recorded."""
    signed = sign_act(draft, city.trust, [owner.secrets["steward"]])
    act = submit(owner.civic, signed)
    assert act["state"] == "awaiting-file", act
    owner.civic.upload(asset_text(draft.message["asset"]), file)
    assert owner.civic.act_status(act["digest"], wait_s=20)["state"] == "recorded"


def reconnect(city: City) -> None:
    """Connect all clients to the service's current address; the heads that they saw are kept."""
    for actor in city.actors.values():
        actor.connect(city.service.url, city.trust)
