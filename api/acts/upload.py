"""Handing in the data of an asset: the file whose SHA-256 the steward signed, and no other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from access_policy.privacy.quality import check_quality
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source
from api.acts.evidence import Evidence, commit_to, entry_about
from api.catalogue import metadata_of, source_path
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from api.stored_files import INCOMING
from ledger.audit.events import Event, new_event_id
from ledger.audit.openings import commit
from ledger.audit.writer import JobResult
from ledger.ids import asset_text, parse_asset
from ledger.projection.queries import asset as find_asset


async def receive_file(gateway: Gateway, chunks: AsyncIterator[bytes]) -> tuple[Path, str, int]:
    """Stream a body to a temporary file; its path, SHA-256 (hex) and size. The caller removes or moves it."""
    gateway.home.data.mkdir(exist_ok=True)
    path = gateway.home.data / f"{INCOMING}{uuid4().hex}"
    sha, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            async for chunk in chunks:
                sha.update(chunk)
                size += len(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, sha.hexdigest(), size


def keep_file(
    gateway: Gateway, call: SignedCall, asset: str, path: Path, sha256: str, size: int
) -> dict[str, Any]:
    """Put a received file in its place, with its entry in the log; Problem when it is not what was signed."""
    number = parse_asset(asset)
    with gateway.reading.connect() as connection:
        row = find_asset(connection, number)
        if row is None:
            raise Problem("asset.unknown", f"no asset {asset_text(number)} is registered")
        known = gateway.states.asset(number)
        if call.department not in (known.holder, known.processor, known.operator):
            raise Problem(
                "caller.not-holder", "only a department that holds a right in the asset hands in its data"
            )
        if "retired" in (row.status, known.status):
            raise Problem("asset.retired", f"asset {asset_text(number)} is retired; its data are not kept")
        if row.version != known.version or not gateway.versions.signed(connection, row):
            raise Problem(
                "asset.version-unsigned", "the stored catalogue entry is not the present one on chain"
            )
        metadata = metadata_of(connection, row.metadata_hash)
    signed = metadata["source"]
    if sha256 != signed["sha256"] or size != signed["bytes"]:
        raise Problem(
            "source.mismatch", "the file is not the one that the register entry names by its SHA-256 and size"
        )
    quality = check_quality(Source(str(path), signed["format"], parse_schema(metadata["schema"])))
    if not quality.readable:
        raise Problem(
            "source.unreadable", "lines of the file do not have the columns of the schema", quality.to_json()
        )
    place = source_path(gateway.home.data, number, metadata)
    place.parent.mkdir(exist_ok=True)
    path.replace(place)
    told = commit(
        "source",
        {
            "sha256": sha256,
            "bytes": size,
            "rows": quality.rows,
            "defects": sum(count for _, _, count in quality.counts),
        },
    )
    event = Event(
        id=new_event_id(),
        type="department:source:received",
        time=gateway.now(),
        department=call.department,
        service=call.key_id,
        asset=asset_text(number),
        commitments={told.name: told.digest},
        facts={"version": row.version, "metadata": row.metadata_hash},
    )
    about = commit_to(call)
    done = gateway.commit_call(call, lambda _: JobResult(None, [entry_about(event, about, told)]))
    return {
        "asset": asset_text(number),
        "sha256": sha256,
        "bytes": size,
        "quality": quality.to_json(),
        **Evidence(done.receipts[0], about).members(),
    }
