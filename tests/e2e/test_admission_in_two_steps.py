"""A council admits a department after its delay: proposed at once, activated when ready, by the command and over
HTTP."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from api.cli.main import main
from api.demo.participants import (
    EDUCATION,
    HEALTH,
    PASSPHRASE,
    PLANNING,
    Actor,
    Part,
    create_council_keys,
    create_department_keys,
)
from api.demo.process import ServiceProcess
from api.operator.installation import initialise
from api.protocol.trust import Trust
from api.runtime.settings import Settings
from api.sdk.acts import ActDraft, write_act
from api.sdk.client import Civic
from api.sdk.drafts import NewSeat, NewServiceKey, department_profile, draft_admission, sign_act, submit
from api.sdk.errors import ServiceProblem

DAY = 86_400


@dataclass
class UnfoundedCity:
    """An installation with a council and no other parties; its service can be restarted."""

    home: Path
    people: Path
    council: list[bytes]
    service: ServiceProcess
    trust: Trust = field(init=False)
    civic: Civic = field(init=False)

    def __post_init__(self) -> None:
        self.trust = Trust.read(self.home / "trust.json")
        self.connect()

    def connect(self) -> None:
        self.civic = Civic(self.service.url, self.trust, self.people / "state")

    def restart(self) -> None:
        self.service.kill()
        self.service = ServiceProcess(self.home)
        self.connect()

    def newcomer(self, part: Part) -> Actor:
        return create_department_keys(part, self.people)

    def admission(self, actor: Actor, **more: Any) -> ActDraft:
        part = actor.part
        return draft_admission(
            part.number,
            actor.keys["recovery"].public,
            [NewSeat(actor.keys[name].public, roles) for name, roles in part.officers.items()],
            [NewServiceKey(actor.service.public, part.service_roles)],
            profile=department_profile(part.name_zh, part.name_en),
            **{"epoch": 1, **more},
        )

    def by_council(self, draft: ActDraft) -> ActDraft:
        return sign_act(draft, self.trust, self.council[:2])

    def by_seats(self, draft: ActDraft, actor: Actor) -> ActDraft:
        return sign_act(draft, self.trust, [actor.secrets[name] for name in actor.part.officers])

    def takes_part(self, part: Part) -> bool:
        return part.number in [one["id"] for one in self.civic.departments()]

    def size(self) -> int:
        return int(self.civic.status()["log"]["size"])


def city_of(path: Path, **options: int) -> UnfoundedCity:
    people = path / "people"
    addresses, council = create_council_keys(people)
    initialise(
        Settings(home=path / "home"), PASSPHRASE, council=addresses, threshold=2, mode="demo", **options
    )
    (path / "home" / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    return UnfoundedCity(path / "home", people, council, ServiceProcess(path / "home"))


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnfoundedCity]:
    """A city with the default delay of ``civic init``."""
    city = city_of(tmp_path_factory.mktemp("patient"))
    yield city
    city.service.stop()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnfoundedCity]:
    """A city whose council has a delay of four seconds."""
    city = city_of(tmp_path_factory.mktemp("quick"), admission_delay=4)
    yield city
    city.service.stop()


def settled(city: UnfoundedCity, digest: str) -> dict[str, Any]:
    """The act after it was recorded; ServiceProblem after it failed."""
    until = time.monotonic() + 30
    while (now := city.civic.act_status(digest))["state"] != "recorded":
        assert time.monotonic() < until
        time.sleep(0.3)
    return now


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(patient: UnfoundedCity, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with the council's profile."""
    profile = patient.people / "council"
    (profile / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    (profile / "trust.json").write_text(json.dumps(patient.trust.document))

    def civic(*arguments: str) -> dict[str, Any]:
        said = {"url": patient.service.url, "department": 1, "name": "council"}
        (profile / "profile.json").write_text(json.dumps(said))
        capsys.readouterr()
        code = main([*arguments, "--profile", str(profile), "--json"])
        document = json.loads(capsys.readouterr().out)
        return {"exit": code, **document}

    return civic


def test_an_admission_with_the_default_delay_is_proposed_and_waits(
    patient: UnfoundedCity, run: Run, tmp_path: Path
) -> None:
    actor = patient.newcomer(PLANNING)
    file = str(tmp_path / "admission.json")
    write_act(Path(file), patient.admission(actor))
    signed = run(
        "sign", file, *(w for name in PLANNING.officers for w in ("--key", str(actor.keys[name].path)))
    )
    assert signed["exit"] == 0, signed
    one = run("department", "admit", file, "--key", "member-1", "--yes")
    assert one["missing"], "the council needs two signatures"
    first = run("department", "admit", file, "--key", "member-2", "--wait", "2", "--yes")
    assert (first["exit"], first["state"]) == (0, "received")
    assert first["proposal"]["state"] == "recorded"
    ready = datetime.fromisoformat(first["ready_at"])
    assert abs((ready - datetime.now(UTC)).total_seconds() - DAY) < 60
    assert not patient.takes_part(PLANNING)
    before = patient.size()
    time.sleep(1.5)
    patient.restart()
    again = run("submit", file)
    assert (again["state"], again["ready_at"]) == ("received", first["ready_at"])
    assert again["digest"] == first["digest"]
    status = patient.civic.act_status(first["digest"])
    assert (status["state"], status["ready_at"]) == ("received", first["ready_at"])
    assert status["proposal"]["tx_hash"] == first["proposal"]["tx_hash"]
    assert not patient.takes_part(PLANNING)
    assert patient.size() == before


def test_admission_with_a_deadline_before_its_activation_is_refused(patient: UnfoundedCity) -> None:
    actor = patient.newcomer(HEALTH)
    draft = patient.admission(actor, deadline=int(time.time()) + 3_600)
    before = patient.size()
    for signed in (patient.by_council(draft), patient.by_seats(patient.by_council(draft), actor)):
        with pytest.raises(ServiceProblem) as refused:
            submit(patient.civic, signed)
        assert (refused.value.status, refused.value.code) == (400, "act.deadline")
        assert refused.value.document["pointer"] == "/message/deadline"
    assert patient.size() == before


def test_a_cancelled_admission_is_not_activated(patient: UnfoundedCity) -> None:
    actor = patient.newcomer(EDUCATION)
    draft = patient.admission(actor)
    waiting = submit(patient.civic, patient.by_seats(patient.by_council(draft), actor))
    assert waiting["state"] == "received"
    cancel = ActDraft(
        "CancelAdmission", {"admission": draft.id, "epoch": 1, "deadline": int(time.time()) + 3_600}
    )
    assert submit(patient.civic, patient.by_council(cancel))["state"] == "recorded"
    with pytest.raises(ServiceProblem) as refused:
        settled(patient, waiting["digest"])
    assert (refused.value.status, refused.value.code) == (409, "act.refused")
    assert not patient.takes_part(EDUCATION)


def test_the_council_opens_the_log_on_the_chain_with_one_command(patient: UnfoundedCity, run: Run) -> None:
    opened = run("audit", "open", "1", "--key", "member-1", "--key", "member-2", "--yes")
    assert (opened["exit"], opened["state"], opened["type"]) == (0, "recorded", "OpenLog")
    other = ("--deadline", "PT2H", "--key", "member-1", "--key", "member-2", "--yes")
    again = run("audit", "open", "1", *other)
    assert (again["exit"], again["error"]["code"]) == (1, "act.refused")


def test_other_acts_are_still_refused_early_while_an_admission_waits(patient: UnfoundedCity) -> None:
    cancel = ActDraft(
        "CancelAdmission", {"admission": "0x" + "12" * 32, "epoch": 1, "deadline": int(time.time()) + 3_600}
    )
    with pytest.raises(ServiceProblem) as refused:
        submit(patient.civic, patient.by_council(cancel))
    assert refused.value.code == "act.refused"
    with pytest.raises(ServiceProblem) as unknown:
        patient.civic.act_status("0x" + cancel.digest(patient.trust).hex())
    assert unknown.value.code == "not-found.act"


def test_the_service_activates_an_admission_that_became_ready_also_after_a_crash(
    quick: UnfoundedCity,
) -> None:
    actor = quick.newcomer(PLANNING)
    draft = quick.by_seats(quick.by_council(quick.admission(actor)), actor)
    handed = submit(quick.civic, draft, wait_s=2.0)
    assert handed["state"] == "received"
    quick.restart()
    now = settled(quick, handed["digest"])
    assert quick.takes_part(PLANNING)
    assert now["entry"]["type"] == "chain:department:admitted"
    assert now["tx_hash"] != now["proposal"]["tx_hash"]
    before = quick.size()
    assert submit(quick.civic, draft)["tx_hash"] == now["tx_hash"]
    assert quick.size() == before


def test_the_seats_may_sign_after_the_delay(quick: UnfoundedCity) -> None:
    actor = quick.newcomer(HEALTH)
    draft = quick.admission(actor)
    proposed = submit(quick.civic, quick.by_council(draft))
    assert proposed["state"] == "recorded"
    assert "ready_at" in proposed
    assert not quick.takes_part(HEALTH)
    activated = submit(quick.civic, quick.by_seats(draft, actor))
    assert activated["state"] == "recorded"
    assert activated["tx_hash"] != proposed["tx_hash"]
    assert quick.takes_part(HEALTH)
    both = submit(quick.civic, quick.by_seats(quick.by_council(draft), actor))
    assert both["tx_hash"] == activated["tx_hash"]


def test_a_seat_that_did_not_sign_cannot_be_seated(quick: UnfoundedCity) -> None:
    actor = quick.newcomer(Part(3_000, "stranger", "陌生", "Stranger"))
    draft = quick.admission(actor)
    submit(quick.civic, quick.by_council(draft))
    alone = sign_act(draft, quick.trust, [actor.secrets["admin"]])
    with pytest.raises(ServiceProblem) as refused:
        submit(quick.civic, alone)
    assert refused.value.code == "act.possession"
    assert refused.value.status < 500


def test_callers_waiting_for_acts_do_not_block_other_calls(tmp_path: Path) -> None:
    """The state of an act is public, and a caller may wait a minute for it: here more callers wait than there
    are threads."""
    city = city_of(tmp_path, admission_delay=50)
    lines: list[socket.socket] = []
    try:
        actor = city.newcomer(HEALTH)
        draft = city.by_seats(city.by_council(city.admission(actor)), actor)
        digest = submit(city.civic, draft, wait_s=1)["digest"]
        host, port = urlsplit(city.service.url).hostname, urlsplit(city.service.url).port
        for _ in range(60):
            line = socket.create_connection((str(host), int(port or 0)), timeout=30)
            line.sendall(f"GET /v1/acts/{digest}?wait=60 HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            lines.append(line)
        began = time.monotonic()
        while time.monotonic() < began + 4:
            assert city.civic.status()["log"]["size"]
        assert time.monotonic() - began < 30
        early = select.select(lines, [], [], 0)[0]
        assert not early, early[0].recv(4096)
    finally:
        for line in lines:
            line.close()
        city.service.kill()
