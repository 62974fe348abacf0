"""A city on three nodes of its chain: with one lying or missing node the city works; with two it waits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import found_city
from api.demo.governing import AIR_POLICY, admit, register, share
from api.demo.participants import PASSPHRASE, PLANNING
from api.protocol.keystore import import_secp256k1
from api.sdk.errors import ServiceProblem
from ledger.chain.embedded import EmbeddedChain, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.transactions import address_of
from tests.simulators.city import silent
from tests.simulators.lying_node import Ask, LyingNode

RELAYER_KEY = bytes.fromhex("13" * 32)


def lie(method: str, params: list[Any], ask: Ask) -> Any:
    """Other blocks, an empty state, and no mined transaction."""
    found = ask(method, *params)
    if method == "eth_getBlockByNumber" and found:
        return found | {"hash": "0x" + "ab" * 32, "number": hex(int(found["number"], 16) + 5)}
    if method in ("eth_call", "eth_getStorageAt"):
        return "0x" + "00" * 32
    return None if method == "eth_getTransactionReceipt" else found


@pytest.mark.drill
def test_a_city_behind_three_nodes(tmp_path: Path) -> None:
    key = import_secp256k1(tmp_path / "relayer.json", "relayer", RELAYER_KEY, PASSPHRASE, demo=True).path
    with EmbeddedChain.create(tmp_path / "chain.sqlite", random_chain_id(), address_of(RELAYER_KEY)) as chain:
        servers = [serve_chain(chain, port=0) for _ in range(2)]
        liar = LyingNode(servers[0].url)
        city = found_city(tmp_path / "city", " ".join([liar.url, *(one.url for one in servers)]), key)
        try:
            admit(silent(), city)
            liar.lie = lie
            register(silent(), city)
            share(silent(), city)
            civic = city.of(PLANNING).civic
            civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
            assert civic.status()["chain"]["nodes"] == {"configured": 3, "needed": 2, "agree": 2}
            liar.close()
            civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
            servers[1].close()
            until = time.monotonic() + 20
            while civic.status()["work"]["chain"] != "chain.nodes-disagree":
                assert time.monotonic() < until
                time.sleep(0.1)
            with pytest.raises(ServiceProblem) as refused:
                civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
            assert refused.value.code == "chain.nodes-disagree"
        finally:
            city.service.stop()
            servers[0].close()
