"""How an installation is opened and closed: the one place that knows every part."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection

import ledger.store.tables.audit
import ledger.store.tables.calls
import ledger.store.tables.outbox
import ledger.store.tables.projection
import ledger.store.tables.requests  # noqa: F401 - registers its tables, as the four above
from access_policy.privacy.execution.private_memory import keep_memory_private
from access_policy.privacy.execution.scan_errors import ScanError
from access_policy.privacy.execution.scanner import Scanner
from api.acts.acceptance import Acceptances
from api.acts.expected_files import ExpectedFiles
from api.acts.govern import Acts
from api.acts.outcomes import ActOutcomes
from api.acts.source_records import SourceRecords
from api.acts.stated_time import record_stated_time
from api.acts.trial import ContractTrial
from api.acts.upload import Uploads
from api.calls.access_requests import AccessRequests
from api.calls.analyses import Access
from api.calls.buffering import Buffering
from api.calls.candidate_grants import GrantSources
from api.calls.charge import Charging
from api.calls.dataset_sources import DatasetSources
from api.calls.decide import Decisions
from api.calls.log_bundles import LogBundles
from api.calls.log_entries import LogEntries
from api.calls.log_proofs import LogProofs
from api.calls.log_search import LogSearch
from api.calls.looks import Looks
from api.calls.read import Reads
from api.calls.release_records import ReleaseRecords
from api.calls.releases import Releases
from api.calls.repeats import Repeats
from api.calls.rights import Rights
from api.calls.standings import Standings
from api.operator.gateway import ActParts, CallParts, Database, Gateway, LogParts, ServiceKeys
from api.operator.homes import (
    KEY_FILES,
    at_home,
    must_be_of_this_version,
    must_be_the_chain,
    open_database,
    remember,
)
from api.operator.vault import open_vault
from api.protocol.keystore import key_info, open_ed25519, open_secp256k1
from api.protocol.names import SHORT_NAMES
from api.runtime.call_nonces import CallNonces, nonces_kept_s
from api.runtime.callers import Callers
from api.runtime.chain_states import ChainStates, ChainVersions
from api.runtime.commits import Commits
from api.runtime.cosigners import Cosigners
from api.runtime.following import Following
from api.runtime.grant_uses import GrantUses
from api.runtime.marks import mark_file, open_mark
from api.runtime.newer_heads import NewerHeads
from api.runtime.newest_block import NewestBlock
from api.runtime.private_files import close_to_others, emptied, keep_private
from api.runtime.read_nonces import ReplayMemory
from api.runtime.settings import Home, Settings, read_passphrase
from api.runtime.sole import only_gateway
from api.runtime.spent_nonces import SpentNonces
from api.runtime.status import ServiceStatus, Workers
from api.runtime.stored_files import clear_incoming
from api.runtime.upkeep import Upkeep, retention_of, stamper_of
from api.runtime.withholding import Withholding
from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.note import Signer, VerifierKey
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.log.writer import GroupCommit
from ledger.audit.outside.anchor import Anchorer, Cadence
from ledger.audit.outside.anchoring import ChainAnchor
from ledger.chain.client import ChainClient
from ledger.chain.deployment import FIRST_EDITION, Deployment
from ledger.chain.edition import FirstEdition, with_edition
from ledger.chain.errors import WrongChain
from ledger.chain.limits import GWEI
from ledger.chain.reached import Reached
from ledger.clock import Clock, Timekeeper
from ledger.grants.acceptances import AcceptanceProofs
from ledger.grants.use_recorder import UseRecorder
from ledger.grants.uses_in_log import UsesInLog
from ledger.lost.holds import hold_by_log
from ledger.outbox import ActNotifier, PendingRevocations, Relayer, admission_delay
from ledger.projection.follower import Follower
from ledger.projection.queries import followed_block
from ledger.store.engine import reader
from ledger.store.foreign import SchemaGuard
from ledger.store.revisions import prepare
from ledger.store.sole import sole

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
        must_be_of_this_version(home, settings)  # before anything is changed
        _close_home(home.path)
        emptied(home.temporary)  # a killed service could not
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
        deployment = with_edition(chain, deployment)
        engine = open_database(home, settings, new=True)
        stack.callback(engine.dispose)
        hold = stack.enter_context(sole(engine))
        prepare(engine)
        must_be_the_chain(home, settings, chain, engine)
        most_fee = settings.most_fee_gwei * GWEI
        reached = Reached(deployment.block)
        anchor = ChainAnchor(
            chain,
            deployment,
            relayer_secret,
            attest_secret,
            epoch=home.epoch,
            most_fee=most_fee,
            clock=time,
            reached=reached,
        )
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
        with engine.connect() as connection:
            reached.note(followed_block(connection))
        cosign = cosigners_of(log, settings)
        cosign.must_not_know_more(log)
        newest, block = log.newest() or 0.0, chain.head().timestamp
        known = float(max(newest, block))
        time.begin(newest, stated_time(settings), block=block)
        home = remember(home, settings, engine)
        hold.claim(home.id, home.chain_id, home.ledger)
        uses = stack.enter_context(_uses_in_log(home.path, log))
        hold_by_log(engine, uses)
        newer = NewerHeads(log, lambda epoch: HighWaterMark(mark_file(replace(home, epoch=epoch), settings)))

        ours = SchemaGuard()

        def guard(connection: Connection) -> None:
            hold.must_hold(connection)
            ours(connection)
            newer.must_be_none()

        writer = stack.enter_context(GroupCommit(engine, log, guard=guard))
        notifier = AnchoringNotifier(engine)
        depth = settings.confirmations if settings.rpc_url else 0
        longest = float(settings.chain_outage_s)
        relayer = Relayer(
            writer,
            engine,
            chain,
            deployment,
            relayer_secret,
            notifier=notifier,
            most_fee=most_fee,
            poll_s=0.1,
            clock=time,
            confirmations=depth,
            reached=reached,
            still_after_s=longest,
        )
        follower = Follower(
            writer,
            engine,
            chain,
            deployment,
            notifier=notifier,
            poll_s=0.1,
            clock=time,
            confirmations=depth,
            reached=reached,
            still_after_s=longest,
        )
        anchorer = Anchorer(
            log,
            anchor,
            Cadence(
                float(settings.anchor_every_s),
                settings.anchor_every_entries,
                outage_s=longest,
            ),
            clock=time.elapsed,
            cosign=cosign,
            still_after_s=longest,
        )
        notifier.anchorer = anchorer
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
            reached=reached,
            still_after_s=longest,
        )
        stamper = stamper_of(log, settings, cosign)
        upkeep = Upkeep(log, writer, settings, retention, home.data, stamper, time, cosign)
        home.data.mkdir(exist_ok=True)
        clear_incoming(home.data)
        scanner = stack.enter_context(_scanner(home, settings, scan_cpus))
        reading = reader(engine)
        states, versions = ChainStates(chain, deployment, time, reached), ChainVersions(chain, deployment)
        workers = Workers(follower, relayer, anchorer, recorder, upkeep)
        following = Following(follower, time, longest)
        withholding = Withholding(newer, anchorer, following, time)
        spent = SpentNonces(home.path / "spent-nonces", time, nonces_kept_s(settings))
        stack.callback(spent.close)
        nonces = CallNonces(spent, time, nonces_kept_s(settings))
        commits = Commits(writer, withholding, nonces)
        callers = Callers(reading, states, time)
        grants = GrantSources(PendingRevocations(), AcceptanceProofs(deployment, log), GrantUses(uses))
        sources = DatasetSources(reading, states, versions, following, time, home.data)
        keep = timedelta(seconds=settings.idempotency_keep_s)
        repeats = Repeats(log, openings, vault.pseudonyms, keep)
        rights = Rights(reading, grants.revocations, states, callers, withholding, time)
        releases = Releases(reading, commits, repeats, time)
        reads = Reads(
            Decisions(reading, sources, grants, states, repeats, time),
            Buffering(scanner, vault.pseudonyms, settings.buffer_bytes, rights),
            Charging(commits, nonces, withholding, grants, repeats, time),
            withholding,
        )
        standings = Standings(reading, following, states, grants)
        looks = Looks(callers, commits, time)
        outcomes = ActOutcomes(reading, follower, log, time)
        delay = admission_delay(chain, deployment)
        acts = Acts(
            settings=settings,
            data=home.data,
            reading=reading,
            clock=time,
            deployment=deployment,
            admission_delay=delay,
            trial=ContractTrial(chain, deployment, states, key_info(keys["relayer"]).public),
            recorder=recorder,
            withholding=withholding,
            commits=commits,
            relayer=relayer,
            outcomes=outcomes,
        )
        files = ExpectedFiles(reading, states, versions, time, home.data, settings.department_bytes)
        gateway_key = key_info(keys["gateway"]).public
        gateway = Gateway(
            settings=settings,
            home=home,
            database=Database(engine, reading, writer, hold),
            clock=time,
            chain=chain,
            deployment=deployment,
            log=log,
            vault=openings,
            workers=workers,
            cosign=cosign,
            newer=newer,
            callers=callers,
            replays=ReplayMemory(timedelta(seconds=settings.call_max_age_s), time),
            commits=commits,
            calls=CallParts(
                reads,
                releases,
                ReleaseRecords(reading, log, repeats, looks),
                repeats,
                AccessRequests(reading, sources, callers, commits, looks, time),
                sources,
                standings,
                Access(standings, time),
            ),
            audit=LogParts(
                LogProofs(log, looks),
                LogSearch(log, looks, time, vault.pseudonyms),
                LogEntries(log, openings, reading, looks),
                LogBundles(log, deployment, cosign, looks, home.temporary, float(settings.export_timeout_s)),
            ),
            acts=ActParts(
                acts,
                outcomes,
                Acceptances(reading, deployment, states, commits, time),
                Uploads(files, scanner, commits, relayer, time),
                SourceRecords(reading, log, openings, states, looks, time, home.data),
            ),
            service=ServiceStatus(
                home=home,
                reading=reading,
                clock=time,
                chain=chain,
                deployment=deployment,
                admission_delay=delay,
                newest_block=NewestBlock(chain),
                following=following,
                workers=workers,
                log=log,
                newer=newer,
                cosign=cosign,
                gateway_key=gateway_key,
            ),
            keys=ServiceKeys(answer_key, f"gateway:{gateway_key}", vault.pseudonyms),
            trust=trust_document(home, log.signer.key, gateway_key),
        )
        record_stated_time(commits, time, settings.clock_is, known)
        releases.abort_orphans()
        if deployment.edition == FIRST_EDITION:
            logging.getLogger(__name__).warning("%s", FirstEdition().message)
        else:
            if chores:  # a command reads no data
                threading.Thread(target=_warm, args=(scanner,), name="scan-warm-up", daemon=True).start()
            follower.catch_up(CATCH_UP_S)
            for part in (follower, relayer, recorder):
                part.start()
                stack.callback(part.close)
        anchorer.start()
        stack.callback(anchorer.close)
        if chores:
            upkeep.start()
            stack.callback(upkeep.close)
        yield gateway


@contextmanager
def _uses_in_log(home: Path, log: AuditLog) -> Iterator[UsesInLog]:
    """The uses that the log tells, counted up to its head; written down when the service ends."""
    uses = UsesInLog(log, home / "uses-in-log.json")
    with reader(log.engine).connect() as connection:
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
        spare=1,
        timeout=settings.scan_timeout_s,
        wait=settings.scan_wait_s,
        temporary=home.temporary,
        cpus=cpus,
    )


def _warm(scanner: Scanner) -> None:
    """Start the scan workers, so that the first call does not pay for them; a worker that fails now is started later."""
    try:
        scanner.warm()
    except ScanError as failed:
        logging.getLogger(__name__).warning("the scan workers are not warm: %s", failed.code)


class AnchoringNotifier(ActNotifier):
    """Also notifies the anchorer, so that a governance act is anchored within a second."""

    anchorer: Anchorer | None = None

    def announce(self) -> None:
        super().announce()
        if self.anchorer is not None:
            self.anchorer.governance_act()


@contextmanager
def open_chain(
    home: Home, settings: Settings, time: Timekeeper | None = None, *, reading: bool = False
) -> Iterator[ChainClient]:
    """The installation's chain: the embedded one, or a node or several, which must be on the home's chain. ``settings`` are those
    that `at_home` answers. The embedded one mines once ``time`` has begun. ``reading``: for questions only, also while
    the service has the embedded one."""
    if settings.rpc_url:
        from ledger.chain.several import open_nodes

        yield open_nodes(settings.rpc_url, home.chain_id)
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
        "contracts": {
            short: deployment.addresses[name].lower()
            for name, short in SHORT_NAMES.items()
            if name in deployment.addresses
        },
        "witnesses": [],
        "quorum": 0,
    }
