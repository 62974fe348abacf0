"""How an installation is opened and closed: the one place that knows every part."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import SQLModel

import ledger.store.tables.audit
import ledger.store.tables.calls
import ledger.store.tables.outbox
import ledger.store.tables.projection
import ledger.store.tables.requests  # noqa: F401 - registers its tables, as the four above
from access_policy.privacy.private_memory import keep_memory_private
from access_policy.privacy.scan_errors import ScanError
from access_policy.privacy.scanner import Scanner
from api.acts.release import abort_orphans
from api.chain_states import ChainStates, ChainVersions
from api.gateway import Gateway, nonces_kept_s
from api.homes import KEY_FILES, at_home, must_be_the_chain, open_database, remember
from api.marks import mark_file, open_mark
from api.newer_heads import NewerHeads
from api.private_files import close_to_others, keep_private
from api.replay import ReplayMemory
from api.sdk.keystore import key_info, open_ed25519, open_secp256k1
from api.settings import Home, Settings, read_passphrase
from api.sole import only_gateway
from api.stored_files import clear_incoming
from api.turns import Turns
from api.upkeep import Upkeep, retention_of, stamper_of
from api.vault import open_vault
from api.witness import Cosigners
from ledger.acceptances import AcceptanceProofs
from ledger.audit.anchor import Anchorer, Cadence
from ledger.audit.checkpoint import Origin
from ledger.audit.highwater import HighWaterMark
from ledger.audit.log import AuditLog
from ledger.audit.note import Signer, VerifierKey
from ledger.audit.reading import LogReader
from ledger.audit.writer import GroupCommit
from ledger.chain.anchoring import ChainAnchor
from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment
from ledger.chain.errors import WrongChain
from ledger.clock import Clock, Forgetting, Timekeeper
from ledger.outbox import ActBoard, PendingRevocations, Relayer, admission_delay
from ledger.projection.follower import Follower
from ledger.store.engine import reader
from ledger.store.sole import sole
from ledger.store.upgrade import add_missing_columns
from ledger.usage import UseRecorder
from ledger.uses_in_log import UsesInLog

_SHORT = {"ledger": "SharingLedger", "anchor": "AuditAnchor", "pools": "CostPools"}

CATCH_UP_S = 10.0
"""So long a service that starts reads the chain before it answers: an act is checked against what has been read."""


@contextmanager
def open_gateway(
    settings: Settings,
    *,
    chores: bool = True,
    scan_cpus: frozenset[int] = frozenset(),
    clock: Clock | None = None,
) -> Iterator[Gateway]:
    """Open everything in order, and close it in reverse; HomeError or the part's own error says what is wrong.

    ``chores`` is off for an operator's command, which does what it was asked and nothing beside it.
    ``scan_cpus`` are the processors of the scanning processes; empty: the caller's own. ``clock`` is another one than
    the machine's.
    """
    keep_private()
    keep_memory_private()
    home, settings = at_home(settings)
    retention = retention_of(home, settings)
    keys = {name: home.keys / f"{name}.json" for name in KEY_FILES}
    deployment = Deployment.from_json(home.deployment)
    time = Timekeeper(clock)
    with ExitStack() as stack:
        stack.enter_context(only_gateway(home.path))
        _close_home(home.path)
        passphrase = read_passphrase(settings)
        answer_key = open_ed25519(keys["gateway"], passphrase)
        log_key = open_ed25519(keys["log"], passphrase)
        relayer_secret = open_secp256k1(keys["relayer"], passphrase)
        attest_secret = open_secp256k1(keys["attest"], passphrase)
        chain = stack.enter_context(open_chain(home, settings, time))
        if not chain.chain_id == home.chain_id == deployment.chain_id:
            raise WrongChain(
                f"this home is of chain {home.chain_id}, the chain here is {chain.chain_id}",
                hint="put back the chain that belongs to this home",
            )
        engine = open_database(home, settings, new=True)
        stack.callback(engine.dispose)
        hold = stack.enter_context(sole(engine))
        SQLModel.metadata.create_all(engine)
        add_missing_columns(engine)
        must_be_the_chain(home, settings, chain, engine)
        anchor = ChainAnchor(chain, deployment, relayer_secret, attest_secret, epoch=home.epoch, clock=time)
        vault = open_vault(home, passphrase, engine)
        del passphrase  # nothing below needs it: what stays in a variable here stays for the service's life
        settings = settings.model_copy(update={"passphrase": ""})
        openings = vault.openings()
        log = AuditLog.open(
            engine,
            Signer(str(origin_of(deployment, home.epoch)), log_key),
            highwater=open_mark(home, settings),
            vault=openings,
            anchored=anchor.head(),
        )
        cosign = cosigners_of(log, settings)
        cosign.must_not_know_more(log)
        time.begin(log.newest() or 0.0, stated_time(settings), block=chain.head().timestamp)
        home = remember(home, settings, engine)
        hold.claim(home.id, home.chain_id, home.ledger)
        uses = stack.enter_context(_uses_in_log(home.path, engine))
        writer = stack.enter_context(GroupCommit(engine, log, guard=hold.must_hold))
        board = AnchoringBoard(engine)
        relayer = Relayer(
            writer, engine, chain, deployment, relayer_secret, board=board, poll_s=0.1, clock=time
        )
        follower = Follower(writer, engine, chain, deployment, board=board, poll_s=0.1, clock=time)
        anchorer = Anchorer(
            log,
            anchor,
            Cadence(
                float(settings.anchor_every_s),
                settings.anchor_every_entries,
                outage_s=float(settings.chain_outage_s),
            ),
            clock=time.elapsed,
            cosign=cosign,
        )
        board.anchorer = anchorer
        recorder = UseRecorder(
            writer,
            engine,
            log,
            chain,
            deployment,
            relayer,
            attest_secret,
            every_s=float(settings.record_use_every_s),
            clock=time,
        )
        stamper = stamper_of(log, settings, cosign)
        upkeep = Upkeep(log, writer, settings, retention, home.data, stamper, time, cosign)
        home.data.mkdir(exist_ok=True)
        clear_incoming(home.data)
        scanner = stack.enter_context(_scanner(home, settings, scan_cpus))
        gateway = Gateway(
            settings=settings,
            home=home,
            engine=engine,
            hold=hold,
            reading=reader(engine),
            log=log,
            writer=writer,
            chain=chain,
            deployment=deployment,
            follower=follower,
            relayer=relayer,
            states=ChainStates(chain, deployment, time),
            versions=ChainVersions(chain, deployment),
            acceptances=AcceptanceProofs(deployment, log),
            uses=uses,
            revocations=PendingRevocations(),
            anchorer=anchorer,
            cosign=cosign,
            upkeep=upkeep,
            relayer_address=key_info(keys["relayer"]).public,
            admission_delay=admission_delay(chain, deployment),
            scanner=scanner,
            vault=openings,
            answer_key=answer_key,
            answer_key_id=f"gateway:{key_info(keys['gateway']).public}",
            pseudonym_secret=vault.pseudonyms,
            trust=trust_document(home, log.signer.key, key_info(keys["gateway"]).public),
            replays=ReplayMemory(timedelta(seconds=settings.call_max_age_s), time),
            turns=Turns(settings.reads, settings.department_reads),
            time=time,
            nonces=Forgetting(time, nonces_kept_s(settings)),
            newer=NewerHeads(
                log, lambda epoch: HighWaterMark(mark_file(replace(home, epoch=epoch), settings))
            ),
        )
        abort_orphans(gateway)
        threading.Thread(target=_warm, args=(scanner,), name="scan-warm-up", daemon=True).start()
        follower.catch_up(CATCH_UP_S)
        for part, end in (
            (follower, follower.close),
            (relayer, relayer.close),
            (anchorer, anchorer.stop),
            (recorder, recorder.close),
        ):
            part.start()
            stack.callback(end)
        if chores:
            upkeep.start()
            stack.callback(upkeep.close)
        yield gateway


@contextmanager
def _uses_in_log(home: Path, engine: Engine) -> Iterator[UsesInLog]:
    """The uses that the log tells, counted up to its head; written down when the service ends."""
    uses = UsesInLog(home / "uses-in-log.json")
    with reader(engine).connect() as connection:
        uses.follow(connection)
    uses.keep()
    try:
        yield uses
    finally:
        uses.keep()


def _close_home(home: Path) -> None:
    """A home of an earlier version, or a careless copy, may be open to every user of the machine."""
    closed, foreign = close_to_others(home)
    log = logging.getLogger(__name__)
    if closed:
        log.warning("%d files and folders of %s were open to other users; they are closed now", closed, home)
    if foreign:
        log.warning("%d files and folders of %s belong to another user and stay open", foreign, home)


def cosigners_of(log: LogReader, settings: Settings) -> Cosigners:
    """The configured witnesses of a log."""
    return Cosigners(log, {url: VerifierKey.parse(key) for url, key in settings.witnesses.items()})


def _scanner(home: Home, settings: Settings, cpus: frozenset[int]) -> Scanner:
    return Scanner(
        [home.data],
        size=settings.scan_workers,
        streams=settings.scan_streams,
        stream_share=settings.department_streams,
        timeout=settings.scan_timeout_s,
        wait=settings.scan_wait_s,
        cpus=cpus,
    )


def _warm(scanner: Scanner) -> None:
    """Start the scan workers, so that the first call does not pay for them; a worker that fails now is started later."""
    try:
        scanner.warm()
    except ScanError as failed:
        logging.getLogger(__name__).warning("the scan workers are not warm: %s", failed.code)


class AnchoringBoard(ActBoard):
    """A board that tells the anchorer as well: a governance act is anchored within a second."""

    anchorer: Anchorer | None = None

    def announce(self) -> None:
        super().announce()
        if self.anchorer is not None:
            self.anchorer.governance_act()


@contextmanager
def open_chain(
    home: Home, settings: Settings, time: Timekeeper | None = None, *, reading: bool = False
) -> Iterator[ChainClient]:
    """The installation's chain: the embedded one, or a node, which must be on the home's chain. ``settings`` are those
    that `at_home` answers. The embedded one mines once ``time`` has begun. ``reading``: for questions only, also while
    the service has the embedded one."""
    if settings.rpc_url:
        from ledger.chain.rpc import RpcChain

        yield RpcChain(settings.rpc_url, home.chain_id)
        return
    from ledger.chain.embedded import EmbeddedChain

    with EmbeddedChain.open(home.chain_file, clock=time, reading=reading) as chain:
        yield chain


def stated_time(settings: Settings) -> float | None:
    """The time that the operator states, seconds since 1970."""
    return None if settings.clock_is is None else settings.clock_is.timestamp()


def origin_of(deployment: Deployment, epoch: int = 1) -> Origin:
    """The origin of the installation's log: its chain and its AuditAnchor contract."""
    return Origin(deployment.chain_id, deployment.addresses["AuditAnchor"].lower(), epoch)


def trust_document(home: Home, log_key: VerifierKey, gateway_key: str) -> dict[str, object]:
    """What callers and auditors pin, to be handed over by a second way than this service."""
    deployment = Deployment.from_json(home.deployment)
    return {
        "version": 1,
        "origin": log_key.name,
        "log_key": str(log_key),
        "gateway_key": gateway_key,
        "chain_id": home.chain_id,
        "salt": deployment.salt,
        "contracts": {short: deployment.addresses[name].lower() for short, name in _SHORT.items()},
        "witnesses": [],
        "quorum": 0,
    }
