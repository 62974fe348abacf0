"""The demo: the departments of a city share data.

The chapters follow the source papers: six domains (planning, health, education, elder care, environment, public
security), a pension check against the civil register, air-quality data shared by three departments, an open weather
table. Every step goes over HTTP to a real service, and the output shows only what was done.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from api.demo.auditing import anchor, audit, verify
from api.demo.city import City, demo_settings, found_city
from api.demo.governing import admit, register, share
from api.demo.narrator import Narrator
from api.demo.participants import BUREAU
from api.demo.process import free_port
from api.demo.reading import read, refuse
from api.runtime.settings import HomeError, Settings, read_home
from api.terminal.screen import json_out

CHAPTERS = 9


def run_demo(home: Path, *, serve: bool | None, replace: bool, rpc_url: str, as_json: bool) -> None:
    """Run all chapters; with ``as_json`` the last output is the summary as one JSON object."""
    settings = demo_settings(home, rpc_url)
    narrator = Narrator.for_output(CHAPTERS, as_json=as_json)
    _make_room(home, replace)
    city: City | None = None
    try:
        with narrator.chapter("An installation of its own: chain, contracts, keys"):
            city = found_city(home, rpc_url, port=free_port(settings.host, settings.port))
            _tell_installation(narrator, city)
        summary = tell_story(narrator, city)
    except BaseException:
        if city is not None:
            city.service.stop()
        raise
    goes_on = sys.stdout.isatty() if serve is None else serve
    if not goes_on:
        _end(city, settings)
    if as_json:
        json_out(summary)
    if goes_on:
        try:
            narrator.tell("The service goes on at {url}; stop it with Ctrl-C.", url=city.service.url)
            city.service.wait()
        except KeyboardInterrupt:
            pass
        finally:
            _end(city, settings)
    if not all(check["passed"] for check in summary["checks"]):
        raise SystemExit(1)


def _end(city: City, settings: Settings) -> None:
    """Let the profiles name the address of a later ``civic serve``, and stop the service.

    The service of the demo already listens there if the port was free, so a demo that is killed leaves the same profiles.
    """
    for actor in city.actors.values():
        actor.point_to(settings.public_url or f"http://{settings.host}:{settings.port}")
    city.service.stop()


def tell_story(narrator: Narrator, city: City) -> dict[str, Any]:
    """Every chapter after the first; returns the summary."""
    with narrator.chapter("Eight departments are admitted by the council"):
        admit(narrator, city)
    with narrator.chapter("Data are registered: signed entries, then the files they name"):
        register(narrator, city)
    with narrator.chapter("Departments ask; stewards grant by signature"):
        share(narrator, city)
    with narrator.chapter("Departments read exactly what was granted"):
        read(narrator, city)
    with narrator.chapter("What is not granted is refused, and the refusal says why"):
        refuse(narrator, city)
    with narrator.chapter("The log is anchored on chain"):
        anchored = anchor(narrator, city)
    with narrator.chapter("An auditor searches and exports the log"):
        bundle, status = audit(narrator, city)
    with narrator.chapter("The bundle is checked offline, without the service"):
        trust = verify(narrator, city, bundle)
    return {
        "home": str(city.home),
        "departments": len(city.actors),
        "assets": len(city.assets),
        "grants": len(city.grants),
        "reads": {"permitted": city.permitted, "denied": sum(city.denials.values())},
        "denials": dict(sorted(city.denials.items())),
        "audit": {
            "entries": status["log"]["size"],
            "checkpoint": status["log"]["checkpoint"],
            "anchored_block": anchored,
        },
        "bundle": str(bundle),
        "trust": str(trust),
        "checks": narrator.checks,
        "seconds": round(time.monotonic() - narrator.started, 1),
    }


def _make_room(home: Path, replace: bool) -> None:
    if not home.exists() or not any(home.iterdir()):
        return
    if not replace:
        raise HomeError(
            f"there is something at {home} already", hint="name another --home, or give --replace"
        )
    old = read_home(home)
    if old.mode != "demo":
        raise HomeError(f"{home} is not a demo's home: it is left alone", hint="name another --home")
    shutil.rmtree(old.high_water_folder, ignore_errors=True)
    shutil.rmtree(home)


def _tell_installation(narrator: Narrator, city: City) -> None:
    status = city.of(BUREAU).civic.status()
    chain = status["chain"]
    narrator.tell(
        "chain {id}, contracts at {contracts}…, service at {url}",
        id=chain["id"],
        contracts=chain["contracts"]["SharingLedger"][:12],
        url=city.service.url,
    )
    if chain["embedded"]:
        narrator.tell(
            "The embedded chain is run by the operator: by itself it proves nothing against the operator. What catches a rollback are the checkpoints that clients and witnesses keep."
        )
