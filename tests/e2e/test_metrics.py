"""The figures of a real service, scraped and read as Prometheus reads them."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from api.demo.process import ServiceDidNotStart, ServiceProcess
from api.runtime.settings import Settings, SettingsInvalid
from api.sdk.errors import ServiceProblem
from ledger.audit.formats.note import COSIGNATURE, VerifierKey
from tests.simulators.city import open_city

ABSENT = VerifierKey("witness.example/absent", COSIGNATURE, bytes(range(32)))


@dataclass
class Scraped:
    """A city and the address of its figures."""

    city: City
    url: str

    def figures(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        text = httpx.get(self.url, timeout=10).raise_for_status().text
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def of(self, name: str, **labels: str) -> float | None:
        return self.figures().get((name, tuple(sorted(labels.items()))))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def scraped(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    address = f"127.0.0.1:{free_port()}"
    city = open_city(
        Path(shutil.copytree(founded, tmp_path_factory.mktemp("scraped") / "city")),
        CIVIC_METRICS=address,
        CIVIC_WITNESSES=f'{{"http://127.0.0.1:9": "{ABSENT}"}}',
        CIVIC_COSIGN_EVERY_S="1",
    )
    yield Scraped(city, f"http://{address}/metrics")
    city.service.stop()


def test_answers_are_counted_by_template_and_code(scraped: Scraped) -> None:
    city = scraped.city
    grant = next(iter(city.grants.values()))
    for path in (f"/v1/grants/{grant}", "/v1/grants/0x" + "5e" * 32, "/v1/nothing/at/all"):
        httpx.get(city.service.url + path)
    with pytest.raises(ServiceProblem) as denied:
        city.of(PLANNING).civic.read(city.assets["air_quality"], "dpv:Marketing", {"limit": 1})
    time.sleep(0.2)
    found = scraped.figures()
    counted = {
        tuple(dict(labels)[name] for name in ("method", "route", "status", "code")): value
        for (name, labels), value in found.items()
        if name == "civic_http_answers_total"
    }
    assert counted["GET", "/v1/grants/{grant_id}", "200", "ok"] == 1
    assert counted["GET", "/v1/grants/{grant_id}", "404", "not-found.grant"] == 1
    assert counted["GET", "-", "404", "not-found.path"] == 1
    assert counted["POST", "/v1/read", str(denied.value.status), denied.value.code] == 1
    one = (("method", "GET"), ("route", "/v1/grants/{grant_id}"))
    assert found["civic_http_answer_seconds_count", one] == 2
    assert found["civic_http_answer_bytes_total", (("route", "/v1/grants/{grant_id}"),)] > 100


def test_state_is_that_of_the_status(scraped: Scraped) -> None:
    status = httpx.get(scraped.city.service.url + "/v1/status").json()
    found = scraped.figures()
    plain = {name: value for (name, labels), value in found.items() if not labels}
    assert plain["civic_ready"] == plain["civic_database_up"] == plain["civic_chain_reached"] == 1
    assert plain["civic_log_entries"] >= status["log"]["size"] > 0
    assert plain["civic_log_anchored_entries"] >= status["log"]["anchored"]["size"]
    assert plain["civic_chain_followed_block"] >= status["chain"]["followed"]
    assert plain["civic_chain_head_block"] >= status["chain"]["block"]
    assert 0 <= plain["civic_projection_lag_seconds"] < 60
    assert plain["civic_chain_head_age_seconds"] >= 0
    for worker in status["workers"]:
        assert found["civic_worker_state", (("state", "well"), ("worker", worker))] == 1
        assert found["civic_worker_state", (("state", "stands-still"), ("worker", worker))] == 0
    assert found["civic_acts_waiting", (("state", "received"),)] == 0
    assert found["civic_scan_workers", (("state", "busy"),)] == 0
    assert found["civic_disk_free_bytes", (("disk", "home"),)] > 0
    assert [labels for name, labels in found if name == "civic_build_info"] == [
        (("edition", "2"), ("mode", "demo"), ("version", status["version"]))
    ]


def test_missing_witness_is_a_fault_and_the_service_is_ready(scraped: Scraped) -> None:
    until = time.monotonic() + 20
    while scraped.of("civic_witness_up", witness=ABSENT.name) != 0:
        assert time.monotonic() < until
        time.sleep(0.2)
    faults = [dict(labels) for name, labels in scraped.figures() if name == "civic_fault"]
    assert ("warning", "witnesses") in {(one["kind"], one["part"]) for one in faults}
    assert scraped.of("civic_ready") == 1


def test_no_label_names_a_dataset_grant_department_or_key(scraped: Scraped) -> None:
    city = scraped.city
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    text = httpx.get(scraped.url).text
    known = [*city.assets.values(), *city.grants.values(), city.service.url]
    assert not [word for word in known if word in text]


def test_public_address_has_no_figures(scraped: Scraped) -> None:
    assert httpx.get(scraped.city.service.url + "/metrics").status_code == 404


@pytest.mark.parametrize(
    "bad", ["9100", "localhost", "127.0.0.1:", "127.0.0.1:70000", "http://127.0.0.1:9100"]
)
def test_bad_address_is_refused(bad: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Settings(metrics=bad)
    assert "CIVIC_METRICS" in refused.value.message


def test_taken_address_is_refused_at_the_start(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServiceDidNotStart) as refused:
            ServiceProcess(home, environment={"CIVIC_METRICS": address})
    assert "settings.invalid" in refused.value.message
