"""``civic audit search | readers``: what an auditor asks of a running service, a page at a time, with proofs if wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.language import say
from api.cli.options import Limit, PassphraseFile, ProfileOption, ServiceKeyOption, department_number
from api.cli.output import Said, note, table

Cursor = Annotated[
    str,
    typer.Option(
        help=say("Go on from the 'next' of an earlier answer.", "从先前结果的 next 处继续。"),
        show_default=False,
    ),
]
Proved = Annotated[
    bool,
    typer.Option(
        "--proved",
        help=say(
            "Fetch, check and keep the receipt of each entry, too.", "同时取得、核验并保存每个条目的回执。"
        ),
    ),
]


def register_questions(group: typer.Typer) -> None:
    """Add the questions to ``civic audit``."""
    command(
        group,
        "readers",
        "Who read one person's record: the entries whose query named this person. For city-wide auditors; the look is an entry.",
        "谁读取过某人的记录：查询中指明此人的条目。仅限全市审计员；查看本身也留痕。",
    )(readers)
    command(
        group,
        "search",
        "Search the log; an auditor's look is itself an entry.",
        "检索日志；审计员的查看本身也留痕。",
    )(search)


def search(
    department: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("About this department.", "涉及该部门。"),
            show_default=False,
        ),
    ] = None,
    asset: Annotated[
        str, typer.Option(help=say("About this dataset.", "涉及该数据集。"), show_default=False)
    ] = "",
    grant: Annotated[
        str, typer.Option(help=say("Under this grant.", "依据该授权。"), show_default=False)
    ] = "",
    actor: Annotated[
        str,
        typer.Option(help=say("By this officer or service key.", "由该人员或服务密钥。"), show_default=False),
    ] = "",
    purpose: Annotated[
        str, typer.Option(help=say("For this purpose.", "用于该用途。"), show_default=False)
    ] = "",
    decision: Annotated[str, typer.Option(help="permit | deny", show_default=False)] = "",
    kind: Annotated[
        str, typer.Option("--type", help=say("Type begins with.", "类型前缀。"), show_default=False)
    ] = "",
    since: Annotated[
        str, typer.Option(help=say("From this instant on.", "起始时刻。"), show_default=False)
    ] = "",
    until: Annotated[
        str, typer.Option(help=say("Before this instant.", "截止时刻。"), show_default=False)
    ] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
    proved: Proved = False,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.cli.times import exact_instant

    given: dict[str, str | int | None] = {
        "department": department,
        "asset": asset,
        "grant": grant,
        "actor": actor,
        "purpose": purpose,
        "decision": decision,
        "type": kind,
        "since": exact_instant(since).isoformat() if since else "",
        "until": exact_instant(until).isoformat() if until else "",
    }
    filters = {name: value for name, value in given.items() if value not in (None, "")}
    named = read_profile(profile)
    with named.connect(Passphrases(passphrase_file), service_key) as civic:
        found, following = _collected(lambda page: civic.entries_page(**filters, **page), limit, cursor)
        if proved:
            _prove(found, civic, named)
    return _entries(found, following)


def readers(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help=say("Dataset, such as 7.1.", "数据集，例如 7.1。"))
    ],
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help=say("The person's key in that dataset.", "该数据集中的个人标识。"),
        ),
    ],
    limit: Limit = 50,
    cursor: Cursor = "",
    proved: Proved = False,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    named = read_profile(profile)
    with named.connect(Passphrases(passphrase_file), service_key) as civic:
        found, following = _collected(lambda page: civic.readers_page(asset, subject, **page), limit, cursor)
        if proved:
            _prove(found, civic, named)
    return _entries(found, following)


def _collected(
    ask: Callable[[dict[str, str | int]], dict[str, Any]], limit: int, cursor: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to ``limit`` items, a page of at most 200 at a time, and the cursor of what follows."""
    found: list[dict[str, Any]] = []
    following: str | None = cursor or None
    while True:
        page: dict[str, str | int] = {"limit": min(limit - len(found), 200)}
        if following is not None:
            page["cursor"] = following
        answer = ask(page)
        found += answer["items"]
        following = answer["next"]
        if following is None or len(found) >= limit:
            return found, following


def _prove(found: list[dict[str, Any]], civic: Any, named: Any) -> None:
    """Fetch, check and keep the receipt of each hit that is not archived."""
    for one in found:
        if one.get("entry") is not None:
            one["receipt"] = str(named.keep(civic.receipt(one["index"])))


def _entries(found: list[dict[str, Any]], following: str | None) -> Said:
    if following is not None:
        note(say(f"There is more: --cursor {following}", f"还有更多：--cursor {following}"))
    return table(
        {"entries": found, "next": following},
        say("Entries", "条目"),
        [
            say("no.", "序号"),
            say("time", "时间"),
            say("what", "事项"),
            say("department", "部门"),
            say("dataset", "数据集"),
            say("decision", "决定"),
            say("reasons", "原因"),
        ],
        [_row(one) for one in found],
    )


def _row(one: dict[str, Any]) -> list[object]:
    entry = one.get("entry") or {}
    return [
        one.get("index"),
        *(entry.get(name) for name in ("time", "type", "department", "asset", "decision", "reasons")),
    ]
