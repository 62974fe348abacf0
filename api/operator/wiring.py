"""Opens and closes an installation: only this module knows the order of all parts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from access_policy.privacy.execution.private_memory import keep_memory_private
from access_policy.privacy.execution.scan_errors import ScanError
from access_policy.privacy.execution.scanner import Scanner
from api.acts.stated_time import record_stated_time
from api.operator.foundation import Foundation, open_foundation
from api.operator.gateway import Database, Gateway, ServiceKeys
from api.operator.homes import at_home
from api.operator.parts import act_parts, call_parts, log_parts, shared_by_all
from api.operator.trust_document import trust_document
from api.operator.workers import workers_of
from api.runtime.call_nonces import nonces_kept_s
from api.runtime.newest_block import NewestBlock
from api.runtime.private_files import set_private_umask
from api.runtime.read_nonces import ReplayMemory
from api.runtime.readiness import Readiness, disks_of
from api.runtime.settings import Home, Settings
from api.runtime.spent_nonces import SpentNonces
from api.runtime.status import ServiceStatus, Workers
from api.runtime.stored_files import clear_incoming
from api.runtime.upkeep import retention_of
from ledger.chain.deployment import FIRST_EDITION
from ledger.chain.edition import FirstEdition
from ledger.clock import Clock, Timekeeper
from ledger.outbox import admission_delay

CATCH_UP_S = 10.0
"""How long a starting service follows the chain before it answers, in seconds, because acts are checked
against what it has followed."""


@contextmanager
def open_gateway(
    settings: Settings,
    *,
    chores: bool = True,
    anchoring: bool = True,
    scan_cpus: frozenset[int] = frozenset(),
    clock: Clock | None = None,
) -> Iterator[Gateway]:
    """Open everything in order, and close it in reverse; HomeError or the part's own error names the fault.

    ``chores`` is off for an operator's command, which runs no periodic tasks. ``anchoring`` is off while the council has
    not opened the log on the chain. ``scan_cpus`` are the processors of the scanning processes; empty: the caller's own.
    ``clock`` replaces the machine's clock.
    """
    set_private_umask()
    keep_memory_private()
    home, settings = at_home(settings)
    retention = retention_of(home, settings)
    with ExitStack() as stack:
        base = open_foundation(home, settings, Timekeeper(clock), stack)
        home, settings, time = base.home, base.settings, base.clock  # Without the passphrase.
        workers = workers_of(base, retention)
        home.data.mkdir(exist_ok=True)
        clear_incoming(home.data)
        scanner = stack.enter_context(_scanner(home, settings, scan_cpus))
        spent = SpentNonces(home.path / "spent-nonces", time, nonces_kept_s(settings))
        stack.callback(spent.close)
        shared = shared_by_all(base, workers, spent)
        delay = admission_delay(base.chain, base.deployment)
        gateway_key = base.secrets.gateway
        calls = call_parts(base, shared, scanner)
        newest_block = NewestBlock(base.chain)
        status = ServiceStatus(
            home=home,
            reading=base.reading,
            clock=time,
            chain=base.chain,
            deployment=base.deployment,
            admission_delay=delay,
            newest_block=newest_block,
            following=shared.following,
            workers=workers,
            log=base.log,
            newer=base.newer,
            cosign=base.cosign,
            gateway_key=gateway_key,
        )
        gateway = Gateway(
            settings=settings,
            home=home,
            database=Database(base.engine, base.reading, base.writer, base.hold),
            clock=time,
            chain=base.chain,
            deployment=base.deployment,
            log=base.log,
            vault=base.openings,
            workers=workers,
            cosign=base.cosign,
            newer=base.newer,
            callers=shared.callers,
            replays=ReplayMemory(timedelta(seconds=settings.call_max_age_s), time),
            commits=shared.commits,
            calls=calls,
            scanner=scanner,
            audit=log_parts(base, shared),
            acts=act_parts(base, shared, workers, scanner, delay),
            service=status,
            ready=Readiness(
                status, shared.withholding, newest_block, base.writer, base.cosign, disks_of(home, settings)
            ),
            keys=ServiceKeys(base.secrets.answers, f"gateway:{gateway_key}"),
            trust=trust_document(home, base.log.signer.key, gateway_key),
        )
        record_stated_time(shared.commits, time, settings.clock_is, base.known)
        calls.releases.abort_orphans()
        _start(base, workers, scanner, stack, chores=chores, anchoring=anchoring)
        yield gateway


def _start(
    base: Foundation, workers: Workers, scanner: Scanner, stack: ExitStack, *, chores: bool, anchoring: bool
) -> None:
    """Start the workers; ``stack`` closes them. Under contracts of the first edition only the anchorer is started."""
    if base.deployment.edition == FIRST_EDITION:
        logging.getLogger(__name__).warning("%s", FirstEdition().message)
    else:
        if chores:  # A command reads no data.
            ended = threading.Event()
            stack.callback(ended.set)
            threading.Thread(target=_warm, args=(scanner, ended), name="scan-warm-up", daemon=True).start()
        workers.follower.catch_up(CATCH_UP_S)
        for part in (workers.follower, workers.relayer, workers.recorder):
            part.start()
            stack.callback(part.close)
    if anchoring:
        workers.anchorer.start()
        stack.callback(workers.anchorer.close)
    if chores:
        workers.upkeep.start()
        stack.callback(workers.upkeep.close)


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


def _warm(scanner: Scanner, ended: threading.Event) -> None:
    """Start the scan workers, so that the first call does not wait for them; a worker that fails now is started
    later. Nothing is said when the service has ended meanwhile."""
    try:
        scanner.warm()
    except ScanError as failed:
        if not ended.is_set():
            logging.getLogger(__name__).warning("the scan workers are not warm: %s", failed.code)
