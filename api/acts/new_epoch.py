"""A new epoch after a loss: the council's signed NewEpoch goes on chain, and the log goes on under its new origin.

Done with the service stopped. The act must be signed by the council before; the operator chooses nothing but when.
A run that breaks off is simply repeated: what it did before is found done.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.acts.aftermath import after_loss
from api.homes import at_home, open_database
from api.installation import log_key_of
from api.marks import mark_file, open_mark
from api.sdk.keystore import key_info, open_ed25519, open_secp256k1
from api.settings import Home, Settings, read_passphrase
from api.sole import only_gateway
from api.vault import open_vault
from api.wiring import open_chain, origin_of, stated_time, trust_document
from ledger.audit.checkpoint import Head, Origin
from ledger.audit.epochs import CouncilDecision, open_epoch
from ledger.audit.errors import RollbackDetected
from ledger.audit.highwater import HighWaterMark
from ledger.audit.note import Signer
from ledger.audit.reading import LogReader
from ledger.audit.verify import Trust
from ledger.chain.anchoring import anchored_head, origin_hash
from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment, calldata, decode_revert
from ledger.chain.sending import sending
from ledger.chain.transactions import Fees, address_of, sign_transaction
from ledger.clock import Timekeeper
from ledger.errors import LedgerError
from ledger.outbox import SignedAct
from ledger.recounting import raise_charges, told_by_bundle, uses_on_chain
from ledger.store.sole import sole
from ledger.uses_in_log import uses_in_log

GAS = 2_000_000


class EpochRefused(LedgerError):
    """The act is not the one that continues this log."""

    code = "act.epoch"


class EpochActRefused(LedgerError):
    """The contract does not take the act."""

    code = "act.refused"


def begin_epoch(
    settings: Settings, document: dict[str, Any], lost_entries: Path | None = None
) -> dict[str, Any]:
    """Carry a council-signed NewEpoch to the chain and continue the log; LedgerError when any part does not fit.

    ``lost_entries`` is a bundle that somebody took after the backup: the uses it tells are counted again, beside those
    that the chain has on record, and what officers took away in that time is held where the chain has lost it. None:
    nobody has one.
    """
    home, settings = at_home(settings)
    with only_gateway(home.path):
        return _begin_epoch(settings, home, document, lost_entries)


def _begin_epoch(
    settings: Settings, home: Home, document: dict[str, Any], lost_entries: Path | None
) -> dict[str, Any]:
    passphrase = read_passphrase(settings)
    deployment = Deployment.from_json(home.deployment)
    old = origin_of(deployment, home.epoch)
    new = old.next()
    act = SignedAct.from_json(document)
    message = act.message
    if act.type != "NewEpoch":
        raise EpochRefused("this is not a NewEpoch act")
    if (message["origin"], message["newOrigin"]) != (origin_hash(str(old)), origin_hash(str(new))):
        raise EpochRefused(f"the act must lead from {old} to {new}")
    kept = Head(int(message["lastSize"]), bytes.fromhex(message["lastRoot"][2:]))
    signer = Signer(str(new), open_ed25519(home.keys / "log.json", passphrase))
    engine = open_database(home, settings)
    try:
        time = Timekeeper()
        with sole(engine), open_chain(home, settings, time) as chain:
            time.begin(max(chain.head().timestamp, LogReader(engine).newest() or 0.0), stated_time(settings))
            vault = open_vault(home, passphrase, engine).openings()
            lost = _anchored(chain, deployment, old)
            told = None
            if lost_entries is not None:  # first of all: a bundle that does not hold changes nothing
                told = told_by_bundle(lost_entries, _trust(home, deployment, old), kept, lost)
            reached = max(lost.size, _marked(home, settings), told.size if told else 0)
            stored = LogReader(engine).size
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
                highwater=open_mark(continued, settings),
                vault=vault,
                at=time.utc(),
            )
            with engine.begin() as connection:
                counted = raise_charges(connection, uses_in_log(connection))
                counted += raise_charges(connection, uses_on_chain(connection, chain, deployment, time.utc()))
                counted += raise_charges(connection, told.charges if told else {})
                aftermath = after_loss(
                    connection, chain, log, kept.size, told.acts if told else None, time.utc()
                )
            if aftermath.appended is not None:
                log.committed(aftermath.appended)
        continued.write()
        gateway_key = key_info(home.keys / "gateway.json").public
        trust = trust_document(continued, log_key_of(continued), gateway_key)
        home.trust_file.write_text(json.dumps(trust, indent=1) + "\n")
        return {
            "origin": str(new),
            "kept": kept.size,
            "recounted": counted,
            "lost": max(0, reached - stored),
            "uncounted": max(0, reached - max(stored, told.size if told else 0)),
            "trust": str(home.trust_file),
            **aftermath.members(),
        }
    finally:
        engine.dispose()


def _trust(home: Home, deployment: Deployment, old: Origin) -> Trust:
    """The log that was lost, as this home knows it."""
    return Trust(
        origin=str(old),
        log_key=log_key_of(home),
        chain_id=home.chain_id,
        ledger_contract=deployment.addresses["SharingLedger"].lower(),
        anchor_contract=deployment.addresses["AuditAnchor"].lower(),
    )


def _marked(home: Home, settings: Settings) -> int:
    """How far the lost log is known to have come: its high-water mark; 0 when that is gone as well."""
    file = mark_file(home, settings)
    if not file.is_file():
        file = home.old_high_water_file
    if not file.is_file():
        return 0
    try:
        mark = HighWaterMark(file).read([log_key_of(home)])
    except RollbackDetected:
        return 0
    return mark.size if mark else 0


def _anchored(chain: ChainClient, deployment: Deployment, old: Origin) -> Head:
    found = anchored_head(chain, deployment, origin_hash(str(old)))
    if found is None:
        raise EpochRefused("the council never opened this log on the chain: there is no epoch to end")
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
        raise EpochActRefused(str(decode_revert(receipt.revert_data or b"")))
