"""The running city of a demo: its service, its departments, and its state."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.demo.participants import (
    BUREAU,
    CITY,
    PASSPHRASE,
    Actor,
    Part,
    create_council_keys,
    create_department_keys,
)
from api.demo.process import ServiceProcess
from api.operator.installation import initialise
from api.protocol.errors import ClientError
from api.protocol.trust import Trust
from api.runtime.settings import HomeError, Settings
from api.sdk.drafts import (
    ActDraft,
    sign_act,
    submit,
)


@dataclass(slots=True)
class City:
    """The running city of a demo: its service, its departments, and its state."""

    home: Path
    trust: Trust
    service: ServiceProcess
    actors: Mapping[int, Actor]
    council: list[bytes]
    assets: dict[str, str] = field(default_factory=dict)
    grants: dict[str, str] = field(default_factory=dict)
    permitted: int = 0
    denials: Counter[str] = field(default_factory=Counter)

    def of(self, part: Part) -> Actor:
        return self.actors[part.number]


def demo_settings(home: Path, rpc_url: str = "") -> Settings:
    """The settings of a demo; HomeError in production mode."""
    settings = Settings.given(home=home, rpc_url=rpc_url or None)
    if settings.production:
        raise HomeError(
            "a demo's keys are public, and production mode refuses them",
            hint="unset CIVIC_PRODUCTION, or make an installation with: civic init",
        )
    return settings


def found_city(home: Path, rpc_url: str = "", relayer_key: Path | None = None, *, port: int = 0) -> City:
    """Create the installation and all keys, and start the service on ``port`` (0: any); HomeError in production mode."""
    settings = demo_settings(home, rpc_url)
    people = home.with_name(f".{home.name}.people")
    shutil.rmtree(people, ignore_errors=True)
    addresses, council = create_council_keys(people)
    actors = {part.number: create_department_keys(part, people) for part in CITY}
    if settings.rpc_url and relayer_key is None:
        relayer_key = _development_account(people)
    initialise(
        settings,
        PASSPHRASE,
        council=addresses,
        threshold=2,
        admission_delay=0,
        relayer_key=relayer_key,
        mode="demo",
    )
    (home / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    people.rename(home / "departments")
    for actor in actors.values():
        actor.directory = home / "departments" / actor.part.slug
    trust = Trust.read(home / "trust.json")
    city = City(home, trust, ServiceProcess(home, port=port), actors, council)
    for actor in actors.values():
        actor.connect(city.service.url, trust)
    return city


def _development_account(people: Path) -> Path:
    """The first account of a development node (anvil, hardhat). Its key is public, and only such nodes fund it."""
    from api.protocol.keystore import import_secp256k1

    key = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    return import_secp256k1(people / "development-relayer.json", "relayer", key, PASSPHRASE, demo=True).path


def hand_in(city: City, actor: Actor, draft: ActDraft, secrets: list[bytes]) -> dict[str, Any]:
    done = submit(actor.civic, sign_act(draft, city.trust, secrets))
    if done["state"] != "recorded":
        raise ClientError(f"{draft.type} is {done['state']} after its time", code="act.pending")
    return done


def wait_for_anchor(city: City, seconds: float) -> dict[str, Any] | None:
    """The anchored head once it covers the present size of the log; None if that takes longer than ``seconds``."""
    civic = city.of(BUREAU).civic
    size = civic.status()["log"]["size"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        anchored: dict[str, Any] | None = civic.status()["log"]["anchored"]
        if anchored is not None and anchored["size"] >= size:
            return anchored
        time.sleep(0.2)
    return None
