"""``civic read``: read granted data, or show the reasons of a denial."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.failures import FAILED, UsageError, explanation_lines
from api.cli.json_input import json_object, listed, pairs
from api.cli.options import Asset, NamedVersion, PassphraseFile, ProfileOption, ServiceKeyOption
from api.cli.output import CommandResult, facts, note, witnessed
from api.terminal.language import say
from api.terminal.screen import lines
from ledger.counts import counted
from ledger.visible import visible_lines

if TYPE_CHECKING:
    from api.cli.profile import Profile
    from api.sdk.client import Civic

MEDIA_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app,
        "read",
        "Read what was granted; a denial prints every reason. The receipt of the decision is kept.",
    )(read)


def read(
    asset: Asset,
    purpose: Annotated[str, typer.Option(help=say("Purpose, such as dpv:PublicBenefit."))],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            help=say("Columns, separated by commas; all granted ones by default."),
            show_default=False,
        ),
    ] = None,
    where: Annotated[str, typer.Option(help=say("Rows, as JSON or @FILE."), show_default=False)] = "",
    order: Annotated[
        list[str] | None,
        typer.Option(
            help=say("COLUMN or COLUMN:desc (repeat)."),
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help=say("At most this many rows."), show_default=False)
    ] = None,
    form: Annotated[str, typer.Option("--format", help="json | ndjson | csv | arrow")] = "json",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help=say("Write the data to this file; it must not exist."),
            show_default=False,
        ),
    ] = None,
    grant: Annotated[str, typer.Option(help=say("Under this grant only."), show_default=False)] = "",
    version: NamedVersion = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help=say("Decide and explain; no data, no charge.")),
    ] = False,
    legal_basis: Annotated[
        str,
        typer.Option(help=say("Legal basis that this call states."), show_default=False),
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            help=say("NAME=VALUE that the terms ask for (repeat)."),
            show_default=False,
        ),
    ] = None,
    idempotency_key: Annotated[
        str,
        typer.Option(
            help=say("The same key twice is one release and one charge."),
            show_default=False,
        ),
    ] = "",
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    if form not in MEDIA_TYPES:
        raise UsageError(say("there is no format {form!r}", form=form[:20]), hint=", ".join(MEDIA_TYPES))
    if out is not None and out.exists():
        raise UsageError(say("there is a file at {out} already", out=out))
    if out is None and form == "arrow":
        raise UsageError(say("Arrow goes to a file"), hint="--out FILE")
    attributes = pairs(attribute or (), "--attribute")
    if dry_run:
        refuse_unused("--dry-run", "form", "out", "idempotency_key")
    if legal_basis:
        if attributes.get("legalBasis", legal_basis) != legal_basis:
            raise UsageError(
                say("two legal bases are named"),
                hint=say("give --legal-basis or --attribute legalBasis="),
            )
        attributes["legalBasis"] = legal_basis
    call: dict[str, Any] = {
        "query": _query(listed(columns), where, order or [], limit),
        "grant": grant or None,
        "attributes": attributes or None,
        "version": version,
    }
    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        if dry_run:
            return _explained(civic.dry_run(asset, purpose, **call))
        if idempotency_key:
            call["idempotency_key"] = idempotency_key
        call["media_type"] = MEDIA_TYPES[form]
        if out is not None:
            return _to_file(found, civic, asset, purpose, call, out)
        released = civic.read(asset, purpose, **call)
        seen_by = civic.witnesses.state()
    kept = found.keep(released.receipt, released.call)
    document: dict[str, Any] = {
        "receipt": str(kept),
        "release": dict(released.release),
        "witnessed": seen_by,
    }
    if form == "json":
        document["rows"] = released.rows()
    else:
        document["body"] = released.body.decode("utf-8")
    rows = int(released.release.get("rows") or 0)
    note(say("{rows}; receipt {kept}", rows=counted(rows, "row"), kept=kept))
    note(say("cosigned: ") + witnessed(seen_by))
    return CommandResult(document, lambda _: _write_out(released.body))


def _query(columns: list[str], where: str, order: list[str], limit: int | None) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if columns:
        query["columns"] = columns
    if where:
        query["where"] = json_object(where, "--where")
    if order:
        query["order"] = [
            {"column": text.removesuffix(":desc"), "descending": text.endswith(":desc")} for text in order
        ]
    if limit is not None:
        query["limit"] = limit
    return query


def _to_file(
    profile: Profile, civic: Civic, asset: str, purpose: str, call: dict[str, Any], out: Path
) -> CommandResult:
    """Stream into a file beside the target, and move it there only if the log confirms its digest."""
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with civic.read_stream(asset, purpose, **call) as reading:
            with partial.open("xb") as file:
                for chunk in reading.stream.chunks():
                    file.write(chunk)
            release = reading.finish()
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    document = {
        "file": str(out),
        "bytes": reading.stream.size,
        "sha256": reading.stream.sha256,
        "rows": release.get("rows"),
        "receipt": str(profile.keep(reading.receipt, reading.call)),
        "release": release,
        "witnessed": (seen_by := civic.witnesses.state()),
    }
    note(say("cosigned: ") + witnessed(seen_by))
    shown = [(name, value) for name, value in document.items() if name not in ("release", "witnessed")]
    return facts(document, say("Released."), shown)


def _explained(decided: Mapping[str, Any]) -> CommandResult:
    permitted = decided.get("decision") == "permit"
    text = explanation_lines(decided.get("explanation"))

    def show(_: Any) -> None:
        lines(say("It would be permitted.") if permitted else say("It would be denied."))
        if text:
            lines(*text)
            return
        for reason in decided.get("reasons", ()):
            lines(
                f"  - {reason.get('code')}"
                + (f" ({reason['constraint']})" if reason.get("constraint") else "")
            )

    return CommandResult(decided, show, 0 if permitted else FAILED)


def _write_out(body: bytes) -> None:
    """Write the released bytes: unchanged to a pipe, with control characters made visible on a terminal."""
    if sys.stdout.isatty():
        print(
            visible_lines(body.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n")),
            flush=True,
        )
        return
    sys.stdout.buffer.write(body)
    if not body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
