"""The machine's clock is set while the service runs, or before it starts.

The service is a real process; a library in front of the C library moves its wall clock
(``tests/simulators/set_clock.c``). Callers keep the right time; where an attack needs it, they sign with the
service's time.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from access_policy.terms.templates import agreement
from api.demo.city import City, hand_in
from api.demo.governing import AIR_POLICY
from api.demo.participants import ENVIRONMENT, PLANNING
from api.demo.process import ServiceDidNotStart, ServiceProcess
from api.sdk.drafts import acceptance_of, draft_grant, draft_revocation, sign_act
from ledger.ids import asset_iri, department_iri, parse_asset
from tests.simulators.city import open_city, reconnect
from tests.simulators.raw_http import Call, Reply, read_body, send
from tests.simulators.set_clock import MachineClock

pytestmark = pytest.mark.needs("cc")

DAY = 86_400
SETTINGS = {"CIVIC_CALL_MAX_AGE_S": "10", "CIVIC_ANCHOR_EVERY_S": "1"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> MachineClock:
    return MachineClock.made(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def clock(machine: MachineClock) -> Iterator[MachineClock]:
    yield machine
    machine.set(0)


@pytest.fixture(scope="module")
def ticking(founded: Path, machine: MachineClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    home = Path(shutil.copytree(founded, tmp_path_factory.mktemp("ticking") / "city"))
    city = open_city(home, **machine.environment, **SETTINGS)
    yield city
    city.service.stop()


def call(city: City, moved: int = 0, *, method: str = "POST", target: str = "/v1/read", **body: Any) -> Call:
    """A call of the planning department, signed with a clock that is this many seconds ahead."""
    asked = {"asset": city.assets["air_quality"], "purpose": AIR_POLICY, "dry_run": False, **body}
    return Call(
        city.of(PLANNING).service,
        city.service.url,
        target,
        method,
        read_body(**asked) if method == "POST" else b"",
        headers=(("Content-Type", "application/json"),) if method == "POST" else (),
        created=int(time.time()) + moved,
    )


def ask(city: City, moved: int = 0, **more: Any) -> Reply:
    return call(city, moved, **more).send(city.service.url)


def status(city: City) -> dict[str, Any]:
    with urllib.request.urlopen(f"{city.service.url}/v1/status", timeout=20) as answer:
        return dict(json.load(answer))


def post_act(city: City, act: Any, wait: int = 1) -> tuple[int, dict[str, Any]]:
    document = {"type": act.type, "message": act.message, "signatures": act.signatures}
    request = urllib.request.Request(
        f"{city.service.url}/v1/acts?wait={wait}",
        json.dumps(document).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def revocation(city: City, grant: str) -> Any:
    steward = city.of(ENVIRONMENT).secrets["steward"]
    return sign_act(draft_revocation(city.grants[grant], "purpose-ended"), city.trust, [steward])


def share_for(city: City, seconds: int) -> str:
    """A grant with which the planning department may read the air quality for this many seconds."""
    asset, owner = city.assets["air_quality"], city.of(ENVIRONMENT)
    now = datetime.now(UTC).replace(microsecond=0)
    document = agreement(
        department_iri(ENVIRONMENT.number),
        department_iri(PLANNING.number),
        asset_iri(parse_asset(asset)),
        columns=("station_id",),
        purposes=(AIR_POLICY,),
        not_before=now - timedelta(minutes=30),
        expiry=now + timedelta(seconds=seconds),
    )
    draft = draft_grant(
        asset,
        PLANNING.number,
        document,
        not_before=int(now.timestamp()) - 1_800,
        expiry=int(now.timestamp()) + seconds,
    )
    hand_in(city, owner, draft, [owner.secrets["steward"]])
    reader = city.of(PLANNING)
    accepted = sign_act(acceptance_of(draft.message), city.trust, [reader.secrets["steward"]])
    reader.civic.accept(draft.id, accepted.signatures[0])
    return str(draft.id)


def test_clock_400_days_ahead_stops_mining_and_releases(ticking: City, clock: MachineClock) -> None:
    assert ask(ticking).status == 200
    head = status(ticking)["chain"]["block_time"]
    clock.set(400 * DAY)
    assert ask(ticking, 400 * DAY).code == "clock.ahead"
    assert ask(ticking).code == "clock.ahead", "by a caller whose clock is right"
    said = status(ticking)
    assert said["clock"]["state"] == "clock.ahead"
    assert abs(datetime.fromisoformat(said["time"]).timestamp() - time.time()) < 5
    code, answer = post_act(ticking, revocation(ticking, "air-health"))
    assert code == 202, "a revocation is taken all the same"
    assert answer["state"] in ("received", "submitted")
    assert status(ticking)["chain"]["block_time"] <= time.time() + 5
    clock.set(0)
    code, answer = post_act(ticking, revocation(ticking, "air-education"), wait=20)
    assert answer["state"] == "recorded"
    assert head <= status(ticking)["chain"]["block_time"] <= time.time() + 5
    assert ask(ticking).status == 200
    assert status(ticking)["clock"] == {"state": "ok"}


def test_a_clock_set_back_revives_no_expired_grant(ticking: City, clock: MachineClock) -> None:
    ends = time.time() + 25
    again = {"grant": share_for(ticking, 25), "query": {"columns": ["station_id"], "limit": 1}}
    alive = ask(ticking, **again)
    assert alive.status == 200, alive.body
    time.sleep(max(0.0, ends + 1 - time.time()))
    assert ask(ticking, **again).status == 403
    clock.set(-553)
    assert ask(ticking, -553, **again).code == "clock.behind"
    assert ask(ticking, **again).code == "clock.behind"
    looked = json.loads(ask(ticking, **again, dry_run=True).body)
    assert looked["decision"] == "deny", "time does not fall"
    assert status(ticking)["clock"]["state"] == "clock.behind"
    clock.set(0)
    assert ask(ticking, **again).status == 403
    assert ask(ticking).status == 200


def test_a_start_far_ahead_of_the_last_block_is_refused(
    ticking: City, clock: MachineClock, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(ticking.home, tmp_path / "city", ignore=shutil.ignore_patterns("*.lock")))
    clock.set(400 * DAY)
    with pytest.raises(ServiceDidNotStart, match=r"clock\.ahead") as refused:
        ServiceProcess(home, environment=clock.environment)
    assert "--clock-is" in str(refused.value)
    right = datetime.now(UTC).isoformat()
    with pytest.raises(ServiceDidNotStart, match=r"clock\.not-as-stated"):
        ServiceProcess(home, environment={**clock.environment, "CIVIC_CLOCK_IS": right})


def test_a_stated_time_is_an_entry(founded: Path, clock: MachineClock, tmp_path: Path) -> None:
    """The operator states that a clock 400 days ahead is right: the service accepts it, and the log records
    the statement."""
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    clock.set(400 * DAY)
    right = datetime.now(UTC) + timedelta(days=400)
    service = ServiceProcess(home, environment={**clock.environment, "CIVIC_CLOCK_IS": right.isoformat()})
    service.stop()
    with sqlite3.connect(f"file:{home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        leaves = [json.loads(leaf) for (leaf,) in database.execute("SELECT leaf FROM audit_entry")]
    [stated] = [leaf for leaf in leaves if leaf["type"] == "log:clock:stated"]
    assert datetime.fromisoformat(stated["facts"]["stated"]) == right.replace(microsecond=0)
    assert abs(datetime.fromisoformat(stated["facts"]["known"]) - datetime.now(UTC)) < timedelta(days=1)


def test_a_revocation_denies_at_once_where_the_chain_is_in_the_future(
    founded: Path, clock: MachineClock, tmp_path: Path
) -> None:
    ahead = 3 * DAY
    clock.set(ahead)  # Less than the difference that a start reports.
    city = open_city(Path(shutil.copytree(founded, tmp_path / "city")), **clock.environment, **SETTINGS)
    try:
        deadline = time.monotonic() + 30
        assert ask(city, ahead).status == 200
        while status(city)["chain"]["block_time"] < time.time() + DAY and time.monotonic() < deadline:
            time.sleep(0.3)
        assert status(city)["chain"]["block_time"] > time.time() + DAY
        clock.set(0)
        assert status(city)["clock"]["state"] == "clock.behind"
        code, answer = post_act(city, revocation(city, "air-planning"))
        looked = json.loads(ask(city, ahead, dry_run=True).body)
        assert looked["decision"] == "deny"
        assert [one["code"] for one in looked["reasons"]] == ["grant.revoked"]
        assert (code, answer["code"], answer["denies"]) == (400, "act.expired", True)
    finally:
        city.service.stop()


def test_clock_set_ahead_and_back_permits_no_replay(ticking: City, clock: MachineClock) -> None:
    reconnect(ticking)
    post = call(ticking).bytes()
    get = call(ticking, method="GET", target="/v1/requests").bytes()
    assert (send(ticking.service.url, post).status, send(ticking.service.url, get).status) == (200, 200)
    clock.set(600)
    for _ in range(2):  # Expired nonces are deleted with the next call.
        ask(ticking, 600)
        ask(ticking, 600, method="GET", target="/v1/requests")
    clock.set(0)
    assert send(ticking.service.url, post).code in ("call.replayed", "clock.behind")
    assert send(ticking.service.url, get).code in ("call.replayed", "clock.behind")
