"""``civic heads``: exchange signed heads with other departments, by file or URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.options import ProfileOption
from api.cli.output import CommandResult, facts, sentence
from api.terminal.language import say
from ledger.counts import counted


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("Compare with others which log you see."), no_args_is_help=True)
    app.add_typer(group, name="heads")
    command(group, "export", "Write the newest signed head you saw, for another department.")(export)
    command(group, "exchange", "Hold the heads that others saw against your log; a file gets yours added.")(
        exchange
    )


def export(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help=say("File to write; it must not exist.")),
    ],
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.failures import UsageError
    from api.cli.profile import read_profile
    from api.sdk.memory import CheckpointMemory

    if file.exists():
        raise UsageError(say("there is a file at {file} already", file=file))
    found = read_profile(profile)
    document = CheckpointMemory(found.path / "state", found.trust().log_key).heads()
    _write(file, document)
    return facts(
        {"file": str(file), "heads": len(document["heads"])},
        say("Written."),
        [(say("file"), file), (say("heads"), len(document["heads"]))],
    )


def exchange(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL",
            help=say("Heads of others; the file may be new."),
        ),
    ],
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.profile import read_profile
    from api.cli.tiles import is_url

    url = is_url(source)
    theirs = _fetched(source) if url else _read(Path(source))
    with read_profile(profile).public() as civic:
        civic.status()
        compared = [] if theirs is None else civic.compare_heads(theirs)
        mine = civic.memory.heads()
    if not url:
        known = [] if theirs is None else theirs["heads"]
        _write(Path(source), mine | {"heads": _recent([*known, *mine["heads"]])})
    sizes = sorted({head.size for head in compared})
    document: dict[str, Any] = {"source": source, "compared": len(compared), "sizes": sizes, "forked": False}
    return sentence(
        document,
        say(
            "{heads} of the log that you see.",
            heads=counted(len(compared), "head of others is", "heads of others are"),
        ),
    )


def _recent(heads: list[str]) -> list[str]:
    """Each head once, the newest last, at most as many as a reader accepts."""
    from api.sdk.heads import MOST_HEADS

    return list(dict.fromkeys(reversed(heads)))[:MOST_HEADS][::-1]


def _read(file: Path) -> dict[str, Any] | None:
    from api.sdk.heads import MOST_BYTES

    if not file.exists():
        return None
    with file.open("rb") as opened:
        return _parsed(opened.read(MOST_BYTES + 1), str(file))


def _fetched(url: str) -> dict[str, Any]:
    from api.sdk.errors import HeadsInvalid
    from api.sdk.heads import MOST_BYTES
    from ledger.outgoing import CallFailed, Outgoing

    try:
        with Outgoing() as line:
            answer = line.ask(line.prepare("GET", url), within_s=30.0, most=MOST_BYTES)
    except CallFailed as failed:
        raise HeadsInvalid(say("{url} cannot be had: {why}", url=url, why=failed.message)) from failed
    if answer.status != 200:
        raise HeadsInvalid(say("{url} answers {status}", url=url, status=answer.status))
    return _parsed(answer.body, url)


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    from api.sdk.errors import HeadsInvalid
    from api.sdk.heads import MOST_BYTES
    from ledger.audit.verify.strict import read_once

    try:
        document = read_once(data) if len(data) <= MOST_BYTES else None
    except ValueError as damaged:
        raise HeadsInvalid(say("{where} is no JSON: {damaged}", where=where, damaged=damaged)) from damaged
    if not isinstance(document, dict):
        raise HeadsInvalid(say("{where} is no file of signed heads", where=where))
    return document


def _write(file: Path, document: dict[str, Any]) -> None:
    import json

    temporary = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        temporary.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        temporary.replace(file)
    except OSError as failed:  # The error names the file as the user gave it.
        raise OSError(failed.errno, failed.strerror, str(file)) from failed
