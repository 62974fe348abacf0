"""A node that is late with every answer: calls that need it wait or are refused, and the status is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from api.demo.city import City, found_city
from api.demo.governing import AIR_POLICY, admit, register, share
from api.demo.participants import PASSPHRASE, PLANNING
from api.protocol.errors import ClientError
from api.protocol.keystore import import_secp256k1
from api.sdk.errors import ServiceProblem
from ledger.chain.embedded import EmbeddedChain, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.transactions import address_of
from tests.simulators.bad_node import GOOD, STALLED, BadNode
from tests.simulators.city import silent

RELAYER_KEY = bytes.fromhex("12" * 32)
CALLERS = 48
"""More than the connections to the database and the threads."""
ANSWERED_S = 5.0


@dataclass
class Behind:
    """A city behind a node that can be late."""

    city: City
    node: BadNode
    seen: list[tuple[int, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder: Path = tmp_path_factory.mktemp("late")
    key = import_secp256k1(folder / "relayer.json", "relayer", RELAYER_KEY, PASSPHRASE, demo=True).path
    with EmbeddedChain.create(folder / "chain.sqlite", random_chain_id(), address_of(RELAYER_KEY)) as chain:
        node = serve_chain(chain, port=0)
        with BadNode(node.url) as late:
            city = found_city(folder / "city", late.url, key)
            try:
                for chapter in (admit, register, share):
                    chapter(silent(), city)
                yield Behind(city, late)
            finally:
                late.be(GOOD)
                city.service.stop()
                node.close()


@pytest.mark.drill
def test_status_is_answered_while_calls_wait_for_a_late_node(behind: Behind) -> None:
    city, url = behind.city, behind.city.service.url
    grants = [str(one["id"]) for one in city.of(PLANNING).civic.grants()]
    paths = ["/v1/grants", f"/v1/grants/{grants[0]}", f"/v1/policy/who-can?asset=6.1&purpose={AIR_POLICY}"]

    def look(path: str) -> None:
        answer = httpx.get(url + path, timeout=90, trust_env=False)
        behind.seen.append((answer.status_code, str(answer.json().get("code", ""))))

    def read() -> None:
        try:
            city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
        except ServiceProblem as refused:
            behind.seen.append((refused.status, refused.code))
        except ClientError as failed:
            behind.seen.append((0, failed.code))
        else:
            behind.seen.append((200, ""))

    calls: list[Callable[[], None]] = [lambda path=paths[n % 3]: look(path) for n in range(CALLERS)]  # type: ignore[misc]
    calls += [read] * 12
    behind.node.be(STALLED)
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    took = []
    until = time.monotonic() + 12
    while time.monotonic() < until:
        time.sleep(0.3)
        began = time.monotonic()
        status = httpx.get(url + "/v1/status", timeout=90, trust_env=False)
        took.append(time.monotonic() - began)
        assert status.status_code == 200
    behind.node.be(GOOD)
    for thread in threads:
        thread.join(120)
    print(sorted(took)[-5:], {one: behind.seen.count(one) for one in set(behind.seen)})
    assert max(took) < ANSWERED_S
    assert {status for status, _ in behind.seen} <= {200, 429, 503}, behind.seen
