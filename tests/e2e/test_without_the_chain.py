"""Without the node, the register of grants and the status still answer, and state which block they show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City, found_city
from api.demo.governing import AIR_POLICY, admit, register, share
from api.demo.participants import PASSPHRASE, PLANNING
from api.protocol.keystore import import_secp256k1
from api.sdk.errors import ServiceProblem
from ledger.chain.embedded import EmbeddedChain, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.transactions import address_of
from tests.simulators.city import silent

RELAYER_KEY = bytes.fromhex("11" * 32)


@pytest.fixture(scope="module")
def offline_city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, list[dict[str, Any]]]]:
    """A city whose node was stopped, and its register from before."""
    folder: Path = tmp_path_factory.mktemp("node")
    key = import_secp256k1(folder / "relayer.json", "relayer", RELAYER_KEY, PASSPHRASE, demo=True).path
    with EmbeddedChain.create(folder / "chain.sqlite", random_chain_id(), address_of(RELAYER_KEY)) as chain:
        node = serve_chain(chain, port=0)
        city = found_city(folder / "city", node.url, key)
        try:
            for chapter in (admit, register, share):
                chapter(silent(), city)
            before = list(city.of(PLANNING).civic.grants())
            node.close()
            yield city, before
        finally:
            city.service.stop()


def test_register_answers_from_the_projection_without_the_chain(
    offline_city: tuple[City, list[dict[str, Any]]],
) -> None:
    city, before = offline_city
    civic = city.of(PLANNING).civic
    assert {one["chain_asked"] for one in before} == {True}
    started = time.monotonic()
    found = list(civic.grants())
    assert time.monotonic() - started < 5
    assert {one["chain_asked"] for one in found} == {False}
    assert {one["as_of_block"] for one in found} == {civic.status()["chain"]["block"]}
    said = ("id", "status", "left", "used", "uses_on_chain", "accepted_by")
    assert [[one[name] for name in said] for one in found] == [[one[name] for name in said] for one in before]
    one = civic.grant(found[0]["id"])
    assert one == found[0]
    for word in {each["status"] for each in found}:
        wanted = [each["id"] for each in found if each["status"] == word]
        assert [each["id"] for each in civic.grants(status=word)] == wanted


def test_status_reports_an_unreachable_chain(
    offline_city: tuple[City, list[dict[str, Any]]],
) -> None:
    city, _ = offline_city
    chain = city.of(PLANNING).civic.status()["chain"]
    assert (chain["reached"], chain["block_time"]) == (False, None)
    assert chain["block"] > 0


def test_data_call_is_refused_without_the_chain(offline_city: tuple[City, list[dict[str, Any]]]) -> None:
    city, _ = offline_city
    with pytest.raises(ServiceProblem) as refused:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    assert refused.value.code == "chain.unreachable"
