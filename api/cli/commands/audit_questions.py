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
        "Who read one person's record: reads that named the person, releases that could contain the person, and what cannot be told. For city-wide auditors; the look is an entry.",
        "谁读取过某人的记录：指明此人的读取、可能包含此人的提供，以及无法判断的部分。仅限全市审计员；查看本身也留痕。",
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
        told = _told(lambda page: civic.readers_page(asset, subject, **page), limit, cursor)
        if proved:
            for kind in TOLD:
                _prove(told[kind], civic, named)
    return _three(told)


TOLD = ("named", "could_contain", "unknown")


def _told(ask: Callable[[dict[str, str | int]], dict[str, Any]], limit: int, cursor: str) -> dict[str, Any]:
    """The three parts, up to ``limit`` entries in all; what is said of the dataset as a whole once."""
    told: dict[str, Any] = {kind: [] for kind in TOLD} | {"next": cursor or None}
    whole: list[dict[str, Any]] = []
    found = 0
    while True:
        page: dict[str, str | int] = {"limit": min(limit - found, 200)}
        if told["next"] is not None:
            page["cursor"] = told["next"]
        answer = ask(page)
        for kind in TOLD:
            told[kind] += [one for one in answer[kind] if "index" in one]
        whole = [one for one in answer["unknown"] if "index" not in one]
        told["next"] = answer["next"]
        found = sum(len(told[kind]) for kind in TOLD)
        if told["next"] is None or found >= limit:
            return told | {"unknown": whole + told["unknown"]}


def _three(told: dict[str, Any]) -> Said:
    _more(told["next"])
    words = {
        "named": say("named the person", "指明此人"),
        "could_contain": say("could contain the person", "可能包含此人"),
        "unknown": say("cannot be told", "无法判断"),
    }
    return table(
        told,
        say("Reads", "读取"),
        [say("what it tells", "结论"), *_head(), say("why", "说明")],
        [[words[kind], *_row(one), _why(one)] for kind in TOLD for one in told[kind]],
    )


def _why(one: dict[str, Any]) -> object:
    """Why something cannot be told, or the filters that let the person through."""
    if code := one.get("why"):
        text = say(one["meaning"], WHY_ZH.get(code, one["meaning"]))
        return f"{text} ({one['before']})" if "before" in one else text
    return one.get("filters", "")


WHY_ZH = {
    "dataset.not-registered": "没有登记该数据集",
    "dataset.no-person-key": "该数据集没有区分个人的数据项",
    "subject.not-of-type": "不存在这样的标识：与该数据项的类型不符",
    "entries.archived": "此序号之前的条目已归档，请查阅保存它们的审计包",
    "opening.erased": "该决定的披露已删除或到期",
    "query.not-recorded": "该条目早于查询随决定一同记录的规则",
    "metadata.not-at-hand": "所读版本的目录条目不在此处",
    "terms.not-at-hand": "该授权的条款不在此处",
}


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
    _more(following)
    return table(
        {"entries": found, "next": following},
        say("Entries", "条目"),
        _head(),
        [_row(one) for one in found],
    )


def _more(following: str | None) -> None:
    if following is not None:
        note(say(f"There is more: --cursor {following}", f"还有更多：--cursor {following}"))


def _head() -> list[str]:
    return [
        say("no.", "序号"),
        say("time", "时间"),
        say("what", "事项"),
        say("department", "部门"),
        say("dataset", "数据集"),
        say("decision", "决定"),
        say("reasons", "原因"),
    ]


def _row(one: dict[str, Any]) -> list[object]:
    entry = one.get("entry") or {}
    return [
        one.get("index"),
        *(entry.get(name) for name in ("time", "type", "department", "asset", "decision", "reasons")),
    ]
