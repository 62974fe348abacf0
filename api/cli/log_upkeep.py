"""``civic audit expire | archive | timestamp``: letting go by the retention profile, and having heads timestamped.

A running service expires and timestamps by itself; these are for an operator who wants it now, or wants to look first.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.language import say
from api.cli.options import Home
from api.cli.output import Said, facts, sentence, table


def register_upkeep(group: typer.Typer) -> None:
    """Add expire, archive and timestamp to ``civic audit``."""
    command(
        group,
        "expire",
        "Delete the openings and data files whose time is over by the retention profile. Service stopped, but for --dry-run.",
        "依留存规则删除到期的披露与数据文件。须先停止服务（--dry-run 除外）。",
    )(expire)
    command(
        group,
        "archive",
        "Drop leaves from the front that a verified bundle keeps and the retention profile lets go; hashes and proofs stay. Service stopped.",
        "依留存规则移除已由核验过的导出包保存的最早条目；哈希与证明不变。须先停止服务。",
    )(archive)
    command(
        group,
        "timestamp",
        "Have the newest head timestamped now by the configured RFC 3161 service.",
        "立即由所配置的 RFC 3161 服务为最新日志头加盖时间戳。",
    )(timestamp)


def expire(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help=say("Only say what would go.", "仅说明将删除的内容。")),
    ] = False,
    home: Home = Path("city"),
) -> Said:
    from api.homes import at_home, open_database
    from api.settings import Settings
    from api.stored_files import delete_past_files, past_files
    from api.upkeep import retention_of
    from ledger.audit.retention import expirable, expire_openings
    from ledger.store.engine import reader

    found, settings = at_home(Settings.given(home=home))
    profile = retention_of(found, settings)
    engine = open_database(found, settings)
    try:
        over = expirable(engine, profile.rules)
        with reader(engine).connect() as connection:
            past = (
                []
                if profile.files is None
                else list(past_files(connection, found.data, profile.files, datetime.now(UTC)))
            )
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
                "files": [{"asset": one.asset.id, "version": one.version} for one, _ in past],
                "rules": rules,
            },
            say("Openings whose time is over", "到期的披露"),
            [say("types", "类型"), say("kept days", "留存天数"), say("openings", "披露数")],
            [[one["types"] or "*", one["openings_days"], one["over"]] for one in rules],
        )
    from api.wiring import open_gateway

    with open_gateway(settings, chores=False) as gateway:
        gone = expire_openings(gateway.writer, gateway.engine, profile.rules, now=gateway.now())
        files = delete_past_files(
            gateway.writer, gateway.engine, found.data, profile.files, now=gateway.now()
        )
    return sentence(
        {"dry_run": False, "openings": gone, "files": files, "rules": rules},
        say(
            f"{gone} openings and {files} files are gone; every proof stands.",
            f"已删除 {gone} 份披露与 {files} 个数据文件；所有证明不变。",
        ),
    )


def archive(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help=say(
                "The bundle that keeps the leaves; it is verified first.",
                "保存这些条目的导出包；将先行核验。",
            ),
        ),
    ],
    before: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=say(
                "Index before which all leaves go, a multiple of 256 (default: as many as the profile lets go).",
                "此序号之前的条目移除，须为 256 的倍数（缺省：留存规则允许的全部）。",
            ),
            show_default=False,
        ),
    ] = None,
    home: Home = Path("city"),
) -> Said:
    from api.cli.trust_files import log_trust
    from api.homes import at_home
    from api.settings import Settings
    from api.upkeep import retention_of
    from api.wiring import open_gateway
    from ledger.audit.retention import archivable, archive_leaves
    from ledger.audit.verify import verify_bundle

    found, settings = at_home(Settings.given(home=home))
    profile = retention_of(found, settings).rules
    verdict = verify_bundle(bundle, log_trust(found.trust_file))
    with open_gateway(settings, chores=False) as gateway:
        upto = archivable(gateway.log, profile, now=gateway.now()) if before is None else before
        upto = min(upto, verdict.size // 256 * 256) if before is None else upto
        done = archive_leaves(gateway.writer, gateway.log, upto, verdict, profile, now=gateway.now())
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
            f"{done.value} leaves are gone from the database; {bundle} keeps them: store it safely, and more than once.",
            f"已从数据库移除 {done.value} 个条目，由 {bundle} 保存：请妥善存放多份。",
        ),
    )


def timestamp(home: Home = Path("city")) -> Said:
    from api.homes import at_home, open_database
    from api.settings import Settings
    from api.timestamping import TimestampSettings
    from api.upkeep import stamper_of
    from api.wiring import cosigners_of
    from ledger.audit.reading import LogReader
    from ledger.audit.timestamps import latest_stamp

    found, settings = at_home(Settings.given(home=home))
    if not settings.timestamp_url and settings.timestamp_roots is None:
        raise TimestampSettings(
            say("no timestamp service is configured", "未配置时间戳服务"),
            hint=say(
                "set CIVIC_TIMESTAMP_URL and CIVIC_TIMESTAMP_ROOTS",
                "请设置 CIVIC_TIMESTAMP_URL 与 CIVIC_TIMESTAMP_ROOTS",
            ),
        )
    engine = open_database(found, settings)
    try:
        log = LogReader(engine)
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
        say("The head is timestamped.", "日志头已加盖时间戳。")
        if fresh
        else say("Nothing was appended since the last timestamp.", "自上次时间戳以来没有新条目。")
    )
    return facts(document, title, document.items())
