"""``civic audit expire | archive | timestamp``: apply the retention profile and timestamp the newest head.

A running service expires and timestamps by itself. These commands do it at once, or show what would be done.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.options import Home
from api.cli.output import CommandResult, facts, sentence, table
from api.terminal.language import say
from ledger.counts import counted


def register_upkeep(group: typer.Typer) -> None:
    """Add expire, archive and timestamp to ``civic audit``."""
    command(
        group,
        "expire",
        "Delete the openings and data files whose time is over by the retention profile. Service stopped, but for --dry-run.",
    )(expire)
    command(
        group,
        "archive",
        "Drop leaves from the front that a verified bundle keeps and the retention profile lets go; hashes and proofs stay. Service stopped.",
    )(archive)
    command(group, "timestamp", "Have the newest head timestamped now by the configured RFC 3161 service.")(
        timestamp
    )


def expire(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help=say("Only say what would go.")),
    ] = False,
    home: Home = Path("city"),
) -> CommandResult:
    from api.operator.homes import at_home, open_database
    from api.runtime.settings import Settings
    from api.runtime.stored_files import delete_given_up_files, delete_past_files, given_up_files, past_files
    from api.runtime.upkeep import retention_of
    from ledger.audit.keeping.retention import expirable, expire_openings
    from ledger.ids import asset_text
    from ledger.store.engine import reader

    found, settings = at_home(Settings.given(home=home))
    profile = retention_of(found, settings)
    engine = open_database(found, settings)
    try:
        over = expirable(engine, profile.rules)
        with reader(engine).connect() as connection:
            kept, now = profile.files, datetime.now(UTC)
            past = [] if kept is None else list(past_files(connection, found.data, kept, now))
            files = [{"asset": one.asset.id, "version": one.version} for one, _ in past]
            given_up = given_up_files(connection, found.data)
            files += [{"asset": asset_text(one.asset), "version": one.version} for one, _ in given_up]
    finally:
        engine.dispose()
    rules = [
        {
            "types": rule.type_prefix,
            "openings_days": rule.openings.days if rule.openings else None,
            "over": some,
        }
        for rule, some in over
    ]
    if dry_run:
        return table(
            {
                "dry_run": True,
                "openings": sum(some for _, some in over),
                "files": files,
                "rules": rules,
            },
            say("Openings whose time is over"),
            [say("types"), say("kept days"), say("openings")],
            [[one["types"] or "*", one["openings_days"], one["over"]] for one in rules],
        )
    from api.operator.wiring import open_gateway

    with open_gateway(settings, chores=False) as gateway:
        gone = expire_openings(
            gateway.database.writer, gateway.database.engine, profile.rules, now=gateway.now()
        )
        deleted = delete_past_files(
            gateway.database.writer, gateway.database.engine, found.data, profile.files, now=gateway.now()
        ) + delete_given_up_files(
            gateway.database.writer, gateway.database.engine, found.data, now=gateway.now()
        )
    return sentence(
        {"dry_run": False, "openings": gone, "files": deleted, "rules": rules},
        say(
            "gone: {openings} and {files}; every proof still holds.",
            openings=counted(gone, "opening"),
            files=counted(deleted, "file"),
        ),
    )


def archive(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help=say("The bundle that keeps the leaves; it is verified first."),
        ),
    ],
    before: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=say(
                "Index before which all leaves go, a multiple of 256 (default: as many as the profile lets go)."
            ),
            show_default=False,
        ),
    ] = None,
    home: Home = Path("city"),
) -> CommandResult:
    from api.operator.homes import at_home
    from api.operator.wiring import open_gateway
    from api.runtime.settings import Settings
    from api.runtime.upkeep import retention_of
    from ledger.audit.keeping.retention import archivable, archive_leaves
    from ledger.audit.verify import verify_bundle

    found, settings = at_home(Settings.given(home=home))
    profile = retention_of(found, settings).rules
    verdict = verify_bundle(bundle, found.trust_file)
    with open_gateway(settings, chores=False) as gateway:
        upto = archivable(gateway.log, profile, now=gateway.now()) if before is None else before
        upto = min(upto, verdict.size // 256 * 256) if before is None else upto
        done = archive_leaves(gateway.database.writer, gateway.log, upto, verdict, profile, now=gateway.now())
        document: dict[str, Any] = {
            "archived": done.value,
            "before": upto,
            "bundle": str(bundle),
            "bundle_size": verdict.size,
            "receipt": str(done.receipts[0]),
        }
    return sentence(
        document,
        say(
            "{leaves} gone from the database; {bundle} keeps them: store it safely, and more than once.",
            leaves=counted(done.value, "leaf is", "leaves are"),
            bundle=bundle,
        ),
    )


def timestamp(home: Home = Path("city")) -> CommandResult:
    from api.operator.homes import at_home, open_database
    from api.operator.installation import log_key_of
    from api.runtime.cosigners import cosigners_of
    from api.runtime.settings import Settings
    from api.runtime.timestamping import TimestampSettings
    from api.runtime.upkeep import stamper_of
    from ledger.audit.log.reading import LogReader
    from ledger.audit.outside.timestamps import latest_stamp

    found, settings = at_home(Settings.given(home=home))
    if not settings.timestamp_url and settings.timestamp_roots is None:
        raise TimestampSettings(
            say("no timestamp service is configured"),
            hint=say("set CIVIC_TIMESTAMP_URL and CIVIC_TIMESTAMP_ROOTS"),
        )
    engine = open_database(found, settings)
    try:
        log = LogReader(engine, keys=[log_key_of(found)])
        stamper = stamper_of(log, settings, cosigners_of(log, settings))
        assert stamper is not None
        fresh = stamper.stamp_now()
        newest = fresh or latest_stamp(log)
    finally:
        engine.dispose()
    document = {
        "stamped": fresh is not None,
        "size": newest.size if newest else 0,
        "time": newest.time.isoformat() if newest else None,
    }
    title = (
        say("The head is timestamped.") if fresh else say("Nothing was appended since the last timestamp.")
    )
    return facts(document, title, document.items())
