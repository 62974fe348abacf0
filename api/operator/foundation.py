"""The foundation of an open installation: keys, chain, database, log, and the one writer to the log.

They are opened in an order in which each is checked against those before it: the home against the settings, the
chain against the home, the database against both, the log against the chain and its witnesses.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

import ledger.store.tables.audit
import ledger.store.tables.calls
import ledger.store.tables.outbox
import ledger.store.tables.projection
import ledger.store.tables.requests  # noqa: F401 - registers its tables, as the four above
from api.operator.home_chain import must_be_chain_of, open_chain, stated_time
from api.operator.homes import (
    KEY_FILES,
    must_be_of_this_version,
    must_be_the_chain,
    open_database,
    remember,
)
from api.operator.trust_document import origin_of
from api.operator.vault import open_vault
from api.protocol.keystore import key_info, open_ed25519, open_secp256k1
from api.runtime.cosigners import Cosigners, cosigners_of
from api.runtime.home_lock import locked_home
from api.runtime.marks import mark_file, open_mark
from api.runtime.newer_heads import NewerHeads
from api.runtime.private_files import emptied_directory, restrict_to_owner
from api.runtime.settings import Home, Settings, read_passphrase
from ledger.audit.formats.note import Signer
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.writer import GroupCommit
from ledger.audit.outside.anchoring import ChainAnchor
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.limits import GWEI
from ledger.chain.reached import Reached
from ledger.clock import Timekeeper
from ledger.grants.uses_in_log import UsesInLog
from ledger.lost.holds import register_log_facts
from ledger.projection.queries import followed_block
from ledger.store.engine import reader
from ledger.store.foreign import SchemaGuard
from ledger.store.revisions import prepare
from ledger.store.sole import Sole, sole


@dataclass(frozen=True, slots=True)
class Secrets:
    """The machine's own keys. ``relayer`` and ``attest`` are secp256k1 secrets; from ``pseudonyms`` (32 bytes) the
    keys of pseudonyms, idempotency keys and cursors are derived; ``gateway`` and ``relayer_address`` are public."""

    answers: Ed25519PrivateKey = field(repr=False)
    relayer: bytes = field(repr=False)
    attest: bytes = field(repr=False)
    pseudonyms: bytes = field(repr=False)
    gateway: str
    relayer_address: str


@dataclass(frozen=True, slots=True)
class Foundation:
    """An installation whose chain, database and log are open. ``settings`` no longer contain the passphrase;
    ``reading`` is the database without a write lock; ``known`` the newest time of log and chain, in seconds since
    1970."""

    settings: Settings
    home: Home
    secrets: Secrets
    clock: Timekeeper
    known: float
    chain: ChainClient
    deployment: Deployment
    reached: Reached
    anchor: ChainAnchor
    engine: Engine
    reading: Engine
    hold: Sole
    log: AuditLog
    openings: OpeningVault
    cosign: Cosigners
    uses: UsesInLog
    newer: NewerHeads
    writer: GroupCommit

    @property
    def most_fee(self) -> int:
        """The most that the service pays for gas, in wei."""
        return self.settings.most_fee_gwei * GWEI


def open_foundation(home: Home, settings: Settings, time: Timekeeper, stack: ExitStack) -> Foundation:
    """Open the foundation; ``stack`` closes it. ``home`` and ``settings`` are those that `at_home` returns.

    HomeError or the part's own error names the fault.
    """
    keys = {name: home.keys / f"{name}.json" for name in KEY_FILES}
    stack.enter_context(locked_home(home.path))
    must_be_of_this_version(home, settings)  # Before anything is changed.
    _close_home(home.path)
    emptied_directory(home.temporary)  # A killed service leaves files behind.
    passphrase = read_passphrase(settings)
    answer_key = open_ed25519(keys["gateway"], passphrase)
    log_key = open_ed25519(keys["log"], passphrase)
    relayer_secret = open_secp256k1(keys["relayer"], passphrase)
    attest_secret = open_secp256k1(keys["attest"], passphrase)
    chain = stack.enter_context(open_chain(home, settings, time))
    deployment = must_be_chain_of(home, chain)
    engine = open_database(home, settings, new=True)
    stack.callback(engine.dispose)
    hold = stack.enter_context(sole(engine))
    prepare(engine)
    must_be_the_chain(home, settings, chain, engine)
    reached = Reached(deployment.block)
    anchor = ChainAnchor(
        chain,
        deployment,
        relayer_secret,
        attest_secret,
        epoch=home.epoch,
        most_fee=settings.most_fee_gwei * GWEI,
        clock=time,
        reached=reached,
    )
    vault = open_vault(home, passphrase, engine)
    # Nothing below needs the passphrase, and this variable would keep it in memory while the service runs.
    del passphrase
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
    time.begin(newest, stated_time(settings), block=block)
    home = remember(home, settings, engine)
    hold.claim(home.id, home.chain_id, home.ledger)
    uses = stack.enter_context(_uses_in_log(home.path, log))
    register_log_facts(engine, uses)
    newer = NewerHeads(log, lambda epoch: HighWaterMark(mark_file(replace(home, epoch=epoch), settings)))
    return Foundation(
        settings=settings,
        home=home,
        secrets=Secrets(
            answer_key,
            relayer_secret,
            attest_secret,
            vault.pseudonyms,
            key_info(keys["gateway"]).public,
            key_info(keys["relayer"]).public,
        ),
        clock=time,
        known=float(max(newest, block)),
        chain=chain,
        deployment=deployment,
        reached=reached,
        anchor=anchor,
        engine=engine,
        reading=reader(engine),
        hold=hold,
        log=log,
        openings=openings,
        cosign=cosign,
        uses=uses,
        newer=newer,
        writer=stack.enter_context(_open_writer(engine, log, hold, newer)),
    )


def _open_writer(engine: Engine, log: AuditLog, hold: Sole, newer: NewerHeads) -> GroupCommit:
    """The writer. It writes only while this service has the database to itself, the database has no foreign object,
    and no caller has shown a newer head."""
    ours = SchemaGuard()

    def guard(connection: Connection) -> None:
        hold.must_hold(connection)
        ours(connection)
        newer.must_be_none()

    return GroupCommit(engine, log, guard=guard)


@contextmanager
def _uses_in_log(home: Path, log: AuditLog) -> Iterator[UsesInLog]:
    """The uses in the log, counted up to its head; stored when the service ends."""
    uses = UsesInLog(log, home / "uses-in-log.json")
    with reader(log.engine).connect() as connection:
        uses.follow(connection)
    uses.keep()
    try:
        yield uses
    finally:
        uses.keep()


def _close_home(home: Path) -> None:
    """Restrict the permissions of a home that other users can read: one of an earlier version, or a careless copy."""
    closed, foreign = restrict_to_owner(home)
    log = logging.getLogger(__name__)
    if closed:
        log.warning("%d files and folders of %s were open to other users; they are closed now", closed, home)
    if foreign:
        log.warning("%d files and folders of %s belong to another user and stay open", foreign, home)
