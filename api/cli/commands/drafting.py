"""``civic draft TYPE``: draft any message of the contracts, from the list that their build writes.

A new type of the contracts needs no code here: the members, their order and their checks come from
`ledger.chain.messages`, the functions and their arguments from `ledger.chain.calls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import refuse_unused
from api.cli.failures import CommandError, UsageError
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.json_input import json_object, pairs, read_object
from api.cli.options import Epoch
from api.terminal.language import say
from languages.texts import listed

Type = Annotated[
    str,
    typer.Argument(
        metavar="TYPE",
        help=say("Message of the contracts, such as RevokeBatch (docs/contracts.md lists them)."),
    ),
]
Members = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="MEMBER=VALUE",
        help=say("A member of the message: text or JSON (repeat)."),
    ),
]
Message = Annotated[
    str,
    typer.Option(help=say("The members, as JSON or @FILE."), show_default=False),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option(
        "--argument",
        metavar="NAME=VALUE",
        help=say("What the contract takes beside the message: JSON or @FILE (repeat)."),
    ),
]
Documents = Annotated[
    list[Path] | None,
    typer.Option(
        "--document",
        help=say("A document whose hash the message names (repeat)."),
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    governing(app, "draft", "Draft any act of the contracts; deadline, epoch and salt are filled in.")(draft)


def draft(
    session: SigningSession,
    type_name: Type,
    members: Members = None,
    message: Message = "{}",
    argument: Arguments = None,
    document: Documents = None,
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafting import draft_act
    from ledger.chain.messages import fields

    types = {member.name: member.type for member in fields(_known(type_name))}
    given = json_object(message, "--message")
    for name, text in pairs(members or (), "--set").items():
        if name in given:
            raise UsageError(
                say("{name} is in --message and in --set", name=name[:40]),
                hint=say("leave one of them out"),
            )
        given[name] = _value(text) if types.get(name, "").endswith("[]") else text
    for name in ("deadline", "epoch"):
        if name not in types or name in given:
            refuse_unused(say("{type_name} as it is given", type_name=type_name), name)
    named_arguments = {name: _value(text) for name, text in pairs(argument or (), "--argument").items()}
    _must_take(type_name, named_arguments)
    given_documents = tuple(read_object(path, "--document") for path in document or ())
    council = session.epoch(epoch) if "epoch" in types and "epoch" not in given else None
    return Proposal(
        draft_act(
            type_name,
            given,
            given_documents,
            arguments=named_arguments,
            epoch=council,
            deadline=session.deadline,
        )
    )


def _known(type_name: str) -> str:
    """The name, if a contract accepts a signature over this type; CommandError ``act.unknown`` otherwise."""
    from ledger.chain.calls import act_types

    if type_name not in act_types():
        raise CommandError(
            say("there is no act called {type_name!r}", type_name=type_name[:60]),
            hint=", ".join(act_types()),
            code="act.unknown",
        )
    return type_name


def _must_take(type_name: str, arguments: Mapping[str, Any]) -> None:
    """Raise CommandError ``act.message`` unless a function of the contract accepts the message with these arguments."""
    from ledger.chain.calls import functions_of

    choices = [sorted(function.arguments) for function in functions_of(type_name)]
    if sorted(arguments) not in choices:
        known = " / ".join(", ".join(one) or say("none") for one in choices)
        raise CommandError(
            say(
                "{type_name} does not take these arguments: {arguments}",
                type_name=type_name,
                arguments=listed([*arguments]) or say("none"),
            ),
            hint=say("--argument NAME=VALUE for: {known}", known=known),
            code="act.message",
        )


def _value(text: str) -> Any:
    """JSON, or JSON in ``@FILE``."""
    from ledger.audit.verify.strict import read_once
    from ledger.small_files import read_text

    try:
        return read_once(read_text(Path(text[1:])) if text.startswith("@") else text)
    except ValueError:
        raise UsageError(say("{given!r} is not JSON", given=text[:40])) from None
