"""``civic department``: departments, their officers and their service keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.commands.enrolling import Number, register_enrolling
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.json_input import listed
from api.cli.named_keys import address_of, must_be_attest_key_of, public_of
from api.cli.options import Epoch, Limit, ProfileOption, Reason
from api.cli.output import CommandResult, facts, table
from api.cli.standings import standing_words
from api.terminal.language import language, say

Roles = Annotated[list[str], typer.Option("--roles", help=say("Roles, separated by commas."))]
From = Annotated[
    str,
    typer.Option(
        "--from",
        help=say("Valid from: an instant or a duration."),
        show_default=False,
    ),
]
Until = Annotated[
    str,
    typer.Option(
        "--until",
        help=say("Valid until: an instant or a duration."),
        show_default=False,
    ),
]
Who = Annotated[
    str,
    typer.Argument(metavar="WHO", help=say("Address, or a key file's name or path.")),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("Departments, their officers and keys."), no_args_is_help=True)
    app.add_typer(group, name="department")
    command(group, "list", "The departments that take part.")(list_)
    command(group, "show", "One department with its officers and keys.")(show)
    register_enrolling(group)
    governing(
        group,
        "add-officer",
        "Give an address an office: signed by who may give the roles (steward: two officers), and by the new officer.",
    )(add_officer)
    governing(group, "remove-officer", "Remove an officer at once.")(remove_officer)
    governing(group, "add-key", "Register a machine's key: a service key for calls, or an attest key.")(
        add_key
    )
    governing(group, "remove-key", "Remove a machine's key at once and permanently.")(remove_key)
    governing(
        group,
        "suspend",
        "Stop a department at once: an officer of its own, two of the data bureau of two other departments, or the council.",
    )(suspend)
    governing(group, "lift", "Lift the suspension of a department: the council signs.")(lift)
    governing(
        group,
        "restore-privilege",
        "Restore the privilege after break-glass grants were not ratified in time: the council signs.",
    )(restore_privilege)
    governing(group, "cancel-recovery", "Cancel the recovery of a seat: the council signs.")(cancel_recovery)


def list_(limit: Limit = 200, profile: ProfileOption = None) -> CommandResult:
    from itertools import islice

    from api.cli.profile import read_profile

    with read_profile(profile).public() as civic:
        found = list(islice(civic.departments(), limit))
    return table(
        {"departments": found},
        say("Departments"),
        [say("number"), say("name"), say("status"), say("since")],
        [
            [one.get("id"), _name(one), standing_words(str(one.get("status"))), one.get("admitted_at")]
            for one in found
        ],
    )


def show(number: Number, profile: ProfileOption = None) -> CommandResult:
    from api.cli.profile import read_profile
    from api.cli.times import unix_text

    with read_profile(profile).public() as civic:
        found = civic.department(number)
    pairs: list[tuple[str, object]] = [
        (say("number"), found.get("id")),
        (say("status"), standing_words(str(found.get("status")))),
        (say("recovery key"), found.get("recovery")),
    ]
    groups = {
        "officers": say("officer"),
        "attest_keys": say("attest key"),
        "service_keys": say("service key"),
    }
    for member, label in groups.items():
        for one in found.get(member, ()):
            roles = ", ".join(one.get("roles", ()))
            state = standing_words(str(one.get("status") or ("removed" if one.get("removed") else "")))
            end = unix_text(one.get("not_after"))
            pairs.append(
                (label, "  ".join(filter(None, (one.get("address", one.get("key")), roles, state, end))))
            )
    return facts(found, _name(found) or str(number), pairs)


def add_officer(
    session: SigningSession,
    number: Number,
    who: Who,
    roles: Roles,
    starts: From = "",
    until: Until = "",
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafts import draft_officer

    before, after = _term(starts, until)
    draft = draft_officer(
        number,
        address_of(session, who),
        listed(roles),
        not_before=before,
        not_after=after,
        epoch=session.epoch(epoch),
        deadline=session.deadline,
    )
    return Proposal(draft)


def remove_officer(session: SigningSession, who: Who, epoch: Epoch = None) -> Proposal:
    from api.sdk.drafts import draft_officer_removal

    draft = draft_officer_removal(
        address_of(session, who), epoch=session.epoch(epoch), deadline=session.deadline
    )
    return Proposal(draft)


def add_key(
    session: SigningSession,
    number: Number,
    machine: Annotated[
        str,
        typer.Argument(
            metavar="MACHINE",
            help=say("Key file, 64 hex digits (service) or address (attest)."),
        ),
    ],
    roles: Annotated[
        list[str] | None,
        typer.Option("--roles", help=say("Roles: reader by default, or attest.")),
    ] = None,
    starts: From = "",
    until: Until = "",
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafts import NewServiceKey, draft_attest_key, draft_service_key

    before, after = _term(starts, until)
    public, council = public_of(session, machine), session.epoch(epoch)
    if public.startswith("0x") and len(public) == 42:
        draft = draft_attest_key(
            number,
            public,
            listed(roles) or ("attest",),
            not_before=before,
            not_after=after,
            epoch=council,
            deadline=session.deadline,
        )
    else:
        key = NewServiceKey(public, listed(roles) or ("reader",), not_before=before, not_after=after)
        draft = draft_service_key(number, key, epoch=council, deadline=session.deadline)
    return Proposal(draft)


def remove_key(
    session: SigningSession,
    number: Number,
    machine: Annotated[
        str,
        typer.Argument(
            metavar="MACHINE",
            help=say("Key file, 64 hex digits (service) or address (attest)."),
        ),
    ],
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafts import draft_attest_key_removal, draft_service_key_removal

    public, council = public_of(session, machine), session.epoch(epoch)
    if public.startswith("0x") and len(public) == 42:
        must_be_attest_key_of(session, number, public)  # The message contains only the key.
        return Proposal(draft_attest_key_removal(public, epoch=council, deadline=session.deadline))
    draft = draft_service_key_removal(number, public, epoch=council, deadline=session.deadline)
    return Proposal(draft)


def suspend(session: SigningSession, number: Number, reason: Reason, epoch: Epoch = None) -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(number, reason, epoch=session.epoch(epoch), deadline=session.deadline))


def lift(session: SigningSession, number: Number, reason: Reason, epoch: Epoch = None) -> Proposal:
    from api.sdk.drafts import draft_suspension

    draft = draft_suspension(number, reason, lift=True, epoch=session.epoch(epoch), deadline=session.deadline)
    return Proposal(draft)


def restore_privilege(
    session: SigningSession,
    number: Number,
    grant: Annotated[
        list[str],
        typer.Option(help=say("Break-glass grant that is forgiven (repeat).")),
    ],
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafts import draft_privilege

    return Proposal(draft_privilege(number, grant, epoch=session.epoch(epoch), deadline=session.deadline))


def cancel_recovery(
    session: SigningSession,
    who: Who,
    recovery: Annotated[
        str,
        typer.Argument(metavar="RECOVERY", help=say("Its id: 0x and 64 hex digits.")),
    ],
    epoch: Epoch = None,
) -> Proposal:
    from api.sdk.drafts import draft_recovery_cancellation

    address = address_of(session, who)
    return Proposal(
        draft_recovery_cancellation(address, recovery, epoch=session.epoch(epoch), deadline=session.deadline)
    )


# -- parsing arguments -------------------------------------------------------------------------------------


def _term(starts: str, until: str) -> tuple[int, int]:
    from api.cli.times import optional_instant
    from contracts.codes import FOREVER

    first, last = optional_instant(starts), optional_instant(until)
    return int(first.timestamp()) if first else 0, int(last.timestamp()) if last else FOREVER


def _name(one: dict[str, Any]) -> str:
    """A department's name in the command's language, from its entry."""
    named = (one.get("profile") or {}).get("name", "")
    if isinstance(named, dict):
        return str(named.get(language()) or next(iter(named.values()), ""))
    return str(named)
