"""A database that is stopped, too slow or cuts connections: 503 with a code, nothing lost, and the service recovers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from api.demo.city import City, wait_for_anchor
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING
from api.protocol.errors import ClientError
from api.sdk.errors import AnswerRefused, ServiceProblem
from tests.simulators.city import founded_home, open_city
from tests.simulators.postgres import Cluster, cluster, ordinary_database

pytestmark = pytest.mark.needs("postgresql")


@dataclass
class DisturbedCity:
    """A running city and the server under its database."""

    city: City
    server: Cluster
    url: str
    outcomes: list[tuple[str, int]] = field(default_factory=list)
    receipts: list[int] = field(default_factory=list)

    @property
    def role(self) -> str:
        return str(make_url(self.url).username)

    def ask_server(self, statement: str) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as conn:
            conn.execute(statement)

    def read(self) -> None:
        try:
            given = self.city.of(PLANNING).civic.read(
                self.city.assets["air_quality"], AIR_POLICY, {"limit": 1}
            )
        except ServiceProblem as refused:
            self.outcomes.append((refused.code, refused.status))
        except ClientError as failed:
            self.outcomes.append((failed.code, 0))
        else:
            self.outcomes.append(("", 200))
            self.receipts.append(given.receipt.index)

    def look(self) -> None:
        """Unsigned reads of every kind, which everyone can make."""
        for path in _PATHS:
            answer = httpx.get(self.city.service.url + path, timeout=60)
            code = "" if answer.status_code < 400 else str(answer.json().get("code"))
            self.outcomes.append((code, answer.status_code))
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) >= 1, path
                assert code == "store.unavailable" or code.startswith(("log.", "audit.log")), (path, code)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Calls run in the background meanwhile; afterwards the service must answer again."""
        stop = threading.Event()
        broken: list[BaseException] = []

        def run(call: Callable[[], None]) -> None:
            while not stop.is_set():
                try:
                    call()
                except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                    broken.append(error)
                    return

        threads = [threading.Thread(target=run, args=(call,)) for call in (self.read, self.look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(90)
        assert not broken, broken
        self.must_work_again()

    def must_work_again(self) -> None:
        until = time.monotonic() + 60
        while True:
            before = len(self.receipts)
            self.read()
            if len(self.receipts) > before:
                return
            assert time.monotonic() < until, self.outcomes[-5:]
            time.sleep(0.3)

    def must_be_sound(self) -> None:
        """No answer was a defect, and every answer is in the log."""
        assert {status for _, status in self.outcomes} <= {200, 503, 0}, sorted(set(self.outcomes))
        auditor = self.city.of(AUDIT).civic
        for index in self.receipts:
            assert auditor.receipt(index).index == index
        assert wait_for_anchor(self.city, 90) is not None, "the anchorer goes on as well"


_PATHS = (
    "/v1/status",
    "/v1/datasets",
    "/v1/grants",
    "/v1/departments",
    "/checkpoint",
)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DisturbedCity]:
    home: Path = tmp_path_factory.mktemp("disturbed") / "city"
    with cluster() as server, ordinary_database(server.url) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVIC_DATABASE_URL", url)
        founded_home(home)
        city = open_city(home, CIVIC_ANCHOR_EVERY_S="2")
        try:
            yield DisturbedCity(city, server, url)
        finally:
            city.service.stop()


def test_terminated_database_connections_are_answered_with_503(disturbed: DisturbedCity) -> None:
    with disturbed.calling():
        for _ in range(12):
            time.sleep(0.3)
            disturbed.ask_server(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{disturbed.role}'"
            )
    disturbed.must_be_sound()


def test_slow_statements_are_answered_with_503(disturbed: DisturbedCity) -> None:
    def limit(value: str) -> None:
        disturbed.ask_server(f"ALTER ROLE {disturbed.role} SET statement_timeout = '{value}'")
        disturbed.ask_server(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{disturbed.role}'"
        )

    with disturbed.calling():
        limit("1ms")
        time.sleep(5)
        limit("0")
    disturbed.must_be_sound()


def test_stopped_database_is_answered_with_503_and_service_recovers(disturbed: DisturbedCity) -> None:
    with disturbed.calling():
        time.sleep(0.5)
        disturbed.server.stop("fast")
        time.sleep(3)
        disturbed.server.start()
    statuses = [status for _, status in disturbed.outcomes]
    assert 503 in statuses
    disturbed.must_be_sound()


@pytest.mark.parametrize(
    ("away", "back"),
    [
        (
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO {}",
        ),
        ("ALTER TABLE audit_state RENAME TO kept_aside", "ALTER TABLE kept_aside RENAME TO audit_state"),
    ],
    ids=["privileges", "a-table"],
)
def test_temporary_loss_of_database_rights_is_answered_with_503(
    disturbed: DisturbedCity, away: str, back: str
) -> None:
    def in_database(statement: str) -> None:
        name = str(make_url(disturbed.url).database)
        with psycopg.connect(
            disturbed.server.url.replace("/postgres?", f"/{name}?"), autocommit=True
        ) as conn:
            conn.execute(statement.format(disturbed.role))

    with disturbed.calling():
        in_database(away)
        time.sleep(2)
        in_database(back)
    assert 503 in {status for _, status in disturbed.outcomes}
    disturbed.must_be_sound()


def test_service_works_after_all_disturbances(disturbed: DisturbedCity) -> None:
    said = (disturbed.city.home / "service.log").read_text()
    assert "Traceback" not in said, said[said.index("Traceback") - 300 :][:3000]
    assert AnswerRefused.code not in {code for code, _ in disturbed.outcomes}
