"""A new epoch after a loss: the council's signed NewEpoch goes on chain, and the log goes on under its new origin.

Done with the service stopped. The act must be signed by the council before; the operator chooses nothing but when.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from api.installation import log_key_of
from api.problems import Problem
from api.sdk.keystore import key_info, open_ed25519, open_secp256k1
from api.settings import Settings, read_home, read_passphrase
from api.wiring import derived, open_chain, origin_of, trust_document
from ledger.audit.checkpoint import Head, Origin
from ledger.audit.epochs import CouncilDecision, open_epoch
from ledger.audit.highwater import HighWaterMark
from ledger.audit.note import Signer
from ledger.audit.openings import OpeningVault
from ledger.audit.reading import LogReader
from ledger.chain.anchoring import anchored_head, origin_hash
from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment, calldata, decode_revert
from ledger.chain.sending import sending
from ledger.chain.transactions import Fees, address_of, sign_transaction
from ledger.outbox import SignedAct
from ledger.releases import recount
from ledger.store.engine import open_engine

GAS = 2_000_000


def begin_epoch(settings: Settings, document: dict[str, Any]) -> dict[str, Any]:
    """Carry a council-signed NewEpoch to the chain and continue the log; Problem when any part does not fit."""
    home = read_home(settings.home)
    passphrase = read_passphrase(settings)
    deployment = Deployment.from_json(home.deployment)
    old = origin_of(deployment, home.epoch)
    new = old.next()
    act = SignedAct.from_json(document)
    message = act.message
    if act.type != "NewEpoch":
        raise Problem("act.epoch", "this is not a NewEpoch act")
    if (message["origin"], message["newOrigin"]) != (origin_hash(str(old)), origin_hash(str(new))):
        raise Problem("act.epoch", f"the act must lead from {old} to {new}")
    kept = Head(int(message["lastSize"]), bytes.fromhex(message["lastRoot"][2:]))
    vault = OpeningVault(derived(open_secp256k1(home.keys / "vault.json", passphrase), b"openings"))
    signer = Signer(str(new), open_ed25519(home.keys / "log.json", passphrase))
    engine = open_engine(settings.database_url or home.database_url)
    try:
        with open_chain(home, settings) as chain:
            lost = _anchored(chain, deployment, old)
            carried = anchored_head(chain, deployment, origin_hash(str(new))) is not None
            if not carried:  # a run that broke off after the chain took the act goes on from here
                _carry(chain, deployment, act, open_secp256k1(home.keys / "relayer.json", passphrase))
        continued = replace(home, epoch=new.epoch)
        decision = CouncilDecision(
            kept, lost, str(message["reason"]), json.dumps(act.to_json(), sort_keys=True)
        )
        log = open_epoch(
            LogReader(engine),
            old,
            signer,
            decision,
            highwater=HighWaterMark(continued.high_water_file),
            vault=vault,
        )
        with engine.begin() as connection:
            counted = recount(connection, log)
        continued.write()
        gateway_key = key_info(home.keys / "gateway.json").public
        trust = trust_document(continued, log_key_of(continued), gateway_key)
        home.trust_file.write_text(json.dumps(trust, indent=1) + "\n")
        return {
            "origin": str(new),
            "kept": kept.size,
            "recounted": counted,
            "trust": str(home.trust_file),
        }
    finally:
        engine.dispose()


def _anchored(chain: ChainClient, deployment: Deployment, old: Origin) -> Head:
    found = anchored_head(chain, deployment, origin_hash(str(old)))
    if found is None:
        raise Problem("act.epoch", "the council never opened this log on the chain: there is no epoch to end")
    return found.head


def _carry(chain: ChainClient, deployment: Deployment, act: SignedAct, relayer: bytes) -> None:
    call = calldata(deployment, act.type, act.message, act.signatures, act.arguments)
    sender = address_of(relayer)
    with sending(chain.chain_id, sender):
        fees = Fees(chain.gas_price())
        raw = sign_transaction(relayer, chain.chain_id, chain.nonce(sender), call.to, call.data, GAS, fees)
        sent = chain.send(raw)
    receipt = chain.wait(sent, 60.0)
    if receipt.reverted:
        raise Problem("act.refused", str(decode_revert(receipt.revert_data or b"")))
