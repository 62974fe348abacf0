"""The commands that follow a restore, filled in with what the restored home says."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from api.operator.home_chain import open_chain
from api.operator.trust_document import origin_of
from api.protocol.keystore import key_info
from api.runtime.seated_council import seated_council
from api.runtime.settings import Home, Settings
from ledger.audit.formats.checkpoint import Head
from ledger.audit.outside.anchoring import anchored_head, origin_hash
from ledger.chain.deployment import Deployment
from ledger.counts import counted
from ledger.errors import LedgerError
from ledger.projection.queries import officer
from ledger.store.engine import reader


@dataclass(frozen=True, slots=True)
class Council:
    """What a council needs for a new epoch of the log: its own epoch, how many of it sign, the department that operates the
    log (None if its key has no seat), and the newest head that the chain has anchored (None if there is none)."""

    epoch: int
    threshold: int
    operator: int | None
    anchored: Head | None


def seated_council_of(home: Home, settings: Settings, engine: Engine) -> Council | None:
    """The council in a restored database; None if it is not known there."""
    with reader(engine).connect() as connection:
        found: dict[str, Any] = seated_council(connection)
        if not found:
            return None
        seat = officer(connection, key_info(home.keys / "attest.json").public)
    deployment = Deployment.from_json(home.deployment)
    anchored = None
    try:
        with open_chain(home, settings, reading=True) as chain:
            known = anchored_head(chain, deployment, origin_hash(str(origin_of(deployment, home.epoch))))
            anchored = None if known is None else known.head
    except LedgerError:
        pass  # The chain does not answer here: the council asks it.
    return Council(
        int(found["epoch"]), int(found["threshold"]), None if seat is None else seat.department, anchored
    )


def kept_head(log: Head, council: Council | None) -> Head:
    """The head that the council vouches for: the log's own, or the anchored one if the chain has no later one."""
    if council is not None and council.anchored is not None and council.anchored.size < log.size:
        return council.anchored
    return log


def recovery_commands(home: Path, log: Head, council: Council | None, taken_at: str, lost: int) -> list[str]:
    """The commands that continue a log after a loss, in order. Words in capitals are left to whoever runs them."""
    head, here = kept_head(log, council), shlex.quote(str(home))
    operator = "DEPARTMENT" if council is None or council.operator is None else str(council.operator)
    epoch = "EPOCH" if council is None else str(council.epoch)
    signers = 1 if council is None else council.threshold
    reason = shlex.quote(f"restored from the backup of {taken_at}, {counted(lost, 'entry', 'entries')} lost")
    return [
        f"civic audit new-epoch {operator} --size {head.size} --root 0x{head.root.hex()} --epoch {epoch}"
        f" --reason {reason} --save epoch.json --key MEMBER-1.json",
        *(f"civic sign epoch.json --key MEMBER-{number}.json" for number in range(2, signers + 1)),
        f"civic audit epoch --home {here} --act epoch.json --lost BUNDLE",
        f"civic audit erase --home {here} --asset DATASET --subject PERSON --officer ADDRESS",
        f"civic serve --home {here}",
    ]


def dump_command(database_url: str, backup: Path) -> str:
    """How PostgreSQL's own tool backs the database up, beside the backup of the rest."""
    file = shlex.quote(str(dump_file(backup)))
    return f"pg_dump --format=custom --file={file} {shlex.quote(_plain(database_url))}"


def undump_command(database_url: str, backup: Path) -> str:
    """How PostgreSQL's own tool restores it into an empty database."""
    file = shlex.quote(str(dump_file(backup)))
    return f"pg_restore --exit-on-error --no-owner --dbname={shlex.quote(_plain(database_url))} {file}"


def dump_file(backup: Path) -> Path:
    """Where the dump of the database belongs: beside the backup, whose files are all in its manifest."""
    return backup.with_name(f"{backup.name}.dump")


def _plain(database_url: str) -> str:
    """The URL as PostgreSQL's own tools read it: without the name of a Python driver."""
    scheme, separator, rest = database_url.partition("://")
    return scheme.partition("+")[0] + separator + rest
