"""A killed node comes back at an old block: no decision, refusal or transaction uses its answers until it has
caught up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, ENVIRONMENT, PLANNING, Actor
from api.sdk.acts import sign_act
from api.sdk.drafts import draft_revocation
from api.sdk.errors import ServiceProblem
from ledger.chain.embedded import EmbeddedChain
from ledger.chain.embedded.serve import serve_chain
from tests.simulators.city import open_city
from tests.simulators.lying_node import LyingNode, from_yesterday, honest


@dataclass
class Behind:
    city: City
    node: LyingNode

    def read(self) -> str:
        """The code with which a department's read is refused; empty if it is answered."""
        try:
            self.city.of(PLANNING).civic.read(self.city.assets["air_quality"], AIR_POLICY, {"limit": 1})
        except ServiceProblem as refused:
            return refused.reasons[0] if refused.reasons else refused.code
        return ""

    def denials(self) -> int:
        return len(list(self.city.of(AUDIT).civic.entries(decision="deny")))


@pytest.fixture
def running(home: Path) -> Iterator[Behind]:
    with EmbeddedChain.open(home / "chain.sqlite") as chain:
        server = serve_chain(chain, port=0)
        with LyingNode(server.url) as node:
            city = open_city(home, CIVIC_RPC_URL=node.url)
            try:
                yield Behind(city, node)
            finally:
                city.service.stop()
        server.close()


def test_no_decision_uses_a_node_that_is_behind(running: Behind) -> None:
    city, node = running.city, running.node
    assert running.read() == ""
    denials, newest = running.denials(), city.of(AUDIT).civic.status()["chain"]["block"]
    for block in (0, 8):  # Before the contracts, and before most of the city's events.
        node.lie = from_yesterday(block, newest)
        until(lambda: city.of(AUDIT).civic.status()["chain"]["block"] < newest)
        assert running.read() == "chain.went_back"
        assert running.denials() == denials
    with pytest.raises(ServiceProblem) as waits:
        hand_in(running, city.of(ENVIRONMENT), city.grants["air-planning"])
    assert waits.value.code == "chain.went_back"
    work = city.of(AUDIT).civic.status()["work"]
    assert work["acts"] == "chain.went_back"
    assert work["anchors"] in (None, "audit.anchor_unavailable")
    node.lie = honest
    assert hand_in(running, city.of(ENVIRONMENT), city.grants["air-planning"]) == "recorded"
    assert running.read() == "grant.revoked"


def hand_in(running: Behind, owner: Actor, grant: str) -> str:
    """Revoke a grant; the state of the act."""
    signed = sign_act(draft_revocation(grant), running.city.trust, [owner.secrets["steward"]])
    return str(owner.civic.act(signed.type, signed.message, signed.signatures)["state"])


def until(what: Callable[[], object], seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.1)
