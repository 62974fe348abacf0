"""``civic audit search | readers``: an auditor's queries to a running service, page by page, optionally with proofs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.options import Limit, PassphraseFile, ProfileOption, ServiceKeyOption, department_number
from api.cli.output import CommandResult, note, table
from api.cli.standings import value_words
from api.terminal.language import say

Cursor = Annotated[
    str,
    typer.Option(
        help=say("Go on from the 'next' of an earlier answer."),
        show_default=False,
    ),
]
Proved = Annotated[
    bool,
    typer.Option(
        "--proved",
        help=say("Fetch, check and keep the receipt of each entry, too."),
    ),
]


def register_questions(group: typer.Typer) -> None:
    """Add the queries to ``civic audit``."""
    command(
        group,
        "readers",
        "Who read one person's record: reads that named the person, releases that could contain the person, and what cannot be told. For city-wide auditors; the look is an entry.",
    )(readers)
    command(group, "search", "Search the log; an auditor's look is itself an entry.")(search)


def search(
    department: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("About this department."),
            show_default=False,
        ),
    ] = None,
    asset: Annotated[str, typer.Option(help=say("About this dataset."), show_default=False)] = "",
    grant: Annotated[str, typer.Option(help=say("Under this grant."), show_default=False)] = "",
    actor: Annotated[
        str,
        typer.Option(help=say("By this officer or service key."), show_default=False),
    ] = "",
    purpose: Annotated[str, typer.Option(help=say("For this purpose."), show_default=False)] = "",
    decision: Annotated[str, typer.Option(help="permit | deny", show_default=False)] = "",
    kind: Annotated[str, typer.Option("--type", help=say("Type begins with."), show_default=False)] = "",
    since: Annotated[str, typer.Option(help=say("From this instant on."), show_default=False)] = "",
    until: Annotated[str, typer.Option(help=say("Before this instant."), show_default=False)] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
    proved: Proved = False,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
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
    asset: Annotated[str, typer.Argument(metavar="ASSET", help=say("Dataset, such as 7.1."))],
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help=say("The person's key in that dataset."),
        ),
    ],
    limit: Limit = 50,
    cursor: Cursor = "",
    proved: Proved = False,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    named = read_profile(profile)
    with named.connect(Passphrases(passphrase_file), service_key) as civic:
        found_parts = _collect_parts(lambda page: civic.readers_page(asset, subject, **page), limit, cursor)
        if proved:
            for kind in PARTS:
                _prove(found_parts[kind], civic, named)
    return _parts_result(found_parts)


PARTS = ("named", "could_contain", "unknown")


def _collect_parts(
    ask: Callable[[dict[str, str | int]], dict[str, Any]], limit: int, cursor: str
) -> dict[str, Any]:
    """The three parts, up to ``limit`` entries in all. Facts about the dataset as a whole are included once."""
    found_parts: dict[str, Any] = {kind: [] for kind in PARTS} | {"next": cursor or None}
    whole: list[dict[str, Any]] = []
    found = 0
    while True:
        page: dict[str, str | int] = {"limit": min(limit - found, 200)}
        if found_parts["next"] is not None:
            page["cursor"] = found_parts["next"]
        answer = ask(page)
        for kind in PARTS:
            found_parts[kind] += [one for one in answer[kind] if "index" in one]
        whole = [one for one in answer["unknown"] if "index" not in one]
        found_parts["next"] = answer["next"]
        found = sum(len(found_parts[kind]) for kind in PARTS)
        if found_parts["next"] is None or found >= limit:
            return found_parts | {"unknown": whole + found_parts["unknown"]}


def _parts_result(found_parts: dict[str, Any]) -> CommandResult:
    _more(found_parts["next"])
    words = {
        "named": say("named the person"),
        "could_contain": say("could contain the person"),
        "unknown": say("cannot be told"),
    }
    return table(
        found_parts,
        say("Reads"),
        [say("what it tells"), *_head(), say("filters, or why not")],
        [[words[kind], *_row(one), _why(one)] for kind in PARTS for one in found_parts[kind]],
    )


def _why(one: dict[str, Any]) -> object:
    """The reason why something is unknown, or the filters that do not exclude the person."""
    if one.get("why"):
        text = say(one["meaning"])
        return f"{text} ({one['before']})" if "before" in one else text
    return one.get("filters", "")


def _collected(
    ask: Callable[[dict[str, str | int]], dict[str, Any]], limit: int, cursor: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to ``limit`` items, at most 200 in a page, and the cursor of the next page."""
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


def _entries(found: list[dict[str, Any]], following: str | None) -> CommandResult:
    _more(following)
    return table(
        {"entries": found, "next": following},
        say("Entries"),
        _head(),
        [_row(one) for one in found],
    )


def _more(following: str | None) -> None:
    if following is not None:
        note(say("There is more: --cursor {following}", following=following))


def _head() -> list[str]:
    return [
        say("no."),
        say("time"),
        say("what"),
        say("department"),
        say("dataset"),
        say("decision"),
        say("reasons"),
    ]


def _row(one: dict[str, Any]) -> list[object]:
    entry = one.get("entry") or {}
    members = ("time", "type", "department", "asset", "decision", "reasons")
    return [one.get("index"), *(value_words(name, entry.get(name)) for name in members)]
