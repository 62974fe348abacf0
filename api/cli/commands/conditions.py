"""``civic condition``: conditions outside the chain on which grants depend."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli.command import command
from api.cli.failures import CommandError
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.options import GrantId, Limit, ProfileOption, department_number
from api.cli.output import CommandResult, table
from api.terminal.language import say

KINDS = ("consent", "case", "order", "agreement")
ENDS = ("withdrawn", "closed", "lapsed", "mistaken")

Condition = Annotated[
    str,
    typer.Argument(
        metavar="CONDITION",
        help=say("Keeper and its count, such as 3.1."),
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("Consents, cases and orders that grants depend on; on chain is a salted hash only."),
        no_args_is_help=True,
    )
    app.add_typer(group, name="condition")
    governing(group, "open", "Open a condition that this department keeps.")(open_)
    governing(group, "bind", "Make a grant depend on a condition, for ever.")(bind)
    governing(group, "close", "End a condition, and with it every grant that is bound to it, for ever.")(
        close
    )
    command(group, "list", "The conditions, by their keeper.")(list_)


def open_(
    session: SigningSession,
    condition: Condition,
    reference: Annotated[
        str,
        typer.Option(help=say("What it is (case number, consent form); stays in the file.")),
    ],
    opening: Annotated[
        Path,
        typer.Option(help=say("File to write the reference and its salt to; keep it.")),
    ],
    kind: Annotated[str, typer.Option(help=" | ".join(KINDS))] = "consent",
) -> Proposal:
    from api.sdk.conditions import draft_condition, new_opening

    made = new_opening(reference)
    draft = draft_condition(condition, kind, made, deadline=session.deadline)
    _keep(opening, made)
    return Proposal(draft, about={"condition": condition, "opening": str(opening)})


def bind(session: SigningSession, grant_id: GrantId, condition: Condition) -> Proposal:
    from api.sdk.conditions import draft_binding

    draft = draft_binding(grant_id, condition, deadline=session.deadline)
    return Proposal(draft, about={"grant": grant_id, "condition": condition})


def close(
    session: SigningSession,
    condition: Condition,
    reason: Annotated[str, typer.Option(help=" | ".join(ENDS))] = "withdrawn",
    revoke: Annotated[
        Path | None,
        typer.Option(
            help=say("Act file of a signed Revoke, handed on in the same transaction."),
            show_default=False,
        ),
    ] = None,
) -> Proposal:
    from api.sdk.acts import read_act
    from api.sdk.conditions import draft_end

    signed = None if revoke is None else read_act(revoke)
    draft = draft_end(condition, reason, revoke=signed, deadline=session.deadline)
    return Proposal(draft, about={"condition": condition})


def list_(
    keeper: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("Only those of this department."),
            show_default=False,
        ),
    ] = None,
    limit: Limit = 200,
    profile: ProfileOption = None,
) -> CommandResult:
    from itertools import islice

    from api.cli.profile import read_profile

    filters: dict[str, str | int] = {} if keeper is None else {"keeper": keeper}
    with read_profile(profile).public() as civic:
        found = list(islice(civic.conditions(**filters), limit))
    return table(
        {"conditions": found},
        say("Conditions"),
        [
            say("id"),
            say("kind"),
            say("status"),
            say("opened"),
            say("ended"),
        ],
        [[one["id"], one["kind"], one["status"], one["opened_at"], one["ended_at"] or ""] for one in found],
    )


def _keep(path: Path, opening: dict[str, str]) -> None:
    """Write the opening, readable by its owner only; an existing file is never overwritten."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as failed:
        raise CommandError(
            say("{path} cannot be written: {strerror}", path=path, strerror=failed.strerror),
            hint=say("choose another name"),
            code="condition.opening",
        ) from failed
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(json.dumps(opening, ensure_ascii=False, indent=1) + "\n")
