"""Another client signs from the committed files alone: ethers 6, as docs/contracts.md shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from contracts_harness import City, Key, struct_hash

from contracts.artifacts import eip712_domain

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"

SCRIPT = """
import { readFileSync } from "node:fs";
import { TypedDataEncoder, Wallet } from "ethers";
const { types } = JSON.parse(readFileSync("artifacts/eip712.json"));
const { domain, kind, message, key } = JSON.parse(readFileSync(0));
const wanted = {};
const take = (name) => {
  if (!(name in types) || name in wanted) return;
  wanted[name] = types[name];
  for (const member of types[name]) take(member.type.replace("[]", ""));
};
take(kind);
const signature = await new Wallet(key).signTypedData(domain, wanted, message);
console.log(JSON.stringify({ signature, hash: TypedDataEncoder.hashStruct(kind, wanted, message) }));
"""


def plain(value: Any) -> Any:
    """The JSON form: bytes as hex, numbers as decimal text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value)


def signed_by_ethers(city: City, kind: str, message: dict[str, Any], key: Key) -> bytes:
    domain = {
        **eip712_domain("SharingLedger"),
        "chainId": str(city.chain.chain_id),
        "verifyingContract": city.ledger.address,
        "salt": "0x" + city.salt.hex(),
    }
    given = {
        "domain": domain,
        "kind": kind,
        "message": plain(message),
        "key": "0x" + key.private.to_hex().zfill(64),
    }
    run = subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT],
        cwd=CONTRACTS,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(run.stdout)
    assert answer["hash"] == "0x" + struct_hash(kind, message).hex()
    return bytes.fromhex(answer["signature"][2:])


@pytest.mark.needs("node")
def test_ledger_accepts_ethers_signatures(city: City) -> None:
    steward = city.departments[1].steward
    terms = [city.terms(city.asset_id(1, 1), grantee) for grantee in (2, 3)]
    city.send("grant", terms[0], [signed_by_ethers(city, "Terms", terms[0], steward)])
    batch = city.message("GrantBatch", grants=terms[1:])
    city.send("grantBatch", batch, [signed_by_ethers(city, "GrantBatch", batch, steward)])
    revoke = city.message("RevokeBatch", grants=[struct_hash("Terms", one) for one in terms], reason=2)
    city.send("revokeBatch", revoke, signed_by_ethers(city, "RevokeBatch", revoke, steward))
