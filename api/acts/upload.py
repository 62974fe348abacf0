"""Handing in the data of an asset: the file whose SHA-256 the steward signed, and no other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from access_policy.privacy.quality import check_quality
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source, SourceFormat
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
from ledger.projection.pages import MAX_LIMIT
from ledger.projection.queries import asset as find_asset
from ledger.projection.queries import assets
from ledger.releases import nonce_used


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """The one file that a call may hand in: what the steward signed of it, and where it belongs."""

    asset: int
    version: int
    metadata_hash: str
    schema: dict[str, Any]
    format: SourceFormat
    sha256: str
    size: int
    place: Path


def expected_file(gateway: Gateway, call: SignedCall, asset: str, declared: int | None) -> ExpectedFile:
    """What this call may hand in, looked at before a byte of its body is kept.

    The department must hold a right in the asset, and the digest that the call signed, and the length that it
    declares if it does, must be those of the present catalogue entry. Problem otherwise, also when the
    department's data would outgrow its quota.
    """
    number = parse_asset(asset)
    with gateway.reading.connect() as connection:
        if nonce_used(connection, call.key_id, call.nonce):
            raise Problem("call.replayed", "this signature's nonce was used before")
        row = find_asset(connection, number)
        if row is None:
            raise Problem("asset.unknown", f"no asset {asset_text(number)} is registered")
        known = gateway.states.asset(number, row.version)
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
        if call.body_sha256.hex() != signed["sha256"] or declared not in (None, signed["bytes"]):
            raise Problem(
                "source.mismatch",
                "the file is not the one that the register entry names by its SHA-256 and size",
            )
        place = source_path(gateway.home.data, number, metadata)
        _must_fit_quota(gateway, connection, known.holder, place, signed["bytes"])
    return ExpectedFile(
        number,
        row.version,
        row.metadata_hash,
        metadata["schema"],
        signed["format"],
        signed["sha256"],
        signed["bytes"],
        place,
    )


def _must_fit_quota(gateway: Gateway, connection: Connection, holder: int, place: Path, size: int) -> None:
    """The files of all assets that a department holds, this one included, stay within its quota."""
    quota = gateway.settings.department_bytes
    kept = 0
    after: str | None = None
    while True:
        page = assets(connection, holder=holder, after=after, limit=MAX_LIMIT)
        for one in page.items:
            folder = gateway.home.data / one.id
            if folder.is_dir():
                kept += sum(file.stat().st_size for file in folder.iterdir() if file != place)
        after = page.next
        if after is None:
            break
    if kept + size > quota:
        raise Problem(
            "source.quota", f"the data of department {holder} would exceed its quota of {quota} bytes"
        )


async def receive_file(gateway: Gateway, expected: ExpectedFile, chunks: AsyncIterator[bytes]) -> Path:
    """Stream the body to a temporary file, never more than the signed size; its path. The caller removes or moves it.

    Problem ``digest.mismatch`` when the body is not the file that was signed.
    """
    gateway.home.data.mkdir(exist_ok=True)
    path = gateway.home.data / f"{INCOMING}{uuid4().hex}"
    sha, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > expected.size:
                    break
                sha.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if size != expected.size or sha.hexdigest() != expected.sha256:
            raise Problem("digest.mismatch", "the body that arrived is not the one that was signed")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def keep_file(
    gateway: Gateway, call: SignedCall, asset: str, path: Path, expected: ExpectedFile
) -> dict[str, Any]:
    """Put a received file in its place, with its entry in the log; Problem when it is no longer what is wanted."""
    if expected_file(gateway, call, asset, expected.size) != expected:
        raise Problem("source.mismatch", "another version was recorded while the file arrived")
    quality = check_quality(Source(str(path), expected.format, parse_schema(expected.schema)))
    if not quality.readable:
        raise Problem(
            "source.unreadable", "lines of the file do not have the columns of the schema", quality.to_json()
        )
    expected.place.parent.mkdir(exist_ok=True)
    path.replace(expected.place)
    told = commit(
        "source",
        {
            "sha256": expected.sha256,
            "bytes": expected.size,
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
        asset=asset_text(expected.asset),
        commitments={told.name: told.digest},
        facts={"version": expected.version, "metadata": expected.metadata_hash},
    )
    about = commit_to(call)
    done = gateway.commit_call(call, lambda _: JobResult(None, [entry_about(event, about, told)]))
    return {
        "asset": asset_text(expected.asset),
        "sha256": expected.sha256,
        "bytes": expected.size,
        "quality": quality.to_json(),
        **Evidence(done.receipts[0], about).members(),
    }
