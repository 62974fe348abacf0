"""A new epoch after a loss: the council's signed NewEpoch is sent to the chain, and the log continues under
its new origin.

The service must be stopped. The council signs the act before; the operator chooses only the time. After an
interruption the command is run again; it skips the steps that are already done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from api.operator.aftermath import after_loss
from api.operator.home_chain import open_chain, stated_time
from api.operator.homes import at_home, open_database
from api.operator.installation import log_key_of
from api.operator.trust_document import origin_of, trust_document
from api.operator.vault import open_vault
from api.protocol.keystore import key_info, open_ed25519, open_secp256k1
from api.runtime.home_lock import locked_home
from api.runtime.marks import mark_file, open_mark, set_later_marks_aside
from api.runtime.settings import Home, Settings, read_passphrase
from ledger.audit.formats.checkpoint import Head, Origin
from ledger.audit.formats.errors import RollbackDetected
from ledger.audit.formats.merkle import consistency_proof, root_at
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.epochs import CouncilDecision, open_epoch
from ledger.audit.log.append import NewEntry
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.log.tiles import TileReader
from ledger.audit.log.writer import GroupCommit
from ledger.audit.outside.anchoring import anchored_head, epoch_proven, origin_hash
from ledger.audit.verify import Trust
from ledger.audit.verify.acts import call_hash
from ledger.chain.client import ChainClient
from ledger.chain.contracts import calldata, decode_revert
from ledger.chain.deployment import Deployment
from ledger.chain.edition import must_be_second, with_edition
from ledger.chain.sending import sending
from ledger.chain.transactions import address_of, sign_transaction
from ledger.clock import Timekeeper
from ledger.errors import LedgerError
from ledger.grants.recounting import BundleContent, raise_charges, read_lost_bundle, uses_on_chain
from ledger.grants.uses_in_log import uses_in_log
from ledger.lost.lost_acts import lost_acts, undecided
from ledger.lost.taken_in_log import taken_again
from ledger.outbox import Relayer, SignedAct
from ledger.outbox.again import carry_again, send_again
from ledger.store.engine import reader
from ledger.store.sole import sole

GAS = 2_000_000


class EpochRefused(LedgerError):
    """The act is not the one that continues this log."""

    code = "act.epoch"


class EpochActRefused(LedgerError):
    """The contract rejects the act."""

    code = "act.refused"


def begin_epoch(
    settings: Settings, document: dict[str, Any], lost_entries: Path | None = None
) -> dict[str, Any]:
    """Send a council-signed NewEpoch to the chain and continue the log; LedgerError if any part does not fit.

    ``lost_entries`` is a bundle that was exported after the backup, or None. The uses in it are counted in
    addition to those that the chain has recorded, and denials of officers from that time are held if the
    chain has lost them. Before that, acts of that time whose signed messages are in the bundle, pending ones
    included, are sent to the chain again if it accepts them.
    """
    home, settings = at_home(settings)
    with locked_home(home.path):
        return _begin_epoch(settings, home, document, lost_entries)


def _begin_epoch(
    settings: Settings, home: Home, document: dict[str, Any], lost_entries: Path | None
) -> dict[str, Any]:
    passphrase = read_passphrase(settings)
    deployment = Deployment.from_json(home.deployment)
    old = origin_of(deployment, home.epoch)
    new = old.next()
    # The signatures do not cover the proof; it is added when the act is sent.
    act = SignedAct.from_json(document | {"arguments": {"proof": []}})
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
            must_be_second(with_edition(chain, deployment))
            continued = replace(home, epoch=new.epoch)
            before = LogReader(engine, keys=[log_key_of(home), log_key_of(continued)])
            time.begin(max(chain.head().timestamp, before.newest() or 0.0), stated_time(settings))
            vault = open_vault(home, passphrase, engine).openings()
            lost = _anchored(chain, deployment, old)
            bundle = None
            if lost_entries is not None:  # First of all, so that an invalid bundle changes nothing.
                bundle = read_lost_bundle(lost_entries, _trust(home, deployment, old), kept, lost)
            reached = max(lost.size, _marked(home, settings), bundle.size if bundle else 0)
            stored = before.size
            relayer = open_secp256k1(home.keys / "relayer.json", passphrase)
            aside: list[Path] = []
            # A run that was interrupted after the chain accepted the act continues here.
            if anchored_head(chain, deployment, origin_hash(str(new))) is None:
                proven = replace(act, arguments={"proof": _proof(before, bundle, kept, lost)})
                _carry(chain, deployment, proven, relayer)
                aside = set_later_marks_aside(home, settings)
            known = epoch_proven(chain, deployment, origin_hash(str(new)))
            decision = CouncilDecision(
                kept, lost, str(message["reason"]), json.dumps(act.to_json(), sort_keys=True)
            )
            log = open_epoch(
                before,
                old,
                signer,
                decision,
                highwater=open_mark(continued, settings),
                vault=vault,
                at=time.utc(),
            )
            carried = _carried_again(engine, chain, log, deployment, bundle, relayer, time)
            with engine.begin() as connection:
                counted = raise_charges(connection, uses_in_log(connection, log))
                counted += raise_charges(connection, uses_on_chain(connection, chain, deployment, time.utc()))
                counted += raise_charges(connection, bundle.charges if bundle else {})
                aftermath = after_loss(
                    connection,
                    chain,
                    log,
                    kept.size,
                    bundle.acts if bundle else None,
                    bundle.signed if bundle else {},
                    carried,
                    time.utc(),
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
            "proven": known,
            "recounted": counted,
            "lost": max(0, reached - stored),
            "uncounted": max(0, reached - max(stored, bundle.size if bundle else 0)),
            "trust": str(home.trust_file),
            "set_aside": [str(place) for place in aside],
            **aftermath.members(),
        }
    finally:
        engine.dispose()


def _carried_again(
    engine: Engine,
    chain: ChainClient,
    log: AuditLog,
    deployment: Deployment,
    bundle: BundleContent | None,
    relayer: bytes,
    time: Timekeeper,
) -> dict[str, str]:
    """Send the signed acts of the lost part to the chain again, if it still accepts them, and the pending
    ones too; return the state of each act."""
    if bundle is None or not bundle.signed:
        return {}
    with reader(engine).connect() as connection:
        lost = {one.act for one in lost_acts(connection, chain, bundle.acts)}
        waiting = undecided(connection, bundle.acts)
    signed = {identity: act for identity, act in bundle.signed.items() if act.id(deployment) == identity}
    taken: dict[str, tuple[SignedAct, list[NewEntry]]] = {}
    for one in waiting:
        facts = one.event["facts"]
        act = signed.get(facts["taken_act"])
        if act is not None and call_hash(act.call(deployment).data) == facts["call"]:
            _, entries = taken.setdefault(facts["taken_act"], (act, []))
            entries.append(NewEntry(taken_again(one.event, log.origin, time.utc())))
    with GroupCommit(engine, log) as writer:
        carrier = Relayer(writer, engine, chain, deployment, relayer, clock=time)
        parts = (carrier, writer, engine, chain, deployment, time)
        carried = carry_again({one: act for one, act in signed.items() if one in lost}, *parts)
        return send_again(taken, *parts) | carried


def _trust(home: Home, deployment: Deployment, old: Origin) -> Trust:
    """The trust of the lost log, from this home."""
    return Trust(
        origin=str(old),
        log_key=log_key_of(home),
        chain_id=home.chain_id,
        ledger_contract=deployment.addresses["SharingLedger"].lower(),
        anchor_contract=deployment.addresses["AuditAnchor"].lower(),
    )


def _marked(home: Home, settings: Settings) -> int:
    """The known size of the lost log: its high-water mark; 0 if that is lost too."""
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


def _proof(log: LogReader, bundle: BundleContent | None, kept: Head, lost: Head) -> list[str]:
    """The consistency proof from the kept head to the anchored one, if the stored log or the bundle has the
    nodes; otherwise empty, and the chain then records that it is not proven."""
    found: Sequence[bytes] = bundle.proof if bundle is not None else ()
    if not found and kept.size < lost.size <= log.size:
        with log.engine.connect() as connection:
            node = TileReader().nodes(connection, log.size)
            if root_at(lost.size, node) == lost.root:
                found = consistency_proof(kept.size, lost.size, node)
    return ["0x" + one.hex() for one in found]


def _anchored(chain: ChainClient, deployment: Deployment, old: Origin) -> Head:
    found = anchored_head(chain, deployment, origin_hash(str(old)))
    if found is None:
        raise EpochRefused("the council never opened this log on the chain: there is no epoch to end")
    return found.head


def _carry(chain: ChainClient, deployment: Deployment, act: SignedAct, relayer: bytes) -> None:
    call = calldata(deployment, act.type, act.message, act.signatures, act.arguments)
    sender = address_of(relayer)
    with sending(chain.chain_id, sender):
        raw = sign_transaction(
            relayer, chain.chain_id, chain.nonce(sender), call.to, call.data, GAS, chain.fees()
        )
        sent = chain.send(raw)
    receipt = chain.wait(sent, 60.0)
    if receipt.reverted:
        raise EpochActRefused(str(decode_revert(receipt.revert_data or b"")))
