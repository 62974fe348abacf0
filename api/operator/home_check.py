"""The whole check of a home: its log, its data files, and what the service keeps beside them, compared with log and chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from api.operator.aftermath import held_acts
from api.operator.home_chain import open_chain
from api.operator.homes import open_database
from api.operator.installation import log_key_of
from api.runtime.settings import Home, Settings
from api.runtime.stored_files import check_files, count_files
from ledger.audit.formats.checkpoint import Head
from ledger.audit.keeping.fsck import Damage, FsckReport, fsck
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.reading import LogReader
from ledger.chain.deployment import Deployment
from ledger.chain.edition import with_edition
from ledger.consistency import as_far_as_read, check_tables
from ledger.errors import LedgerError
from ledger.store.engine import reader
from ledger.store.foreign import foreign_objects
from ledger.store.stored import StoreDamaged, misfits


@dataclass(frozen=True, slots=True)
class HomeReport:
    """What a check found: ``report`` has all damage, ``of_log`` that of the log itself. ``head`` is None if it could not be
    read. ``files`` is the number of data files, ``held`` what is held of lost acts, ``edition`` that of the contracts."""

    report: FsckReport
    of_log: tuple[Damage, ...]
    head: Head | None
    files: int
    held: list[dict[str, Any]]
    edition: int


def check_home(
    home: Home,
    settings: Settings,
    vault: OpeningVault | None,
    progress: Callable[[int, int], None] | None = None,
) -> HomeReport:
    """Check a home; ``settings`` are those that `at_home` answers. Without ``vault`` openings are counted and not opened."""
    keys = [log_key_of(replace(home, epoch=number)) for number in range(1, home.epoch + 1)]
    deployment = Deployment.from_json(home.deployment)
    engine = open_database(home, settings, checked=False)
    try:
        log = LogReader(engine)
        report = fsck(log, keys=keys, vault=vault, openings=True, progress=progress)
        of_log = tuple(report.damage)
        head = None if report.unread else log.state().head
        files = count_files(home.data)
        with reader(engine).connect() as connection:
            for what in foreign_objects(connection):
                report.add("fsck.foreign", f"the service did not make this: {what}")
            for what in misfits(connection):
                report.add("fsck.kind", what)
            for one in as_far_as_read("fsck.source", check_files(connection, home.data)):
                report.add(one.code, one.message)
            try:
                with open_chain(home, settings, reading=True) as chain:
                    deployment = with_edition(chain, deployment)
                    for one in check_tables(connection, log, chain, deployment):
                        report.add(one.code, one.message)
            except LedgerError as stopped:
                report.add(
                    "fsck.chain", f"the tables were not compared with chain and log: {stopped.message}"
                )
            try:
                held = held_acts(connection)
            except StoreDamaged:
                held = []  # The check of the holds reports it.
    finally:
        engine.dispose()
    return HomeReport(report, of_log, head, files, held, deployment.edition)
