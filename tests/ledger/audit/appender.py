"""A process that appends until it is killed and reports every acknowledgement, for the crash drills.

Reads one JSON line: url, mark, key (hex), origin, first (per caller: the sequence number to start with), offset
(first caller's number), stop (sequence number at which callers end, or null), limit (bytes a file may grow to,
lifted once an append failed, or null). Writes a line for each acknowledgement: ``ack caller sequence index``, and
``failed`` when a batch was refused. An event's id is made from caller and sequence, so a repeat has the same id.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.formats.errors import LogUnavailable
from ledger.audit.formats.events import Event
from ledger.audit.formats.note import Signer
from ledger.audit.log.append import NewEntry
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.writer import GroupCommit
from ledger.store.engine import open_engine


def event_id(caller: int, sequence: int) -> UUID:
    return uuid5(NAMESPACE_URL, f"{caller}/{sequence}")


def event(caller: int, sequence: int) -> Event:
    return Event(
        id=event_id(caller, sequence),
        type="gateway:read:decided",
        time=datetime.now(UTC),
        department=1 + caller % 6,
        service=f"key-{caller}",
        decision="permit",
        counts={"sequence": sequence},
    )


def tell(line: str) -> None:
    os.write(1, (line + "\n").encode())


async def append(
    writer: GroupCommit, caller: int, sequence: int, stop: int | None, limited: list[Any]
) -> None:
    while stop is None or sequence < stop:
        try:
            done = await writer.record(NewEntry(event(caller, sequence)))
        except LogUnavailable:
            tell("failed")
            if limited:
                limited.pop()
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await asyncio.sleep(0.01)
            continue
        tell(f"ack {caller} {sequence} {done.indices[0]}")
        sequence += 1


async def main() -> None:
    given = json.loads(sys.stdin.readline())
    engine = open_engine(given["url"])
    signer = Signer(given["origin"], Ed25519PrivateKey.from_private_bytes(bytes.fromhex(given["key"])))
    log = AuditLog.open(engine, signer, highwater=HighWaterMark(Path(given["mark"])))
    limited = []
    if given["limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (given["limit"], resource.RLIM_INFINITY))
        limited.append(given["limit"])
    tell("ready")
    with GroupCommit(engine, log) as writer:
        await asyncio.gather(
            *(
                append(writer, given["offset"] + number, first, given["stop"], limited)
                for number, first in enumerate(given["first"])
            )
        )


if __name__ == "__main__":
    asyncio.run(main())
