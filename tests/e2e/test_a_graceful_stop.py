"""SIGTERM and SIGINT end a service under load: in time, quietly, with every answer that it had begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING, PUBLIC_SECURITY
from api.demo.process import ServiceProcess
from api.protocol.errors import ClientError
from api.sdk.acts import sign_act
from api.sdk.client import Civic
from api.sdk.drafts import draft_suspension, submit
from api.sdk.reading import Released
from tests.simulators.city import reconnect

DEADLINE_S = 15.0
"""Ten seconds for answers that leave, and the closing of everything."""
CODES = {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 130}
NOISE = ("Traceback", "leaked", "never awaited", "Warning", "ERROR", "Exception", "resource_tracker")


@dataclass(slots=True)
class Load:
    """Callers who read and an officer who acts until they are stopped; what each was told."""

    city: City
    stopped: threading.Event = field(default_factory=threading.Event)
    reads: list[tuple[float, float, Released]] = field(default_factory=list)
    acts: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[float, ClientError]] = field(default_factory=list)
    unfinished: list[ClientError] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def begin(self, folder: Path) -> None:
        for number in range(4):
            actor = self.city.of(PLANNING)
            caller = Civic(self.city.service.url, self.city.trust, folder / f"caller-{number}", actor.service)
            self.threads.append(threading.Thread(target=self._read, args=(caller,)))
        self.threads.append(threading.Thread(target=self._act))
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _read(self, caller: Civic) -> None:
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                answer = caller.read(self.city.assets["air_quality"], AIR_POLICY, {"limit": 3})
            except ClientError as refused:
                self.failed.append((began, refused))
                time.sleep(0.02)
            else:
                self.reads.append((began, time.monotonic(), answer))

    def _act(self) -> None:
        owner, lift = self.city.of(PUBLIC_SECURITY), False
        while not self.stopped.is_set():
            draft = draft_suspension(self.city.assets["population_register"], "drill", lift=lift)
            signed = sign_act(draft, self.city.trust, [owner.secrets["steward"]])
            try:
                self.acts.append(submit(owner.civic, signed, wait_s=0.2 * (len(self.acts) % 3)))
                lift = not lift
            except ClientError as refused:
                self.unfinished.append(refused)
                time.sleep(0.02)


@pytest.mark.parametrize("number", CODES)
def test_a_stop_under_load_is_quiet_and_loses_nothing(
    city: City, tmp_path: Path, number: signal.Signals
) -> None:
    load = Load(city)
    load.begin(tmp_path)
    time.sleep(3)
    said_before = (city.home / "service.log").stat().st_size
    asked = time.monotonic()
    code = city.service.stop(number)
    took = time.monotonic() - asked
    load.end()
    assert code == CODES[number]
    assert took < DEADLINE_S
    log = (city.home / "service.log").read_text()[said_before:]
    assert [word for word in NOISE if word in log] == [], log[-3000:]
    assert len(load.reads) > 10
    assert load.acts
    assert any(began < asked < ended for began, ended, _ in load.reads), "an answer was under way"
    assert [refused for began, refused in load.failed if began < asked] == []
    codes = {refused.code for refused in (*load.unfinished, *(refused for _, refused in load.failed))}
    assert codes <= {"client.unreachable"}

    city.service = ServiceProcess(city.home)
    reconnect(city)
    entries = {item["index"]: item["entry"] for item in city.of(AUDIT).civic.entries(decision="permit")}
    for _, _, released in load.reads:
        assert entries[released.receipt.index] == released.receipt.event
    owner = city.of(PUBLIC_SECURITY).civic
    for act in load.acts:
        assert owner.act_status(act["digest"], wait_s=20)["state"] == "recorded", act


def served(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "api.cli.main", "serve", "--home", str(home), "--port", "0", "--json"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("number", CODES)
def test_a_stop_just_after_the_start_is_quiet(home: Path, number: signal.Signals) -> None:
    """It came between the announcement and the first tick of the server, and was told at length on standard error."""
    process = served(home)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["url"]
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out, err) == (CODES[number], "", "")


@pytest.mark.parametrize("number", CODES)
def test_a_stop_while_the_home_is_opened_is_quiet(home: Path, number: signal.Signals) -> None:
    process = served(home)
    deadline = time.monotonic() + 60
    while not _holds(process.pid, home / "gateway.lock"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, err) == (CODES[number], "")
    again = served(home)
    assert again.stdout is not None
    assert json.loads(again.stdout.readline())["url"]
    again.terminate()
    again.communicate(timeout=DEADLINE_S)


def test_several_signals_end_it_once(home: Path) -> None:
    """As when a terminal is closed and the supervisor stops the service too: closing is not interrupted."""
    process = served(home)
    assert process.stdout is not None
    process.stdout.readline()
    for _ in range(20):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.01)
        if process.poll() is not None:
            break
    _, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, err) == (-signal.SIGTERM, "")


def _holds(pid: int, file: Path) -> bool:
    """Whether a process has the file open."""
    try:
        return any(os.readlink(link) == str(file.resolve()) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
