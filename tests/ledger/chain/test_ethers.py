"""`civic chain serve` with ethers 6, the most used JavaScript client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ledger.chain.embedded.serve import serve_chain

HERE = Path(__file__).parent
BESIDE_NODE_MODULES = HERE.parents[2] / "contracts" / "package.json"


@pytest.fixture
def session(embedded, relayer, bytecode):
    server = serve_chain(embedded, port=0)
    arguments = [
        BESIDE_NODE_MODULES,
        server.url,
        *("0x" + part.hex() for part in (relayer.key, bytecode.counter, bytecode.refuser)),
    ]
    done = subprocess.run(
        ["node", HERE / "ethers_session.mjs", *[str(argument) for argument in arguments]],
        capture_output=True,
        text=True,
        timeout=60,
    )
    server.close()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.needs("node")
def test_ethers_sends_reads_logs_and_sees_why_a_contract_refuses(session, embedded, relayer):
    assert session["chainId"] == str(embedded.chain_id)
    assert session["status"] == 1
    assert session["from"] == relayer.address
    event = [session["counter"], "0x68656c6c6f"]
    assert session["byRange"] == [[*event, session["transaction"]]]
    assert session["byHash"] == [[*event, True]]
    assert session["byTopic"] == 1
    assert session["refusal"]["code"] == "CALL_EXCEPTION"
    assert session["refusal"]["reason"] == "no consent"
    assert session["estimate"] == {"code": "CALL_EXCEPTION", "reason": "no consent"}
    assert session["expired"] == {"code": "NONCE_EXPIRED"}
    assert session["legacy"] == [1, 0, relayer.address]
    assert session["storage"] == "0x" + (2).to_bytes(32).hex()
    assert session["block"] == [True, 1, 3]
    assert session["nonce"] == 4
    assert embedded.receipt(session["transaction"]).succeeded
