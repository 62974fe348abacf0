"""The examination of an installation, while its service runs or is stopped. Nothing is written.

Each check uses the rule by which the service itself refuses to start or to answer, and goes on after a fault.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.operator.home_chain import open_chain, stated_time
from api.operator.homes import KEY_FILES, at_home, must_be_log_of, open_database
from api.operator.installation import log_key_of
from api.protocol.errors import ClientError
from api.protocol.keystore import key_info
from api.protocol.version import installed
from api.runtime.marks import mark_file
from api.runtime.private_files import open_to_others
from api.runtime.readiness import disks_of
from api.runtime.settings import Home, Settings
from api.runtime.stored_files import check_files, count_files
from languages.texts import in_both
from ledger.audit.log.reading import LogReader
from ledger.chain.client import BlockRef
from ledger.chain.errors import WrongChain
from ledger.clock import Timekeeper, stamp
from ledger.consistency import as_far_as_read
from ledger.counts import counted
from ledger.errors import LedgerError
from ledger.failures import failure_code
from ledger.outbox.store import open_acts
from ledger.projection.queries import keys_ending, officer
from ledger.store.engine import reader
from ledger.store.foreign import foreign_objects
from ledger.store.revisions import newest, revision_of
from ledger.store.stored import misfits

Severity = Literal["error", "warning", "note"]

SOON = timedelta(days=30)
"""How long before its end a key is reported."""

FREE_LEAST = 1 << 30
"""Free bytes of a disk below which it is reported."""

SEVERITIES: dict[str, Severity] = {
    "doctor.permissions": "warning",
    "doctor.disk-low": "warning",
    "doctor.key-ends": "warning",
    "doctor.mark-missing": "warning",
    "doctor.acts-waiting": "note",
}
"""Every other finding is an error: the service refuses something because of it, or would."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: a stable code and a sentence without secrets. What to do is said for the code (`api.advice`)."""

    code: str
    detail: str

    @property
    def severity(self) -> Severity:
        return SEVERITIES.get(self.code, "error")


@dataclass(slots=True)
class Examination:
    """What was found, and facts of the installation. A fact that could not be found out is missing."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there is no error and no warning."""
        return all(one.severity == "note" for one in self.findings)


def examine(settings: Settings) -> Examination:
    """Examine the installation of these settings."""
    found = Examination(facts={"version": installed()[1]})
    checking = _Checking(found)
    with ExitStack() as stack:
        home, settings = checking.value(lambda: at_home(settings)) or (None, settings)
        if home is None:
            return found
        for check in (_permissions, _disks, _keys):
            checking.all(lambda check=check: check(home, settings))  # type: ignore[misc]
        head = checking.value(lambda: _head(home, settings, found))
        engine = checking.value(lambda: open_database(home, settings, checked=False))
        if engine is None:
            return found
        stack.callback(engine.dispose)
        log = LogReader(engine, keys=[log_key_of(home)])
        checking.all(lambda: _log(home, settings, log, found))
        checking.all(lambda: _clock(settings, log, head))
        checking.all(lambda: _stored(home, engine, found))
        checking.all(lambda: _key_terms(home, engine))
    return found


class _Checking:
    """Runs checks. An error of one is a finding with its code, and the others are made all the same."""

    def __init__(self, found: Examination) -> None:
        self._found = found

    def all(self, check: Callable[[], Iterator[Finding]]) -> None:
        self.value(lambda: self._found.findings.extend(check()))

    def value(self, check: Callable[[], Any]) -> Any:
        """What a check answers; None if it failed."""
        try:
            return check()
        except (LedgerError, ClientError) as failed:
            self._found.findings.append(Finding(failed.code, failed.message))
        except (SQLAlchemyError, OSError) as failed:
            code = failure_code(failed) or ""
            self._found.findings.append(Finding(code, type(getattr(failed, "orig", failed)).__name__))
        return None


def _permissions(home: Home, settings: Settings) -> Iterator[Finding]:
    count = sum(1 for _ in open_to_others(home.path))
    if count:
        yield Finding(
            "doctor.permissions",
            in_both(
                "{files} open to other users",
                files=counted(count, "file or folder of the home is", "files and folders of the home are"),
            ),
        )


def _disks(home: Home, settings: Settings) -> Iterator[Finding]:
    for name, folder in disks_of(home, settings).items():
        if (free := shutil.disk_usage(folder).free) < FREE_LEAST:
            yield Finding(
                "doctor.disk-low",
                in_both("the disk of {name} has {free} MiB left", name=name, free=free >> 20),
            )


def _keys(home: Home, settings: Settings) -> Iterator[Finding]:
    for name in KEY_FILES:
        key_info(home.keys / f"{name}.json")
    yield from ()


def _head(home: Home, settings: Settings, found: Examination) -> BlockRef:
    """The newest block; the chain's errors if it cannot be read."""
    with open_chain(home, settings, reading=True) as chain:
        if chain.chain_id != home.chain_id:
            raise WrongChain(
                f"this home is of chain {home.chain_id}, the chain here is {chain.chain_id}",
                hint="put back the chain that belongs to this home",
            )
        head = chain.head()
    found.facts["chain"] = {"id": home.chain_id, "block": head.number, "time": stamp(head.timestamp)}
    return head


def _log(home: Home, settings: Settings, log: LogReader, found: Examination) -> Iterator[Finding]:
    state = log.state()  # Its signature is verified.
    found.facts["log"] = {"size": state.size, "root": "0x" + state.root.hex()}
    mark = mark_file(home, settings)
    if mark.is_file():
        must_be_log_of(home, settings, log)
    else:
        yield Finding("doctor.mark-missing", in_both("there is no mark in {folder}", folder=mark.parent))


def _clock(settings: Settings, log: LogReader, head: BlockRef | None) -> Iterator[Finding]:
    time = Timekeeper()
    time.begin(log.newest() or 0.0, stated_time(settings), block=0.0 if head is None else head.timestamp)
    if (doubt := time.doubt()) is not None:
        yield Finding(doubt.code, str(doubt))


def _stored(home: Home, engine: Engine, found: Examination) -> Iterator[Finding]:
    """The parts of ``civic audit fsck`` that do not read the whole log: tables and data files."""
    with reader(engine).connect() as connection:
        found.facts["revision"] = {"database": revision_of(connection), "program": newest()}
        for what in foreign_objects(connection):
            yield Finding("fsck.foreign", f"the service did not make this: {what}")
        for what in misfits(connection):
            yield Finding("fsck.kind", what)
        for one in as_far_as_read("fsck.source", check_files(connection, home.data)):
            yield Finding(one.code, one.message)
        waiting = open_acts(connection)
    found.facts["files"] = count_files(home.data)
    found.facts["acts_waiting"] = sum(waiting.values())
    if waiting:
        yield Finding(
            "doctor.acts-waiting", in_both("{count} acts are not recorded yet", count=sum(waiting.values()))
        )


def _key_terms(home: Home, engine: Engine) -> Iterator[Finding]:
    """The seat of the service's attest key, and the service keys of departments that end soon."""
    now = datetime.now(UTC)
    soon = int((now + SOON).timestamp())
    with reader(engine).connect() as connection:
        seat = officer(connection, key_info(home.keys / "attest.json").public)
        ending = keys_ending(connection, int(now.timestamp()), soon)
    if seat is not None and not seat.in_office(now):
        yield Finding("doctor.key-ended", in_both("the attest key's seat is not in office"))
    elif seat is not None and seat.not_after < soon:
        yield Finding(
            "doctor.key-ends", in_both("the attest key's seat ends at {time}", time=stamp(seat.not_after))
        )
    for key in ending:
        yield Finding(
            "doctor.key-ends",
            in_both(
                "a service key of department {number} ends at {time}",
                number=key.department,
                time=stamp(key.not_after),
            ),
        )
